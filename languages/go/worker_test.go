package nightcore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	nightcore "github.com/nightcore/nightcore/languages/go"
)

// servesVariable makes this program serve although Nightcore has not started it.
const servesVariable = "NIGHTCORE_TEST_SERVES"

// TestMain makes this program the worker when an engine starts it.
func TestMain(m *testing.M) {
	if os.Getenv("NIGHTCORE_SOCKET") == "" && os.Getenv(servesVariable) == "" {
		os.Exit(m.Run())
	}
	nightcore.Handle("Foo", foo)
	nightcore.Handle("Bar", bar)
	nightcore.Handle("Sleep", sleep)
	nightcore.Handle("Gather", gather)
	nightcore.Handle("Others", others)
	nightcore.Handle("CPU", cpu)
	nightcore.Handle("Goexit", goexit)
	nightcore.Handle("Ps", ps)
	nightcore.Handle("Hold", hold)
	nightcore.Handle("Again", again)
	nightcore.Handle("GiveUp", giveUp)
	nightcore.Handle("Late", late)
	nightcore.Handle("Overdue", overdue)
	nightcore.Handle("Misuse", misuse)
	nightcore.Handle("Hostile", hostile)
	nightcore.Handle("Panic", func(context.Context, *nightcore.Request) ([]byte, error) {
		panic("at the disco")
	})
	nightcore.Handle("Missing", missing)
	nightcore.Handle("Demanding", demanding)
	nightcore.Handle("Farewell", note)
	nightcore.Handle("Note", note)
	nightcore.HandleHTTP("Page", http.HandlerFunc(page))
	if err := nightcore.Serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if os.Getenv("NIGHTCORE_FUNCTION") == "Farewell" {
		ctx := nightcore.Detach(context.Background())
		if _, err := nightcore.Call(ctx, "Note", []byte("farewell")); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(0)
}

func foo(ctx context.Context, req *nightcore.Request) ([]byte, error) {
	return nightcore.Call(ctx, "Bar", append(req.Body, ", World"...))
}

func bar(_ context.Context, req *nightcore.Request) ([]byte, error) {
	return append([]byte("From function Bar: "), req.Body...), nil
}

func sleep(context.Context, *nightcore.Request) ([]byte, error) {
	time.Sleep(100 * time.Millisecond)
	return nil, nil
}

// others makes a hundred calls one after the other, and returns how often another goroutine ran
// meanwhile. There is one P, so that the goroutine cannot run elsewhere.
func others(ctx context.Context, _ *nightcore.Request) ([]byte, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	turns := make(chan struct{}, 1)
	var had atomic.Int64
	go func() {
		for range turns {
			had.Add(1)
		}
	}()
	defer close(turns)
	for range 100 {
		select {
		case turns <- struct{}{}:
		default:
		}
		if _, err := nightcore.Call(ctx, "Bar", nil); err != nil {
			return nil, err
		}
	}
	return strconv.AppendInt(nil, had.Load(), 10), nil
}

// cpu returns the nanoseconds of processor time that this process has used.
func cpu(context.Context, *nightcore.Request) ([]byte, error) {
	var usage syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return strconv.AppendInt(nil, usage.Utime.Nano()+usage.Stime.Nano(), 10), err
}

// goexit ends its goroutine if the request has a body.
func goexit(_ context.Context, req *nightcore.Request) ([]byte, error) {
	if len(req.Body) > 0 {
		runtime.Goexit()
	}
	return []byte("serves"), nil
}

// ps computes for the time in its body, and returns the number of Ps.
func ps(_ context.Context, req *nightcore.Request) ([]byte, error) {
	took, err := time.ParseDuration(string(req.Body))
	for began := time.Now(); time.Since(began) < took; {
	}
	return strconv.AppendInt(nil, int64(runtime.GOMAXPROCS(0)), 10), err
}

// gather makes as many calls at once as its body says. Without a body it returns the id of its
// process.
func gather(ctx context.Context, req *nightcore.Request) ([]byte, error) {
	if len(req.Body) == 0 {
		return strconv.AppendInt(nil, int64(os.Getpid()), 10), nil
	}
	var count int
	var name string
	if _, err := fmt.Sscan(string(req.Body), &count, &name); err != nil {
		return nil, err
	}
	errs := make([]error, count)
	var calls sync.WaitGroup
	for i := range count {
		calls.Add(1)
		go func() {
			defer calls.Done()
			_, errs[i] = nightcore.Call(ctx, name, nil)
		}()
	}
	calls.Wait()
	return []byte("gathered"), errors.Join(errs...)
}

var (
	held      atomic.Int64
	cancelled atomic.Int64
	release   = make(chan struct{})
)

// hold waits until another call says release, or until its request is cancelled.
func hold(ctx context.Context, req *nightcore.Request) ([]byte, error) {
	switch string(req.Body) {
	case "count":
		return strconv.AppendInt(nil, held.Load(), 10), nil
	case "cancelled":
		return strconv.AppendInt(nil, cancelled.Load(), 10), nil
	case "release":
		close(release)
		return nil, nil
	}
	held.Add(1)
	defer held.Add(-1)
	select {
	case <-release:
	case <-ctx.Done():
		cancelled.Add(1)
	}
	return nil, nil
}

// again calls itself once.
func again(ctx context.Context, req *nightcore.Request) ([]byte, error) {
	if len(req.Body) > 0 {
		return req.Body, nil
	}
	return nightcore.Call(ctx, "Again", []byte("twice"))
}

// giveUp stops waiting for a call, in the way that its body names.
func giveUp(ctx context.Context, req *nightcore.Request) ([]byte, error) {
	switch string(req.Body) {
	case "cancel":
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(20*time.Millisecond, cancel)
		_, err := nightcore.Call(ctx, "Hold", nil)
		cancelled := errors.Is(err, nightcore.ErrCancelled)
		return fmt.Appendf(nil, "%v %v", errors.Is(err, context.Canceled), cancelled), nil
	case "timeout":
		ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		_, err := nightcore.Call(ctx, "Hold", nil)
		late := errors.Is(err, nightcore.ErrDeadlineExceeded)
		return fmt.Appendf(nil, "%v %v", errors.Is(err, context.DeadlineExceeded), late), nil
	}
	// This goroutine outlives the handler.
	go func() { _, _ = nightcore.Call(context.WithoutCancel(ctx), "Hold", nil) }()
	for {
		count, err := nightcore.Call(ctx, "Hold", []byte("count"))
		if err != nil || string(count) == "1" {
			return []byte("returned"), err
		}
	}
}

var lateError atomic.Value

// late makes a call after its request has ended. With a body it returns the error of that call.
func late(ctx context.Context, req *nightcore.Request) ([]byte, error) {
	if len(req.Body) > 0 {
		err, _ := lateError.Load().(error)
		return fmt.Append(nil, err), nil
	}
	go func() {
		<-ctx.Done()
		_, err := nightcore.Call(context.WithoutCancel(ctx), "Bar", nil)
		lateError.Store(err)
	}()
	return nil, nil
}

func misuse(_ context.Context, req *nightcore.Request) ([]byte, error) {
	switch string(req.Body) {
	case "serve":
		return nil, nightcore.Serve()
	case "handle":
		nightcore.Handle("More", bar)
	case "call":
		return nightcore.Call(context.Background(), "Bar", nil)
	}
	return nil, nil
}

func page(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
	http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
	w.WriteHeader(http.StatusTeapot)
	req := nightcore.FromContext(r.Context())
	_, _ = fmt.Fprintf(w, "<p>%s %s %s %s", r.Method, r.URL, req.Metadata.Get(":prefix"), r.RequestURI)
}

// angry is an error whose methods do not return.
type angry string

func (a angry) Error() string {
	if a == "exits" {
		runtime.Goexit()
	}
	if a == "error" {
		panic(a)
	}
	return string(a)
}

func (a angry) Unwrap() error {
	if a == "unwrap" {
		panic(a)
	}
	return nil
}

func (a angry) Is(error) bool { panic(a) }

func (a angry) As(any) bool {
	if a == "as" {
		panic(a)
	}
	return false
}

func hostile(_ context.Context, req *nightcore.Request) ([]byte, error) {
	switch kind := string(req.Body); kind {
	case "nil":
		var missing *nightcore.Error
		return nil, missing
	case "panics":
		panic(angry("error"))
	case "text":
		return nil, errors.New("\xff\x00")
	case "":
		return nil, nil
	default:
		return nil, angry(kind)
	}
}

func TestAFailureIsToldAtOnceWhateverTheErrorIs(t *testing.T) {
	e := startWith(t, `timeout = "10s"`, "Hostile")
	for _, kind := range []string{"nil", "panics", "text", "exits", "error", "unwrap", "as", "is"} {
		if status, text := e.post("Hostile", kind); status != http.StatusInternalServerError {
			t.Errorf("%s: %d %s", kind, status, text)
		}
	}
	e.answers("Hostile", "", "")
}

// missing fails, because it has no user.
func missing(context.Context, *nightcore.Request) (string, error) {
	return "", fmt.Errorf("loading: %w", nightcore.HTTPErrorf(http.StatusNotFound, "no such user"))
}

// demanding fails if its call is answered with an HTTP status of 400 or more.
func demanding(ctx context.Context, _ *nightcore.Request) (*nightcore.Answer, error) {
	answer, err := nightcore.CallAnswer(ctx, "Missing", nil)
	if err != nil {
		return nil, err
	}
	return answer, answer.ErrorForStatus()
}

func TestAnHTTPErrorIsAReplyAndMayBeAnErrorOfTheCaller(t *testing.T) {
	e := start(t, "Missing", "Demanding")
	if status, text := e.post("Missing", ""); status != http.StatusNotFound || text != "no such user" {
		t.Errorf("%d %s", status, text)
	}
	status, text := e.post("Demanding", "")
	expected := "Missing: FUNCTION_FAILED: answered with HTTP status 404: no such user"
	if status != http.StatusInternalServerError || !strings.Contains(text, expected) {
		t.Errorf("%d %s", status, text)
	}
}

func TestFunctionsCallEachOther(t *testing.T) {
	start(t, "Foo", "Bar").answers("Foo", "Hello", "From function Bar: Hello, World")
}

func TestCallsThatSleepDoSoTogether(t *testing.T) {
	e := start(t, "Gather", "Sleep")
	began := time.Now()
	e.answers("Gather", "100 Sleep", "gathered")
	// One after the other, the calls would take 10 s.
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("100 calls of 0.1 s took %v", took)
	}
}

func TestWaitingHoldsNoThread(t *testing.T) {
	const calls = "1000"
	e := start(t, "Gather", "Hold")
	_, pid := e.post("Gather", "")
	gathered := make(chan string)
	go func() {
		_, text := e.post("Gather", calls+" Hold")
		gathered <- text
	}()
	e.becomes("Hold", "count", calls)
	threads, err := filepath.Glob("/proc/" + pid + "/task/*")
	if err != nil || len(threads) == 0 || len(threads) > 50 {
		t.Errorf("%d threads wait for %s calls (%v)", len(threads), calls, err)
	}
	t.Logf("%d threads wait for %s calls", len(threads), calls)
	e.post("Hold", "release")
	if text := <-gathered; text != "gathered" {
		t.Error(text)
	}
}

func TestAFunctionMayCallItself(t *testing.T) {
	e := start(t, "Again")
	var calls sync.WaitGroup
	for range 32 {
		calls.Add(1)
		go func() {
			defer calls.Done()
			if status, text := e.post("Again", ""); status != http.StatusOK || text != "twice" {
				t.Errorf("%d %q", status, text)
			}
		}()
	}
	calls.Wait()
}

func TestACallEndsWithItsContext(t *testing.T) {
	e := start(t, "GiveUp", "Hold")
	e.answers("GiveUp", "cancel", "true true")
	e.becomes("Hold", "cancelled", "1")
	e.answers("GiveUp", "timeout", "true true")
	e.becomes("Hold", "cancelled", "2")
	e.answers("GiveUp", "return", "returned")
	e.becomes("Hold", "cancelled", "3")
}

func TestMisuseIsToldClearly(t *testing.T) {
	e := start(t, "Misuse", "Late", "Bar", "Panic")
	for body, expected := range map[string]string{
		"serve":  "INVALID_STATE: this process serves already: one process hosts one function",
		"handle": `nightcore.Handle: \"More\" comes too late: register handlers before Serve`,
		"call": "INVALID_STATE: a call needs the context that the handler was given, " +
			"or one made from it",
	} {
		status, text := e.post("Misuse", body)
		if status != http.StatusInternalServerError || !strings.Contains(text, expected) {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	e.answers("Late", "", "")
	const ended = "the request has ended: make its calls before its handler returns"
	e.becomes("Late", "?", "Bar: INVALID_STATE: "+ended)
	status, text := e.post("Panic", "")
	if status != http.StatusInternalServerError || !strings.Contains(text, "panic: at the disco") {
		t.Errorf("%d %s", status, text)
	}
	e.answers("Bar", "others go on", "From function Bar: others go on")
}

func TestAProgramThatNightcoreHasNotStarted(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program)
	command.Env = append(os.Environ(), servesVariable+"=1")
	said, err := command.CombinedOutput()
	if err == nil || !strings.Contains(string(said), "NOT_STARTED") ||
		!strings.Contains(string(said), "nightcore up") {
		t.Errorf("%v: %s", err, said)
	}
}

func TestAnHTTPHandlerIsAFunction(t *testing.T) {
	e := start(t, "Page")
	url := e.url + "/function/Page/a%2Fb?c=d&c"
	request, err := http.NewRequest(http.MethodPut, url, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body := new(strings.Builder)
	_ = response.Write(body)
	for _, expected := range []string{
		"418 I'm a teapot",
		"Content-Type: text/html; charset=utf-8",
		"Set-Cookie: a=1",
		"Set-Cookie: b=2",
		"<p>PUT /a%2Fb?c=d&c /function/Page /function/Page/a%2Fb?c=d&c",
	} {
		if !strings.Contains(body.String(), expected) {
			t.Errorf("%q is not in\n%s", expected, body)
		}
	}
}

var channels = []string{"ring", "fifo"}

func TestOtherGoroutinesRunWhileCallsGoBackAndForth(t *testing.T) {
	for _, channel := range channels {
		t.Run(channel, func(t *testing.T) {
			engine := startOver(t, channel, "Others", "Bar")
			_, text := engine.post("Others", "")
			if turns, err := strconv.Atoi(text); err != nil || turns < 50 {
				t.Errorf("it had %s turns of 100", text)
			}
		})
	}
}

func TestAnIdleWorkerUsesNoCPU(t *testing.T) {
	for _, channel := range channels {
		t.Run(channel, func(t *testing.T) {
			engine := startOver(t, channel, "CPU")
			used := func() time.Duration {
				_, text := engine.post("CPU", "")
				nanos, err := strconv.ParseInt(text, 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				return time.Duration(nanos)
			}
			for range 100 {
				used()
			}
			began := used()
			// The process is idle if it uses little processor time for a second.
			time.Sleep(time.Second)
			if idle := used() - began; idle > 100*time.Millisecond {
				t.Errorf("it used %v", idle)
			}
		})
	}
}

func TestHandlersThatComputeGetAllPs(t *testing.T) {
	if runtime.NumCPU() == 1 || os.Getenv("GOMAXPROCS") != "" {
		t.Skip("there is one P, or somebody has chosen")
	}
	engine := start(t, "Ps")
	engine.answers("Ps", "0s", "1")
	engine.becomes("Ps", "5ms", strconv.Itoa(runtime.NumCPU()))
	engine.becomes("Ps", "0s", "1")
}

// A handler may end the goroutine that takes events.
func TestAHandlerThatEndsItsGoroutineEndsNothingElse(t *testing.T) {
	engine := start(t, "Goexit")
	for range 20 {
		engine.answers("Goexit", "", "serves")
		if status, _ := engine.post("Goexit", "now"); status != http.StatusInternalServerError {
			t.Errorf("it answered %d", status)
		}
	}
}

// overdue returns the error of its context, as most Go code does.
func overdue(ctx context.Context, _ *nightcore.Request) ([]byte, error) {
	<-ctx.Done()
	return nil, fmt.Errorf("waiting: %w", ctx.Err())
}

// The handler's context and the engine's deadline end at the same moment. Whichever comes first,
// the call ends by the deadline.
func TestAHandlerThatReturnsItsContextsErrorMissedItsDeadline(t *testing.T) {
	engine := startWith(t, "timeout = \"100ms\"", "Overdue")
	var calls sync.WaitGroup
	for range 16 {
		calls.Add(1)
		go func() {
			defer calls.Done()
			for range 12 {
				if status, text := engine.post("Overdue", ""); status != http.StatusGatewayTimeout {
					t.Errorf("%d %s", status, text)
				}
			}
		}()
	}
	calls.Wait()
}

var notes atomic.Int64

// note counts its calls that have a body. Without a body it returns that count.
func note(_ context.Context, req *nightcore.Request) ([]byte, error) {
	if len(req.Body) > 0 {
		notes.Add(1)
	}
	return strconv.AppendInt(nil, notes.Load(), 10), nil
}

func TestAProcessCallsForTheFirstTimeAsItEnds(t *testing.T) {
	e := start(t, "Farewell", "Note")
	e.answers("Farewell", "", "0")
	e.reload("Farewell")
	e.becomes("Note", "", "1")
}
