package client

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// JoinPrivate is Matchmake into the private session that has the code. NotFound:
// there is none. RateLimited, after a few wrong ones: see RetryAfterOf.
func (d *Door) JoinPrivate(ctx context.Context, t throng.Ticket, code string) (Assignment, error) {
	t.Mode = throng.ModePrivate
	return d.once(ctx, t, code)
}

// MakeParty makes a party that the player leads.
func (d *Door) MakeParty(ctx context.Context) (gen.Party, error) {
	req := of(gen.NewMakePartyRequest(d.line.addr))
	return send[gen.Party](ctx, d.line, callTime, req)
}

// Party returns a party of the player's. While it is at the revision it waits,
// up to wait, at most 20 s; revision 0: it does not wait.
func (d *Door) Party(ctx context.Context, id throng.PartyID, revision uint64, wait time.Duration) (gen.Party, error) {
	seconds := int(min(wait, pollTime) / time.Second)
	req := of(gen.NewGetPartyRequest(d.line.addr, string(id), &gen.GetPartyParams{Revision: given(revision), Wait: &seconds}))
	return send[gen.Party](ctx, d.line, pollTime+callTime, req)
}

// JoinParty joins a party with its invite. NotFound: no such party, or a wrong
// invite.
func (d *Door) JoinParty(ctx context.Context, id throng.PartyID, invite string) (gen.Party, error) {
	req := of(gen.NewJoinPartyRequest(d.line.addr, string(id), gen.JoinPartyRequest{Invite: invite}))
	return send[gen.Party](ctx, d.line, callTime, req)
}

// LeaveParty takes the player out of a party.
func (d *Door) LeaveParty(ctx context.Context, id throng.PartyID) error {
	req := of(gen.NewLeavePartyRequest(d.line.addr, string(id)))
	_, err := send[nothing](ctx, d.line, callTime, req)
	return err
}

// Invite makes a new invite for the party that the player leads.
func (d *Door) Invite(ctx context.Context, id throng.PartyID) (gen.Party, error) {
	req := of(gen.NewInviteToPartyRequest(d.line.addr, string(id)))
	return send[gen.Party](ctx, d.line, callTime, req)
}

// RemoveMember takes a member out of the party that the player leads.
func (d *Door) RemoveMember(ctx context.Context, id throng.PartyID, member throng.PlayerID) error {
	req := of(gen.NewRemoveMemberRequest(d.line.addr, string(id), string(member)))
	_, err := send[nothing](ctx, d.line, callTime, req)
	return err
}

// Friends returns a player's list of friends; only the player's own, unless the
// token is an operator's.
func (d *Door) Friends(ctx context.Context, player throng.PlayerID) (gen.FriendList, error) {
	req := of(gen.NewGetFriendsRequest(d.line.addr, string(player)))
	return send[gen.FriendList](ctx, d.line, callTime, req)
}

// SetFriends replaces a player's list of friends, and returns it as it is kept.
func (d *Door) SetFriends(ctx context.Context, player throng.PlayerID, friends []throng.PlayerID) (gen.FriendList, error) {
	list := make([]string, len(friends))
	for i, f := range friends {
		list[i] = string(f)
	}
	req := of(gen.NewSetFriendsRequest(d.line.addr, string(player), gen.FriendList{Friends: list}))
	return send[gen.FriendList](ctx, d.line, callTime, req)
}

// Privacy returns a player's privacy settings.
func (d *Door) Privacy(ctx context.Context, player throng.PlayerID) (gen.PrivacySettings, error) {
	req := of(gen.NewGetPrivacyRequest(d.line.addr, string(player)))
	return send[gen.PrivacySettings](ctx, d.line, callTime, req)
}

// SetPrivacy says who may see where the player is.
func (d *Door) SetPrivacy(ctx context.Context, player throng.PlayerID, presence throng.Privacy) error {
	req := of(gen.NewSetPrivacyRequest(d.line.addr, string(player), gen.PrivacySettings{Presence: string(presence)}))
	_, err := send[gen.PrivacySettings](ctx, d.line, callTime, req)
	return err
}
