package wire

import (
	"math"

	"github.com/throng-gg/throng"
)

// MaxMoves is how many moves one input carries: the newest and those before it
// that the server may not have.
const MaxMoves = 8

// Move is what a player wants for one step. X and Y are -127 to 127.
type Move struct {
	X, Y    int8
	Buttons uint32
}

// MakeMove quantises. Directions are clamped to [-1,1]; NaN is 0.
func MakeMove(x, y float64, buttons uint32) Move {
	return Move{X: axis(x), Y: axis(y), Buttons: buttons}
}

// Axes returns the direction, each in [-1,1].
func (m Move) Axes() (x, y float64) { return float64(m.X) / 127, float64(m.Y) / 127 }

func axis(v float64) int8 {
	if math.IsNaN(v) {
		return 0
	}
	return int8(math.Round(max(-1, min(1, v)) * 127))
}

// Input goes to the server, usually once a tick: moves, and what was received.
type Input struct {
	Sequence uint32      // of the newest move, from 1
	Ack      throng.Tick // newest snapshot that was decoded; 0: all is to be sent anew
	Came     uint32      // which before it were: bit i is the tick i+1 before Ack
	Sent     uint16      // the client's clock, milliseconds; comes back in a snapshot
	Count    uint8       // moves, 1 to MaxMoves
	Moves    [MaxMoves]Move
}

// AppendInput appends the message. Moves[Count-1] is the newest.
func AppendInput(dst []byte, in Input) []byte {
	w := bitWriter{dst: append(dst, byte(MessageInput))}
	w.bits(in.Sequence, 32)
	w.bits(uint32(in.Ack), 32)
	w.bits(in.Came, 31)
	w.bits(uint32(in.Sent), 16)
	count := max(1, min(in.Count, MaxMoves))
	w.bits(uint32(count-1), 3)
	var before Move
	for _, m := range in.Moves[:count] {
		w.flag(m != before)
		if m != before {
			w.bits(uint32(uint8(m.X)), 8)
			w.bits(uint32(uint8(m.Y)), 8)
			w.count(m.Buttons)
		}
		before = m
	}
	return w.finish()
}

// ParseInput reads the message. Invalid: it is cut short.
func ParseInput(payload []byte) (Input, error) {
	if MessageOf(payload) != MessageInput {
		return Input{}, throng.Errorf(throng.Invalid, "not an input")
	}
	r := bitReader{src: payload[1:]}
	in := Input{Sequence: r.bits(32), Ack: throng.Tick(r.bits(32)), Came: r.bits(31), Sent: uint16(r.bits(16))}
	in.Count = uint8(r.bits(3) + 1)
	var before Move
	for i := range in.Count {
		if r.flag() {
			before = Move{X: int8(r.bits(8)), Y: int8(r.bits(8)), Buttons: r.count()}
			before.X, before.Y = max(before.X, -127), max(before.Y, -127)
		}
		in.Moves[i] = before
	}
	if r.short {
		return Input{}, throng.Errorf(throng.Invalid, "an input of %d bytes ends too early", len(payload))
	}
	return in, nil
}
