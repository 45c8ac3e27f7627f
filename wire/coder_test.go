package wire

import (
	"math/rand/v2"
	"testing"
)

// Decisions come back, whatever the probabilities were.
func TestDecisionsComeBack(t *testing.T) {
	was := tables
	defer func() { tables = was }()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		for i := range tables[1:] {
			switch r.IntN(3) {
			case 0:
				tables[i+1] = uint16(1 + r.IntN(4095))
			case 1:
				tables[i+1] = 1
			case 2:
				tables[i+1] = 4095
			}
		}
		var e rangeEncoder
		e.begin([]byte{7})
		list := make([]Token, r.IntN(3000))
		for i := range list {
			c := r.IntN(contextEnd)
			b := bit(uint32(r.IntN(4096)) >= uint32(tables[c]))
			if r.IntN(50) == 0 {
				b ^= 1
			}
			list[i] = token(c, b)
			e.token(list[i])
		}
		out := e.finish()[1:]
		if most := (Cost(list)/256+7)/8 + 3; len(out) > most {
			t.Errorf("seed %d: %d decisions take %d bytes, want at most %d", seed, len(list), len(out), most)
		}
		var d rangeDecoder
		d.begin(out)
		for i, want := range list {
			if got := token(int(want>>1), d.bit(int(want>>1))); got != want {
				t.Fatalf("seed %d: decision %d of %d is %d, want %d", seed, i, len(list), got, want)
			}
		}
		if d.over() || d.at < len(out) {
			t.Errorf("seed %d: read %d of %d bytes", seed, d.at, len(out))
		}
	}
}
