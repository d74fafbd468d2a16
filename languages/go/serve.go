package nightcore

import (
	"context"
	"fmt"
	"sync"
)

// run is a handler whose result is converted to an answer.
type run func(ctx context.Context, req *Request) (*Answer, error)

var registered struct {
	sync.Mutex
	handlers map[string]run
	names    []string
	serving  bool
}

// Handle registers the handler of a function. It panics if handler is nil, if the name has a
// handler already, and while the program serves.
func Handle[R Result](name string, handler Handler[R]) {
	if handler == nil {
		panic(fmt.Sprintf("nightcore.Handle: the handler of %q is nil", name))
	}
	register(name, handler.Answer)
}

func register(name string, handler run) {
	registered.Lock()
	defer registered.Unlock()
	switch {
	case registered.serving:
		panic(fmt.Sprintf("nightcore.Handle: %q comes too late: register handlers before Serve", name))
	case registered.handlers[name] != nil:
		panic(fmt.Sprintf("nightcore.Handle: %q has a handler already", name))
	}
	if registered.handlers == nil {
		registered.handlers = make(map[string]run)
	}
	registered.handlers[name] = handler
	registered.names = append(registered.names, name)
}

// Serve runs the function that Nightcore started this process for, until the engine ends the
// process; then it returns nil. An error says why the process cannot serve: for example, it has no
// handler for its function, or Nightcore did not start it. A process can serve only once.
func Serve() error {
	registered.Lock()
	if registered.serving {
		registered.Unlock()
		message := "this process serves already: one process hosts one function"
		return &Error{Status: ErrInvalidState, Message: message}
	}
	registered.serving = true
	registered.Unlock()
	// Both maps no longer change once the program serves.
	return serve(registered.names, registered.handlers)
}
