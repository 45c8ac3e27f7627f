package api

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// mostDrain is the longest time that an operator gives a session to empty.
const mostDrain = 24 * time.Hour

// Handoff finds seats in another session for players of the server's own.
func (c calls) Handoff(ctx context.Context, req gen.HandoffRequestObject) (gen.HandoffResponseObject, error) {
	if c.cfg.Handoffs == nil {
		return nil, throng.Errorf(throng.Unsupported, "this door hands nobody off")
	}
	id, err := throng.ParseSessionID("id", req.ID)
	if err != nil {
		return nil, err
	}
	beat, err := c.heartbeat(ctx, "heartbeat.", id, req.Body.Heartbeat)
	if err != nil {
		return nil, err
	}
	handoff, err := req.Body.Root()
	if err != nil {
		return nil, err
	}
	wait, err := waitOf(req.Params.Wait)
	if err != nil {
		return nil, err
	}
	if err := c.allowHandoff(id, handoff); err != nil {
		return nil, err
	}
	ctx, wait, done := c.patience(ctx, wait)
	defer done()
	placed, err := c.cfg.Handoffs.Handoff(ctx, beat, handoff, wait)
	if err != nil {
		return nil, err
	}
	if placed.Assignment == nil {
		return gen.Handoff202JSONResponse{WaitingJSONResponse: gen.WaitingJSONResponse(waiting(handoff.Key(id), placed))}, nil
	}
	handed, err := c.handed(*placed.Assignment)
	if err != nil {
		return nil, err
	}
	return gen.Handoff200JSONResponse(handed), nil
}

// allowHandoff counts a call against the session's limits. Repeats count as
// calls, and an opening is counted once for all repeats of a handoff while the
// door remembers it.
func (a *API) allowHandoff(id throng.SessionID, h throng.Handoff) error {
	now := time.Now()
	if err := a.buckets.take(bucketKey{classHandoff, string(id)}, a.limits.Handoffs, now); err != nil {
		return err
	}
	if h.Mode != throng.ModeNew && h.Mode != throng.ModePrivate {
		return nil
	}
	// One token that comes back after an hour: the handoff's first call has it.
	once := Rate{PerSecond: 1.0 / 3600, Burst: 1}
	back, err := a.buckets.borrow(bucketKey{classHandoffOnce, string(id) + " " + string(h.ID)}, once, now)
	if err != nil {
		return nil //nolint:nilerr // it was counted
	}
	err = a.buckets.take(bucketKey{classHandoffOpen, string(id)}, a.limits.HandoffOpenings, now)
	if err != nil {
		back()
	}
	return err
}

// handed is what the players of a handoff are told.
func (a *API) handed(as throng.Assignment) (gen.Handed, error) {
	out := gen.Handed{
		Ticket:    gen.TicketKey{Caller: string(as.Grant.Key.Caller), Ticket: string(as.Grant.Key.Ticket)},
		Session:   string(as.Session.ID),
		Place:     string(as.Grant.Place),
		Version:   int(as.Grant.Version),
		Server:    a.endpointOf(as.Session),
		ExpiresAt: as.Grant.TokenExpiry(as.Session.BoundAt).UTC(),
		Code:      a.codeOf(as.Session),
	}
	for _, m := range as.Grant.Members {
		token, err := a.cfg.JoinTokens.JoinToken(as, m)
		if err != nil {
			return gen.Handed{}, err
		}
		out.Seats = append(out.Seats, gen.HandedSeat{Player: string(m.Player), JoinToken: token})
	}
	return out, nil
}

// GetOrigin tells a session's own server where players come from.
func (c calls) GetOrigin(ctx context.Context, req gen.GetOriginRequestObject) (gen.GetOriginResponseObject, error) {
	if c.cfg.Origins == nil {
		return nil, throng.Errorf(throng.Unsupported, "this door hands nobody off")
	}
	id, err := throng.ParseSessionID("id", req.ID)
	if err == nil {
		err = ownSession(callerOf(ctx), id)
	}
	if err != nil {
		return nil, err
	}
	key := throng.TicketKey{}
	if key.Ticket, err = throng.ParseTicketID("ticket", req.Ticket); err != nil {
		return nil, err
	}
	if key.Caller, err = throng.ParsePlayerID("caller", req.Params.Caller); err != nil {
		return nil, err
	}
	from, err := c.cfg.Origins.Origin(ctx, id, key)
	if err != nil {
		return nil, err
	}
	return gen.GetOrigin200JSONResponse(gen.OriginOf(from)), nil
}

// withinOf is how long an operator gives a session to empty; zero: for ever.
func withinOf(seconds float64) (time.Duration, error) {
	if !(seconds >= 0 && seconds <= mostDrain.Seconds()) {
		return 0, throng.AtField(throng.Invalid, "within", "%g s is not within 0 and %g", seconds, mostDrain.Seconds())
	}
	return time.Duration(seconds * float64(time.Second)), nil
}
