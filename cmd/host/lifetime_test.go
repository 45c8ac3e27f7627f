package host

import (
	"context"
	"log/slog"
	"os"
	"syscall"
	"testing"
	"time"
)

// signalSelf sends this process a signal, which a lifetime catches.
func signalSelf(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), s); err != nil {
		t.Fatal(err)
	}
}

func ends(t *testing.T, what string, ctx context.Context) { //nolint:revive // the context is what is looked at
	t.Helper()
	select {
	case <-ctx.Done():
	case <-time.After(5 * time.Second):
		t.Fatalf("%s: did not end", what)
	}
}

// The first SIGTERM begins the grace, the second one, another signal or the end
// of the grace ends the process.
func TestLifetime(t *testing.T) {
	for _, c := range []struct {
		name  string
		grace time.Duration
		then  func(t *testing.T, cancel func())
	}{
		{"a second SIGTERM", time.Hour, func(t *testing.T, _ func()) { t.Helper(); signalSelf(t, syscall.SIGTERM) }},
		{"SIGINT after it", time.Hour, func(t *testing.T, _ func()) { t.Helper(); signalSelf(t, syscall.SIGINT) }},
		{"the end of the grace", 200 * time.Millisecond, func(*testing.T, func()) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			l, stop := newLifetime(ctx, c.grace, slog.New(slog.DiscardHandler))
			defer stop()
			signalSelf(t, syscall.SIGTERM)
			ends(t, "told to end", l.soon)
			if c.grace == time.Hour && l.now.Err() != nil {
				t.Error("it ended at once")
			}
			if left := l.left(); left <= 0 || left > c.grace {
				t.Errorf("%s are left of %s", left, c.grace)
			}
			c.then(t, cancel)
			ends(t, c.name, l.now)
		})
	}
	t.Run("SIGINT, or whoever runs it", func(t *testing.T) {
		for _, end := range []func(cancel func()){func(func()) { signalSelf(t, syscall.SIGINT) }, func(cancel func()) { cancel() }} {
			ctx, cancel := context.WithCancel(t.Context())
			l, stop := newLifetime(ctx, time.Hour, slog.New(slog.DiscardHandler))
			end(cancel)
			ends(t, "at once", l.now)
			stop()
			cancel()
		}
	})
}
