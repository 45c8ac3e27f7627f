package replica_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/memory"
	"github.com/throng-gg/throng/replica"
)

// region is replicas that reach each other in memory.
type region struct {
	store replica.Store

	mu    sync.Mutex
	heard map[string]*throng.ReplicaNews // by URL
	holds map[string][]throng.ServerID
	deaf  map[string]bool // it does not answer
	away  error           // of the store
}

func newRegion() *region {
	return &region{
		store: memory.NewReplicas(),
		heard: map[string]*throng.ReplicaNews{}, holds: map[string][]throng.ServerID{}, deaf: map[string]bool{},
	}
}

func (r *region) Announce(ctx context.Context, self throng.Replica, lease time.Duration) ([]throng.Replica, error) {
	r.mu.Lock()
	err := r.away
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return r.store.Announce(ctx, self, lease)
}

// way is how one of them is reached.
type way struct {
	*region
	url string
}

func (w way) Tell(_ context.Context, n throng.ReplicaNews) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deaf[w.url] {
		return errors.New("connection refused")
	}
	all := w.heard[w.url]
	if all == nil {
		all = &throng.ReplicaNews{}
		w.heard[w.url] = all
	}
	all.Orders = append(all.Orders, n.Orders...)
	all.Took = append(all.Took, n.Took...)
	all.Logs = append(all.Logs, n.Logs...)
	all.Lines = append(all.Lines, n.Lines...)
	return nil
}

func (w way) Ask(_ context.Context, q throng.ReplicaQuestion) (throng.ReplicaAnswer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deaf[w.url] {
		return throng.ReplicaAnswer{}, errors.New("connection refused")
	}
	a := throng.ReplicaAnswer{Opening: q.Session != "" && w.url == "http://b"}
	if q.Ticket == "tkt" && q.Caller == "ada" {
		a.Joins = []throng.JoinRecord{{Ticket: q.Ticket, Process: w.url}}
	}
	for _, id := range q.Servers {
		if slices.Contains(w.holds[w.url], id) {
			a.Held = append(a.Held, id)
		}
	}
	return a, nil
}

// run starts a replica.
func (r *region) run(t *testing.T, n byte, url string) (*replica.Replicas, context.CancelFunc) {
	t.Helper()
	all, err := replica.New(replica.Config{
		Self:  throng.Replica{ID: throng.MakeReplicaID("eu", throng.Entropy{n}), URL: url},
		Store: r,
		Dial:  func(other throng.Replica) (replica.Peer, error) { return way{r, other.URL}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		if err := all.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	stop := sync.OnceFunc(func() { cancel(); <-over })
	t.Cleanup(stop)
	return all, stop
}

func after(d time.Duration) {
	<-time.After(d) // in a bubble
	synctest.Wait()
}

func sameDoors(t *testing.T, of *replica.Replicas, want ...string) {
	t.Helper()
	if got, _ := of.Doors(); !slices.Equal(got, want) {
		t.Errorf("doors: got %v, want %v", got, want)
	}
}

func TestReplicasKnowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		a, _ := r.run(t, 1, "http://a")
		_, stopB := r.run(t, 2, "http://b")
		c, _ := r.run(t, 3, "http://c")
		after(2 * time.Second)
		sameDoors(t, a, "http://a", "http://b", "http://c")
		sameDoors(t, c, "http://c", "http://a", "http://b")
		_, changed := a.Doors()
		stopB() // in order: it takes itself out
		after(2 * time.Second)
		select {
		case <-changed:
		default:
			t.Error("nobody was told that the doors are others")
		}
		sameDoors(t, a, "http://a", "http://c")

		// While the store is away nobody is taken for dead.
		r.mu.Lock()
		r.away = throng.Errorf(throng.Unavailable, "no Redis")
		r.mu.Unlock()
		after(time.Minute)
		sameDoors(t, a, "http://a", "http://c")
		if _, err := a.Held(t.Context(), []throng.ServerID{"srv_eu_1"}); err != nil {
			t.Errorf("Held without the store: got %v, want an answer", err)
		}
	})
}

func TestNewsReachAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		a, stopA := r.run(t, 1, "http://a")
		r.run(t, 2, "http://b")
		r.run(t, 3, "http://c")
		after(2 * time.Second)
		r.deaf["http://c"] = true
		for i := range 500 {
			a.Relay("ses_eu_1", "srv_eu_1", throng.Order{ID: uint64(i + 1), Kind: throng.OrderEvict})
		}
		a.Took("srv_eu_2")
		synctest.Wait()
		r.mu.Lock()
		got := r.heard["http://b"]
		if got == nil || len(got.Orders) != 500 || got.Orders[499].Order.ID != 500 || len(got.Took) != 1 {
			t.Errorf("got %+v, want 500 orders in their order, and what was taken", got)
		}
		r.deaf["http://c"] = false
		r.mu.Unlock()
		// The last news go out at the end.
		a.Logs(throng.PlaceLogs{Place: "arena", LogBatch: throng.LogBatch{First: 1, Lines: make([]throng.LogLine, 2)}})
		a.Lines("arena", throng.LogLine{Text: "one"}, throng.LogLine{Text: "two"})
		stopA()
		for _, url := range []string{"http://b", "http://c"} {
			if got := r.heard[url]; got == nil || len(got.Logs) != 1 || len(got.Lines) != 2 || got.Lines[1].Text != "two" {
				t.Errorf("%s: got %+v, want the log", url, got)
			}
		}
	})
}

func TestAskingReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.holds["http://b"] = []throng.ServerID{"srv_1"}
		r.holds["http://c"] = []throng.ServerID{"srv_3", "srv_4"}
		a, err := replica.New(replica.Config{
			Self: throng.Replica{ID: "rep_eu_1", URL: "http://a"}, Store: r,
			Dial: func(throng.Replica) (replica.Peer, error) { return nil, errors.New("no") },
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Held(t.Context(), nil); throng.KindOf(err) != throng.Unavailable || err == nil {
			t.Errorf("before it is known who lives: got %v, want unavailable", err)
		}
		a, _ = r.run(t, 1, "http://a")
		r.run(t, 2, "http://b")
		_, stopC := r.run(t, 3, "http://c")
		after(2 * time.Second)
		held, err := a.Held(t.Context(), []throng.ServerID{"srv_1", "srv_2", "srv_3"})
		if want := []throng.ServerID{"srv_1", "srv_3"}; err != nil || !slices.Equal(held, want) {
			t.Errorf("got %v, %v, want %v", held, err, want)
		}
		if !a.Opening(t.Context(), "ses_eu_1") {
			t.Error("nobody opens, want b")
		}
		r.mu.Lock()
		r.deaf["http://c"] = true
		r.mu.Unlock()
		if _, err := a.Held(t.Context(), []throng.ServerID{"srv_1"}); throng.KindOf(err) != throng.Unavailable || err == nil {
			t.Errorf("one is not reached: got %v, want unavailable", err)
		}
		if !a.Opening(t.Context(), "ses_eu_1") {
			t.Error("nobody opens, want b, whatever c says")
		}
		joins, err := a.Joins(t.Context(), "tkt", "ada")
		if len(joins) != 1 || joins[0].Process != "http://b" || throng.KindOf(err) != throng.Unavailable {
			t.Errorf("joins: got %v, %v, want b's beside c's error", joins, err)
		}
		stopC()
		after(2 * time.Second)
		if held, err := a.Held(t.Context(), []throng.ServerID{"srv_1"}); err != nil || len(held) != 1 {
			t.Errorf("once it is gone: got %v, %v, want an answer", held, err)
		}
	})
}
