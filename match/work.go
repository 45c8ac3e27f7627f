package match

import (
	"context"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

const (
	tries      = 3 // sessions that may refuse before a fresh look
	freshLooks = 2 // before Contention
	partyMost  = 200
	resumeTime = 1500 * time.Millisecond // that a session is Starting before it is looked after whose it is
	// proofTime is how long an answer counts that the registry knew: it may have
	// lost it since, but then it gives no other one before its quarantine is over.
	proofTime = throng.TokenTime
)

// work is what is being done for one ticket. It goes on when nobody waits.
type work struct {
	ticket throng.Ticket
	since  time.Time     // from when its place in line counts
	number uint64        // orders those who came at one time
	done   chan struct{} // closed when assignment and err are final

	// Owned by who works.
	granted bool      // it was seated here
	known   bool      // it had its answer before
	proven  time.Time // the registry said the answer after that

	assignment throng.Assignment
	err        error

	// Guarded by Matchmaker.mu.
	phase    phase
	begun    time.Time     // when the work on it began
	callers  int           // who wait for it now
	asked    time.Time     // when the last of them went away
	told     int           // the lowest position that they were told
	stated   time.Duration // the first wait that they were told, and when
	statedAt time.Time
	until    time.Time // when it is over: what became of it is remembered until then
}

// idle says that nobody has asked for it for too long.
func (w *work) idle(now time.Time) bool {
	return w.callers == 0 && now.Sub(w.asked) > lineIdle
}

// answer is for all who ask: nobody changes the assignment.
func (w *work) answer() (throng.Placement, error) {
	if w.err != nil {
		return throng.Placement{}, w.err
	}
	return throng.Placement{Assignment: &w.assignment}, nil
}

// over says that assignment and err are final.
func (w *work) over() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// stale says that what became of the work does not count any more.
func (w *work) stale(now time.Time) bool { return w.over() && !now.Before(w.until) }

// failed says that the work is over without an assignment.
func (w *work) failed() bool { return w.over() && w.err != nil }

// same compares what a ticket's sender wrote.
func same(a, b throng.Ticket) bool {
	return a.Key == b.Key && a.Place == b.Place && a.Mode == b.Mode && a.Session == b.Session &&
		a.Friend == b.Friend && a.Code == b.Code && a.PartyID == b.PartyID && a.From == b.From && slices.Equal(a.Party, b.Party)
}

// check refuses what can never be placed.
func check(t throng.Ticket) error {
	switch t.Mode {
	case throng.ModeDropIn, throng.ModeNew, throng.ModePrivate:
	case throng.ModeSession:
		if t.Session == "" {
			return throng.AtField(throng.Invalid, "session", "is empty; mode session needs one")
		}
	case throng.ModeFriend:
		if t.Friend == "" || t.Friend == t.Key.Caller {
			return throng.AtField(throng.Invalid, "friend", "must be another player; mode friend needs one")
		}
	case throng.ModeQueue:
		return throng.AtField(throng.Unsupported, "mode",
			"mode %s is not available yet; drop-in, new, session, friend and private are", t.Mode)
	default:
		return throng.AtField(throng.Invalid, "mode", "is none of drop-in, session, new, queue, friend, private")
	}
	if len(t.Party) == 0 || t.Party[0] != t.Key.Caller {
		return throng.AtField(throng.Invalid, "party", "must begin with the caller")
	}
	if len(t.Party) > partyMost {
		return tooMany(len(t.Party), partyMost)
	}
	seen := make(map[throng.PlayerID]bool, len(t.Party))
	for _, p := range t.Party {
		if seen[p] {
			return throng.AtField(throng.Invalid, "party", "has %s twice", p)
		}
		seen[p] = true
	}
	return nil
}

func tooMany(players, capacity int) error {
	return throng.AtField(throng.Invalid, "party",
		"has %d players, but a session has %d seats", players, capacity)
}

// work walks a ticket through its steps. Each can be repeated, so that a
// repeated ticket finishes what was begun.
func (m *Matchmaker) work(ctx context.Context, w *work) {
	d := m.newDiary(w)
	a, err := m.place(withDiary(ctx, d), w)
	d.end(m.joins, a, err) // before the answer, so that every answer can be explained
	if !w.known {
		m.handed(ctx, w.ticket, a, err)
	}
	m.finish(w, a, err)
}

// place finds the ticket's answer and waits for its server. When that took long,
// the registry may have lost the answer and given another one, so it is asked
// again.
func (m *Matchmaker) place(ctx context.Context, w *work) (throng.Assignment, error) {
	for {
		began := time.Now()
		grant, held, err := m.granted(ctx, w)
		if err != nil {
			return throng.Assignment{}, err
		}
		m.hasSeats(w)
		a := throng.Assignment{Grant: grant, Session: held}
		if held.ID == grant.Session && !held.BoundAt.IsZero() {
			note(ctx, throng.StepBound, grant.Session, nil)
		} else {
			a, err = m.bound(ctx, grant)
		}
		doubtful := err == nil || throng.KindOf(err) == throng.NotFound // the session was lost, too
		if !doubtful || time.Since(began) < proofTime {
			w.proven = began
			return a, err
		}
	}
}

// granted is the answer that the ticket has, or gets now, with its session if it
// was seen when it got seats there.
func (m *Matchmaker) granted(ctx context.Context, w *work) (throng.Grant, throng.Session, error) {
	lanes, err := m.lanes(ctx, w.ticket)
	if err != nil {
		return throng.Grant{}, throng.Session{}, err
	}
	t := w.ticket
	t.Version = lanes.Live.Version
	claim, err := m.claim(ctx, t)
	note(ctx, throng.StepClaimed, "", err)
	if err != nil {
		return throng.Grant{}, throng.Session{}, err
	}
	if claim.Grant != nil {
		note(ctx, throng.StepKnown, claim.Grant.Session, nil)
		w.known = !w.granted
		return *claim.Grant, throng.Session{}, nil
	}
	grant, held, err := m.grant(ctx, w, claim, lanes)
	w.granted = err == nil
	return grant, held, err
}

// grant seats the party as the ticket's mode says. It returns the session in
// which it held seats last, if that was seen.
func (m *Matchmaker) grant(ctx context.Context, w *work, c throng.Claim, l throng.Lanes) (g throng.Grant, held throng.Session, err error) {
	if c.Mode == throng.ModeDropIn {
		return m.seat(ctx, w, c, l)
	}
	if c.Mode == throng.ModeNew {
		g, err = m.seatAlone(ctx, c, m.quotas.alone(l), m.sessions.Draft)
		return g, throng.Session{}, err
	}
	if c.Mode == throng.ModePrivate && c.Code == (throng.CodeHash{}) {
		g, err = m.seatAlone(ctx, c, m.quotas.alone(l), m.sessions.DraftPrivate)
		return g, throng.Session{}, err
	}
	s, err := m.named(ctx, c)
	note(ctx, throng.StepFound, s.ID, err)
	if err != nil {
		return throng.Grant{}, throng.Session{}, err
	}
	return m.seatIn(ctx, c, s)
}

// seat finds seats in any session of the pool.
func (m *Matchmaker) seat(
	ctx context.Context, w *work, c throng.Claim, l throng.Lanes,
) (g throng.Grant, held throng.Session, err error) {
	friends := m.around(ctx, c.Party)
	if len(friends) > 0 {
		detail(ctx, throng.StepFriends, "in %d sessions", len(friends))
	}
	for look := range freshLooks {
		if look > 0 {
			if l, err = m.lanes(ctx, w.ticket); err != nil {
				return throng.Grant{}, throng.Session{}, err
			}
		}
		c.Version = l.Live.Version
		refused := excluded(c.Ticket)
		for range tries {
			a, o, err := m.ask(ctx, w, c, l, company{friends: friends, refused: refused})
			if err != nil {
				return throng.Grant{}, throng.Session{}, err
			}
			c = a.claim // of the lane that the desk chose
			if o.hold != nil {
				g, err = m.settle(ctx, c, *o.hold)
				return g, throng.Session{}, err
			}
			h, s, err := m.hold(ctx, c, a, o)
			switch {
			case err == nil:
				g, err = m.settle(ctx, c, h)
				return g, s, err
			case throng.KindOf(err) == throng.Full || throng.KindOf(err) == throng.NotFound:
				refused = append(refused, o.session)
			default:
				return throng.Grant{}, throng.Session{}, err
			}
		}
		m.reread(ctx, refused, len(w.ticket.Party))
		note(ctx, throng.StepReread, "", nil)
	}
	return throng.Grant{}, throng.Session{}, throng.RetryLater(throng.Contention, 200*time.Millisecond,
		"%d sessions in a row were taken by others first", tries*freshLooks)
}

// company is which sessions a ticket knows something of.
type company struct {
	friends []throng.SessionFriends
	refused []throng.SessionID
}

// ask waits at the desk for seats that this ticket may hold.
func (m *Matchmaker) ask(
	ctx context.Context, w *work, c throng.Claim, l throng.Lanes, known company,
) (*ask, offer, error) {
	r := l.Live
	a := &ask{
		want: Want{
			Seats:     len(w.ticket.Party),
			Weights:   r.Weights,
			Latencies: w.ticket.Latencies,
			Friends:   known.friends,
			Wishes:    wishesOf(r.Signals, w.ticket.Attributes),
			Keep:      keepFor,
			Refused:   known.refused,
			Random:    m.random(),
		},
		claim:   c,
		key:     poolKey{r.Place, r.Version},
		release: r,
		answer:  make(chan offer, 1),
	}
	if l.Percent > 0 {
		a.canary = &lane{release: l.Canary, percent: l.Percent, wishes: wishesOf(l.Canary.Signals, w.ticket.Attributes)}
	}
	m.tell(ctx, func(d *desk) { d.join(a) })
	note(ctx, throng.StepAsked, "", nil)
	limit := time.NewTimer(m.bindTime)
	defer limit.Stop()
	select {
	case o := <-a.answer:
		if o.hold != nil { // it was opened for those who waited, with their seats
			note(ctx, throng.StepOpened, o.session, nil)
			waited(ctx, a)
			return a, o, nil
		}
		decided(ctx, a)
		note(ctx, throng.StepOffered, o.session, o.err)
		return a, o, o.err
	case <-ctx.Done():
		return a, offer{}, fault(ctx, ctx.Err(), "wait for seats")
	case <-limit.C:
		m.tell(ctx, func(d *desk) {
			if h := d.leave(a); h != nil {
				d.spawn(func() { m.unhold(ctx, h.Session, h.Key) })
			}
		})
		return a, offer{}, throng.RetryLater(throng.NoCapacity, askAgain,
			"no session of %s had room within %s", r.Place, m.bindTime)
	}
}

// hold turns the desk's promise into seats and tells the desk what became of it.
func (m *Matchmaker) hold(ctx context.Context, c throng.Claim, a *ask, o offer) (throng.Hold, throng.Session, error) {
	calling, cancel := within(ctx, m.callTime)
	defer cancel()
	seats := a.want.Seats
	h, s, err := m.registry.Hold(calling, c, o.session)
	note(ctx, throng.StepHeld, o.session, err)
	if err == nil {
		m.tell(ctx, func(d *desk) { d.line(a.key).pool.Held(s, seats, o.mark) })
		return h, s, nil
	}
	m.metrics.refusals.WithLabelValues(code(err)).Inc()
	switch throng.KindOf(err) { //nolint:exhaustive // what is no refusal ends alike
	case throng.Full:
		m.tell(ctx, func(d *desk) { d.line(a.key).pool.Refuse(o.session, seats, o.mark) })
	case throng.NotFound:
		m.tell(ctx, func(d *desk) { d.line(a.key).pool.Gone(o.session, seats, o.mark) })
	default:
		m.tell(ctx, func(d *desk) { d.line(a.key).pool.Return(o.session, seats) })
		m.unhold(ctx, o.session, c.Key)
	}
	return throng.Hold{}, throng.Session{}, fault(ctx, err, "hold seats in "+string(o.session))
}

// seatIn holds seats in the one session that the ticket asks for.
func (m *Matchmaker) seatIn(ctx context.Context, c throng.Claim, s throng.Session) (g throng.Grant, held throng.Session, err error) {
	if len(c.Party) > s.Capacity {
		return throng.Grant{}, throng.Session{}, tooMany(len(c.Party), s.Capacity)
	}
	c.Version = s.Version
	calling, cancel := within(ctx, m.callTime)
	defer cancel()
	h, held, err := m.registry.Hold(calling, c, s.ID)
	note(ctx, throng.StepHeld, s.ID, err)
	if err != nil {
		if k := throng.KindOf(err); k != throng.Full && k != throng.NotFound {
			m.unhold(ctx, s.ID, c.Key)
		}
		return throng.Grant{}, throng.Session{}, fault(ctx, err, "hold seats in "+string(s.ID))
	}
	g, err = m.settle(ctx, c, h)
	return g, held, err
}

// settle makes the hold the ticket's answer, or takes the answer that another
// made first. It is repeated when its own outcome is not known.
func (m *Matchmaker) settle(ctx context.Context, c throng.Claim, h throng.Hold) (throng.Grant, error) {
	var last error
	wait := retryFirst
	for try := range tries {
		if try > 0 {
			pause(ctx, wait)
			wait *= 2
		}
		calling, cancel := within(ctx, m.callTime)
		g, err := m.registry.Settle(calling, c, h)
		cancel()
		note(ctx, throng.StepSettled, h.Session, err)
		if err == nil {
			return g, nil
		}
		last = fault(ctx, err, "settle ticket "+string(h.Key.Ticket))
		if !unclear(err) {
			m.unhold(ctx, h.Session, h.Key)
			return throng.Grant{}, last
		}
		if ctx.Err() != nil {
			break
		}
	}
	return throng.Grant{}, last
}

// unclear says that a call may have been carried out, or may be next time.
func unclear(err error) bool {
	k := throng.KindOf(err)
	return k == throng.Internal || k == throng.Unavailable
}

// bound waits until the grant's session has a server, and answers. A session that
// nobody is finding a server for, because the control plane that opened it is
// gone, gets one here.
func (m *Matchmaker) bound(ctx context.Context, g throng.Grant) (throng.Assignment, error) {
	limit := time.NewTimer(m.bindTime)
	defer limit.Stop()
	stale := time.NewTicker(resumeTime)
	defer stale.Stop()
	for {
		s, wake, err := m.watch(ctx, g)
		switch {
		case err != nil:
			return throng.Assignment{}, err
		case !s.BoundAt.IsZero():
			m.unwatch(ctx, g.Session, wake)
			note(ctx, throng.StepBound, g.Session, nil)
			return throng.Assignment{Grant: g, Session: s}, nil
		case s.State == throng.SessionEnded:
			m.unwatch(ctx, g.Session, wake)
			return throng.Assignment{}, neverBound(s)
		}
		select {
		case s = <-wake:
			if !s.BoundAt.IsZero() {
				note(ctx, throng.StepBound, g.Session, nil)
				return throng.Assignment{Grant: g, Session: s}, nil
			}
		case <-stale.C:
			m.unwatch(ctx, g.Session, wake)
			m.resume(ctx, s)
		case <-ctx.Done():
			return throng.Assignment{}, fault(ctx, ctx.Err(), "wait for "+string(g.Session))
		case <-limit.C:
			m.unwatch(ctx, g.Session, wake)
			return throng.Assignment{}, throng.RetryLater(throng.NoCapacity, askAgain,
				"session %s has no game server after %s; repeat the ticket to go on waiting", g.Session, m.bindTime)
		}
	}
}

// neverBound is final for a ticket: its first answer was a session that nobody
// could ever join.
func neverBound(s throng.Session) error {
	reason := s.Reason
	if reason == "" {
		reason = "it ended"
	}
	if s.Failed {
		return throng.Errorf(throng.NoCapacity, "version %d failed at start: %s; use a new ticket", s.Version, reason)
	}
	return throng.Errorf(throng.NoCapacity,
		"session %s never had a game server: %s; use a new ticket", s.ID, reason)
}
