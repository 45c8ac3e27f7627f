package match

import (
	"context"

	"github.com/throng-gg/throng"
)

// named returns the one session that the ticket asks for by its ID, by a friend
// who is in it, or by its code. NotFound: there is none that the caller may know
// of. Denied: the friend's session is private.
func (m *Matchmaker) named(ctx context.Context, c throng.Claim) (throng.Session, error) {
	switch c.Mode { //nolint:exhaustive // the other modes name no session
	case throng.ModeFriend:
		return m.beside(ctx, c)
	case throng.ModePrivate:
		return m.coded(ctx, c)
	}
	s, err := m.session(ctx, c.Session)
	switch {
	case err != nil:
		return throng.Session{}, err
	case s.Private:
		return throng.Session{}, throng.AtField(throng.NotFound, "session", "there is no session %s", c.Session)
	case s.Place != c.Place:
		return throng.Session{}, throng.AtField(throng.Invalid, "session", "is one of place %s, not of %s", s.Place, c.Place)
	}
	return s, nil
}

// beside is the session of the friend whom the caller follows.
func (m *Matchmaker) beside(ctx context.Context, c throng.Claim) (throng.Session, error) {
	if m.friends == nil {
		return throng.Session{}, throng.AtField(throng.Unsupported, "mode", "there are no friends here")
	}
	calling, cancel := within(ctx, m.callTime)
	defer cancel()
	id, err := m.friends.Follow(calling, c.Key.Caller, c.Friend)
	if err != nil {
		return throng.Session{}, fault(ctx, err, "follow "+string(c.Friend))
	}
	s, err := m.session(ctx, id)
	switch {
	case err != nil:
		return throng.Session{}, err
	case s.Private:
		return throng.Session{}, throng.AtField(throng.Denied, "friend",
			"%s plays in a private session; it takes its code to join", c.Friend)
	case s.Place != c.Place:
		return throng.Session{}, throng.AtField(throng.Invalid, "place", "%s plays %s, not %s", c.Friend, s.Place, c.Place)
	}
	return s, nil
}

// coded is the private session that has the ticket's code.
func (m *Matchmaker) coded(ctx context.Context, c throng.Claim) (throng.Session, error) {
	type found struct {
		id  throng.SessionID
		err error // the feed is away, so nobody knows
	}
	told := make(chan found, 1)
	m.tell(ctx, func(d *desk) {
		f := found{err: d.broken}
		if id, ok := d.private.find(c.Code); ok {
			f = found{id: id}
		} else if f.err == nil && !d.ready {
			f.err = throng.RetryLater(throng.Unavailable, askAgain, "matching has not heard of all sessions yet")
		}
		told <- f
	})
	var f found
	select {
	case f = <-told:
	case <-ctx.Done():
		return throng.Session{}, fault(ctx, ctx.Err(), "find a private session")
	}
	if f.err != nil {
		return throng.Session{}, f.err
	}
	unknown := throng.AtField(throng.NotFound, "code", "there is no session with this code")
	if f.id == "" {
		return throng.Session{}, unknown
	}
	s, err := m.session(ctx, f.id)
	switch {
	case throng.KindOf(err) == throng.NotFound && err != nil:
		return throng.Session{}, unknown
	case err != nil:
		return throng.Session{}, err
	case !s.Private || s.Code != c.Code || s.State == throng.SessionEnded:
		return throng.Session{}, unknown
	case s.Place != c.Place:
		return throng.Session{}, throng.AtField(throng.Invalid, "place", "the session is one of %s, not of %s", s.Place, c.Place)
	}
	return s, nil
}

// around is where friends of the party play. Who does not get to know is placed
// as one without friends.
func (m *Matchmaker) around(ctx context.Context, party []throng.PlayerID) []throng.SessionFriends {
	if m.friends == nil {
		return nil
	}
	calling, cancel := within(ctx, m.callTime)
	defer cancel()
	list, err := m.friends.Around(calling, party)
	if err != nil {
		m.logger.WarnContext(ctx, "friends not found", "player", party[0], "err", err)
		return nil
	}
	return list
}
