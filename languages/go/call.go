package nightcore

import (
	"context"
	"encoding/json"
)

// A CallOption is an option of a call.
type CallOption func(*CallOptions)

// CallOptions are the options of a call together.
type CallOptions struct {
	// Metadata are sent to the called function.
	Metadata Metadata
}

// WithMetadata sends metadata to the called function.
func WithMetadata(metadata Metadata) CallOption {
	return func(options *CallOptions) { options.Metadata = metadata }
}

// Call calls a function, waits for its answer, and returns the body.
//
// ctx is the context of the handler, or one that is derived from it. Any number of goroutines may
// call at the same time, with up to 1024 calls under way in a process. The call ends at the
// deadline of ctx, and when ctx is cancelled. If there is no answer, the error is an [*Error]; an
// answer with any HTTP status is not an error. body may be changed as soon as Call has returned.
func Call(ctx context.Context, name string, body []byte, options ...CallOption) ([]byte, error) {
	answer, err := CallAnswer(ctx, name, body, options...)
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// CallAnswer does what [Call] does, and returns the whole answer.
func CallAnswer(
	ctx context.Context, name string, body []byte, options ...CallOption,
) (*Answer, error) {
	caller, ok := ctx.Value(callerKey{}).(Caller)
	if !ok {
		message := "a call needs the context that the handler was given, or one made from it; " +
			"outside of a handler, Detach"
		return nil, &Error{Status: ErrInvalidState, Message: message}
	}
	var all CallOptions
	for _, option := range options {
		option(&all)
	}
	answer, err := caller.Call(ctx, name, body, all)
	if answer == nil {
		return nil, err
	}
	// The answer is copied, because a caller may give the same answer to several calls.
	own := *answer
	own.function = name
	return &own, err
}

// CallJSON encodes body as JSON, calls a function, and returns the body of the answer, decoded from
// JSON. An answer with an HTTP status of 400 or more is an error: see [Answer.ErrorForStatus].
//
//	user, err := nightcore.CallJSON[User](ctx, "Users", Query{ID: 17})
func CallJSON[T any](ctx context.Context, name string, body any, options ...CallOption) (T, error) {
	var value T
	encoded, err := json.Marshal(body)
	if err != nil {
		message := "the body cannot be encoded as JSON: " + err.Error()
		return value, &Error{Status: ErrInvalidArgument, Message: message, wrapped: err}
	}
	options = append(options[:len(options):len(options)], asJSON)
	answer, err := CallAnswer(ctx, name, encoded, options...)
	if err != nil {
		return value, err
	}
	if err := answer.ErrorForStatus(); err != nil {
		return value, err
	}
	// These are two statements, because Go may read value before or after a call in the same one.
	err = answer.JSON(&value)
	return value, err
}

// asJSON sets the content type of the body to JSON, unless another option has set it.
func asJSON(options *CallOptions) {
	if _, said := options.Metadata.Lookup(contentType); !said {
		options.Metadata = options.Metadata.With(contentType, jsonMetadata.Get(contentType))
	}
}

// A Caller makes calls. The Caller of a running request makes them through the engine; a test has
// its own.
type Caller interface {
	Call(ctx context.Context, name string, body []byte, options CallOptions) (*Answer, error)
}

// Detach returns a context whose calls belong to no request, for work that goes on after the
// handler has returned or does not concern a request. ctx is the context of a handler or any other.
// The new context is not cancelled with ctx, and has no deadline. Its calls end at the called
// function's own timeout at the latest. They are possible once this process serves, until it ends.
func Detach(ctx context.Context) context.Context {
	return WithCaller(context.WithoutCancel(ctx), processCaller{})
}

type callerKey struct{}

// WithCaller returns a context in which caller makes the calls.
func WithCaller(ctx context.Context, caller Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

type requestKey struct{}

// WithRequest returns a context that belongs to req, as the context of its handler does.
func WithRequest(ctx context.Context, req *Request) context.Context {
	return context.WithValue(ctx, requestKey{}, req)
}

// FromContext returns the request that a handler's context belongs to, or nil if it belongs to
// none.
func FromContext(ctx context.Context) *Request {
	req, _ := ctx.Value(requestKey{}).(*Request)
	return req
}
