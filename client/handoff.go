package client

import (
	"context"
	"encoding/json"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// handoffWait is how long one call waits for seats: a new session has to start.
const handoffWait = 10 * time.Second

// handoffAnswer is seats, or that there are none yet. Both have a ticket, but
// not of the same type: retry_after tells them apart.
type handoffAnswer struct {
	waiting bool
	again   time.Duration
	handed  gen.Handed
}

// UnmarshalJSON reads either.
func (a *handoffAnswer) UnmarshalJSON(b []byte) error {
	var w struct {
		RetryAfter *float64 `json:"retry_after"`
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	if w.RetryAfter != nil {
		a.waiting, a.again = true, time.Duration(*w.RetryAfter*float64(time.Second))
		return nil
	}
	return json.Unmarshal(b, &a.handed)
}

// Handoff asks for seats in another session for players of this one, all or
// none. It is repeated with the same ID after Unavailable, which is also the
// answer when they are not there after 10 s, and then gives what came of it.
func (s *Server) Handoff(ctx context.Context, h throng.Heartbeat, ask throng.Handoff) (throng.Handed, error) {
	wait := int(handoffWait / time.Second)
	req := of(gen.NewHandoffRequest(s.line.addr, string(h.Session), &gen.HandoffParams{Wait: &wait}, gen.HandoffRequestOf(h, ask)))
	raw, err := send[handoffAnswer](ctx, s.line, handoffWait+heartbeatTime, req)
	if err != nil {
		return throng.Handed{}, err
	}
	if raw.waiting {
		return throng.Handed{}, throng.RetryLater(throng.Unavailable, raw.again, "handoff %s waits for seats", ask.ID)
	}
	out, err := raw.handed.Root()
	if err != nil {
		return throng.Handed{}, throng.Errorf(throng.Unavailable, "read the door's answer: %w", err)
	}
	return out, nil
}

// Origin returns where a party comes from that was handed off to the session.
// NotFound: it was not, or that is forgotten.
func (s *Server) Origin(ctx context.Context, id throng.SessionID, k throng.TicketKey) (throng.Origin, error) {
	req := of(gen.NewGetOriginRequest(s.line.addr, string(id), string(k.Ticket), &gen.GetOriginParams{Caller: string(k.Caller)}))
	a, err := send[gen.Origin](ctx, s.line, heartbeatTime, req)
	if err != nil {
		return throng.Origin{}, err
	}
	from, err := a.Root()
	if err != nil {
		return throng.Origin{}, throng.Errorf(throng.Unavailable, "read the door's answer: %w", err)
	}
	return from, nil
}
