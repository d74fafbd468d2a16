package nightcore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestErrorsAreCompared(t *testing.T) {
	late := &Error{Status: ErrDeadlineExceeded, Function: "Bar", Message: "too late"}
	err := fmt.Errorf("loading: %w", late)
	if !errors.Is(err, ErrDeadlineExceeded) || !errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if err.Error() != "loading: Bar: DEADLINE_EXCEEDED: too late" {
		t.Error(err)
	}
}

func TestMetadataKeepOrderAndDuplicates(t *testing.T) {
	metadata := NewMetadata("X-A", "1", "b", "", "x-a", "2")
	if metadata.Len() != 3 || metadata.Get("x-A") != "1" || metadata.Get("c") != "" {
		t.Error(metadata)
	}
	if values := metadata.Values("x-a"); !slices.Equal(values, []string{"1", "2"}) {
		t.Error(values)
	}
	if value, ok := metadata.Lookup("b"); value != "" || !ok {
		t.Error("b is not there")
	}
	if metadata.String() != "x-a: 1\nb: \nx-a: 2\n" {
		t.Error(metadata)
	}
	defer func() {
		if recover() == nil {
			t.Error("a name without a value is taken")
		}
	}()
	NewMetadata(odd()...)
}

func TestHandlersAreRegisteredOnce(t *testing.T) {
	handler := func(context.Context, *Request) ([]byte, error) { return nil, nil }
	Handle("Once", handler)
	for _, again := range []func(){
		func() { Handle("Once", handler) },
		func() { Handle[[]byte]("Nil", nil) },
		func() { HandleHTTP("Nil", nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("it was taken")
				}
			}()
			again()
		}()
	}
}

func odd() []string { return []string{"a"} }

func TestErrorfTellsCallersAndWraps(t *testing.T) {
	beneath := &Error{
		Status:   ErrOverloaded,
		Function: "Bar",
		Message:  "full",
		Causes:   []Cause{{"Baz", ErrNotFound, "no Baz"}},
	}
	err := Errorf("no cart %d: %w", 17, fmt.Errorf("loading: %w", beneath))
	told, ok := passedOn(fmt.Errorf("serving: %w", err))
	if !ok || told.Status != ErrFunctionFailed ||
		told.Message != "no cart 17: loading: Bar: OVERLOADED: full" {
		t.Errorf("told %v, %v", told, ok)
	}
	expected := []Cause{{"Bar", ErrOverloaded, "full"}, {"Baz", ErrNotFound, "no Baz"}}
	if !slices.Equal(told.Causes, expected) {
		t.Errorf("causes are %v", told.Causes)
	}
	if !errors.Is(err, ErrOverloaded) {
		t.Error("what is wrapped is not found")
	}
	told, ok = passedOn(&Error{Status: ErrInvalidState, Message: "ended"})
	if !ok || told.Status != ErrFunctionFailed || told.Message != "INVALID_STATE: ended" {
		t.Errorf("told %v, %v", told, ok)
	}
	if _, ok := passedOn(errors.New("db-7 refused")); ok {
		t.Error("an error of anybody's is told")
	}
}
