package motion

import "math"

// vec is a place or a direction.
type vec struct{ x, y, z float64 }

func (a vec) add(b vec) vec          { return vec{a.x + b.x, a.y + b.y, a.z + b.z} }
func (a vec) sub(b vec) vec          { return vec{a.x - b.x, a.y - b.y, a.z - b.z} }
func (a vec) times(s float64) vec    { return vec{a.x * s, a.y * s, a.z * s} }
func (a vec) dot(b vec) float64      { return a.x*b.x + a.y*b.y + a.z*b.z }
func (a vec) length() float64        { return math.Sqrt(a.dot(a)) }
func (a vec) cross(b vec) vec        { return vec{a.y*b.z - a.z*b.y, a.z*b.x - a.x*b.z, a.x*b.y - a.y*b.x} }
func (a vec) along(d vec) (n, t vec) { n = d.times(a.dot(d)); return n, a.sub(n) }
func (a vec) unit(otherwise vec) vec {
	l := a.length()
	if l < 1e-9 {
		return otherwise
	}
	return a.times(1 / l)
}

// quat is an orientation.
type quat struct{ w, x, y, z float64 }

func (q quat) turn(v vec) vec {
	u := vec{q.x, q.y, q.z}
	t := u.cross(v).times(2)
	return v.add(t.times(q.w)).add(u.cross(t))
}

// spin goes on by an angular velocity for so long.
func (q quat) spin(v vec, dt float64) quat {
	h := dt / 2
	p := quat{
		q.w - h*(v.x*q.x+v.y*q.y+v.z*q.z),
		q.x + h*(v.x*q.w+v.y*q.z-v.z*q.y),
		q.y + h*(v.y*q.w+v.z*q.x-v.x*q.z),
		q.z + h*(v.z*q.w+v.x*q.y-v.y*q.x),
	}
	l := math.Sqrt(p.w*p.w + p.x*p.x + p.y*p.y + p.z*p.z)
	return quat{p.w / l, p.x / l, p.y / l, p.z / l}
}

// smallestThree is the index of the largest part, and the others, each -1 to 1 of
// the root of a half, the largest made positive.
func (q quat) smallestThree() (largest int, rest [3]float64) {
	parts := [4]float64{q.x, q.y, q.z, q.w}
	for i, p := range parts {
		if math.Abs(p) > math.Abs(parts[largest]) {
			largest = i
		}
	}
	sign := math.Copysign(1, parts[largest])
	n := 0
	for i, p := range parts {
		if i != largest {
			rest[n] = p * sign * math.Sqrt2
			n++
		}
	}
	return largest, rest
}
