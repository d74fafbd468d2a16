// A service of the app over gRPC-Go; see ../README.md.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const method = "/bench.App/Call"

// service calls the services that it needs, one after the other.
type service struct {
	next []*grpc.ClientConn
}

func (s *service) call(
	ctx context.Context, body *wrapperspb.BytesValue,
) (*wrapperspb.BytesValue, error) {
	for _, conn := range s.next {
		answer := new(wrapperspb.BytesValue)
		if err := conn.Invoke(ctx, method, body, answer); err != nil {
			return nil, err
		}
		if len(answer.Value) != len(body.Value) {
			return nil, fmt.Errorf("%s did not return the body that it was sent", conn.Target())
		}
	}
	return body, nil
}

// handle does the same as the code that protoc-gen-go-grpc would generate for the method.
func handle(
	server any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor,
) (any, error) {
	body := new(wrapperspb.BytesValue)
	if err := decode(body); err != nil {
		return nil, err
	}
	return server.(*service).call(ctx, body)
}

var description = grpc.ServiceDesc{
	ServiceName: "bench.App",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Call", Handler: handle}},
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := s.call(r.Context(), wrapperspb.Bytes(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(answer.Value)
}

func main() {
	kind, addresses := os.Args[1], os.Args[2:]
	own := new(service)
	for _, address := range addresses {
		conn, err := grpc.NewClient(
			"passthrough:///"+address,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
		)
		if err != nil {
			log.Fatal(err)
		}
		own.next = append(own.next, conn)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	if kind == "http" {
		log.Fatal(http.Serve(listener, own))
	}
	server := grpc.NewServer()
	server.RegisterService(&description, own)
	log.Fatal(server.Serve(listener))
}
