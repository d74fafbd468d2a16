package nightcore

import "context"

// A CallOption says more about a call.
type CallOption func(*CallOptions)

// CallOptions are what the options of a call have said.
type CallOptions struct {
	// Metadata go to the function that is called.
	Metadata Metadata
}

// WithMetadata gives metadata to the function that is called.
func WithMetadata(metadata Metadata) CallOption {
	return func(options *CallOptions) { options.Metadata = metadata }
}

// Call calls a function and waits for its answer, whose body it returns. ctx is the handler's, or one made from it; any
// number of goroutines may call at once, up to 1024 in a process. The call ends by ctx's deadline, and when ctx is
// cancelled. An error is an [*Error]. body may be changed when Call has returned.
func Call(ctx context.Context, name string, body []byte, options ...CallOption) ([]byte, error) {
	answer, err := CallAnswer(ctx, name, body, options...)
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// CallAnswer is as [Call], and returns the whole answer.
func CallAnswer(ctx context.Context, name string, body []byte, options ...CallOption) (*Answer, error) {
	caller, ok := ctx.Value(callerKey{}).(Caller)
	if !ok {
		message := "a call needs the context that the handler was given, or one made from it; outside of a handler, Detach"
		return nil, &Error{Status: ErrInvalidState, Message: message}
	}
	var all CallOptions
	for _, option := range options {
		option(&all)
	}
	return caller.Call(ctx, name, body, all)
}

// A Caller makes calls: that of a running request makes them by the engine, that of a test as the test likes.
type Caller interface {
	Call(ctx context.Context, name string, body []byte, options CallOptions) (*Answer, error)
}

// Detach makes a context whose calls belong to no request, for what goes on after the handler has returned, or has
// nothing to do with one: ctx may be a handler's or any other. The new context is not cancelled when ctx is, and has no
// deadline of its own; its calls end by the function's own timeout at the latest. They can be made once this process
// serves, until it ends.
func Detach(ctx context.Context) context.Context {
	return WithCaller(context.WithoutCancel(ctx), processCaller{})
}

type callerKey struct{}

// WithCaller makes a context whose calls are made by caller.
func WithCaller(ctx context.Context, caller Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

type requestKey struct{}

// WithRequest makes a context that belongs to req, as that of its handler does.
func WithRequest(ctx context.Context, req *Request) context.Context {
	return context.WithValue(ctx, requestKey{}, req)
}

// FromContext is the request that a handler's context belongs to; nil if it belongs to none.
func FromContext(ctx context.Context) *Request {
	req, _ := ctx.Value(requestKey{}).(*Request)
	return req
}
