// The measured worker in Go; see ../README.md.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	nightcore "github.com/nightcore/nightcore/languages/go"
)

func echo(_ context.Context, req *nightcore.Request) ([]byte, error) { return req.Body, nil }

func measure(ctx context.Context, req *nightcore.Request) ([]byte, error) {
	var size, count, warmUp int
	var target string
	if _, err := fmt.Sscan(string(req.Body), &size, &count, &warmUp, &target); err != nil {
		return nil, err
	}
	body := bytes.Repeat([]byte("x"), size)
	samples := make([]byte, 0, count*8)
	for i := range warmUp + count {
		start := time.Now()
		answer, err := nightcore.Call(ctx, target, body)
		took := time.Since(start)
		if err != nil {
			return nil, err
		}
		if len(answer) != size {
			return nil, fmt.Errorf("%s did not return the body that it was sent", target)
		}
		if i >= warmUp {
			samples = binary.LittleEndian.AppendUint64(samples, uint64(took.Nanoseconds()))
		}
	}
	return samples, nil
}

func relay(ctx context.Context, req *nightcore.Request) ([]byte, error) {
	next, rest, _ := bytes.Cut(req.Body, []byte(" "))
	_, err := nightcore.Call(ctx, string(next), rest)
	return nil, err
}

// app returns a function of the app, which calls the targets in sequence.
func app(targets []string) nightcore.Handler[[]byte] {
	return func(ctx context.Context, req *nightcore.Request) ([]byte, error) {
		for _, target := range targets {
			answer, err := nightcore.Call(ctx, target, req.Body)
			if err != nil {
				return nil, err
			}
			if len(answer) != len(req.Body) {
				return nil, fmt.Errorf("%s did not return the body that it was sent", target)
			}
		}
		return req.Body, nil
	}
}

func main() {
	name, targets := os.Args[1], os.Args[2:]
	switch {
	case len(targets) > 0:
		nightcore.Handle(name, app(targets))
	case strings.HasPrefix(name, "Caller"):
		nightcore.Handle(name, measure)
	case strings.HasPrefix(name, "Relay"):
		nightcore.Handle(name, relay)
	default:
		nightcore.Handle(name, echo)
	}
	if err := nightcore.Serve(); err != nil {
		log.Fatal(err)
	}
}
