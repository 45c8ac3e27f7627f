package redis_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/redis"
	"github.com/throng-gg/throng/redis/redistest"
	"github.com/throng-gg/throng/session"
)

// ground is what many cases share: one Redis, each case under its own prefix.
type ground struct {
	url     string
	servers []*redistest.Server // that have the keys
	shelf   *redis.Shelf
	cases   atomic.Int64
}

func alone(t *testing.T) *ground {
	t.Helper()
	t.Cleanup(contract.Limit(t, 8*time.Minute))
	s := redistest.Start(t)
	return &ground{url: s.URL(), servers: []*redistest.Server{s}, shelf: redis.NewShelf(throng.TokenTime)}
}

func clustered(t *testing.T) *ground {
	t.Helper()
	t.Cleanup(contract.Limit(t, 8*time.Minute))
	c := redistest.StartCluster(t, 0)
	return &ground{url: c.URL(), servers: c.Masters, shelf: redis.NewShelf(throng.TokenTime)}
}

// rig is one case's store, on a clock that is moved by hand.
type rig struct {
	ground *ground
	prefix string
	store  *redis.Store
	stop   func()       // ends the newest store that was opened
	passed atomic.Int64 // on its clock

	mu    sync.Mutex
	fault session.Fault
}

func (r *rig) clock() time.Time {
	return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(r.passed.Load()))
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

func (g *ground) open(t *testing.T) *rig {
	t.Helper()
	r := &rig{ground: g, prefix: fmt.Sprintf("c%d:", g.cases.Add(1))}
	r.store = r.another(t)
	return r
}

// another opens a store as another process would, and runs it until the test ends.
func (r *rig) another(t *testing.T) *redis.Store {
	t.Helper()
	st, err := redis.New(redis.Told(redis.Config{
		URL: r.ground.url, Region: "local", Prefix: r.prefix, FeedSize: 1 << 10, Fault: r.strike,
		Timeout: time.Minute, // the machine is busy with other tests
	}, r.clock, r.ground.shelf))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- st.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	return st
}

// lose removes all that the case has in Redis: the stamps first, so that nothing
// is granted on what is half gone.
func (r *rig) lose(t *testing.T) {
	t.Helper()
	for _, pattern := range []string{r.prefix + "{??}", r.prefix + "*"} {
		for _, s := range r.ground.servers {
			s.Must(t, "EVAL", `local n = 0
for _, k in ipairs(redis.call('KEYS', ARGV[1])) do n = n + redis.call('DEL', k) end
return n`, "0", pattern)
		}
	}
}

// rewind remembers a shard's keys, and what it returns puts them back without the
// stamp.
func (r *rig) rewind(t *testing.T, shard uint8) func() {
	t.Helper()
	stamp := fmt.Sprintf("%s{%02x}", r.prefix, shard)
	run := func(script string) {
		t.Helper()
		for _, s := range r.ground.servers {
			s.Must(t, "EVAL", script, "0", stamp)
		}
	}
	run(`for _, k in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do redis.call('COPY', k, 'was:' .. k) end`)
	return func() {
		t.Helper()
		run(`for _, k in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do redis.call('DEL', k) end
for _, k in ipairs(redis.call('KEYS', 'was:' .. ARGV[1] .. '*')) do redis.call('RENAME', k, string.sub(k, 5)) end
for _, k in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', k) end`)
	}
}

func (g *ground) rig(t *testing.T) contract.RegistryRig {
	t.Helper()
	r := g.open(t)
	return contract.RegistryRig{
		Store:    r.store,
		Advance:  func(d time.Duration) { r.passed.Add(int64(d)) },
		Parallel: 64,
		Lose:     func() { r.lose(t) },
		Rewind:   func(shard uint8) func() { return r.rewind(t, shard) },
		Break: func(f session.Fault) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.fault = f
		},
	}
}

func TestRegistryContract(t *testing.T) {
	g := alone(t)
	contract.Registry(t, g.rig)
}

func TestRegistryContractOnCluster(t *testing.T) {
	g := clustered(t)
	contract.Registry(t, g.rig)
}

func TestMain(m *testing.M) {
	// Each of rapid's checks is thousands of calls here; make soak asks for more.
	if err := flag.Set("rapid.checks", "6"); err != nil {
		panic(err)
	}
	flag.Parse()
	os.Exit(m.Run())
}
