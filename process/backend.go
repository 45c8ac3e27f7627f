package process

import (
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/fleet/endings"
)

// Config is what a Backend is made of. Fields without a default are needed.
type Config struct {
	// Command is the game server's program and its arguments. A program without
	// a slash is looked for in PATH.
	Command []string
	// Env makes one server's environment, each "NAME=value"; nil: none. The
	// process gets nothing of ours: what we know is not for scripts.
	Env func(id throng.ServerID) ([]string, error)
	// Max is how many may be alive at the same time, up to 4,096; default 16.
	Max int
	// Tied makes game servers end with us, whatever ends us: they get
	// THRONG_TIED=1 and a standard input that ends when we do. Without it they
	// get a session of their own and outlive a killed Backend.
	Tied bool

	// Grace is how much longer game servers may take when Run ends, as long as
	// they move their players elsewhere; 0: they are killed after 3 s.
	Grace time.Duration

	// LogDir has <server>.log with what a server prints, and <server>.old.log
	// with what was before: 10 MiB a server, and the newest 200 of servers that
	// are over. Empty: the output is dropped.
	LogDir string
	// StateDir remembers servers that are not Tied, so that the next Backend
	// finds those which outlived this one. Empty: they are forgotten.
	StateDir string

	// MemoryBytes and CPUs limit each server, where the kernel lets us; zero: no
	// limit. A server that wants more memory is killed, one that wants more CPU
	// waits.
	MemoryBytes int64
	CPUs        float64

	Logger  *slog.Logger
	Metrics prometheus.Registerer // nil: not registered
}

// How long a server that was told to end may take before it is killed.
const (
	releaseGrace  = 2 * time.Second
	shutdownGrace = 3 * time.Second
)

// noLimits is logged once, with the reason.
const noLimits = "game servers run without some of their limits"

const sweepTime = 250 * time.Millisecond // between looks at logs and old limits

// Backend runs game servers as child processes. It is a fleet.Backend.
type Backend struct {
	cfg     Config
	program string // absolute
	limits  *limits
	logs    logs
	metrics *metrics
	exits   *endings.Queue

	// starts goes to Run, which starts all goroutines.
	starts chan *child
	// adopted goes from New to Run: servers that outlived an earlier Backend.
	adopted map[*child]*running
	// closing is closed when Run begins to end, done when all is over.
	closing chan struct{}
	done    chan struct{}

	mu       sync.Mutex
	running  bool                       // guarded by mu; Run was called
	children map[throng.ServerID]*child // guarded by mu; allocated and not over
	over     *endings.Recent            // guarded by mu
	avoided  bool                       // guarded by mu; nothing is started
	graves   map[*cage]int              // guarded by mu; cages to be removed, and how often it was tried
}

// New makes a Backend. It starts nothing, but it tries which limits the kernel
// permits, and logs one line when some that were asked for are not to be had,
// and it looks for servers that outlived an earlier Backend.
func New(cfg Config) (*Backend, error) {
	if len(cfg.Command) == 0 || cfg.Logger == nil || cfg.Max < 0 || cfg.Max > maxServers || cfg.MemoryBytes < 0 || !(cfg.CPUs >= 0) || cfg.Grace < 0 {
		return nil, throng.Errorf(throng.Invalid, "process backend: a needed part of its configuration is missing or wrong")
	}
	program, err := exec.LookPath(cfg.Command[0])
	if err == nil {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		return nil, throng.Errorf(throng.Invalid, "process backend: game server program: %w", err)
	}
	if cfg.Max == 0 {
		cfg.Max = 16
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	b := &Backend{
		cfg:      cfg,
		program:  program,
		limits:   newLimits(cfg.Logger, cfg.MemoryBytes, cfg.CPUs),
		logs:     logs{dir: cfg.LogDir},
		metrics:  m,
		exits:    endings.New(m.dropped.Inc),
		starts:   make(chan *child),
		adopted:  make(map[*child]*running),
		closing:  make(chan struct{}),
		done:     make(chan struct{}),
		children: make(map[throng.ServerID]*child),
		over:     endings.NewRecent(maxRecent),
		graves:   make(map[*cage]int),
	}
	b.adopt()
	return b, nil
}

// Run owns the game servers until ctx ends. Then it ends them all: it asks, and
// kills after 3 s, and Config.Grace, those that are still there. It returns nil when all are over
// and reaped. It runs once.
func (b *Backend) Run(ctx context.Context) error {
	b.mu.Lock()
	if b.running {
		b.mu.Unlock()
		return throng.Errorf(throng.Conflict, "process backend: Run was called twice")
	}
	b.running = true
	b.mu.Unlock()
	defer close(b.done)

	var group sync.WaitGroup
	for c, r := range b.adopted {
		group.Go(func() { b.attend(c, r) })
	}
	b.adopted = nil
	tick := time.NewTicker(sweepTime)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case c := <-b.starts:
			group.Go(func() { b.host(c) })
		case <-tick.C:
			b.sweep()
		}
	}
	close(b.closing)
	for _, c := range b.all() {
		c.end(shutdownGrace + b.cfg.Grace)
	}
	group.Wait()
	b.sweep()
	b.limits.close()
	return nil
}

// Allocate starts a game server. Repeated for the same ID it waits for the same
// start. NoCapacity: Max are alive. Conflict: the ID's server is over.
// Unavailable: Run has ended, or ctx ended before Run began.
func (b *Backend) Allocate(ctx context.Context, id throng.ServerID) error {
	return b.Start(ctx, id, nil)
}

// Start is Allocate with more in the server's environment.
func (b *Backend) Start(ctx context.Context, id throng.ServerID, env []string) error {
	if _, err := throng.ParseServerID("server", string(id)); err != nil {
		return err // it becomes a file's name
	}
	c, mine, err := b.claim(id, env)
	if err != nil {
		return fmt.Errorf("allocate %s: %w", id, err)
	}
	if mine {
		select {
		case b.starts <- c:
		case <-b.closing:
			b.failed(c, throng.Errorf(throng.Unavailable, "game servers are being ended"))
		case <-ctx.Done():
			b.failed(c, throng.Errorf(throng.Unavailable, "no game servers are run yet: %w", ctx.Err()))
		}
	}
	select {
	case <-c.started:
	case <-ctx.Done():
		return throng.Errorf(throng.Unavailable, "allocate %s: %w", id, ctx.Err())
	}
	if c.err != nil {
		return fmt.Errorf("allocate %s: %w", id, c.err)
	}
	return nil
}

// claim returns the child of an ID, and whether it was made by this call.
func (b *Backend) claim(id throng.ServerID, env []string) (*child, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.children[id]; c != nil {
		return c, false, nil
	}
	switch {
	case b.over.Has(id):
		return nil, false, throng.Errorf(throng.Conflict, "the server is over")
	case b.avoided:
		return nil, false, throng.Errorf(throng.NoCapacity, "this machine is drained")
	case len(b.children) >= b.cfg.Max:
		b.metrics.starts.WithLabelValues(throng.NoCapacity.String()).Inc()
		return nil, false, throng.Errorf(throng.NoCapacity, "%d game servers are alive, which is the most", b.cfg.Max)
	}
	c := newChild(id, env)
	b.children[id] = c
	return c, true, nil
}

// Release ends a game server: it asks, and kills after 2 s. It returns nil when
// the process is over, and at once for an ID that has none; one that was never
// seen is not started any more. When ctx ends first, the ending goes on.
func (b *Backend) Release(ctx context.Context, id throng.ServerID) error {
	b.mu.Lock()
	c := b.children[id]
	if c == nil {
		b.over.Add(id, "")
	}
	b.mu.Unlock()
	if c == nil {
		return nil
	}
	c.end(releaseGrace)
	select {
	case <-c.over:
		return nil
	case <-ctx.Done():
		return throng.Errorf(throng.Unavailable, "release %s: %w", id, ctx.Err())
	}
}

// List returns all servers that are allocated and alive, sorted, those that are
// being started or ended included.
func (b *Backend) List(context.Context) ([]throng.ServerID, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := make([]throng.ServerID, 0, len(b.children))
	for id := range b.children {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, nil
}

// Watch calls gone for each server whose process is over, at once, until ctx
// ends; also for those that were over before, 4,096 at most. Conflict: somebody
// watches already.
func (b *Backend) Watch(ctx context.Context, gone func(throng.ServerExit)) error {
	return b.exits.Watch(ctx, gone)
}

// Max is how many servers may be alive at once.
func (b *Backend) Max() int { return b.cfg.Max }

func (b *Backend) all() []*child {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]*child, 0, len(b.children))
	for _, c := range b.children {
		list = append(list, c)
	}
	return list
}

// sweep bounds logs, and removes limits whose processes are gone.
func (b *Backend) sweep() {
	for _, c := range b.all() {
		if err := b.logs.bound(c.id); err != nil {
			c.complain.Do(func() { b.cfg.Logger.Warn("log can't be bounded", "server", c.id, "err", err) })
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for grave, tries := range b.graves {
		b.graves[grave] = tries + 1
		err := grave.remove()
		if err == nil || tries == maxTries {
			delete(b.graves, grave)
		}
		if err != nil && tries == maxTries {
			b.cfg.Logger.Warn("limits of a game server can't be removed", "err", err)
		}
	}
}

const maxTries = 40 // to remove a server's limits, at each sweep
