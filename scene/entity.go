package scene

import (
	"math"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

// leap is the part of a field's range by which x, y or z change at once: a teleport,
// which is no way.
const leap = 1. / 8

// look is what a kind's fields mean to whoever shows them.
type look struct {
	kind   *wire.Kind
	places []int     // the numbers x, y and z, as far as there are such
	turns  []float64 // by field: see wire.Field.Turn
}

func newLook(k *wire.Kind) look {
	l := look{kind: k}
	for _, name := range []string{"x", "y", "z"} {
		if i, ok := k.Field(name); ok && k.At(i).Kind == wire.FieldNumber {
			l.places = append(l.places, i)
		}
	}
	for i := range k.Len() {
		l.turns = append(l.turns, k.At(i).Turn())
	}
	return l
}

// leaps says whether there is no way from one sample to another.
func (l *look) leaps(a, b wire.Entity) bool {
	for _, i := range l.places {
		f := l.kind.At(i)
		if math.Abs(l.kind.Number(b, i)-l.kind.Number(a, i)) > leap*(f.Max-f.Min) {
			return true
		}
	}
	return false
}

// mix is a field's value at a part of the way from one to another: angles take the
// shorter way round, and parts above 1 stay within the range.
func (l *look) mix(field int, a, b, part float64) float64 {
	f := l.kind.At(field)
	if turn := l.turns[field]; turn != 0 {
		v := a + around(b-a, turn)*part
		return v - turn*math.Floor((v-f.Min)/turn)
	}
	v := a + (b-a)*part
	if part > 1 {
		v = max(f.Min, min(v, f.Max))
	}
	return v
}

// around is a difference of angles by the shorter way.
func around(d, turn float64) float64 { return d - turn*math.Round(d/turn) }

// Entity is one thing as it is shown. It is good until the next At.
type Entity struct { //nolint:recvcheck // only the scene moves one, others get a copy
	is       wire.Entity
	kind     *wire.Kind
	look     *look
	from, to wire.Entity
	part     float64
	own      []float64 // by field, of one that is predicted; else nil
}

// move sets between which samples it is shown; where there is no way between them it
// is at the first until it is at the second.
func (e *Entity) move(a, b sample, part float64) {
	if e.look.leaps(a.entity, b.entity) {
		return
	}
	e.from, e.to, e.part = a.entity, b.entity, part
}

// ID counts from 1 and is never used again in a session.
func (e Entity) ID() uint32 { return e.is.ID }

// Owner is the player whose entity it is; empty: nobody's.
func (e Entity) Owner() throng.PlayerID { return e.is.Owner }

// Kind is what the place calls it, and its fields.
func (e Entity) Kind() *wire.Kind { return e.kind }

// Predicted says whether it is the player's own, shown as it will be once the server
// has his inputs.
func (e Entity) Predicted() bool { return e.own != nil }

// Number is a number, an integer, or a bool as 0 or 1, by the field's index; 0 if
// there is none. Numbers move evenly, all others change at their tick.
func (e Entity) Number(field int) float64 {
	if field < 0 || field >= e.kind.Len() {
		return 0
	}
	if e.own != nil {
		return e.own[field]
	}
	if e.part == 0 || e.kind.At(field).Kind != wire.FieldNumber {
		return e.kind.Number(e.is, field)
	}
	return e.look.mix(field, e.kind.Number(e.from, field), e.kind.Number(e.to, field), e.part)
}

// Text is a string, by the field's index; "" if there is none.
func (e Entity) Text(field int) string { return e.kind.Text(e.is, field) }
