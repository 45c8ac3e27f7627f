package client

import (
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

// maxWaiting bounds the snapshots of which some parts are here. When one more
// comes, the oldest is given up.
const maxWaiting = 3

// incomplete is a snapshot of which some parts are here.
type incomplete struct {
	head  wire.Snapshot // part 0, once it is here
	tick  throng.Tick   // 0: unused
	parts uint8
	left  uint8
	body  [wire.MaxParts][]byte
	here  [wire.MaxParts]bool
}

func (w *World) receiveSnapshot(payload []byte, now time.Time) (Update, error) {
	s, err := wire.ParseSnapshot(payload)
	if err != nil || w.decoder == nil || s.Tick <= w.newest {
		return Update{}, err
	}
	if s.Parts == 1 {
		return w.complete(s, now, s.Body)
	}
	in := w.place(s.Tick)
	if in.tick > s.Tick {
		return Update{}, nil // newer ones have taken all places
	}
	if err := in.take(s); err != nil || in.left > 0 {
		return Update{}, err
	}
	in.tick = 0
	return w.complete(in.head, now, in.body[:in.parts]...)
}

// place is where the parts of a tick are kept, else the oldest tick's place.
func (w *World) place(t throng.Tick) *incomplete {
	in := &w.waiting[0]
	for i := range w.waiting {
		if w.waiting[i].tick == t {
			return &w.waiting[i]
		}
		if w.waiting[i].tick < in.tick {
			in = &w.waiting[i]
		}
	}
	return in
}

// take keeps a part, which may be the first of a newer tick.
func (in *incomplete) take(s wire.Snapshot) error {
	if in.tick != s.Tick {
		in.tick, in.parts, in.left = s.Tick, s.Parts, s.Parts
		in.here = [wire.MaxParts]bool{}
	}
	if in.parts != s.Parts {
		return throng.Errorf(throng.Invalid, "the snapshot of tick %d has %d parts and %d", s.Tick, in.parts, s.Parts)
	}
	if in.here[s.Part] {
		return nil
	}
	in.here[s.Part] = true
	in.left--
	in.body[s.Part] = append(in.body[s.Part][:0], s.Body...)
	if s.Part == 0 {
		in.head = s
		in.head.Body = nil
	}
	return nil
}

// complete decodes a snapshot that is newer than all before.
func (w *World) complete(s wire.Snapshot, now time.Time, bodies ...[]byte) (Update, error) {
	base, older := w.view(s.Base), w.view(s.Older)
	if (base == nil) != (s.Base == 0) || (older == nil) != (s.Older == 0) {
		// After a mismatch this is expected until the server knows of it.
		w.forget()
		return Update{}, nil
	}
	if err := w.decoder.Apply(&w.scratch, s, base, older, bodies...); err != nil {
		w.forget()
		return Update{}, err
	}
	u := Update{Tick: s.Tick}
	w.pending++
	if s.About.HasHash && w.scratch.Hash() != s.About.Hash {
		w.forget()
		return Update{Mismatch: true}, nil
	}
	if s.About.HasHash {
		u.Verified, w.pending = w.pending, 0
	}
	w.shown = &w.past[s.Tick%wire.History]
	*w.shown, w.scratch = w.scratch, *w.shown
	w.newest, w.tick = s.Tick, s.Tick
	if behind := uint32(uint16(w.made) - s.About.Input); behind <= w.made {
		w.applied = max(w.applied, w.made-behind)
	}
	if s.About.HasEcho {
		// Modulo 65,536; what both clocks cut off can make it -1.
		trip := int16(clock(now) - s.About.Sent - uint16(s.About.Hold))
		u.Round = time.Duration(max(1, trip)) * time.Millisecond
	}
	return u, nil
}

// view returns what was decoded of a tick, nil if nothing is left of it.
func (w *World) view(t throng.Tick) *wire.View {
	if v := &w.past[t%wire.History]; t != 0 && v.Tick == t {
		return v
	}
	return nil
}

// forget makes the next inputs ask for all anew.
func (w *World) forget() {
	for i := range w.past {
		w.past[i].Tick = 0
	}
	for i := range w.waiting {
		w.waiting[i].tick = 0
	}
	w.newest, w.pending = 0, 0
}
