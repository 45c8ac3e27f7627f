package process

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/fleet/endings"
)

// NodesConfig is what Nodes is made of. Fields without a default are needed.
type NodesConfig struct {
	// Env makes what one server's environment has besides that of its node's
	// Backend: "THRONG_...=value" each; nil: nothing.
	Env func(id throng.ServerID) ([]string, error)
	// Grace is how long a node may be away before its servers are told as gone,
	// with the reason "node ... is away"; default 60 s. It is ten times as long
	// while more than half of the nodes are away.
	Grace time.Duration
	// Heard returns which of these servers give signs of life to somebody else,
	// as by their own control connections: such a one is not told as gone,
	// however long its node is away. It may take a few seconds. Default: none.
	Heard func(ids []throng.ServerID) []throng.ServerID
	// Settle is how long after the start nodes have to connect before List
	// answers; default 15 s. Before it, List says Unavailable: an empty list
	// would look as if all servers were gone.
	Settle time.Duration

	Logger  *slog.Logger
	Metrics prometheus.Registerer // nil: not registered
}

// Nodes runs game servers on the nodes that are connected, the least loaded one
// first. It is a fleet.Backend.
type Nodes struct {
	cfg     NodesConfig
	metrics *nodesMetrics
	exits   *endings.Queue

	// closing is closed when Run ends.
	closing chan struct{}

	mu       sync.Mutex
	roster   *roster        // guarded by mu
	begun    time.Time      // guarded by mu; zero before Run
	closed   bool           // guarded by mu
	handlers sync.WaitGroup // of ServeNode; added to under mu while not closed
}

// NewNodes makes Nodes. It starts nothing.
func NewNodes(cfg NodesConfig) (*Nodes, error) {
	if cfg.Logger == nil || cfg.Grace < 0 || cfg.Settle < 0 {
		return nil, throng.Errorf(throng.Invalid, "nodes: a needed part of the configuration is missing or wrong")
	}
	if cfg.Grace == 0 {
		cfg.Grace = time.Minute
	}
	if cfg.Settle == 0 {
		cfg.Settle = throng.LeaseTime
	}
	if cfg.Heard == nil {
		cfg.Heard = func([]throng.ServerID) []throng.ServerID { return nil }
	}
	m, err := newNodesMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	return &Nodes{
		cfg: cfg, metrics: m, exits: endings.New(m.dropped.Inc), closing: make(chan struct{}), roster: newRoster(),
	}, nil
}

// Run watches over nodes that are away until ctx ends, then closes all
// connections; game servers go on. It returns nil, and runs once.
func (n *Nodes) Run(ctx context.Context) error {
	n.mu.Lock()
	if !n.begun.IsZero() {
		n.mu.Unlock()
		return throng.Errorf(throng.Conflict, "nodes: Run was called twice")
	}
	n.begun = time.Now()
	n.mu.Unlock()
	tick := time.NewTicker(min(time.Second, n.cfg.Grace))
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case now := <-tick.C:
			n.lapse(now)
		}
	}
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	close(n.closing)
	n.handlers.Wait()
	return nil
}

func (n *Nodes) lapse(now time.Time) {
	n.mu.Lock()
	ids := n.roster.overdue(now, n.cfg.Grace)
	n.mu.Unlock()
	if len(ids) > 0 {
		heard := make(map[throng.ServerID]bool)
		for _, id := range n.cfg.Heard(ids) { // may take locks of others
			heard[id] = true
		}
		ids = slices.DeleteFunc(ids, func(id throng.ServerID) bool { return heard[id] })
	}
	n.mu.Lock()
	exits := n.roster.giveUp(ids)
	n.count()
	n.mu.Unlock()
	for _, e := range exits {
		n.cfg.Logger.Warn("game server given up", "server", e.Server, "reason", e.Reason)
		n.exits.Tell(e)
	}
}

// count sets the gauges; mu is held.
func (n *Nodes) count() {
	connected := 0
	for _, m := range n.roster.nodes {
		if m.link != nil {
			connected++
		}
	}
	n.metrics.connected.Set(float64(connected))
	n.metrics.known.Set(float64(len(n.roster.servers)))
}

// ServeNode takes the control connection of a node, whose identity the caller
// has checked, and returns when it is lost. A newer connection of the same node
// ends the older one.
func (n *Nodes) ServeNode(w http.ResponseWriter, r *http.Request, node throng.NodeID) {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		http.Error(w, "the control plane is ending", http.StatusServiceUnavailable)
		return
	}
	n.handlers.Add(1)
	n.mu.Unlock()
	defer n.handlers.Done()

	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		n.cfg.Logger.WarnContext(r.Context(), "node refused", "node", node, "err", err)
		return
	}
	defer func() { _ = conn.CloseNow() }() // may be closed already
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	group.Go(func() {
		select {
		case <-n.closing:
			cancel()
		case <-ctx.Done():
		}
	})
	err = n.serve(ctx, newLink(conn), node)
	n.cfg.Logger.WarnContext(r.Context(), "node is away", "node", node, "err", err)
}

func (n *Nodes) serve(ctx context.Context, l *link, node throng.NodeID) error {
	waiting, cancel := context.WithTimeout(ctx, helloTime)
	hello, err := l.read(waiting)
	cancel()
	if err != nil {
		return err
	}
	if hello.Kind != kindHello || hello.Node != node {
		_ = l.conn.Close(websocket.StatusPolicyViolation, "say hello with your own name first")
		return throng.Errorf(throng.Denied, "it said %.20q as %.60q first", hello.Kind, hello.Node)
	}
	a := n.arrive(ctx, l, hello)
	defer n.leave(node, l)
	ctx, cancel = context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	group.Go(func() { greet(ctx, l, hello, a.release) })
	return l.run(ctx, func(m message) error { return n.hear(ctx, l, node, m) })
}

func (n *Nodes) arrive(ctx context.Context, l *link, hello message) arrival {
	n.mu.Lock()
	a := n.roster.arrive(l, hello)
	n.count()
	n.mu.Unlock()
	n.cfg.Logger.InfoContext(ctx, "node connected", "node", hello.Node, "servers", len(hello.Servers))
	if a.replaced != nil {
		_ = a.replaced.conn.CloseNow() // its handler sees it
	}
	if len(a.foreign) > 0 {
		n.cfg.Logger.ErrorContext(ctx, "node claims servers of another node", "node", hello.Node, "servers", len(a.foreign), "server", a.foreign[0])
	}
	for _, e := range a.exits {
		n.exits.Tell(e)
	}
	return a
}

// greet answers a hello. What is lost of it, the next hello brings again.
func greet(ctx context.Context, l *link, hello message, release []throng.ServerID) {
	for _, e := range hello.Exits {
		if l.send(ctx, message{Kind: kindTold, Server: e.Server}) != nil {
			return
		}
	}
	for _, id := range release {
		if l.send(ctx, l.register(message{Kind: kindRelease, Server: id}).message) != nil {
			return
		}
	}
}

func (n *Nodes) leave(node throng.NodeID, l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.roster.leave(node, l, time.Now())
	n.count()
}

// hear takes one message of a node.
func (n *Nodes) hear(ctx context.Context, l *link, node throng.NodeID, m message) error {
	switch m.Kind {
	case kindExited:
		n.mu.Lock()
		news := n.roster.exited(n.roster.nodes[node], m.Server)
		n.count()
		n.mu.Unlock()
		if news {
			n.exits.Tell(throng.ServerExit{Server: m.Server, Reason: m.Reason})
		}
		return l.send(ctx, message{Kind: kindTold, Server: m.Server})
	case kindBegan:
		n.mu.Lock()
		n.roster.began(n.roster.nodes[node], m.Server)
		n.count()
		n.mu.Unlock()
	case kindAnswer:
		c, ok := l.take(m.Call)
		if !ok {
			return nil
		}
		n.answered(node, c, m.err())
		c.answer <- m.err()
	}
	return nil
}

// answered takes what became of a call, also when its caller has left.
func (n *Nodes) answered(node throng.NodeID, c *call, err error) {
	result := "ok"
	if err != nil {
		result = throng.KindOf(err).String()
	}
	n.metrics.calls.WithLabelValues(c.Kind, result).Inc()
	n.mu.Lock()
	m := n.roster.nodes[node]
	exited := false
	if c.Kind == kindAllocate {
		n.roster.allocated(m, c.Server, err)
	} else if err == nil {
		exited = n.roster.released(m, c.Server)
	}
	n.count()
	n.mu.Unlock()
	if exited {
		n.exits.Tell(throng.ServerExit{Server: c.Server, Reason: "released before it was known to run"})
	}
}

// Allocate starts a game server on a node with room. Repeated for the same ID it
// asks the same node. NoCapacity: no node is connected, or none has room.
// Unavailable: so it is, and nodes had no time yet to connect.
// Conflict: the ID's server is over or released. Unavailable: the node did not
// answer; it is not known whether the server runs, repeating finds out.
func (n *Nodes) Allocate(ctx context.Context, id throng.ServerID) error {
	if err := checkServer(id); err != nil {
		return err
	}
	var env []string
	if n.cfg.Env != nil {
		var err error
		if env, err = n.cfg.Env(id); err != nil {
			return fmt.Errorf("allocate %s: make environment: %w", id, err)
		}
		if err := checkEnv(env); err != nil {
			return fmt.Errorf("allocate %s: %w", id, err)
		}
	}
	full := make(map[*machine]bool)
	for {
		m, l, err := n.claim(id, full)
		if err != nil {
			return fmt.Errorf("allocate %s: %w", id, err)
		}
		err = l.ask(ctx, message{Kind: kindAllocate, Server: id, Env: env})
		switch {
		case err == nil:
			return nil
		case unanswered(err):
			return fmt.Errorf("allocate %s: %w", id, away(m.id, err))
		case throng.KindOf(err) != throng.NoCapacity:
			return fmt.Errorf("allocate %s on %s: %w", id, m.id, err)
		}
		full[m] = true
	}
}

// claim finds the node of a server, or one for it, and its connection.
func (n *Nodes) claim(id throng.ServerID, full map[*machine]bool) (*machine, *link, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.roster.over.Has(id) {
		return nil, nil, throng.Errorf(throng.Conflict, "the server is over")
	}
	if p := n.roster.servers[id]; p != nil {
		if p.on.link == nil {
			return nil, nil, away(p.on.id, errLost)
		}
		return p.on, p.on.link, nil
	}
	m := n.roster.pick(full)
	if left := n.settling(); m == nil && left > 0 {
		return nil, nil, throng.RetryLater(throng.Unavailable, left, "nodes are still connecting")
	}
	if m == nil {
		return nil, nil, throng.Errorf(throng.NoCapacity, "none of %d nodes is connected and has room", len(n.roster.nodes))
	}
	n.roster.put(id, m, placedAsked)
	return m, m.link, nil
}

// Release ends a game server, and returns when its node said that it is over. An
// unknown one is no error; should a node bring it later, it is ended then.
// Unavailable: its node is away; the server is ended when the node is back.
func (n *Nodes) Release(ctx context.Context, id throng.ServerID) error {
	n.mu.Lock()
	n.roster.over.Add(id, "")
	p := n.roster.servers[id]
	if p == nil || p.state == placedEnded {
		n.mu.Unlock()
		return nil
	}
	m, l := p.on, p.on.link
	n.mu.Unlock()
	err := errLost
	if l != nil {
		err = l.ask(ctx, message{Kind: kindRelease, Server: id})
	}
	switch {
	case err == nil:
		return nil
	case unanswered(err):
		return fmt.Errorf("release %s: %w", id, away(m.id, err))
	}
	return fmt.Errorf("release %s on %s: %w", id, m.id, err)
}

// List returns all servers that are believed alive, sorted; those of nodes that
// are away, too, until they are told as gone. Unavailable: nodes had no time yet
// to connect.
func (n *Nodes) List(context.Context) ([]throng.ServerID, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if left := n.settling(); left > 0 {
		return nil, throng.RetryLater(throng.Unavailable, left, "nodes are still connecting")
	}
	return n.roster.list(), nil
}

// settling is how much longer nodes may take to connect, zero: they had their
// time. mu is held.
func (n *Nodes) settling() time.Duration {
	left := n.cfg.Settle - time.Since(n.begun)
	if !n.begun.IsZero() && left <= 0 {
		return 0
	}
	return max(left, time.Second)
}

// Watch calls gone for each server whose process is over, and for those that
// are given up because their node is away, until ctx ends. Conflict: somebody
// watches already.
func (n *Nodes) Watch(ctx context.Context, gone func(throng.ServerExit)) error {
	return n.exits.Watch(ctx, gone)
}
