// Package nightcore writes functions of Nightcore in Go.
//
//	func foo(ctx context.Context, req *nightcore.Request) ([]byte, error) {
//		return nightcore.Call(ctx, "Bar", append(req.Body, ", World"...))
//	}
//
//	func main() {
//		nightcore.Handle("Foo", foo)
//		if err := nightcore.Serve(); err != nil {
//			log.Fatal(err)
//		}
//	}
//
// A program registers its handlers and serves; Nightcore starts it for one function of its configuration. Each request
// runs in a goroutine of its own, any number at once, up to workers.max of the function; a goroutine that waits for a
// call holds no thread. An existing [net/http.Handler] is served by [HTTPHandler].
//
// Deadlines and cancellation are the context's, both ways: a handler's context has the deadline of the request, and ends
// when its caller has left; a call takes the earlier of its context's deadline and the request's, and is cancelled, with
// all that it has called, when its context ends.
//
// The package needs Linux and libnightcore, which cgo finds by pkg-config.
package nightcore
