// The conformance worker in Go. SPEC.md describes each case.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	nightcore "github.com/nightcore/nightcore/languages/go"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: worker NAME")
		os.Exit(2)
	}
	if strings.HasPrefix(os.Args[1], "App") {
		nightcore.HandleHTTP(os.Args[1], http.HandlerFunc(app))
	} else {
		nightcore.Handle(os.Args[1], reply)
	}
	if err := nightcore.Serve(); err != nil {
		log.Fatal(err)
	}
}

func later(ctx context.Context, req *nightcore.Request) {
	if ms := req.Metadata.Get("timeout-ms"); ms != "" {
		timeout, _ := time.ParseDuration(ms + "ms")
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	ended, err := nightcore.Call(ctx, req.Metadata.Get("target"), req.Body, to(req.Metadata.Get("to")))
	if failed := (*nightcore.Error)(nil); errors.As(err, &failed) {
		ended = []byte(failed.Status.String())
	}
	fmt.Printf("later %s: %s\n", req.Body, ended)
}

// reply handles the cases that send more than a body.
func reply(ctx context.Context, req *nightcore.Request) (*nightcore.Reply, error) {
	switch req.Metadata.Get("case") {
	case "metadata":
		return metadata(req), nil
	case "relay_metadata":
		return relayMetadata(ctx, req)
	case "status":
		status, err := number(req)
		return &nightcore.Reply{Body: req.Body, HTTPStatus: status}, err
	}
	body, err := handle(ctx, req)
	return &nightcore.Reply{Body: body}, err
}

func handle(ctx context.Context, req *nightcore.Request) ([]byte, error) {
	switch name := req.Metadata.Get("case"); name {
	case "echo":
		return req.Body, nil
	case "upper":
		return bytes.ToUpper(req.Body), nil
	case "binary":
		for i := range req.Body {
			req.Body[i] = ^req.Body[i]
		}
		return req.Body, nil
	case "big":
		return big(req)
	case "count":
		return strconv.AppendInt(nil, int64(len(req.Body)), 10), nil
	case "fail":
		return nil, nightcore.Errorf("%s", req.Body)
	case "error":
		return nil, errors.New(string(req.Body))
	case "throw":
		panic(string(req.Body))
	case "sleep":
		ms, err := number(req)
		time.Sleep(time.Duration(ms) * time.Millisecond)
		return []byte("slept"), err
	case "call":
		return nightcore.Call(ctx, req.Metadata.Get("target"), req.Body, to(req.Metadata.Get("to")))
	case "catch":
		return catch(ctx, req)
	case "mistake":
		return mistake(ctx, req)
	case "fan_out":
		return fanOut(ctx, req)
	case "chain":
		return chain(ctx, req)
	case "http_error":
		status, err := number(req)
		if err != nil {
			return nil, err
		}
		return nil, nightcore.HTTPErrorf(status, "as told: %s", "größer")
	case "json":
		var value any
		if err := req.JSON(&value); err != nil {
			return nil, err
		}
		return []byte("json"), nil
	case "check_status":
		answer, err := nightcore.CallAnswer(ctx, req.Metadata.Get("target"), req.Body, to("http_error"))
		if err == nil {
			err = answer.ErrorForStatus()
		}
		if err != nil {
			return nil, err
		}
		return answer.Body, nil
	case "relay_status":
		answer, err := nightcore.CallAnswer(ctx, req.Metadata.Get("target"), req.Body, to("status"))
		if err != nil {
			return nil, err
		}
		return []byte(strconv.Itoa(answer.HTTPStatus)), nil
	case "origin":
		if req.Caller == "" {
			return []byte("external"), nil
		}
		return []byte("internal " + req.Caller), nil
	case "log":
		req.Logf("%s", req.Body)
		return []byte("logged"), nil
	case "id":
		return []byte(req.ID), nil
	case "function":
		return []byte(req.Function), nil
	case "deadline":
		deadline, ok := ctx.Deadline()
		if !ok {
			return nil, errors.New("there is no deadline")
		}
		return strconv.AppendInt(nil, time.Until(deadline).Milliseconds(), 10), nil
	case "path":
		var text []byte
		for _, name := range []string{":method", ":path", ":query"} {
			text = append(append(text, req.Metadata.Get(name)...), '\n')
		}
		return text, nil
	case "crash":
		os.Exit(3)
	case "wait_for_cancel":
		fmt.Printf("waiting %s\n", req.Body)
		<-ctx.Done()
		at := monotonic()
		reason := "CANCELLED"
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			reason = "DEADLINE_EXCEEDED"
		}
		fmt.Printf("cancelled %s: %s\nnoticed %s at %d\n", req.Body, reason, req.Body, at)
	case "later":
		go later(nightcore.Detach(ctx), req)
		return []byte("begun"), nil
	case "print":
		fmt.Printf("%s\n", req.Body)
		return []byte("printed"), nil
	case "twice":
		fmt.Println("twice: none")
		return req.Body, nil
	default:
		return nil, nightcore.Errorf("no case %q", name)
	}
	return nil, nil
}

// app answers with the values that an HTTP handler receives for a request.
func app(w http.ResponseWriter, r *http.Request) {
	prefix, err := url.PathUnescape(nightcore.FromContext(r.Context()).Metadata.Get(":prefix"))
	if err != nil {
		panic(err)
	}
	parts := []string{
		r.Method, prefix, r.URL.Path, r.URL.RawQuery, r.Header.Get("X-Value"),
		strconv.FormatInt(r.ContentLength, 10),
	}
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, strings.Join(parts, "\n"))
}

func number(req *nightcore.Request) (int, error) { return strconv.Atoi(string(req.Body)) }

// to returns an option that asks the callee for a case.
func to(name string, more ...string) nightcore.CallOption {
	return nightcore.WithMetadata(nightcore.NewMetadata(append([]string{"case", name}, more...)...))
}

func big(req *nightcore.Request) ([]byte, error) {
	size, err := number(req)
	if err != nil {
		return nil, err
	}
	body := make([]byte, size)
	for i := range body {
		body[i] = byte(i % 251)
	}
	return body, nil
}

func catch(ctx context.Context, req *nightcore.Request) ([]byte, error) {
	if ms := req.Metadata.Get("timeout-ms"); ms != "" {
		timeout, err := strconv.Atoi(ms)
		if err != nil {
			return nil, err
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(timeout)*time.Millisecond)
		defer cancel()
	}
	body, err := nightcore.Call(ctx, req.Metadata.Get("target"), req.Body, to(req.Metadata.Get("to")))
	var e *nightcore.Error
	if !errors.As(err, &e) {
		return append([]byte("OK\n"), body...), err
	}
	text := fmt.Sprintf("%s\n%s\n%s", e.Status, e.Function, e.Message)
	for _, cause := range e.Causes {
		text += fmt.Sprintf("\n%s %s", cause.Function, cause.Status)
	}
	return []byte(text), nil
}

// kept is the context of the previous `mistake` case.
var kept context.Context

func mistake(ctx context.Context, req *nightcore.Request) ([]byte, error) {
	defer func(ctx context.Context) { kept = ctx }(ctx)
	count := func(name string) int {
		n, _ := strconv.Atoi(req.Metadata.Get(name))
		return n
	}
	if ms := count("timeout-ms"); ms != 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(ms)*time.Millisecond)
		defer cancel()
	}
	var more []string
	if name, ok := req.Metadata.Lookup("name"); ok {
		more = []string{name, strings.Repeat("v", count("value"))}
	}
	switch req.Metadata.Get("by") {
	case "process":
		ctx = nightcore.Detach(ctx)
	case "ended":
		ctx = kept
	}
	target := req.Metadata.Get("target")
	_, err := nightcore.Call(ctx, target, make([]byte, count("size")), to("echo", more...))
	var e *nightcore.Error
	if errors.As(err, &e) {
		return []byte(e.Status.String()), nil
	}
	return []byte("OK"), err
}

func fanOut(ctx context.Context, req *nightcore.Request) ([]byte, error) {
	count, err := number(req)
	if err != nil {
		return nil, err
	}
	answers, errs := make([][]byte, count), make([]error, count)
	var calls sync.WaitGroup
	for i := range count {
		calls.Add(1)
		go func() {
			defer calls.Done()
			body := strconv.AppendInt(nil, int64(i), 10)
			target, next := req.Metadata.Get("target"), req.Metadata.Get("to")
			answers[i], errs[i] = nightcore.Call(ctx, target, body, to(next))
		}()
	}
	calls.Wait()
	var all []byte
	for i := range count {
		if errs[i] != nil {
			return nil, errs[i]
		}
		all = append(append(all, answers[i]...), ';')
	}
	return all, nil
}

func chain(ctx context.Context, req *nightcore.Request) ([]byte, error) {
	route := req.Metadata.Get("route")
	if route == "" {
		return req.Body, nil
	}
	next, rest, _ := strings.Cut(route, ",")
	following, last := "chain", req.Metadata.Get("to")
	if rest == "" && last != "" {
		following = last
	}
	body := fmt.Appendf(req.Body, ">%s", req.Function)
	return nightcore.Call(ctx, next, body, to(following, "route", rest, "to", last))
}

// monotonic returns the time of the system's monotonic clock, in ns.
func monotonic() int64 {
	const clockMonotonic = 1
	var now syscall.Timespec
	_, _, errno := syscall.RawSyscall(
		syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&now)), 0)
	if errno != 0 {
		panic(errno)
	}
	return now.Nano()
}

// own returns the pairs whose name begins with x-, as alternating names and values.
func own(all nightcore.Metadata) (pairs []string) {
	for name, value := range all.All() {
		if strings.HasPrefix(name, "x-") {
			pairs = append(pairs, name, value)
		}
	}
	return pairs
}

func metadata(req *nightcore.Request) *nightcore.Reply {
	var text []byte
	pairs := own(req.Metadata)
	for i := 0; i < len(pairs); i += 2 {
		text = fmt.Appendf(text, "%s=%s\n", pairs[i], pairs[i+1])
	}
	return &nightcore.Reply{Body: text, Metadata: nightcore.NewMetadata(pairs...)}
}

func relayMetadata(ctx context.Context, req *nightcore.Request) (*nightcore.Reply, error) {
	target := req.Metadata.Get("target")
	answer, err := nightcore.CallAnswer(ctx, target, nil, to("metadata", own(req.Metadata)...))
	if err != nil {
		return nil, err
	}
	own := nightcore.NewMetadata(own(answer.Metadata)...)
	return &nightcore.Reply{Body: answer.Body, Metadata: own}, nil
}
