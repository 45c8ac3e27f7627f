package gameserver

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"sync/atomic"
	"time"

	"github.com/throng-gg/throng"
)

const (
	// watchEvery is between two looks at the session.
	watchEvery = time.Second
	// stackBytes is how much of what hangs is logged.
	stackBytes = 16 << 10
)

// watchdog ends what the script machine's limits should have ended: a loop that
// does not get on, and a process that holds too much memory. It runs beside the
// loop, and nothing that hangs can be stopped inside its process: so it says
// that the session is over and has the process end. A process that hangs as a
// whole is ended from outside: its lease lapses, and whoever started it kills it.
type watchdog struct {
	beats atomic.Uint64 // counted by the loop
	hang  time.Duration // without a beat; negative: it does not matter
	most  int64         // bytes that the process may hold; 0: any
	held  func() int64
	tidy  func() // gives memory back that is not used
}

func newWatchdog(cfg Config) *watchdog {
	return &watchdog{hang: cfg.HangAfter, most: cfg.MemoryMost, held: heldBytes, tidy: debug.FreeOSMemory}
}

// beat says that the loop gets on.
func (w *watchdog) beat() { w.beats.Add(1) }

// run waits for what has to be ended and says why; empty: ctx ended. A time in
// which this goroutine did not run either, because the process or the machine was
// stopped, does not count.
func (w *watchdog) run(ctx context.Context) string {
	if w.hang < 0 && w.most == 0 {
		<-ctx.Done()
		return ""
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	last, looks := w.beats.Load(), 0
	begun := time.Now()
	for {
		select {
		case <-ctx.Done():
			return ""
		case <-tick.C:
		}
		late := time.Since(begun) > 2*watchEvery
		begun = time.Now()
		switch now := w.beats.Load(); {
		case now != last:
			last, looks = now, 0
		case !late:
			looks++
		}
		if w.hang >= 0 && time.Duration(looks)*watchEvery >= w.hang {
			return fmt.Sprintf("the game server hung: its loop did not get on for %s", w.hang)
		}
		if w.tooLarge() {
			return fmt.Sprintf("the game server held more than %d MiB of memory", w.most>>20)
		}
	}
}

// tooLarge says whether the process holds too much memory, also after what is
// not used was given back.
func (w *watchdog) tooLarge() bool {
	if w.most == 0 || w.held() <= w.most {
		return false
	}
	w.tidy()
	return w.held() > w.most
}

// heldBytes is the memory that Go holds from the system.
func heldBytes() int64 {
	samples := []runtimemetrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	runtimemetrics.Read(samples)
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}

// watched runs the session until it is over. ok: its loop has ended, and what it
// owns can be looked at; otherwise it still runs and the process has to end.
func (s *Server) watched(ctx context.Context, l *loop) (end ending, ok bool) {
	done := make(chan ending, 1)
	go func() { done <- l.run(ctx) }()
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	bad := make(chan string, 1)
	go func() { bad <- l.watchdog.run(watching) }()
	select {
	case end := <-done:
		return end, true
	case why := <-bad:
		stack := make([]byte, 1<<20)
		stack = stack[:runtime.Stack(stack, true)]
		s.cfg.Logger.ErrorContext(ctx, "session is given up", "reason", why, "stack", string(stack[:min(len(stack), stackBytes)]))
		return ending{Ending: throng.Ending{Reason: why, Failed: true}}, false
	}
}
