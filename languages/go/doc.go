// Package nightcore runs functions of Nightcore that are written in Go.
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
// A program registers its handlers and serves. Nightcore starts it for one function of its
// configuration. Each request runs in a goroutine, many at the same time, up to workers.max of the
// function; a goroutine that waits for a call holds no thread. [HandleHTTP] registers an existing
// [net/http.Handler].
//
// Deadlines and cancellation are those of the context, in both directions. The context of a handler
// has the deadline of the request, and ends when the caller has left. A call takes the earlier
// deadline of its context and its request, and is cancelled, with all calls below it, when its
// context ends.
//
// The package needs Linux and libnightcore, which cgo finds by pkg-config. The build tag
// nightcore_static puts libnightcore into the program.
package nightcore
