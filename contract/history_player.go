package contract

import (
	"maps"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/throng-gg/throng"
)

// playerState is what is certain of a player: his newest confirmed epoch, a
// register that fences older ones, and his tickets' answers.
type playerState struct {
	top    throng.Epoch                      // of all that were handed out; a loss does not lower it
	epochs map[ticketEpoch]bool              // handed out
	asked  map[throng.TicketKey]throng.Epoch // may have been handed out: over this one
	latest map[throng.TicketKey]throng.Epoch // by ticket; since the last loss

	// Since the last loss. What may have happened is in the maps, with false.
	confirmed throng.Epoch
	settled   throng.Epoch
	may       map[throng.Epoch]bool // may have been confirmed
	gone      map[throng.Epoch]bool // never to be confirmed
	grants    map[throng.TicketKey]answer

	// before are the answers until the last loss, which may have kept them.
	before map[throng.TicketKey]answer
}

type ticketEpoch struct {
	key   throng.TicketKey
	epoch throng.Epoch
}

// answer is a ticket's; known is false if it may have been given.
type answer struct {
	known   bool
	session throng.SessionID
	nonce   [24]byte
}

func (s playerState) equal(o playerState) bool {
	return s.top == o.top && s.confirmed == o.confirmed && s.settled == o.settled && maps.Equal(s.epochs, o.epochs) && maps.Equal(s.asked, o.asked) &&
		maps.Equal(s.latest, o.latest) && maps.Equal(s.may, o.may) && maps.Equal(s.gone, o.gone) && maps.Equal(s.grants, o.grants) && maps.Equal(s.before, o.before)
}

// with is a copy of a map with one more entry.
func with[K comparable, V any](m map[K]V, k K, v V) map[K]V {
	m = maps.Clone(m)
	if m == nil {
		m = map[K]V{}
	}
	m[k] = v
	return m
}

func playerModel(p throng.PlayerID) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return playerState{} },
		Step: func(state, input, _ any) (bool, any) {
			return state.(playerState).step(p, input.(*event)) //nolint:forcetypeassert // as Init makes it
		},
		Equal: func(a, b any) bool { return a.(playerState).equal(b.(playerState)) }, //nolint:forcetypeassert // as above
		Hash: func(s any) uint64 {
			v := s.(playerState) //nolint:forcetypeassert // as above
			return uint64(v.top) ^ uint64(v.confirmed)<<8 ^ uint64(v.settled)<<16 ^ uint64(len(v.may)+8*len(v.gone)+64*len(v.grants))
		},
	}
}

func (s playerState) step(p throng.PlayerID, e *event) (bool, playerState) {
	switch e.kind {
	case claimed:
		return s.claim(p, e)
	case settled:
		return s.settle(e)
	case gaveUp:
		return true, s.leave(p, e)
	case confirmed:
		return s.confirm(e)
	case reported:
		for _, seat := range e.report.Seats {
			if seat.Player == p {
				s.may = with(s.may, seat.Epoch, true)
			}
		}
		return true, s
	case present:
		return s.read(e)
	case lost:
		before := maps.Clone(s.before)
		if before == nil {
			before = map[throng.TicketKey]answer{}
		}
		maps.Copy(before, s.grants)
		return true, playerState{top: s.top, epochs: s.epochs, asked: s.asked, before: before}
	case opened, held, unheld, heard, ended, looked:
	}
	return true, s
}

// claim: a ticket's epoch is the same each time, and else over all others.
func (s playerState) claim(p throng.PlayerID, e *event) (bool, playerState) {
	if e.err != nil {
		if _, ok := s.asked[e.key]; !ok && !e.refused() {
			s.asked = with(s.asked, e.key, s.top)
		}
		return true, s
	}
	i := slices.IndexFunc(e.members, func(m throng.Member) bool { return m.Player == p })
	if i < 0 {
		return false, s
	}
	got := e.members[i].Epoch
	if !s.epochs[ticketEpoch{e.key, got}] {
		least, ok := s.asked[e.key]
		if !ok {
			least = s.top
		}
		if got <= least {
			return false, s
		}
		s.asked = maps.Clone(s.asked)
		delete(s.asked, e.key)
		s.epochs = with(s.epochs, ticketEpoch{e.key, got}, true)
	}
	s.top = max(s.top, got)
	s.latest = with(s.latest, e.key, got)
	if e.grant != nil && p == e.key.Caller {
		return s.granted(e)
	}
	return true, s
}

// granted: the first answer wins.
func (s playerState) granted(e *event) (bool, playerState) {
	got := answer{known: true, session: e.grant.Session, nonce: e.grant.Nonce}
	if was := s.grants[e.key]; was.known && was != got {
		return false, s
	}
	s.grants = with(s.grants, e.key, got)
	s.settled = max(s.settled, e.grant.Members[0].Epoch)
	return true, s
}

func (s playerState) settle(e *event) (bool, playerState) {
	switch {
	case e.refused():
		return true, s
	case e.err != nil:
		if _, ok := s.grants[e.key]; !ok {
			s.grants = with(s.grants, e.key, answer{})
		}
		return true, s
	}
	if _, maybe := s.grants[e.key]; !maybe && !s.kept(e) {
		own := e.grant.Members[0].Epoch
		if s.settled > own || s.confirmed > own || s.gone[own] {
			return false, s
		}
	}
	return s.granted(e)
}

// kept says whether the answer is one that was given before the last loss: it is the same for
// ever, also once the player has newer seats.
func (s playerState) kept(e *event) bool {
	was, ok := s.before[e.key]
	return ok && (!was.known || was == answer{known: true, session: e.grant.Session, nonce: e.grant.Nonce})
}

// leave: the epoch is never confirmed from now on.
func (s playerState) leave(p throng.PlayerID, e *event) playerState {
	epoch, ok := s.latest[e.key]
	if e.err != nil || !e.sure || !ok {
		return s
	}
	if p != e.key.Caller {
		// He is known by the epoch of the grant, which after a claim that was
		// lost may be another one.
		return s
	}
	s.gone = with(s.gone, epoch, true)
	return s
}

// confirm: never an epoch that is older than one confirmed or settled, or gone.
func (s playerState) confirm(e *event) (bool, playerState) {
	own := e.change.Epoch
	switch {
	case e.refused():
		return true, s
	case e.err != nil:
		s.may = with(s.may, own, true)
		return true, s
	case own < s.confirmed || s.gone[own]:
		return false, s
	case own != s.confirmed && !s.may[own] && own < s.settled:
		return false, s
	}
	s.confirmed = own
	return true, s
}

// read: presence never goes back.
func (s playerState) read(e *event) (bool, playerState) {
	if e.err != nil {
		return true, s
	}
	if e.presence.Epoch < s.confirmed {
		return false, s
	}
	s.confirmed = e.presence.Epoch
	return true, s
}
