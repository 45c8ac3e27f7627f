package match

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// within ends as context.WithTimeout does, whether anybody waited for it or not.
func TestWithin(t *testing.T) {
	type key struct{}
	for _, waited := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			parent, stop := context.WithCancel(context.WithValue(t.Context(), key{}, 1))
			one := func() (context.Context, context.CancelFunc) {
				ctx, cancel := within(parent, time.Second)
				if waited {
					_ = ctx.Done()
				}
				if err := ctx.Err(); err != nil || ctx.Value(key{}) != 1 {
					t.Errorf("waited %v: got %v and %v, want a context with a value", waited, err, ctx.Value(key{}))
				}
				return ctx, cancel
			}
			over := func(ctx context.Context, want error) {
				t.Helper()
				if err := ctx.Err(); !errors.Is(err, want) {
					t.Errorf("waited %v: got %v, want %v", waited, err, want)
				}
				<-ctx.Done()
				if err := ctx.Err(); !errors.Is(err, want) {
					t.Errorf("waited %v, then: got %v, want %v", waited, err, want)
				}
			}
			ended, cancel := one()
			cancel()
			over(ended, context.Canceled)

			late, cancel := one()
			defer cancel()
			child, cancelChild := context.WithCancel(late)
			defer cancelChild()
			<-time.After(time.Second)
			synctest.Wait()
			over(late, context.DeadlineExceeded)
			over(child, context.DeadlineExceeded)

			orphan, cancel := one()
			defer cancel()
			stop()
			over(orphan, context.Canceled)
			if until, ok := orphan.Deadline(); !ok || time.Until(until) != time.Second {
				t.Errorf("got deadline %v, %v, want a second from now", until, ok)
			}
		})
	}
}
