package wire

import (
	"encoding/binary"
	"math"

	"github.com/throng-gg/throng"
)

// What stands before a field's value.
const (
	placeFalse = iota
	placeTrue
	placeNumber
	placeText
)

// AppendPlace appends what a place's script and a client tell each other, either
// way. For other languages, numbers little-endian, a word being a byte that says
// its length and so many bytes of UTF-8:
//
//	1       7, the message
//	word    name
//	1       how many fields, and each, in the order of their names' bytes:
//	word    name
//	1, ...  0 false; 1 true; 2 a number, 8 bytes of IEEE 754; 3 a string, its length
//	        in 2 bytes, and its bytes
//
// Invalid: see throng.Message.Check.
func AppendPlace(dst []byte, m throng.Message) ([]byte, error) {
	if err := m.Check(); err != nil {
		return dst, err
	}
	out := appendWord(append(dst, byte(MessagePlace)), m.Name)
	out = append(out, byte(len(m.Fields)))
	for _, f := range m.Fields {
		out = appendWord(out, f.Name)
		switch v := f.Value.(type) {
		case bool:
			if v {
				out = append(out, placeTrue)
			} else {
				out = append(out, placeFalse)
			}
		case float64:
			out = binary.LittleEndian.AppendUint64(append(out, placeNumber), math.Float64bits(v))
		case string:
			out = appendLong(append(out, placeText), []byte(v))
		}
	}
	return out, nil
}

// ParsePlace reads the message. Invalid: it is none, or see throng.Message.Check.
func ParsePlace(b []byte) (throng.Message, error) {
	if MessageOf(b) != MessagePlace || len(b) > throng.MaxMessageSize {
		return throng.Message{}, throng.Errorf(throng.Invalid, "not a place's message of %d bytes", len(b))
	}
	r := byteReader{src: b, at: 1}
	m := throng.Message{Name: r.word()}
	for n := r.byte(); n > 0 && !r.short; n-- {
		f := throng.MessageField{Name: r.word()}
		switch kind := r.byte(); kind {
		case placeFalse, placeTrue:
			f.Value = kind == placeTrue
		case placeNumber:
			if bits := r.take(8); bits != nil {
				f.Value = math.Float64frombits(binary.LittleEndian.Uint64(bits))
			}
		case placeText:
			f.Value = string(r.long())
		}
		m.Fields = append(m.Fields, f)
	}
	if r.short || r.at != len(b) {
		return throng.Message{}, throng.Errorf(throng.Invalid, "a place's message of %d bytes is cut short, or goes on", len(b))
	}
	return m, m.Check()
}
