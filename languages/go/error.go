package nightcore

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// An Error says why a call got no answer.
//
// [errors.Is] compares its status: errors.Is(err, nightcore.ErrOverloaded). A handler that returns
// an Error, wrapped or not, passes it on: its own caller sees that this function failed, with the
// error and its causes as the reason. Statuses that concern the whole tree of calls
// (ErrDeadlineExceeded, ErrCancelled, ErrDepthExceeded) stay as they are.
//
// [Errorf] makes an Error whose message is for callers. The text of any other error is not for
// callers: it goes to the function's log, and callers get the command that finds it there. With
// expose_errors = true callers get the text.
type Error struct {
	// Status says how the call failed.
	Status Status
	// Function is the function that was called; empty if the library itself reports the error.
	Function string
	// Message says what happened, in words for people.
	Message string
	// Causes are the errors of called functions that led to this one, the nearest first.
	Causes []Cause

	wrapped error
}

// Errorf returns an [*Error] with the status ErrFunctionFailed. A handler returns it to fail with a
// message for its callers. Errorf formats and wraps as [fmt.Errorf] does. If %w wraps the error of
// a call, that error is among the causes.
func Errorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	made := &Error{Status: ErrFunctionFailed, Message: err.Error(), wrapped: err}
	var beneath *Error
	if errors.As(err, &beneath) && beneath.Function != "" {
		cause := Cause{Function: beneath.Function, Status: beneath.Status, Message: beneath.Message}
		made.Causes = append([]Cause{cause}, beneath.Causes...)
	}
	return made
}

// Unwrap returns the error that [Errorf] formatted, or nil if another function made e.
func (e *Error) Unwrap() error { return e.wrapped }

// A Cause is the error of a called function that its caller passed on.
type Cause struct {
	Function string
	Status   Status
	Message  string
}

// Error returns the function, the status and the message.
func (e *Error) Error() string {
	text := e.Status.String() + ": " + e.Message
	if e.Function == "" {
		return text
	}
	return e.Function + ": " + text
}

// Is reports whether target is the error's status, or the error of package context that stands for
// the same status.
func (e *Error) Is(target error) bool {
	switch target {
	case context.DeadlineExceeded:
		return e.Status == ErrDeadlineExceeded
	case context.Canceled:
		return e.Status == ErrCancelled
	}
	status, ok := target.(Status)
	return ok && status == e.Status
}

// errReturned is the cause with which a handler's context ends when the handler has returned.
var errReturned = errors.New("the handler has returned")

// ofEnded returns the error of a call whose request has ended.
func ofEnded(function string) *Error {
	message := "the request has ended: make its calls before its handler returns"
	return &Error{Status: ErrInvalidState, Function: function, Message: message}
}

// notAName returns the error of a call to a name that no function can have.
func notAName(name string) *Error {
	message := fmt.Sprintf("%.64q is not a name of a function", name)
	return &Error{Status: ErrNotFound, Message: message}
}

// ofContext returns the error of a call whose context has ended.
func ofContext(ctx context.Context, function string) *Error {
	if context.Cause(ctx) == errReturned {
		return ofEnded(function)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &Error{
			Status:   ErrDeadlineExceeded,
			Function: function,
			Message:  "the deadline of the call's context passed",
		}
	}
	message := "the call's context was cancelled"
	if cause := context.Cause(ctx); cause != nil && cause != context.Canceled {
		message += ": " + cause.Error()
	}
	return &Error{Status: ErrCancelled, Function: function, Message: message}
}

// passedOn finds the [Error] that a handler has returned, also if it is wrapped. If no call can end
// with the error's status, passedOn returns an Error with the status ErrFunctionFailed instead.
func passedOn(err error) (*Error, bool) {
	var e *Error
	if !errors.As(err, &e) {
		return nil, false
	}
	if e.Status < ErrNotFound || e.Status > ErrDepthExceeded {
		return &Error{Status: ErrFunctionFailed, Message: e.Error()}, true
	}
	return e, true
}

// forC returns the text up to its first zero byte.
func forC(text string) string {
	before, _, _ := strings.Cut(text, "\x00")
	return before
}
