package wire

// bitWriter appends bits to dst, the least significant bit of each value and
// of each byte first.
type bitWriter struct {
	dst []byte
	acc uint64
	n   uint8 // bits in acc, less than 8 between calls
}

// bits writes the low n bits of v, n up to 32.
func (w *bitWriter) bits(v uint32, n uint8) {
	w.acc |= (uint64(v) & (1<<n - 1)) << w.n
	w.n += n
	for w.n >= 8 {
		w.dst = append(w.dst, byte(w.acc))
		w.acc >>= 8
		w.n -= 8
	}
}

func (w *bitWriter) bits64(v uint64) {
	w.bits(uint32(v), 32)
	w.bits(uint32(v>>32), 32)
}

func (w *bitWriter) flag(b bool) {
	w.bits(bit(b), 1)
}

//nolint:revive // flag-parameter: turning a bool into a bit is all that it does
func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// The buckets of count: a prefix of 0, 10, 110 or 111, then so many bits.
const (
	bucket1 = 8
	bucket2 = bucket1 + 64
	bucket3 = bucket2 + 4096
)

// count writes a number that is usually small: 4 bits below 8, 8 bits below
// 72, 15 bits below 4168, else 35.
func (w *bitWriter) count(v uint32) {
	switch {
	case v < bucket1:
		w.bits(v<<1, 4)
	case v < bucket2:
		w.bits((v-bucket1)<<2|0b01, 8)
	case v < bucket3:
		w.bits((v-bucket2)<<3|0b011, 15)
	default:
		w.bits(0b111, 3)
		w.bits(v, 32)
	}
}

// finish pads the last byte with zero bits and returns all that was written.
func (w *bitWriter) finish() []byte {
	if w.n > 0 {
		w.bits(0, 8-w.n)
	}
	return w.dst
}

// size is the number of bytes that finish would return now.
func (w *bitWriter) size() int { return len(w.dst) + int(w.n+7)/8 }

// mark and rewind take back what was written since.
func (w *bitWriter) mark() bitMark { return bitMark{len(w.dst), w.acc, w.n} }

func (w *bitWriter) rewind(m bitMark) { w.dst, w.acc, w.n = w.dst[:m.size], m.acc, m.n }

type bitMark struct {
	size int
	acc  uint64
	n    uint8
}

// bitReader reads what bitWriter wrote. Past the end it reads zeros and is
// short, so that callers check once.
type bitReader struct {
	src   []byte
	at    int // next byte of src
	acc   uint64
	n     uint8
	short bool
}

func (r *bitReader) bits(n uint8) uint32 {
	for r.n < n {
		if r.at == len(r.src) {
			r.short = true
			r.acc, r.n = 0, 0
			return 0
		}
		r.acc |= uint64(r.src[r.at]) << r.n
		r.at++
		r.n += 8
	}
	v := uint32(r.acc & (1<<n - 1))
	r.acc >>= n
	r.n -= n
	return v
}

func (r *bitReader) bits64() uint64 {
	low := r.bits(32)
	return uint64(low) | uint64(r.bits(32))<<32
}

func (r *bitReader) flag() bool { return r.bits(1) == 1 }

func (r *bitReader) count() uint32 {
	switch {
	case !r.flag():
		return r.bits(3)
	case !r.flag():
		return r.bits(6) + bucket1
	case !r.flag():
		return r.bits(12) + bucket2
	}
	return r.bits(32)
}

// rest is what follows the last byte that was begun.
func (r *bitReader) rest() []byte { return r.src[r.at-int(r.n/8):] }
