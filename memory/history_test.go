package memory_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/memory"
	"github.com/throng-gg/throng/session"
)

// historyRig is a store for several processes, which can be emptied while they
// use it.
func historyRig(t *testing.T) contract.HistoryRig {
	t.Helper()
	var (
		store  atomic.Pointer[memory.Store]
		passed atomic.Int64
	)
	now := func() time.Time {
		return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(passed.Load()))
	}
	lose := func() {
		st, err := memory.New(memory.Config{Now: now, Quarantine: throng.TokenTime, FeedSize: 1 << 10})
		if err != nil {
			t.Error(err)
			return
		}
		store.Store(st)
	}
	lose()
	process := func() session.Store { return store.Load() }
	return contract.HistoryRig{
		Stores:  []func() session.Store{process, process, process},
		Now:     now,
		Advance: func(d time.Duration) { passed.Add(int64(d)) },
		Losses:  []contract.Loss{{Name: "emptied", Strike: lose}},
	}
}

func TestHistories(t *testing.T) {
	contract.Histories(t, historyRig)
}
