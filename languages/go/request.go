package nightcore

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// A Request is a request to a handler. The handler owns it, and all of it stays valid after the
// handler has returned.
type Request struct {
	// Body belongs to the handler. It has no spare capacity, so that append copies it.
	Body []byte
	// Function is the name of the function that was called.
	Function string
	// Caller is the function that made the call; empty if the call came in by the gateway.
	Caller string
	// ID is the call id: 16 hexadecimal digits. A call from outside and all calls below it share
	// one id; the client gets it in the header X-Nightcore-Call.
	ID string
	// Metadata are the metadata of the call. A request over HTTP has ":method", ":prefix", ":path",
	// ":query" and its headers.
	Metadata Metadata

	reply *Reply
}

// JSON decodes the body into v. If a client sent a body that v cannot take, the error is an
// [*HTTPError] with the HTTP status 400, which a handler may return as it is. If a function sent
// the body, returning the error fails the call.
func (r *Request) JSON(v any) error {
	err := decode("body of the request", r.Body, v)
	var unfit *json.InvalidUnmarshalError
	if err == nil || r.Caller != "" || errors.As(err, &unfit) {
		return err
	}
	return HTTPErrorf(http.StatusBadRequest, "%w", err)
}

// Reply returns the HTTP status and the headers that are sent with a body of bytes or text.
//
// Deprecated: return a [*Reply] from the handler, or the result of [JSON].
func (r *Request) Reply() *Reply {
	if r.reply == nil {
		r.reply = &Reply{}
	}
	return r.reply
}

// answer returns the answer with a body that the handler has returned.
func (r *Request) answer(body []byte) (*Answer, error) {
	if r.reply == nil {
		return &Answer{Body: body, HTTPStatus: okStatus}, nil
	}
	return newAnswer(r.reply.HTTPStatus, body, r.reply.Metadata)
}

func decode(what string, body []byte, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("the %s is not the JSON that was expected: %w", what, err)
	}
	return nil
}
