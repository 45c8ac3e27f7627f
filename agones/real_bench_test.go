package agones_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/tools/cache"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
	"github.com/throng-gg/throng/fleet"
	standin "github.com/throng-gg/throng/test/agones"
	"github.com/throng-gg/throng/test/agones/object"
)

const (
	benchFleet   = 500 // servers
	benchStock   = 100
	benchAtOnce  = 300 // openings
	benchCallers = 64  // of the bare API
)

// BenchmarkOpenings opens 300 sessions at once on a stock of 100, with Agones'
// default batch wait, and measures the bare allocation API in the same run:
//
//	THRONG_CLUSTER_BIN=... go test -run '^$' -bench Openings -benchtime 1x ./agones
func BenchmarkOpenings(b *testing.B) {
	g := stand(b, standin.Options{Straight: true, Ports: [2]int32{7000, 9000}})
	for b.Loop() {
		bare := g.bare(b, 200)
		o := g.openAtOnce(b)
		b.ReportMetric(bare, "bare-alloc/s")
		b.ReportMetric(o.fill, "fill/s")
		b.ReportMetric(o.refill, "refill/s")
		b.ReportMetric(float64(o.took[benchStock-1].Microseconds())/1000, "ms-100th")
		b.ReportMetric(float64(o.took[benchAtOnce-1].Milliseconds()), "ms-300th")
		b.ReportMetric(float64(o.twice), "handed-twice")
		b.Logf("bare %.0f/s with %d callers; stock filled at %.0f/s, refilled at %.0f/s (%.0f%% of bare); the 100th opening after %v, the 300th after %v",
			bare, benchCallers, o.fill, o.refill, 100*o.refill/bare, o.took[benchStock-1].Round(time.Millisecond), o.took[benchAtOnce-1].Round(time.Millisecond))
	}
}

// bare allocates from a Fleet of its own with many callers, and returns how many
// a second.
func (g *ground) bare(t testing.TB, n int) float64 {
	t.Helper()
	namespace := g.fleet(t, int32(n)) //nolint:gosec // a few hundred
	body, err := json.Marshal(kind.GameServerAllocation{
		APIVersion: "allocation.agones.dev/v1", Kind: "GameServerAllocation",
		Spec: kind.AllocationSpec{Selectors: []kind.Selector{{MatchLabels: map[string]string{kind.LabelFleet: "warm"}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	next := make(chan struct{}, n)
	for range n {
		next <- struct{}{}
	}
	close(next)
	begun := time.Now()
	var group sync.WaitGroup
	for range benchCallers {
		group.Go(func() {
			for range next {
				text, err := g.kube.RESTClient().Post().AbsPath("/apis/allocation.agones.dev/v1/namespaces/"+namespace+"/gameserverallocations").
					SetHeader("Content-Type", "application/json").Body(body).DoRaw(t.Context())
				var a kind.GameServerAllocation
				if err == nil {
					err = json.Unmarshal(text, &a)
				}
				if err != nil || a.Status.State != kind.Allocated {
					t.Errorf("allocate: got %s, %v", a.Status.State, err)
				}
			}
		})
	}
	group.Wait()
	return float64(n) / time.Since(begun).Seconds()
}

// opening is what a run of openings came to.
type opening struct {
	fill, refill float64         // servers a second
	took         []time.Duration // from Start to the handover, sorted
	twice        int             // servers that were handed two sessions
}

// openAtOnce runs an orchestrator on the cluster. Its game servers connect as soon
// as they are allocated, and take what they are handed.
func (g *ground) openAtOnce(b *testing.B) (o opening) {
	b.Helper()
	namespace := g.fleet(b, benchFleet)
	backend := run(b, g.config("a", namespace, nil))
	r := &registry{sessions: map[throng.SessionID]throng.Session{}, changed: make(chan struct{})}
	f, err := fleet.New(fleet.Config{
		Region: throng.Region{ID: "test", Number: 1}, Backend: backend, Registry: r, Keys: benchKeys{},
		Stock: benchStock, Max: benchFleet, AtOnce: benchCallers, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	a := &attacher{b: b, fleet: f, registry: r, seen: map[string]bool{}, handed: map[throng.ServerID]int{}, at: map[throng.SessionID]time.Time{}}
	ctx, cancel := context.WithCancel(b.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	servers := g.GameServers.Informer(namespace, nil)
	if _, err := servers.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: a.saw, UpdateFunc: func(_, n any) { a.saw(n) }}); err != nil {
		b.Fatal(err)
	}
	group.Go(func() { servers.RunWithContext(ctx) })
	begun := time.Now()
	group.Go(func() { _ = f.Run(ctx) })
	within(b, time.Minute, "the stock is filled", f.Ready)
	o.fill = benchStock / time.Since(begun).Seconds()

	begun = time.Now()
	for n := range benchAtOnce {
		s := throng.Session{ID: throng.MakeSessionID("test", 0, throng.Entropy{byte(n), byte(n >> 8)}), Place: "arena", Version: 1, Capacity: 8, OpenedAt: begun}
		r.put(s)
		if err := f.Start(s, throng.Release{Place: "arena", Version: 1}); err != nil {
			b.Errorf("Start: %v", err)
		}
	}
	within(b, 30*time.Second, "all are handed over", func() bool { return a.count() == benchAtOnce })
	within(b, 30*time.Second, "the stock is refilled", f.Ready)
	o.refill = benchAtOnce / time.Since(begun).Seconds()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, at := range a.at {
		o.took = append(o.took, at.Sub(begun))
	}
	slices.Sort(o.took)
	for _, n := range a.handed {
		if n > 1 {
			o.twice++
		}
	}
	return o
}

// attacher connects game servers to the orchestrator when they are allocated.
type attacher struct {
	b        *testing.B
	fleet    *fleet.Orchestrator
	registry *registry

	mu     sync.Mutex
	seen   map[string]bool
	handed map[throng.ServerID]int
	at     map[throng.SessionID]time.Time
}

func (a *attacher) saw(o any) {
	g, ok := o.(*object.GameServer)
	if !ok || g.Labels[kind.LabelServer] == "" || g.Status.State != object.Allocated {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen[g.Name] {
		return
	}
	a.seen[g.Name] = true
	id := throng.ServerID(g.Labels[kind.LabelServer])
	hello := throng.Hello{Server: id, Incarnation: throng.Incarnation("inc-" + g.Name)}
	go func() {
		if _, err := a.fleet.Attach(hello, benchLink{a, hello}); err != nil && a.b.Context().Err() == nil {
			a.b.Errorf("Attach: %v", err)
		}
	}()
}

func (a *attacher) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.at)
}

// benchLink is the control connection of one.
type benchLink struct {
	a     *attacher
	hello throng.Hello
}

func (l benchLink) Handover(_ context.Context, h throng.Handover) error {
	l.a.mu.Lock()
	l.a.handed[l.hello.Server]++
	l.a.at[h.Session] = time.Now()
	l.a.mu.Unlock()
	l.a.registry.bind(h.Session, l.hello)
	return nil
}
func (benchLink) Order(throng.SessionID, throng.Order) error { return nil }
func (benchLink) Stop(string) error                          { return nil }

type benchKeys struct{}

// SessionKey is none.
func (benchKeys) SessionKey(throng.SessionID) ([32]byte, error) { return [32]byte{}, nil }

// ServerToken is any.
func (benchKeys) ServerToken(throng.ServerID, throng.SessionID) (string, error) { return "token", nil }

func (benchKeys) Route(throng.SessionID, netip.AddrPort) (string, error) { return "", nil }

// registry binds who was handed a session, at once.
type registry struct {
	mu       sync.Mutex
	sessions map[throng.SessionID]throng.Session
	news     []throng.SessionID
	changed  chan struct{}
}

func (r *registry) put(s throng.Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions[s.ID] = s
	r.news = append(r.news, s.ID)
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *registry) bind(id throng.SessionID, h throng.Hello) {
	r.mu.Lock()
	s := r.sessions[id]
	r.mu.Unlock()
	s.State, s.Server, s.Incarnation, s.LeaseUntil = throng.SessionOpen, h.Server, h.Incarnation, time.Now().Add(time.Hour)
	r.put(s)
}

func (r *registry) End(_ context.Context, id throng.SessionID, reason string) error {
	return fmt.Errorf("nobody ends %s: %s", id, reason)
}

func (r *registry) Drain(_ context.Context, id throng.SessionID, reason string, _ time.Duration) error {
	return fmt.Errorf("nobody drains %s: %s", id, reason)
}

func (r *registry) Session(_ context.Context, id throng.SessionID) (throng.Session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.sessions[id]
	if !ok {
		return s, throng.Errorf(throng.NotFound, "no such session")
	}
	return s, nil
}

func (r *registry) Changes(ctx context.Context, cursor uint64) (throng.SessionChanges, error) {
	for {
		r.mu.Lock()
		c := throng.SessionChanges{Cursor: uint64(len(r.news)) + 1, Full: cursor == 0}
		if cursor > 0 {
			for _, id := range r.news[cursor-1:] {
				c.Sessions = append(c.Sessions, r.sessions[id])
			}
		}
		changed := r.changed
		r.mu.Unlock()
		if len(c.Sessions) > 0 || c.Full {
			return c, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return c, ctx.Err()
		}
	}
}

func (r *registry) Now(context.Context) (time.Time, error) { return time.Now(), nil }
