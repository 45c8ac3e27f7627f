package physics

import "math"

const (
	// skin is what a moved body keeps from what it ran against, so that the next
	// move does not begin in it.
	skin = 1.0 / 4096
	// maxSlides is against how many things one move slides; then it stops.
	maxSlides = 4
	// maxPushes is out of how many things a move first pushes a body that is in
	// them.
	maxPushes = 4
)

// Move moves a body by dx, dy and slides along solid bodies of the filter's
// group, all when it is empty. A body that is inside of solid ones is pushed out
// first. It returns where the body is then, and the first thing that it ran
// against.
func (s *Space) Move(b *Body, dx, dy float64, f Filter) Hit {
	filter := f
	filter.Skip, filter.Solid = b, true
	moved := b.shape
	first := Hit{T: 1}
	s.push(&moved, filter, &first)
	s.slide(&moved, clampMove(dx), clampMove(dy), filter, &first)
	moved.x, moved.y = max(-MaxCoord, min(moved.x, MaxCoord)), max(-MaxCoord, min(moved.y, MaxCoord))
	s.put(b, moved.x, moved.y)
	first.X, first.Y = moved.x, moved.y
	return first
}

func clampMove(d float64) float64 { return max(-MaxCoord, min(d, MaxCoord)) }

// push takes a shape out of what it is in, the deepest first.
func (s *Space) push(sh *shape, f Filter, first *Hit) {
	for range maxPushes {
		from, to := s.cellsOf(*sh)
		var worst *Body
		var d, nx, ny float64
		for _, o := range s.near(from, to, f) {
			od, ox, oy := o.sum(*sh).depth(sh.x, sh.y)
			if od > d || od == d && od > 0 && o.Number < worst.Number {
				worst, d, nx, ny = o, od, ox, oy
			}
		}
		if worst == nil {
			return
		}
		if first.Body == nil {
			*first = Hit{Body: worst, NX: nx, NY: ny}
		}
		sh.x += mul(nx, d+skin)
		sh.y += mul(ny, d+skin)
	}
}

// slide moves a shape, and what is left of its way along what it runs against.
func (s *Space) slide(sh *shape, dx, dy float64, f Filter, first *Hit) {
	var lastX, lastY float64
	for range maxSlides {
		length := math.Sqrt(dot(dx, dy, dx, dy))
		if length < skin/16 {
			return
		}
		body, h := s.sweep(*sh, dx, dy, f)
		if body == nil {
			sh.x += dx
			sh.y += dy
			return
		}
		if first.Body == nil {
			*first = Hit{Body: body, NX: h.nx, NY: h.ny, T: h.t}
		}
		// Stop a skin before it, measured against its face.
		toward := -dot(dx, dy, h.nx, h.ny)
		t := max(h.t-skin/max(toward, skin), 0)
		sh.x += mul(dx, t)
		sh.y += mul(dy, t)
		dx, dy = mul(dx, 1-t), mul(dy, 1-t)
		into := dot(dx, dy, h.nx, h.ny)
		dx, dy = dx-mul(h.nx, into), dy-mul(h.ny, into)
		if dot(dx, dy, lastX, lastY) < 0 { // back into what it slid along: a corner
			return
		}
		lastX, lastY = h.nx, h.ny
	}
}

// sweep is the first thing that a shape on its way runs against; of several at
// once the one with the lowest number.
func (s *Space) sweep(sh shape, dx, dy float64, f Filter) (*Body, hit) {
	w, h := sh.reach()
	from := s.cellAt(min(sh.x, sh.x+dx)-w-skin, min(sh.y, sh.y+dy)-h-skin)
	to := s.cellAt(max(sh.x, sh.x+dx)+w+skin, max(sh.y, sh.y+dy)+h+skin)
	best, bestHit := (*Body)(nil), hit{t: 2}
	for _, o := range s.near(from, to, f) {
		if d, _, _ := o.sum(sh).depth(sh.x, sh.y); d > 0 {
			continue // it is inside, could not be pushed out, and may leave
		}
		got, ok := o.sum(sh).ray(way{sh.x, sh.y, dx, dy})
		if ok && (got.t < bestHit.t || got.t == bestHit.t && o.Number < best.Number) {
			best, bestHit = o, got
		}
	}
	return best, bestHit
}
