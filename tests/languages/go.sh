# Go: by the go command, against the installed library.
# shellcheck shell=bash disable=SC2154 # build.sh sets the variables.

needs go "Go, see https://go.dev"
installed
# In go's cache a package is known by these flags, and not by what pkg-config says.
export CGO_LDFLAGS="-O2 -g -L$prefix/lib"
(cd "$sources" && go build -o "$folder/worker" .)
start "$folder/worker"
