package memory

import (
	"slices"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// pooled is one session with its seats and holds. A player counts once,
// however many of them are his.
type pooled struct {
	throng.Session // Seated and Held are only filled in views

	generation uint64    // in which its seats are known to be complete
	opened     uint64    // generation in which it was opened or made again
	census     uint64    // the newest one that it reported for
	drain      string    // why it is to drain as soon as it is bound
	until      time.Time // when a draining one ends though players are in it; zero: never
	suspended  bool      // takes no joins until it reports
	webs       int       // how often Web changed
	silent     bool      // lapsed and kept: has no lease until it is heard

	seats   map[throng.PlayerID]seat
	holds   map[throng.TicketKey]*hold
	holding map[throng.PlayerID]int // holds that name the player
	waiting int                     // players of holding without a seat
	lapse   time.Time               // no hold lapses before

	orders    []throng.Order // not acknowledged, oldest first
	lastOrder uint64
	left      []session.Departure // not published, oldest first
	lastLeft  uint64

	lease int // place in the shard's leases; -1: none
	shown shown
}

// seat is an occupied one.
type seat struct {
	epoch    throng.Epoch
	key      throng.TicketKey
	revision throng.Revision // of the change that took it
}

// hold is a party's seats that are not confirmed; members who are, are gone
// from it.
type hold struct {
	throng.Hold                 // all members, as it was made
	lapse       time.Time       // zero while not running
	open        []throng.Member // not confirmed and not released
}

// shown is what of a session other parts are told of when it changes.
type shown struct {
	known       bool
	state       throng.SessionState
	seated      int
	held        int
	incarnation throng.Incarnation
	webs        int
	attributes  throng.SessionAttributes
	joinable    bool
}

func newPooled(s throng.Session) *pooled {
	return &pooled{
		Session: s,
		seats:   map[throng.PlayerID]seat{},
		holds:   map[throng.TicketKey]*hold{},
		holding: map[throng.PlayerID]int{},
		lease:   -1,
	}
}

// free is the number of players who can still be added.
func (s *pooled) free() int { return max(s.Capacity-len(s.seats)-s.waiting, 0) }

// counts says whether the player has room in the session already.
func (s *pooled) counts(p throng.PlayerID) bool {
	_, seated := s.seats[p]
	return seated || s.holding[p] > 0
}

func (s *pooled) takeSeat(p throng.PlayerID, to seat) {
	if _, ok := s.seats[p]; !ok && s.holding[p] > 0 {
		s.waiting--
	}
	s.seats[p] = to
	if h := s.holds[to.key]; h != nil {
		s.release(h, p)
	}
}

func (s *pooled) freeSeat(p throng.PlayerID) {
	if _, ok := s.seats[p]; !ok {
		return
	}
	delete(s.seats, p)
	if s.holding[p] > 0 {
		s.waiting++
	}
}

func (s *pooled) addHold(h *hold) {
	s.holds[h.Key] = h
	for _, m := range h.open {
		s.holding[m.Player]++
		if _, ok := s.seats[m.Player]; !ok && s.holding[m.Player] == 1 {
			s.waiting++
		}
	}
}

// release takes one player out of a hold, and ends it with the last one.
func (s *pooled) release(h *hold, p throng.PlayerID) {
	i := slices.IndexFunc(h.open, func(m throng.Member) bool { return m.Player == p })
	if i < 0 {
		return
	}
	h.open = slices.Delete(h.open, i, i+1)
	s.holding[p]--
	if s.holding[p] == 0 {
		delete(s.holding, p)
		if _, ok := s.seats[p]; !ok {
			s.waiting--
		}
	}
	if len(h.open) == 0 {
		delete(s.holds, h.Key)
	}
}

func (s *pooled) dropHold(h *hold) {
	for len(h.open) > 0 {
		s.release(h, h.open[len(h.open)-1].Player)
	}
}

// purge drops the holds that have lapsed.
func (s *pooled) purge(now time.Time) {
	if s.lapse.IsZero() || now.Before(s.lapse) {
		return
	}
	s.lapse = time.Time{}
	for _, h := range s.holds {
		switch {
		case h.lapse.IsZero():
		case !now.Before(h.lapse):
			s.dropHold(h)
		default:
			s.lapseBy(h.lapse)
		}
	}
}

func (s *pooled) lapseBy(t time.Time) {
	if s.lapse.IsZero() || t.Before(s.lapse) {
		s.lapse = t
	}
}

// find returns a session that has not been forgotten, without lapsed holds.
func (sh *shard) find(id throng.SessionID, now time.Time) *pooled {
	s := sh.sessions[id]
	if s != nil {
		s.purge(now)
	}
	return s
}

// joinable says whether the session takes holds, if it has room.
func (sh *shard) joinable(s *pooled) bool {
	return (s.State == throng.SessionStarting || s.State == throng.SessionOpen) &&
		s.drain == "" && !s.suspended && sh.trusted(s)
}

// note ends every operation that changed a session: the shard's counts follow,
// and who reads the feed is told.
func (sh *shard) note(s *pooled) {
	next := shown{
		known: true, state: s.State, seated: len(s.seats), held: s.waiting,
		incarnation: s.Incarnation, webs: s.webs, attributes: s.Attributes, joinable: sh.joinable(s),
	}
	if next == s.shown {
		return
	}
	if s.shown.known {
		sh.states[s.shown.state]--
	}
	sh.states[next.state]++
	sh.total.seated += next.seated - s.shown.seated
	sh.total.held += next.held - s.shown.held
	s.shown = next
	sh.store.feed.Add(s.ID)
}

// view is the session as others see it.
func (sh *shard) view(s *pooled) throng.Session {
	v := s.Session
	v.Seated, v.Held = len(s.seats), s.waiting
	v.OpenedAt, v.BoundAt = s.OpenedAt.Round(0), s.BoundAt.Round(0)
	v.LeaseUntil = sh.end(s).Round(0)
	return v
}

// views appends all that have not ended.
func (sh *shard) views(to []throng.Session) []throng.Session {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, id := range sh.ids {
		to = append(to, sh.view(sh.sessions[id]))
	}
	return to
}

// look returns one session's view and whether it is known.
func (sh *shard) look(id throng.SessionID) (throng.Session, bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.sessions[id]
	if s == nil {
		return throng.Session{}, false
	}
	return sh.view(s), true
}

// effects is what is left to do after an operation that made these orders.
func (s *pooled) effects(orders ...throng.Order) session.Effects {
	return session.Effects{Session: s.ID, Server: s.Server, Orders: orders, Left: slices.Clone(s.left)}
}
