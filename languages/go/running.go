//go:build linux && cgo

package nightcore

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// noDeadline is the library's value for a call without a deadline.
const noDeadline = ^C.uint64_t(0)

var errCallerLeft = errors.New("nobody waits for the answer any more")

// A running is a request whose handler runs. It makes the handler's calls.
type running struct {
	worker *worker
	id     uint64
	// beganAt is the time when the handler began, or when its last call ended.
	beganAt atomic.Int64
	// calls is the number of its calls that wait for their answers, and over says whether it has
	// its reply. The worker's lock guards both.
	calls int
	over  bool
	// event is the event that brought the request.
	event event
	ctx   context.Context

	mu sync.Mutex
	// handle is nil once the request has ended.
	handle *C.nc_request
	cancel context.CancelCauseFunc
	// cancelledBy is the status that says why the request is cancelled; NC_OK if it is not.
	cancelledBy C.int32_t
}

var start = time.Now()

// nanotime returns the nanoseconds since the program began.
func nanotime() int64 { return int64(time.Since(start)) }

// run runs the handler and sends its reply.
func (r *running) run() {
	e := &r.event
	ctx, req := context.Background(), r.request(e)
	if e.time_left_ns != noDeadline {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Duration(e.time_left_ns))
		defer stop()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(errReturned)
	r.mu.Lock()
	r.cancel = cancel
	if r.cancelledBy != C.NC_OK {
		r.cancelNow(ctx)
	}
	r.ctx = handlerContext{ctx, r, req}
	r.mu.Unlock()

	finished := false
	defer func() {
		if finished {
			return
		}
		// The handler has panicked, or has called runtime.Goexit, for which recover returns nil.
		message, stack := "the handler called runtime.Goexit", debug.Stack()
		defer func() {
			// Formatting the value of the panic may have panicked as well, or called
			// runtime.Goexit.
			_ = recover()
			req.Logf("nightcore: %s: %s\n%s", req.Function, message, stack)
			r.fail(nil, message)
		}()
		if reason := recover(); reason != nil {
			message = "panic with a value that cannot be printed"
			message = fmt.Sprint("panic: ", reason)
		}
	}()
	r.beganAt.Store(nanotime())
	answer, err := r.worker.handler(r.ctx, req)
	r.worker.pace.ran(time.Duration(nanotime() - r.beganAt.Load()))
	if err != nil {
		// The error may be of the handler's own type, whose methods may panic as well.
		e, message := r.told(err, req)
		finished = true
		r.fail(e, message)
		return
	}
	finished = true
	r.reply(answer)
}

// told returns the error for callers, or else the text of an error that was not written for them.
func (r *running) told(err error, req *Request) (*Error, string) {
	text := err.Error()
	e, ok := passedOn(err)
	switch {
	case ok:
	case errors.Is(err, context.DeadlineExceeded) && errors.Is(r.ctx.Err(), context.DeadlineExceeded):
		// The deadline of the context is not later than the engine's, and may be earlier.
		e = &Error{
			Status:   ErrDeadlineExceeded,
			Function: req.Function,
			Message:  context.DeadlineExceeded.Error(),
		}
	case errors.Is(err, context.Canceled) && context.Cause(r.ctx) == errCallerLeft:
		e = &Error{Status: ErrCancelled, Function: req.Function, Message: errCallerLeft.Error()}
	default:
		return nil, text
	}
	if text != e.Error() && text != e.Message && e.Status != ErrCancelled {
		// Callers do not get the text around the wrapped error, so it goes to the log.
		req.Logf("nightcore: %s: %s", req.Function, text)
	}
	return e, ""
}

// request converts the event of a request to a Request.
func (r *running) request(e *event) *Request {
	req := &Request{
		Body:     copied(e.body),
		Function: r.worker.function,
		Caller:   string(borrowed(e.caller)),
	}
	req.ID = C.GoStringN(&e.call_id[0], C.NC_GO_CALL_ID_LEN)
	if e.metadata_bytes > 0 {
		block := make([]byte, int(e.metadata_bytes))
		C.nc_go_request_metadata(e.request, (*C.uint8_t)(&block[0]))
		req.Metadata.block = unsafe.String(&block[0], len(block))
	}
	return req
}

// cancelled cancels the context of the request, which the engine has reported as cancelled.
func (r *running) cancelled(reason C.int32_t) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancelledBy = reason
	if r.cancel != nil {
		r.cancelNow(r.ctx)
	}
}

func (r *running) cancelNow(ctx context.Context) {
	if _, ok := ctx.Deadline(); ok && r.cancelledBy == C.NC_DEADLINE_EXCEEDED {
		// The context ends by its own deadline, as context.DeadlineExceeded, which cancel cannot
		// set.
		return
	}
	r.cancel(errCallerLeft)
}

// end marks the request as ended and returns its handle, which only the caller uses from then on.
func (r *running) end() *C.nc_request {
	r.worker.mu.Lock()
	delete(r.worker.running, r.id)
	if r.calls == 0 {
		r.worker.goOn.Add(-1)
	}
	r.over = true
	r.worker.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	handle := r.handle
	r.handle = nil
	return handle
}

func (r *running) reply(answer *Answer) {
	body := answer.Body
	C.nc_go_reply(r.end(), (*C.uint8_t)(unsafe.SliceData(body)), C.size_t(len(body)),
		answer.Metadata.toC())
}

// fail fails the call with e. If e is nil, it uses text, the text of an error that was not written
// for callers.
func (r *running) fail(e *Error, text string) {
	handle := r.end()
	defer C.nc_request_free(handle)
	if e == nil {
		message := C.CString(forC(strings.ToValidUTF8(text, "\uFFFD")))
		defer C.free(unsafe.Pointer(message))
		C.nc_fail_unexpectedly(handle, message)
		return
	}
	failure := e.toC()
	defer C.nc_error_free(failure)
	C.nc_pass_on(handle, failure)
}

// toC converts an error for the library. The caller frees the result.
func (e *Error) toC() *C.nc_error {
	text := func(s string) *C.char { return C.CString(forC(strings.ToValidUTF8(s, "\uFFFD"))) }
	function, message := text(e.Function), text(e.Message)
	defer C.free(unsafe.Pointer(function))
	defer C.free(unsafe.Pointer(message))
	var failure *C.nc_error
	C.nc_error_new(C.int32_t(e.Status), function, message, &failure)
	for _, cause := range e.Causes {
		function, message := text(cause.Function), text(cause.Message)
		C.nc_error_add_cause(failure, C.int32_t(cause.Status), function, message)
		C.free(unsafe.Pointer(function))
		C.free(unsafe.Pointer(message))
	}
	return failure
}

// Call makes a call through the engine.
func (r *running) Call(
	ctx context.Context, name string, body []byte, options CallOptions,
) (*Answer, error) {
	if ctx.Err() != nil {
		return nil, r.refused(ctx, name)
	}
	if len(name) > C.NC_GO_MAX_NAME || forC(name) != name {
		return nil, notAName(name)
	}
	// The engine knows the request's own deadline, so only another deadline becomes a timeout.
	var timeout C.uint64_t
	if deadline, ok := ctx.Deadline(); ok && ctx != r.ctx {
		timeout = C.uint64_t(max(time.Until(deadline), 1))
	}
	w := r.worker
	began := r.beganAt.Load()
	w.pace.ran(time.Duration(nanotime() - began))
	defer func() { r.beganAt.Store(nanotime()) }()
	c := calls.Get().(*call)
	c.running = r
	r.worker.wait(c)
	if err := r.start(c.tag, name, body, timeout, options); err != nil {
		r.worker.forget(c.tag)
		calls.Put(c)
		return nil, err
	}
	r.worker.stay(c)
	select {
	case e := <-c.answer:
		return take(c, e)
	case <-ctx.Done():
	case <-r.ctx.Done():
		ctx = r.ctx
	}
	tag := c.tag
	if r.worker.forget(tag) == nil {
		return take(c, <-c.answer)
	}
	calls.Put(c)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.handle != nil {
		C.nc_call_cancel(r.handle, C.uint64_t(tag))
	}
	return nil, ofContext(ctx, name)
}

// refused returns the error of a call whose context has ended before the call is made.
func (r *running) refused(ctx context.Context, name string) *Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.handle == nil {
		return ofEnded(name)
	}
	return ofContext(ctx, name)
}

func (r *running) start(
	tag uint64, name string, body []byte, timeout C.uint64_t, options CallOptions,
) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.handle == nil {
		return ofEnded(name)
	}
	var failure *C.nc_error
	status := C.nc_go_call(r.handle, C.uint64_t(tag),
		(*C.char)(unsafe.Pointer(unsafe.StringData(name))), C.size_t(len(name)),
		(*C.uint8_t)(unsafe.SliceData(body)), C.size_t(len(body)), timeout,
		options.Metadata.toC(), &failure)
	if status != C.NC_OK {
		return takeError(status, failure)
	}
	return nil
}

// take converts the end of a call to Go values, and returns c to the pool.
func take(c *call, e event) (*Answer, error) {
	calls.Put(c)
	if e.status != C.NC_OK {
		return nil, takeError(e.status, e.error)
	}
	return takeAnswer(&e), nil
}

// A handlerContext is the context of a handler, which holds the request.
type handlerContext struct {
	context.Context
	running *running
	request *Request
}

func (c handlerContext) Value(key any) any {
	switch key.(type) {
	case callerKey:
		return c.running
	case requestKey:
		return c.request
	}
	return c.Context.Value(key)
}
