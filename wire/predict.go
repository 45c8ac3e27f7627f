package wire

import "math/bits"

// Values is the fields of an entity at a tick: numbers, integers and bools, and
// strings, in the order of the kind's fields.
type Values struct {
	Numbers []uint32
	Texts   []string
}

// Past is what an entity's new values are told by: what it was at the samples
// of Bases. Base has no values: there is none.
type Past struct {
	Bases
	At [3]Values
}

// guess is what a number is expected to be, and what is known of how well.
type guess struct {
	value   uint32
	context int
	down    bool // it was going down
}

// guess expects number i to go on as it went between the two newest samples.
// before is how well the number before was expected: 0 for the first.
func (p *Past) guess(i uint8, top uint32, before int) guess {
	base := p.At[0].Numbers[i]
	if p.Older == 0 {
		return guess{value: base, context: context(0, 0, before)}
	}
	older := p.At[1].Numbers[i]
	trend := 1
	if older != base {
		trend = 2
	}
	g := guess{down: base < older}
	g.value = onward(base, older, int64(p.Base), int64(p.Older-p.Base), top)
	missed := 0
	if p.Oldest != 0 {
		was := onward(older, p.At[2].Numbers[i], int64(p.Older-p.Base), int64(p.Oldest-p.Older), top)
		missed = 1 + min(bits.Len32(max(was, base)-min(was, base)), errorStates-2)
	}
	g.context = context(trend, missed, before)
	return g
}

func context(trend, missed, before int) int {
	return contextNumber + ((trend*errorStates+missed)*beforeStates+before)*numberNodes
}

// onward is base + (base-older) * ahead/behind, rounded half up, within 0 to top.
func onward(base, older uint32, ahead, behind int64, top uint32) uint32 {
	if base == older {
		return base
	}
	moved := (int64(base) - int64(older)) * ahead
	v := int64(base) + floorDiv(2*moved+behind, 2*behind)
	return uint32(max(0, min(v, int64(top))))
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// turned is how likely an integer is to be another one: 0 unknown, 1 it was the
// same, 2 it was not.
func (p *Past) turned(i uint8) int {
	switch {
	case p.Older == 0:
		return 0
	case p.At[0].Numbers[i] == p.At[1].Numbers[i]:
		return 1
	}
	return 2
}

// missed is how well a number was expected, for the one after it.
func missed(is, expected uint32) int {
	if is == expected {
		return 1
	}
	return 2
}
