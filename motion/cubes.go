package motion

import (
	"math"
	"math/rand/v2"
)

// Cubes is how many there are: a large one that a player rolls about, and others
// that it pushes.
const Cubes = 901

// Cube is one cube as it is sent: in the quantisation of Fiedler's article on
// snapshot compression.
type Cube struct {
	X, Y, Z     int // 512 a metre: -16,383 to 16,383, Z 0 to 8,191
	Largest     int // 0 to 3
	A, B, C     int // 0 to 511
	Interacting bool
}

const (
	cubeRate   = 60 // frames a second
	cubeSteps  = 2  // of physics in a frame
	smallSide  = 0.4
	largeSide  = 1.5
	fieldSide  = 15 // metres to each side
	gravity    = 9.81
	bounce     = 0.2
	grip       = 0.6
	restSpeed  = 0.06 // m/s and rad/s
	restFrames = 20
	frameTime  = 1.0 / cubeRate
)

type body struct {
	at, speed, spin vec
	turned          quat
	half            float64
	mass            float64
	quiet           int // frames that it was slower than restSpeed
	asleep          bool
}

// Pile is a pile of cubes on a plane: rigid bodies, whose corners hit the ground
// and whose inscribed balls hit each other; friction makes them tumble. The same
// seed moves them the same.
type Pile struct {
	bodies []body
	r      *rand.Rand
	wish   vec
	until  int
	frame  int
	cells  map[[2]int][]int
}

// NewPile stacks the cubes.
func NewPile(seed uint64) *Pile {
	p := &Pile{r: rand.New(rand.NewPCG(seed, 901)), cells: map[[2]int][]int{}}
	p.bodies = append(p.bodies, body{at: vec{0, -10, largeSide / 2}, turned: quat{w: 1}, half: largeSide / 2, mass: 20})
	for i := 1; i < Cubes; i++ {
		n := i - 1
		at := vec{(float64(n%30) - 14.5) * 0.7, (float64(n/30) - 14.5) * 0.7, smallSide / 2}
		p.bodies = append(p.bodies, body{at: at, turned: quat{w: 1}, half: smallSide / 2, mass: 1, asleep: true})
	}
	return p
}

// Step goes on by a frame and returns the cubes.
func (p *Pile) Step() [Cubes]Cube {
	p.steer()
	for range cubeSteps {
		p.move(frameTime / cubeSteps)
		p.touch()
	}
	p.rest()
	p.frame++
	var out [Cubes]Cube
	for i := range p.bodies {
		out[i] = p.bodies[i].quantised()
	}
	return out
}

// steer rolls the large cube somewhere else every second or so, and makes it jump.
func (p *Pile) steer() {
	b := &p.bodies[0]
	if p.frame >= p.until {
		a := p.r.Float64() * 2 * math.Pi
		p.wish = vec{math.Cos(a), math.Sin(a), 0}.times(3 + p.r.Float64()*6)
		if p.r.IntN(4) == 0 {
			p.wish = vec{}
		}
		if away := b.at; away.length() > fieldSide/2 {
			p.wish = vec{-away.x, -away.y, 0}.unit(vec{x: 1}).times(4)
		}
		p.until = p.frame + 30 + p.r.IntN(60)
		if p.r.IntN(5) == 0 && b.at.z < largeSide {
			b.speed.z += 4
		}
	}
	b.asleep = false
	push := p.wish.sub(vec{b.speed.x, b.speed.y, 0}).times(4 * frameTime)
	b.speed = b.speed.add(push)
	b.spin = b.spin.add(vec{-push.y, push.x, 0})
}

func (p *Pile) move(dt float64) {
	for i := range p.bodies {
		b := &p.bodies[i]
		if b.asleep {
			continue
		}
		b.speed.z -= gravity * dt
		b.speed, b.spin = b.speed.times(1-0.2*dt), b.spin.times(1-0.4*dt)
		b.at = b.at.add(b.speed.times(dt))
		b.turned = b.turned.spin(b.spin, dt)
		b.ground()
		for _, axis := range []*float64{&b.at.x, &b.at.y} {
			*axis = max(-fieldSide, min(*axis, fieldSide))
		}
	}
}

// ground lets the corners that are below it hit the ground.
func (b *body) ground() {
	deep := 0.0
	for i := range 8 {
		corner := vec{b.half, b.half, b.half}
		for j, part := range []*float64{&corner.x, &corner.y, &corner.z} {
			if i>>j&1 == 1 {
				*part = -*part
			}
		}
		arm := b.turned.turn(corner)
		depth := -(b.at.z + arm.z)
		if depth <= 0 {
			continue
		}
		deep = max(deep, depth)
		b.hit(arm, vec{z: 1}, vec{}, math.Inf(1), nil)
	}
	b.at.z += deep * 0.8
}

// hit is a contact at an arm of b, whose normal points to it, with something that
// moves there so fast; other is what it is, nil for the ground.
func (b *body) hit(arm, normal, speed vec, mass float64, other *body) {
	inertia := b.mass * b.half * b.half * 2 / 3
	rel := b.speed.add(b.spin.cross(arm)).sub(speed)
	into := rel.dot(normal)
	if into >= 0 {
		return
	}
	lever := arm.cross(normal)
	give := 1/b.mass + 1/mass + lever.dot(lever)/inertia
	size := -(1 + bounce) * into / give
	if into > -0.5 {
		size = -into / give
	}
	_, slide := rel.along(normal)
	rub := slide.unit(vec{}).times(-min(grip*size, slide.length()/(1/b.mass+1/mass+arm.dot(arm)/inertia)))
	impulse := normal.times(size).add(rub)
	b.speed = b.speed.add(impulse.times(1 / b.mass))
	b.spin = b.spin.add(arm.cross(impulse).times(1 / inertia))
	if other != nil {
		back := normal.times(-other.half)
		theirs := other.mass * other.half * other.half * 2 / 3
		other.speed = other.speed.sub(impulse.times(1 / other.mass))
		other.spin = other.spin.sub(back.cross(impulse).times(-1 / theirs))
	}
}

// touch lets cubes hit each other: the balls between those within and around them.
func (p *Pile) touch() {
	const cell = 1.2
	clear(p.cells)
	for i := range p.bodies[1:] {
		b := &p.bodies[i+1]
		key := [2]int{int(math.Floor(b.at.x / cell)), int(math.Floor(b.at.y / cell))}
		p.cells[key] = append(p.cells[key], i+1)
	}
	for i := range p.bodies {
		a := &p.bodies[i]
		if a.asleep {
			continue
		}
		x, y := int(math.Floor(a.at.x/cell)), int(math.Floor(a.at.y/cell))
		for dx := -1; dx <= 1; dx++ {
			for dy := -1; dy <= 1; dy++ {
				for _, j := range p.cells[[2]int{x + dx, y + dy}] {
					if b := &p.bodies[j]; j != i && (b.asleep || j > i) {
						a.meet(b)
					}
				}
			}
		}
	}
}

func (b *body) meet(other *body) {
	apart := b.at.sub(other.at)
	reach := (b.half + other.half) * 1.1
	distance := apart.length()
	if distance >= reach {
		return
	}
	normal := apart.unit(vec{z: 1})
	if other.asleep {
		if b.speed.length() < 5*restSpeed {
			return // too slow to wake it
		}
		other.asleep, other.quiet = false, 0
	}
	arm := normal.times(-b.half)
	there := other.speed.add(other.spin.cross(normal.times(other.half)))
	b.hit(arm, normal, there, other.mass, other)
	push := normal.times((reach - distance) * 0.2)
	share := other.mass / (b.mass + other.mass)
	b.at, other.at = b.at.add(push.times(share)), other.at.sub(push.times(1-share))
}

// rest lets those sleep that were slow for long.
func (p *Pile) rest() {
	for i := range p.bodies[1:] {
		b := &p.bodies[i+1]
		if b.speed.length() > restSpeed+gravity*frameTime || b.spin.length() > 4*restSpeed {
			b.quiet = 0
			continue
		}
		if b.quiet++; b.quiet >= restFrames {
			b.asleep = true
			b.speed, b.spin = vec{}, vec{}
		}
	}
}

func (b *body) quantised() Cube {
	whole := func(v, low, high float64) int { return int(math.Round(max(low, min(v, high)))) }
	largest, rest := b.turned.smallestThree()
	part := func(v float64) int { return whole((v+1)/2*511, 0, 511) }
	return Cube{
		X: whole(b.at.x*512, -16383, 16383), Y: whole(b.at.y*512, -16383, 16383), Z: whole(b.at.z*512, 0, 8191),
		Largest: largest, A: part(rest[0]), B: part(rest[1]), C: part(rest[2]),
		Interacting: !b.asleep,
	}
}
