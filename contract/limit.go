package contract

import (
	"fmt"
	"runtime/debug"
	"testing"
	"time"
)

// Limit ends the whole run, with every goroutine's stack, if what it returns is
// not called within d, or a sixth of what the run has left: what hangs is to be
// named while it does.
func Limit(t testing.TB, d time.Duration) (over func()) {
	t.Helper()
	if timed, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if end, ok := timed.Deadline(); ok {
			d = max(d, time.Until(end)/6)
		}
	}
	name := t.Name()
	timer := time.AfterFunc(d, func() {
		debug.SetTraceback("all")
		panic(fmt.Sprintf("--- FAIL: %s is not over after %v", name, d))
	})
	return func() { timer.Stop() }
}
