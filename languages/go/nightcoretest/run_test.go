package nightcoretest_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	nightcore "github.com/nightcore/nightcore/languages/go"
	"github.com/nightcore/nightcore/languages/go/nightcoretest"
)

func foo(ctx context.Context, req *nightcore.Request) (*nightcore.Reply, error) {
	prefix := nightcore.FromContext(ctx).Metadata.Get(":prefix")
	bar, err := nightcore.Call(ctx, "Bar", append(req.Body, ", World"...))
	metadata := nightcore.NewMetadata("x-prefix", prefix)
	return &nightcore.Reply{Body: bar, HTTPStatus: http.StatusCreated, Metadata: metadata}, err
}

func TestAHandlerIsCalled(t *testing.T) {
	metadata := nightcore.NewMetadata(":prefix", "/shop")
	req := &nightcore.Request{Body: []byte("Hello"), Metadata: metadata}
	double := func(_ context.Context, call nightcoretest.Call) (*nightcore.Answer, error) {
		return &nightcore.Answer{Body: []byte(call.Function + ": " + string(call.Body))}, nil
	}
	answer, err := nightcoretest.Run(t.Context(), foo, req, double)
	if err != nil || string(answer.Body) != "Bar: Hello, World" {
		t.Fatal(answer, err)
	}
	if answer.HTTPStatus != http.StatusCreated || answer.Metadata.Get("x-prefix") != "/shop" {
		t.Error(answer.HTTPStatus, answer.Metadata)
	}
}

func TestErrorsOfCallsAreTheHandlers(t *testing.T) {
	_, err := nightcoretest.Run(t.Context(), foo, &nightcore.Request{}, nil)
	if !errors.Is(err, nightcore.ErrNotFound) {
		t.Error(err)
	}
	double := func(context.Context, nightcoretest.Call) (*nightcore.Answer, error) {
		return nil, errors.New("no such user")
	}
	_, err = nightcoretest.Run(t.Context(), foo, &nightcore.Request{}, double)
	if !errors.Is(err, nightcore.ErrFunctionFailed) {
		t.Error(err)
	}
}

func TestTheDeadlineIsTheContexts(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	double := func(ctx context.Context, _ nightcoretest.Call) (*nightcore.Answer, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	_, err := nightcoretest.Run(ctx, foo, &nightcore.Request{}, double)
	if err == nil {
		t.Error("there was no error")
	}
}

func TestAnHTTPErrorOfAHandlerIsAnAnswer(t *testing.T) {
	missing := func(context.Context, *nightcore.Request) (string, error) {
		return "", nightcore.HTTPErrorf(http.StatusNotFound, "no user %d", 17)
	}
	answer, err := nightcoretest.Run(t.Context(), missing, &nightcore.Request{}, nil)
	if err != nil || answer.HTTPStatus != http.StatusNotFound || string(answer.Body) != "no user 17" {
		t.Fatal(answer, err)
	}
	if kind := answer.Metadata.Get("content-type"); kind != "text/plain; charset=utf-8" {
		t.Error(kind)
	}
}

// asks fails if Users answers with an HTTP status of 400 or more.
func asks(ctx context.Context, _ *nightcore.Request) (*nightcore.Answer, error) {
	answer, err := nightcore.CallAnswer(ctx, "Users", nil)
	if err != nil {
		return nil, err
	}
	return answer, answer.ErrorForStatus()
}

func TestAnHTTPStatusOfACallIsAnError(t *testing.T) {
	for _, httpStatus := range []int{200, 399, 400, 503} {
		double := func(context.Context, nightcoretest.Call) (*nightcore.Answer, error) {
			return &nightcore.Answer{HTTPStatus: httpStatus, Body: []byte("told")}, nil
		}
		answer, err := nightcoretest.Run(t.Context(), asks, &nightcore.Request{}, double)
		if httpStatus < 400 {
			if err != nil || answer.HTTPStatus != httpStatus {
				t.Error(httpStatus, answer, err)
			}
			continue
		}
		var own *nightcore.Error
		var status *nightcore.AnswerError
		if !errors.As(err, &own) || !errors.As(err, &status) || status.Answer.HTTPStatus != httpStatus {
			t.Fatal(httpStatus, err)
		}
		if own.Function != "Users" || !errors.Is(err, nightcore.ErrFunctionFailed) {
			t.Error(own)
		}
	}
}

type user struct{ Name string }

func TestJSONGoesBothWays(t *testing.T) {
	greet := func(ctx context.Context, _ *nightcore.Request) (*nightcore.Reply, error) {
		found, err := nightcore.CallJSON[user](ctx, "Users", map[string]int{"id": 17})
		if err != nil {
			return nil, err
		}
		return nightcore.JSON(http.StatusCreated, found)
	}
	answers := &nightcore.Answer{Body: []byte(`{"Name":"Ada"}`)}
	double := func(_ context.Context, call nightcoretest.Call) (*nightcore.Answer, error) {
		if string(call.Body) != `{"id":17}` || call.Metadata.Get("content-type") != "application/json" {
			t.Error(string(call.Body), call.Metadata)
		}
		return answers, nil
	}
	answer, err := nightcoretest.Run(t.Context(), greet, &nightcore.Request{}, double)
	var greeted user
	if err != nil || answer.JSON(&greeted) != nil || greeted.Name != "Ada" {
		t.Fatal(answer, err)
	}
	kind := answer.Metadata.Get("content-type")
	if answer.HTTPStatus != 201 || kind != "application/json" {
		t.Error(answer.HTTPStatus, kind)
	}
	answers = &nightcore.Answer{HTTPStatus: 404, Body: []byte("no such user")}
	_, err = nightcoretest.Run(t.Context(), greet, &nightcore.Request{}, double)
	const expected = "Users: FUNCTION_FAILED: answered with HTTP status 404: no such user"
	if err == nil || err.Error() != expected {
		t.Error(err)
	}
	answers = &nightcore.Answer{Body: []byte("<html>")}
	if _, err = nightcoretest.Run(t.Context(), greet, &nightcore.Request{}, double); err == nil {
		t.Error("what is no JSON was decoded")
	}
}

// TestOneAnswerServesManyRuns lets two goroutines get the same answer, for the race detector.
func TestOneAnswerServesManyRuns(t *testing.T) {
	shared := &nightcore.Answer{Body: []byte("told")}
	double := func(context.Context, nightcoretest.Call) (*nightcore.Answer, error) {
		return shared, nil
	}
	var both sync.WaitGroup
	for range 2 {
		both.Add(1)
		go func() {
			defer both.Done()
			answer, err := nightcoretest.Run(t.Context(), asks, &nightcore.Request{}, double)
			if err != nil || answer.HTTPStatus != http.StatusOK || string(answer.Body) != "told" {
				t.Error(answer, err)
			}
		}()
	}
	both.Wait()
	if shared.HTTPStatus != 0 {
		t.Error("the answer of the double was changed:", shared)
	}
}
