package gameserver

import (
	"cmp"
	"math"
	"slices"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

// Rule says how entities of a kind concern players.
type Rule struct {
	// Seen is how far they are seen from a player's own first entity with a place:
	// the fields x and y. 0: everywhere. Who has no such entity sees all.
	Seen float64
	// Weight is how much more than others they matter when there is not room for
	// all. 0 means 1.
	Weight float64

	placed bool // it has a place
	x, y   int  // fields
	// reference is the distance at which it matters half as much.
	reference float64
}

// stay is how much further than it comes into view an entity goes out of it,
// so that one at the border does not come and go.
const stay = 1.1

func plainRule(k *wire.Kind) Rule {
	r := Rule{Weight: 1}
	x, okX := k.Field("x")
	y, okY := k.Field("y")
	if okX && okY && k.At(x).Kind == wire.FieldNumber && k.At(y).Kind == wire.FieldNumber {
		r.placed, r.x, r.y = true, x, y
		r.reference = max(k.At(x).Max-k.At(x).Min, k.At(y).Max-k.At(y).Min) / 16
	}
	return r
}

// Rule sets how a kind concerns players. Invalid: no such kind, or it is too
// late, a distance or a weight below 0, or a distance of a kind without a place.
func (w *World) Rule(kind int, seen, weight float64) error {
	switch {
	case kind < 0 || kind >= len(w.rules):
		return throng.Errorf(throng.Invalid, "there is no kind %d", kind)
	case w.now != 0:
		return throng.Errorf(throng.Invalid, "rules must be set at the start")
	case !(seen >= 0) || math.IsInf(seen, 0) || !(weight >= 0) || weight > 1000:
		return throng.Errorf(throng.Invalid, "a kind is seen %v far and weighs %v: want 0 or more, and at most 1,000", seen, weight)
	}
	r := &w.rules[kind]
	if k := w.schema.Kind(kind); !r.placed && (seen > 0 || len(k.Distances()) > 0) {
		return throng.Errorf(throng.Invalid, "kind %s has no numbers x and y, so that distances say nothing", k.Name())
	}
	if r.Seen = seen; seen > 0 {
		r.reference = seen / 4
	}
	if r.Weight = weight; weight == 0 {
		r.Weight = 1
	}
	return nil
}

// Gait sets how entities of a kind move; see wire.Schema.SetGait. Invalid: what it
// says, or it is too late.
func (w *World) Gait(kind int, g wire.Gait) error {
	if w.now != 0 {
		return throng.Errorf(throng.Invalid, "how a kind moves must be said at the start")
	}
	return w.schema.SetGait(kind, g)
}

// grid finds entities of kinds that are not seen everywhere: for each kind its
// entities by cells that are as large as it is seen far.
type grid struct{ kinds []cells }

type cells struct {
	size float64
	list []placed // in the order of rows, then columns
}

type placed struct {
	row, column int32
	e           *entity
}

func (a placed) compare(b placed) int {
	return cmp.Or(cmp.Compare(a.row, b.row), cmp.Compare(a.column, b.column), cmp.Compare(a.e.id, b.e.id))
}

func (g *grid) fill(w *World) {
	if len(g.kinds) < len(w.rules) {
		g.kinds = make([]cells, len(w.rules))
	}
	ranged := false
	for i := range g.kinds {
		c := &g.kinds[i]
		clear(c.list)
		c.size, c.list = w.rules[i].Seen, c.list[:0]
		ranged = ranged || c.size > 0
	}
	if !ranged {
		return
	}
	for _, e := range w.entities {
		if c := &g.kinds[e.kind]; c.size > 0 {
			c.list = append(c.list, placed{c.cell(e.y), c.cell(e.x), e})
		}
	}
	for i := range g.kinds {
		slices.SortFunc(g.kinds[i].list, placed.compare)
	}
}

// cell is clamped, so that places far out share the last one.
func (c *cells) cell(v float64) int32 {
	return int32(max(-1<<30, min(math.Floor(v/c.size), 1<<30)))
}

// near calls fn for every entity within size of a place.
func (c *cells) near(x, y float64, fn func(*entity)) {
	row, column := c.cell(y), c.cell(x)
	for r := row - 1; r <= row+1; r++ {
		from, _ := slices.BinarySearchFunc(c.list, placed{row: r, column: column - 1}, func(a, b placed) int {
			return cmp.Or(cmp.Compare(a.row, b.row), cmp.Compare(a.column, b.column))
		})
		for _, p := range c.list[from:] {
			if p.row != r || p.column > column+1 {
				break
			}
			if square(p.e.x-x)+square(p.e.y-y) <= c.size*c.size {
				fn(p.e)
			}
		}
	}
}

func square(v float64) float64 { return v * v }
