package motion

import (
	"math/bits"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

// Plain is what plainer ways to say the same take, kbit/s with Headers: all of it
// in every snapshot, without loss.
type Plain struct {
	Raw       float64 `json:"raw_kbit_s"`       // ID and floats
	Quantised float64 `json:"quantised_kbit_s"` // the schema's bits, in the order of IDs
	Delta     float64 `json:"delta_kbit_s"`     // bit-packed, against the view that was acknowledged
}

// plain adds them up, in bits.
type plain struct {
	delay                 throng.Tick // ticks from a view to its acknowledgement
	raw, quantised, delta int
	ticks                 int
}

func newPlain(c Config) *plain {
	if !c.Plain {
		return nil
	}
	return &plain{delay: throng.Tick(2*c.Delay + 1)}
}

func (p *plain) add(past [2 * wire.History]*wire.View, t throng.Tick, s *wire.Schema) {
	v := past[t%(2*wire.History)]
	base := past[(t-p.delay)%(2*wire.History)]
	p.ticks++
	quantised, delta := 0, 0
	for i := range v.Len() {
		e := v.At(i)
		k := s.Kind(e.Kind)
		p.raw += 32
		for j := range k.Len() {
			switch k.At(j).Kind {
			case wire.FieldNumber, wire.FieldInteger:
				p.raw += 32
			case wire.FieldBool:
				p.raw += 8
			case wire.FieldString:
			}
		}
		for _, width := range k.Widths() {
			quantised += width
		}
		was, ok := base.Find(e.ID)
		if !ok {
			continue
		}
		delta += deltaBits(k.Widths(), was.Values, e.Values)
	}
	p.quantised += bytes(quantised)
	p.delta += bytes(delta)
}

func bytes(n int) int { return (n + 7) / 8 * 8 }

// deltaBits is one bit for an entity that did not change, else one for each field
// and its difference in the least of four sizes, or in full.
func deltaBits(widths []int, was, is []uint32) int {
	n, changed := 1, false
	for i, width := range widths {
		n++
		if was[i] == is[i] {
			continue
		}
		changed = true
		if width == 1 {
			continue
		}
		diff := int64(is[i]) - int64(was[i])
		size := bits.Len64(uint64(max(diff, -diff))) + 1
		least := width
		for _, s := range []int{3, 5, 9} {
			if size <= s {
				least = min(least, s)
				break
			}
		}
		n += 2 + least
	}
	if !changed {
		return 1
	}
	return n
}

func (p *plain) report(c Config) *Plain {
	kbit := func(sum int) float64 {
		return (float64(sum)/float64(p.ticks) + Headers*8) * float64(c.Rate) / 1000
	}
	return &Plain{Raw: kbit(p.raw), Quantised: kbit(p.quantised), Delta: kbit(p.delta)}
}
