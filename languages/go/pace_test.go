//go:build linux && cgo

package nightcore

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// narrow returns a pace that has begun in a process with four Ps.
func narrow(t *testing.T) *pace {
	t.Helper()
	before, was := runtime.GOMAXPROCS(4), os.Getenv("GOMAXPROCS")
	t.Setenv("GOMAXPROCS", "")
	t.Cleanup(func() {
		_ = os.Setenv("GOMAXPROCS", was)
		runtime.GOMAXPROCS(before)
	})
	p := &pace{}
	p.begin()
	return p
}

func expectPs(t *testing.T, when string, expected int) {
	t.Helper()
	if ps := runtime.GOMAXPROCS(0); ps != expected {
		t.Errorf("%s: %d Ps instead of %d", when, ps, expected)
	}
}

func TestSlowHandlersGetAllPsUntilNoneIsSlow(t *testing.T) {
	p := narrow(t)
	expectPs(t, "at the start", 1)
	for range slowScore / slowCosts {
		p.ran(slowAfter)
	}
	expectPs(t, "with slow handlers", 4)
	for range 2 * slowScore {
		p.ran(0)
	}
	p.check(time.Now().Add(widePause / 2))
	expectPs(t, "soon after", 4)
	p.check(time.Now().Add(2 * widePause))
	expectPs(t, "later", 1)
}

func TestThreadsThatAreSetAsideNowAndThenAreNotSlowHandlers(t *testing.T) {
	p := narrow(t)
	for range 100 {
		p.ran(10 * slowAfter)
		for range slowCosts {
			p.ran(0)
		}
	}
	expectPs(t, "at the end", 1)
}

func TestAProcessThatUsesACoreGetsAllPs(t *testing.T) {
	p := narrow(t)
	end := time.Now().Add(10 * time.Second)
	for runtime.GOMAXPROCS(0) == 1 && time.Now().Before(end) {
		p.check(time.Now())
	}
	expectPs(t, "after computing", 4)
}

func TestThePsThatAProgramHasChosenStay(t *testing.T) {
	p := narrow(t)
	runtime.GOMAXPROCS(2)
	for range slowScore / slowCosts {
		p.ran(slowAfter)
	}
	p.check(time.Now().Add(2 * widePause))
	expectPs(t, "chosen while it runs", 2)

	t.Setenv("GOMAXPROCS", "3")
	runtime.GOMAXPROCS(3)
	p = &pace{}
	p.begin()
	expectPs(t, "chosen by the environment", 3)
}
