package client

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// Region speaks to another region's door, as a region. It repeats nothing.
type Region struct {
	door *Door
	id   throng.RegionID
}

// NewRegion makes the client of one region for another. token returns what the
// called one made (throng token region); it is asked for at each call. cfg.Token is
// not looked at. Invalid: a bad address or name.
func NewRegion(cfg Config, id throng.RegionID, token func() string) (*Region, error) {
	if _, err := throng.ParseRegionID("id", string(id)); err != nil {
		return nil, err
	}
	door, err := New(cfg)
	if err != nil {
		return nil, err
	}
	door.line.token = token
	return &Region{door: door, id: id}, nil
}

// Summary asks the region what it has. Internal: the door's answer makes no sense,
// or is another region's.
func (r *Region) Summary(ctx context.Context) (throng.RegionSummary, error) {
	said, err := send[gen.RegionSummary](ctx, r.door.line, callTime, of(gen.NewGetRegionSummaryRequest(r.door.line.addr, string(r.id))))
	if err != nil {
		return throng.RegionSummary{}, err
	}
	s, err := said.Root()
	switch {
	case err != nil:
		return throng.RegionSummary{}, throng.Errorf(throng.Internal, "the door's answer: %w", err)
	case s.Region != r.id:
		return throng.RegionSummary{}, throng.Errorf(throng.Internal, "the door's answer is of region %s, not %s", s.Region, r.id)
	}
	return s, nil
}

// Matchmake asks the region's door to place a party, on behalf of t.Key.Caller, for
// up to wait: in whole seconds, at least a half of one is one. The party is in
// t.Party; t.PartyID is not sent. A region that has the ticket already gives the same
// answer.
func (r *Region) Matchmake(ctx context.Context, t throng.Ticket, wait time.Duration) (gen.Placed, error) {
	body := bodyOf(t)
	body.PartyID, body.Line = "", t.Line
	secs := wholeSeconds(wait)
	req := of(gen.NewPlaceTicketRequest(r.door.line.addr, string(r.id), &gen.PlaceTicketParams{Caller: string(t.Key.Caller), Wait: &secs}, body))
	return r.placed(ctx, req, secs)
}

// Lookup waits for a ticket that the region may have, with the join token of who asks.
// NotFound: it has not, or he is not in its party.
func (r *Region) Lookup(ctx context.Context, ask throng.TicketAsk, wait time.Duration) (gen.Placed, error) {
	secs := wholeSeconds(wait)
	req := of(gen.NewGetPlacedTicketRequest(r.door.line.addr, string(r.id), string(ask.Key.Ticket), &gen.GetPlacedTicketParams{
		Caller: string(ask.Key.Caller), Player: string(ask.Player), Wait: &secs, Line: given(ask.Line),
	}))
	return r.placed(ctx, req, secs)
}

// Leave gives back a member's seat.
func (r *Region) Leave(ctx context.Context, k throng.TicketKey, player throng.PlayerID) error {
	_, err := send[nothing](ctx, r.door.line, regionTime, of(gen.NewLeavePlacedTicketRequest(r.door.line.addr, string(r.id), string(k.Ticket), &gen.LeavePlacedTicketParams{
		Caller: string(k.Caller), Player: string(player),
	})))
	return err
}

// regionTime is how much longer than it was asked to wait another region may take.
const regionTime = 1500 * time.Millisecond

func wholeSeconds(d time.Duration) int { return max(int(d.Round(time.Second)/time.Second), 0) }

func (r *Region) placed(ctx context.Context, req request, secs int) (gen.Placed, error) {
	said, err := send[gen.Placed](ctx, r.door.line, time.Duration(secs)*time.Second+regionTime, req)
	if err == nil && said.Assignment != nil && said.Assignment.Region != string(r.id) {
		return gen.Placed{}, throng.Errorf(throng.Internal, "the door's answer is of region %q, not %s", said.Assignment.Region, r.id)
	}
	return said, err
}
