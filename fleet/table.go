package fleet

import (
	"cmp"
	"context"
	"time"

	"github.com/throng-gg/throng"
)

// phase is where a server stands, in more detail than throng.ServerState.
//
//	asked ─▶ started ⇄ idle ─▶ handed ─▶ bound
//	  │         │  found ┘       │         │
//	  └─────────┴────┴──┴────────┴─────────┴──▶ leaving ─▶ gone
//
// Asked is being allocated. Started is allocated and not connected. Found is
// listed by the backend, and we do not know what it does: a peer's, or one of an
// earlier life of ours. Idle is connected.
// Handed was sent a session: it is never sent another one, whatever becomes of
// it. Leaving is being released. Gone is remembered for a while, because news
// of it may come late. Everything becomes gone at once when its process ends;
// one that connects with a session becomes handed or bound at once.
type phase uint8

const (
	phaseAsked phase = iota
	phaseStarted
	phaseFound
	phaseIdle
	phaseHanded
	phaseBound
	phaseLeaving
	phaseGone
	phases
)

// String returns the word that metrics and people see.
func (p phase) String() string {
	switch p {
	case phaseAsked:
		return "asked"
	case phaseStarted:
		return "started"
	case phaseFound:
		return "found"
	case phaseIdle:
		return "idle"
	case phaseHanded:
		return "handed"
	case phaseBound:
		return "bound"
	case phaseLeaving:
		return "leaving"
	case phaseGone, phases:
	}
	return "gone"
}

// state is the dictionary's word for it.
func (p phase) state() throng.ServerState {
	switch p {
	case phaseAsked, phaseStarted, phaseFound, phaseIdle, phaseHanded:
		return throng.ServerIdle
	case phaseBound:
		return throng.ServerBound
	case phaseLeaving, phaseGone, phases:
	}
	return throng.ServerGone
}

// server is one row of the table.
type server struct {
	phase      phase
	since      time.Time // of the phase
	hello      throng.Hello
	link       Link // nil: not connected
	attachment int  // counts connections; an older one's end means nothing
	session    throng.SessionID
	ended      bool // the registry said that the session is over
	left       bool // it closed its last connection in order
	handedAt   time.Time

	old     bool      // made from something else than new ones are, as far as is known
	barred  bool      // taken out of use: it gets no session
	own     bool      // allocated here, and no peer took it since
	asked   time.Time // for, if it was allocated here and has not connected yet
	suspect string    // why it is to be released unless a peer has it; see peers.go

	ours   bool      // allocated here, or listed by the backend: it can be missing from the list
	absent int       // listings in a row that it was missing from
	doubt  time.Time // since when the registry contradicts that it hosts session; zero: it does not
	reason string    // why it leaves
	again  time.Time // when its release is tried next
}

// table is the state of the fleet. All of it is used by Run's own goroutine
// only; others send it functions.
type table struct {
	o     *Orchestrator
	spawn func(func()) // runs something that Run waits for

	servers  map[throng.ServerID]*server
	counts   [phases]int
	stock    []*server // idle, longest first
	openings map[throng.SessionID]*opening
	waiting  []*opening                           // without a server, longest first
	hosts    map[throng.ServerID]throng.Session   // live bound sessions, as the feed says
	bound    map[throng.SessionID]throng.ServerID // the same the other way round
	endings  map[throng.SessionID]*ending         // that the registry has yet to be told
	absent   map[throng.SessionID]int             // listings in a row without the server of a bound session
	sight    sight                                // where they run, and which of them leave

	began   time.Time
	refills Refills
	target  int       // of the stock
	known   time.Time // sessions that were opened before were counted, as far as they live

	failures  int       // allocations in a row that came to nothing
	notBefore time.Time // no allocation until then, because the last ones failed
	settled   time.Time // nor until then, because those of an earlier life may connect
	supply    supply
	dryTold   time.Time // when it was said last that the backend has no more
	untold    int       // refused allocations since
	late      int       // of the started, at the last tick
	surplus   time.Time
	short     time.Time
	reports   time.Time // since when servers are connected; zero: none is
	listed    bool      // the backend was asked once what there is
	heard     bool      // the feed told once all there is
	checking  bool      // a reconciliation is under way
	checked   time.Time
}

// ending is a session that has to be ended in the registry.
type ending struct {
	reason string
	// unbound: only if no server has it. The feed may be silent while the
	// registry is rebuilding, and servers bind all the same.
	unbound bool
	// lapsed: only if its lease was over then, by the registry's clock. Zero:
	// also if it was not.
	lapsed time.Time
	busy   bool
	again  time.Time // when it is tried next
}

func newTable(o *Orchestrator, spawn func(func())) *table {
	return &table{
		o:        o,
		spawn:    spawn,
		servers:  map[throng.ServerID]*server{},
		openings: map[throng.SessionID]*opening{},
		hosts:    map[throng.ServerID]throng.Session{},
		bound:    map[throng.SessionID]throng.ServerID{},
		endings:  map[throng.SessionID]*ending{},
		absent:   map[throng.SessionID]int{},
		sight:    sight{told: map[throng.SessionID]toldDrain{}, draining: map[throng.SessionID]time.Time{}},
		began:    time.Now(),
		target:   o.stock.Floor,
		supply:   supply{most: cmp.Or(o.atOnce, atOnce), grows: o.patience > 0},
	}
}

// add makes a row.
func (t *table) add(id throng.ServerID, p phase, now time.Time) *server {
	s := &server{phase: p, since: now, hello: throng.Hello{Server: id}}
	t.servers[id] = s
	t.counts[p]++
	return s
}

// move changes a server's phase and keeps the stock in step.
func (t *table) move(s *server, p phase, now time.Time) {
	if s.phase == p {
		return
	}
	if s.phase == phaseIdle {
		t.stock = remove(t.stock, s)
	}
	t.counts[s.phase]--
	t.counts[p]++
	s.phase, s.since, s.suspect = p, now, ""
	if p == phaseIdle {
		t.mark(s)
		t.stock = append(t.stock, s)
	}
}

// forget removes a row.
func (t *table) forget(s *server) {
	t.counts[s.phase]--
	if s.phase == phaseIdle {
		t.stock = remove(t.stock, s)
	}
	delete(t.servers, s.hello.Server)
}

// act does what became possible: after every message, so it does not look at
// every server.
func (t *table) act(ctx context.Context, now time.Time) {
	t.dispatch(ctx, now)
	t.plan(ctx, now)
	v := t.view(now)
	if t.listed && (v.Idle >= min(t.o.stock.Floor, v.Max-v.Occupied) || now.Sub(t.began) >= readyTime) {
		t.o.ready.Store(true)
	}
	for p := range phaseGone {
		t.o.metrics.servers[p].Set(float64(t.counts[p]))
	}
	t.o.metrics.connected.Set(float64(t.o.links.count()))
	t.o.metrics.waiting.Set(float64(len(t.waiting)))
}

// tick looks at all times.
func (t *table) tick(ctx context.Context, now time.Time) {
	t.late = t.countLate(now)
	t.size(now)
	for _, op := range t.openings {
		t.hurry(ctx, op, now)
	}
	for _, s := range t.servers {
		t.age(ctx, s, now)
	}
	for id, e := range t.endings {
		if !e.busy && !now.Before(e.again) {
			t.tell(ctx, id, e)
		}
	}
	if !t.checking && now.Sub(t.checked) >= reconcileTime {
		t.reconcile(ctx, now)
	}
	if now.Sub(t.sight.looked) >= lookTime {
		t.look(now)
		t.leave(ctx, now)
		t.renew(ctx, now)
	}
}

func (t *table) view(now time.Time) View {
	notBefore := t.notBefore
	if t.settled.After(notBefore) {
		notBefore = t.settled
	}
	usable, _, leaving := t.idle()
	return View{
		Now:       now,
		Stock:     t.target,
		Max:       t.o.most,
		AtOnce:    t.supply.atOnce(),
		Shared:    t.o.shared,
		Full:      now.Before(t.supply.full),
		Peers:     t.o.peers != nil,
		Asked:     t.counts[phaseAsked],
		Started:   t.counts[phaseStarted],
		Late:      min(t.late, t.counts[phaseStarted]),
		Idle:      usable,
		Occupied:  leaving + t.counts[phaseFound] + t.counts[phaseHanded] + t.counts[phaseBound] + t.counts[phaseLeaving],
		Handed:    t.counts[phaseHanded],
		Waiting:   len(t.waiting),
		NotBefore: notBefore,
		Surplus:   t.surplus,
		Short:     t.short,
	}
}

// plan allocates and releases what Plan says. Before the backend was asked what
// there is already, nothing is allocated.
func (t *table) plan(ctx context.Context, now time.Time) {
	if !t.listed {
		return
	}
	d := Plan(t.view(now))
	t.surplus, t.short = d.Surplus, d.Short
	for range d.Allocate {
		t.allocate(ctx, now)
	}
	for range d.Release {
		if s := t.spare(); s != nil {
			t.release(ctx, s, "more servers are idle than needed", now)
		}
	}
}

// end has a session ended, as often as it takes.
func (t *table) end(ctx context.Context, id throng.SessionID, e ending) {
	if t.endings[id] != nil {
		return
	}
	t.endings[id] = &e
	t.tell(ctx, id, &e)
}

func (t *table) tell(ctx context.Context, id throng.SessionID, e *ending) {
	e.busy = true
	t.spawn(func() {
		calling, cancel := context.WithTimeout(ctx, callTime)
		defer cancel()
		lives, err := t.o.endOne(calling, id, *e)
		t.o.send(ctx, func(t *table, now time.Time) {
			e.busy = false
			e.again = now.Add(endAgain)
			if lives.ID != "" {
				delete(t.endings, id)
				t.put(ctx, lives, now)
				return
			}
			k := throng.KindOf(err)
			if err == nil || k == throng.NotFound { // unknown to the registry is over, too
				delete(t.endings, id)
				return
			}
			t.o.logger.WarnContext(ctx, "session not ended", "session", id, "err", err)
			if k != throng.Unavailable && k != throng.Internal { // nor will it be
				delete(t.endings, id)
			}
		})
	})
}

// endOne ends a session, or returns it as it is because a server has it.
func (o *Orchestrator) endOne(ctx context.Context, id throng.SessionID, e ending) (lives throng.Session, err error) {
	if e.unbound || !e.lapsed.IsZero() {
		s, err := o.registry.Session(ctx, id)
		if err != nil {
			return throng.Session{}, err
		}
		if e.unbound && s.Server != "" || !e.lapsed.IsZero() && s.LeaseUntil.After(e.lapsed) {
			return s, nil
		}
	}
	return throng.Session{}, o.registry.End(ctx, id, e.reason)
}

// remove cuts one out and keeps the order.
func remove[T comparable](all []T, one T) []T {
	rest := all[:0]
	for _, x := range all {
		if x != one {
			rest = append(rest, x)
		}
	}
	clear(all[len(rest):])
	return rest
}
