package nightcore

import (
	"fmt"
	"sync"
)

var registered struct {
	sync.Mutex
	handlers map[string]Handler
	names    []string
	serving  bool
}

// Handle registers the handler of a function. It panics if handler is nil, if the name has one already, and when the
// program serves.
func Handle(name string, handler Handler) {
	registered.Lock()
	defer registered.Unlock()
	switch {
	case handler == nil:
		panic(fmt.Sprintf("nightcore.Handle: the handler of %q is nil", name))
	case registered.serving:
		panic(fmt.Sprintf("nightcore.Handle: %q comes too late: register handlers before Serve", name))
	case registered.handlers[name] != nil:
		panic(fmt.Sprintf("nightcore.Handle: %q has a handler already", name))
	}
	if registered.handlers == nil {
		registered.handlers = make(map[string]Handler)
	}
	registered.handlers[name] = handler
	registered.names = append(registered.names, name)
}

// Serve runs the function that Nightcore started this process for, until the engine ends it: then it returns nil. An
// error says why the process cannot serve, such as that it has no handler for its function, or was not started by
// Nightcore. A process serves once.
func Serve() error {
	registered.Lock()
	if registered.serving {
		registered.Unlock()
		return &Error{Status: ErrInvalidState, Message: "this process serves already: one process hosts one function"}
	}
	registered.serving = true
	registered.Unlock()
	// Neither is changed any more.
	return serve(registered.names, registered.handlers)
}
