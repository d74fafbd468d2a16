// The hello functions in Go, under names of their own so that one engine can run them beside those
// of other languages. FooGo calls the function whose name follows its own in the path:
// /function/FooGo/BarRust. Without such a name it calls BarGo.
package main

import (
	"context"
	"log"
	"strings"

	nightcore "github.com/nightcore/nightcore/languages/go"
)

func foo(ctx context.Context, req *nightcore.Request) ([]byte, error) {
	callee := strings.TrimPrefix(req.Metadata.Get(":path"), "/")
	if callee == "" {
		callee = "BarGo"
	}
	return nightcore.Call(ctx, callee, append(req.Body, ", World"...))
}

func bar(_ context.Context, req *nightcore.Request) ([]byte, error) {
	return append([]byte("From function Bar: "), req.Body...), nil
}

func main() {
	nightcore.Handle("FooGo", foo)
	nightcore.Handle("BarGo", bar)
	if err := nightcore.Serve(); err != nil {
		log.Fatal(err)
	}
}
