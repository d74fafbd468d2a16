// The soak worker in Go. tests/soak/README.md describes it.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	nightcore "github.com/nightcore/nightcore/languages/go"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: worker RAN NAME")
		os.Exit(2)
	}
	ran, err := os.OpenFile(os.Args[1], os.O_WRONLY, 0)
	if err != nil {
		log.Fatal(err)
	}
	nightcore.Handle(os.Args[2], func(ctx context.Context, req *nightcore.Request) ([]byte, error) {
		route := req.Metadata.Get("route")
		if route == "" {
			return leaf(ctx, req, ran)
		}
		callee, rest, _ := strings.Cut(route, ",")
		metadata := nightcore.NewMetadata("route", rest, "do", req.Metadata.Get("do"))
		body := fmt.Appendf(req.Body, ">%s", req.Function)
		count, err := strconv.Atoi(req.Metadata.Get("fan"))
		if err != nil {
			answer, err := nightcore.Call(ctx, callee, body, nightcore.WithMetadata(metadata))
			return fmt.Appendf(answer, "<%s", req.Function), err
		}
		answers, err := fan(ctx, callee, count, body, metadata)
		return fmt.Appendf(answers, "<%s", req.Function), err
	})
	if err := nightcore.Serve(); err != nil {
		log.Fatal(err)
	}
}

func leaf(ctx context.Context, req *nightcore.Request, ran *os.File) ([]byte, error) {
	id, _, found := bytes.Cut(req.Body, []byte("|"))
	if !found {
		return nil, errors.New("the body has no id")
	}
	// At most PIPE_BUF bytes, so that the write is atomic.
	if _, err := fmt.Fprintf(ran, "%s\n", id); err != nil {
		return nil, err
	}
	what, ms, _ := strings.Cut(req.Metadata.Get("do"), ":")
	switch what {
	case "sleep":
		ms, err := strconv.Atoi(ms)
		if err != nil {
			return nil, err
		}
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	case "exit":
		os.Exit(3)
	case "say":
		fmt.Printf("%s\n", id)
	}
	return fmt.Appendf(req.Body, "!%s", req.Function), nil
}

// fan makes count calls at once.
func fan(
	ctx context.Context, callee string, count int, body []byte, metadata nightcore.Metadata,
) ([]byte, error) {
	answers, errs := make([][]byte, count), make([]error, count)
	var calls sync.WaitGroup
	for i := range count {
		calls.Add(1)
		go func() {
			defer calls.Done()
			numbered := fmt.Appendf(nil, "%d.%s", i, body)
			answers[i], errs[i] = nightcore.Call(ctx, callee, numbered, nightcore.WithMetadata(metadata))
		}()
	}
	calls.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return bytes.Join(answers, nil), nil
}
