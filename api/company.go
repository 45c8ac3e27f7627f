package api

import (
	"context"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

// admitTicket fills in whom a ticket seats and checks that the caller may bring
// them, and open what it asks for. A ticket that was taken before passes: it
// keeps its players and its answer, whatever changed since.
func (c calls) admitTicket(ctx context.Context, t throng.Ticket, r throng.Release) (throng.Ticket, error) {
	if err := c.claim(ctx); err != nil {
		return throng.Ticket{}, err
	}
	if c.plain(t, r) {
		return t, c.cfg.Friends.Seen(ctx, t.Key.Caller)
	}
	if party := c.cfg.Matchmaker.Waiting(t.Key); party != nil {
		if t.PartyID != "" {
			t.Party = slices.Clone(party)
		}
		return t, nil
	}
	known, err := c.cfg.Tickets.Lookup(ctx, t.Key)
	if err == nil {
		if t.PartyID != "" {
			t.Party = slices.Clone(known.Party)
		}
		return t, nil
	}
	if throng.KindOf(err) != throng.NotFound {
		return throng.Ticket{}, err
	}
	if t, err = c.together(ctx, t); err != nil {
		return throng.Ticket{}, err
	}
	named := t.Mode == throng.ModeSession || t.Mode == throng.ModeFriend || t.Code != (throng.CodeHash{})
	if !named && len(t.Party) > r.Capacity {
		return throng.Ticket{}, throng.AtField(throng.Invalid, "party", "has %d players, a session of %s seats %d",
			len(t.Party), t.Place, r.Capacity)
	}
	if _, went := c.sent.of(t.Key); opensOwn(t) && !went {
		key := bucketKey{classOpen, string(t.Key.Caller)}
		if err := c.buckets.take(key, c.limits.Openings, time.Now()); err != nil {
			return throng.Ticket{}, err
		}
	}
	return t, c.cfg.Friends.Seen(ctx, t.Key.Caller)
}

// plain says that there is nothing to check, whether the ticket is known or not.
func (c calls) plain(t throng.Ticket, r throng.Release) bool {
	alone := len(t.Party) == 1 || c.cfg.AllowRawParties
	return t.PartyID == "" && alone && len(t.Party) <= r.Capacity && !opensOwn(t)
}

func opensOwn(t throng.Ticket) bool {
	return t.Mode == throng.ModeNew || t.Mode == throng.ModePrivate && t.Code == (throng.CodeHash{})
}

// together returns the ticket with all who are in its party object, or as it is
// when the players it lists are in the caller's.
func (c calls) together(ctx context.Context, t throng.Ticket) (throng.Ticket, error) {
	if t.PartyID != "" {
		var err error
		t.Party, err = c.cfg.Companions.Start(ctx, t.PartyID, t.Key)
		return t, err
	}
	if len(t.Party) == 1 || c.cfg.AllowRawParties {
		return t, nil
	}
	ok, err := c.cfg.Companions.Together(ctx, t.Key.Caller, t.Party)
	if err == nil && !ok {
		err = throng.AtField(throng.Denied, "party",
			"has players who are not in the caller's party; make one (POST /v1/parties) and let them join it")
	}
	return t, err
}

// place asks the matchmaker. A code that leads nowhere is a wrong guess, and so
// is one whose answer is asked for by another call.
func (c calls) place(ctx context.Context, t throng.Ticket, wait time.Duration) (throng.Placement, error) {
	if t.Code == (throng.CodeHash{}) {
		return c.cfg.Matchmaker.Place(ctx, t, wait)
	}
	var placed throng.Placement
	err := c.guess(ctx, func() (right bool, err error) {
		placed, err = c.cfg.Matchmaker.Place(ctx, t, wait)
		return placed.Assignment != nil, err
	})
	return placed, err
}

// codeOf is what members of a private session are told to pass on.
func (a *API) codeOf(s throng.Session) string {
	if !s.Private {
		return ""
	}
	return a.cfg.Codes.SessionCode(s.ID)
}
