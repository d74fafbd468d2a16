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
	// slowAfter is how long a handler runs, between its calls, before it counts as slow.
	slowAfter = time.Millisecond
	// slowCosts is what a slow run adds to the score; each other run takes one off. So threads that
	// the kernel sets aside now and then do not count.
	slowCosts = 20
	// slowScore is the score from which handlers need more than one P.
	slowScore = 60
	// widePause is how long a process stays wide at the least: a change stops all goroutines.
	widePause = time.Second
	// checkPause is how often the use of the processor is checked.
	checkPause = 10 * time.Millisecond
	// busyShare and calmShare are shares of one core, in percent. A narrow process becomes wide above
	// busyShare, and a wide one becomes narrow below calmShare.
	busyShare, calmShare = 80, 50
)

// A pace decides how many Ps the process uses. Handlers that run for microseconds need one: with
// more, each goroutine that becomes ready wakes a thread that finds nothing to do, which costs more
// than the handler. Handlers that compute, or wait for something else than calls, need all.
type pace struct {
	// isNarrow says that the process uses one P, and that goroutines may keep it while they wait.
	isNarrow atomic.Bool
	score    atomic.Int32

	mu sync.Mutex
	// ps is the number of Ps of a wide process; 0: the program has chosen it, and it stays.
	ps        int
	wideUntil time.Time
	checkedAt time.Time
	used      time.Duration
}

// begin makes the process narrow.
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

// ran takes note of how long a handler ran without waiting for a call.
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

// check measures the use of the processor, now and then.
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

// cpuTime is the processor time that the process has used.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
