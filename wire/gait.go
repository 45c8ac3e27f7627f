package wire

import (
	"math"

	"github.com/throng-gg/throng"
)

// Gait is how entities of a kind move and stand in the way, as far as a client
// has to know to show its player's own entity before the server says where it is.
type Gait struct {
	// Speed is how far an entity goes in a second at full input, along its fields x and
	// y; 0: the place does not say how it moves.
	Speed float64
	// Radius is of the circle that runs against solid entities; 0: it runs against
	// none.
	Radius float64
	Turns  bool // its field angle is where it goes
	// Solid entities are in the way: a circle by the fields x, y and radius, or a box
	// around x, y by width and height.
	Solid bool
}

// MaxSpeed bounds Gait.Speed and Gait.Radius.
const MaxSpeed = 1e6

// SetGait says how a kind moves. Invalid: no such kind, numbers that make no
// sense, or a kind without the fields that the gait goes by.
func (s *Schema) SetGait(kind int, b Gait) error {
	if kind < 0 || kind >= len(s.kinds) {
		return throng.Errorf(throng.Invalid, "there is no kind %d", kind)
	}
	k := &s.kinds[kind]
	where := "kind " + k.name
	if !(b.Speed >= 0 && b.Speed <= MaxSpeed) {
		return throng.AtField(throng.Invalid, where, "has speed %v, which is not above 0, up to %v", b.Speed, float64(MaxSpeed))
	}
	if !(b.Radius >= 0 && b.Radius <= MaxSpeed) {
		return throng.AtField(throng.Invalid, where, "has radius %v, which is not 0 to %v", b.Radius, float64(MaxSpeed))
	}
	if b.Speed == 0 && (b.Radius > 0 || b.Turns) {
		return throng.AtField(throng.Invalid, where, "walks without a speed")
	}
	needs := []string{"x", "y"}
	if b.Turns {
		needs = append(needs, "angle")
	}
	if b.Solid && !k.numeric("radius") {
		needs = append(needs, "width", "height")
	}
	for _, name := range needs {
		if (b.Solid || b.Speed > 0) && !k.numeric(name) {
			return throng.AtField(throng.Invalid, where, "has no number %s, by which it moves or is in the way", name)
		}
	}
	moving := *k
	moving.gait = b
	bytes := s.bytes + len(appendKind(nil, &moving)) - len(appendKind(nil, k))
	if bytes > maxSchemaBytes {
		return throng.AtField(throng.Invalid, where, "makes the schema longer than %d bytes", maxSchemaBytes)
	}
	k.gait, s.bytes = b, bytes
	return nil
}

// Gait is how entities of the kind move.
func (k *Kind) Gait() Gait { return k.gait }

// numeric says whether the kind has a number or an integer of that name.
func (k *Kind) numeric(name string) bool {
	i, ok := k.Field(name)
	return ok && (k.fields[i].Kind == FieldNumber || k.fields[i].Kind == FieldInteger)
}

// Turn is what a field goes round in: a number that spans a whole turn, 2π or 360, is
// an angle, of which both ends are the same. 0: it is none.
func (f Field) Turn() float64 {
	if f.Kind != FieldNumber {
		return 0
	}
	for _, turn := range []float64{2 * math.Pi, 360} {
		if math.Abs(f.Max-f.Min-turn) <= f.Precision {
			return turn
		}
	}
	return 0
}
