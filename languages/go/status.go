package nightcore

import "strconv"

// A Status says how a call failed. It is also an error, so that a program can test for a status
// with errors.Is(err, nightcore.ErrNotFound).
type Status int32

// String returns the name, such as "NOT_FOUND".
func (s Status) String() string {
	if name, ok := statusNames[s]; ok {
		return name
	}
	return "status " + strconv.Itoa(int(s))
}

// Error returns the name.
func (s Status) Error() string { return s.String() }
