package wire

import "github.com/throng-gg/throng"

// Decoder reads the bodies of snapshots that an Encoder wrote. It keeps its
// memory.
type Decoder struct {
	schema *Schema
	empty  View
	buf    [127]byte

	// Of one Apply.
	r       bitReader
	dst     *View
	base    *View
	through uint32
	trend   trend
	older   follower
	next    int // entity of base after the last one that was looked at
	last    uint32
	adding  bool // base is done
}

// NewDecoder returns a decoder for views of a schema.
func NewDecoder(s *Schema) *Decoder { return &Decoder{schema: s} }

// Apply makes dst the view at s.Tick: base with what the bodies, in order,
// change. s is the snapshot's part 0, its Body is not looked at. base and older
// are nil where s names none; dst must be neither. Invalid: the bodies were not
// made for these views; dst is then of no use.
func (d *Decoder) Apply(dst *View, s Snapshot, base, older *View, bodies ...[]byte) error {
	dst.Reset(s.Tick)
	d.dst, d.base, d.older = dst, base, follower{}
	if base == nil {
		d.base = &d.empty
	}
	if older != nil {
		d.older.prefix = Prefix{older, older.Len()}
	}
	d.trend = makeTrend(s.Tick, d.base.Tick, d.older.prefix.Tick())
	if d.through = s.About.Through; d.through == 0 {
		d.through = 1<<32 - 1
	}
	d.next, d.adding = 0, false
	for i, b := range bodies {
		if !d.body(b) {
			return throng.Errorf(throng.Invalid, "part %d of the snapshot of tick %d makes no sense", i, s.Tick)
		}
	}
	if !d.adding {
		d.keep(d.base.Len())
	}
	if !dst.sort() {
		return throng.Errorf(throng.Invalid, "the snapshot of tick %d has an entity twice", s.Tick)
	}
	return nil
}

func (d *Decoder) body(b []byte) bool {
	d.r = bitReader{src: b}
	at := 0
	for {
		gap := uint32(0)
		if !d.r.flag() {
			if gap = d.r.count(); gap == 0 {
				break
			}
		}
		i := uint64(at) + uint64(gap)
		if i < uint64(d.next) || i >= uint64(d.base.Len()) {
			return false
		}
		d.keep(int(i))
		if !d.change(int(i)) {
			return false
		}
		at = int(i) + 1
	}
	for first := true; d.r.flag(); first = false {
		if !d.adding {
			d.keep(d.base.Len())
			d.adding = true
		}
		if !d.add(first) {
			return false
		}
	}
	return !d.r.short
}

// keep takes over the entities of base before the i-th as they are expected.
func (d *Decoder) keep(i int) {
	for ; d.next < i; d.next++ {
		d.expect(d.next)
	}
}

func (d *Decoder) expect(i int) (Entity, bool) {
	was := d.base.At(i)
	if was.ID > d.through {
		return Entity{}, false
	}
	k := &d.schema.kinds[was.Kind]
	is := d.dst.Add(k, was)
	d.trend.expect(is.Values, k, was.Values, d.older.values(was.ID, uint8(was.Kind)))
	copy(is.Texts, was.Texts)
	return is, true
}

// change reads a change of the i-th entity of base, the next one.
func (d *Decoder) change(i int) bool {
	e, seen := d.expect(i)
	if !seen {
		return false
	}
	d.next = i + 1
	k := &d.schema.kinds[e.Kind]
	removed := true
	for j := range k.slots {
		if !d.r.flag() {
			continue
		}
		removed = false
		if !d.field(&k.slots[j], e) {
			return false
		}
	}
	if removed {
		d.dst.drop()
	}
	return !d.r.short
}

// field reads a field that is not as it was expected, which it still is in e.
func (d *Decoder) field(s *slot, e Entity) bool {
	if s.kind == FieldString {
		return d.text(s, &e.Texts[s.index])
	}
	v, ok := s.read(&d.r, e.Values[s.index])
	e.Values[s.index] = v
	return ok
}

// text reads a string, without allocating when it is the one that was there.
func (d *Decoder) text(s *slot, into *string) bool {
	b := d.r.text(&d.buf)
	if *into != string(b) {
		*into = string(b)
	}
	return len(b) <= int(s.top)
}

// read is slot.write's reverse. It is false when the value is out of range.
func (s *slot) read(r *bitReader, was uint32) (uint32, bool) {
	switch {
	case s.width == 1:
		return was ^ 1, true
	case s.width <= 4:
		v := r.bits(s.width)
		return v, v <= s.top
	}
	var diff int64
	switch {
	case !r.flag():
		diff = int64(r.bits(nearBits))
	case !r.flag():
		diff = int64(r.bits(midBits)) + nearEnd
	case s.width > farBits && !r.flag():
		diff = int64(r.bits(farBits)) + midEnd
	default:
		v := r.bits(s.width)
		return v, v <= s.top
	}
	v := int64(was) + diff/2 + 1
	if diff%2 == 1 {
		v = int64(was) - diff/2 - 1
	}
	return uint32(max(v, 0)), v >= 0 && v <= int64(s.top)
}

//nolint:revive // flag-parameter: the first ID of a body is written otherwise
func (d *Decoder) add(first bool) bool {
	id := uint64(d.last) + 1
	if first {
		id = uint64(d.r.bits(32))
	} else {
		id += uint64(d.r.count())
	}
	kind := int(d.r.bits(5))
	if id > uint64(d.through) || kind >= len(d.schema.kinds) || d.dst.Len() >= MaxEntities {
		return false
	}
	d.last = uint32(id)
	n := Entity{ID: d.last, Kind: kind}
	if d.r.flag() {
		n.Owner = throng.PlayerID(d.r.text(&d.buf))
	}
	k := &d.schema.kinds[kind]
	n = d.dst.Add(k, n)
	for i := range k.slots {
		s := &k.slots[i]
		if s.kind == FieldString {
			if !d.text(s, &n.Texts[s.index]) {
				return false
			}
			continue
		}
		v := d.r.bits(s.width)
		if v > s.top {
			return false
		}
		n.Values[s.index] = v
	}
	return !d.r.short
}
