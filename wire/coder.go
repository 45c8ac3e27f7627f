package wire

import "math"

// probBits is the precision of a probability.
const probBits = 12

// Token is one binary decision of a body: its context in the model, and the bit.
type Token uint16

func token(context int, b uint32) Token { return Token(context<<1 | int(b)) }

// costs is what a decision costs by the probability of what it is, in 1/256 bits.
//
//nolint:gochecknoglobals // a table
var costs = func() (c [1 << probBits]uint16) {
	for p := range c {
		c[p] = uint16(math.Round(-math.Log2(max(float64(p), 0.5)/(1<<probBits)) * 256))
	}
	return c
}()

// Cost is about what tokens take, in 1/256 bits.
func Cost(tokens []Token) int {
	n := 0
	for _, t := range tokens {
		p := uint32(tables[t>>1])
		if t&1 == 1 {
			p = 1<<probBits - p
		}
		n += int(costs[p])
	}
	return n
}

// rangeEncoder is a binary range coder (the one of LZMA, with 12-bit
// probabilities). What it writes is cut where only zero bytes follow, as
// rangeDecoder reads zeros past the end.
type rangeEncoder struct {
	dst    []byte
	start  int // of what it wrote in dst
	low    uint64
	width  uint32
	cache  byte
	queued int // bytes that a carry may change: cache, then 0xff
}

func (e *rangeEncoder) begin(dst []byte) {
	*e = rangeEncoder{dst: dst, start: len(dst), width: math.MaxUint32}
}

// mostZeros is how many zero bytes at the end are left out at most.
const mostZeros = 4

// token writes one decision.
func (e *rangeEncoder) token(t Token) {
	bound := (e.width >> probBits) * uint32(tables[t>>1])
	if t&1 == 0 {
		e.width = bound
	} else {
		e.low += uint64(bound)
		e.width -= bound
	}
	for e.width < 1<<24 {
		e.width <<= 8
		e.shift()
	}
}

func (e *rangeEncoder) tokens(list []Token) {
	for _, t := range list {
		e.token(t)
	}
}

// shift moves the highest byte of low out, once no carry can change it.
func (e *rangeEncoder) shift() {
	if e.queued == 0 || e.low < 0xff000000 || e.low > math.MaxUint32 {
		carry := byte(e.low >> 32)
		if e.queued > 0 {
			e.dst = append(e.dst, e.cache+carry)
		}
		for ; e.queued > 1; e.queued-- {
			e.dst = append(e.dst, 0xff+carry)
		}
		e.cache, e.queued = byte(e.low>>24), 0
	}
	e.queued++
	e.low = e.low << 8 & math.MaxUint32
}

// finish writes as few bytes as say what was written, and returns all of dst.
func (e *rangeEncoder) finish() []byte {
	// The value within the range that ends with the most zeros.
	for keep := uint(24); ; keep -= 8 {
		mask := uint64(1)<<keep - 1
		if v := (e.low + mask) &^ mask; v < e.low+uint64(e.width) || keep == 0 {
			e.low = v
			break
		}
	}
	for range 5 {
		e.shift()
	}
	for range mostZeros {
		if len(e.dst) > e.start && e.dst[len(e.dst)-1] == 0 {
			e.dst = e.dst[:len(e.dst)-1]
		}
	}
	return e.dst
}

// rangeDecoder reads what a rangeEncoder wrote. Past the end it reads zeros;
// over says whether it read more of them than an encoder leaves out.
type rangeDecoder struct {
	src   []byte
	at    int
	width uint32
	code  uint32
}

func (d *rangeDecoder) begin(src []byte) {
	*d = rangeDecoder{src: src, width: math.MaxUint32}
	for range 4 {
		d.more()
	}
}

func (d *rangeDecoder) more() {
	d.code <<= 8
	if d.at < len(d.src) {
		d.code |= uint32(d.src[d.at])
	}
	d.at++
}

func (d *rangeDecoder) over() bool { return d.at > len(d.src)+mostZeros }

// bit reads one decision.
func (d *rangeDecoder) bit(context int) uint32 {
	bound := (d.width >> probBits) * uint32(tables[context])
	b := uint32(0)
	if d.code < bound {
		d.width = bound
	} else {
		d.code -= bound
		d.width -= bound
		b = 1
	}
	for d.width < 1<<24 {
		d.width <<= 8
		d.more()
	}
	return b
}
