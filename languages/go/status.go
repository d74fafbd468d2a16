package nightcore

import "strconv"

// A Status says how a call failed. It is an error, too, so that errors.Is(err, nightcore.ErrNotFound) asks for one.
type Status int32

// The ways a call can end but with an answer.
const (
	// ErrNotFound: there is no such function.
	ErrNotFound Status = 1
	// ErrPayloadTooLarge: a body is over the configured limit, or metadata over 32 KiB.
	ErrPayloadTooLarge Status = 2
	// ErrFunctionFailed: its handler failed, panicked, or let the error of a call of its own pass.
	ErrFunctionFailed Status = 3
	// ErrContainerDied: its process died under the call.
	ErrContainerDied Status = 4
	// ErrOverloaded: a queue or a budget is full.
	ErrOverloaded Status = 5
	// ErrUnavailable: no process of it can be had now, or the engine has gone.
	ErrUnavailable Status = 6
	// ErrDeadlineExceeded: the time was over. Such an error is context.DeadlineExceeded, too.
	ErrDeadlineExceeded Status = 7
	// ErrCancelled: nobody wants the answer any more. Such an error is context.Canceled, too.
	ErrCancelled Status = 8
	// ErrDepthExceeded: calls are nested too deep.
	ErrDepthExceeded Status = 9
)

// What the library itself says no with.
const (
	// ErrInvalidArgument: an argument cannot be used.
	ErrInvalidArgument Status = 100
	// ErrInvalidState: the request has ended, or the process serves already.
	ErrInvalidState Status = 104
	// ErrForked: the process is a fork of a worker.
	ErrForked Status = 102
	// ErrInternal: a defect of the library.
	ErrInternal Status = 108
	// ErrNotStarted: the program was not started by Nightcore.
	ErrNotStarted Status = 105
	// ErrRefused: the engine refused this program.
	ErrRefused Status = 106
)

var statusNames = map[Status]string{
	ErrNotFound:         "NOT_FOUND",
	ErrPayloadTooLarge:  "PAYLOAD_TOO_LARGE",
	ErrFunctionFailed:   "FUNCTION_FAILED",
	ErrContainerDied:    "CONTAINER_DIED",
	ErrOverloaded:       "OVERLOADED",
	ErrUnavailable:      "UNAVAILABLE",
	ErrDeadlineExceeded: "DEADLINE_EXCEEDED",
	ErrCancelled:        "CANCELLED",
	ErrDepthExceeded:    "DEPTH_EXCEEDED",
	ErrInvalidArgument:  "INVALID_ARGUMENT",
	ErrInvalidState:     "INVALID_STATE",
	ErrForked:           "FORKED",
	ErrInternal:         "INTERNAL",
	ErrNotStarted:       "NOT_STARTED",
	ErrRefused:          "REFUSED",
}

// String is its name, such as "NOT_FOUND".
func (s Status) String() string {
	if name, ok := statusNames[s]; ok {
		return name
	}
	return "status " + strconv.Itoa(int(s))
}

// Error is its name.
func (s Status) Error() string { return s.String() }
