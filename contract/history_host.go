package contract

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

// host is an honest game server of a history: the last authority on its seats.
type host struct {
	h        *history
	id       throng.SessionID
	capacity int

	mu      sync.Mutex // guards what follows
	server  *server
	floor   map[throng.PlayerID]throng.Epoch // up to it nobody enters again
	seats   map[throng.PlayerID]*taken
	left    []throng.Member // ever
	boundAt time.Time       // not later than it was; zero: not bound
	acked   time.Time       // when the last heartbeat was answered that extended the lease
	beating bool
	wants   bool // the next word is a report
	old     *throng.Heartbeat
	cut     int  // rounds for which nothing gets through
	crashed bool // it is silent for good
	over    bool // it was told that its session ended
	ending  bool // somebody asked for the end
	// bold: it let somebody in whose seat may have been held for somebody else by
	// then, which is its right as the last authority.
	bold bool
}

// taken is a player's seat.
type taken struct {
	change    throng.RosterChange
	until     time.Time // of the hold
	asking    bool
	confirmed bool
}

func newHost(h *history, s throng.Session) *host {
	b := &bench{reg: nil}
	return &host{
		h: h, id: s.ID, capacity: s.Capacity, server: newServer(b, s),
		floor: map[throng.PlayerID]throng.Epoch{}, seats: map[throng.PlayerID]*taken{},
	}
}

func (s *host) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over || s.crashed
}

// act begins what the server does in a round.
func (s *host) act() {
	h, r := s.h, s.h.random
	if chance(r, 5) {
		h.do("looks", func(r *rand.Rand) { s.look(h.proc(r)) })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.crashed {
		return
	}
	if !h.calm {
		switch {
		case chance(r, h.c.Crashes):
			s.crashed = true
			h.count("crashes")
			return
		case s.cut == 0 && chance(r, h.c.Cuts):
			s.cut = 5 + r.IntN(50)
			h.count("cuts")
		case chance(r, 150) && len(h.hosts) > 1:
			s.ending = true
			h.do("ends", s.end)
		}
	}
	if s.cut > 0 && !h.calm {
		s.cut--
		return
	}
	s.words(r)
}

// words begins the server's calls.
func (s *host) words(r *rand.Rand) {
	h := s.h
	patience, silence := 2, 3
	if h.c.Slow && !h.calm {
		patience, silence = 30, 15
	}
	for _, p := range slices.Sorted(maps.Keys(s.seats)) {
		seat := s.seats[p]
		if !seat.confirmed && !seat.asking && (h.calm || chance(r, patience)) {
			seat.asking = true
			h.do("confirms", func(r *rand.Rand) { s.confirm(r, seat) })
		} else if !h.calm && (seat.confirmed && chance(r, 14) || !seat.confirmed && chance(r, h.c.Hasty)) {
			s.leave(p) // maybe while the registry is being asked
		}
	}
	if !s.beating && (h.calm || chance(r, silence)) {
		s.beating = true
		h.do("beats", s.beat)
	}
	if s.old != nil && chance(r, 12) {
		again := *s.old
		h.do("repeats", func(r *rand.Rand) { s.repeat(h.proc(r), again) })
	}
}

func (s *host) end(r *rand.Rand) {
	ctx, f := s.h.fate(r)
	e := s.h.log.begin(event{kind: ended, session: s.id})
	e.err = s.h.procs[s.h.proc(r)].End(ctx, s.id, "by hand")
	e.sure = f.isSure()
	s.h.log.end(e)
}

func (s *host) look(proc int) {
	e := s.h.log.begin(event{kind: looked, proc: proc, session: s.id})
	e.view, e.err = s.h.procs[proc].Session(s.h.ctx, s.id)
	s.h.log.end(e)
	s.saw(e.view)
}

func (s *host) saw(v throng.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bold = s.bold || v.Seated+v.Held > v.Capacity
}

// admit lets a player in by his token, or not.
func (s *host) admit(w *wish, g throng.Grant, m throng.Member) bool {
	s.h.mu.Lock()
	loose := w.loose
	entitled := !loose && s.h.newest[m.Player] <= m.Epoch && s.h.newest[g.Key.Caller] <= g.Members[0].Epoch
	s.h.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.crashed || s.boundAt.IsZero() || !s.h.rig.Now().Before(g.TokenExpiry(s.boundAt)) {
		return false
	}
	seat, in := s.seats[m.Player]
	if m.Epoch <= s.floor[m.Player] || in && seat.change.Epoch >= m.Epoch {
		return false
	}
	if !in && len(s.seats) >= s.capacity {
		if entitled && s.isFull() {
			s.h.breach("over capacity: %s (epoch %d, ticket %s) has a token that is good and %s is full of confirmed players: %v",
				m.Player, m.Epoch, g.Key.Ticket, s.id, slices.Sorted(maps.Keys(s.seats)))
		}
		s.h.count("turned away")
		return false
	}
	until := g.Until
	if until.IsZero() {
		until = s.boundAt.Add(throng.HoldTime)
	}
	s.h.count("admitted")
	s.bold = s.bold || loose || in && !seat.confirmed
	s.seats[m.Player] = &taken{change: s.server.admit(g, m.Player), until: until}
	return true
}

// isFull says whether all seats are confirmed and nobody is on his way out.
func (s *host) isFull() bool {
	if s.bold {
		return false
	}
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	for p, seat := range s.seats {
		if !seat.confirmed || s.h.newest[p] > seat.change.Epoch {
			return false
		}
	}
	return true
}

func (s *host) leave(p throng.PlayerID) {
	seat := s.seats[p]
	s.floor[p] = max(s.floor[p], seat.change.Epoch)
	s.left = append(s.left, throng.Member{Player: p, Epoch: seat.change.Epoch})
	delete(s.seats, p)
	s.server.leave(p)
}

func (s *host) confirm(r *rand.Rand, seat *taken) {
	ctx, f := s.h.fate(r)
	proc := s.h.proc(r)
	s.mu.Lock()
	from := s.server.report.Heartbeat
	s.mu.Unlock()
	e := s.h.log.begin(event{kind: confirmed, proc: proc, session: s.id, player: seat.change.Player, change: seat.change})
	e.err = s.h.procs[proc].Confirm(ctx, from, seat.change)
	e.sure = f.isSure()
	s.h.log.end(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	seat.asking = false
	switch {
	case e.err == nil:
		s.h.mu.Lock()
		late := !s.h.rig.Now().Before(seat.until) || !seat.until.Add(-throng.HoldTime).After(s.h.lossAt)
		s.h.counted["confirmed"]++
		s.h.mu.Unlock()
		seat.confirmed, s.bold = true, s.bold || late
	case throng.KindOf(e.err) == throng.Denied && s.seats[seat.change.Player] == seat:
		s.h.count("denied")
		s.leave(seat.change.Player)
	}
}

// beat speaks to the registry: a heartbeat, or the report that it wants.
func (s *host) beat(r *rand.Rand) {
	ctx, _ := s.h.fate(r)
	proc := s.h.proc(r)
	s.mu.Lock()
	beat, report, full := s.server.heartbeat(), s.server.full(), s.wants
	left := slices.Clone(s.left)
	s.mu.Unlock()
	e := s.h.log.begin(event{kind: heard, proc: proc, session: s.id, beat: beat})
	if full {
		e.kind, e.report, e.left = reported, report, left
	}
	before := s.h.rig.Now()
	say := func() (throng.HeartbeatAnswer, error) { return s.h.procs[proc].Heartbeat(ctx, beat) }
	if full {
		say = func() (throng.HeartbeatAnswer, error) { return s.h.procs[proc].Report(ctx, report) }
	}
	a, err := say()
	e.answer, e.err = a, err
	s.h.log.end(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beating = false
	if err != nil {
		return
	}
	if !full && len(beat.Changes) > 0 {
		s.old = &beat
	}
	s.took(a, before)
}

// took does what an answer says.
func (s *host) took(a throng.HeartbeatAnswer, before time.Time) {
	if a.Ended {
		s.told(a)
		return
	}
	s.wants = a.WantReport
	s.server.took(a)
	if s.boundAt.IsZero() && !a.WantReport {
		s.boundAt = before
	}
	s.acked = before
	for _, o := range a.Orders {
		if o.Kind == throng.OrderEvict && o.ID > s.server.report.OrdersDone {
			if seat, ok := s.seats[o.Player]; ok && seat.change.Epoch <= o.Epoch {
				s.leave(o.Player)
			}
			s.floor[o.Player] = max(s.floor[o.Player], o.Epoch)
		}
		s.server.report.OrdersDone = max(s.server.report.OrdersDone, o.ID)
	}
}

// told takes note that the session is over, and of whether it may be.
func (s *host) told(a throng.HeartbeatAnswer) {
	s.over = true
	s.h.mu.Lock()
	alive := s.acked
	if s.h.began.After(alive) {
		alive = s.h.began
	}
	s.h.mu.Unlock()
	silent := s.h.rig.Now().Sub(alive)
	if !s.ending && !s.acked.IsZero() && silent < throng.LeaseTime {
		s.h.breach("%s was ended (%s) %v after it was heard last or the registry came back", s.id, a.Reason, silent)
	}
}

// repeat says again what was said before, as a network may.
func (s *host) repeat(proc int, old throng.Heartbeat) {
	e := s.h.log.begin(event{kind: heard, proc: proc, session: s.id, beat: old})
	e.answer, e.err = s.h.procs[proc].Heartbeat(s.h.ctx, old)
	s.h.log.end(e)
}
