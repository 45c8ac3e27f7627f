package gameserver

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

// ghost is what a player has of one entity, or is to have.
type ghost struct {
	e           *entity
	samples     wire.Samples
	settled     throng.Tick // of the settled sample, and what it shows
	settledSees wire.Variant
	sees        [wire.History]wire.Variant
	wanted      bool         // it concerns him
	variant     wire.Variant // what he is to see of it
	due         float64

	// Of one Payloads.
	seen     bool // the client sees it who has what was acknowledged
	say      saying
	from, to int // in World.tokens
	cost     int // 1/256 bits
}

// saying is what a snapshot says of an entity.
type saying uint8

const (
	sayNothing saying = iota
	sayChange
	sayFresh
	sayGone
)

// look finds out what concerns the player.
func (r *Replica) look() {
	w := r.world
	x, y, placed := r.viewpoint()
	for _, g := range r.ghosts {
		rule := &w.rules[g.e.kind]
		away := square(g.e.x-x) + square(g.e.y-y)
		g.wanted = !g.e.removed && (rule.Seen == 0 || !placed || away <= square(stay*rule.Seen))
		r.vary(g, away, placed)
	}
	known := len(r.ghosts)
	r.lookAtNew(placed)
	if placed {
		for kind := range w.rules {
			if c := &w.grid.kinds[kind]; c.size > 0 {
				c.near(x, y, func(e *entity) { r.want(e, known) })
			}
		}
	}
	if len(r.ghosts) == known {
		return
	}
	for _, g := range r.ghosts[known:] {
		r.vary(g, square(g.e.x-x)+square(g.e.y-y), placed)
	}
	slices.SortFunc(r.ghosts, func(a, b *ghost) int { return cmp.Compare(a.e.id, b.e.id) })
}

// lookAtNew wants all that concerns everybody; it is looked at once.
//
//nolint:revive // flag-parameter: who has no place sees all
func (r *Replica) lookAtNew(placed bool) {
	w := r.world
	if !placed && r.placed {
		r.looked = 0
	}
	r.placed = placed
	known := len(r.ghosts)
	i, _ := w.find(r.looked + 1)
	for _, e := range w.entities[i:] {
		r.looked = e.id
		if !placed || w.rules[e.kind].Seen == 0 {
			r.want(e, known)
		}
	}
}

// want makes a ghost of an entity, unless it is one of the first so many.
func (r *Replica) want(e *entity, known int) {
	if _, found := slices.BinarySearchFunc(r.ghosts[:known], e.id, func(g *ghost, id uint32) int { return cmp.Compare(g.e.id, id) }); found {
		return
	}
	r.ghosts = append(r.ghosts, &ghost{e: e, wanted: true})
}

// viewpoint is where the player is: his first entity with a place.
func (r *Replica) viewpoint() (x, y float64, ok bool) {
	for _, e := range r.world.owned[r.player] {
		if r.world.rules[e.kind].placed && e.born != 0 {
			return e.x, e.y, true
		}
	}
	return 0, 0, false
}

// vary says what the player is to see of an entity that is so far away, squared.
//
//nolint:revive // flag-parameter: who has no place is near everything
func (r *Replica) vary(g *ghost, away float64, placed bool) {
	if g.e.owner == r.player && r.player != "" {
		g.variant = wire.VariantOwner
		return
	}
	level := wire.Variant(0)
	for i, d := range r.world.schema.Kind(g.e.kind).Distances() {
		if int(g.variant) > i { // it is seen: a little further, too
			d *= stay
		}
		if !placed || away <= square(d) {
			level++
		}
	}
	g.variant = level
}

// plan says what is to be told of the ghost. It is false when it can be
// forgotten: the client does not see the entity, and is not to.
func (g *ghost) plan(r *Replica) bool {
	acks := r.came
	g.seen = g.samples.Seen(acks)
	g.say = sayNothing
	// Told, and it came or may still come.
	alive := g.samples.Told & (acks | r.unknown())
	if !g.wanted {
		return g.planGone(acks, alive)
	}
	if g.current(r, acks, alive) {
		return true
	}
	g.say = sayChange
	c := coding{bases: g.samples.Bases(acks), variant: g.variant}
	var settled wire.Values
	switch c.settled = c.bases.Base == 0; {
	case !g.seen:
		c = coding{fresh: true, variant: g.variant}
	case c.settled:
		var ok bool
		if settled, ok = g.e.settledAt(g.settled); !ok || g.settledSees != g.variant {
			c = coding{fresh: true, variant: g.variant}
		}
	case g.sees[(r.tick-throng.Tick(c.bases.Base))%wire.History] != g.variant:
		c = coding{fresh: true, variant: g.variant}
	}
	if c.fresh {
		g.say = sayFresh
	}
	made := r.world.coded(g.e, c, settled)
	g.from, g.to, g.cost = made.from, made.to, made.cost
	if c.fresh && !g.seen {
		g.cost += newCost
	}
	return true
}

// newCost is about what ID and kind take, in 1/256 bits.
const newCost = 16 * 256

// unknown is the ticks of which it is not known whether they came.
func (r *Replica) unknown() uint32 {
	if r.known == 0 {
		return r.sent
	}
	return r.sent & (1<<(r.tick-r.known) - 1)
}

func (g *ghost) planGone(acks, alive uint32) bool {
	told := alive & g.samples.Gone
	switch {
	case !g.seen:
		// What is on the way may show it to the client.
		return alive&^acks&^g.samples.Gone != 0
	case alive != 0 && told&(alive&-alive) != 0 && bits.OnesCount32(told) >= repeats:
		return true
	}
	g.say, g.cost = sayGone, goneCost
	return true
}

const goneCost = 6 * 256

// current says whether the client has the entity as it is, or is about to.
func (g *ghost) current(r *Replica, acks, alive uint32) bool {
	if alive == 0 {
		return g.samples.Settled && g.settledSees == g.variant && g.e.changedFor(g.variant) <= g.settled
	}
	newest := throng.Tick(trailing(alive))
	t := r.tick - newest
	if g.samples.Gone&(alive&-alive) != 0 || g.sees[t%wire.History] != g.variant {
		return false
	}
	changed := g.e.changedFor(g.variant)
	if changed > t {
		return false
	}
	if acks&(1<<newest) != 0 || !g.seen {
		return true
	}
	// Told since it changed, and how often. 32 ticks or more: all of them.
	since := alive
	if ago := r.tick - changed; ago < wire.History-1 {
		since &= 1<<(ago+1) - 1
	}
	return bits.OnesCount32(since) >= repeats || since&acks != 0
}

func trailing(v uint32) int { return bits.TrailingZeros32(v) }
