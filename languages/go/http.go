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

// HandleHTTP registers an existing HTTP handler, such as a router, as the function name. It panics
// when [Handle] does.
//
// Requests look the same as with net/http's server. Their path is the one below the function's own.
// The part that leads to the function (/function/NAME, or its route) is the metadata ":prefix" of
// FromContext(r.Context()). The client's address is not known. A malformed path is answered with
// 400. A call by another function is POST / with its body, unless its metadata say otherwise.
// Handlers make calls with r.Context().
//
// The response is collected and sent when the handler returns. Flush only ends the header. There
// are no informational responses and no trailers, and a connection cannot be hijacked.
func HandleHTTP(name string, handler http.Handler) {
	if handler == nil {
		panic(fmt.Sprintf("nightcore.HandleHTTP: the handler of %q is nil", name))
	}
	Handle(name, func(ctx context.Context, req *Request) (*Reply, error) {
		return serveHTTP(ctx, req, handler)
	})
}

// HTTPHandler is the old name of [HandleHTTP].
//
// Deprecated: use [HandleHTTP].
func HTTPHandler(name string, handler http.Handler) { HandleHTTP(name, handler) }

func serveHTTP(ctx context.Context, req *Request, handler http.Handler) (*Reply, error) {
	r, err := httpRequest(ctx, req)
	if err != nil {
		// A malformed path is the client's mistake, as it is for net/http's server.
		return nil, HTTPErrorf(http.StatusBadRequest, "%w\n", err)
	}
	w := &responseWriter{header: make(http.Header), isHead: r.Method == http.MethodHead}
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

// A responseWriter collects a response, by the rules of net/http's server.
type responseWriter struct {
	header  http.Header
	isHead  bool
	status  int
	sent    http.Header
	body    bytes.Buffer
	written int64
}

// sniffBytes is the number of bytes from which the type of a body is detected.
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

// Flush ends the header, which is sent later with the body.
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

// finish returns the reply, built from the response of the handler.
func (w *responseWriter) finish() *Reply {
	w.Flush()
	body := w.body.Bytes()
	if len(body) > 0 && !w.saysType() {
		w.sent.Set("Content-Type", http.DetectContentType(body[:min(len(body), sniffBytes)]))
	}
	if w.isHead {
		if _, ok := w.declared(); !ok && w.written > 0 {
			w.sent.Set("Content-Length", strconv.FormatInt(w.written, 10))
		}
		body = nil
	}
	var pairs []string
	for name, values := range w.sent {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			continue
		}
		for _, value := range values {
			pairs = append(pairs, name, oneLine.Replace(value))
		}
	}
	return &Reply{Body: body, HTTPStatus: w.status, Metadata: NewMetadata(pairs...)}
}

// saysType reports whether the header has a type for the body, or the body is encoded.
func (w *responseWriter) saysType() bool {
	_, typed := w.sent["Content-Type"]
	return typed || w.sent.Get("Content-Encoding") != "" || w.sent.Get("Transfer-Encoding") != ""
}

// oneLine replaces line breaks in a value, which a header cannot hold.
var oneLine = strings.NewReplacer("\n", " ", "\r", " ")
