package contract

import (
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// settle lets everything that is under way come to its end, without faults, and
// checks that then nobody has two seats, and that the registry knows what the
// servers know.
func (h *history) settle() {
	if h.prepared != nil {
		h.lose()
		h.next()
	}
	h.calm = true
	h.mustTick()
	h.mu.Lock()
	for _, s := range h.hosts {
		s.mu.Lock()
		s.cut = 0
		s.mu.Unlock()
	}
	h.mu.Unlock()
	// A quarantine, a lease and a hold, and what is left of a pause.
	until := h.rig.Now().Add(throng.TokenTime + throng.LeaseTime + throng.HoldTime + 5*time.Second)
	for h.rig.Now().Before(until) || h.isPaused() {
		h.turn()
		h.rig.Advance(200 * time.Millisecond)
	}
	h.next()
	h.mustTick()
	h.audit()
}

// audit compares what servers and registry know when all is still.
func (h *history) audit() {
	in := map[throng.PlayerID]*host{}
	for _, s := range h.hosts {
		if s.isOver() {
			h.auditOver(s)
			continue
		}
		for p := range s.seats {
			if other := in[p]; other != nil {
				h.breach("two seats: %s plays in %s and in %s", p, other.id, s.id)
			}
			in[p] = s
		}
		v, err := h.procs[0].Session(h.ctx, s.id)
		if err != nil || v.Seated != len(s.seats) || v.Held != 0 {
			h.breach("%s: the registry has %s, %d seated and %d held, the server has %d players (%v)", s.id, v.State, v.Seated, v.Held, len(s.seats), err)
		}
	}
	for _, p := range h.players() {
		at, err := h.procs[0].Presence(h.ctx, p)
		if err != nil {
			h.breach("presence of %s: %v", p, err)
			continue
		}
		playing := at.State == throng.PresencePlaying
		if s := in[p]; s != nil && (!playing || at.Session != s.id || at.Epoch != s.seats[p].change.Epoch) {
			h.breach("%s plays in %s at epoch %d, his presence is %+v", p, s.id, s.seats[p].change.Epoch, at)
		} else if s == nil && playing && h.isEnded(at.Session) {
			h.breach("%s plays nowhere, his presence is %+v", p, at)
		}
	}
}

// auditOver checks that nobody has a seat in a session that is over. One whose
// server died is only suspended if others fell silent with it.
func (h *history) auditOver(s *host) {
	v, err := h.procs[0].Session(h.ctx, s.id)
	if throng.KindOf(err) == throng.NotFound && err != nil {
		return // a loss forgot it
	}
	if err != nil || v.State == throng.SessionEnded && v.Seated+v.Held > 0 {
		h.breach("%s is over: the registry has %d seated and %d held (%v)", s.id, v.Seated, v.Held, err)
	}
}

// isEnded says whether a session's seats must have been given back.
func (h *history) isEnded(id throng.SessionID) bool {
	v, err := h.procs[0].Session(h.ctx, id)
	return err == nil && v.State != throng.SessionStarting && (v.State == throng.SessionEnded || v.LeaseUntil.After(h.rig.Now().Add(-session.TickTime)))
}
