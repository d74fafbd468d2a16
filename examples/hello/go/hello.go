// Foo calls Bar, as in the other languages' hello.
package main

import (
	"context"
	"log"

	nightcore "github.com/nightcore/nightcore/languages/go"
)

func foo(ctx context.Context, req *nightcore.Request) ([]byte, error) {
	return nightcore.Call(ctx, "Bar", append(req.Body, ", World"...))
}

func bar(_ context.Context, req *nightcore.Request) ([]byte, error) {
	return append([]byte("From function Bar: "), req.Body...), nil
}

func main() {
	nightcore.Handle("Foo", foo)
	nightcore.Handle("Bar", bar)
	if err := nightcore.Serve(); err != nil {
		log.Fatal(err)
	}
}
