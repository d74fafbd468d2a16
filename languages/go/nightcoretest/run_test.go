package nightcoretest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	nightcore "github.com/nightcore/nightcore/languages/go"
	"github.com/nightcore/nightcore/languages/go/nightcoretest"
)

func foo(ctx context.Context, req *nightcore.Request) ([]byte, error) {
	req.Reply().Status(201).Header("x-prefix", nightcore.FromContext(ctx).Metadata.Get(":prefix"))
	return nightcore.Call(ctx, "Bar", append(req.Body, ", World"...))
}

func TestAHandlerIsCalled(t *testing.T) {
	req := &nightcore.Request{Body: []byte("Hello"), Metadata: nightcore.NewMetadata(":prefix", "/shop")}
	answer, err := nightcoretest.Run(t.Context(), foo, req, func(_ context.Context, call nightcoretest.Call) (*nightcore.Answer, error) {
		return &nightcore.Answer{Body: []byte(call.Function + ": " + string(call.Body))}, nil
	})
	if err != nil || string(answer.Body) != "Bar: Hello, World" || answer.Status != 201 || answer.Metadata.Get("x-prefix") != "/shop" {
		t.Error(answer, err)
	}
}

func TestErrorsOfCallsAreTheHandlers(t *testing.T) {
	_, err := nightcoretest.Run(t.Context(), foo, &nightcore.Request{}, nil)
	if !errors.Is(err, nightcore.ErrNotFound) {
		t.Error(err)
	}
	_, err = nightcoretest.Run(t.Context(), foo, &nightcore.Request{}, func(context.Context, nightcoretest.Call) (*nightcore.Answer, error) {
		return nil, errors.New("no such user")
	})
	if !errors.Is(err, nightcore.ErrFunctionFailed) {
		t.Error(err)
	}
}

func TestTheDeadlineIsTheContexts(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := nightcoretest.Run(ctx, foo, &nightcore.Request{}, func(ctx context.Context, _ nightcoretest.Call) (*nightcore.Answer, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	if err == nil {
		t.Error("there was no error")
	}
}
