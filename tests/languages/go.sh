# Go: by the go command, against the installed library.
# shellcheck shell=bash disable=SC2154 # build.sh sets the variables.

needs go "Go, see https://go.dev"
installed
(cd "$sources" && go build -o "$folder/worker" .)
start "$folder/worker"
