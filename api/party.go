package api

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// MakeParty makes a party that the caller leads.
func (c calls) MakeParty(ctx context.Context, _ gen.MakePartyRequestObject) (gen.MakePartyResponseObject, error) {
	p, err := c.cfg.Parties.Make(ctx, callerOf(ctx).Player)
	if err != nil {
		return nil, err
	}
	return gen.MakeParty200JSONResponse{PartyViewJSONResponse: viewOf(p)}, nil
}

// GetParty returns a party to its members, when it changed.
func (c calls) GetParty(ctx context.Context, req gen.GetPartyRequestObject) (gen.GetPartyResponseObject, error) {
	id, err := throng.ParsePartyID("id", req.ID)
	if err != nil {
		return nil, err
	}
	wait, err := waitOf(req.Params.Wait)
	if err != nil {
		return nil, err
	}
	ctx, wait, done := c.patience(ctx, wait)
	defer done()
	p, err := c.cfg.Parties.Watch(ctx, id, callerOf(ctx).Player, value(req.Params.Revision), wait)
	if err != nil {
		return nil, err
	}
	return gen.GetParty200JSONResponse{PartyViewJSONResponse: viewOf(p)}, nil
}

// JoinParty lets the caller in if he has the invite.
func (c calls) JoinParty(ctx context.Context, req gen.JoinPartyRequestObject) (gen.JoinPartyResponseObject, error) {
	id, err := throng.ParsePartyID("id", req.ID)
	if err != nil {
		return nil, err
	}
	invite, err := throng.ParseCode("invite", req.Body.Invite)
	if err != nil {
		return nil, err
	}
	var p throng.Party
	err = c.guess(ctx, func() (right bool, err error) {
		p, err = c.cfg.Parties.Join(ctx, id, callerOf(ctx).Player, invite)
		return err == nil, err
	})
	if err != nil {
		return nil, err
	}
	return gen.JoinParty200JSONResponse{PartyViewJSONResponse: viewOf(p)}, nil
}

// LeaveParty takes the caller out.
func (c calls) LeaveParty(ctx context.Context, req gen.LeavePartyRequestObject) (gen.LeavePartyResponseObject, error) {
	id, err := throng.ParsePartyID("id", req.ID)
	if err != nil {
		return nil, err
	}
	player := callerOf(ctx).Player
	return gen.LeaveParty204Response{}, c.cfg.Parties.Remove(ctx, id, player, player)
}

// InviteToParty makes a new invite.
func (c calls) InviteToParty(
	ctx context.Context, req gen.InviteToPartyRequestObject,
) (gen.InviteToPartyResponseObject, error) {
	id, err := throng.ParsePartyID("id", req.ID)
	if err != nil {
		return nil, err
	}
	p, err := c.cfg.Parties.Invite(ctx, id, callerOf(ctx).Player)
	if err != nil {
		return nil, err
	}
	return gen.InviteToParty200JSONResponse{PartyViewJSONResponse: viewOf(p)}, nil
}

// RemoveMember takes a member out for the leader.
func (c calls) RemoveMember(ctx context.Context, req gen.RemoveMemberRequestObject) (gen.RemoveMemberResponseObject, error) {
	id, err := throng.ParsePartyID("id", req.ID)
	if err != nil {
		return nil, err
	}
	player, err := throng.ParsePlayerID("player", req.Player)
	if err != nil {
		return nil, err
	}
	return gen.RemoveMember204Response{}, c.cfg.Parties.Remove(ctx, id, callerOf(ctx).Player, player)
}

func viewOf(p throng.Party) gen.PartyViewJSONResponse {
	out := gen.PartyViewJSONResponse{
		ID:              string(p.ID),
		Leader:          string(p.Leader()),
		Members:         names(p.Members),
		Invite:          p.Invite,
		InviteExpiresAt: p.Expires.UTC(),
		Revision:        p.Revision,
	}
	if t := p.Ticket; t != nil {
		out.Ticket = &gen.PartyTicket{
			Caller: string(t.Key.Caller), Ticket: string(t.Key.Ticket), Members: names(t.Members),
		}
	}
	return out
}

func names(players []throng.PlayerID) []string {
	out := make([]string, len(players))
	for i, p := range players {
		out[i] = string(p)
	}
	return out
}

// guess tries what a caller brought to be let in. What is not right counts
// against the player and his address, and who is over either limit is not tried
// at all, so that he can't tell a right guess from a wrong one.
func (a *API) guess(ctx context.Context, try func() (right bool, err error)) error {
	now := time.Now()
	mine, err := a.buckets.borrow(bucketKey{classGuess, string(callerOf(ctx).Player)}, a.limits.Guesses, now)
	if err != nil {
		return err
	}
	address, err := a.buckets.borrow(bucketKey{classRemote, remoteOf(ctx)}, a.limits.RemoteGuesses, now)
	if err != nil {
		mine()
		return err
	}
	right, err := try()
	if right || throng.KindOf(err) == throng.Full && err != nil {
		mine()
		address()
	}
	return err
}
