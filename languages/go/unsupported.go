//go:build !linux || !cgo

package nightcore

import "runtime"

func serve([]string, map[string]Handler) error {
	message := "Nightcore runs on Linux, not on " + runtime.GOOS
	if runtime.GOOS == "linux" {
		message = "this program was built without cgo, by which Nightcore's library is used: build it with CGO_ENABLED=1"
	}
	return &Error{Status: ErrNotStarted, Message: message}
}
