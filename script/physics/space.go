package physics

import (
	"fmt"
	"math"
	"slices"
)

// Bounds of a space.
const (
	MaxBodies = 4096
	MaxCoord  = 1e6  // of any coordinate and extent
	MinExtent = 1e-3 // of a shape
	maxCells  = 64   // that a body is noted in; larger ones are looked at always
)

// Steps that are charged.
const (
	costCell = 3
	costBody = 12
)

// Body is a shape in a Space. Its number is its own for as long as the Space.
type Body struct {
	Number int
	Solid  bool   // Move stops at it
	Group  string // for filters
	Data   any    // the owner's

	shape
	space *Space // nil: removed
	cells []cell // where it is noted; nil: in large
	seen  uint64 // the query that looked at it last
}

type cell struct{ x, y int32 }

// Space is a plane with bodies.
type Space struct {
	// Charge is told of work before it is done; it may panic.
	Charge func(steps int)

	size   float64 // of a cell
	bodies []*Body // by number
	grid   map[cell][]*Body
	large  []*Body
	last   int
	query  uint64
	found  []*Body // of the last query, reused
}

// NewSpace makes a space whose cells are so large: about as large as most
// bodies, from 0.1 to 1,000.
func NewSpace(size float64) (*Space, error) {
	if !(size >= 0.1 && size <= 1000) {
		return nil, fmt.Errorf("a cell of %v is not 0.1 to 1000", size)
	}
	return &Space{size: size, grid: make(map[cell][]*Body), Charge: func(int) {}}, nil
}

// Len is the number of bodies.
func (s *Space) Len() int { return len(s.bodies) }

// Circle adds a circle.
func (s *Space) Circle(x, y, r float64) (*Body, error) {
	if !extent(r) {
		return nil, fmt.Errorf("a radius of %v is not %v to %v", r, MinExtent, MaxCoord)
	}
	return s.add(shape{x: x, y: y, r: r})
}

// Box adds a box around x, y.
func (s *Space) Box(x, y, w, h float64) (*Body, error) {
	if !extent(w) || !extent(h) {
		return nil, fmt.Errorf("a box of %v by %v is not %v to %v", w, h, MinExtent, MaxCoord)
	}
	return s.add(shape{x: x, y: y, hx: w / 2, hy: h / 2})
}

func (s *Space) add(sh shape) (*Body, error) {
	if !coord(sh.x) || !coord(sh.y) {
		return nil, fmt.Errorf("%v, %v is no place within %v", sh.x, sh.y, MaxCoord)
	}
	if len(s.bodies) >= MaxBodies {
		return nil, fmt.Errorf("a space has at most %d bodies", MaxBodies)
	}
	s.charge(sh)
	s.last++
	b := &Body{Number: s.last, shape: sh, space: s}
	s.bodies = append(s.bodies, b)
	s.note(b)
	return b, nil
}

func extent(v float64) bool { return v >= MinExtent && v <= MaxCoord }

func coord(v float64) bool { return v >= -MaxCoord && v <= MaxCoord }

// Place is where the body is.
func (b *Body) Place() (x, y float64) { return b.x, b.y }

// Size is the radius, or 0; and width and height, of a circle 0.
func (b *Body) Size() (r, w, h float64) { return b.r, 2 * b.hx, 2 * b.hy }

// Removed says whether it is in no space any more.
func (b *Body) Removed() bool { return b.space == nil }

// Put moves a body, whatever is there.
func (s *Space) Put(b *Body, x, y float64) error {
	if !coord(x) || !coord(y) {
		return fmt.Errorf("%v, %v is no place within %v", x, y, MaxCoord)
	}
	s.put(b, x, y)
	return nil
}

func (s *Space) put(b *Body, x, y float64) {
	from, to := s.cellsOf(b.shape)
	moved := b.shape
	moved.x, moved.y = x, y
	nextFrom, nextTo := s.cellsOf(moved)
	if from == nextFrom && to == nextTo {
		b.shape = moved
		return
	}
	s.charge(moved)
	s.forget(b)
	b.shape = moved
	s.note(b)
}

// charge tells what noting a shape costs.
func (s *Space) charge(sh shape) {
	from, to := s.cellsOf(sh)
	s.Charge(costBody + costCell*min(count(from, to), maxCells))
}

// Remove takes a body out. Twice is no error.
func (s *Space) Remove(b *Body) {
	if b.space != s {
		return
	}
	s.forget(b)
	b.space = nil
	if i, ok := slices.BinarySearchFunc(s.bodies, b.Number, func(o *Body, n int) int { return o.Number - n }); ok {
		s.bodies = slices.Delete(s.bodies, i, i+1)
	}
}

// cellsOf is the first and the last cell that a shape reaches.
func (s *Space) cellsOf(sh shape) (from, to cell) {
	w, h := sh.reach()
	return s.cellAt(sh.x-w, sh.y-h), s.cellAt(sh.x+w, sh.y+h)
}

// cellAt is the cell of a place. 3·MaxCoord/0.1 fits 32 bits.
func (s *Space) cellAt(x, y float64) cell {
	return cell{int32(math.Floor(x / s.size)), int32(math.Floor(y / s.size))}
}

// count is how many cells lie from one to another.
func count(from, to cell) int { return (int(to.x-from.x) + 1) * (int(to.y-from.y) + 1) }

func (s *Space) note(b *Body) {
	from, to := s.cellsOf(b.shape)
	b.cells = b.cells[:0]
	if count(from, to) > maxCells {
		s.large = append(s.large, b)
		return
	}
	for y := from.y; y <= to.y; y++ {
		for x := from.x; x <= to.x; x++ {
			c := cell{x, y}
			s.grid[c] = append(s.grid[c], b)
			b.cells = append(b.cells, c)
		}
	}
}

func (s *Space) forget(b *Body) {
	drop := func(list []*Body) []*Body {
		i := slices.Index(list, b)
		last := len(list) - 1
		list[i] = list[last]
		list[last] = nil
		return list[:last]
	}
	if len(b.cells) == 0 {
		s.large = drop(s.large)
		return
	}
	for _, c := range b.cells {
		if rest := drop(s.grid[c]); len(rest) > 0 {
			s.grid[c] = rest
		} else {
			delete(s.grid, c)
		}
	}
}
