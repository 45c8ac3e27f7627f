package anticheat

import (
	"encoding/binary"
	"math"

	"github.com/throng-gg/throng"
)

// Bounds of what events say.
const (
	mostShingles = 16
	mostSpanMS   = 60_000
	pressesMost  = 100_000 // of one sample
)

// measure is what counts of one sample.
type measure struct {
	at      int64 // ms, its end
	ms      uint32
	presses uint32
	jumps   uint32  // steps that no speed explains
	way     float32 // that was gone otherwise
	allowed float32 // that the place's speed allows in that time; 0: it has none
}

// measured reads a sample. speed is units a second that the place allows, 0: any;
// slack is how many seconds of it a step may be too long. Invalid: it contradicts
// itself.
func measured(d *throng.MotionSampled, at int64, speed, slack float64) (measure, error) {
	m := measure{at: at, ms: uint32(d.SpanMS), presses: uint32(d.Presses)}
	sum := d.Distance + d.StepMost + d.TickMS
	if d.SpanMS < 1 || d.SpanMS > mostSpanMS || d.Presses < 0 || d.Presses > pressesMost || math.IsNaN(sum) || math.IsInf(sum, 0) ||
		d.TickMS < 0 || d.StepMost < 0 || d.Distance < d.StepMost-1e-6 {
		return m, throng.AtField(throng.Invalid, "data", "a sample of %d ms with %d presses, a way of %g and a step of %g cannot be", d.SpanMS, d.Presses, d.Distance, d.StepMost)
	}
	if speed <= 0 {
		return m, nil
	}
	way := d.Distance
	if d.StepMost > speed*(d.TickMS/1000+slack) {
		m.jumps = 1
		way = max(way-d.StepMost, 0)
	}
	m.way, m.allowed = float32(way), float32(speed*float64(d.SpanMS)/1000)
	return m, nil
}

const measureBytes = 8 + 4*5

// append writes a measure as a row has it.
func (m *measure) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(m.at))
	for _, n := range []uint32{m.ms, m.presses, m.jumps, math.Float32bits(m.way), math.Float32bits(m.allowed)} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

func measureOf(b []byte) measure {
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(b[8+4*i:]) }
	return measure{
		at: int64(binary.LittleEndian.Uint64(b)), ms: word(0), presses: word(1), jumps: word(2),
		way: math.Float32frombits(word(3)), allowed: math.Float32frombits(word(4)),
	}
}
