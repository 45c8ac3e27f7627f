package wire

import (
	"encoding/binary"
	"math"

	"github.com/throng-gg/throng"
)

// AppendSchema appends the kinds: their number, then for each its name and
// fields; for each field its name, its type and, where the type has them, Min,
// Max and Precision as IEEE 754 doubles, little-endian. Lengths are one byte.
func AppendSchema(dst []byte, s *Schema) []byte {
	out := append(dst, byte(len(s.kinds)))
	for i := range s.kinds {
		out = appendKind(out, &s.kinds[i])
	}
	return out
}

func appendKind(dst []byte, k *Kind) []byte {
	out := append(appendWord(dst, k.name), byte(len(k.fields)))
	for _, f := range k.fields {
		out = append(appendWord(out, f.Name), byte(f.Kind))
		switch f.Kind {
		case FieldNumber:
			out = appendDouble(appendDouble(appendDouble(out, f.Min), f.Max), f.Precision)
		case FieldInteger:
			out = appendDouble(appendDouble(out, f.Min), f.Max)
		case FieldString:
			out = append(out, byte(f.Max))
		case FieldBool:
		}
	}
	return out
}

func appendWord(dst []byte, s string) []byte { return append(append(dst, byte(len(s))), s...) }

func appendDouble(dst []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}

// ParseSchema reads what AppendSchema wrote, and nothing more. Invalid: it is
// cut short, too long, or breaks a rule of Define.
func ParseSchema(b []byte) (*Schema, error) {
	r := byteReader{src: b}
	s := &Schema{}
	for range r.byte() {
		name := r.word()
		var fields []Field
		for range r.byte() {
			fields = append(fields, r.field())
			if r.short {
				break
			}
		}
		if r.short {
			break
		}
		if _, err := s.Define(name, fields); err != nil {
			return nil, err
		}
	}
	if r.short || r.at != len(b) {
		return nil, throng.Errorf(throng.Invalid, "a schema of %d bytes ends at the wrong place", len(b))
	}
	return s, nil
}

func (r *byteReader) field() Field {
	f := Field{Name: r.word(), Kind: FieldKind(r.byte())}
	switch f.Kind {
	case FieldNumber:
		f.Min, f.Max, f.Precision = r.double(), r.double(), r.double()
	case FieldInteger:
		f.Min, f.Max = r.double(), r.double()
	case FieldString:
		f.Max = float64(r.byte())
	case FieldBool:
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
