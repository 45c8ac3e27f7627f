package match

import (
	"cmp"
	"slices"

	"github.com/throng-gg/throng"
)

// Pool is an index of one pool's sessions: those of one version of a place.
// Sessions that are alike to every ticket (region, capacity, free seats) are in
// one group, so that choosing costs by groups, not by sessions; only a place's
// own signals are looked at session by session, in the groups that can still
// have the best.
//
// It counts what the registry says and, on top, the seats that it promised
// itself and that no count of the registry includes yet, so that many joins at
// once do not all run for the same last seat. Where it is unsure it hopes: a
// seat too many costs a refused hold, a seat too few an idle game server.
//
// A Pool is not safe for use by several goroutines at once.
type Pool struct {
	entries    map[throng.SessionID]*entry
	groups     map[groupKey]*group
	order      []*group // that have sessions, fullest first
	candidates int      // sessions in order's groups
	regions    []throng.RegionID
	slots      []string // names of the place's own signals, as sessions say them

	// Scratch of Choose.
	signals []float64 // one a region
	round   uint64    // numbers the choices, so that marks of older ones are void
	ties    []tie
	wanted  []wanted

	// recorded says that decision is asked after each choice.
	recorded bool
	search   search

	tree tree // of sessions by what they say; none until a party brings something
}

// entry is one session that takes players, also a full one.
type entry struct {
	own     []cell // by Pool.slots; shorter: nothing is known
	session throng.Session
	group   *group // nil while no seat is free
	pending int    // seats promised to tickets whose hold has not come back
	unseen  int    // those of pending that no count from the registry includes
	refused int    // a party of this size was refused since the feed spoke; 0: none
	fed     uint64 // how often the feed spoke of it
	apart   uint64 // the choice in which it is not looked at with its group
	lot     uint64 // of its ID

	// Its place in the tree; a negative leaf: in extra, or in no tree.
	leaf, row int32
}

type groupKey struct {
	region   int // index in Pool.regions
	capacity int
	free     int
}

type group struct {
	groupKey
	at       throng.RegionID
	fill     float64
	sessions []*entry // by ID
	apart    int      // of sessions in the choice of apartAt
	apartAt  uint64
}

// NewPool makes an empty index.
func NewPool() *Pool {
	return &Pool{entries: map[throng.SessionID]*entry{}, groups: map[groupKey]*group{}}
}

// Put takes in what the feed says of a session. One that takes no players (any
// more) leaves the index.
func (p *Pool) Put(s throng.Session) {
	if s.State != throng.SessionStarting && s.State != throng.SessionOpen {
		p.Remove(s.ID)
		return
	}
	e := p.entries[s.ID]
	if e == nil {
		e = &entry{lot: hash(string(s.ID)), leaf: -1}
		p.entries[s.ID] = e
		p.count(e, s)
		p.tree.put(e)
	}
	e.fed++
	e.refused = 0
	p.count(e, s)
}

// Remove forgets a session. Unknown ones are no error.
func (p *Pool) Remove(id throng.SessionID) {
	e := p.entries[id]
	if e == nil {
		return
	}
	p.ungroup(e)
	p.tree.remove(e)
	delete(p.entries, id)
}

// Keep forgets all sessions but the listed ones and those with holds on their
// way, whose answers will tell.
func (p *Pool) Keep(listed map[throng.SessionID]bool) {
	for id, e := range p.entries {
		if !listed[id] && e.pending == 0 {
			p.Remove(id)
		}
	}
}

// Session returns what is known of a session that takes players.
func (p *Pool) Session(id throng.SessionID) (throng.Session, bool) {
	e := p.entries[id]
	if e == nil {
		return throng.Session{}, false
	}
	return e.session, true
}

// Len is the number of sessions in the index.
func (p *Pool) Len() int { return len(p.entries) }

// Candidates is the number of sessions that have a free seat.
func (p *Pool) Candidates() int { return p.candidates }

// Take promises seats of a session to a party whose hold is sent next. The mark
// goes back with the outcome: Held, Refuse, Gone or Return, exactly one of them.
func (p *Pool) Take(id throng.SessionID, seats int) (mark uint64) {
	e := p.entries[id]
	if e == nil {
		return 0
	}
	e.pending += seats
	e.unseen += seats
	p.regroup(e)
	return e.fed
}

// Held says that the hold came through; s is the session after it. What the
// feed said since Take is newer or will be followed by more, so it counts more.
func (p *Pool) Held(s throng.Session, seats int, mark uint64) {
	e := p.entries[s.ID]
	if e == nil {
		return
	}
	if e.fed == mark {
		p.count(e, s)
	}
	p.settle(e, seats)
}

// Refuse says that the session had no room for so many. Until the feed speaks
// of it again it is believed to have less.
func (p *Pool) Refuse(id throng.SessionID, seats int, mark uint64) {
	e := p.entries[id]
	if e == nil {
		return
	}
	if e.fed == mark && (e.refused == 0 || seats < e.refused) {
		e.refused = seats
	}
	e.unseen = max(e.unseen-seats, 0)
	p.settle(e, seats)
}

// Gone says that the registry knows no such session, or that it takes no
// players. It leaves the index until the feed speaks of it again.
func (p *Pool) Gone(id throng.SessionID, seats int, mark uint64) {
	e := p.entries[id]
	if e != nil && e.fed == mark {
		p.Remove(id)
		return
	}
	p.Return(id, seats)
}

// Return says that the hold was not sent, or given up.
func (p *Pool) Return(id throng.SessionID, seats int) {
	e := p.entries[id]
	if e == nil {
		return
	}
	e.unseen = max(e.unseen-seats, 0)
	p.settle(e, seats)
}

// count takes over the registry's counts. When they grew, seats of ours that
// are on their way are taken to be among them.
func (p *Pool) count(e *entry, s throng.Session) {
	before := e.session.Seated + e.session.Held
	if grown := s.Seated + s.Held - before; grown > 0 {
		e.unseen = max(e.unseen-grown, 0)
	}
	if e.session.Attributes != s.Attributes {
		p.learn(e, s.Attributes)
		if e.leaf >= 0 {
			p.tree.put(e)
		}
	}
	e.session = s
	p.regroup(e)
}

// settle ends one promise.
func (p *Pool) settle(e *entry, seats int) {
	e.pending = max(e.pending-seats, 0)
	e.unseen = min(e.unseen, e.pending)
	p.regroup(e)
}

func (e *entry) free() int {
	free := e.session.Free() - e.unseen
	if e.refused > 0 {
		free = min(free, e.refused-1)
	}
	return max(free, 0)
}

// regroup puts an entry where its free seats say.
func (p *Pool) regroup(e *entry) {
	free := e.free()
	if free == 0 {
		p.ungroup(e)
		p.tree.fill(e)
		return
	}
	key := groupKey{region: p.region(e.session.ID.Region()), capacity: e.session.Capacity, free: free}
	if e.group != nil && e.group.groupKey == key {
		return
	}
	p.ungroup(e)
	g := p.groups[key]
	if g == nil {
		g = &group{
			groupKey: key,
			at:       p.regions[key.region],
			fill:     float64(key.capacity-key.free) / float64(key.capacity),
		}
		p.groups[key] = g
	}
	if len(g.sessions) == 0 {
		i, _ := slices.BinarySearchFunc(p.order, g, fullestFirst)
		p.order = slices.Insert(p.order, i, g)
	}
	i, _ := slices.BinarySearchFunc(g.sessions, e, byID)
	g.sessions = slices.Insert(g.sessions, i, e)
	e.group = g
	p.candidates++
	p.tree.fill(e)
}

func (p *Pool) ungroup(e *entry) {
	g := e.group
	if g == nil {
		return
	}
	e.group = nil
	p.candidates--
	if i, ok := slices.BinarySearchFunc(g.sessions, e, byID); ok {
		g.sessions = slices.Delete(g.sessions, i, i+1)
	}
	if len(g.sessions) > 0 {
		return
	}
	if i, ok := slices.BinarySearchFunc(p.order, g, fullestFirst); ok {
		p.order = slices.Delete(p.order, i, i+1)
	}
}

// region numbers a region. A pool sees few: its own, and with several stacks
// those of the others.
func (p *Pool) region(id throng.RegionID) int {
	if i := slices.Index(p.regions, id); i >= 0 {
		return i
	}
	p.regions = append(p.regions, id)
	p.signals = append(p.signals, 0)
	return len(p.regions) - 1
}

func byID(a, b *entry) int { return cmp.Compare(a.session.ID, b.session.ID) }

func fullestFirst(a, b *group) int {
	return cmp.Or(
		cmp.Compare(b.fill, a.fill),
		cmp.Compare(a.capacity, b.capacity),
		cmp.Compare(a.at, b.at),
	)
}
