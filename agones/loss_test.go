package agones

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
)

// hangUp ends a call without an answer.
func hangUp(http.ResponseWriter, string) bool { panic(http.ErrAbortHandler) }

// exitsOf collects exits until the test ends.
func exitsOf(t *testing.T, b *Backend) func() []throng.ServerExit {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var all []throng.ServerExit
	var group sync.WaitGroup
	group.Go(func() {
		_ = b.Watch(ctx, func(e throng.ServerExit) {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, e)
		})
	})
	t.Cleanup(func() { cancel(); group.Wait() })
	return func() []throng.ServerExit {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// The reply is lost after the server was allocated: its label says where it is.
func TestLostReply(t *testing.T) {
	f := newFake(t, 3)
	f.after = hangUp
	b := start(t, f)
	id := serverID(1)
	if err := b.Allocate(t.Context(), id); err != nil {
		t.Errorf("Allocate: %v", err)
	}
	if err := b.Allocate(t.Context(), id); err != nil {
		t.Errorf("Allocate again: %v", err)
	}
	listed(t, b, id)
	if n := f.ordered(id); n != 1 {
		t.Errorf("got %d orders, want 1", n)
	}
}

// The reply is lost, and so is the watch: one listing by the label finds it.
func TestLostReplyBehindTheWatch(t *testing.T) {
	f := newFake(t, 3)
	b := start(t, f)
	listed(t, b)
	f.faulty(func(w http.ResponseWriter, _ *http.Request, verb string) bool {
		if verb == "watch" {
			refuse(w, http.StatusTooManyRequests, "TooManyRequests", "later")
			return true
		}
		return false
	})
	f.mu.Lock()
	f.after = func(http.ResponseWriter, string) bool {
		go f.snap()
		panic(http.ErrAbortHandler)
	}
	f.mu.Unlock()
	id := serverID(1)
	if err := b.Allocate(t.Context(), id); err != nil {
		t.Errorf("Allocate: %v", err)
	}
	listed(t, b, id)
}

// The call was lost before it came to anything: it is never sent again, and the
// ID is of no use.
func TestLostCall(t *testing.T) {
	f := newFake(t, 3)
	b := start(t, f)
	listed(t, b)
	f.faulty(func(_ http.ResponseWriter, _ *http.Request, verb string) bool {
		if verb == "allocate" {
			panic(http.ErrAbortHandler)
		}
		return false
	})
	id := serverID(1)
	for range 2 {
		err := b.Allocate(t.Context(), id)
		if throng.KindOf(err) != throng.Unavailable || !strings.Contains(err.Error(), "may have been allocated in cluster a") {
			t.Errorf("Allocate: got %v, want unavailable, it may have been allocated", err)
		}
	}
	if n := f.asked("allocate"); n != 1 {
		t.Errorf("got %d calls, want 1", n)
	}
	listed(t, b)
}

// The allocation is slow, its caller gives up and releases the ID: what comes
// later is deleted, by whichever control plane sees it.
func TestLateAllocation(t *testing.T) {
	f := newFake(t, 2)
	b, other := start(t, f), start(t, f)
	exits := exitsOf(t, b)
	listed(t, b)
	goOn, came := make(chan struct{}), make(chan struct{})
	f.faulty(func(_ http.ResponseWriter, r *http.Request, verb string) bool {
		if verb == "allocate" {
			close(came)
			<-goOn
			_ = r
		}
		return false
	})
	id := serverID(1)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- b.Allocate(ctx, id) }()
	<-came
	cancel()
	if err := <-failed; throng.KindOf(err) != throng.Unavailable {
		t.Errorf("Allocate: got %v, want unavailable", err)
	}
	if err := b.Release(t.Context(), id); err != nil {
		t.Errorf("Release: %v", err)
	}
	close(goOn)
	eventually(t, "the late one is deleted", func() bool { return f.count(kind.StateAllocated) == 0 && f.count(kind.StateReady) == 1 })
	listed(t, b)
	eventually(t, "the other one sees none", func() bool { got, err := other.List(t.Context()); return err == nil && len(got) == 0 })
	if err := b.Allocate(t.Context(), id); throng.KindOf(err) != throng.Conflict {
		t.Errorf("Allocate after Release: got %v, want conflict", err)
	}
	if got := exits(); len(got) != 0 {
		t.Errorf("got exits %v of a server that never was", got)
	}
}

// Agones retries inside: two servers bear one ID. All control planes keep the
// one that was allocated first, even if they see the other one first.
func TestTwins(t *testing.T) {
	f := newFake(t, 4)
	b, other := start(t, f), start(t, f)
	exits := exitsOf(t, b)
	listed(t, b)
	listed(t, other)
	id := serverID(1)
	mark := func(name string, at time.Time) {
		f.set(name, func(g *kind.GameServer) {
			g.Status.State = kind.StateAllocated
			g.Metadata.Labels[kind.LabelServer], g.Metadata.Labels[kind.LabelRegion] = string(id), "test"
			g.Metadata.Annotations = map[string]string{kind.AnnotationAllocated: at.UTC().Format(time.RFC3339Nano)}
		})
	}
	now := time.Now()
	mark("warm-002", now)
	eventually(t, "it is seen", func() bool { got, _ := b.List(t.Context()); return len(got) == 1 })
	mark("warm-000", now.Add(-time.Nanosecond))
	mark("warm-001", now.Add(time.Hour))
	eventually(t, "one is left", func() bool { return slices.Equal(f.named(id), []string{"warm-000"}) })
	listed(t, b, id)
	eventually(t, "the other one agrees", func() bool { got, err := other.List(t.Context()); return err == nil && len(got) == 1 })
	if got := exits(); len(got) != 0 {
		t.Errorf("got exits %v, but the server is alive", got)
	}
	f.remove("warm-000")
	eventually(t, "its exit is told", func() bool { return len(exits()) == 1 })
	mark("warm-003", now) // of the same ID, after its end
	eventually(t, "it is deleted", func() bool { return len(f.named(id)) == 0 })
	if got := exits(); len(got) != 1 {
		t.Errorf("got exits %v, want one", got)
	}
}

// A game server may put itself back to Ready; it is over then, and nobody gets
// it again. One that somebody else was given meanwhile is his.
func TestBackToReady(t *testing.T) {
	f := newFake(t, 2)
	b := start(t, f)
	exits := exitsOf(t, b)
	one, two := serverID(1), serverID(2)
	for _, id := range []throng.ServerID{one, two} {
		if err := b.Allocate(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	f.set(f.named(one)[0], func(g *kind.GameServer) { g.Status.State = "RequestReady" })
	eventually(t, "it is deleted", func() bool { return len(f.named(one)) == 0 })
	eventually(t, "its exit is told", func() bool { return len(exits()) == 1 && exits()[0].Server == one })
	listed(t, b, two)

	three := serverID(3)
	f.set(f.named(two)[0], func(g *kind.GameServer) { g.Metadata.Labels[kind.LabelServer] = string(three) })
	eventually(t, "the one before is over", func() bool { return len(exits()) == 2 && exits()[1].Server == two })
	listed(t, b, three)
	if n := f.count(kind.StateAllocated); n != 1 {
		t.Errorf("got %d allocated, want the one that was allocated again", n)
	}
}

// A server with a finalizer stays for a while after it was released; it is told
// once, when it is gone, and the one that is deleted by hand plays on until then.
func TestDeletedSlowly(t *testing.T) {
	f := newFake(t, 2)
	f.linger = true
	b := start(t, f)
	exits := exitsOf(t, b)
	one, two := serverID(1), serverID(2)
	for _, id := range []throng.ServerID{one, two} {
		if err := b.Allocate(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Release(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	f.set(f.named(two)[0], func(g *kind.GameServer) { g.Metadata.DeletionTimestamp = &now })
	listed(t, b, two)
	for _, id := range []throng.ServerID{one, two} {
		f.remove(f.named(id)[0])
	}
	eventually(t, "both are told", func() bool { return len(exits()) == 2 })
	listed(t, b)
	if n := f.asked("delete"); n != 1 {
		t.Errorf("got %d deletions, want 1", n)
	}
}

// The API server forgot what happened while the watch was away: all is listed
// once, and what is gone is told once.
func TestStaleWatch(t *testing.T) {
	f := newFake(t, 5)
	b := start(t, f)
	exits := exitsOf(t, b)
	ids := []throng.ServerID{serverID(1), serverID(2), serverID(3)}
	for _, id := range ids {
		if err := b.Allocate(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	before := f.watched(t)
	f.faulty(func(w http.ResponseWriter, _ *http.Request, verb string) bool {
		if verb != "watch" {
			return false
		}
		refuse(w, http.StatusServiceUnavailable, "ServiceUnavailable", "restarting")
		return true
	})
	f.snap()
	f.remove(f.named(ids[1])[0])
	f.forget()
	f.faulty(nil)
	eventually(t, "its exit is told", func() bool { return len(exits()) == 1 && exits()[0].Server == ids[1] })
	listed(t, b, ids[0], ids[2])
	if n := f.asked("list") - before; n != 1 {
		t.Errorf("got %d listings, want 1", n)
	}
	f.set(f.named(ids[2])[0], func(g *kind.GameServer) { g.Status.State = kind.StateShutdown })
	eventually(t, "it is watched again", func() bool { return len(exits()) == 2 })
}

// In quiet times and in busy ones nothing is listed.
func TestNoListing(t *testing.T) {
	f := newFake(t, 40)
	b := start(t, f)
	listed(t, b)
	before := f.watched(t)
	var group sync.WaitGroup
	for n := range 40 {
		group.Go(func() {
			id := serverID(byte(n))
			if err := b.Allocate(t.Context(), id); err != nil {
				t.Errorf("Allocate: %v", err)
			}
			if n%2 == 0 {
				if err := b.Release(t.Context(), id); err != nil {
					t.Errorf("Release: %v", err)
				}
			}
		})
	}
	group.Wait()
	for range 100 {
		if got, err := b.List(t.Context()); err != nil || len(got) != 20 {
			t.Fatalf("List: got %d, %v, want 20", len(got), err)
		}
	}
	f.snap() // a watch that is renewed goes on where it was
	f.set(f.named(serverID(1))[0], func(g *kind.GameServer) { g.Status.State = kind.StateUnhealthy })
	eventually(t, "it is seen", func() bool { got, _ := b.List(t.Context()); return len(got) == 19 })
	if n := f.asked("list") - before; n != 0 {
		t.Errorf("got %d listings, want none", n)
	}
	if n := f.asked("get"); n != 0 {
		t.Errorf("got %d looks at single objects, want none", n)
	}
}

// The API server is away: nothing is concluded, and all heals.
func TestClusterAway(t *testing.T) {
	f := newFake(t, 4)
	cfg := Config{Region: "test", Clusters: []ClusterConfig{f.config("a")}, Stale: 200 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
	b := startWith(t, cfg)
	exits := exitsOf(t, b)
	one, two := serverID(1), serverID(2)
	for _, id := range []throng.ServerID{one, two} {
		if err := b.Allocate(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	var down atomic.Bool
	down.Store(true)
	f.faulty(func(http.ResponseWriter, *http.Request, string) bool {
		if down.Load() {
			panic(http.ErrAbortHandler)
		}
		return false
	})
	f.snap()
	eventually(t, "the listing is too old", func() bool {
		_, err := b.List(t.Context())
		return throng.KindOf(err) == throng.Unavailable && err != nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := b.Allocate(ctx, serverID(3)); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("Allocate: got %v, want unavailable", err)
	}
	if err := b.Release(t.Context(), two); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("Release: got %v, want unavailable", err)
	}
	if got := b.Clusters(); got[0].Away == "" {
		t.Errorf("got %+v, want it away", got)
	}
	if got := exits(); len(got) != 0 {
		t.Errorf("got exits %v while nothing is known", got)
	}
	down.Store(false)
	eventually(t, "it is listed again", func() bool { _, err := b.List(t.Context()); return err == nil })
	listed(t, b, one)
	eventually(t, "what was released is deleted", func() bool { return len(f.named(two)) == 0 })
	if err := b.Allocate(t.Context(), serverID(4)); err != nil {
		t.Errorf("Allocate: %v", err)
	}
	if n := f.ordered(serverID(3)); n != 0 {
		t.Errorf("got %d orders of a call that had failed", n)
	}
}

// Before the first look nobody says that there is nothing.
func TestNotSeenYet(t *testing.T) {
	f := newFake(t, 1)
	f.faulty(func(w http.ResponseWriter, _ *http.Request, verb string) bool {
		refuse(w, http.StatusForbidden, "Forbidden", verb+" is forbidden: User \"x\" cannot do it")
		return true
	})
	b := start(t, f)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := b.List(ctx); throng.KindOf(err) != throng.Unavailable || !strings.Contains(fmt.Sprint(err), "forbidden") {
		t.Errorf("List: got %v, want unavailable, and why", err)
	}
	if err := b.Allocate(ctx, serverID(1)); throng.KindOf(err) != throng.Unavailable || f.asked("allocate") != 0 {
		t.Errorf("Allocate: got %v, want unavailable", err)
	}
}
