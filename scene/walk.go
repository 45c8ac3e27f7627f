package scene

import (
	"math"
	"slices"

	"github.com/throng-gg/throng/script/physics"
	"github.com/throng-gg/throng/wire"
)

// Move is what a player wants for one step: directions of -1 to 1, as the server sees
// them.
type Move struct {
	X, Y    float64
	Buttons uint32
}

// Step moves a player's own entity by dt seconds, as the place's script does. state
// has all of the kind's fields, by index, texts as 0; what Step sets is shown.
type Step func(state []float64, m Move, dt float64)

// obstacle is a solid entity.
type obstacle struct {
	id                   uint32
	x, y, r, width, high float64
}

// walk is the step of kinds that say how they move; see wire.Gait.
type walk struct {
	obstacles []obstacle // that space has
	scratch   []obstacle
	space     *physics.Space
	body      *physics.Body
	radius    float64 // of body
}

// walker is where a kind keeps what a walk changes.
type walker struct {
	gait        wire.Gait
	x, y, angle int
	fieldX      wire.Field
	fieldY      wire.Field
}

func newWalker(k *wire.Kind) walker {
	w := walker{gait: k.Gait()}
	w.x, _ = k.Field("x")
	w.y, _ = k.Field("y")
	w.angle, _ = k.Field("angle")
	w.fieldX, w.fieldY = k.At(w.x), k.At(w.y)
	return w
}

// look learns what is in the way of an entity of the player's.
func (w *walk) look(schema *wire.Schema, v *wire.View, own uint32, radius float64) {
	w.scratch = w.scratch[:0]
	if radius > 0 {
		for i := range v.Len() {
			e := v.At(i)
			if k := schema.Kind(e.Kind); k.Gait().Solid && e.ID != own {
				w.scratch = append(w.scratch, obstacleOf(k, e))
			}
		}
	}
	if w.space != nil && radius == w.radius && slices.Equal(w.scratch, w.obstacles) {
		return
	}
	w.obstacles = append(w.obstacles[:0], w.scratch...)
	w.radius, w.body = radius, nil
	w.space, _ = physics.NewSpace(max(0.1, min(1000, 4*radius)))
	for _, o := range w.obstacles {
		var body *physics.Body
		var err error
		if o.r > 0 {
			body, err = w.space.Circle(o.x, o.y, o.r)
		} else {
			body, err = w.space.Box(o.x, o.y, o.width, o.high)
		}
		if err == nil { // one without an extent is in nobody's way
			body.Solid = true
		}
	}
	if body, err := w.space.Circle(0, 0, radius); err == nil {
		w.body = body
	}
}

func obstacleOf(k *wire.Kind, e wire.Entity) obstacle {
	number := func(name string) float64 {
		i, ok := k.Field(name)
		if !ok {
			return 0
		}
		return k.Number(e, i)
	}
	o := obstacle{id: e.ID, x: number("x"), y: number("y")}
	if _, round := k.Field("radius"); round {
		o.r = number("radius")
	} else {
		o.width, o.high = number("width"), number("height")
	}
	return o
}

// step is a Step.
func (w *walk) step(at walker, state []float64, m Move, dt float64) {
	mx, my := m.X, m.Y
	if long := float64(mx*mx) + float64(my*my); long > 1 {
		long = math.Sqrt(long)
		mx, my = mx/long, my/long
	}
	x, y := state[at.x], state[at.y]
	dx, dy := mx*at.gait.Speed*dt, my*at.gait.Speed*dt
	if w.body != nil && w.space.Put(w.body, x, y) == nil {
		hit := w.space.Move(w.body, dx, dy, physics.Filter{})
		x, y = hit.X, hit.Y
	} else {
		x, y = x+dx, y+dy
	}
	state[at.x], state[at.y] = within(x, at.fieldX, at.gait.Radius), within(y, at.fieldY, at.gait.Radius)
	if at.gait.Turns && (mx != 0 || my != 0) {
		state[at.angle] = math.Atan2(my, mx)
	}
}

// within keeps a circle inside of a field's range.
func within(v float64, f wire.Field, radius float64) float64 {
	if f.Max-f.Min <= 2*radius {
		radius = 0
	}
	return max(f.Min+radius, min(v, f.Max-radius))
}
