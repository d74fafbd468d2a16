package nightcore

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// logKey is empty if the output goes to no log, because the process was started by hand. It is read
// before the program can change its environment.
var logKey = os.Getenv(logKeyVariable)

// Logf writes to standard error. Each line reaches the function's log with the call id.
func (r *Request) Logf(format string, args ...any) {
	writeLines(os.Stderr, r.ID, fmt.Appendf(nil, format, args...))
}

// LogWriter returns a writer for loggers, which writes as Logf does. Each write must be whole
// lines, as those of package log and of slog's handlers are.
//
//	logger := slog.New(slog.NewTextHandler(req.LogWriter(), nil))
func (r *Request) LogWriter() io.Writer { return logWriter{r.ID} }

type logWriter struct{ id string }

func (w logWriter) Write(lines []byte) (int, error) {
	return len(lines), writeLines(os.Stderr, w.id, lines)
}

// writeLines writes all lines in one write, so that lines of other goroutines do not come between.
func writeLines(to *os.File, id string, text []byte) error {
	var before []byte
	if info, err := to.Stat(); id != "" && err == nil {
		// A terminal gets no marks.
		if logKey != "" && info.Mode()&os.ModeCharDevice == 0 {
			before = append(append(before, lineMark), logKey...)
		}
		before = append(append(before, id...), ' ')
	}
	var lines []byte
	for line := range bytes.SplitSeq(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
		lines = append(append(append(lines, before...), line...), '\n')
	}
	_, err := to.Write(lines)
	return err
}
