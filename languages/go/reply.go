package nightcore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// A Result is a type that a handler may return: a body as bytes or as text, a [Reply] with an HTTP
// status and metadata, or the [Answer] to a call, which is passed on unchanged.
type Result interface {
	[]byte | string | *Reply | *Answer
}

// A Handler is the code of a function. Each request runs in a goroutine of its own, many at the
// same time.
//
// The context ends with the request: when the handler has returned, when its deadline passes, or
// when nobody waits for the reply any more.
//
// An error that the handler returns ends the request:
//   - An [*HTTPError] becomes a reply with its HTTP status and its body. The call succeeds.
//   - The [*Error] of a call is passed on: the caller sees that this function failed, with that
//     error and its causes as the reason.
//   - The message of an error that [Errorf] has made goes to the caller.
//   - The text of any other error goes only to the function's log.
//
// [errors.As] finds the first two in wrapped errors, too. A panic has the effect of any other
// error, and its stack is in the log.
type Handler[R Result] func(ctx context.Context, req *Request) (R, error)

// Answer runs the handler, and returns the answer that its caller gets. An [*HTTPError] of the
// handler becomes an answer. An error that Answer returns fails the call.
func (h Handler[R]) Answer(ctx context.Context, req *Request) (*Answer, error) {
	result, err := h(ctx, req)
	if err != nil {
		var httpError *HTTPError
		if errors.As(err, &httpError) && httpError != nil {
			return httpError.answer()
		}
		return nil, err
	}
	switch result := any(result).(type) {
	case []byte:
		return req.answer(result)
	case string:
		return req.answer([]byte(result))
	case *Reply:
		if result == nil {
			result = &Reply{}
		}
		return newAnswer(result.HTTPStatus, result.Body, result.Metadata)
	case *Answer:
		if result == nil {
			result = &Answer{}
		}
		return newAnswer(result.HTTPStatus, result.Body, result.Metadata)
	default:
		panic("nightcore: a handler returned something that is no Result")
	}
}

// A Reply is the reply of a handler: a body with an HTTP status and metadata.
type Reply struct {
	// Body is sent unchanged.
	Body []byte
	// HTTPStatus is from 200 to 599. 0 stands for 200.
	HTTPStatus int
	// Metadata become the headers of a response over HTTP.
	Metadata Metadata
}

// JSON returns a reply whose body is v as JSON, with the content type application/json. It returns
// an error if v cannot be encoded as JSON. A handler can return both results:
//
//	return nightcore.JSON(http.StatusCreated, user)
func JSON(httpStatus int, v any) (*Reply, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("the reply cannot be encoded as JSON: %w", err)
	}
	return &Reply{Body: body, HTTPStatus: httpStatus, Metadata: jsonMetadata}, nil
}

const (
	contentType = "content-type"
	statusPair  = ":status"
)

var (
	jsonMetadata = NewMetadata(contentType, "application/json")
	textMetadata = NewMetadata(contentType, "text/plain; charset=utf-8")
)

// Status sets the HTTP status.
//
// Deprecated: return a [*Reply] with HTTPStatus from the handler.
func (r *Reply) Status(code int) *Reply {
	r.HTTPStatus = code
	return r
}

// Header adds a header.
//
// Deprecated: return a [*Reply] with Metadata from the handler.
func (r *Reply) Header(name, value string) *Reply {
	r.Metadata = r.Metadata.With(name, value)
	return r
}

// An Answer is the answer to a call.
type Answer struct {
	// Body is the body, which belongs to the caller.
	Body []byte
	// HTTPStatus is the HTTP status that the function chose, or 200 if it chose none. The call has
	// succeeded with any HTTP status; [Answer.ErrorForStatus] returns an error if it is 400 or
	// more.
	HTTPStatus int
	// Metadata are the metadata that the function added to its reply.
	Metadata Metadata

	// function is the name of the function that was called.
	function string
}

// JSON decodes the body into v.
func (a *Answer) JSON(v any) error { return decode("body of the answer", a.Body, v) }

const (
	okStatus    = 200
	errorStatus = 400
	lastStatus  = 599
)

// checkHTTPStatus returns an error unless the status is at least first and at most 599.
func checkHTTPStatus(httpStatus, first int) error {
	if httpStatus >= first && httpStatus <= lastStatus {
		return nil
	}
	message := fmt.Sprintf("an HTTP status is from %d to %d, not %d", first, lastStatus, httpStatus)
	return &Error{Status: ErrInvalidArgument, Message: message}
}

// newAnswer returns an answer whose metadata have its HTTP status. With 0 the metadata decide the
// status.
func newAnswer(httpStatus int, body []byte, metadata Metadata) (*Answer, error) {
	before := metadata.Get(statusPair)
	if httpStatus == 0 && before == "" {
		httpStatus = okStatus
	} else if httpStatus == 0 {
		// A value that is not a number becomes 0, which is not a valid HTTP status.
		httpStatus, _ = strconv.Atoi(before)
	}
	if err := checkHTTPStatus(httpStatus, okStatus); err != nil {
		return nil, err
	}
	digits := strconv.Itoa(httpStatus)
	if before != digits && (before != "" || httpStatus != okStatus) {
		metadata = metadata.withFirst(statusPair, digits)
	}
	return &Answer{Body: body, HTTPStatus: httpStatus, Metadata: metadata}, nil
}
