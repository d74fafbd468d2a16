package nightcore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// answerOf runs a handler that returns these results.
func answerOf[R Result](result R, err error) (*Answer, error) {
	handler := Handler[R](func(context.Context, *Request) (R, error) { return result, err })
	return handler.Answer(context.Background(), &Request{})
}

func TestWhatAHandlerReturnsIsItsAnswer(t *testing.T) {
	received := &Answer{HTTPStatus: 404, Metadata: NewMetadata(":status", "404", "a", "1")}
	for name, made := range map[string]func() (*Answer, error){
		"200  ":     func() (*Answer, error) { return answerOf[[]byte](nil, nil) },
		"200 text ": func() (*Answer, error) { return answerOf("text", nil) },
		"200":       func() (*Answer, error) { return answerOf[*Reply](nil, nil) },
		"404 :status: 404|a: 1": func() (*Answer, error) {
			return answerOf(received, nil)
		},
		"201 x :status: 201|b: 2": func() (*Answer, error) {
			return answerOf(&Reply{Body: []byte("x"), HTTPStatus: 201, Metadata: NewMetadata("b", "2")}, nil)
		},
		"202 :status: 202": func() (*Answer, error) {
			return answerOf(&Reply{Metadata: NewMetadata(":status", "202")}, nil)
		},
		"200 :status: 200|c: 3": func() (*Answer, error) {
			metadata := NewMetadata("c", "3", ":status", "404")
			return answerOf(&Reply{HTTPStatus: 200, Metadata: metadata}, nil)
		},
	} {
		answer, err := made()
		if err != nil {
			t.Fatal(name, err)
		}
		pairs := strings.ReplaceAll(strings.TrimSuffix(answer.Metadata.String(), "\n"), "\n", "|")
		text := fmt.Sprint(answer.HTTPStatus, " ", string(answer.Body), " ", pairs)
		if strings.Join(strings.Fields(text), " ") != strings.Join(strings.Fields(name), " ") {
			t.Errorf("it is %q and not %q", text, name)
		}
	}
}

func TestAnHTTPStatusThatCannotBeIsAnError(t *testing.T) {
	for _, httpStatus := range []int{-1, 100, 199, 600} {
		if _, err := answerOf(&Reply{HTTPStatus: httpStatus}, nil); !errors.Is(err, ErrInvalidArgument) {
			t.Error(httpStatus, err)
		}
	}
	for _, httpStatus := range []int{0, 200, 399, 600} {
		for _, err := range []error{HTTPErrorf(httpStatus, "x"), HTTPErrorJSON(httpStatus, "x")} {
			if !errors.Is(err, ErrInvalidArgument) {
				t.Error(httpStatus, err)
			}
		}
		_, err := answerOf("", &HTTPError{HTTPStatus: httpStatus})
		if !errors.Is(err, ErrInvalidArgument) {
			t.Error(httpStatus, err)
		}
	}
	_, err := answerOf(&Reply{Metadata: NewMetadata(":status", "x")}, nil)
	if !errors.Is(err, ErrInvalidArgument) {
		t.Error(err)
	}
}

func TestAnHTTPErrorIsFoundInWrappedErrors(t *testing.T) {
	reason := errors.New("it was sold")
	err := fmt.Errorf("loading: %w", HTTPErrorf(410, "no cart %d: %w", 17, reason))
	answer, failure := answerOf("", err)
	if failure != nil || answer.HTTPStatus != 410 || string(answer.Body) != "no cart 17: it was sold" {
		t.Fatal(answer, failure)
	}
	if !errors.Is(err, reason) || err.Error() != "loading: HTTP status 410: no cart 17: it was sold" {
		t.Error(err)
	}
	answer, failure = answerOf("", HTTPErrorJSON(422, map[string]string{"field": "name"}))
	if failure != nil || string(answer.Body) != `{"field":"name"}` {
		t.Fatal(answer, failure)
	}
	if kind := answer.Metadata.Get("content-type"); kind != "application/json" {
		t.Error(kind)
	}
	if err := HTTPErrorJSON(422, func() {}); err == nil || errors.Is(err, ErrInvalidArgument) {
		t.Error(err)
	}
	if _, err := JSON(200, func() {}); err == nil {
		t.Error("a function is no JSON")
	}
}

func TestAnErrorQuotesTheBeginningOfATextBody(t *testing.T) {
	for body, expected := range map[string]string{
		"":                                "answered with HTTP status 500",
		"\xff":                            "answered with HTTP status 500",
		strings.Repeat("x", 200) + "\xff": "answered with HTTP status 500",
		strings.Repeat("x", 199) + "\xff": "answered with HTTP status 500",
		"short":                           "answered with HTTP status 500: short",
		strings.Repeat("€", 201):          "answered with HTTP status 500: " + strings.Repeat("€", 200),
		strings.Repeat("€", 200)[:5]:      "answered with HTTP status 500",
	} {
		answer := &Answer{HTTPStatus: 500, Body: []byte(body), function: "Bar"}
		var own *Error
		if !errors.As(answer.ErrorForStatus(), &own) || own.Message != expected || own.Function != "Bar" {
			t.Errorf("%q: %v", body, own)
		}
	}
}

// TestTheOldReplyOfARequestIsSent tests the deprecated Request.Reply, which goes with a body of
// bytes.
func TestTheOldReplyOfARequestIsSent(t *testing.T) {
	handler := Handler[[]byte](func(_ context.Context, req *Request) ([]byte, error) {
		req.Reply().Status(201).Header("a", "1")
		return []byte("x"), nil
	})
	answer, err := handler.Answer(context.Background(), &Request{})
	if err != nil || answer.HTTPStatus != 201 || answer.Metadata.String() != ":status: 201\na: 1\n" {
		t.Error(answer, err)
	}
}
