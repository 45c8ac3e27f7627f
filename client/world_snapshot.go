package client

import (
	"time"

	"github.com/throng-gg/throng/wire"
)

func (w *World) receiveSnapshot(payload []byte, now time.Time) (Update, error) {
	if w.decoder == nil {
		return Update{}, nil
	}
	s, err := wire.ParseSnapshot(payload, w.tick)
	if err != nil || s.Tick <= w.tick {
		return Update{}, err
	}
	empty := w.decoder.Tick() == 0
	if err := w.decoder.Apply(s); err != nil {
		w.pending = 0
		if empty { // expected until the server knows that all is lost
			return Update{}, nil
		}
		return Update{}, err
	}
	u := Update{Tick: s.Tick}
	w.pending++
	if s.HasHash && w.decoder.Hash() != s.Hash {
		w.decoder.Forget()
		w.pending = 0
		return Update{Mismatch: true}, nil
	}
	if s.HasHash {
		u.Verified, w.pending = w.pending, 0
	}
	w.decoder.Fill(&w.shown)
	w.tick = s.Tick
	if behind := uint32(uint8(w.made) - s.Input); behind <= w.made {
		w.applied = max(w.applied, w.made-behind)
	}
	if s.HasEcho {
		// Modulo 65,536; what both clocks cut off can make it -1.
		trip := int16(clock(now) - s.Sent - uint16(s.Hold))
		u.Round = time.Duration(max(1, trip)) * time.Millisecond
	}
	return u, nil
}
