package wire

// Hash is a fingerprint of entities, whatever the order in which they are added. A
// change of one value always changes View.Hash. It is for finding faults, not for
// keeping out an attacker. The zero Hash is of none.
//
// It is two sums modulo 2^32, the upper and the lower half, of a hash of each
// entity, in steps that languages without 64-bit integers can do too: for each
// word w, s = (s ^ w) * factor; s ^= s >> 15. The words of an entity are its
// ID, kind, owner, values and texts; a string is its length in bytes, then its
// bytes by four, the first one lowest. See lane for the factors.
type Hash struct{ upper, lower uint32 }

// Entity adds an entity.
func (h *Hash) Entity(e Entity) {
	l := lanes{0x9747b28c, 0x3c6ef372}
	l.word(e.ID)
	l.word(uint32(e.Kind))
	l.text(string(e.Owner))
	for _, w := range e.Values {
		l.word(w)
	}
	for _, s := range e.Texts {
		l.text(s)
	}
	h.add(l)
}

// Settled adds an entity of which both sides know the values for long.
func (h *Hash) Settled(id uint32, kind uint8) {
	l := lanes{0x9747b28c, 0x3c6ef372}
	l.word(id)
	l.word(uint32(kind))
	h.add(l)
}

func (h *Hash) add(l lanes) {
	h.upper += finish(l.upper)
	h.lower += finish(l.lower)
}

// Plus adds the entities of another one.
func (h *Hash) Plus(o Hash) { h.upper, h.lower = h.upper+o.upper, h.lower+o.lower }

// Sum is the upper half, which snapshots have.
func (h *Hash) Sum() uint32 { return h.upper }

// Hash is of all entities.
func (v *View) Hash() uint64 {
	h := Hash{}
	for i := range v.records {
		h.Entity(v.At(i))
	}
	return uint64(h.upper)<<32 | uint64(h.lower)
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
