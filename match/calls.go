package match

import (
	"context"
	"errors"
	"fmt"

	"github.com/throng-gg/throng"
)

// lanes is what new sessions of the ticket's place run; the party must fit into
// one that runs what is live.
func (m *Matchmaker) lanes(ctx context.Context, t throng.Ticket) (throng.Lanes, error) {
	calling, cancel := within(ctx, m.callTime)
	defer cancel()
	l, err := m.places.Lanes(calling, t.Place)
	r := l.Live
	resolved(ctx, r, err)
	if err != nil {
		return throng.Lanes{}, fault(ctx, err, "find place "+string(t.Place))
	}
	named := t.Mode == throng.ModeSession || t.Mode == throng.ModeFriend || t.Code != (throng.CodeHash{})
	if !named && len(t.Party) > r.Capacity {
		return throng.Lanes{}, tooMany(len(t.Party), r.Capacity)
	}
	if len(t.Party) > l.Canary.Capacity {
		l.Percent = 0
	}
	return l, nil
}

func (m *Matchmaker) claim(ctx context.Context, t throng.Ticket) (throng.Claim, error) {
	calling, cancel := within(ctx, m.callTime)
	defer cancel()
	c, err := m.registry.Claim(calling, t)
	if err != nil {
		return throng.Claim{}, fault(ctx, err, "claim ticket "+string(t.Key.Ticket))
	}
	return c, nil
}

func (m *Matchmaker) session(ctx context.Context, id throng.SessionID) (throng.Session, error) {
	calling, cancel := within(ctx, m.callTime)
	defer cancel()
	s, err := m.sessions.Session(calling, id)
	if err != nil {
		return throng.Session{}, fault(ctx, err, "read session "+string(id))
	}
	return s, nil
}

// resume finds a server for a session that nobody is finding one for.
func (m *Matchmaker) resume(ctx context.Context, s throng.Session) {
	calling, cancel := within(ctx, m.callTime)
	defer cancel()
	r, err := m.places.Version(calling, s.Place, s.Version)
	if err == nil {
		err = m.fleet.Resume(calling, s, r)
	}
	if err != nil {
		m.logger.WarnContext(ctx, "session not taken over", "session", s.ID, "err", err)
	}
}

// unhold gives up a hold of which it is not known whether it was made. What is
// missed lapses by itself.
func (m *Matchmaker) unhold(ctx context.Context, s throng.SessionID, k throng.TicketKey) {
	calling, cancel := within(ctx, m.callTime)
	defer cancel()
	if err := m.registry.Unhold(calling, s, k); err != nil {
		m.logger.WarnContext(ctx, "hold not given up", "session", s, "ticket", k.Ticket, "err", err)
	}
}

// reread corrects what the desk believes of sessions that refused so many seats.
// One that still has them takes no players for now, because its server was not
// heard: it stays refused until the feed speaks of it.
func (m *Matchmaker) reread(ctx context.Context, refused []throng.SessionID, seats int) {
	for _, id := range refused {
		s, err := m.session(ctx, id)
		if err != nil || s.State < throng.SessionDraining && s.Free() >= seats {
			continue
		}
		m.tell(ctx, func(d *desk) { d.put(s) })
	}
}

// watch asks to be woken for the grant's session and says what is known of it;
// the registry is asked when the desk does not know.
func (m *Matchmaker) watch(ctx context.Context, g throng.Grant) (throng.Session, chan throng.Session, error) {
	type known struct {
		session throng.Session
		wake    chan throng.Session
	}
	told := make(chan known, 1)
	m.tell(ctx, func(d *desk) {
		s, wake := d.watch(poolKey{g.Place, g.Version}, g.Session)
		told <- known{s, wake}
	})
	var k known
	select {
	case k = <-told:
	case <-ctx.Done():
		return throng.Session{}, nil, fault(ctx, ctx.Err(), "wait for "+string(g.Session))
	}
	if k.session.ID != "" {
		return k.session, k.wake, nil
	}
	s, err := m.session(ctx, g.Session)
	if err != nil {
		m.unwatch(ctx, g.Session, k.wake)
		return throng.Session{}, nil, err
	}
	return s, k.wake, nil
}

func (m *Matchmaker) unwatch(ctx context.Context, id throng.SessionID, wake chan throng.Session) {
	m.tell(ctx, func(d *desk) { d.unwatch(id, wake) })
}

// fault says what was being done when err came. What took too long, or was cut
// short by the end of Run, is Unavailable.
func fault(ctx context.Context, err error, what string) error {
	switch {
	case ctx.Err() != nil:
		return throng.RetryLater(throng.Unavailable, askAgain, "%s: %w", what, err)
	case errors.Is(err, context.DeadlineExceeded):
		return throng.RetryLater(throng.Unavailable, askAgain, "%s: no answer in time", what)
	}
	return fmt.Errorf("%s: %w", what, err)
}
