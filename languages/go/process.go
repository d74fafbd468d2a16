//go:build linux && cgo

package nightcore

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"context"
	"runtime/cgo"
	"time"
	"unsafe"
)

// A processCaller makes calls outside of any request.
type processCaller struct{}

// Call makes a call through the engine.
func (processCaller) Call(
	ctx context.Context, name string, body []byte, options CallOptions,
) (*Answer, error) {
	if ctx.Err() != nil {
		return nil, ofContext(ctx, name)
	}
	if len(name) > C.NC_GO_MAX_NAME || forC(name) != name {
		return nil, notAName(name)
	}
	var timeout C.uint64_t
	if deadline, ok := ctx.Deadline(); ok {
		timeout = C.uint64_t(max(time.Until(deadline), 1))
	}
	ended := make(chan event, 1)
	handle := cgo.NewHandle(ended)
	var number C.uint64_t
	var failure *C.nc_error
	status := C.nc_go_process_call(C.uintptr_t(handle),
		(*C.char)(unsafe.Pointer(unsafe.StringData(name))), C.size_t(len(name)),
		(*C.uint8_t)(unsafe.SliceData(body)), C.size_t(len(body)), timeout,
		options.Metadata.toC(), &number, &failure)
	if status != C.NC_OK {
		handle.Delete()
		return nil, takeError(status, failure)
	}
	select {
	case e := <-ended:
		return takeEnd(&e)
	case <-ctx.Done():
		C.nc_process_call_cancel(number)
		// The result of the call still has to be freed.
		go func() {
			e := <-ended
			_, _ = takeEnd(&e)
		}()
		return nil, ofContext(ctx, name)
	}
}

// takeEnd converts the end of a call to Go values, and frees the library's.
func takeEnd(e *event) (*Answer, error) {
	if e.status != C.NC_OK {
		return nil, takeError(e.status, e.error)
	}
	return takeAnswer(e), nil
}

// ncGoEnded receives the end of a call outside of any request, on a thread of the library.
//
//export ncGoEnded
func ncGoEnded(handle C.uintptr_t, e *C.nc_go_event) {
	ended := cgo.Handle(handle)
	ended.Value().(chan event) <- *e
	ended.Delete()
}
