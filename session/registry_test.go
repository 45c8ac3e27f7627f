package session_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/memory"
	"github.com/throng-gg/throng/session"
)

var local = throng.Region{ID: "local", Number: 1}

func newRegistry(t *testing.T, c session.Config) *session.Registry {
	t.Helper()
	if c.Store == nil {
		st, err := memory.New(memory.Config{})
		if err != nil {
			t.Fatal(err)
		}
		c.Store = st
	}
	c.Region = local
	reg, err := session.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

func TestNewChecksItsConfig(t *testing.T) {
	st, err := memory.New(memory.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]session.Config{
		"no store":  {Region: local},
		"no region": {Store: st},
	} {
		if _, err := session.New(c); throng.KindOf(err) != throng.Invalid {
			t.Errorf("%s: got %v, want it invalid", name, err)
		}
	}
	to := prometheus.NewRegistry()
	if _, err := session.New(session.Config{Store: st, Region: local, Metrics: to}); err != nil {
		t.Fatal(err)
	}
	if _, err := session.New(session.Config{Store: st, Region: local, Metrics: to}); err == nil {
		t.Error("two registries on one registerer: got no error, want one")
	}
}

// TestRun plays a region of three sessions on the real Run, in which one server
// falls silent.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := newRegistry(t, session.Config{})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)

		if _, err := reg.Now(ctx); throng.KindOf(err) != throng.Unavailable || throng.RetryAfterOf(err) <= 0 {
			t.Errorf("before Run: got %v, want it unavailable", err)
		}
		go func() { done <- reg.Run(ctx) }()
		synctest.Wait()

		var ids []throng.SessionID
		for range 3 {
			s, err := reg.Open(ctx, throng.Release{Place: "arena", Version: 1, Capacity: 4})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, s.ID)
			beats := 1000
			if len(ids) == 1 {
				beats = 1 // and then it falls silent
			}
			go heartbeats(ctx, t, reg, s.ID, beats)
		}
		var ended []string
		var cursor uint64
		started := time.Now()
		for len(ended) == 0 {
			c, err := reg.Changes(ctx, cursor)
			if err != nil {
				t.Fatal(err)
			}
			for cursor = c.Cursor; len(c.Sessions) > 0; c.Sessions = c.Sessions[1:] {
				if s := c.Sessions[0]; s.State == throng.SessionEnded {
					ended = append(ended, string(s.ID)+" "+s.Reason)
				}
			}
		}
		if want := string(ids[0]) + " no heartbeat for 15s"; ended[0] != want {
			t.Errorf("ended: got %q, want %q", ended[0], want)
		}
		if after := time.Since(started); after < throng.LeaseTime || after > throng.LeaseTime+2*time.Second {
			t.Errorf("ended after %v, want one lease and at most two ticks", after)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: got %v, want none", err)
		}
	})
}

// heartbeats speaks for a session n times, or until ctx ends.
func heartbeats(ctx context.Context, t *testing.T, reg *session.Registry, id throng.SessionID, n int) {
	h := throng.Heartbeat{
		Session: id, Server: throng.MakeServerID(local.ID, throng.Entropy{1}), Incarnation: "one",
		Address: netip.MustParseAddrPort("127.0.0.1:4000"),
	}
	every := time.NewTicker(throng.HeartbeatTime)
	defer every.Stop()
	for range n {
		if _, err := reg.Heartbeat(ctx, h); err != nil && ctx.Err() == nil {
			t.Errorf("heartbeat: %v", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

func TestStoreThatFailsIsReported(t *testing.T) {
	broken := errors.New("disk on fire")
	st, err := memory.New(memory.Config{Fault: func(string, session.Point) error { return broken }})
	if err != nil {
		t.Fatal(err)
	}
	reg := newRegistry(t, session.Config{Store: st})
	if err := reg.Tick(t.Context()); !errors.Is(err, broken) {
		t.Errorf("tick: got %v, want the store's error", err)
	}
	if _, err := reg.Open(t.Context(), throng.Release{Place: "arena", Version: 1, Capacity: 4}); !errors.Is(err, broken) {
		t.Errorf("open: got %v, want the store's error", err)
	}
}

func TestMetrics(t *testing.T) {
	to := prometheus.NewRegistry()
	reg := newRegistry(t, session.Config{Metrics: to})
	ctx := t.Context()
	if err := reg.Tick(ctx); err != nil {
		t.Fatal(err)
	}
	s, err := reg.Open(ctx, throng.Release{Place: "arena", Version: 1, Capacity: 4})
	if err != nil {
		t.Fatal(err)
	}
	c, err := reg.Claim(ctx, throng.Ticket{
		Key: throng.TicketKey{Caller: "ada", Ticket: "t1"}, Place: "arena", Version: 1, Party: []throng.PlayerID{"ada", "bo"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := reg.Hold(ctx, c, s.ID); err != nil {
		t.Fatal(err)
	}
	if err := reg.End(ctx, "nonsense", ""); throng.KindOf(err) != throng.Invalid {
		t.Errorf("end of nonsense: got %v, want it invalid", err)
	}
	if err := reg.Tick(ctx); err != nil {
		t.Fatal(err)
	}
	got := gather(t, to)
	for name, want := range map[string]float64{
		"throng_registry_operations_total/invalid/end": 1,
		"throng_registry_operations_total/ok/hold":     1,
		"throng_registry_sessions/starting":            1,
		"throng_registry_sessions/open":                0,
		"throng_registry_held_seats":                   2,
		"throng_registry_generations_total":            throng.Shards,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s: got %v (there: %t), want %v", name, v, ok, want)
		}
	}
}

// gather returns all samples by name and label values.
func gather(t *testing.T, from prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += "/" + l.GetValue()
			}
			all[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return all
}
