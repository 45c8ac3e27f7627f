package wire

import (
	"encoding/binary"
	"math"

	"github.com/throng-gg/throng"
)

// Bits of a field's type that say who sees it.
const (
	fieldOwner  = 1 << 6
	fieldWithin = 1 << 7 // and a distance follows
)

// Bits of a kind's number of fields that say how it moves.
const (
	kindSolid = 1 << 6
	kindWalks = 1 << 7 // Speed and Radius follow the fields, and a byte that is 1 of Turns
)

// AppendSchema appends a sum of the range coder's tables (4 bytes), and the
// kinds: their number, then for each its name, fields and how it moves; for each field its
// name, its type and, where it has them, Min, Max, Precision and Within as IEEE
// 754 doubles, little-endian. Lengths are one byte.
func AppendSchema(dst []byte, s *Schema) []byte {
	out := append(binary.LittleEndian.AppendUint32(dst, tablesSum), byte(len(s.kinds)))
	for i := range s.kinds {
		out = appendKind(out, &s.kinds[i])
	}
	return out
}

func appendKind(dst []byte, k *Kind) []byte {
	rule := byte(0)
	if k.gait.Solid {
		rule |= kindSolid
	}
	if k.gait.Speed > 0 {
		rule |= kindWalks
	}
	out := append(appendWord(dst, k.name), byte(len(k.fields))|rule)
	for _, f := range k.fields {
		rule := byte(0)
		if f.Owner {
			rule |= fieldOwner
		}
		if f.Within > 0 {
			rule |= fieldWithin
		}
		out = append(appendWord(out, f.Name), byte(f.Kind)|rule)
		switch f.Kind {
		case FieldNumber:
			out = appendDouble(appendDouble(appendDouble(out, f.Min), f.Max), f.Precision)
		case FieldInteger:
			out = appendDouble(appendDouble(out, f.Min), f.Max)
		case FieldString:
			out = append(out, byte(f.Max))
		case FieldBool:
		}
		if f.Within > 0 {
			out = appendDouble(out, f.Within)
		}
	}
	if k.gait.Speed > 0 {
		out = append(appendDouble(appendDouble(out, k.gait.Speed), k.gait.Radius), byte(bit(k.gait.Turns)))
	}
	return out
}

func appendWord(dst []byte, s string) []byte { return append(append(dst, byte(len(s))), s...) }

func appendDouble(dst []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}

// ParseSchema reads what AppendSchema wrote, and nothing more. Invalid: it is
// cut short, too long, or breaks a rule of Define. Unsupported: the sender has
// other tables.
func ParseSchema(b []byte) (*Schema, error) {
	r := byteReader{src: b}
	s := &Schema{}
	if sum := uint32(r.short16()) | uint32(r.short16())<<16; !r.short && sum != tablesSum {
		return nil, throng.Errorf(throng.Unsupported, "the server's tables have the sum %08x, this client's %08x", sum, tablesSum)
	}
	for range r.byte() {
		name := r.word()
		var fields []Field
		count := r.byte()
		for range count &^ (kindSolid | kindWalks) {
			fields = append(fields, r.field())
			if r.short {
				break
			}
		}
		if r.short {
			break
		}
		k, err := s.Define(name, fields)
		if err != nil {
			return nil, err
		}
		if gait, ok := r.gait(count); ok {
			if err := s.SetGait(k, gait); err != nil {
				return nil, err
			}
		}
	}
	if r.short || r.at != len(b) {
		return nil, throng.Errorf(throng.Invalid, "a schema of %d bytes ends at the wrong place", len(b))
	}
	return s, nil
}

// gait reads how a kind moves; false: it does not say.
func (r *byteReader) gait(count byte) (Gait, bool) {
	g := Gait{Solid: count&kindSolid != 0}
	if count&kindWalks != 0 {
		g.Speed, g.Radius, g.Turns = r.double(), r.double(), r.byte()&1 != 0
		if g.Speed == 0 {
			g.Speed = -1 // no speed at all is no walk, which SetGait says
		}
	}
	return g, count&(kindSolid|kindWalks) != 0 && !r.short
}

func (r *byteReader) field() Field {
	f := Field{Name: r.word()}
	kind := r.byte()
	f.Kind, f.Owner = FieldKind(kind&^(fieldOwner|fieldWithin)), kind&fieldOwner != 0
	switch f.Kind {
	case FieldNumber:
		f.Min, f.Max, f.Precision = r.double(), r.double(), r.double()
	case FieldInteger:
		f.Min, f.Max = r.double(), r.double()
	case FieldString:
		f.Max = float64(r.byte())
	case FieldBool:
	}
	if kind&fieldWithin != 0 {
		f.Within = r.double()
	}
	return f
}

// byteReader reads whole bytes. Past the end it reads zeros and is short.
type byteReader struct {
	src   []byte
	at    int
	short bool
}

func (r *byteReader) take(n int) []byte {
	if n > len(r.src)-r.at {
		r.short = true
		r.at = len(r.src)
		return nil
	}
	r.at += n
	return r.src[r.at-n : r.at]
}

func (r *byteReader) byte() byte {
	b := r.take(1)
	if b == nil {
		return 0
	}
	return b[0]
}

func (r *byteReader) short16() uint16 {
	b := r.take(2)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint16(b)
}

func (r *byteReader) double() float64 {
	b := r.take(8)
	if b == nil {
		return 0
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

func (r *byteReader) word() string { return string(r.take(int(r.byte()))) }
