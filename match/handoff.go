package match

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

// Handoff finds seats elsewhere for players of the session that beat's server
// speaks for, all or none, and waits for up to wait. It is a ticket like any
// other: repeated, it joins the work that is under way, or gets the answer that
// was given already, also when the players have moved meanwhile.
//
// Errors, beside Place's: Denied: the server is not the session's any more, or a
// player does not sit there under that epoch. Full: the session that is named
// has no room.
func (m *Matchmaker) Handoff(ctx context.Context, beat throng.Heartbeat, h throng.Handoff, wait time.Duration) (throng.Placement, error) {
	t, err := m.handoff(ctx, beat, h)
	if err != nil {
		m.metrics.handoffs.WithLabelValues(code(err)).Inc()
		m.logger.InfoContext(ctx, "handoff refused", "session", beat.Session, "target", h.Session, "place", h.Place, "players", len(h.Members), "err", err)
		return throng.Placement{}, err
	}
	return m.Place(ctx, t, wait)
}

// handoff makes the ticket of a handoff that may be carried out.
func (m *Matchmaker) handoff(ctx context.Context, beat throng.Heartbeat, h throng.Handoff) (throng.Ticket, error) {
	if m.origins == nil {
		return throng.Ticket{}, throng.Errorf(throng.Unsupported, "nobody is handed off here")
	}
	if err := h.Check(); err != nil {
		return throng.Ticket{}, err
	}
	calling, cancel := within(ctx, m.callTime)
	defer cancel()
	from, err := m.origins.Bound(calling, beat)
	if err != nil {
		return throng.Ticket{}, fault(ctx, err, "hand off from "+string(beat.Session))
	}
	key := h.Key(from.ID)
	known, err := m.registry.Lookup(calling, key)
	if err != nil && throng.KindOf(err) != throng.NotFound {
		return throng.Ticket{}, fault(ctx, err, "look up ticket "+string(key.Ticket))
	}
	if err != nil || known.Grant == nil {
		// Nobody was told of other seats yet, so all must sit in these.
		if err := m.origins.Sits(calling, from.ID, h.Members); err != nil {
			return throng.Ticket{}, fault(ctx, err, "hand off from "+string(from.ID))
		}
	}
	t := throng.Ticket{
		Key: key, Place: h.Place, Mode: h.Mode, Session: h.Session,
		From: throng.Origin{Session: from.ID, Place: from.Place, Data: h.Data},
	}
	for _, member := range h.Members {
		t.Party = append(t.Party, member.Player)
	}
	if t.Place, err = m.targetPlace(ctx, from, h); err != nil {
		return t, err
	}
	lanes, err := m.places.Lanes(calling, t.Place)
	if err != nil {
		return t, fault(ctx, err, "find place "+string(t.Place))
	}
	t.Attributes = signalled(h.Attributes, lanes.Live.Signals)
	return t, nil
}

// signalled is what of players' attributes are valid values of the signals; nil:
// nobody has any.
func signalled(brought [][]throng.Attribute, signals []throng.Signal) [][]throng.Attribute {
	out := make([][]throng.Attribute, len(brought))
	found := false
	for i, list := range brought {
		for _, a := range list {
			if a.Check("", signals) == nil {
				out[i], found = append(out[i], a), true
			}
		}
	}
	if !found {
		return nil
	}
	return out
}

// targetPlace is the place that a handoff leads to.
func (m *Matchmaker) targetPlace(ctx context.Context, from throng.Session, h throng.Handoff) (throng.PlaceID, error) {
	switch {
	case h.Session == from.ID:
		return "", throng.AtField(throng.Invalid, "session", "is the one that the players are in")
	case h.Place != "":
		return h.Place, nil
	case h.Session == "":
		return from.Place, nil
	}
	s, err := m.session(ctx, h.Session)
	if err != nil {
		return "", err
	}
	if s.Private { // as of one that is not there; see named
		return "", throng.AtField(throng.NotFound, "session", "there is no session %s", h.Session)
	}
	return s.Place, nil
}

// excluded is the sessions in which a ticket is not to be seated.
func excluded(t throng.Ticket) []throng.SessionID {
	if t.From.Session == "" {
		return nil
	}
	return []throng.SessionID{t.From.Session}
}

// handed counts and tells what became of a handoff.
func (m *Matchmaker) handed(ctx context.Context, t throng.Ticket, a throng.Assignment, err error) {
	if t.From.Session == "" {
		return
	}
	m.metrics.handoffs.WithLabelValues(code(err)).Inc()
	if err != nil {
		m.logger.WarnContext(ctx, "nobody was handed off", "session", t.From.Session, "target", t.Session,
			"place", t.Place, "ticket", t.Key.Ticket, "players", len(t.Party), "err", err)
		return
	}
	m.metrics.handedOff.Add(float64(len(t.Party)))
	m.logger.InfoContext(ctx, "players are handed off", "session", t.From.Session, "target", a.Session.ID,
		"place", t.Place, "ticket", t.Key.Ticket, "players", len(t.Party))
}
