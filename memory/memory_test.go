package memory_test

import (
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/memory"
	"github.com/throng-gg/throng/session"
)

// rig is a store that can be lost and broken, on a clock that is moved by hand.
type rig struct {
	session.Store

	mu    sync.Mutex
	now   time.Time
	fault session.Fault
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) strike(op string, at session.Point) error {
	r.mu.Lock()
	fault := r.fault
	r.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(op, at)
}

func newRig(t *testing.T) contract.RegistryRig {
	t.Helper()
	r := &rig{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	lose := func() {
		st, err := memory.New(memory.Config{Now: r.clock, Quarantine: throng.TokenTime, Fault: r.strike, FeedSize: 1 << 10})
		if err != nil {
			t.Fatal(err)
		}
		r.Store = st
	}
	lose()
	return contract.RegistryRig{
		Store: r,
		Lose:  lose,
		Advance: func(d time.Duration) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.now = r.now.Add(d)
		},
		Break: func(f session.Fault) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.fault = f
		},
	}
}

func TestRegistryContract(t *testing.T) {
	contract.Registry(t, newRig)
}
