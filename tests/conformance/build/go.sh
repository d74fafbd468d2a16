# Go: by the go command, against the installed library.
# shellcheck shell=bash disable=SC2154 # build.sh sets the variables.

needs go "Go, see https://go.dev"
installed
(cd tests/conformance/workers/go && go build -o "$folder/worker" .)
start "$folder/worker"
