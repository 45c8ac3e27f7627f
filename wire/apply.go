package wire

import (
	"cmp"
	"slices"

	"github.com/throng-gg/throng"
)

// Decoder is a client's copy of a world: it reads snapshots' bodies, and keeps
// what it needs of those before to read the next.
type Decoder struct {
	schema *Schema
	tick   throng.Tick // newest that was applied; 0: none
	came   uint32      // of those before and it, which came: bit i is tick-i
	copies []*copied   // in the order of IDs
	spare  []*copied
	added  []*copied // of one Apply

	// Of one Apply.
	r    rangeDecoder
	acks uint32
	buf  [127]byte
}

// copied is an entity as it was told. Values are kept by tick modulo History,
// and those of the settled sample behind them.
type copied struct {
	id      uint32
	kind    uint8
	owner   throng.PlayerID
	samples Samples
	sees    [History + 1]Variant
	numbers []uint32
	texts   []string
}

// NewDecoder returns an empty copy for views of a schema.
func NewDecoder(s *Schema) *Decoder { return &Decoder{schema: s} }

// Tick is of the newest snapshot that was applied; 0: none was.
func (d *Decoder) Tick() throng.Tick { return d.tick }

// Came says which ticks' snapshots are here of those before Tick: bit i is the
// tick i+1 before it.
func (d *Decoder) Came() uint32 { return d.came >> 1 }

// Forget makes the copy empty.
func (d *Decoder) Forget() {
	d.spare = append(d.spare, d.copies...)
	d.copies, d.tick, d.came = d.copies[:0], 0, 0
}

// Applies says whether the copy has what a snapshot needs: it is newer than
// those before, and the server knows of none that are not here.
func (d *Decoder) Applies(s Snapshot) bool { return s.Tick > d.tick }

// Apply brings the copy to s.Tick, which must be newer. Invalid: the body makes
// no sense, or was not made for what is here; the copy is then empty.
func (d *Decoder) Apply(s Snapshot) error {
	if s.Tick <= d.tick || !d.apply(s) {
		d.Forget()
		return throng.Errorf(throng.Invalid, "the snapshot of tick %d makes no sense here", s.Tick)
	}
	return nil
}

func (d *Decoder) apply(s Snapshot) bool {
	by := uint32(History)
	if d.tick != 0 {
		by = uint32(min(s.Tick-d.tick, History))
	}
	d.tick, d.came = s.Tick, d.came<<by
	d.advance(by, s)
	d.r.begin(s.Body)
	if !d.readAcks(s) {
		return false
	}
	for _, c := range d.copies {
		if c.samples.Seen(d.acks) && !d.known(c) {
			return false
		}
	}
	if !d.news() || d.r.over() || d.r.at < len(s.Body) {
		return false
	}
	d.came |= 1
	return true
}

// advance brings all samples to the tick of s, and drops what it does not refer to.
func (d *Decoder) advance(by uint32, s Snapshot) {
	kept := d.copies[:0]
	for _, c := range d.copies {
		if age, ok := c.samples.Leaving(by, ^uint32(0)); ok {
			c.settle(d.schema, s.Tick-throng.Tick(by)-throng.Tick(age))
		}
		c.samples.Advance(by, ^uint32(0))
		if s.Young {
			c.samples.Told &= 1<<(s.Since+1) - 1
			c.samples.Settled = false
		}
		if c.samples.Told == 0 && !c.samples.Settled {
			d.spare = append(d.spare, c)
			continue
		}
		kept = append(kept, c)
	}
	clear(d.copies[len(kept):])
	d.copies = kept
}

// settle keeps what was told at a tick that is left behind.
func (c *copied) settle(s *Schema, t throng.Tick) {
	k := &s.kinds[c.kind]
	from, to := c.at(k, int(t%History)), c.at(k, History)
	copy(to.Numbers, from.Numbers)
	copy(to.Texts, from.Texts)
	c.sees[History] = c.sees[t%History]
}

// at is what is kept in a place.
func (c *copied) at(k *Kind, place int) Values {
	return Values{
		Numbers: c.numbers[place*k.values : (place+1)*k.values],
		Texts:   c.texts[place*k.texts : (place+1)*k.texts],
	}
}

// readAcks reads which ticks the server knows to have come. False: it names some
// that are not here.
func (d *Decoder) readAcks(s Snapshot) bool {
	since := s.since()
	d.acks = 0
	trail := uint32(0)
	for i := range uint(since) {
		came := d.r.bit(contextAck + int(trail))
		d.acks |= came << (i + 1)
		trail = trail<<1&7 | came
	}
	return d.acks&^d.came == 0
}

// known reads what is told of an entity that is seen.
func (d *Decoder) known(c *copied) bool {
	if d.r.bit(contextMention+c.samples.mention(d.acks)) == 0 {
		return true
	}
	if d.r.bit(contextSpecial) == 0 {
		return d.change(c)
	}
	if d.r.bit(contextGone) == 1 {
		c.samples.Told |= 1
		c.samples.Gone |= 1
		return !d.r.over()
	}
	return d.fresh(c)
}

func (d *Decoder) change(c *copied) bool {
	k := &d.schema.kinds[c.kind]
	p := Past{Bases: c.samples.Bases(d.acks)}
	place := History
	if p.Base != 0 {
		place = int((d.tick - throng.Tick(p.Base)) % History)
		for i, age := range [...]uint8{p.Base, p.Older, p.Oldest} {
			p.At[i] = c.at(k, int((d.tick-throng.Tick(age))%History))
		}
	} else {
		p.At[0] = c.at(k, History)
	}
	v := c.sees[place]
	is := d.begin(c, k, v)
	before := 0
	for i := range k.slots {
		s := &k.slots[i]
		if !s.seen(v) {
			continue
		}
		ok := true
		switch s.kind {
		case FieldString:
			text := &is.Texts[s.index]
			if *text = p.At[0].Texts[s.index]; d.r.bit(contextText) == 1 {
				ok = d.text(int(s.top), text)
			}
		case FieldNumber:
			g := p.guess(s.index, s.top, before)
			is.Numbers[s.index], ok = d.r.difference(g.context, g.value, s.top, g.down)
			before = missed(is.Numbers[s.index], g.value)
		case FieldInteger, FieldBool:
			is.Numbers[s.index], ok = d.integer(s, &p)
		}
		if !ok {
			return false
		}
	}
	c.samples.Told |= 1
	return !d.r.over()
}

// begin returns the empty values of the tick.
func (d *Decoder) begin(c *copied, k *Kind, v Variant) Values {
	place := int(d.tick % History)
	is := c.at(k, place)
	clear(is.Numbers)
	clear(is.Texts)
	c.sees[place] = v
	return is
}

func (d *Decoder) integer(s *slot, p *Past) (uint32, bool) {
	was := p.At[0].Numbers[s.index]
	context := contextInteger + p.turned(s.index)*numberNodes
	if s.width > 4 {
		return d.r.difference(context, was, s.top, false)
	}
	switch {
	case d.r.bit(context+nodeZero) == 0:
		return was, true
	case s.width == 1:
		return was ^ 1, true
	}
	v := d.r.raw(int(s.width))
	return v, v <= s.top
}

func (d *Decoder) fresh(c *copied) bool {
	v := Variant(d.r.raw(variantBits))
	c.owner = ""
	if d.r.raw(1) == 1 {
		var owner string
		if !d.text(MaxText, &owner) {
			return false
		}
		c.owner = throng.PlayerID(owner)
	}
	k := &d.schema.kinds[c.kind]
	is := d.begin(c, k, v)
	for i := range k.slots {
		s := &k.slots[i]
		if !s.seen(v) {
			continue
		}
		if s.kind == FieldString {
			if !d.text(int(s.top), &is.Texts[s.index]) {
				return false
			}
			continue
		}
		n := d.r.raw(int(s.width))
		if n > s.top {
			return false
		}
		is.Numbers[s.index] = n
	}
	c.samples.Told |= 1
	c.samples.Fresh |= 1
	return !d.r.over()
}

// text reads a string, without allocating when it is the one that was there.
func (d *Decoder) text(most int, into *string) bool {
	n := int(d.r.raw(7))
	if n > most || d.r.over() {
		return false
	}
	for i := range n {
		d.buf[i] = byte(d.r.raw(8))
	}
	if b := d.buf[:n]; *into != string(b) {
		*into = string(b)
	}
	return true
}

// news reads the entities that the client does not see who has these ticks.
func (d *Decoder) news() bool {
	d.added = d.added[:0]
	last := uint64(0)
	at := 0
	for first := true; d.r.bit(contextMore) == 1; first = false {
		id := uint64(d.r.raw32(first))
		if !first {
			n, ok := d.r.amount(contextGap)
			if id = last + 1 + uint64(n); !ok {
				return false
			}
		}
		kind := int(d.r.raw(kindBits))
		if id == 0 || id > 1<<32-1 || kind >= len(d.schema.kinds) || d.r.over() {
			return false
		}
		last = id
		for at < len(d.copies) && uint64(d.copies[at].id) < id {
			at++
		}
		c := d.found(at, uint32(id))
		switch {
		case c == nil && len(d.copies)+len(d.added) >= maxCopies:
			return false
		case c == nil:
			c = d.make(uint32(id), uint8(kind))
			d.added = append(d.added, c)
		case int(c.kind) != kind || c.samples.Told&1 != 0:
			return false
		}
		if !d.fresh(c) {
			return false
		}
	}
	if len(d.added) > 0 {
		d.copies = append(d.copies, d.added...)
		slices.SortFunc(d.copies, func(a, b *copied) int { return cmp.Compare(a.id, b.id) })
	}
	return true
}

// raw32 reads the first ID of a body.
//
//nolint:revive // flag-parameter: the first ID is written otherwise
func (d *rangeDecoder) raw32(first bool) uint32 {
	if first {
		return d.raw(32)
	}
	return 0
}

// found is the entity with an ID, if it is the one at an index.
func (d *Decoder) found(at int, id uint32) *copied {
	if at < len(d.copies) && d.copies[at].id == id {
		return d.copies[at]
	}
	return nil
}

// maxCopies bounds what a client keeps: of entities that are gone a little more
// than there can be.
const maxCopies = 2 * MaxEntities

// make returns an entity without samples.
func (d *Decoder) make(id uint32, kind uint8) *copied {
	k := &d.schema.kinds[kind]
	c := &copied{}
	if n := len(d.spare); n > 0 {
		c, d.spare = d.spare[n-1], d.spare[:n-1]
	}
	*c = copied{id: id, kind: kind, numbers: c.numbers[:0], texts: c.texts[:0]}
	c.numbers = extend(c.numbers, (History+1)*k.values)
	c.texts = extend(c.texts, (History+1)*k.texts)
	return c
}

// newest is the place of what was told last, as the ticks of came have it; false:
// that it is gone.
func (c *copied) newest(t throng.Tick, came uint32) (place int, ok bool) {
	told := c.samples.Told & came
	switch {
	case told == 0:
		return History, c.samples.Settled
	case c.samples.Gone&(told&-told) != 0:
		return 0, false
	}
	return int((t - throng.Tick(trailing(told))) % History), true
}

// Fill makes v what the client sees: the newest of each entity.
func (d *Decoder) Fill(v *View) {
	v.Reset(d.tick)
	for _, c := range d.copies {
		place, ok := c.newest(d.tick, ^uint32(0))
		if !ok {
			continue
		}
		k := &d.schema.kinds[c.kind]
		is, e := c.at(k, place), v.Add(k, Entity{ID: c.id, Kind: int(c.kind), Owner: c.owner})
		copy(e.Values, is.Numbers)
		copy(e.Texts, is.Texts)
		v.records[len(v.records)-1].age = c.age()
	}
}

// age is how many ticks ago the entity was told, at most History.
func (c *copied) age() uint8 { return uint8(min(trailing(c.samples.Told), History)) }

// Hash is of what the server knows the client to see: of each entity the newest
// of the ticks that the last snapshot names, and of its own.
func (d *Decoder) Hash() uint32 {
	h := Hash{}
	for _, c := range d.copies {
		place, ok := c.newest(d.tick, d.acks|1)
		switch k := &d.schema.kinds[c.kind]; {
		case !ok:
		case place == History:
			h.Settled(c.id, c.kind)
		default:
			is := c.at(k, place)
			h.Entity(Entity{ID: c.id, Kind: int(c.kind), Owner: c.owner, Values: is.Numbers, Texts: is.Texts})
		}
	}
	return h.Sum()
}
