package wire

import "math"

// Quantise makes the integer of a field from what a place sets: clamped to its
// range, NaN to its minimum. Bools are false at 0 and true elsewhere. It is
// false when there is no such field, or it is a string.
func (k *Kind) Quantise(field int, v float64) (index int, value uint32, ok bool) {
	if field < 0 || field >= len(k.slots) || k.slots[field].kind == FieldString {
		return 0, 0, false
	}
	at, f := k.slots[field], &k.fields[field]
	if at.kind == FieldBool {
		return int(at.index), bit(v != 0), true
	}
	steps := math.Round((v - f.Min) / f.step())
	if !(steps > 0) {
		return int(at.index), 0, true
	}
	return int(at.index), uint32(min(steps, float64(at.top))), true
}

// TextSlot returns where a string field is kept and how many bytes it takes. It is
// false when there is no such field, or it is none.
func (k *Kind) TextSlot(field int) (index, most int, ok bool) {
	if field < 0 || field >= len(k.slots) || k.slots[field].kind != FieldString {
		return 0, 0, false
	}
	return int(k.slots[field].index), int(k.slots[field].top), true
}

// Number is Quantise's reverse for an entity of this kind: Min plus steps, at most
// Max; bools are 0 or 1. It is 0 when there is no such number.
func (k *Kind) Number(e Entity, field int) float64 {
	if field < 0 || field >= len(k.slots) || k.slots[field].kind == FieldString {
		return 0
	}
	at, f := k.slots[field], &k.fields[field]
	v := e.Values[at.index]
	if at.kind == FieldBool {
		return float64(v)
	}
	// The conversion keeps the product from being fused into the sum, so that
	// all machines get the same.
	return min(f.Min+float64(float64(v)*f.step()), f.Max)
}

// Text returns the string field of an entity of this kind, or "".
func (k *Kind) Text(e Entity, field int) string {
	index, _, ok := k.TextSlot(field)
	if !ok {
		return ""
	}
	return e.Texts[index]
}
