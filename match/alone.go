package match

import (
	"context"

	"github.com/throng-gg/throng"
)

// seatAlone opens a session for one ticket. Its party has its seats there before
// anybody else, here or elsewhere, hears of the session.
func (m *Matchmaker) seatAlone(
	ctx context.Context, c throng.Claim, r throng.Release, name func(throng.Release) (throng.Session, error),
) (throng.Grant, error) {
	c.Version = r.Version
	draft, err := name(r)
	if err != nil {
		return throng.Grant{}, fault(ctx, err, "draft a session of "+string(r.Place))
	}
	m.tell(ctx, func(d *desk) { d.drafts[draft.ID] = nil })
	got, err := m.open(ctx, r, throng.Opening{Session: draft, Parties: []throng.Claim{c}})
	note(ctx, throng.StepOpened, draft.ID, err)
	m.metrics.openings.WithLabelValues(code(err)).Inc()
	if err != nil {
		m.tell(ctx, func(d *desk) { delete(d.drafts, draft.ID) })
		return throng.Grant{}, err
	}
	m.tell(ctx, func(d *desk) { d.release(got.Session) })
	g, err := m.settle(ctx, c, got.Holds[0])
	if err != nil && !unclear(err) || err == nil && g.Session != draft.ID {
		m.leave(ctx, draft.ID)
	}
	return g, err
}

// leave ends a session whose party is elsewhere now, unless another process has
// seated others in it. One that is missed ends by itself when it stays empty.
func (m *Matchmaker) leave(ctx context.Context, id throng.SessionID) {
	calling, cancel := within(ctx, m.callTime)
	defer cancel()
	if err := m.sessions.Abandon(calling, id, "the party it was opened for did not come"); err != nil {
		m.logger.WarnContext(ctx, "session that nobody needs not ended", "session", id, "err", err)
	}
}
