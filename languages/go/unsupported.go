//go:build !linux || !cgo

package nightcore

import (
	"context"
	"runtime"
)

// A processCaller makes no calls, because this platform is not supported.
type processCaller struct{}

// Call returns an error that says why the platform is not supported.
func (processCaller) Call(context.Context, string, []byte, CallOptions) (*Answer, error) {
	return nil, serve(nil, nil)
}

func serve([]string, map[string]run) error {
	message := "Nightcore runs on Linux, not on " + runtime.GOOS
	if runtime.GOOS == "linux" {
		message = "this program was built without cgo, which Nightcore's library needs: " +
			"build it with CGO_ENABLED=1"
	}
	return &Error{Status: ErrNotStarted, Message: message}
}
