// A server with net/http that answers a POST with its body.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	address := "127.0.0.1:" + os.Getenv("PORT")
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = w.Write(body)
	})
	log.Fatal(http.ListenAndServe(address, echo))
}
