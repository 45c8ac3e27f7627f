package wire

import (
	"math"
	"math/bits"
)

// The contexts of the model: what a decision is about, and what both sides know
// of it. tables.go has for each how likely a 0 is, counted over recorded motion.
const (
	contextRaw     = 0 // both are as likely
	contextAck     = 1 // bits of acknowledged ticks, by the three before
	contextMention = contextAck + 8
	contextSpecial = contextMention + mentionStates
	contextGone    = contextSpecial + 1
	contextMore    = contextGone + 1 // another one is new
	contextGap     = contextMore + 1 // between new IDs
	contextNumber  = contextGap + numberNodes
	contextInteger = contextNumber + numberStates*numberNodes
	contextText    = contextInteger + 3*numberNodes
	contextEnd     = contextText + 2
)

const (
	mentionStates = 5
	numberStates  = trendStates * errorStates * beforeStates
	trendStates   = 3
	errorStates   = 7
	beforeStates  = 3

	// The nodes of a difference: 0 or not, its sign, the length of its amount, and
	// the amount's second bit by that length.
	nodeZero    = 0
	nodeSign    = 1
	nodeLength  = 2
	nodeSecond  = nodeLength + lengthNodes
	numberNodes = nodeSecond + lengthNodes
	lengthNodes = 10
)

// Tally counts decisions by context: zeros and ones.
type Tally [contextEnd][2]uint64

// Tables makes the tables of what was counted. What was never asked is as likely
// as not; nothing is certain.
func (t *Tally) Tables() []uint16 {
	out := make([]uint16, len(t))
	for i, n := range t {
		p := (float64(n[0]) + 0.4) / (float64(n[0]+n[1]) + 0.8)
		out[i] = uint16(max(1, min(math.Round(p*(1<<probBits)), 1<<probBits-1)))
	}
	out[contextRaw] = 1 << (probBits - 1)
	return out
}

// Tables returns the tables that are used.
func Tables() []uint16 { return tables[:] }

// appendRaw appends the low n bits of v, the highest first.
func appendRaw(dst []Token, v uint32, n int) []Token {
	for i := n - 1; i >= 0; i-- {
		dst = append(dst, token(contextRaw, v>>i&1))
	}
	return dst
}

func (d *rangeDecoder) raw(n int) uint32 {
	v := uint32(0)
	for range n {
		v = v<<1 | d.bit(contextRaw)
	}
	return v
}

// appendAmount appends a number from 0, below 2^32-1, usually small (Elias gamma
// of v+1): the nodes begin at context.
func appendAmount(dst []Token, context int, v uint32) []Token {
	u := uint64(v) + 1
	n := bits.Len64(u) - 1
	for i := range n {
		dst = append(dst, token(context+nodeLength+min(i, lengthNodes-1), 1))
	}
	dst = append(dst, token(context+nodeLength+min(n, lengthNodes-1), 0))
	for i := n - 1; i >= 0; i-- {
		c := contextRaw
		if i == n-1 {
			c = context + nodeSecond + min(n, lengthNodes-1)
		}
		dst = append(dst, token(c, uint32(u>>i)&1))
	}
	return dst
}

// amount reads what appendAmount wrote; false: it is longer than 32 bits.
func (d *rangeDecoder) amount(context int) (uint32, bool) {
	n := 0
	for d.bit(context+nodeLength+min(n, lengthNodes-1)) == 1 {
		if n++; n > 31 {
			return 0, false
		}
	}
	u := uint64(1)
	for i := range n {
		c := contextRaw
		if i == 0 {
			c = context + nodeSecond + min(n, lengthNodes-1)
		}
		u = u<<1 | uint64(d.bit(c))
	}
	return uint32(u - 1), true
}

// appendDifference appends is as it differs from expected, usually little. toward
// says that the value is likelier above than below.
func appendDifference(dst []Token, context int, is, expected uint32, down bool) []Token {
	if is == expected {
		return append(dst, token(context+nodeZero, 0))
	}
	dst = append(dst, token(context+nodeZero, 1))
	dst = append(dst, token(context+nodeSign, bit((is < expected) != down)))
	if is < expected {
		return appendAmount(dst, context, expected-is-1)
	}
	return appendAmount(dst, context, is-expected-1)
}

// difference reads what appendDifference wrote; false: it is not 0 to top.
func (d *rangeDecoder) difference(context int, expected, top uint32, down bool) (uint32, bool) {
	if d.bit(context+nodeZero) == 0 {
		return expected, true
	}
	below := (d.bit(context+nodeSign) == 1) != down
	n, ok := d.amount(context)
	if !ok {
		return 0, false
	}
	if below {
		return expected - n - 1, n < expected
	}
	return expected + n + 1, n < top-expected
}
