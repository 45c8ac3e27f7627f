package contract

import (
	"maps"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/throng-gg/throng"
)

// poolState is what is certain of a session's seats, and what may be: true says
// that it is certain.
type poolState struct {
	capacity int
	bound    bool
	ended    bool
	lost     bool      // what it held once may be back
	silent   bool      // it has not reported since
	struck   time.Time // when that was, at the earliest
	revision throng.Revision
	seats    map[throng.Member]bool
	holds    map[part]span
	ever     map[throng.PlayerID]bool // who ever had a hold
}

// part is one player's part of a hold.
type part struct {
	key    throng.TicketKey
	player throng.PlayerID
}

// span is how long a part is held.
type span struct {
	sure  bool
	least time.Time // it is there until then; zero: while nobody is bound
	most  time.Time // it is gone from then on
}

func (s poolState) equal(o poolState) bool {
	return s.bound == o.bound && s.ended == o.ended && s.lost == o.lost && s.silent == o.silent && s.revision == o.revision &&
		maps.Equal(s.seats, o.seats) && maps.Equal(s.holds, o.holds)
}

func sessionModel(id throng.SessionID, capacity int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return poolState{capacity: capacity} },
		Step: func(state, input, _ any) (bool, any) {
			return state.(poolState).step(id, input.(*event)) //nolint:forcetypeassert // as Init makes it
		},
		Equal: func(a, b any) bool { return a.(poolState).equal(b.(poolState)) }, //nolint:forcetypeassert // as above
		Hash: func(s any) uint64 {
			v := s.(poolState) //nolint:forcetypeassert // as above
			return uint64(v.revision) ^ uint64(len(v.seats))<<20 ^ uint64(len(v.holds))<<30
		},
	}
}

func (s poolState) step(id throng.SessionID, e *event) (bool, poolState) {
	switch e.kind {
	case opened:
		s.silent, s.struck = false, time.Time{}
		return true, s
	case held:
		return s.hold(e)
	case unheld:
		// One that was settled stays.
		return true, s.release(func(p part) bool { return p.key == e.key }, false)
	case settled:
		return true, s.settle(id, e)
	case gaveUp:
		return true, s.release(func(p part) bool { return p.key == e.key }, false)
	case confirmed:
		return s.confirm(e)
	case heard:
		return s.heard(e)
	case reported:
		return s.report(e)
	case looked:
		if e.err != nil {
			return true, s
		}
		return s.look(e)
	case ended:
		return true, s.end(e.err == nil)
	case lost:
		s = s.lose()
		if e.sure {
			s.silent, s.struck = true, e.from
		}
		return true, s
	case claimed, present:
	}
	return true, s
}

// certain returns who counts in the session for sure until a time.
func (s poolState) certain(till time.Time) map[throng.PlayerID]bool {
	in := map[throng.PlayerID]bool{}
	for m, sure := range s.seats {
		if sure {
			in[m.Player] = true
		}
	}
	for p, h := range s.holds {
		if h.sure && (h.least.IsZero() || till.Before(h.least)) {
			in[p.player] = true
		}
	}
	return in
}

// possible returns who may count in the session at a time or later.
func (s poolState) possible(from time.Time) map[throng.PlayerID]bool {
	in := map[throng.PlayerID]bool{}
	for m := range s.seats {
		in[m.Player] = true
	}
	for p, h := range s.holds {
		if h.most.IsZero() || from.Before(h.most) {
			in[p.player] = true
		}
	}
	return in
}

// hold: all of a party or nobody, and never more than there is room for.
func (s poolState) hold(e *event) (bool, poolState) {
	if e.refused() {
		return true, s
	}
	if e.err == nil && (s.ended || e.hold.Key != e.key || !samePlayers(e.hold.Members, e.members)) {
		return false, s
	}
	repeat := slices.ContainsFunc(e.members, func(m throng.Member) bool {
		_, ok := s.holds[part{e.key, m.Player}]
		return ok
	})
	if e.err == nil && (s.silent || e.till.Before(s.struck.Add(throng.TokenTime))) {
		return false, s // it is not known who is on the way
	}
	if e.err == nil && !repeat && !s.hasRoom(e) {
		return false, s
	}
	is := span{sure: e.err == nil && !repeat, least: e.hold.Until, most: e.hold.Until}
	if e.err != nil && s.bound {
		is.least, is.most = e.from, e.till.Add(throng.HoldTime)
	}
	s.holds = maps.Clone(s.holds)
	if s.holds == nil {
		s.holds = map[part]span{}
	}
	for _, m := range e.members {
		p := part{e.key, m.Player}
		old, ok := s.holds[p]
		if !ok {
			s.holds[p] = is
		} else {
			s.holds[p] = old.or(is)
		}
		s.ever = with(s.ever, m.Player, true)
	}
	return true, s
}

// or is the span of a part that is there still, or again.
func (h span) or(again span) span {
	if h.sure {
		again.least = h.least
	}
	if h.most.After(again.most) && !again.most.IsZero() {
		again.most = h.most
	}
	again.sure = h.sure
	return again
}

// hasRoom says whether a new hold may be given.
func (s poolState) hasRoom(e *event) bool {
	maybe, sure := s.possible(e.from), s.certain(e.till)
	needs := false
	for _, m := range e.members {
		needs = needs || !maybe[m.Player] && (!s.lost || !s.ever[m.Player])
		sure[m.Player] = true
	}
	return !needs || len(sure) <= s.capacity
}

func samePlayers(a, b []throng.Member) bool {
	return slices.EqualFunc(a, b, func(x, y throng.Member) bool { return x.Player == y.Player })
}

// look: what is certain is counted, and nothing that cannot be.
func (s poolState) look(e *event) (bool, poolState) {
	v := e.view
	if v.State == throng.SessionEnded {
		if s.ended || v.Seated+v.Held == 0 {
			return v.Seated+v.Held == 0, s.end(true)
		}
		return false, s
	}
	if v.State != throng.SessionStarting {
		s = s.bind(e, true)
	}
	count := v.Seated + v.Held
	if s.ended || v.Seated > v.Capacity || count < len(s.certain(e.till)) {
		return false, s
	}
	return s.lost || count <= len(s.possible(e.from)), s
}

// release drops parts of holds: for certain, or maybe.
func (s poolState) release(of func(part) bool, sure bool) poolState { //nolint:revive // it is how certain all in it is
	s.holds = maps.Clone(s.holds)
	for p, h := range s.holds {
		if !of(p) {
			continue
		}
		h.sure = false
		s.holds[p] = h
		if sure && !s.lost {
			delete(s.holds, p)
		}
	}
	return s
}

// settle: the loser's hold is released, and the caller's earlier ones may be.
func (s poolState) settle(id throng.SessionID, e *event) poolState {
	s = s.release(func(p part) bool { return p.key.Caller == e.key.Caller && p.key != e.key }, false)
	own := func(p part) bool { return p.key == e.key }
	switch {
	case e.session != id:
		return s
	case e.err == nil && e.grant.Session != id, e.err != nil && throng.KindOf(e.err) == throng.Denied:
		return s.release(own, e.sure)
	case e.err != nil:
		return s.release(own, false)
	}
	return s
}

// confirm: the seat is there, once, and was room for it.
func (s poolState) confirm(e *event) (bool, poolState) {
	m := throng.Member{Player: e.change.Player, Epoch: e.change.Epoch}
	own := part{e.change.Key, m.Player}
	s.seats, s.holds = maps.Clone(s.seats), maps.Clone(s.holds)
	if s.seats == nil {
		s.seats = map[throng.Member]bool{}
	}
	if e.err != nil {
		if h, ok := s.holds[own]; ok {
			h.sure = false
			s.holds[own] = h
		}
		s.seats[m] = false       // it may be there for a while; then he is sent out
		for o := range s.seats { // it may have replaced his older seat, and then been taken back
			if o.Player == m.Player && o.Epoch <= m.Epoch {
				s.seats[o] = false
			}
		}
		return true, s
	}
	if s.ended {
		return false, s
	}
	_, known := s.seats[m]
	if !known && !s.fits(e, m) {
		return false, s
	}
	if h, ok := s.holds[own]; ok && known { // the seat may have been there before the hold
		h.sure = false
		s.holds[own] = h
	} else {
		delete(s.holds, own)
	}
	for o := range s.seats {
		if o.Player == m.Player && o.Epoch < m.Epoch {
			delete(s.seats, o)
		}
	}
	s.seats[m] = true
	return true, s
}

// fits says whether a new seat may be taken.
func (s poolState) fits(e *event, m throng.Member) bool {
	if e.change.Revision <= s.revision {
		return false // he has left since
	}
	taken := map[throng.PlayerID]bool{m.Player: true}
	for o, sure := range s.seats {
		if sure {
			taken[o.Player] = true
		}
	}
	if len(taken) > s.capacity {
		return false
	}
	if s.possible(e.from)[m.Player] || s.lost {
		return true
	}
	sure := s.certain(e.till)
	sure[m.Player] = true
	return len(sure) <= s.capacity
}

// heard: roster changes up to the acknowledged one are applied.
func (s poolState) heard(e *event) (bool, poolState) {
	if e.err == nil && e.answer.Ended {
		return true, s.end(true)
	}
	s = s.bind(e, e.err == nil && (!e.answer.WantReport || e.answer.Acked > 0))
	s.seats = maps.Clone(s.seats)
	if s.seats == nil {
		s.seats = map[throng.Member]bool{}
	}
	for _, c := range e.beat.Changes {
		if c.Revision > s.revision && (e.err != nil || e.answer.WantReport || c.Revision <= e.answer.Acked) {
			s = s.change(c, e.err == nil && c.Revision <= e.answer.Acked)
		}
	}
	if e.err == nil {
		s.revision = max(s.revision, e.answer.Acked)
	}
	return true, s
}

// change: a roster change is applied, for certain or maybe. The seats are the
// caller's to change.
func (s poolState) change(c throng.RosterChange, sure bool) poolState { //nolint:revive // as above
	m := throng.Member{Player: c.Player, Epoch: c.Epoch}
	if c.Kind == throng.RosterJoined {
		return s.joined(m, c.Key)
	}
	for o := range s.seats {
		if o.Player != m.Player || o.Epoch > m.Epoch {
			continue
		}
		s.seats[o] = false
		if sure {
			delete(s.seats, o)
		}
	}
	return s
}

// joined: a seat that the server told of may be there now, and its hold in it.
func (s poolState) joined(m throng.Member, k throng.TicketKey) poolState {
	if _, ok := s.seats[m]; !ok {
		s.seats[m] = false
	}
	if h, ok := s.holds[part{k, m.Player}]; ok {
		s.holds = maps.Clone(s.holds)
		h.sure = false
		s.holds[part{k, m.Player}] = h
	}
	return s
}

// bind: holds run from then on; not sure: maybe.
func (s poolState) bind(e *event, sure bool) poolState { //nolint:revive // as above
	if s.bound {
		return s
	}
	s.bound = sure
	s.holds = maps.Clone(s.holds)
	for p, h := range s.holds {
		if !h.most.IsZero() {
			continue
		}
		if h.least.IsZero() {
			h.least = e.from.Add(throng.HoldTime)
		}
		if sure {
			h.most = e.till.Add(throng.HoldTime)
		}
		s.holds[p] = h
	}
	return s
}

// report: the seats are those of the report and those that came after it.
func (s poolState) report(e *event) (bool, poolState) {
	if e.err == nil && e.answer.Ended {
		return true, s.end(true)
	}
	s = s.bind(e, e.err == nil && e.answer.Acked > 0) // one without players may not bind
	s.silent = false
	s.seats = maps.Clone(s.seats)
	if s.seats == nil {
		s.seats = map[throng.Member]bool{}
	}
	is := map[throng.Member]bool{}
	for _, seat := range e.report.Seats {
		m := throng.Member{Player: seat.Player, Epoch: seat.Epoch}
		is[m] = true
		s = s.joined(m, seat.Key)
	}
	for m := range s.seats {
		if !is[m] {
			s.seats[m] = false
		}
	}
	applied := e.err == nil && e.answer.Acked == e.report.Revision
	if !applied {
		return true, s
	}
	for _, m := range e.left {
		delete(s.seats, m)
	}
	all := map[throng.PlayerID]bool{}
	for m := range s.seats {
		all[m.Player] = true
	}
	if len(all) <= e.report.Capacity { // there is room for all, so all are seated
		for m := range is {
			s.seats[m] = true
		}
	}
	s.revision = max(s.revision, e.answer.Acked)
	return true, s
}

// end: nobody is in it any more; not sure: maybe.
func (s poolState) end(sure bool) poolState { //nolint:revive // as above
	if sure {
		return poolState{capacity: s.capacity, ended: true, bound: s.bound, lost: s.lost, silent: s.silent, struck: s.struck, ever: s.ever}
	}
	return s.unsure()
}

func (s poolState) unsure() poolState {
	s.seats, s.holds = maps.Clone(s.seats), maps.Clone(s.holds)
	for m := range s.seats {
		s.seats[m] = false
	}
	for p, h := range s.holds {
		h.sure = false
		s.holds[p] = h
	}
	return s
}

// lose: what there ever was may be back, and nothing is certain.
func (s poolState) lose() poolState {
	s = s.unsure()
	s.lost, s.ended, s.revision = true, false, 0
	return s
}
