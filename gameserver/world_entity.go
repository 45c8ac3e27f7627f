package gameserver

import (
	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

// entity is one thing in the world, and what it was.
type entity struct {
	id      uint32
	kind    int
	owner   throng.PlayerID
	values  []uint32
	texts   []string
	removed bool

	past wire.Values // by tick modulo wire.History
	born throng.Tick // first Commit; 0: before it
	// changed is when fields were not as the tick before, by who sees them.
	changed [audiences]throng.Tick
	// rest is what it was from restFrom to restTo, the last time that it stayed
	// the same for longer than past remembers.
	rest             wire.Values
	restFrom, restTo throng.Tick
	x, y             float64 // of now, if the kind has a place

	codings []coding // of now
}

// The audiences of fields: everybody, those within the kind's first to third
// distance, the owner.
const (
	audienceOwner = 4
	audiences     = 5
)

// coding is how an entity of now is told to those who have the same samples.
type coding struct {
	bases    wire.Bases
	variant  wire.Variant
	settled  bool // Base 0 is the settled one
	fresh    bool
	from, to int // in World.tokens
	cost     int // 1/256 bits
}

// at is what it was at a tick that past remembers.
func (e *entity) at(t throng.Tick) wire.Values {
	i := int(t % wire.History)
	n, m := len(e.values), len(e.texts)
	return wire.Values{Numbers: e.past.Numbers[i*n : (i+1)*n], Texts: e.past.Texts[i*m : (i+1)*m]}
}

// changedFor is when what a player sees of it was last not as the tick before.
func (e *entity) changedFor(v wire.Variant) throng.Tick {
	last := audiences - 1
	if v&wire.VariantOwner == 0 {
		last = int(v)
	}
	t := e.changed[0]
	for _, c := range e.changed[1 : last+1] {
		t = max(t, c)
	}
	return t
}

// commit keeps what it is at t; before is the tick of the last one.
func (e *entity) commit(k *wire.Kind, t, before throng.Tick) {
	e.codings = e.codings[:0]
	is := e.at(t)
	if e.born == 0 {
		e.born = t
		for i := range e.changed {
			e.changed[i] = t
		}
	} else {
		e.compare(k, t, before)
	}
	copy(is.Numbers, e.values)
	copy(is.Texts, e.texts)
}

func (e *entity) compare(k *wire.Kind, t, before throng.Tick) {
	was := e.at(before)
	last := e.changedFor(wire.VariantOwner)
	rested := t-last >= wire.History
	for i, v := range e.values {
		if v != was.Numbers[i] {
			e.change(k.Audience(i), t, before, last, &rested)
		}
	}
	for i, v := range e.texts {
		if v != was.Texts[i] {
			e.change(k.TextAudience(i), t, before, last, &rested)
		}
	}
}

// change notes that a field changed, and keeps what the entity was if it was so
// for long.
func (e *entity) change(audience int, t, before, last throng.Tick, rested *bool) {
	e.changed[audience] = t
	if !*rested {
		return
	}
	*rested = false
	was := e.at(before)
	e.rest.Numbers = append(e.rest.Numbers[:0], was.Numbers...)
	e.rest.Texts = append(e.rest.Texts[:0], was.Texts...)
	e.restFrom, e.restTo = last, before
}

// settledAt is what it was at a tick, which past does not remember; false:
// nobody knows any more.
func (e *entity) settledAt(t throng.Tick) (wire.Values, bool) {
	switch {
	case t >= e.changedFor(wire.VariantOwner):
		return wire.Values{Numbers: e.values, Texts: e.texts}, true
	case t >= e.restFrom && t <= e.restTo:
		return e.rest, true
	}
	return wire.Values{}, false
}

// change of an entity by what a player has of it.
func (w *World) coded(e *entity, c coding, settled wire.Values) *coding {
	for i := range e.codings {
		if o := &e.codings[i]; o.bases == c.bases && o.variant == c.variant && o.fresh == c.fresh && o.settled == c.settled {
			return o
		}
	}
	k := w.schema.Kind(e.kind)
	is := wire.Values{Numbers: e.values, Texts: e.texts}
	c.from = len(w.tokens)
	switch {
	case c.fresh:
		w.tokens = k.AppendFresh(w.tokens, c.variant, e.owner, is)
	case c.settled:
		w.tokens = k.AppendChange(w.tokens, c.variant, is, &wire.Past{At: [3]wire.Values{settled}})
	default:
		p := wire.Past{Bases: c.bases, At: [3]wire.Values{e.at(w.now - throng.Tick(c.bases.Base))}}
		if c.bases.Older != 0 {
			p.At[1] = e.at(w.now - throng.Tick(c.bases.Older))
		}
		if c.bases.Oldest != 0 {
			p.At[2] = e.at(w.now - throng.Tick(c.bases.Oldest))
		}
		w.tokens = k.AppendChange(w.tokens, c.variant, is, &p)
	}
	c.to = len(w.tokens)
	c.cost = wire.Cost(w.tokens[c.from:c.to])
	e.codings = append(e.codings, c)
	return &e.codings[len(e.codings)-1]
}
