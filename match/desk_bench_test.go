package match

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/memory"
	"github.com/throng-gg/throng/session"
)

// instant is a fleet whose servers are there at once.
type instant struct {
	t        testing.TB
	registry *session.Registry
	capacity int
	started  atomic.Int64
}

func (f *instant) Resume(context.Context, throng.Session, throng.Release) error { return nil }

func (f *instant) Version(ctx context.Context, p throng.PlaceID, _ throng.Version) (throng.Release, error) {
	return f.Release(ctx, p)
}

func (f *instant) Release(_ context.Context, id throng.PlaceID) (throng.Release, error) {
	return throng.Release{Place: id, Version: 3, Package: "abc", Capacity: f.capacity, Weights: throng.Weights{Fill: 1}}, nil
}

func (f *instant) Lanes(ctx context.Context, id throng.PlaceID) (throng.Lanes, error) {
	r, err := f.Release(ctx, id)
	return throng.Lanes{Live: r}, err
}

func (f *instant) Start(s throng.Session, _ throng.Release) error {
	n := f.started.Add(1)
	unique := throng.Entropy{byte(n), byte(n >> 8), byte(n >> 16)}
	_, err := f.registry.Heartbeat(f.t.Context(), throng.Heartbeat{
		Session: s.ID, Server: throng.MakeServerID("eu", unique), Incarnation: throng.MakeIncarnation(unique),
		Address: netip.MustParseAddrPort("127.0.0.1:7000"),
	})
	return err
}

// BenchmarkDesk places tickets of one pool, 2,000 at a time: in new sessions
// that they fill, and one by one in sessions that have room for all.
func BenchmarkDesk(b *testing.B) {
	b.Run("new", func(b *testing.B) { benchDesk(b, 0) })
	b.Run("open", func(b *testing.B) { benchDesk(b, b.N/50+1) })
}

func benchDesk(b *testing.B, sessions int) {
	b.Helper()
	store, err := memory.New(memory.Config{})
	if err != nil {
		b.Fatal(err)
	}
	registry, err := session.New(session.Config{Store: store, Region: throng.Region{ID: "eu"}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	if err := registry.Tick(ctx); err != nil {
		b.Fatal(err)
	}
	running.Go(func() { _ = registry.Run(ctx) })
	f := &instant{t: b, registry: registry, capacity: 50}
	r, _ := f.Release(ctx, "arena")
	for range sessions {
		s, err := registry.Open(ctx, r)
		if err == nil {
			err = f.Start(s, r)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	m, err := New(Config{Region: throng.Region{ID: "eu"}, Registry: registry, Sessions: registry, Fleet: f, Places: f})
	if err != nil {
		b.Fatal(err)
	}
	running.Go(func() { _ = m.Run(ctx) })
	if _, err := m.Place(ctx, ticket("first", 1), time.Minute); err != nil {
		b.Fatal(err)
	}
	var next atomic.Int64
	var each sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range 2000 {
		each.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				got, err := m.Place(ctx, ticket(fmt.Sprint(i), 1), time.Minute)
				if err != nil || got.Assignment == nil {
					b.Errorf("ticket %d: got %+v, %v", i, got, err)
					return
				}
			}
		})
	}
	each.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tickets/s")
	b.ReportMetric(float64(f.started.Load()), "sessions")
}
