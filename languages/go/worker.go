//go:build linux && cgo

package nightcore

// #cgo pkg-config: nightcore
// #cgo CFLAGS: -std=c11 -Wall -Wextra
// #cgo noescape nc_go_next
// #cgo nocallback nc_go_next
// #cgo noescape nc_go_request_metadata
// #cgo nocallback nc_go_request_metadata
// #cgo noescape nc_go_answer_metadata
// #cgo nocallback nc_go_answer_metadata
// #cgo nocallback nc_answer_free
// #cgo noescape nc_go_call
// #cgo nocallback nc_go_call
// #cgo nocallback nc_call_cancel
// #cgo noescape nc_go_reply
// #cgo nocallback nc_go_reply
// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Statuses are the library's own numbers.
var _ = [1]struct{}{}[ErrDepthExceeded-C.NC_DEPTH_EXCEEDED|ErrInvalidArgument-C.NC_INVALID_ARGUMENT|ErrInternal-C.NC_INTERNAL]

// maxEvents is how many events are fetched in one crossing.
const maxEvents = 16

type event = C.nc_go_event

// A worker is this process's end of its channel. One goroutine, the pump, takes what comes; requests have goroutines of
// their own.
type worker struct {
	handle   *C.nc_worker
	function string
	handler  Handler

	mu sync.Mutex
	// running are the requests that are not answered, by their numbers.
	running map[uint64]*running
	// waiting are the goroutines that wait for answers, by the tags of their calls.
	waiting map[uint64]chan event
	lastTag uint64

	// pulling is held by whoever takes events: the pump, or a goroutine that looks.
	pulling sync.Mutex
	// ended says why nothing will come any more.
	ended error
	// file is the pump's.
	file *os.File
	// looks says whether it pays to look.
	looks bool
	// waitedAt is when somebody last did not look.
	waitedAt time.Time
}

func serve(names []string, handlers map[string]Handler) error {
	w := &worker{running: make(map[uint64]*running), waiting: make(map[uint64]chan event)}
	if err := w.open(names); err != nil {
		return err
	}
	defer C.nc_worker_free(w.handle)
	function := C.nc_worker_function(w.handle)
	w.function = string(borrowed(function))
	w.handler = handlers[w.function]
	w.looks = C.nc_worker_looks(w.handle) != 0
	return w.pump()
}

// open connects to the engine.
func (w *worker) open(names []string) error {
	list := (**C.char)(C.calloc(C.size_t(len(names)+1), C.size_t(unsafe.Sizeof((*C.char)(nil)))))
	defer C.free(unsafe.Pointer(list))
	for i, name := range names {
		slot := &unsafe.Slice(list, len(names))[i]
		*slot = C.CString(forC(name))
		defer C.free(unsafe.Pointer(*slot))
	}
	var failure *C.nc_error
	if status := C.nc_worker_open(list, C.size_t(len(names)), &w.handle, &failure); status != C.NC_OK {
		return takeError(status, failure)
	}
	return nil
}

// pump takes what comes until the engine ends this process.
func (w *worker) pump() error {
	// Its own descriptor, as the runtime closes what it is given.
	fd, err := syscall.Dup(int(C.nc_worker_fd(w.handle)))
	if err != nil {
		return fmt.Errorf("nightcore: cannot duplicate a descriptor: %w", err)
	}
	syscall.CloseOnExec(fd)
	// So that the runtime's poller takes it; nothing ever reads it.
	if err := syscall.SetNonblock(fd, true); err != nil {
		return fmt.Errorf("nightcore: cannot wait for the engine: %w", err)
	}
	w.file = os.NewFile(uintptr(fd), "nightcore")
	defer func() { _ = w.file.Close() }()
	conn, err := w.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("nightcore: cannot wait for the engine: %w", err)
	}
	err = conn.Read(func(uintptr) bool {
		w.pulling.Lock()
		defer w.pulling.Unlock()
		if w.ended == nil {
			_, w.ended = w.drain(false)
		}
		return w.ended != nil
	})
	w.pulling.Lock()
	defer w.pulling.Unlock()
	switch {
	case w.ended == nil:
		// Nobody may look any more.
		w.ended = fmt.Errorf("nightcore: cannot wait for the engine: %w", err)
		return w.ended
	case errors.Is(w.ended, errEnded):
		return nil
	default:
		return w.ended
	}
}

// mostLooks is for how long goroutines look one after the other before one waits as goroutines do, so that the scheduler
// sees to sockets and to other goroutines, even if it has no other thread for them.
const mostLooks = time.Millisecond

// look takes what is there, and looks for it for a while if no request can go on without: what has just been sent is
// likely to be answered before the pump would have been woken, and a goroutine for what the pump got. If its caller wants
// a request it gets the first one, to run it.
func (w *worker) look(wants bool) *running {
	if !w.looks {
		return nil
	}
	if runtime.GOMAXPROCS(0) == 1 {
		// Others have nowhere else to run. With more Ps there are threads that look for them.
		runtime.Gosched()
	}
	if !w.pulling.TryLock() {
		return nil
	}
	defer w.pulling.Unlock()
	now := time.Now()
	if w.ended != nil || now.Sub(w.waitedAt) > mostLooks {
		w.waitedAt = now
		return nil
	}
	var request *running
	if request, w.ended = w.drain(wants); w.ended != nil {
		// The pump waits for what will not come.
		_ = w.file.SetReadDeadline(time.Unix(0, 1))
	}
	return request
}

var errEnded = errors.New("the engine has ended this process")

// drain takes all that is there; an error says that nothing will come any more. If its caller wants a request it gets the
// first one; the others are run.
func (w *worker) drain(wants bool) (request *running, ended error) {
	var events [maxEvents]event
	for {
		var status C.int32_t
		count := int(C.nc_go_next(w.handle, &events[0], maxEvents, &status))
		for i := range events[:count] {
			if events[i].kind == C.NC_EVENT_ENDED {
				return request, errEnded
			}
			if wants && request == nil && events[i].kind == C.NC_EVENT_REQUEST {
				request = w.begin(&events[i])
			} else {
				w.take(&events[i])
			}
		}
		switch {
		case status == C.NC_AGAIN:
			return request, nil
		case status != C.NC_OK:
			return request, &Error{Status: Status(status), Message: "the engine's messages cannot be read"}
		}
	}
}

func (w *worker) take(e *event) {
	switch e.kind {
	case C.NC_EVENT_REQUEST:
		go w.run(w.begin(e))
	case C.NC_EVENT_ANSWER:
		w.mu.Lock()
		answer, ok := w.waiting[uint64(e.tag)]
		delete(w.waiting, uint64(e.tag))
		w.mu.Unlock()
		if ok {
			// It has room for this one.
			answer <- *e
		} else {
			C.nc_answer_free(e.answer)
			C.nc_error_free(e.error)
		}
	case C.NC_EVENT_CANCELLED:
		w.mu.Lock()
		r := w.running[uint64(e.request_id)]
		w.mu.Unlock()
		if r != nil {
			r.cancelled(e.status)
		}
	}
}

// begin makes a request known.
func (w *worker) begin(e *event) *running {
	r := &running{worker: w, handle: e.request, id: uint64(e.request_id), event: *e}
	w.mu.Lock()
	w.running[r.id] = r
	w.mu.Unlock()
	return r
}

// run runs a request, and then those that come as soon as it has been answered.
func (w *worker) run(r *running) {
	for ; r != nil; r = w.look(true) {
		r.run()
	}
}

// wait makes a place for the answer to a new call.
func (w *worker) wait(answer chan event) (tag uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lastTag++
	w.waiting[w.lastTag] = answer
	return w.lastTag
}

// forget gives up a place; false if the answer is in it already.
func (w *worker) forget(tag uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.waiting[tag]
	delete(w.waiting, tag)
	return ok
}

// borrowed are the library's own bytes.
func borrowed(bytes C.nc_bytes) []byte {
	return unsafe.Slice((*byte)(bytes.data), int(bytes.len))
}

// copied are bytes without spare capacity.
func copied(bytes C.nc_bytes) []byte {
	own := make([]byte, int(bytes.len))
	copy(own, borrowed(bytes))
	return own
}

// toC is metadata as the library's side of the crossing takes them.
func (m Metadata) toC() C.nc_go_metadata {
	if m.block == "" {
		return C.nc_go_metadata{}
	}
	block := (*C.uint8_t)(unsafe.StringData(m.block))
	return C.nc_go_metadata{block: block, len: C.size_t(len(m.block)), count: C.size_t(m.Len())}
}

// takeAnswer makes Go's own of an answer, and frees it.
func takeAnswer(e *event) *Answer {
	answer := &Answer{Body: copied(e.body), Status: int(e.http_status)}
	if e.metadata_bytes == 0 {
		C.nc_answer_free(e.answer)
		return answer
	}
	block := make([]byte, int(e.metadata_bytes))
	C.nc_go_answer_metadata(e.answer, (*C.uint8_t)(&block[0]))
	answer.Metadata.block = unsafe.String(&block[0], len(block))
	return answer
}

// takeError makes Go's own of an error, and frees it.
func takeError(status C.int32_t, failure *C.nc_error) *Error {
	defer C.nc_error_free(failure)
	err := &Error{
		Status:   Status(status),
		Function: C.GoString(C.nc_error_function(failure)),
		Message:  C.GoString(C.nc_error_message(failure)),
	}
	for i := range C.nc_error_cause_count(failure) {
		cause := C.nc_error_cause_at(failure, i)
		err.Causes = append(err.Causes, Cause{
			Function: C.GoString(C.nc_error_function(cause)),
			Status:   Status(C.nc_error_status(cause)),
			Message:  C.GoString(C.nc_error_message(cause)),
		})
	}
	return err
}

// statusName is the library's name of a status.
func statusName(status Status) string { return C.GoString(C.nc_status_name(C.int32_t(status))) }
