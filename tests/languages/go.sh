# Builds the worker in Go, with the go command, against the installed library.
# shellcheck shell=bash disable=SC2154 # build.sh sets the variables.

needs go "Go, see https://go.dev"
installed
# Go's build cache distinguishes builds by these flags, but not by pkg-config's output.
export CGO_LDFLAGS="-O2 -g -L$prefix/lib"
(cd "$sources" && go build -o "$folder/worker" .)
start "$folder/worker"
