package physics

import "math"

// shape is a box of half extents hx and hy around x, y, with corners rounded by r.
type shape struct{ x, y, hx, hy, r float64 }

// way is from x, y by dx, dy.
type way struct{ x, y, dx, dy float64 }

// from is the way as it is seen from a place.
func (w way) from(x, y float64) way { return way{w.x - x, w.y - y, w.dx, w.dy} }

// hit is where a ray meets a shape: t is the part of the way, n the normal
// against which it ran.
type hit struct{ t, nx, ny float64 }

// mul is a product that is rounded before anything is added to it, so that no
// machine fuses the two.
func mul(a, b float64) float64 { return float64(a * b) }

func dot(ax, ay, bx, by float64) float64 { return mul(ax, bx) + mul(ay, by) }

// sum is the shape that the centre of o must not enter if o is to stay out of s.
func (s shape) sum(o shape) shape { return shape{s.x, s.y, s.hx + o.hx, s.hy + o.hy, s.r + o.r} }

// reach is the half extents of the box around the shape.
func (s shape) reach() (w, h float64) { return s.hx + s.r, s.hy + s.r }

// depth is how deep a point is inside, and the shortest way out; 0: it is not.
func (s shape) depth(x, y float64) (d, nx, ny float64) {
	px, py := x-s.x, y-s.y
	qx, qy := math.Abs(px)-s.hx, math.Abs(py)-s.hy
	signX, signY := math.Copysign(1, px), math.Copysign(1, py)
	if qx > 0 && qy > 0 { // beside a corner
		length := math.Sqrt(dot(qx, qy, qx, qy))
		if length >= s.r {
			return 0, 0, 0
		}
		return s.r - length, mul(signX, qx/length), mul(signY, qy/length)
	}
	if d := s.r - max(qx, qy); d <= 0 {
		return 0, 0, 0
	}
	if qx > qy {
		return s.r - qx, signX, 0
	}
	return s.r - qy, 0, signY
}

// ray is where a way first enters the shape, which it starts outside of or
// leaves; false: nowhere.
func (s shape) ray(w way) (hit, bool) {
	best := hit{t: 2}
	best.slab(w.from(s.x, s.y), s.hx+s.r, s.hy)
	if s.r > 0 {
		best.slab(w.from(s.x, s.y), s.hx, s.hy+s.r)
		best.corner(w.from(s.x+s.hx, s.y+s.hy), s.r)
		if s.hx > 0 {
			best.corner(w.from(s.x-s.hx, s.y+s.hy), s.r)
		}
		if s.hy > 0 {
			best.corner(w.from(s.x+s.hx, s.y-s.hy), s.r)
		}
		if s.hx > 0 && s.hy > 0 {
			best.corner(w.from(s.x-s.hx, s.y-s.hy), s.r)
		}
	}
	return best, best.t <= 1
}

// slab takes where a ray enters a box around 0, if that is earlier.
func (h *hit) slab(w way, hx, hy float64) {
	if hx <= 0 || hy <= 0 {
		return
	}
	from, to := 0.0, 1.0
	entered := hit{t: -1}
	for axis := range 2 {
		p, d, e := w.x, w.dx, hx
		if axis == 1 {
			p, d, e = w.y, w.dy, hy
		}
		if d == 0 {
			if math.Abs(p) >= e {
				return
			}
			continue
		}
		near, far := (-e-p)/d, (e-p)/d
		if near > far {
			near, far = far, near
		}
		if near >= from {
			from, entered = near, hit{t: near}
			if axis == 0 {
				entered.nx = -math.Copysign(1, w.dx)
			} else {
				entered.ny = -math.Copysign(1, w.dy)
			}
		}
		to = min(to, far)
	}
	if entered.t >= 0 && from < to && from < h.t {
		*h = entered
	}
}

// corner takes where a ray enters a circle around 0, if that is earlier.
func (h *hit) corner(w way, r float64) {
	a, b := dot(w.dx, w.dy, w.dx, w.dy), dot(w.x, w.y, w.dx, w.dy)
	c := dot(w.x, w.y, w.x, w.y) - mul(r, r)
	if a == 0 || b >= 0 || c < 0 { // stands, leaves, or is inside
		return
	}
	under := mul(b, b) - mul(a, c)
	if under < 0 {
		return
	}
	t := max((-b-math.Sqrt(under))/a, 0)
	if t >= h.t || t > 1 {
		return
	}
	nx, ny := w.x+mul(w.dx, t), w.y+mul(w.dy, t)
	length := math.Sqrt(dot(nx, ny, nx, ny))
	*h = hit{t, nx / length, ny / length}
}
