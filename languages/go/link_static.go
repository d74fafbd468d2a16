//go:build linux && cgo && nightcore_static

package nightcore

// libnightcore is linked into the program. The directive has a file of its own because the go
// command caches packages by their files, not by the output of pkg-config.

// #cgo pkg-config: nightcore-static
import "C"
