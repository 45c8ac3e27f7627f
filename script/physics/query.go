package physics

import (
	"math"
	"slices"
)

// Filter chooses bodies.
type Filter struct {
	Group string // empty: of any group
	Skip  *Body  // not this one
	Solid bool   // only solid ones
}

func (f Filter) takes(b *Body) bool {
	return b != f.Skip && (b.Solid || !f.Solid) && (f.Group == "" || f.Group == b.Group)
}

// near collects the bodies whose cells a box from one cell to another touches,
// each once, in no order.
func (s *Space) near(from, to cell, f Filter) []*Body {
	s.query++
	s.found = s.found[:0]
	cells := count(from, to)
	if cells <= 0 || cells > len(s.bodies)+maxCells {
		s.Charge(costBody * len(s.bodies))
		s.take(s.bodies, f)
		return s.found
	}
	s.Charge(costCell*cells + costBody*len(s.large))
	s.take(s.large, f)
	for y := from.y; y <= to.y; y++ {
		for x := from.x; x <= to.x; x++ {
			list := s.grid[cell{x, y}]
			s.Charge(costBody * len(list))
			s.take(list, f)
		}
	}
	return s.found
}

func (s *Space) take(list []*Body, f Filter) {
	for _, b := range list {
		if b.seen != s.query {
			b.seen = s.query
			if f.takes(b) {
				s.found = append(s.found, b)
			}
		}
	}
}

// OverlapCircle is the bodies that overlap a circle, by number. The result is
// good until the next call.
func (s *Space) OverlapCircle(x, y, r float64, f Filter) []*Body {
	return s.overlap(shape{x: x, y: y, r: r}, f)
}

// OverlapBox is the bodies that overlap a box around x, y, by number. The result
// is good until the next call.
func (s *Space) OverlapBox(x, y, w, h float64, f Filter) []*Body {
	return s.overlap(shape{x: x, y: y, hx: w / 2, hy: h / 2}, f)
}

// overlap finds what a shape overlaps; touching is not overlapping.
func (s *Space) overlap(sh shape, f Filter) []*Body {
	from, to := s.cellsOf(sh)
	list := s.near(from, to, f)
	in := list[:0]
	for _, b := range list {
		if d, _, _ := b.sum(sh).depth(sh.x, sh.y); d > 0 {
			in = append(in, b)
		}
	}
	slices.SortFunc(in, func(a, b *Body) int { return a.Number - b.Number })
	return in
}

// Hit is what a ray or a move met.
type Hit struct {
	Body   *Body // nil: nothing
	X, Y   float64
	NX, NY float64 // normal of what was met, length 1
	T      float64 // part of the way, 0 to 1
}

// Raycast is the first body on the way from one place to another; of several at
// once the one with the lowest number. Bodies that the way starts in are not met.
func (s *Space) Raycast(x1, y1, x2, y2 float64, f Filter) Hit {
	w := way{x1, y1, x2 - x1, y2 - y1}
	best, bestHit := (*Body)(nil), hit{t: 2}
	look := func(list []*Body) {
		for _, b := range list {
			h, ok := b.ray(w)
			if ok && (h.t < bestHit.t || h.t == bestHit.t && b.Number < best.Number) {
				if d, _, _ := b.depth(x1, y1); d == 0 {
					best, bestHit = b, h
				}
			}
		}
	}
	s.walk(w, f, func(list []*Body, reached float64) bool {
		look(list)
		return bestHit.t < reached
	})
	if best == nil {
		return Hit{X: x2, Y: y2, T: 1}
	}
	return Hit{Body: best, X: x1 + mul(w.dx, bestHit.t), Y: y1 + mul(w.dy, bestHit.t), NX: bestHit.nx, NY: bestHit.ny, T: bestHit.t}
}

// walk shows the bodies near a way, cell by cell from its start, each once,
// until done. reached is up to which part of the way all were shown. (Amanatides
// and Woo, A Fast Voxel Traversal Algorithm, 1987.)
func (s *Space) walk(w way, f Filter, done func(list []*Body, reached float64) bool) {
	from, to := s.cellAt(w.x, w.y), s.cellAt(w.x+w.dx, w.y+w.dy)
	steps := abs(int(to.x)-int(from.x)) + abs(int(to.y)-int(from.y))
	s.query++
	if steps > len(s.bodies)+maxCells {
		s.found = s.found[:0]
		s.Charge(costBody * len(s.bodies))
		s.take(s.bodies, f)
		done(s.found, 2)
		return
	}
	s.Charge(costBody * len(s.large))
	s.found = s.found[:0]
	s.take(s.large, f)
	done(s.found, 0)
	nextX, everyX := s.crossings(w.x, w.dx)
	nextY, everyY := s.crossings(w.y, w.dy)
	at := from
	for i := 0; ; i++ {
		list := s.grid[at]
		s.Charge(costCell + costBody*len(list))
		s.found = s.found[:0]
		s.take(list, f)
		if done(s.found, min(nextX, nextY)) || i >= steps {
			return
		}
		if nextX < nextY {
			nextX += everyX
			at.x += sign(w.dx)
		} else {
			nextY += everyY
			at.y += sign(w.dy)
		}
	}
}

// crossings is at which part of a way it first leaves its cell on an axis, and
// after which part again.
func (s *Space) crossings(p, d float64) (first, every float64) {
	if d == 0 {
		return math.Inf(1), math.Inf(1)
	}
	edge := mul(math.Floor(p/s.size), s.size)
	if d > 0 {
		edge += s.size
	}
	return (edge - p) / d, s.size / math.Abs(d)
}

func abs(n int) int { return max(n, -n) }

func sign(d float64) int32 {
	if d < 0 {
		return -1
	}
	return 1
}
