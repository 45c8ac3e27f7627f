package gateway

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/udp/batch"
	"github.com/throng-gg/throng/wire/netcode"
)

// Config is what a Gateway needs to know.
type Config struct {
	// Listen is where clients connect. Port 0 takes a free one.
	Listen netip.AddrPort
	// Inner is the IP from which servers are spoken to, each worker's port a free
	// one; unspecified by default.
	Inner netip.Addr
	// Keys open the routes in tokens, by number; SetKeys changes them.
	Keys map[uint8][netcode.KeySize]byte
	// ProtocolID: zero means Throng's.
	ProtocolID uint64
	// Workers is how many cores it uses; zero: all (GOMAXPROCS), or with Realtime all but one.
	Workers int
	// Flows is how many clients there can be; 200,000. Each has two to four
	// places of 64 bytes.
	Flows int
	// PerFlow is how many datagrams a client may send in a second, and at once; 500.
	PerFlow int
	// PerToken is how often one token may be shown in a second; 20.
	PerToken int
	// PerSource is how many tokens may be shown in a second from one IPv4 address or /64
	// of IPv6; 500. Each worker counts for itself.
	PerSource int
	// HalfOpen is how many clients can be about to prove their addresses; 65,536.
	HalfOpen int
	// RouteLife is for how long after it expired a token brings its client to the server
	// whose connection he has; 24 h.
	RouteLife time.Duration
	// Idle is the silence after which a flow is forgotten; 30 s.
	Idle time.Duration
	// XDP is the network interface that clients' datagrams come in at, where a program in the
	// kernel drops what the workers would drop. Empty: none. Where the kernel does
	// not take it the gateway says so in its log and goes on without.
	XDP string
	// Realtime lets the workers run before all else that the machine does, and look for
	// datagrams all the time while some come: each then takes most of a core. GOMAXPROCS becomes
	// more than Workers. Where the kernel does not let them run first the gateway says so in its
	// log and goes on without.
	Realtime bool
	// Logger: nil logs nothing.
	Logger *slog.Logger
	// Metrics: nil registers none.
	Metrics prometheus.Registerer
}

func (c *Config) fill() error {
	if !c.Listen.IsValid() {
		return throng.AtField(throng.Invalid, "listen", "is not set")
	}
	for _, n := range []struct {
		name string
		at   *int
		zero int
	}{
		{"workers", &c.Workers, c.cores()},
		{"flows", &c.Flows, 200_000},
		{"per_flow", &c.PerFlow, 500},
		{"per_token", &c.PerToken, 20},
		{"per_source", &c.PerSource, 500},
		{"half_open", &c.HalfOpen, 1 << 16},
	} {
		if *n.at == 0 {
			*n.at = n.zero
		}
		if *n.at < 1 || *n.at > 1<<24 {
			return throng.AtField(throng.Invalid, n.name, "is %d, 1 to %d are allowed", *n.at, 1<<24)
		}
	}
	if c.RouteLife == 0 {
		c.RouteLife = 24 * time.Hour
	}
	if c.Idle == 0 {
		c.Idle = 30 * time.Second
	}
	if c.RouteLife < 0 || c.Idle < time.Second {
		return throng.AtField(throng.Invalid, "idle", "is %s, and route_life %s: they are too short", c.Idle, c.RouteLife)
	}
	if c.ProtocolID == 0 {
		c.ProtocolID = netcode.ProtocolID
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// cores are those it uses unless it is told how many, of those the process may.
func (c *Config) cores() int {
	if c.Realtime {
		return max(runtime.GOMAXPROCS(0)-1, 1)
	}
	return runtime.GOMAXPROCS(0)
}

// Gateway passes datagrams between clients and servers.
type Gateway struct {
	cfg     Config
	workers []*worker
	filter  *filter            // nil: there is none
	drain   chan time.Duration // one waits; Run takes it
}

// New binds the sockets. Run must be called to free them. Invalid: the config
// makes no sense. Unavailable: an address can't be bound.
func New(ctx context.Context, cfg Config) (*Gateway, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	g := &Gateway{cfg: cfg, drain: make(chan time.Duration, 1)}
	var seed [16]byte
	rand.Read(seed[:])
	for i := range cfg.Workers {
		w, err := g.newWorker(ctx, i, seed)
		if err != nil {
			return nil, errors.Join(err, g.free())
		}
		g.workers = append(g.workers, w)
		g.cfg.Listen = netip.AddrPortFrom(cfg.Listen.Addr(), w.outer.Address().Port()) // the others join the first
	}
	if cfg.XDP != "" {
		if err := g.filterAt(ctx, cfg.XDP); err != nil {
			return nil, errors.Join(err, g.free())
		}
	}
	if cfg.Metrics != nil {
		if err := cfg.Metrics.Register(newMetrics(g)); err != nil {
			return nil, errors.Join(throng.Errorf(throng.Internal, "register metrics: %w", err), g.free())
		}
	}
	return g, nil
}

// filterAt puts a filter before the workers, if the kernel takes it. Invalid: there is no
// such interface.
func (g *Gateway) filterAt(ctx context.Context, name string) error {
	at, err := net.InterfaceByName(name)
	if err != nil {
		return throng.AtField(throng.Invalid, "xdp", "%q: %w", name, err)
	}
	most := 0
	for _, w := range g.workers {
		most += w.flows.most + len(w.half.lines)
	}
	f, err := newFilter(g.cfg, most)
	if err == nil {
		if err = f.attach(at); err != nil {
			err = errors.Join(err, f.close())
		}
	}
	if err != nil {
		g.cfg.Logger.WarnContext(ctx, "no filter in the kernel, the gateway drops everything itself", "interface", name, "err", err)
		return nil
	}
	g.filter = f
	for _, w := range g.workers {
		w.filter = f
	}
	g.cfg.Logger.InfoContext(ctx, "a filter in the kernel drops garbage", "interface", name)
	return nil
}

func (g *Gateway) newWorker(ctx context.Context, i int, seed [16]byte) (*worker, error) {
	share := func(n int) int { return (n + g.cfg.Workers - 1) / g.cfg.Workers }
	w := &worker{
		cfg: &g.cfg, tended: time.Now(),
		begun:   time.Now().Add(-time.Hour), // so that no time is zero
		secret:  [2]uint64{binary.LittleEndian.Uint64(seed[:]), binary.LittleEndian.Uint64(seed[8:]) + uint64(i)},
		tokens:  makeLimiter(share(g.cfg.HalfOpen), g.cfg.PerToken, g.cfg.PerToken),
		sources: makeLimiter(share(g.cfg.HalfOpen), g.cfg.PerSource, g.cfg.PerSource),
	}
	w.makeTables(share(g.cfg.Flows), share(g.cfg.HalfOpen))
	var err error
	if w.routes, err = netcode.NewRoutes(g.cfg.Keys, g.cfg.ProtocolID); err != nil {
		return nil, err
	}
	if w.outer, err = batch.Bind(ctx, g.cfg.Listen, batch.SharePort); err != nil {
		return nil, throng.Errorf(throng.Unavailable, "bind %s: %w", g.cfg.Listen, err)
	}
	inner := g.cfg.Inner
	if !inner.IsValid() {
		inner = netip.IPv6Unspecified()
	}
	if w.inner, err = batch.Bind(ctx, netip.AddrPortFrom(inner, 0), nil); err != nil {
		return nil, errors.Join(throng.Errorf(throng.Unavailable, "bind %s for servers: %w", inner, err), w.outer.Close())
	}
	if err := errors.Join(w.outer.SetPatience(tendEvery), w.inner.SetPatience(tendEvery)); err != nil {
		return nil, errors.Join(throng.Errorf(throng.Internal, "bound waiting at %s: %w", g.cfg.Listen, err), w.outer.Close(), w.inner.Close())
	}
	return w, nil
}

// Address is where clients connect.
func (g *Gateway) Address() netip.AddrPort { return g.cfg.Listen }

// Stats is what was counted until now.
func (g *Gateway) Stats() Stats {
	s := Stats{}
	for _, w := range g.workers {
		s.add(w)
	}
	g.filter.count(&s.FromClients)
	return s
}

// SetKeys changes the keys that open routes.
func (g *Gateway) SetKeys(keys map[uint8][netcode.KeySize]byte) error {
	for _, w := range g.workers {
		routes, err := netcode.NewRoutes(keys, g.cfg.ProtocolID)
		if err != nil {
			return err
		}
		w.mu.Lock()
		w.routes = routes
		w.mu.Unlock()
	}
	return nil
}

// Drain takes no more clients, and lets go of those who are there within a time,
// one after the other: each notices the silence and goes on through another
// gateway. Then Run returns. Only the first call counts.
func (g *Gateway) Drain(within time.Duration) {
	select {
	case g.drain <- within:
	default:
	}
}

// Run serves until ctx ends, or it is drained. Internal: what it held can't be given back.
func (g *Gateway) Run(ctx context.Context) error {
	var serving sync.WaitGroup
	if n := len(g.workers) + 1; g.cfg.Realtime && runtime.GOMAXPROCS(0) < n {
		runtime.GOMAXPROCS(n)
	}
	front := &batch.Front{}
	for _, w := range g.workers {
		if g.cfg.Realtime {
			serving.Go(func() {
				inFront(front, w.ways(), w.tend, func(err error) {
					g.cfg.Logger.WarnContext(ctx, "the gateway does not run before others: the kernel does not allow it", "err", err)
				})
			})
			continue
		}
		for _, way := range w.ways() {
			serving.Go(func() { way.wait(w.tend) })
		}
	}
	g.await(ctx)
	g.shut()
	serving.Wait()
	if err := g.free(); err != nil {
		return throng.Errorf(throng.Internal, "gateway at %s: %w", g.cfg.Listen, err)
	}
	return nil
}

// inFront passes on before all else of the machine, if it may; else it says why not.
func inFront(front *batch.Front, ways []way, tend func(now time.Time), refused func(error)) {
	place, err := front.Enter()
	if err != nil {
		refused(err)
		poll(ways, tend, nil)
		return
	}
	defer place.Leave()
	poll(ways, tend, place)
}

// await returns when ctx ends, or it is drained.
func (g *Gateway) await(ctx context.Context) {
	select {
	case <-ctx.Done():
	case within := <-g.drain:
		g.let(ctx, within)
	}
}

// shedEvery is how often a drained gateway lets go of some.
const shedEvery = 50 * time.Millisecond

// let lets go of all flows within a time.
func (g *Gateway) let(ctx context.Context, within time.Duration) {
	left := g.Stats().Flows
	g.cfg.Logger.InfoContext(ctx, "gateway drains", "flows", left, "within", within.String())
	each := left
	if steps := int(within / shedEvery); steps > 1 {
		each = (left + steps - 1) / steps
	}
	for _, w := range g.workers {
		w.mu.Lock()
		w.draining = true
		w.mu.Unlock()
	}
	ticker := time.NewTicker(shedEvery)
	defer ticker.Stop()
	for g.Stats().Flows > 0 && ctx.Err() == nil {
		for n, i := each, 0; i < len(g.workers); i++ {
			w := g.workers[i]
			w.mu.Lock()
			before := w.flows.len()
			w.flows.shed(n)
			n -= before - w.flows.len()
			w.mu.Unlock()
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// shut ends the readers.
func (g *Gateway) shut() {
	for _, w := range g.workers {
		w.outer.Shut()
		w.inner.Shut()
	}
}

// free gives back the sockets, which nobody reads any more, and the filter.
func (g *Gateway) free() error {
	all := []error{g.filter.close()}
	for _, w := range g.workers {
		all = append(all, w.outer.Close(), w.inner.Close())
	}
	return errors.Join(all...)
}
