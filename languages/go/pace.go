//go:build linux && cgo

package nightcore

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// slowAfter is the time, without waiting for calls, after which a run of a handler is slow.
	slowAfter = time.Millisecond
	// slowCosts is added to the score by a slow run; each other run subtracts one. So runs that are
	// slow because the kernel preempts a thread now and then have no effect.
	slowCosts = 20
	// slowScore is the score from which handlers need more than one P.
	slowScore = 60
	// widePause is the least time that a process stays wide, because a change stops all goroutines.
	widePause = time.Second
	// checkPause is the time between two checks of the use of the processor.
	checkPause = 10 * time.Millisecond
	// busyShare and calmShare are shares of one core, in percent. A narrow process becomes wide above
	// busyShare, and a wide one becomes narrow below calmShare.
	busyShare, calmShare = 80, 50
)

// A pace decides how many Ps the process uses. Handlers that run for microseconds need one P: with
// more, each goroutine that becomes ready wakes a thread that finds nothing to do, which costs more
// than the handler. Handlers that compute, or wait for anything but calls, need all Ps.
type pace struct {
	// isNarrow reports that the process uses one P, and that goroutines may keep it while they
	// wait.
	isNarrow atomic.Bool
	score    atomic.Int32

	mu sync.Mutex
	// ps is the number of Ps of a wide process. It is 0 if the program has chosen the number, which
	// then stays.
	ps        int
	wideUntil time.Time
	checkedAt time.Time
	used      time.Duration
}

// begin makes the process narrow, unless GOMAXPROCS is set.
func (p *pace) begin() {
	if os.Getenv("GOMAXPROCS") == "" {
		p.ps = runtime.GOMAXPROCS(0)
	}
	p.checkedAt, p.used = time.Now(), cpuTime()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(true)
}

// set makes the process narrow or wide, unless the program itself has changed its number of Ps.
func (p *pace) set(narrow bool) {
	if p.isNarrow.Load() == narrow {
		return
	}
	if p.ps > 0 {
		before, after := p.ps, 1
		if !narrow {
			before, after = after, before
		}
		if runtime.GOMAXPROCS(0) == before {
			runtime.GOMAXPROCS(after)
		} else {
			p.ps = 0
		}
	}
	p.isNarrow.Store(narrow)
}

// ran records how long a handler ran without waiting for a call.
func (p *pace) ran(took time.Duration) {
	if took < slowAfter {
		if p.score.Load() > 0 {
			p.score.Add(-1)
		}
		return
	}
	if p.score.Load() < 2*slowScore {
		p.score.Add(slowCosts)
	}
	if p.score.Load() >= slowScore {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.widen(time.Now())
	}
}

func (p *pace) widen(now time.Time) {
	p.wideUntil = now.Add(widePause)
	p.set(false)
}

// check measures the use of the processor, at most once in checkPause.
func (p *pace) check(now time.Time) {
	if !p.mu.TryLock() {
		return
	}
	defer p.mu.Unlock()
	passed := now.Sub(p.checkedAt)
	if passed < checkPause {
		return
	}
	used := cpuTime()
	share := 100 * (used - p.used) / passed
	p.checkedAt, p.used = now, used
	switch {
	case share >= busyShare:
		p.widen(now)
	case share < calmShare && p.score.Load() == 0 && now.After(p.wideUntil):
		p.set(true)
	}
}

// cpuTime returns the processor time that the process has used.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
