package nightcore

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// An HTTPError is an error with which a handler ends its request by a reply of this HTTP status.
// The call succeeds, and nothing is written to the log. Make one by [HTTPErrorf] or
// [HTTPErrorJSON], or fill in the fields.
type HTTPError struct {
	// HTTPStatus is from 400 to 599. Any other number fails the call with ErrInvalidArgument.
	HTTPStatus int
	// Body is the body of the reply.
	Body []byte
	// Metadata are the metadata of the reply.
	Metadata Metadata

	wrapped error
}

// HTTPErrorf returns an [*HTTPError] whose body is text, with the content type text/plain. It
// formats and wraps as [fmt.Errorf] does. It returns an [*Error] with ErrInvalidArgument if the
// HTTP status is not from 400 to 599.
func HTTPErrorf(httpStatus int, format string, args ...any) error {
	if err := checkHTTPStatus(httpStatus, errorStatus); err != nil {
		return err
	}
	err := fmt.Errorf(format, args...)
	body := []byte(err.Error())
	return &HTTPError{HTTPStatus: httpStatus, Body: body, Metadata: textMetadata, wrapped: err}
}

// HTTPErrorJSON returns an [*HTTPError] whose body is v as JSON. It returns another error if v
// cannot be encoded as JSON, and an [*Error] with ErrInvalidArgument if the HTTP status is not from
// 400 to 599.
func HTTPErrorJSON(httpStatus int, v any) error {
	if err := checkHTTPStatus(httpStatus, errorStatus); err != nil {
		return err
	}
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("the body of an HTTP error cannot be encoded as JSON: %w", err)
	}
	return &HTTPError{HTTPStatus: httpStatus, Body: body, Metadata: jsonMetadata}
}

// Error returns the HTTP status and the first 200 characters of a text body.
func (e *HTTPError) Error() string { return withQuote("HTTP status", e.HTTPStatus, e.Body) }

// Unwrap returns the error that [HTTPErrorf] formatted, or nil if HTTPErrorf did not make e.
func (e *HTTPError) Unwrap() error { return e.wrapped }

func (e *HTTPError) answer() (*Answer, error) {
	if err := checkHTTPStatus(e.HTTPStatus, errorStatus); err != nil {
		return nil, err
	}
	return newAnswer(e.HTTPStatus, e.Body, e.Metadata)
}

// An AnswerError says that a call was answered with an HTTP status of 400 or more.
//
// [errors.As] finds an [*Error] with the status ErrFunctionFailed in it. A handler that returns an
// AnswerError therefore fails with that [*Error] as the cause, as with the error of a call.
type AnswerError struct {
	// Answer is the whole answer.
	Answer *Answer

	failure Error
}

// ErrorForStatus returns an [*AnswerError] if the HTTP status is 400 or more, else nil.
func (a *Answer) ErrorForStatus() error {
	if a.HTTPStatus < errorStatus {
		return nil
	}
	message := withQuote("answered with HTTP status", a.HTTPStatus, a.Body)
	failure := Error{Status: ErrFunctionFailed, Function: a.function, Message: message}
	return &AnswerError{Answer: a, failure: failure}
}

// Error returns the function, the HTTP status and the first 200 characters of a text body.
func (e *AnswerError) Error() string { return e.failure.Error() }

// Unwrap returns an [*Error] with the status ErrFunctionFailed.
func (e *AnswerError) Unwrap() error { return &e.failure }

// maxQuote is the most characters of a body that an error quotes.
const maxQuote = 200

// withQuote returns a text with the HTTP status and, if the whole body is text, its beginning.
func withQuote(text string, httpStatus int, body []byte) string {
	text = fmt.Sprintf("%s %d", text, httpStatus)
	if len(body) == 0 || !utf8.Valid(body) {
		return text
	}
	rest := body
	for range maxQuote {
		_, size := utf8.DecodeRune(rest)
		rest = rest[size:]
	}
	return text + ": " + string(body[:len(body)-len(rest)])
}
