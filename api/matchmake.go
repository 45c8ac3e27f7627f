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
	if err := admitTicketOf(ctx, ticket); err != nil {
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
	placed, err := c.anywhere(ctx, ticket, release, wait)
	if err != nil {
		return nil, err
	}
	if placed.Assignment == nil {
		return gen.Matchmake202JSONResponse{WaitingJSONResponse: gen.WaitingJSONResponse(*placed.Waiting)}, nil
	}
	return gen.Matchmake200JSONResponse{AssignedJSONResponse: gen.AssignedJSONResponse(*placed.Assignment)}, nil
}

// GetTicket waits for a ticket of the caller's party.
func (c calls) GetTicket(ctx context.Context, req gen.GetTicketRequestObject) (gen.GetTicketResponseObject, error) {
	player := callerOf(ctx).Player
	key, err := ticketKey(player, req.Ticket, value(req.Params.Caller))
	if err != nil {
		return nil, err
	}
	ask, wait, err := c.asking(ctx, throng.TicketAsk{Key: key, Player: player}, req.Params.Line, req.Params.Wait)
	if err != nil {
		return nil, err
	}
	ctx, wait, done := c.patience(ctx, wait)
	defer done()
	placed, err := c.lookup(ctx, ask, wait)
	if err != nil {
		return nil, err
	}
	if placed.Assignment == nil {
		return gen.GetTicket202JSONResponse{WaitingJSONResponse: gen.WaitingJSONResponse(*placed.Waiting)}, nil
	}
	return gen.GetTicket200JSONResponse{AssignedJSONResponse: gen.AssignedJSONResponse(*placed.Assignment)}, nil
}

// asking checks what somebody brings who waits for a ticket.
func (c calls) asking(ctx context.Context, ask throng.TicketAsk, line *string, seconds *int) (throng.TicketAsk, time.Duration, error) {
	var err error
	if ask.Line, err = lineOf(value(line)); err != nil {
		return ask, 0, err
	}
	wait, err := waitOf(seconds)
	if err != nil {
		return ask, 0, err
	}
	return ask, wait, c.notBanned(ctx, ask.Player)
}

// LeaveTicket gives back the caller's seat.
func (c calls) LeaveTicket(ctx context.Context, req gen.LeaveTicketRequestObject) (gen.LeaveTicketResponseObject, error) {
	player := callerOf(ctx).Player
	key, err := ticketKey(player, req.Ticket, value(req.Params.Caller))
	if err != nil {
		return nil, err
	}
	return gen.LeaveTicket204Response{}, c.leave(ctx, key, player)
}

// lookupHere waits for a ticket that this region has.
func (c calls) lookupHere(ctx context.Context, ask throng.TicketAsk, wait time.Duration) (gen.Placed, error) {
	if err := c.inParty(ctx, ask.Key, ask.Player); err != nil {
		return gen.Placed{}, err
	}
	placed, err := c.cfg.Matchmaker.Lookup(ctx, ask.Key, ask.Line, wait)
	if err != nil {
		return gen.Placed{}, err
	}
	return c.placed(ask.Key, ask.Player, placed)
}

// leaveHere gives back what a ticket of this region holds.
func (c calls) leaveHere(ctx context.Context, k throng.TicketKey, player throng.PlayerID) error {
	if err := c.inParty(ctx, k, player); err != nil {
		return err
	}
	left := k.Caller == player && c.cfg.Matchmaker.Leave(k)
	err := c.cfg.Tickets.Leave(ctx, k, player)
	if left && throng.KindOf(err) == throng.NotFound {
		return nil
	}
	return err
}

// ticketKey names a ticket, of the player himself when it is not said whose.
func ticketKey(player throng.PlayerID, ticket, of string) (k throng.TicketKey, err error) {
	k.Caller = player
	if k.Ticket, err = throng.ParseTicketID("ticket", ticket); err == nil && of != "" {
		k.Caller, err = throng.ParsePlayerID("caller", of)
	}
	return k, err
}

// inParty checks that a player may see a ticket: his own, or one whose party he is
// in. Somebody else is told NotFound, as of a ticket that never was.
func (c calls) inParty(ctx context.Context, key throng.TicketKey, player throng.PlayerID) error {
	if key.Caller == player || slices.Contains(c.cfg.Matchmaker.Waiting(key), player) {
		return nil
	}
	claim, err := c.cfg.Tickets.Lookup(ctx, key)
	if err != nil && throng.KindOf(err) != throng.NotFound {
		return err
	}
	if err == nil {
		for _, m := range claim.Members {
			if m.Player == player {
				return nil
			}
		}
	}
	return noTicket(key)
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
