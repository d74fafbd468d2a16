//go:build linux && cgo && !nightcore_static

package nightcore

// libnightcore is loaded when the program starts. The directive has a file of its own because the
// go command caches packages by their files, not by the output of pkg-config.

// #cgo pkg-config: nightcore
import "C"
