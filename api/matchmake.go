package api

import (
	"context"
	"slices"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

const defaultWait = 10 * time.Second

// calls is what the generated server calls, one method an operation. The guard
// ran before: the caller is known, and may make the call.
type calls struct{ *API }

// DevToken makes an access token for anyone who asks.
func (c calls) DevToken(ctx context.Context, req gen.DevTokenRequestObject) (gen.DevTokenResponseObject, error) {
	if c.cfg.DevTokens == nil {
		return nil, throng.Errorf(throng.NotFound, "access tokens come from the studio's issuer here")
	}
	player, err := throng.ParsePlayerID("player", req.Body.Player)
	if err != nil {
		return nil, err
	}
	role := Role(req.Body.Role)
	if role == "" {
		role = RolePlayer
	}
	token, err := c.cfg.DevTokens.PlayerToken(player, role, c.cfg.DevTokenTime)
	if err != nil {
		return nil, err
	}
	caller, err := c.cfg.Auth.Authenticate(ctx, token)
	if err != nil {
		return nil, throng.Errorf(throng.Internal, "a token that was just made: %w", err)
	}
	return gen.DevToken200JSONResponse{AccessToken: token, ExpiresAt: caller.Expires.UTC()}, nil
}

// Matchmake places a party.
func (c calls) Matchmake(ctx context.Context, req gen.MatchmakeRequestObject) (gen.MatchmakeResponseObject, error) {
	caller := callerOf(ctx).Player
	ticket, err := ticketOf(caller, *req.Body)
	if err != nil {
		return nil, err
	}
	wait, err := waitOf(req.Params.Wait)
	if err != nil {
		return nil, err
	}
	release, err := c.release(ctx, "place", ticket.Place)
	if err != nil {
		return nil, err
	}
	ticket.Version = release.Version
	if ticket, err = c.admitTicket(ctx, ticket, release); err != nil {
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
	placed, err := c.place(ctx, ticket, wait)
	if err != nil {
		return nil, err
	}
	if placed.Assignment == nil {
		return gen.Matchmake202JSONResponse{WaitingJSONResponse: gen.WaitingJSONResponse(waiting(ticket.Key, placed))}, nil
	}
	answer, err := c.assigned(caller, *placed.Assignment)
	if err != nil {
		return nil, err
	}
	return gen.Matchmake200JSONResponse{AssignedJSONResponse: gen.AssignedJSONResponse(answer)}, nil
}

// GetTicket waits for a ticket of the caller's party.
func (c calls) GetTicket(ctx context.Context, req gen.GetTicketRequestObject) (gen.GetTicketResponseObject, error) {
	key, err := c.partyTicket(ctx, req.Ticket, value(req.Params.Caller))
	if err != nil {
		return nil, err
	}
	line, err := lineOf(value(req.Params.Line))
	if err != nil {
		return nil, err
	}
	wait, err := waitOf(req.Params.Wait)
	if err != nil {
		return nil, err
	}
	if err := c.notBanned(ctx, callerOf(ctx).Player); err != nil {
		return nil, err
	}
	ctx, wait, done := c.patience(ctx, wait)
	defer done()
	placed, err := c.cfg.Matchmaker.Lookup(ctx, key, line, wait)
	if err != nil {
		return nil, err
	}
	if placed.Assignment == nil {
		return gen.GetTicket202JSONResponse{WaitingJSONResponse: gen.WaitingJSONResponse(waiting(key, placed))}, nil
	}
	answer, err := c.assigned(callerOf(ctx).Player, *placed.Assignment)
	if err != nil {
		return nil, err
	}
	return gen.GetTicket200JSONResponse{AssignedJSONResponse: gen.AssignedJSONResponse(answer)}, nil
}

// LeaveTicket gives back the caller's seat.
func (c calls) LeaveTicket(ctx context.Context, req gen.LeaveTicketRequestObject) (gen.LeaveTicketResponseObject, error) {
	key, err := c.partyTicket(ctx, req.Ticket, value(req.Params.Caller))
	if err != nil {
		return nil, err
	}
	player := callerOf(ctx).Player
	left := key.Caller == player && c.cfg.Matchmaker.Leave(key)
	err = c.cfg.Tickets.Leave(ctx, key, player)
	if err != nil && (!left || throng.KindOf(err) != throng.NotFound) {
		return nil, err
	}
	return gen.LeaveTicket204Response{}, nil
}

// partyTicket names a ticket that the caller may see: its own, or one whose
// party it is in. Somebody else is told NotFound, as of a ticket that never was.
func (c calls) partyTicket(ctx context.Context, ticket, of string) (throng.TicketKey, error) {
	player := callerOf(ctx).Player
	key := throng.TicketKey{Caller: player}
	var err error
	if key.Ticket, err = throng.ParseTicketID("ticket", ticket); err != nil {
		return throng.TicketKey{}, err
	}
	if of == "" || of == string(player) {
		return key, nil
	}
	if key.Caller, err = throng.ParsePlayerID("caller", of); err != nil {
		return throng.TicketKey{}, err
	}
	if slices.Contains(c.cfg.Matchmaker.Waiting(key), player) {
		return key, nil
	}
	claim, err := c.cfg.Tickets.Lookup(ctx, key)
	if err != nil && throng.KindOf(err) != throng.NotFound {
		return throng.TicketKey{}, err
	}
	if err == nil {
		for _, m := range claim.Members {
			if m.Player == player {
				return key, nil
			}
		}
	}
	return throng.TicketKey{}, noTicket(key)
}

func noTicket(key throng.TicketKey) error {
	return throng.Errorf(throng.NotFound, "%s has no ticket %s here", key.Caller, key.Ticket)
}

func waitOf(seconds *int) (time.Duration, error) {
	if seconds == nil {
		return defaultWait, nil
	}
	if *seconds < 0 || *seconds > int(maxWait/time.Second) {
		return 0, throng.AtField(throng.Invalid, "wait", "%d s is not within 0 and %d", *seconds, int(maxWait/time.Second))
	}
	return time.Duration(*seconds) * time.Second, nil
}

// patience lets a call wait as long as there is room for those who do and the
// door is open.
func (a *API) patience(ctx context.Context, wait time.Duration) (context.Context, time.Duration, func()) {
	if wait == 0 || !a.polls.enter() {
		return ctx, 0, func() {}
	}
	ctx, end := a.open.enter(ctx)
	return ctx, wait, func() {
		end()
		a.polls.leave()
	}
}

func waiting(key throng.TicketKey, p throng.Placement) gen.Waiting {
	return gen.Waiting{
		Ticket: string(key.Ticket), Position: p.Position, Wait: p.Wait.Seconds(),
		RetryAfter: p.RetryAfter.Seconds(), Line: p.Line,
	}
}

// assigned is the answer to one member of the party, with its own join token.
func (a *API) assigned(player throng.PlayerID, as throng.Assignment) (gen.Assignment, error) {
	party := make([]string, 0, len(as.Grant.Members))
	var me *throng.Member
	for i, m := range as.Grant.Members {
		party = append(party, string(m.Player))
		if m.Player == player {
			me = &as.Grant.Members[i]
		}
	}
	if me == nil {
		return gen.Assignment{}, noTicket(as.Grant.Key)
	}
	token, err := a.cfg.JoinTokens.JoinToken(as, *me)
	if err != nil {
		return gen.Assignment{}, err
	}
	return gen.Assignment{
		Ticket:    string(as.Grant.Key.Ticket),
		Session:   string(as.Session.ID),
		Place:     string(as.Grant.Place),
		Version:   int(as.Grant.Version),
		Region:    string(as.Session.ID.Region()),
		Server:    a.endpointOf(as.Session),
		JoinToken: token,
		ExpiresAt: as.Grant.TokenExpiry(as.Session.BoundAt).UTC(),
		Party:     party,
		Code:      a.codeOf(as.Session),
	}, nil
}

// endpointOf says where a session's players connect.
func (a *API) endpointOf(s throng.Session) gen.Endpoint {
	e := gen.Endpoint{
		IP:           s.Address.Addr().String(),
		Port:         int(s.Address.Port()),
		Webtransport: gen.WebTransportOf(s.Web),
	}
	if len(a.cfg.Gateways) > 0 {
		at := a.cfg.Gateways[0]
		e = gen.Endpoint{IP: at.Addr().String(), Port: int(at.Port())}
	}
	if s.Web.WebSocket != "" {
		e.Websocket = "/v1/sessions/" + string(s.ID) + "/socket"
	}
	return e
}
