package wire

import "github.com/throng-gg/throng"

// trend says how far a line through two views goes on: numbers are expected to
// move after base as they moved from older to base.
type trend struct {
	ahead  int64 // ticks from base to now
	behind int64 // ticks from older to base; 0: nothing is expected to move
}

func makeTrend(now, base, older throng.Tick) trend {
	if base == 0 || older == 0 {
		return trend{}
	}
	return trend{ahead: int64(now) - int64(base), behind: int64(base) - int64(older)}
}

// at is base + (base-older) * ahead/behind, rounded half up, within 0 to top.
func (t trend) at(base, older, top uint32) uint32 {
	if base == older {
		return base
	}
	moved := (int64(base) - int64(older)) * t.ahead
	p := int64(base) + floorDiv(2*moved+t.behind, 2*t.behind)
	return uint32(max(0, min(p, int64(top))))
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// expect fills the values that base is expected to have now. older is nil when
// the entity was not there.
func (t trend) expect(values []uint32, k *Kind, base, older []uint32) {
	copy(values, base)
	if t.behind == 0 || older == nil {
		return
	}
	for i := range k.slots {
		if s := &k.slots[i]; s.kind == FieldNumber {
			values[s.index] = t.at(base[s.index], older[s.index], s.top)
		}
	}
}

// Prefix is the first N entities of a view: what a player sees of it. The zero
// Prefix is empty. Later versions of the server may choose otherwise what
// concerns a player; a client does not notice.
type Prefix struct {
	View *View
	N    int
}

// Tick is the tick of the view; 0 when there is none.
func (p Prefix) Tick() throng.Tick {
	if p.View == nil {
		return 0
	}
	return p.View.Tick
}

// follower finds entities of a prefix by IDs that go up.
type follower struct {
	prefix Prefix
	at     int
}

// values returns the values of the entity with the ID, nil when it is not there.
func (f *follower) values(id uint32, kind uint8) []uint32 {
	for f.at < f.prefix.N && f.prefix.View.records[f.at].id < id {
		f.at++
	}
	if f.at == f.prefix.N {
		return nil
	}
	v := f.prefix.View
	if r := &v.records[f.at]; r.id == id && r.kind == kind {
		return v.values[r.value : r.value+uint32(r.values)]
	}
	return nil
}
