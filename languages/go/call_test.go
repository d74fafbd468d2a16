package nightcore

import (
	"context"
	"sync"
	"testing"
)

// oneAnswer answers every call with the same answer.
type oneAnswer struct{ answer *Answer }

func (c oneAnswer) Call(context.Context, string, []byte, CallOptions) (*Answer, error) {
	return c.answer, nil
}

func TestACallLeavesTheAnswerOfItsCallerAlone(t *testing.T) {
	shared := &Answer{HTTPStatus: 404}
	ctx := WithCaller(t.Context(), oneAnswer{shared})
	var both sync.WaitGroup
	for _, name := range []string{"Bar", "Baz"} {
		both.Add(1)
		go func() {
			defer both.Done()
			answer, err := CallAnswer(ctx, name, nil)
			if err != nil || answer.HTTPStatus != 404 || answer.function != name {
				t.Error(answer, err)
			}
		}()
	}
	both.Wait()
	if shared.function != "" {
		t.Error("the answer of the caller was changed:", shared)
	}
}
