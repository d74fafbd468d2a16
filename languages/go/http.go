package nightcore

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/textproto"
	"net/url"
	"runtime"
	"strconv"
	"strings"
)

// HTTPHandler registers an existing HTTP handler, such as a router, as the function name.
//
// Requests are as net/http's server makes them of the same requests, with the path below the function's own: what leads
// to the function (/function/NAME, or its route) is the metadata ":prefix", which is FromContext(r.Context()).Metadata.
// The client's address is not known. A path that is malformed is answered with 400. A call by another function is POST / with its body, unless its metadata say more.
// Handlers make calls with r.Context().
//
// The answer is collected and sent when the handler returns: Flush does nothing more than to send the header's status on
// its way, informational responses and trailers are left out, and a connection cannot be hijacked.
func HTTPHandler(name string, handler http.Handler) {
	if handler == nil {
		panic(fmt.Sprintf("nightcore.HTTPHandler: the handler of %q is nil", name))
	}
	Handle(name, func(ctx context.Context, req *Request) ([]byte, error) { return serveHTTP(ctx, req, handler) })
}

func serveHTTP(ctx context.Context, req *Request, handler http.Handler) ([]byte, error) {
	r, err := httpRequest(ctx, req)
	if err != nil {
		// The client's mistake, as for net/http's server.
		req.Reply().Status(http.StatusBadRequest).Header("content-type", "text/plain; charset=utf-8")
		return []byte(err.Error() + "\n"), nil
	}
	w := &responseWriter{header: make(http.Header), reply: req.Reply(), isHead: r.Method == http.MethodHead}
	handler.ServeHTTP(w, r)
	return w.finish(), nil
}

func httpRequest(ctx context.Context, req *Request) (*http.Request, error) {
	r := &http.Request{
		Method:        http.MethodPost,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        make(http.Header),
		Body:          http.NoBody,
		ContentLength: int64(len(req.Body)),
	}
	prefix, path, query := "", "/", ""
	for name, value := range req.Metadata.All() {
		switch name {
		case ":method":
			r.Method = value
		case ":prefix":
			prefix = value
		case ":path":
			path = value
		case ":query":
			query = "?" + value
		case "host":
			r.Host = value
		default:
			if !strings.HasPrefix(name, ":") {
				key := textproto.CanonicalMIMEHeaderKey(name)
				r.Header[key] = append(r.Header[key], value)
			}
		}
	}
	target, err := url.ParseRequestURI(path + query)
	if err != nil {
		return nil, fmt.Errorf("the path of the request is malformed: %w", err)
	}
	r.URL, r.RequestURI = target, prefix+path+query
	if len(req.Body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(req.Body))
	}
	return r.WithContext(ctx), nil
}

// A responseWriter collects an answer, by the rules of net/http's server.
type responseWriter struct {
	header  http.Header
	reply   *Reply
	isHead  bool
	status  int
	sent    http.Header
	body    bytes.Buffer
	written int64
}

// sniffBytes is how much of a body tells its type.
const sniffBytes = 512

func (w *responseWriter) Header() http.Header { return w.header }

func (w *responseWriter) WriteHeader(status int) {
	if w.status != 0 {
		_, file, line, _ := runtime.Caller(1)
		log.Printf("nightcore: superfluous response.WriteHeader call from %s:%d", file, line)
		return
	}
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %v", status))
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	w.status = status
	w.sent = w.header.Clone()
}

func (w *responseWriter) Write(data []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if len(data) == 0 {
		return 0, nil
	}
	if !hasBody(w.status) {
		return 0, http.ErrBodyNotAllowed
	}
	w.written += int64(len(data))
	if length, ok := w.declared(); ok && w.written > length {
		return 0, http.ErrContentLength
	}
	if w.isHead && w.body.Len() >= sniffBytes {
		return len(data), nil
	}
	return w.body.Write(data)
}

// Flush sends the header, as far as a collected answer does.
func (w *responseWriter) Flush() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
}

func (w *responseWriter) declared() (int64, bool) {
	length, err := strconv.ParseInt(w.sent.Get("Content-Length"), 10, 64)
	return length, err == nil && length >= 0
}

func hasBody(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// finish tells the reply what the handler said, and returns the body.
func (w *responseWriter) finish() []byte {
	w.Flush()
	body := w.body.Bytes()
	if _, typed := w.sent["Content-Type"]; !typed && len(body) > 0 && w.sent.Get("Content-Encoding") == "" && w.sent.Get("Transfer-Encoding") == "" {
		w.sent.Set("Content-Type", http.DetectContentType(body[:min(len(body), sniffBytes)]))
	}
	if w.isHead {
		if _, ok := w.declared(); !ok && w.written > 0 {
			w.sent.Set("Content-Length", strconv.FormatInt(w.written, 10))
		}
		body = nil
	}
	w.reply.Status(w.status)
	for name, values := range w.sent {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			continue
		}
		for _, value := range values {
			w.reply.Header(name, oneLine.Replace(value))
		}
	}
	return body
}

// oneLine makes of a value what fits a header.
var oneLine = strings.NewReplacer("\n", " ", "\r", " ")
