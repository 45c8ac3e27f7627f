package agones_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones"
	"github.com/throng-gg/throng/agones/kind"
	standin "github.com/throng-gg/throng/test/agones"
	"github.com/throng-gg/throng/test/agones/allocation"
	"github.com/throng-gg/throng/test/agones/control"
)

func seen(t *testing.T, b *agones.Backend) {
	t.Helper()
	within(t, 20*time.Second, "the clusters are seen", func() bool { _, err := b.List(t.Context()); return err == nil })
}

// TestFaultsOnKubernetes is what goes wrong with allocations, on a real API
// server between us and Agones' stand-in.
func TestFaultsOnKubernetes(t *testing.T) {
	g := stand(t, standin.Options{BatchWait: 50 * time.Millisecond, Pods: control.PaperPods, SDKImage: "none.test/sidecar"})
	namespace, r := g.fleet(t, 12), newRecorder()
	b := run(t, g.config("a", namespace, r))
	other := run(t, g.config("a", namespace, nil))
	told := agones.ExitsOf(t, b)
	seen(t, b)
	seen(t, other)

	t.Run("a lost reply", func(t *testing.T) {
		g.Inject(allocation.Fault{LoseReply: true, Times: 1})
		if err := b.Allocate(t.Context(), id(1)); err != nil {
			t.Errorf("Allocate: %v", err)
		}
	})
	t.Run("twins", func(t *testing.T) {
		g.Inject(allocation.Fault{Twin: true, Times: 1})
		if err := b.Allocate(t.Context(), id(2)); err != nil {
			t.Errorf("Allocate: %v", err)
		}
		within(t, 10*time.Second, "one of the two is left", func() bool {
			left := g.named(t, namespace, id(2))
			return len(left) == 1 && left[0].Metadata.DeletionTimestamp == nil
		})
	})
	t.Run("a conflict", func(t *testing.T) {
		end := g.Inject(allocation.Fault{Conflict: true})
		err := b.Allocate(t.Context(), id(3))
		end()
		if throng.KindOf(err) != throng.Unavailable || !strings.Contains(err.Error(), "could not update the selected GameServer") {
			t.Errorf("Allocate: got %v, want unavailable, and why", err)
		}
		if err := b.Release(t.Context(), id(3)); err != nil {
			t.Errorf("Release: %v", err)
		}
	})
	t.Run("refusals", func(t *testing.T) {
		for status, want := range map[int]string{429: "too busy", 503: ""} {
			g.Inject(allocation.Fault{Status: status, Times: 1})
			if err := b.Allocate(t.Context(), id(byte(status))); throng.KindOf(err) != throng.Unavailable || !strings.Contains(err.Error(), want) {
				t.Errorf("%d: got %v, want unavailable", status, err)
			}
			if err := b.Allocate(t.Context(), id(byte(status))); err != nil && status == 429 {
				t.Errorf("the same again, since it is certain that there was none: %v", err)
			}
			_ = b.Release(t.Context(), id(byte(status)))
		}
	})
	t.Run("extensions down", func(t *testing.T) {
		if err := g.StopExtensions(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.Allocate(t.Context(), id(4)); throng.KindOf(err) != throng.Unavailable || !strings.Contains(err.Error(), "does not take allocations now") {
			t.Errorf("Allocate: got %v, want unavailable, and why", err)
		}
		if err := g.StartExtensions(t.Context()); err != nil {
			t.Fatal(err)
		}
		within(t, 20*time.Second, "it is allocated again", func() bool { return b.Allocate(t.Context(), id(4)) == nil })
	})
	t.Run("late", func(t *testing.T) {
		g.Inject(allocation.Fault{Delay: 700 * time.Millisecond, Times: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if err := b.Allocate(ctx, id(5)); throng.KindOf(err) != throng.Unavailable {
			t.Errorf("Allocate: got %v, want unavailable", err)
		}
		if err := b.Release(t.Context(), id(5)); err != nil {
			t.Errorf("Release: %v", err)
		}
		pause(t, 1200*time.Millisecond) // for the late one to come
		within(t, 10*time.Second, "the late one is gone", func() bool { return len(g.named(t, namespace, id(5))) == 0 })
	})
	t.Run("a dead server is handed out", func(t *testing.T) {
		g.ready(t, namespace, 1)
		for _, s := range g.servers(t, namespace) {
			if s.Status.State == kind.StateReady {
				if err := g.Exit(namespace, s.Metadata.Name, 137); err != nil {
					t.Fatal(err)
				}
			}
		}
		before := len(told())
		if err := b.Allocate(t.Context(), id(6)); err != nil {
			t.Fatalf("Allocate: %v", err)
		}
		begun := time.Now()
		within(t, 8*time.Second, "its end is told", func() bool {
			return slices.ContainsFunc(told()[before:], func(e throng.ServerExit) bool { return e.Server == id(6) })
		})
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("its end was told after %v, want 5 s", took)
		}
	})
	got, err := b.List(t.Context())
	if err != nil || len(got) < 3 {
		t.Errorf("List: got %v, %v", got, err)
	}
	within(t, 10*time.Second, "both control planes see the same", func() bool {
		mine, err := b.List(t.Context())
		others, otherErr := other.List(t.Context())
		return err == nil && otherErr == nil && slices.Equal(mine, others)
	})
	for _, one := range got {
		again := one == id(4) || one == id(429%256) // those that were refused for certain
		if n := len(g.named(t, namespace, one)); n != 1 || r.ordered(one) != 1 && !again {
			t.Errorf("%s: got %d servers after %d orders, want 1 and 1", one, n, r.ordered(one))
		}
	}
}

func pause(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// TestPodsOnKubernetes has pods prove who they are by tokens that a real API
// server made for them.
func TestPodsOnKubernetes(t *testing.T) {
	g := stand(t, standin.Options{BatchWait: 10 * time.Millisecond, Pods: control.PaperPods, SDKImage: "none.test/sidecar"})
	namespace := g.fleet(t, 3)
	b := run(t, g.config("a", namespace, nil))
	if err := b.Allocate(t.Context(), id(1)); err != nil {
		t.Fatal(err)
	}
	pod := g.named(t, namespace, id(1))[0].Metadata.Name
	token := g.token(t, namespace, pod, "throng")
	for range 2 {
		if got, err := b.Identify(t.Context(), token); err != nil || got != id(1) {
			t.Errorf("got %s, %v, want %s", got, err, id(1))
		}
	}
	if _, err := b.Identify(t.Context(), g.token(t, namespace, pod, "https://kubernetes.default.svc")); throng.KindOf(err) != throng.Denied {
		t.Errorf("a token for the API server: got %v, want denied", err)
	}
	for _, s := range g.servers(t, namespace) {
		if s.Status.State == kind.StateReady {
			if _, err := b.Identify(t.Context(), g.token(t, namespace, s.Metadata.Name, "throng")); throng.KindOf(err) != throng.NotFound {
				t.Errorf("a pod that is not allocated: got %v, want not found", err)
			}
		}
	}
	elsewhere := run(t, g.config("a", "games-9", nil))
	if _, err := elsewhere.Identify(t.Context(), token); throng.KindOf(err) != throng.Denied {
		t.Errorf("a pod of another namespace: got %v, want denied", err)
	}
	if err := b.Release(t.Context(), id(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Identify(t.Context(), token); err == nil {
		t.Error("a server that was released is still somebody")
	}
}

// TestServerStopped stops one API server of two as a cut does: connections stay
// open, and nobody answers. Allocations go on, and what is left over is deleted
// when it is back.
func TestServerStopped(t *testing.T) {
	a := stand(t, standin.Options{BatchWait: 50 * time.Millisecond})
	c := stand(t, standin.Options{BatchWait: 50 * time.Millisecond})
	namespaceA, namespaceC, r := a.fleet(t, 10), c.fleet(t, 20), newRecorder()
	b := run(t, a.config("a", namespaceA, r), c.config("c", namespaceC, r))
	told := agones.ExitsOf(t, b)
	seen(t, b)
	for n := range 6 {
		if err := b.Allocate(t.Context(), id(byte(n))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(labelledIn(t, a, namespaceA)); n != 3 {
		t.Fatalf("got %d servers in a, want 3", n)
	}
	a.cluster.APIServer.Pause()
	defer a.cluster.APIServer.Resume()
	begun := time.Now()
	var lost, got []throng.ServerID
	for n := byte(10); time.Since(begun) < 8*time.Second && n < 20; n++ {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		asked := time.Now()
		err := b.Allocate(ctx, id(n))
		cancel()
		switch took := time.Since(asked); {
		case err == nil:
			got = append(got, id(n))
		case throng.KindOf(err) != throng.Unavailable:
			t.Errorf("Allocate: got %v, want unavailable", err)
		case took > 7*time.Second:
			t.Errorf("it took %v to fail: %v", took, err)
		default:
			t.Logf("after %v: %v", took.Round(time.Millisecond), err)
			lost = append(lost, id(n))
			if err := b.Release(t.Context(), id(n)); err != nil {
				t.Errorf("Release: %v", err)
			}
		}
	}
	if len(got) < 8 || len(lost) > 2 {
		t.Errorf("got %d servers, lost %d calls", len(got), len(lost))
	}
	if err := b.Release(t.Context(), id(0)); err != nil { // in a, by name
		t.Logf("Release in the cluster that is away: %v", err)
	}
	if n := len(told()); n != 0 {
		t.Errorf("got %d exits, %v, of servers that nobody saw end", n, told())
	}
	a.cluster.APIServer.Resume()
	within(t, 30*time.Second, "what is left over is deleted", func() bool {
		for _, id := range append(slices.Clone(lost), id(0)) {
			if len(a.named(t, namespaceA, id)) > 0 {
				return false
			}
		}
		all, err := b.List(t.Context())
		return err == nil && len(all) == 5+len(got)
	})
	if err := b.Allocate(t.Context(), id(30)); err != nil {
		t.Errorf("Allocate: %v", err)
	}
	for _, one := range append(lost, got...) {
		if n := r.ordered(one); n != 1 {
			t.Errorf("%s was ordered %d times", one, n)
		}
	}
}

func labelledIn(t *testing.T, g *ground, namespace string) (all []kind.GameServer) {
	t.Helper()
	for _, s := range g.servers(t, namespace) {
		if s.Metadata.Labels[kind.LabelServer] != "" {
			all = append(all, s)
		}
	}
	return all
}

// TestServerKilled kills an API server and etcd with it; it comes back with what
// it had.
func TestServerKilled(t *testing.T) {
	g := stand(t, standin.Options{BatchWait: 20 * time.Millisecond})
	namespace, r := g.fleet(t, 8), newRecorder()
	b := run(t, g.config("a", namespace, r))
	told := agones.ExitsOf(t, b)
	for n := range 5 {
		if err := b.Allocate(t.Context(), id(byte(n))); err != nil {
			t.Fatal(err)
		}
	}
	r.mu.Lock()
	before := r.lists
	r.mu.Unlock()
	g.cluster.APIServer.Kill()
	if err := b.Allocate(t.Context(), id(7)); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("Allocate: got %v, want unavailable", err)
	}
	pause(t, time.Duration(rand.N(2000))*time.Millisecond) //nolint:gosec // any moment
	g.cluster.RestartAPIServer(t)
	within(t, 30*time.Second, "it is watched again", func() bool {
		c := b.Clusters()
		return c[0].Away == ""
	})
	if got, err := b.List(t.Context()); err != nil || len(got) != 5 {
		t.Errorf("List: got %v, %v, want 5", got, err)
	}
	if n := len(told()); n != 0 {
		t.Errorf("got exits %v of servers that live", told())
	}
	r.mu.Lock()
	lists := r.lists - before
	r.mu.Unlock()
	if lists > 6 {
		t.Errorf("got %d listings, want two at most for each kind, and those that failed", lists)
	}
	within(t, 30*time.Second, "it allocates", func() bool { return b.Allocate(t.Context(), id(8)) == nil })
	for _, s := range g.named(t, namespace, id(2)) {
		if err := g.Exit(namespace, s.Metadata.Name, 1); err != nil {
			t.Fatal(err)
		}
	}
	within(t, 20*time.Second, "a crash is told", func() bool {
		return slices.ContainsFunc(told(), func(e throng.ServerExit) bool { return e.Server == id(2) })
	})
}
