package api

import (
	"context"
	"strings"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/edge/shed"
)

// GetRegionSummary tells another region what this one has.
func (c calls) GetRegionSummary(ctx context.Context, req gen.GetRegionSummaryRequestObject) (gen.GetRegionSummaryResponseObject, error) {
	if err := c.ownRegion(req.ID); err != nil {
		return nil, err
	}
	if c.cfg.Summaries == nil {
		return nil, throng.Errorf(throng.Unsupported, "this door tells nothing of its region")
	}
	s, err := c.cfg.Summaries.Summary(ctx)
	if err != nil {
		return nil, err
	}
	if c.shed.Sheds(shed.Together) {
		s.Room = 0 // those who are sent here are refused
	}
	return gen.GetRegionSummary200JSONResponse(gen.RegionSummaryOf(s)), nil
}

// PlaceTicket places a party for another region's door. What that one knows of its
// players it has checked: who asks, whom he brings, what he may open.
func (c calls) PlaceTicket(ctx context.Context, req gen.PlaceTicketRequestObject) (gen.PlaceTicketResponseObject, error) {
	ticket, release, err := c.sentTicket(ctx, req)
	if err != nil {
		return nil, err
	}
	wait, err := waitOf(req.Params.Wait)
	if err != nil {
		return nil, err
	}
	if ticket.Attributes, err = attributesOf(ctx, ticket, *req.Body, release.Signals); err != nil {
		return nil, err
	}
	if err := c.notBanned(ctx, ticket.Party...); err != nil {
		return nil, err
	}
	ctx, wait, done := c.patience(ctx, wait)
	defer done()
	placed, err := c.here(ctx, ticket, wait)
	if err != nil {
		return nil, err
	}
	if placed.Assignment == nil {
		return gen.PlaceTicket202JSONResponse{WaitingJSONResponse: gen.WaitingJSONResponse(*placed.Waiting)}, nil
	}
	return gen.PlaceTicket200JSONResponse{AssignedJSONResponse: gen.AssignedJSONResponse(c.fromAfar(*placed.Assignment))}, nil
}

// sentTicket is the ticket that another region's door sent.
func (c calls) sentTicket(ctx context.Context, req gen.PlaceTicketRequestObject) (throng.Ticket, throng.Release, error) {
	none := throng.Ticket{}
	if err := c.ownRegion(req.ID); err != nil {
		return none, throng.Release{}, err
	}
	caller, err := throng.ParsePlayerID("caller", req.Params.Caller)
	if err != nil {
		return none, throng.Release{}, err
	}
	ticket, err := ticketOf(caller, *req.Body)
	if err == nil {
		err = admitTicketOf(ctx, ticket)
	}
	if err != nil {
		return none, throng.Release{}, err
	}
	switch ticket.Mode {
	case throng.ModeDropIn, throng.ModeNew, throng.ModeSession, throng.ModeFriend:
	case throng.ModeQueue, throng.ModePrivate:
		return none, throng.Release{}, throng.AtField(throng.Invalid, "mode", "%s is not sent to other regions", ticket.Mode)
	}
	if ticket.PartyID != "" {
		return none, throng.Release{}, throng.AtField(throng.Invalid, "party_id", "means nothing in another region")
	}
	release, err := c.release(ctx, "place", ticket.Place)
	if err != nil {
		return none, throng.Release{}, err
	}
	if len(ticket.Party) > release.Capacity {
		return none, throng.Release{}, throng.AtField(throng.Full, "party", "has %d players, a session of %s seats %d here", len(ticket.Party), ticket.Place, release.Capacity)
	}
	ticket.Version = release.Version
	return ticket, release, nil
}

// fromAfar says where a player connects who asked at another region's door.
func (c calls) fromAfar(a gen.Assignment) gen.Assignment {
	if a.Server.Websocket != "" && c.cfg.URL == "" {
		a.Server.Websocket = "" // that door is not known to him
	} else if a.Server.Websocket != "" {
		a.Server.Websocket = strings.TrimSuffix(c.cfg.URL, "/") + a.Server.Websocket
	}
	return a
}

// GetPlacedTicket waits for a ticket that another region's door sent.
func (c calls) GetPlacedTicket(ctx context.Context, req gen.GetPlacedTicketRequestObject) (gen.GetPlacedTicketResponseObject, error) {
	key, player, err := c.sentKey(req.ID, req.Ticket, req.Params.Caller, req.Params.Player)
	if err != nil {
		return nil, err
	}
	ask, wait, err := c.asking(ctx, throng.TicketAsk{Key: key, Player: player}, req.Params.Line, req.Params.Wait)
	if err != nil {
		return nil, err
	}
	ctx, wait, done := c.patience(ctx, wait)
	defer done()
	placed, err := c.lookupHere(ctx, ask, wait)
	if err != nil {
		return nil, err
	}
	if placed.Assignment == nil {
		return gen.GetPlacedTicket202JSONResponse{WaitingJSONResponse: gen.WaitingJSONResponse(*placed.Waiting)}, nil
	}
	return gen.GetPlacedTicket200JSONResponse{AssignedJSONResponse: gen.AssignedJSONResponse(c.fromAfar(*placed.Assignment))}, nil
}

// LeavePlacedTicket gives back a seat.
func (c calls) LeavePlacedTicket(ctx context.Context, req gen.LeavePlacedTicketRequestObject) (gen.LeavePlacedTicketResponseObject, error) {
	key, player, err := c.sentKey(req.ID, req.Ticket, req.Params.Caller, req.Params.Player)
	if err != nil {
		return nil, err
	}
	return gen.LeavePlacedTicket204Response{}, c.leaveHere(ctx, key, player)
}

// sentKey names a ticket that another region's door sent, and who asks for it.
func (c calls) sentKey(region, ticket, caller, player string) (k throng.TicketKey, p throng.PlayerID, err error) {
	if err = c.ownRegion(region); err != nil {
		return k, p, err
	}
	if p, err = throng.ParsePlayerID("player", player); err != nil {
		return k, p, err
	}
	if k, err = ticketKey(p, ticket, caller); err == nil && caller == "" {
		err = throng.AtField(throng.Invalid, "caller", "is missing")
	}
	return k, p, err
}
