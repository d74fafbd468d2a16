//go:build linux && cgo && !nightcore_static

package nightcore

// libnightcore is found when the program starts. The directive has a file of its own because the go
// command caches packages by their files, and not by what pkg-config says.

// #cgo pkg-config: nightcore
import "C"
