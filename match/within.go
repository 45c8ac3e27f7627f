package match

import (
	"context"
	"sync"
	"time"
)

// within is context.WithTimeout for calls that mostly end before anybody waits
// for Done: the timer is made when somebody does.
func within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	w := &bounded{Context: ctx, until: time.Now().Add(d)}
	if until, ok := ctx.Deadline(); ok && until.Before(w.until) {
		w.until = until
	}
	return w, w.end
}

type bounded struct {
	context.Context //nolint:containedctx // it is one
	until           time.Time

	mu    sync.Mutex
	timed context.Context //nolint:containedctx // with the timer; nil: nobody waits yet
	stop  context.CancelFunc
	over  bool
}

// Deadline is when it is over.
func (b *bounded) Deadline() (time.Time, bool) { return b.until, true }

// Done is closed when it is over.
func (b *bounded) Done() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.timed == nil {
		b.timed, b.stop = context.WithDeadline(b.Context, b.until)
		if b.over {
			b.stop()
		}
	}
	return b.timed.Done()
}

// Err says why it is over; nil: it is not.
func (b *bounded) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch err := b.Context.Err(); {
	case b.timed != nil:
		return b.timed.Err()
	case err != nil:
		return err
	case b.over:
		return context.Canceled
	case !time.Now().Before(b.until):
		return context.DeadlineExceeded
	}
	return nil
}

func (b *bounded) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	if b.stop != nil {
		b.stop()
	}
}
