package sim

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/fleet"
	"github.com/throng-gg/throng/match"
	"github.com/throng-gg/throng/memory"
	"github.com/throng-gg/throng/session"
)

// process is a control-plane process in one of its lives: door, matchmaker and
// registry; the first one has the orchestrator, too.
type process struct {
	w        *world
	number   int
	node     *node
	registry *session.Registry
	match    *match.Matchmaker
	fleet    *fleet.Orchestrator // nil: asks the first process
	machine  *memory.Backend     // the fleet's
	cancel   context.CancelFunc
	over     sync.WaitGroup
}

const region = "eu"

// startProcess starts the next life of a process.
func (w *world) startProcess(number int) {
	p := &process{w: w, number: number, node: newNode(aProcess, fmt.Sprintf("control%d", number))}
	store := client{w: w, from: p.node}
	var err error
	p.registry, err = session.New(session.Config{
		Store: store, Shards: shards, Region: throng.Region{ID: region, Number: 7}, Courier: courier{p},
		Entropy: entropy{w.dice, p.node.name + "/registry"},
	})
	must(err)
	if number == 0 {
		p.machine = w.machine.Backend()
		p.fleet, err = fleet.New(fleet.Config{
			Region: throng.Region{ID: region, Number: 7}, Backend: backend{w, p.node, p.machine}, Registry: p.registry, Keys: keys{},
			Stock: w.plan.stock, StockMost: w.plan.most, Max: w.plan.most, Buries: w.plan.buries, Entropy: entropy{w.dice, p.node.name + "/fleet"},
		})
		must(err)
	}
	p.match, err = match.New(match.Config{
		Region: throng.Region{ID: region, Number: 7}, Registry: p.registry, Sessions: p.registry,
		Fleet: starter{p}, Places: places{w}, Tickets: w.plan.tickets, Random: w.dice.source("match", p.node.name),
	})
	must(err)
	ctx, cancel := context.WithCancel(w.root)
	p.cancel = cancel
	for _, run := range []func(context.Context) error{p.registry.Run, p.runFleet, p.match.Run} {
		wait := w.dice.between(0, 100*time.Millisecond, "start", p.node.name)
		p.over.Go(func() {
			w.pause(ctx, wait)
			_ = run(ctx)
		})
	}
	w.mu.Lock()
	w.processes[number] = p
	w.mu.Unlock()
	w.event(p.node.name, "starts", "")
}

func (p *process) runFleet(ctx context.Context) error {
	if p.fleet == nil {
		return nil
	}
	return p.fleet.Run(ctx)
}

// kill is kill -9: from now on nothing that the process does reaches anyone.
func (p *process) kill() {
	p.w.event(p.node.name, "killed", "")
	close(p.node.down)
	p.cancel()
	if p.machine != nil {
		p.machine.Close()
	}
}

// process returns the living one of a number; nil: it is down.
func (w *world) process(number int) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.processes[number]; p != nil && !p.node.dead() {
		return p
	}
	return nil
}

// healthTime is after how long a load balancer leaves out a process that says
// that it does not reach the store.
const healthTime = 3 * time.Second

// caller is who calls whichever process, and for what.
type caller struct {
	from *node
	op   string
}

// ring calls a control-plane process, as a load balancer chooses one.
func ring[T any](
	ctx context.Context, w *world, who caller, limit time.Duration, serve func(context.Context, *process) (T, error),
) (T, error) {
	from, op := who.from, who.op
	n := w.dice.below(w.plan.processes, "door", from.name, op)
	p := w.process(n)
	for k := 1; k < w.plan.processes && (p == nil || w.net.isCutFor(p.node, w.store.node, healthTime)); k++ {
		if other := w.process((n + k) % w.plan.processes); other != nil {
			p = other
		}
	}
	if p == nil {
		var none T
		w.net.wait(ctx, from, 10*time.Millisecond)
		return none, errAway(op)
	}
	return call(ctx, &w.net, way{from, p.node, op}, limit, func(ctx context.Context) (T, error) { return serve(ctx, p) })
}

// courier takes the registry's orders to the orchestrator, which may be in
// another process.
type courier struct{ p *process }

// Deliver is session.Courier's.
func (c courier) Deliver(s throng.SessionID, id throng.ServerID, o throng.Order) {
	if c.p.fleet != nil {
		c.p.fleet.Deliver(s, id, o)
		return
	}
	w := c.p.w
	w.later(w.dice.between(50*time.Microsecond, 4*time.Millisecond, "courier", c.p.node.name), func() {
		if first := w.process(0); first != nil && !c.p.node.dead() && !w.net.isCut(c.p.node, first.node) {
			first.fleet.Deliver(s, id, o)
		}
	})
}

// starter is match.Fleet, which may be in another process.
type starter struct{ p *process }

// Start is match.Fleet's.
func (s starter) Start(opened throng.Session, r throng.Release) error {
	if s.p.fleet != nil {
		return s.p.fleet.Start(opened, r)
	}
	w := s.p.w
	first := w.process(0)
	if first == nil {
		return errAway("start")
	}
	_, err := call(w.root, &w.net, way{s.p.node, first.node, "start"}, 5*time.Second,
		func(context.Context) (none, error) { return none{}, first.fleet.Start(opened, r) })
	if throng.KindOf(err) == throng.Unavailable {
		return nil // the fleet may have it; if not, nobody binds it, and it ends
	}
	return err
}

// Resume is match.Fleet's.
func (s starter) Resume(ctx context.Context, opened throng.Session, r throng.Release) error {
	w := s.p.w
	first := w.process(0)
	if first == nil {
		return errAway("resume")
	}
	if s.p == first {
		return first.fleet.Resume(ctx, opened, r)
	}
	_, err := call(ctx, &w.net, way{s.p.node, first.node, "resume"}, 5*time.Second,
		func(ctx context.Context) (none, error) { return none{}, first.fleet.Resume(ctx, opened, r) })
	return err
}

// keys makes what only real networks check.
type keys struct{}

// SessionKey is fleet.Keys'.
func (keys) SessionKey(throng.SessionID) ([32]byte, error) { return [32]byte{}, nil }

// ServerToken is fleet.Keys'.
func (keys) ServerToken(throng.ServerID, throng.SessionID) (string, error) { return "token", nil }

// Route is fleet.Keys'.
func (keys) Route(throng.SessionID, netip.AddrPort) (string, error) { return "", nil }

// places has one place.
type places struct{ w *world }

// Lanes is match.Places'.
func (p places) Lanes(context.Context, throng.PlaceID) (throng.Lanes, error) {
	return throng.Lanes{Live: p.w.release()}, nil
}

// Version is match.Places'.
func (p places) Version(context.Context, throng.PlaceID, throng.Version) (throng.Release, error) {
	return p.w.release(), nil
}

func (w *world) release() throng.Release {
	return throng.Release{
		Place: "arena", Name: "Arena", Version: 1, Package: "0", Capacity: w.plan.capacity, TickRate: 1,
		Weights: throng.Weights{Fill: 1, Latency: 1}, Published: 1,
	}
}

func must(err error) {
	if err != nil {
		panic(err) // the configuration is this package's own
	}
}
