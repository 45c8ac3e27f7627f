package gameserver

import (
	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

// Commit keeps the world as it is at the end of tick t. Call it once a tick,
// t going up, before the Payloads of that tick.
func (w *World) Commit(t throng.Tick) {
	w.tokens = append(w.tokens[:0], 0) // so that no coding is empty
	for _, e := range w.entities {
		k := w.schema.Kind(e.kind)
		e.commit(k, t, w.now)
		if at := &w.rules[e.kind]; at.placed {
			e.x, e.y = k.Number(e.wire(), at.x), k.Number(e.wire(), at.y)
		}
	}
	w.now = t
	w.grid.fill(w)
}

// Past is what a number, integer or bool was so many ticks before the newest
// Commit; false: more than wire.History-1, the entity was not there, or has no
// such field.
func (w *World) Past(id uint32, field, ticks int) (float64, bool) {
	i, found := w.find(id)
	if !found || ticks < 0 || ticks >= wire.History {
		return 0, false
	}
	e, t := w.entities[i], w.now-throng.Tick(ticks)
	k := w.schema.Kind(e.kind)
	if e.born == 0 || t > w.now || t < e.born || field < 0 || field >= k.Len() || k.At(field).Kind == wire.FieldString {
		return 0, false
	}
	return k.Number(wire.Entity{Values: e.at(t).Numbers}, field), true
}

// View is the newest committed tick, all of it, for tests. It changes with the
// next call.
func (w *World) View() *wire.View {
	w.view.Reset(w.now)
	for _, e := range w.entities {
		if e.born == 0 {
			continue
		}
		is, in := e.at(w.now), w.view.Add(w.schema.Kind(e.kind), e.wire())
		copy(in.Values, is.Numbers)
		copy(in.Texts, is.Texts)
	}
	return &w.view
}

// buffer appends a payload to out and returns its empty memory.
func (w *World) buffer() *[]byte {
	if len(w.out) == cap(w.out) {
		w.out = append(w.out, make([]byte, 0, wire.MaxPayload))
	} else {
		w.out = w.out[:len(w.out)+1]
	}
	last := &w.out[len(w.out)-1]
	*last = (*last)[:0]
	return last
}
