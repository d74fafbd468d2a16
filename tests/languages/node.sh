# Installs the package for Node beside the worker, as a user would.
# shellcheck shell=bash disable=SC2154 # build.sh sets the variables.

needs npm "Node.js with npm"
cp "$sources"/worker.* "$folder"
(cd "$folder" && npm install --silent --no-audit --no-fund --no-save "$root/languages/node")
start node "$folder"/worker.*
