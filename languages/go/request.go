package nightcore

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
)

// A Handler is a function's code. Many requests run at once, each in a goroutine of its own.
//
// What it returns is the answer's body; [Request.Reply] adds to it. An error fails the call: that of a call of its own is
// passed on with its causes, that of [Errorf] is told with its message, and any other goes to the function's log alone:
// see [Error]. A panic does the same, with its stack.
//
// The context ends with the request: when the handler has returned, when its deadline passes, or when nobody waits for
// the answer any more.
type Handler func(ctx context.Context, req *Request) ([]byte, error)

// A Request is a call to this function. It is one goroutine's; what it holds stays valid after its end.
type Request struct {
	// Body belongs to the handler; it has no spare capacity, so that appending to it copies.
	Body []byte
	// Function is the name that was called.
	Function string
	// Caller is the function that made the call; empty if it came from outside, by the gateway.
	Caller string
	// ID is that of the call, 16 hexadecimal digits, which all calls below it have as well; its client has it in the header
	// X-Nightcore-Call.
	ID string
	// Metadata came with the call: of a request over HTTP ":method", ":prefix", ":path", ":query" and its headers.
	Metadata Metadata

	reply *Reply
}

// JSON decodes the body into v.
func (r *Request) JSON(v any) error { return decode("body of the request", r.Body, v) }

// Reply is what the answer has beside its body.
func (r *Request) Reply() *Reply {
	if r.reply == nil {
		r.reply = &Reply{}
	}
	return r.reply
}

// answer is what the handler's body makes with what Reply was told.
func (r *Request) answer(body []byte) *Answer {
	if r.reply == nil {
		return &Answer{Body: body, Status: defaultStatus}
	}
	return r.reply.Answer(body)
}

// A Reply is the HTTP status and the headers of an answer.
type Reply struct {
	status int
	pairs  []byte
}

const defaultStatus = 200

// Status sets the HTTP status, 200 to 599.
func (r *Reply) Status(code int) *Reply {
	r.status = code
	return r
}

// Header adds a header.
func (r *Reply) Header(name, value string) *Reply {
	r.pairs = appendPair(r.pairs, name, value)
	return r
}

// Answer is the answer with this body, as a caller sees it.
func (r *Reply) Answer(body []byte) *Answer {
	answer := &Answer{Body: body, Status: defaultStatus, Metadata: Metadata{string(r.pairs)}}
	if r.status != 0 {
		answer.Status = r.status
		answer.Metadata.block = string(appendPair(nil, ":status", strconv.Itoa(r.status))) + answer.Metadata.block
	}
	return answer
}

// An Answer is what a called function answered.
type Answer struct {
	// Body belongs to whoever made the call.
	Body []byte
	// Status is the HTTP status that the function chose, 200 if it chose none. Whatever it is, the call went well.
	Status int
	// Metadata are the answer's headers.
	Metadata Metadata
}

// JSON decodes the body into v.
func (a *Answer) JSON(v any) error { return decode("body of the answer", a.Body, v) }

func decode(what string, body []byte, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("the %s is not the JSON that was expected: %w", what, err)
	}
	return nil
}
