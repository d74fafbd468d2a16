// Package nightcoretest runs handlers of Nightcore functions without an engine, for tests of
// handlers.
//
//	answer, err := nightcoretest.Run(t.Context(), foo, &nightcore.Request{Body: []byte("Hello")},
//		func(ctx context.Context, call nightcoretest.Call) (*nightcore.Answer, error) {
//			return &nightcore.Answer{Body: []byte("From function " + call.Function)}, nil
//		})
package nightcoretest

import (
	"context"
	"errors"
	"fmt"

	nightcore "github.com/nightcore/nightcore/languages/go"
)

// A Call is a call that the handler under test makes.
type Call struct {
	Function string
	Body     []byte
	Metadata nightcore.Metadata
}

// Calls is the test double of the functions that the handler calls. It may run for several calls at
// the same time. ctx is the context of the call. If the double returns an error, the call fails
// with it. If that error is not an [*nightcore.Error], the call fails with ErrFunctionFailed and
// the text of the error. An HTTP status of 0 stands for 200.
type Calls func(ctx context.Context, call Call) (*nightcore.Answer, error)

// Run runs a handler with a request. calls handles the calls that the handler makes. If calls is
// nil, each of them fails with ErrNotFound.
//
// It returns the answer that the handler's caller would get; an [*nightcore.HTTPError] of the
// handler is an answer. Any other error of the handler is returned as it is. ctx is the context of
// the request: give it a deadline, or cancel it, to test how the handler reacts. A panic of the
// handler is not caught.
func Run[R nightcore.Result](
	ctx context.Context, handler nightcore.Handler[R], req *nightcore.Request, calls Calls,
) (*nightcore.Answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return handler.Answer(nightcore.WithCaller(nightcore.WithRequest(ctx, req), caller{calls}), req)
}

type caller struct{ calls Calls }

func (c caller) Call(
	ctx context.Context, name string, body []byte, options nightcore.CallOptions,
) (*nightcore.Answer, error) {
	failed := func(status nightcore.Status, message string) (*nightcore.Answer, error) {
		return nil, &nightcore.Error{Status: status, Function: name, Message: message}
	}
	if c.calls == nil {
		return failed(nightcore.ErrNotFound, fmt.Sprintf("there is no function %q", name))
	}
	answer, err := c.calls(ctx, Call{Function: name, Body: body, Metadata: options.Metadata})
	var own *nightcore.Error
	switch {
	case err != nil && errors.As(err, &own):
		return nil, own
	case err != nil:
		return failed(nightcore.ErrFunctionFailed, err.Error())
	case answer == nil:
		answer = &nightcore.Answer{}
	}
	// The answer is copied, because a double may give the same answer to several calls.
	given := *answer
	if given.HTTPStatus == 0 {
		given.HTTPStatus = 200
	}
	return &given, nil
}
