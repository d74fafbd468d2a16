// Package nightcoretest calls handlers of Nightcore functions without an engine, for their tests.
//
//	answer, err := nightcoretest.Run(t.Context(), foo, &nightcore.Request{Body: []byte("Hello")},
//		func(ctx context.Context, call nightcoretest.Call) (*nightcore.Answer, error) {
//			return &nightcore.Answer{Body: []byte("From function " + call.Function)}, nil
//		})
package nightcoretest

import (
	"context"
	"fmt"

	nightcore "github.com/nightcore/nightcore/languages/go"
)

// A Call is one that the handler makes of another function.
type Call struct {
	Function string
	Body     []byte
	Metadata nightcore.Metadata
}

// Calls answers the handler's calls, perhaps several at once. ctx is that of the call. An error is the callee's; one
// that is no *nightcore.Error is told as ErrFunctionFailed with its text.
type Calls func(ctx context.Context, call Call) (*nightcore.Answer, error)

// Run runs a handler with a request whose calls are answered by calls; nil stands for functions that are not there.
// It returns what the handler's caller would get, or what the handler returned as its error. ctx is the request's: give
// it a deadline, or cancel it, to see what the handler does. A panic is the test's.
func Run(ctx context.Context, handler nightcore.Handler, req *nightcore.Request, calls Calls) (*nightcore.Answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, err := handler(nightcore.WithCaller(nightcore.WithRequest(ctx, req), caller{calls}), req)
	if err != nil {
		return nil, err
	}
	return req.Reply().Answer(body), nil
}

type caller struct{ calls Calls }

func (c caller) Call(ctx context.Context, name string, body []byte, options nightcore.CallOptions) (*nightcore.Answer, error) {
	if c.calls == nil {
		message := fmt.Sprintf("there is no function %q", name)
		return nil, &nightcore.Error{Status: nightcore.ErrNotFound, Function: name, Message: message}
	}
	answer, err := c.calls(ctx, Call{Function: name, Body: body, Metadata: options.Metadata})
	switch err := err.(type) {
	case nil:
		if answer.Status == 0 {
			answer.Status = 200
		}
		return answer, nil
	case *nightcore.Error:
		return nil, err
	default:
		return nil, &nightcore.Error{Status: nightcore.ErrFunctionFailed, Function: name, Message: err.Error()}
	}
}
