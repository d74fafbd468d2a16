// A function that adds its name to the body and calls the next function, if there is one. The
// reply is the answer of the next function, or else the longer body.
package main

import (
	"context"
	"log"
	"os"

	nightcore "github.com/nightcore/nightcore/languages/go"
)

func relay(ctx context.Context, req *nightcore.Request) ([]byte, error) {
	body := append(req.Body, " > Go"...)
	if next := os.Getenv("NEXT"); next != "" {
		return nightcore.Call(ctx, next, body)
	}
	return body, nil
}

func main() {
	nightcore.Handle("RelayGo", relay)
	if err := nightcore.Serve(); err != nil {
		log.Fatal(err)
	}
}
