package nightcore

import "strconv"

// A Status says how a call failed. It is an error, too, so that a program asks for a status with
// errors.Is(err, nightcore.ErrNotFound).
type Status int32

// String is its name, such as "NOT_FOUND".
func (s Status) String() string {
	if name, ok := statusNames[s]; ok {
		return name
	}
	return "status " + strconv.Itoa(int(s))
}

// Error is its name.
func (s Status) Error() string { return s.String() }
