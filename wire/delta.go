package wire

import "slices"

// catchUpParts bounds what entities new to a player take of one snapshot, as
// one lost payload loses all of it. A world that takes more is seen piece by
// piece, in the order of IDs.
const catchUpParts = 4

// Encoder writes the bodies of snapshots:
//
//	body   = change* end add* 0
//	change = gap, then a bit for each field: 1 and its new value if it is not
//	         as expected (see trend); all bits 0: the entity is removed
//	gap    = 1 for the entity of the base after the last one in this body, or
//	         0 count, count above 0, for one that many further on
//	end    = 0 count(0)
//	add    = 1, ID (32 bits the first time, then count of those between),
//	         kind (5 bits), 0 or 1 and the owner, each field in full
//
// Entities of the base that no change names are as expected. Bodies of one
// snapshot go on where the last one stopped; each can be read by itself.
type Encoder struct {
	schema *Schema
	w      bitWriter
	out    *Delta
	start  int // of the current body in w
	next   int // entity of the base after the last change in this body
	lastID uint32
	adding bool // the current body is past its end
	first  bool // no add in this body yet
}

// NewEncoder returns an encoder for views of a schema.
func NewEncoder(s *Schema) *Encoder { return &Encoder{schema: s} }

// Delta is what Encode made. Its memory is reused by the next Encode into it.
type Delta struct {
	Seen    Prefix   // what a player sees who applied it
	Through uint32   // About.Through
	Bodies  [][]byte // 1 to MaxParts

	bytes []byte
	ends  []int
}

// Encode writes what turns base into now. Base and older are what a player
// saw at earlier ticks, older before base, or empty. Views must have entities
// in the order of their IDs, and IDs must not come back.
func (e *Encoder) Encode(d *Delta, now *View, base, older Prefix) {
	e.out = d
	e.w = bitWriter{dst: d.bytes[:0]}
	d.ends = d.ends[:0]
	d.Seen, d.Through = Prefix{now, len(now.records)}, 0
	e.begin()
	e.adding = false
	if stop := e.changes(now, base, older); stop < base.N {
		d.Through = base.View.records[stop].id - 1
		d.Seen.N = now.Through(d.Through)
	} else {
		e.adds(now, base)
	}
	e.end()
	d.bytes = e.w.dst
	d.Bodies = d.Bodies[:0]
	from := 0
	for _, to := range d.ends {
		d.Bodies = append(d.Bodies, d.bytes[from:to:to])
		from = to
	}
}

// changes returns the first entity of base that found no room, or base.N.
func (e *Encoder) changes(now *View, base, older Prefix) int {
	t := makeTrend(now.Tick, base.Tick(), older.Tick())
	before := follower{prefix: older}
	at := 0
	var expected [MaxFields]uint32
	for i := range base.N {
		was := &base.View.records[i]
		for at < len(now.records) && now.records[at].id < was.id {
			at++
		}
		removed := at == len(now.records) || now.records[at].id != was.id
		k := &e.schema.kinds[was.kind]
		if removed {
			if !e.fit(MaxParts, func() { e.gap(i); e.w.bits(0, uint8(len(k.slots))) }) {
				return i
			}
			continue
		}
		c := change{k: k, was: base.View.At(i), is: now.At(at), expected: expected[:was.values]}
		t.expect(c.expected, k, c.was.Values, before.values(was.id, was.kind))
		if c.none() {
			continue
		}
		if !e.fit(MaxParts, func() { e.gap(i); c.write(&e.w) }) {
			return i
		}
	}
	return base.N
}

func (e *Encoder) adds(now *View, base Prefix) {
	parts := min(MaxParts, max(catchUpParts, len(e.out.ends)+2))
	e.endChanges()
	at := 0
	for i := range now.records {
		id := now.records[i].id
		for at < base.N && base.View.records[at].id < id {
			at++
		}
		if at < base.N && base.View.records[at].id == id {
			continue
		}
		if !e.fit(parts, func() { e.add(now.At(i)) }) {
			e.out.Seen.N, e.out.Through = i, id-1
			return
		}
	}
}

// fit writes a record into this body or, when it is full, the next one. It
// reports false, having written nothing, when that would make too many.
func (e *Encoder) fit(parts int, write func()) bool {
	m := e.w.mark()
	write()
	if e.w.size() < e.start+MaxBody { // a byte is left for what ends it
		return true
	}
	e.w.rewind(m)
	if len(e.out.ends)+1 >= parts {
		return false
	}
	adding := e.adding
	e.end()
	e.begin()
	if adding {
		e.endChanges()
	}
	write()
	return true
}

func (e *Encoder) begin() {
	e.start, e.next, e.first, e.adding = len(e.w.dst), 0, true, false
}

func (e *Encoder) endChanges() {
	e.w.bits(0, 1)
	e.w.count(0)
	e.adding = true
}

func (e *Encoder) end() {
	if !e.adding {
		e.endChanges()
	}
	e.w.bits(0, 1)
	e.w.finish()
	e.out.ends = append(e.out.ends, len(e.w.dst))
}

func (e *Encoder) gap(i int) {
	if i == e.next {
		e.w.bits(1, 1)
	} else {
		e.w.bits(0, 1)
		e.w.count(uint32(i - e.next))
	}
	e.next = i + 1
}

func (e *Encoder) add(n Entity) {
	e.w.bits(1, 1)
	if e.first {
		e.w.bits(n.ID, 32)
	} else {
		e.w.count(n.ID - e.lastID - 1)
	}
	e.first, e.lastID = false, n.ID
	e.w.bits(uint32(n.Kind), 5)
	e.w.flag(n.Owner != "")
	if n.Owner != "" {
		e.w.text(string(n.Owner))
	}
	for _, s := range e.schema.kinds[n.Kind].slots {
		if s.kind == FieldString {
			e.w.text(n.Texts[s.index])
		} else {
			e.w.bits(n.Values[s.index], s.width)
		}
	}
}

// change is one entity that both views have.
type change struct {
	k        *Kind
	was, is  Entity
	expected []uint32
}

func (c *change) none() bool {
	return slices.Equal(c.expected, c.is.Values) && slices.Equal(c.was.Texts, c.is.Texts)
}

func (c *change) write(w *bitWriter) {
	for i := range c.k.slots {
		s := &c.k.slots[i]
		if s.kind == FieldString {
			text := c.is.Texts[s.index]
			w.flag(text != c.was.Texts[s.index])
			if text != c.was.Texts[s.index] {
				w.text(text)
			}
			continue
		}
		was, is := c.expected[s.index], c.is.Values[s.index]
		w.flag(was != is)
		if was != is {
			s.write(w, was, is)
		}
	}
}

// The buckets of a value's difference: a prefix of 0, 10 or 110, then so many
// bits; 111, or 11 where the values have no more than farBits, then the value.
const (
	nearBits, midBits, farBits = 2, 5, 9

	nearEnd = 1 << nearBits
	midEnd  = nearEnd + 1<<midBits
	farEnd  = midEnd + 1<<farBits
)

// write writes a value that is not the one that was expected: nothing if there
// is only one other, the value itself in up to 4 bits, else in a bucket.
func (s *slot) write(w *bitWriter, was, is uint32) {
	if s.width <= 4 {
		if s.width > 1 {
			w.bits(is, s.width)
		}
		return
	}
	diff := 2*(int64(is)-int64(was)) - 2 // up by 1, down by 1, up by 2: 0, 1, 2
	if is < was {
		diff = 2*(int64(was)-int64(is)) - 1
	}
	switch {
	case diff < nearEnd:
		w.bits(uint32(diff)<<1, 1+nearBits)
	case diff < midEnd:
		w.bits(uint32(diff-nearEnd)<<2|0b01, 2+midBits)
	case s.width <= farBits:
		w.bits(0b11, 2)
		w.bits(is, s.width)
	case diff < farEnd:
		w.bits(uint32(diff-midEnd)<<3|0b011, 3+farBits)
	default:
		w.bits(0b111, 3)
		w.bits(is, s.width)
	}
}
