package nightcore_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"strings"
	"testing"

	nightcore "github.com/nightcore/nightcore/languages/go"
	"github.com/nightcore/nightcore/languages/go/nightcoretest"
)

// everything uses every public name except deprecated ones, so that go vet and staticcheck check
// them.
func everything(ctx context.Context, req *nightcore.Request) (*nightcore.Reply, error) {
	var asked struct{ Name string }
	if err := req.JSON(&asked); err != nil {
		return nil, nightcore.HTTPErrorf(http.StatusBadRequest, "%s: %w", req.Function, err)
	}
	req.Logf("%s asks for %s", req.Caller, asked.Name)
	_, _ = req.LogWriter().Write([]byte(req.ID + "\n"))
	metadata := nightcore.NewMetadata("a", "1").With("b", "2")
	for name, value := range req.Metadata.All() {
		metadata = metadata.With(name, value+metadata.Get(name))
	}
	if _, found := metadata.Lookup("a"); !found || metadata.Len() == len(metadata.Values("a")) {
		return nil, nightcore.Errorf("no a in %s", metadata)
	}
	var options nightcore.CallOptions
	option := nightcore.CallOption(nightcore.WithMetadata(metadata))
	option(&options)
	answer, err := nightcore.CallAnswer(ctx, "Bar", req.Body, nightcore.WithMetadata(options.Metadata))
	var failed *nightcore.Error
	if errors.As(err, &failed) {
		return nil, explain(failed)
	}
	var unwelcome *nightcore.AnswerError
	if err := answer.ErrorForStatus(); errors.As(err, &unwelcome) && unwelcome.Unwrap() != nil {
		problem := map[string]string{"error": unwelcome.Error()}
		return nil, nightcore.HTTPErrorJSON(unwelcome.Answer.HTTPStatus, problem)
	}
	if err := answer.JSON(&asked); err != nil {
		return nil, &nightcore.HTTPError{HTTPStatus: 502, Body: answer.Body, Metadata: answer.Metadata}
	}
	found, err := nightcore.CallJSON[map[string]int](ctx, "Bar", asked)
	if err != nil || len(found) == 0 {
		return &nightcore.Reply{Body: nil, HTTPStatus: 204, Metadata: nightcore.Metadata{}}, err
	}
	if _, err := nightcore.Call(nightcore.Detach(ctx), "Log", nil); err != nil {
		return nil, err
	}
	return nightcore.JSON(http.StatusOK, found)
}

// explain makes a new error from the error of a call.
func explain(failed *nightcore.Error) error {
	var status nightcore.Status = failed.Status
	for _, cause := range failed.Causes {
		if cause.Status == nightcore.ErrNotFound {
			return nightcore.Errorf("%s: %s: %w", cause.Function, cause.Message, failed.Unwrap())
		}
	}
	refused := []nightcore.Status{
		nightcore.ErrPayloadTooLarge, nightcore.ErrFunctionFailed, nightcore.ErrContainerDied,
		nightcore.ErrOverloaded, nightcore.ErrUnavailable, nightcore.ErrDeadlineExceeded,
		nightcore.ErrCancelled, nightcore.ErrDepthExceeded, nightcore.ErrInvalidArgument,
		nightcore.ErrInvalidState, nightcore.ErrForked, nightcore.ErrInternal,
		nightcore.ErrNotStarted, nightcore.ErrRefused,
	}
	for _, other := range refused {
		if failed.Is(other) && status.Error() != "" {
			return errors.New(failed.Function + failed.Message + status.String())
		}
	}
	var httpError *nightcore.HTTPError
	if errors.As(failed.Unwrap(), &httpError) {
		return errors.New(httpError.Error() + httpError.Unwrap().Error())
	}
	return failed
}

// callers is the test double of Bar.
type callers struct{}

func (callers) Call(
	context.Context, string, []byte, nightcore.CallOptions,
) (*nightcore.Answer, error) {
	return &nightcore.Answer{Body: []byte(`{"Name":"x"}`), HTTPStatus: 404}, nil
}

func TestAProgramMayUseAllOfIt(t *testing.T) {
	req := &nightcore.Request{Body: []byte(`{"Name":"x"}`)}
	var caller nightcore.Caller = callers{}
	ctx := nightcore.WithRequest(nightcore.WithCaller(t.Context(), caller), req)
	if nightcore.FromContext(ctx) != req {
		t.Error("a context does not know its request")
	}
	answer, err := nightcore.Handler[*nightcore.Reply](everything).Answer(ctx, req)
	if err != nil || answer.HTTPStatus != 404 {
		t.Error(answer, err)
	}
	var calls nightcoretest.Calls = func(
		_ context.Context, call nightcoretest.Call,
	) (*nightcore.Answer, error) {
		if call.Function != "Bar" || call.Metadata.Len() == 0 || len(call.Body) == 0 {
			t.Error(call)
		}
		causes := []nightcore.Cause{{Function: "Baz"}}
		return nil, &nightcore.Error{Status: nightcore.ErrNotFound, Causes: causes}
	}
	_, err = nightcoretest.Run(t.Context(), everything, req, calls)
	if !errors.Is(err, nightcore.ErrNotFound) {
		t.Error(err)
	}
}

// exported returns the public names of a package in a folder, except deprecated ones.
func exported(t *testing.T, folder string) (names []string) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	add := func(name *ast.Ident, doc *ast.CommentGroup) {
		if name.IsExported() && !strings.Contains(doc.Text(), "\nDeprecated:") {
			names = append(names, name.Name)
		}
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		path := folder + "/" + entry.Name()
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, declared := range file.Decls {
			switch declared := declared.(type) {
			case *ast.FuncDecl:
				if declared.Recv == nil || isPublic(declared.Recv.List[0].Type) {
					add(declared.Name, declared.Doc)
				}
			case *ast.GenDecl:
				for _, spec := range declared.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						add(spec.Name, declared.Doc)
					case *ast.ValueSpec:
						for _, name := range spec.Names {
							add(name, spec.Doc)
						}
					}
				}
			}
		}
	}
	return names
}

// isPublic reports whether a receiver is of a public type.
func isPublic(receiver ast.Expr) bool {
	switch receiver := receiver.(type) {
	case *ast.StarExpr:
		return isPublic(receiver.X)
	case *ast.IndexExpr:
		return isPublic(receiver.X)
	case *ast.Ident:
		return receiver.IsExported()
	}
	return false
}

func TestNoPublicNameIsForgotten(t *testing.T) {
	var source strings.Builder
	for _, name := range []string{"api_test.go", "worker_test.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	for _, folder := range []string{".", "nightcoretest"} {
		names := exported(t, folder)
		if len(names) == 0 {
			t.Errorf("%s has no public names", folder)
		}
		for _, name := range names {
			// Result is a constraint, which the types of handlers satisfy.
			if name != "Result" && !strings.Contains(source.String(), "."+name) {
				t.Errorf("%s is not used", name)
			}
		}
	}
}
