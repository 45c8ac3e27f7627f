package host

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// graceSpare is what of the grace is kept for the goodbye, at most.
const graceSpare = 3 * time.Second

// lifetime is how long a game server's process lives: until it is told to end at
// once (the command's context ends, SIGINT, a second SIGTERM), or for its grace
// after the first SIGTERM.
type lifetime struct {
	// now ends when the process has to end at once, soon before that: when it has
	// been told to.
	now, soon context.Context //nolint:containedctx // the two are what it is
	grace     time.Duration   // 0: SIGTERM ends it at once, too
	logger    *slog.Logger

	mu  sync.Mutex
	end time.Time // guarded by mu; when the grace is over; zero: nobody told it to end
}

// newLifetime begins one. stop ends it, and waits.
func newLifetime(ctx context.Context, grace time.Duration, logger *slog.Logger) (l *lifetime, stop func()) {
	l = &lifetime{grace: grace, logger: logger}
	if grace <= 0 {
		var cancel context.CancelFunc
		l.now, cancel = context.WithCancel(ctx)
		l.soon = l.now
		return l, cancel
	}
	now, endNow := context.WithCancel(context.WithoutCancel(ctx))
	soon, endSoon := context.WithCancel(now)
	l.now, l.soon = now, soon
	told := make(chan os.Signal, 4)
	signal.Notify(told, syscall.SIGTERM, os.Interrupt)
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer endNow()
		defer signal.Stop(told)
		if l.told(ctx, told) {
			endSoon()
			l.wait(told)
		}
	}()
	return l, func() {
		endNow()
		<-over
	}
}

// told waits until the process is told to end. False: at once.
func (l *lifetime) told(outer context.Context, told <-chan os.Signal) bool {
	select {
	case <-l.now.Done():
		return false
	case s := <-told:
		return s == syscall.SIGTERM
	case <-outer.Done():
	}
	// The same signal may have ended the command's context.
	select {
	case s := <-told:
		return s == syscall.SIGTERM
	case <-time.After(50 * time.Millisecond):
	case <-l.now.Done():
	}
	return false
}

// wait returns when the grace is over, or another signal comes.
func (l *lifetime) wait(told <-chan os.Signal) {
	l.mu.Lock()
	l.end = time.Now().Add(l.grace)
	l.mu.Unlock()
	l.logger.InfoContext(l.now, "told to end", "grace", l.grace)
	end := time.NewTimer(l.grace - l.spare()/2)
	defer end.Stop()
	select {
	case <-l.now.Done():
	case <-told:
		l.logger.WarnContext(l.now, "told to end again: ending at once")
	case <-end.C:
		l.logger.WarnContext(l.now, "the grace is over: ending at once")
	}
}

func (l *lifetime) spare() time.Duration { return min(graceSpare, l.grace/4) }

// left is how long a session may go on once the process was told to end.
func (l *lifetime) left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end.IsZero() {
		return l.grace - l.spare()
	}
	return max(time.Until(l.end)-l.spare(), time.Millisecond)
}
