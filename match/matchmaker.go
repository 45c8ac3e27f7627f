package match

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

const (
	mailbox    = 1024             // functions on their way to the desk; full: their senders wait
	forgetting = 30 * time.Second // how long a failure is remembered for those who look it up
	answerTime = 2 * time.Second  // that an answer is waited for which the registry has already
	longest    = time.Minute      // that one call waits, whatever it asks for
	askAgain   = time.Second      // what a waiting ticket is told at least
	askMost    = 20 * time.Second // and at most
	lineIdle   = time.Minute      // after which a ticket in line that nobody asks for leaves it
	lineSweep  = 5 * time.Second  // how often such tickets are looked for
	idleMost   = 256              // workers that wait for more, with the stacks that they have grown
)

// Config is what a Matchmaker needs. Zero values mean the defaults.
type Config struct {
	Region   throng.Region // required
	Registry Registry      // required
	Sessions Sessions      // required
	Fleet    Fleet         // required
	Places   Places        // required
	Servers  Servers       // nil: summaries know of none
	Log      Log           // nil: nobody reads
	Friends  Friends       // nil: nobody has any
	Joins    Joins         // nil: nothing is recorded
	Process  string        // names this matchmaker in what is recorded
	Origins  Origins       // nil: no handoffs

	Tickets  int           // most tickets worked on at once; 10,000
	Queue    int           // most tickets that wait for that in line; 200,000
	LineKeys LineKeys      // nil: places in line are not carried over
	BindTime time.Duration // longest wait for seats, and then for the session's server; 30 s each
	CallTime time.Duration // longest call to the registry; 5 s

	Random  func() uint64         // picks among equals; math/rand/v2
	Logger  *slog.Logger          // nil: says nothing
	Metrics prometheus.Registerer // nil: not registered
}

// Matchmaker places the tickets of one region.
type Matchmaker struct {
	region   throng.Region
	registry Registry
	sessions Sessions
	fleet    Fleet
	places   Places
	servers  Servers
	summary  summary
	quotas   *quotas
	log      Log
	brakes   *brakes
	siblings *siblings
	friends  Friends
	joins    Joins
	process  string
	origins  Origins
	tickets  int
	lineKeys LineKeys
	bindTime time.Duration
	callTime time.Duration
	random   func() uint64
	logger   *slog.Logger
	metrics  *metrics

	admitted chan *work       // as long as all that can be worked on, so that admission never waits
	idle     atomic.Int64     // workers that wait for admitted
	mail     chan func(*desk) // mailbox long; full: the sender waits
	stopped  chan struct{}    // closed when Run returns

	mu     sync.Mutex // guards what follows
	works  map[throng.TicketKey]*work
	queue  *queue
	closed bool
	// Works that are over, about in the order in which they are forgotten; of each as
	// many at most as can be under way.
	failed, answered []*work
}

// New makes a matchmaker that works once it is Run. Invalid: something that is
// required is missing.
func New(c Config) (*Matchmaker, error) {
	if c.Region.ID == "" || c.Registry == nil || c.Sessions == nil || c.Fleet == nil || c.Places == nil {
		return nil, throng.Errorf(throng.Invalid, "matching needs a region, a registry, sessions, a fleet and places")
	}
	m := &Matchmaker{
		region:   c.Region,
		registry: c.Registry,
		sessions: c.Sessions,
		fleet:    c.Fleet,
		places:   c.Places,
		servers:  c.Servers,
		summary:  summary{turn: make(chan struct{}, 1)},
		log:      c.Log,
		brakes:   newBrakes(),
		siblings: newSiblings(),
		friends:  c.Friends,
		joins:    c.Joins,
		process:  c.Process,
		origins:  c.Origins,
		tickets:  c.Tickets,
		lineKeys: c.LineKeys,
		bindTime: c.BindTime,
		callTime: c.CallTime,
		random:   c.Random,
		logger:   c.Logger,
		mail:     make(chan func(*desk), mailbox),
		stopped:  make(chan struct{}),
		works:    map[throng.TicketKey]*work{},
		quotas:   &quotas{places: map[throng.PlaceID]*quota{}},
	}
	if m.tickets <= 0 {
		m.tickets = 10_000
	}
	if m.bindTime <= 0 {
		m.bindTime = 30 * time.Second
	}
	if m.callTime <= 0 {
		m.callTime = 5 * time.Second
	}
	if m.random == nil {
		m.random = rand.Uint64
	}
	if m.logger == nil {
		m.logger = slog.New(slog.DiscardHandler)
	}
	if c.Queue <= 0 {
		c.Queue = 200_000
	}
	m.queue = newQueue(m.tickets, c.Queue)
	m.admitted = make(chan *work, m.tickets+m.queue.settledMost)
	var err error
	m.metrics, err = newMetrics(c.Metrics)
	return m, err
}

// Run works on tickets until ctx ends, and returns when all that it started is
// over; tickets that were not answered get Unavailable. It is called once.
func (m *Matchmaker) Run(ctx context.Context) error {
	defer close(m.stopped)
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	all.Go(func() { m.follow(ctx) })
	d := newDesk(m, all.Go)
	sweep := time.NewTicker(lineSweep)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			m.close()
			return nil
		case now := <-sweep.C:
			m.sweep(now)
		case w := <-m.admitted:
			all.Go(func() { m.worker(ctx, w) })
		case f := <-m.mail:
			f(d)
			for range len(m.mail) { // what waits is decided together
				(<-m.mail)(d)
			}
			d.pass(ctx, time.Now())
		}
	}
}

// worker works on w and on others after it, unless enough wait for them already.
func (m *Matchmaker) worker(ctx context.Context, w *work) {
	for {
		m.work(ctx, w)
		if m.idle.Add(1) > idleMost {
			m.idle.Add(-1)
			return
		}
		select {
		case <-ctx.Done():
			return
		case w = <-m.admitted:
			m.idle.Add(-1)
		}
	}
}

// tell sends the desk a function. It is dropped when ctx ends first.
func (m *Matchmaker) tell(ctx context.Context, f func(*desk)) {
	select {
	case m.mail <- f:
	case <-ctx.Done():
	}
}

// Place works on the ticket for up to wait (at most a minute), and goes on with
// it after that. Repeated with the same content it joins the work that is under
// way, keeps its place in line, or gets the answer that the ticket has already;
// a ticket that failed is tried anew.
//
// While the ticket waits, the placement has a position, and says how long it is
// likely to take and when to ask again; a ticket in line that nobody asks for
// during a minute leaves it. Errors: Invalid and Unsupported name the field;
// Conflict: the ticket is known with other content; NotFound: no such place, or
// no such session (that takes players); Full: that session has no room;
// NoCapacity: no game server could be had; Contention: every race was lost;
// RateLimited: the caller has too many tickets in line; Unavailable: the line is
// full, or the registry is away.
func (m *Matchmaker) Place(ctx context.Context, t throng.Ticket, wait time.Duration) (throng.Placement, error) {
	if err := check(t); err != nil {
		m.metrics.placements.WithLabelValues(code(err)).Inc()
		return throng.Placement{}, err
	}
	w, err := m.admit(t, unasked)
	if err == nil && w == nil {
		w, err = m.admit(t, m.settled(ctx, t.Key))
	}
	if err != nil {
		return throng.Placement{}, err
	}
	return m.await(ctx, w, wait)
}

// Lookup waits for up to wait for a ticket that was placed before, and takes
// its work up again when nobody does it any more. line is the newest that the
// ticket's placements had, if any. A failure is told for half a minute.
// NotFound: no such ticket of this caller.
func (m *Matchmaker) Lookup(ctx context.Context, k throng.TicketKey, line string, wait time.Duration) (throng.Placement, error) {
	m.mu.Lock()
	w := m.works[k]
	if w != nil && w.stale(time.Now()) {
		w = nil
	}
	m.mu.Unlock()
	if w != nil {
		return m.await(ctx, w, wait)
	}
	asking, cancel := within(ctx, m.callTime)
	defer cancel()
	claim, err := m.registry.Lookup(asking, k)
	if err != nil {
		return throng.Placement{}, fault(ctx, err, "look up ticket "+string(k.Ticket))
	}
	t := claim.Ticket
	t.Line = line
	w, err = m.admit(t, historyOf(claim))
	if err != nil {
		return throng.Placement{}, err
	}
	if claim.Grant != nil { // or who never waits would never get it
		wait = max(wait, answerTime)
	}
	return m.await(ctx, w, wait)
}

// Waiting returns whom a ticket seats that waits in line or is worked on here.
func (m *Matchmaker) Waiting(k throng.TicketKey) []throng.PlayerID {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.works[k]; w != nil && !w.over() {
		return w.ticket.Party
	}
	return nil
}

// Leave takes a ticket out of the line, and forgets an answer that it has. False:
// it does not wait in line here.
func (m *Matchmaker) Leave(k throng.TicketKey) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.works[k]
	switch {
	case w == nil:
		return false
	case w.over():
		if !w.failed() {
			delete(m.works, k)
		}
		return false
	case w.phase != inLine:
		return false
	}
	m.drop(w, throng.AtField(throng.Denied, "ticket", "%s was given up", k.Ticket))
	return true
}
