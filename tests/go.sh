#!/bin/bash
# Checks the Go package: format, vet, staticcheck, its tests with the race detector and an engine,
# and the examples.

set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v go >/dev/null; then
    echo "skipped: Go is not there"
    exit 0
fi

staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2

cargo build --locked --quiet --workspace --lib --bin nightcore
target=$(cargo metadata --locked --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
prefix=$target/go/prefix
make --no-print-directory --silent install IS_BUILDER= PROFILE=dev \
    "PREFIX=$prefix" "TARGET_DIR=$target" >/dev/null
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig PATH=$prefix/bin:$PATH
# Go's build cache distinguishes builds by these flags, but not by pkg-config's output.
export CGO_LDFLAGS="-O2 -g -L$prefix/lib"

mapfile -t sources < <(git ls-files --cached --others --exclude-standard '*.go')
unformatted=$(gofmt -l "${sources[@]}")
if [[ -n $unformatted ]]; then
    echo "not as gofmt writes it: $unformatted"
    exit 1
fi
mapfile -t modules < <(git ls-files --cached --others --exclude-standard '*/go.mod' |
    xargs -n 1 dirname)
for module in "${modules[@]}"; do
    # A module that does not use Nightcore is not in the workspace, so that the other modules do not
    # need its dependencies.
    workspace=$PWD/go.work
    if ! grep -qxF "	./$module" go.work; then workspace=off; fi
    (cd "$module" && GOWORK=$workspace go vet ./... &&
        GOWORK=$workspace go build -o /dev/null ./...)
    (cd "$module" && GOWORK=$workspace go run "$staticcheck" ./...)
done
echo "${#modules[@]} modules are clean"

# The package must compile without cgo too. A program then reports at its start that it needs cgo.
(cd languages/go && CGO_ENABLED=0 go vet . && GOOS=darwin CGO_ENABLED=0 go vet .)
(cd languages/go && go test -race "$@" ./...)
