package agones

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/client-go/rest"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
)

func TestNewFaults(t *testing.T) {
	good := func() Config {
		return Config{Region: "test", Logger: slog.New(slog.DiscardHandler), Clusters: []ClusterConfig{
			{Name: "a", Namespace: "games", Fleet: "warm", Weight: 1, Server: &rest.Config{Host: "https://127.0.0.1:1"}},
		}}
	}
	if _, err := New(good()); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(c *Config){
		"Region":     func(c *Config) { c.Region = "" },
		"Logger":     func(c *Config) { c.Logger = nil },
		"Stale":      func(c *Config) { c.Stale = -1 },
		"clusters":   func(c *Config) { c.Clusters = nil },
		"kubeconfig": func(c *Config) { c.Clusters[0].Server = nil },
		"namespace":  func(c *Config) { c.Clusters[0].Namespace = "a b" },
		"fleet":      func(c *Config) { c.Clusters[0].Fleet = "" },
		"weight":     func(c *Config) { c.Clusters[0].Weight = -1 },
		"allocator":  func(c *Config) { c.Clusters[0].Allocator = &AllocatorConfig{URL: "nowhere"} },
		"name":       func(c *Config) { c.Clusters = append(c.Clusters, c.Clusters[0]) },
	} {
		cfg := good()
		change(&cfg)
		if _, err := New(cfg); throng.KindOf(err) != throng.Invalid || !strings.HasPrefix(err.Error(), want+": ") {
			t.Errorf("got %v, want %s to be invalid", err, want)
		}
	}
	b, err := New(good())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []throng.ServerID{"x", "srv_other_0123456789abcdef0123456789", throng.MakeServerID("other", throng.Entropy{})} {
		if err := b.Allocate(t.Context(), id); throng.KindOf(err) != throng.Invalid {
			t.Errorf("Allocate %s: got %v, want invalid", id, err)
		}
		if err := b.Release(t.Context(), id); throng.KindOf(err) != throng.Invalid {
			t.Errorf("Release %s: got %v, want invalid", id, err)
		}
	}
}

// Servers are spread by weight.
func TestWeights(t *testing.T) {
	f, g := newFake(t, 12), newFake(t, 12)
	b := startWith(t, Config{Region: "test", Logger: slog.New(slog.DiscardHandler), Clusters: []ClusterConfig{f.config("a"), heavier(g.config("b"), 3)}})
	eventually(t, "both are seen", func() bool { _, err := b.List(t.Context()); return err == nil })
	for n := range 8 {
		if err := b.Allocate(t.Context(), serverID(byte(n))); err != nil {
			t.Fatal(err)
		}
	}
	if a, c := f.count(kind.StateAllocated), g.count(kind.StateAllocated); a != 2 || c != 6 {
		t.Errorf("got %d and %d servers, want 2 and 6", a, c)
	}
	sites := b.Sites()
	for _, s := range sites {
		if s.Cluster == "" || s.Node != "node-1" || s.Address.String() != "192.0.2.1:7000" || s.Image != "engine:1" || s.Old || !strings.HasPrefix(s.Name, "warm-") {
			t.Errorf("got site %+v", s)
		}
	}
	if len(sites) != 8 {
		t.Errorf("got %d sites, want 8", len(sites))
	}
}

func heavier(c ClusterConfig, weight int) ClusterConfig { c.Weight = weight; return c }

// Where it is certain that a cluster gave none, the next one is asked within the
// same call; where it is not, the ID is not asked for twice.
func TestFailover(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(w http.ResponseWriter, r *http.Request, verb string) bool
		empty bool
		want  bool // that the other cluster gives one
	}{
		"none ready":      {empty: true, want: true},
		"extensions down": {fault: answerAllocate(503, "service unavailable\n"), want: true},
		"too busy":        {fault: answerAllocate(429, "later"), want: true},
		"may not":         {fault: answerAllocate(403, "forbidden"), want: true},
		"conflict":        {fault: answerAllocate(500, "could not update the selected GameServer")},
		"hangs up": {fault: func(_ http.ResponseWriter, _ *http.Request, verb string) bool {
			if verb == "allocate" {
				panic(http.ErrAbortHandler)
			}
			return false
		}},
	} {
		t.Run(name, func(t *testing.T) {
			ready := 2
			if c.empty {
				ready = 0
			}
			f, g := newFake(t, ready), newFake(t, 2)
			b := start(t, f, g)
			eventually(t, "both are seen", func() bool { _, err := b.List(t.Context()); return err == nil })
			if c.fault != nil {
				f.faulty(c.fault)
			}
			err := b.Allocate(t.Context(), serverID(1))
			if c.want != (err == nil) || !c.want && throng.KindOf(err) != throng.Unavailable {
				t.Errorf("got %v, want a server: %v", err, c.want)
			}
			if n := f.count(kind.StateAllocated) + g.count(kind.StateAllocated); (n == 1) != c.want || n > 1 {
				t.Errorf("got %d servers, want one: %v", n, c.want)
			}
			if err := b.Allocate(t.Context(), serverID(2)); err != nil {
				t.Errorf("the next one, without waiting: %v", err)
			}
		})
	}
}

func answerAllocate(code int, words string) func(w http.ResponseWriter, r *http.Request, verb string) bool {
	return func(w http.ResponseWriter, _ *http.Request, verb string) bool {
		if verb == "allocate" {
			http.Error(w, words, code)
		}
		return verb == "allocate"
	}
}

func TestNoCapacity(t *testing.T) {
	f, g := newFake(t, 0), newFake(t, 1)
	b := start(t, f, g)
	eventually(t, "both are seen", func() bool { _, err := b.List(t.Context()); return err == nil })
	if err := b.Allocate(t.Context(), serverID(1)); err != nil {
		t.Fatal(err)
	}
	if err := b.Allocate(t.Context(), serverID(2)); throng.KindOf(err) != throng.NoCapacity {
		t.Errorf("got %v, want no capacity", err)
	}
	g.faulty(answerAllocate(503, "service unavailable\n"))
	err := b.Allocate(t.Context(), serverID(3))
	if throng.KindOf(err) != throng.NoCapacity || !strings.Contains(err.Error(), "does not take allocations") {
		t.Errorf("got %v, want no capacity, and that the other one is down", err)
	}
	f.add("more")
	if err := b.Allocate(t.Context(), serverID(3)); err != nil {
		t.Errorf("the same again, when there is one: %v", err)
	}
	b.Avoid([]string{"a", "b", "c"})
	if err := b.Allocate(t.Context(), serverID(4)); throng.KindOf(err) != throng.NoCapacity {
		t.Errorf("all drained: got %v, want no capacity", err)
	}
}

// A rolling update: those of the old image are told from the new ones.
func TestOldServers(t *testing.T) {
	f := newFake(t, 2)
	b := start(t, f)
	if err := b.Allocate(t.Context(), serverID(1)); err != nil {
		t.Fatal(err)
	}
	if c := b.Clusters(); len(c) != 1 || c[0] != (throng.Cluster{Name: "a", Image: "engine:1", Warm: 2, Coming: 1}) {
		t.Errorf("got %+v", c)
	}
	f.mu.Lock()
	f.fleet.Spec.Template.Spec = fakeSpec("engine:2")
	f.mu.Unlock()
	f.snap() // the fake watch of fleets says nothing; it is listed anew after 410 only
	b.mu.Lock()
	fleet := *b.clusters[0].fleet
	fleet.Spec.Template.Spec = fakeSpec("engine:2")
	b.clusters[0].fleet = &fleet
	b.mu.Unlock()
	if s := b.Sites(); len(s) != 1 || !s[0].Old {
		t.Errorf("got %+v, want it old", s)
	}
}

// The allocator service allocates, the API server is watched.
func TestAllocatorService(t *testing.T) {
	f := newFake(t, 2)
	var asked []string
	service := newAllocator(t, f, &asked)
	cfg := f.config("a")
	cfg.Allocator = &AllocatorConfig{URL: service}
	b := startWith(t, Config{Region: "test", Clusters: []ClusterConfig{cfg}, Logger: slog.New(slog.DiscardHandler)})
	for n := range 2 {
		if err := b.Allocate(t.Context(), serverID(byte(n))); err != nil {
			t.Errorf("Allocate: %v", err)
		}
	}
	if err := b.Allocate(t.Context(), serverID(2)); throng.KindOf(err) != throng.NoCapacity {
		t.Errorf("one more: got %v, want no capacity", err)
	}
	listed(t, b, serverID(0), serverID(1))
	if f.asked("allocate") != 0 || len(asked) != 3 || asked[0] != testNamespace {
		t.Errorf("asked the API server %d times, the service for %v", f.asked("allocate"), asked)
	}
}

// Two thousand servers cost little memory, and nothing while nothing happens.
func TestSize(t *testing.T) {
	f := newFake(t, 0)
	const most = 2000
	f.mu.Lock()
	for n := range most {
		g := &kind.GameServer{Spec: fakeSpec("engine:1"), Status: kind.GameServerStatus{State: kind.StateAllocated, Address: "192.0.2.1", NodeName: "n"}}
		g.Metadata = kind.Meta{
			Name: fmt.Sprintf("warm-%05d", n), Namespace: testNamespace, UID: fmt.Sprintf("uid-%d", n), ResourceVersion: "50",
			Labels: map[string]string{
				kind.LabelFleet: testFleet, kind.LabelRegion: "test",
				kind.LabelServer: string(throng.MakeServerID("test", throng.Entropy{byte(n), byte(n >> 8)})),
			},
			Annotations: map[string]string{"ballast": strings.Repeat("x", 3000)},
		}
		f.servers[g.Metadata.Name] = g
	}
	f.mu.Unlock()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	registry := prometheus.NewRegistry()
	b := startWith(t, Config{Region: "test", Clusters: []ClusterConfig{f.config("a")}, Logger: slog.New(slog.DiscardHandler), Metrics: registry})
	eventually(t, "all are seen", func() bool { got, err := b.List(t.Context()); return err == nil && len(got) == most })
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("%d servers take %d KiB, want at most 8 MiB", most, grown>>10)
	} else {
		t.Logf("%d servers take %d KiB", most, grown>>10)
	}
	if n := testutil.ToFloat64(b.metrics.servers.WithLabelValues("a")); n != most {
		t.Errorf("the metric says %g servers, want %d", n, most)
	}
	requests := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		n := 0
		for _, v := range f.requests {
			n += v
		}
		return n
	}
	quiet := requests()
	timer := time.NewTimer(time.Second)
	<-timer.C
	if n := requests() - quiet; n != 0 {
		t.Errorf("got %d requests in a quiet second, want none", n)
	}
}

// Many allocate at once in two clusters, two control planes, some replies are
// lost: every ID has one server or none, and none is left over.
func TestManyAtOnce(t *testing.T) {
	f, g := newFake(t, 60), newFake(t, 60)
	for _, c := range []*fakeCluster{f, g} {
		n := 0
		c.after = func(http.ResponseWriter, string) bool {
			c.mu.Lock()
			n++
			lost := n%3 == 0
			c.mu.Unlock()
			if lost {
				panic(http.ErrAbortHandler)
			}
			return false
		}
	}
	planes := []*Backend{start(t, f, g), start(t, f, g)}
	for _, b := range planes {
		eventually(t, "both are seen", func() bool { _, err := b.List(t.Context()); return err == nil })
	}
	var group sync.WaitGroup
	for n := range 100 {
		group.Go(func() {
			b, id := planes[n%2], serverID(byte(n))
			if err := b.Allocate(t.Context(), id); err != nil {
				t.Errorf("Allocate: %v", err)
				if err := b.Release(t.Context(), id); err != nil {
					t.Errorf("Release: %v", err)
				}
			}
		})
	}
	group.Wait()
	for n := range 100 {
		id := serverID(byte(n))
		if a := len(f.named(id)) + len(g.named(id)); a != 1 {
			t.Errorf("server %d: got %d, want 1", n, a)
		}
	}
	for _, b := range planes {
		eventually(t, "it sees all", func() bool { got, err := b.List(t.Context()); return err == nil && len(got) == 100 })
	}
}
