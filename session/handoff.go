package session

import (
	"context"
	"fmt"

	"github.com/throng-gg/throng"
)

// Bound returns the session that a server speaks for. Denied: it has ended, or
// is another server's. Unavailable: the registry lost it and has not heard of it
// again.
func (r *Registry) Bound(ctx context.Context, h throng.Heartbeat) (s throng.Session, err error) {
	defer r.metrics.done("bound", &err)
	if err := r.checkServer(h); err != nil {
		return throng.Session{}, err
	}
	s, err = r.store.Session(ctx, h.Session)
	switch {
	case err != nil && throng.KindOf(err) == throng.NotFound:
		return throng.Session{}, throng.RetryLater(throng.Unavailable, throng.HeartbeatTime, "session %s has not reported yet", h.Session)
	case err != nil:
		return throng.Session{}, fmt.Errorf("look at session %s: %w", h.Session, err)
	case s.State != throng.SessionOpen && s.State != throng.SessionDraining ||
		s.Server != h.Server || s.Incarnation != h.Incarnation:
		return throng.Session{}, throng.AtField(throng.Denied, "session", "%s is not on this server, or over", h.Session)
	}
	return s, nil
}

// Sits says whether each of the players has a confirmed seat in the session
// under just that epoch. Denied: one has not, and it is not said where he is.
func (r *Registry) Sits(ctx context.Context, id throng.SessionID, members []throng.Member) (err error) {
	defer r.metrics.done("sits", &err)
	if err := r.checkSession(id); err != nil {
		return err
	}
	for _, m := range members {
		if _, err := throng.ParsePlayerID("player", string(m.Player)); err != nil {
			return err
		}
		at, err := r.presence(ctx, m.Player)
		if err != nil {
			return fmt.Errorf("look for %s: %w", m.Player, err)
		}
		if at.State != throng.PresencePlaying || at.Session != id || at.Epoch != m.Epoch {
			return throng.AtField(throng.Denied, "members", "%s does not sit in %s at epoch %d", m.Player, id, m.Epoch)
		}
	}
	return nil
}

// Origin returns where a party comes from that was handed off to the session.
// NotFound: there is no such handoff, or it is forgotten.
func (r *Registry) Origin(ctx context.Context, id throng.SessionID, k throng.TicketKey) (from throng.Origin, err error) {
	defer r.metrics.done("origin", &err)
	if err := r.checkSession(id); err != nil {
		return throng.Origin{}, err
	}
	if err := checkKey(k); err != nil {
		return throng.Origin{}, err
	}
	t, err := r.store.Ticket(ctx, k)
	if err != nil {
		return throng.Origin{}, err
	}
	if t.Grant == nil || t.Grant.Session != id || t.Ticket.From == (throng.Origin{}) {
		return throng.Origin{}, throng.AtField(throng.NotFound, "ticket", "%s hands nobody off to %s", k.Ticket, id)
	}
	return t.Ticket.From, nil
}

// checkOrigin says whether the ticket's origin is one, and goes with its name.
func checkOrigin(t throng.Ticket) error {
	if t.Key.Ticket.IsHandoff() != (t.From != throng.Origin{}) {
		return throng.AtField(throng.Invalid, "ticket", "%s: the name of a handoff goes with where it is from", t.Key.Ticket)
	}
	if t.From == (throng.Origin{}) {
		return nil
	}
	if _, err := throng.ParseSessionID("from.session", string(t.From.Session)); err != nil {
		return err
	}
	if _, err := throng.ParsePlaceID("from.place", string(t.From.Place)); err != nil {
		return err
	}
	if n := len(t.From.Data); n > throng.HandoffData {
		return throng.AtField(throng.Invalid, "from.data", "has %d bytes, at most %d are allowed", n, throng.HandoffData)
	}
	return nil
}
