package gameserver

import (
	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

// cachedDelta is what players need who have acknowledged the same views.
type cachedDelta struct {
	base, older wire.Prefix
	delta       wire.Delta
}

// hashes remembers the hashes of one view; most players see all of it.
type hashes struct {
	known bool
	whole uint64
}

// Commit keeps the world as it is at the end of tick t. Call it once a tick,
// t going up, before the Payloads of that tick.
func (w *World) Commit(t throng.Tick) {
	if w.encoder == nil {
		w.encoder = wire.NewEncoder(&w.schema)
	}
	v := &w.past[t%wire.History]
	v.Reset(t)
	for _, e := range w.entities {
		in := v.Add(w.schema.Kind(e.kind), e.wire())
		copy(in.Values, e.values)
		copy(in.Texts, e.texts)
	}
	w.now, w.used, w.hashes = t, 0, hashes{}
}

// View is the newest committed tick, for tests. It changes with Commit.
func (w *World) View() *wire.View { return &w.past[w.now%wire.History] }

// at returns the view of an earlier tick, or nil when it is too long ago.
func (w *World) at(t throng.Tick) *wire.View {
	v := &w.past[t%wire.History]
	if t == 0 || v.Tick != t {
		return nil
	}
	return v
}

// delta returns what turns base into the newest view. It is made once for all
// players who ask for the same, and is good until the next Commit.
func (w *World) delta(base, older wire.Prefix) *wire.Delta {
	for i := range w.deltas[:w.used] {
		if c := &w.deltas[i]; c.base == base && c.older == older {
			return &c.delta
		}
	}
	if w.used == len(w.deltas) {
		w.deltas = append(w.deltas, cachedDelta{})
	}
	c := &w.deltas[w.used]
	w.used++
	c.base, c.older = base, older
	w.encoder.Encode(&c.delta, w.View(), base, older)
	return &c.delta
}

func (w *World) hash(p wire.Prefix) uint64 {
	if p.N < p.View.Len() {
		return p.View.HashThrough(p.N)
	}
	if !w.hashes.known {
		w.hashes = hashes{known: true, whole: p.View.Hash()}
	}
	return w.hashes.whole
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

func (w *World) payload(p []byte) {
	b := w.buffer()
	*b = append(*b, p...)
}

func (w *World) snapshot(s wire.Snapshot) {
	b := w.buffer()
	*b = wire.AppendSnapshot(*b, s)
}
