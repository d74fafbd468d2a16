//go:build linux && cgo

package nightcore

// #cgo CFLAGS: -std=c11 -Wall -Wextra
// #cgo noescape nc_go_next
// #cgo nocallback nc_go_next
// #cgo noescape nc_go_next_many
// #cgo nocallback nc_go_next_many
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
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// The statuses have the library's numbers.
var _ = [1]struct{}{}[ErrDepthExceeded-C.NC_DEPTH_EXCEEDED|
	ErrInvalidArgument-C.NC_INVALID_ARGUMENT|
	ErrInternal-C.NC_INTERNAL]

type event = C.nc_go_event

// A worker is the worker of this process. One goroutine, the pump, waits for events in the
// runtime's poller. The goroutines of requests take events themselves while they wait: see stay.
type worker struct {
	handle   *C.nc_worker
	function string
	handler  run

	mu sync.Mutex
	// running are the requests that have no reply yet, by their numbers.
	running map[uint64]*running
	// waiting are the calls that wait for their answers, by their tags.
	waiting map[uint64]*call
	lastTag uint64

	// pulling is held by the goroutine that takes events: the pump, or a goroutine in stay.
	pulling sync.Mutex
	// ended says why no more events come.
	ended error
	// file is the descriptor on which the pump waits.
	file *os.File
	// events is the buffer of the goroutine that holds pulling.
	events [C.NC_GO_MAX_EVENTS]event
	// messages is the descriptor on which a goroutine waits that keeps its thread.
	messages uintptr
	// turns is an eventfd that the runtime's poller watches.
	turns syscall.RawConn
	// polledAt is when the runtime's poller last had its turn.
	polledAt time.Time
	pace     pace
	// goOn is the number of requests that run without waiting for calls.
	goOn atomic.Int64
}

// A call is a call that waits for its answer.
type call struct {
	running *running
	tag     uint64
	// answer has room for one event, the end of the call.
	answer chan event
}

var calls = sync.Pool{New: func() any { return &call{answer: make(chan event, 1)} }}

func serve(names []string, handlers map[string]run) error {
	w := &worker{running: make(map[uint64]*running), waiting: make(map[uint64]*call)}
	if err := w.open(names); err != nil {
		return err
	}
	// The worker is never freed, because goroutines that go on may call until the process ends.
	function := C.nc_worker_function(w.handle)
	w.function = string(borrowed(function))
	w.handler = handlers[w.function]
	w.messages = uintptr(C.nc_worker_message_fd(w.handle))
	w.pace.begin()
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

// pump handles events until the engine ends this process.
func (w *worker) pump() error {
	// The pump has its own descriptor, because the runtime closes a descriptor that it is given.
	fd, err := syscall.Dup(int(C.nc_worker_fd(w.handle)))
	if err != nil {
		return fmt.Errorf("nightcore: cannot duplicate a descriptor: %w", err)
	}
	syscall.CloseOnExec(fd)
	// The runtime's poller accepts only a non-blocking descriptor. Nothing ever reads from it.
	if err := syscall.SetNonblock(fd, true); err != nil {
		return fmt.Errorf("nightcore: cannot wait for the engine: %w", err)
	}
	w.file = os.NewFile(uintptr(fd), "nightcore")
	efd, _, _ := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	w.turns, err = os.NewFile(efd, "nightcore turns").SyscallConn()
	if err != nil {
		return err
	}
	defer func() { _ = w.file.Close() }()
	conn, err := w.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("nightcore: cannot wait for the engine: %w", err)
	}
	err = conn.Read(func(uintptr) bool {
		w.pulling.Lock()
		defer w.pulling.Unlock()
		w.polledAt = time.Now()
		w.pace.check(w.polledAt)
		for w.ended == nil {
			var e event
			status := C.nc_go_next(w.handle, &e)
			if status == C.NC_AGAIN {
				break
			}
			if status != C.NC_OK {
				w.ended = cannotRead(status)
			} else {
				w.take(&e)
			}
		}
		return w.ended != nil
	})
	w.pulling.Lock()
	defer w.pulling.Unlock()
	switch {
	case w.ended == nil:
		// No goroutine may poll for events any more.
		w.ended = fmt.Errorf("nightcore: cannot wait for the engine: %w", err)
		return w.ended
	case errors.Is(w.ended, errEnded):
		return nil
	default:
		return w.ended
	}
}

// mostStay is the longest time that goroutines keep their thread before the runtime's poller has
// its turn, so that events of sockets are noticed.
const mostStay = time.Millisecond

// stay handles the events that have come and waits for more with its thread, as long as the process
// is narrow. It returns when c has its answer, or when the goroutine should wait in the regular
// way. If c is nil, it also returns when there is a request to run, and returns that request.
func (w *worker) stay(c *call) *running {
	if !w.pulling.TryLock() {
		return nil
	}
	defer w.pulling.Unlock()
	for areReady, isLast := false, false; w.ended == nil; {
		if areReady || runtime.GOMAXPROCS(0) == 1 {
			// Other goroutines may have no other P to run on.
			runtime.Gosched()
		}
		if c != nil && len(c.answer) > 0 {
			return nil
		}
		request, count := w.drain(c == nil)
		if w.ended != nil {
			// This wakes the pump, which would otherwise wait for events that never come.
			_ = w.file.SetReadDeadline(time.Unix(0, 1))
		}
		if request != nil {
			return request
		}
		if areReady = count > 0; areReady {
			continue
		}
		if isLast {
			return nil
		}
		now := time.Now()
		w.pace.check(now)
		switch {
		case !w.pace.isNarrow.Load() || w.goOn.Load() > 0:
			return nil
		case now.Sub(w.polledAt) > mostStay:
			w.polledAt = now
			w.turn()
		case !w.park():
			// A message may have rung the bell for this wait just when a signal interrupted it. The
			// pump was not told, so the events are polled once more.
			isLast = true
		}
	}
	return nil
}

// turn lets the runtime's poller see which descriptors are ready. Its wait is for something that
// has happened already, so the process does not become idle. If it did, the runtime would wake its
// monitor thread, sysmon, at the next call into C.
func (w *worker) turn() {
	written := false
	_ = w.turns.Read(func(fd uintptr) bool {
		if written {
			return true
		}
		written = true
		one := uint64(1)
		_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&one)), 8)
		return false
	})
}

// park waits for a message for at most a millisecond, and reports whether there may be one. The
// runtime does not know of this system call: the goroutine keeps its P, so the process does not
// become idle (see turn). The garbage collector interrupts the call by a signal.
func (w *worker) park() bool {
	var ready [1]syscall.EpollEvent
	count, _, _ := syscall.RawSyscall6(
		syscall.SYS_EPOLL_PWAIT, w.messages, uintptr(unsafe.Pointer(&ready[0])), 1, 1, 0, 0)
	// If the pipe has been closed, the pump finds out why.
	return int(count) == 1 && ready[0].Events&syscall.EPOLLHUP == 0
}

var errEnded = errors.New("the engine has ended this process")

func cannotRead(status C.int32_t) error {
	return &Error{Status: Status(status), Message: "the engine's messages cannot be read"}
}

// drain handles all events that have come. If wants is true, it returns the first request; it
// starts a goroutine for each other request.
func (w *worker) drain(wants bool) (request *running, taken int) {
	for {
		var count C.size_t
		status := C.nc_go_next_many(w.handle, &w.events[0], &count)
		for i := range w.events[:count] {
			e := &w.events[i]
			if wants && request == nil && e.kind == C.NC_EVENT_REQUEST {
				request = w.begin(e)
			} else {
				w.take(e)
			}
		}
		taken += int(count)
		if status != C.NC_OK && status != C.NC_AGAIN {
			w.ended = cannotRead(status)
		}
		if w.ended != nil || int(count) < len(w.events) {
			return request, taken
		}
	}
}

func (w *worker) take(e *event) {
	switch e.kind {
	case C.NC_EVENT_ENDED:
		w.ended = errEnded
	case C.NC_EVENT_REQUEST:
		go w.run(w.begin(e))
	case C.NC_EVENT_ANSWER:
		if c := w.forget(uint64(e.tag)); c != nil {
			// The channel has room for this event.
			c.answer <- *e
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

// begin adds a request to the requests that are running.
func (w *worker) begin(e *event) *running {
	r := &running{worker: w, handle: e.request, id: uint64(e.request_id), event: *e}
	w.mu.Lock()
	w.running[r.id] = r
	w.mu.Unlock()
	w.goOn.Add(1)
	return r
}

// run runs a request, and then further requests that come right after its reply.
func (w *worker) run(r *running) {
	for ; r != nil; r = w.stay(nil) {
		r.run()
	}
}

// wait registers a new call, which then waits for its answer.
func (w *worker) wait(c *call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lastTag++
	c.tag = w.lastTag
	w.waiting[c.tag] = c
	c.running.calls++
	if c.running.calls == 1 && !c.running.over {
		w.goOn.Add(-1)
	}
}

// forget removes a call from the calls that wait, and returns it. It returns nil if the call has
// its answer already.
func (w *worker) forget(tag uint64) *call {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.waiting[tag]
	if c == nil {
		return nil
	}
	delete(w.waiting, tag)
	c.running.calls--
	if c.running.calls == 0 && !c.running.over {
		w.goOn.Add(1)
	}
	return c
}

// borrowed returns bytes that belong to the library.
func borrowed(bytes C.nc_bytes) []byte {
	return unsafe.Slice((*byte)(bytes.data), int(bytes.len))
}

// copied returns a copy of the library's bytes, without spare capacity.
func copied(bytes C.nc_bytes) []byte {
	own := make([]byte, int(bytes.len))
	copy(own, borrowed(bytes))
	return own
}

// toC returns metadata in the form that shim.h takes.
func (m Metadata) toC() C.nc_go_metadata {
	if m.block == "" {
		return C.nc_go_metadata{}
	}
	block := (*C.uint8_t)(unsafe.StringData(m.block))
	return C.nc_go_metadata{block: block, len: C.size_t(len(m.block)), count: C.size_t(m.Len())}
}

// takeAnswer converts an answer to Go values, and frees it.
func takeAnswer(e *event) *Answer {
	answer := &Answer{Body: copied(e.body), HTTPStatus: int(e.http_status)}
	if e.metadata_bytes == 0 {
		C.nc_answer_free(e.answer)
		return answer
	}
	block := make([]byte, int(e.metadata_bytes))
	C.nc_go_answer_metadata(e.answer, (*C.uint8_t)(&block[0]))
	answer.Metadata.block = unsafe.String(&block[0], len(block))
	return answer
}

// takeError converts an error to Go values, and frees it.
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

// statusName returns the library's name of a status.
func statusName(status Status) string { return C.GoString(C.nc_status_name(C.int32_t(status))) }
