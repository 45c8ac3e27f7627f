package wire

// Hash is a 64-bit fingerprint of all entities, whatever the order in which
// they were added. A change of one value always changes it. It is for finding
// faults, not for keeping out an attacker.
//
// It is two sums modulo 2^32, the upper and the lower half, of a hash of each
// entity, in steps that languages without 64-bit integers can do too: for each
// word w, s = (s ^ w) * factor; s ^= s >> 15. The words of an entity are its
// ID, kind, owner, values and texts; a string is its length in bytes, then its
// bytes by four, the first one lowest. See lane for the factors.
func (v *View) Hash() uint64 { return v.HashThrough(len(v.records)) }

// HashThrough is the Hash of the first n entities.
func (v *View) HashThrough(n int) uint64 {
	var upper, lower uint32
	for i := range v.records[:n] {
		r := &v.records[i]
		h := lanes{0x9747b28c, 0x3c6ef372}
		h.word(r.id)
		h.word(uint32(r.kind))
		h.text(string(r.owner))
		for _, w := range v.values[r.value : r.value+uint32(r.values)] {
			h.word(w)
		}
		for _, s := range v.texts[r.text : r.text+uint32(r.texts)] {
			h.text(s)
		}
		upper += finish(h.upper)
		lower += finish(h.lower)
	}
	return uint64(upper)<<32 | uint64(lower)
}

type lanes struct{ upper, lower uint32 }

func (h *lanes) word(w uint32) {
	h.upper = (h.upper ^ w) * 0x9e3779b1
	h.upper ^= h.upper >> 15
	h.lower = (h.lower ^ w) * 0x85ebca77
	h.lower ^= h.lower >> 15
}

func (h *lanes) text(s string) {
	h.word(uint32(len(s)))
	for i := 0; i < len(s); i += 4 {
		w := uint32(0)
		for j := range min(4, len(s)-i) {
			w |= uint32(s[i+j]) << (8 * j)
		}
		h.word(w)
	}
}

// finish spreads a lane once more (the last steps of MurmurHash3).
func finish(h uint32) uint32 {
	s := h ^ h>>16
	s *= 0x85ebca6b
	s ^= s >> 13
	s *= 0xc2b2ae35
	return s ^ s>>16
}
