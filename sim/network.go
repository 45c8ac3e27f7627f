package sim

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

// node is one process that others reach over the network, in one of its lives.
type node struct {
	kind nodeKind
	name string
	down chan struct{} // closed when the process is over
}

type nodeKind uint8

const (
	aPlayer nodeKind = iota
	aProcess
	aServer
	aStore
)

func newNode(k nodeKind, name string) *node {
	return &node{kind: k, name: name, down: make(chan struct{})}
}

func (n *node) dead() bool {
	select {
	case <-n.down:
		return true
	default:
		return false
	}
}

// side selects nodes: all of a kind, or one by name.
type side struct {
	kind nodeKind
	name string // empty: all of the kind
}

func (s side) has(n *node) bool { return n.kind == s.kind && (s.name == "" || s.name == n.name) }

// cut is a partition: nothing goes between its sides.
type cut struct {
	a, b  side
	since time.Time
}

func (c cut) parts(from, to *node) bool {
	return c.a.has(from) && c.b.has(to) || c.a.has(to) && c.b.has(from)
}

// network is what is between nodes. Guarded by the world's mutex.
type network struct {
	w     *world
	cuts  []*cut
	lossy int // faults that make it lose, double and delay calls
}

func (n *network) isCut(from, to *node) bool { return n.isCutFor(from, to, 0) }

// isCutFor says whether nodes have been parted for so long.
func (n *network) isCutFor(from, to *node, d time.Duration) bool {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	for _, c := range n.cuts {
		if c.parts(from, to) && time.Since(c.since) >= d {
			return true
		}
	}
	return false
}

func (n *network) isLossy() bool {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	return n.lossy > 0
}

// luck is what happens to one call.
type luck struct {
	there, back       time.Duration
	lost, mute, twice bool // the request, the answer; the request comes again
}

func (n *network) luck(from, to *node, op string) luck {
	d := n.w.dice
	most := 4 * time.Millisecond
	if d.chance(10, "slow", from.name, op) {
		most = 300 * time.Millisecond
	}
	l := luck{}
	if n.isLossy() {
		most = 400 * time.Millisecond
		l.lost = d.chance(60, "lost", from.name, op)
		l.mute = d.chance(60, "mute", from.name, op)
		l.twice = d.chance(60, "twice", from.name, op) && op != "changes"
	}
	l.there = d.between(50*time.Microsecond, most, "there", from.name, to.name, op)
	l.back = d.between(50*time.Microsecond, most, "back", from.name, to.name, op)
	return l
}

// errAway is what a caller gets who was not answered.
func errAway(op string) error {
	return throng.RetryLater(throng.Unavailable, 200*time.Millisecond, "%s: no answer", op)
}

// call carries a request from one node to another, where serve answers it. The
// error is serve's, or Unavailable when nothing came back by the end of ctx or
// after limit; then serve may have run all the same, once, twice, or later.
func call[T any](
	ctx context.Context, n *network, way way, limit time.Duration, serve func(context.Context) (T, error),
) (T, error) {
	var none T
	from, to, op := way.from, way.to, way.op
	if from.dead() {
		return none, errAway(op)
	}
	l := n.luck(from, to, op)
	if l.twice {
		again := context.WithoutCancel(ctx)
		n.w.later(l.there+l.back+n.w.dice.between(0, time.Second, "again", from.name, op), func() {
			if !to.dead() {
				_, _ = serve(again)
			}
		})
	}
	if !n.wait(ctx, from, l.there) {
		return none, errAway(op)
	}
	if l.lost || n.isCut(from, to) {
		n.wait(ctx, from, limit)
		return none, errAway(op)
	}
	if to.dead() {
		return none, errAway(op) // the connection is refused
	}
	v, err := serve(ctx)
	if l.mute || n.isCut(from, to) {
		n.wait(ctx, from, limit)
		return none, errAway(op)
	}
	if to.dead() || !n.wait(ctx, from, l.back) {
		return none, errAway(op)
	}
	return v, err
}

// way is who calls whom for what.
type way struct {
	from, to *node
	op       string
}

// soon is a wait so short that nobody has to be let go before its end.
const soon = 5 * time.Millisecond

// wait is false when ctx, or the caller's process, ended first.
func (n *network) wait(ctx context.Context, who *node, d time.Duration) bool {
	if d <= soon {
		time.Sleep(d) //nolint:forbidigo // in a bubble; much cheaper than a timer
		return ctx.Err() == nil && !who.dead()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-who.down:
	}
	return false
}
