package api

import (
	"context"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// GetFriends returns a player's own list.
func (c calls) GetFriends(ctx context.Context, req gen.GetFriendsRequestObject) (gen.GetFriendsResponseObject, error) {
	player, err := c.own(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	list, err := c.cfg.Friends.Friends(ctx, player)
	if err != nil {
		return nil, err
	}
	return gen.GetFriends200JSONResponse{Friends: names(list)}, nil
}

// SetFriends replaces a player's own list.
func (c calls) SetFriends(ctx context.Context, req gen.SetFriendsRequestObject) (gen.SetFriendsResponseObject, error) {
	player, err := c.own(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	if req.Body.Friends == nil {
		return nil, throng.AtField(throng.Invalid, "friends", "is missing")
	}
	list, err := c.cfg.Friends.SetFriends(ctx, player, req.Body.Friends)
	if err != nil {
		return nil, err
	}
	return gen.SetFriends200JSONResponse{Friends: names(list)}, nil
}

// GetPrivacy returns a player's own settings.
func (c calls) GetPrivacy(ctx context.Context, req gen.GetPrivacyRequestObject) (gen.GetPrivacyResponseObject, error) {
	player, err := c.own(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	privacy, err := c.cfg.Privacy.Privacy(ctx, player)
	if err != nil {
		return nil, err
	}
	return gen.GetPrivacy200JSONResponse{Presence: string(privacy)}, nil
}

// SetPrivacy replaces a player's own settings.
func (c calls) SetPrivacy(ctx context.Context, req gen.SetPrivacyRequestObject) (gen.SetPrivacyResponseObject, error) {
	player, err := c.own(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	privacy, err := throng.ParsePrivacy("presence", req.Body.Presence)
	if err != nil {
		return nil, err
	}
	if err := c.cfg.Privacy.SetPrivacy(ctx, player, privacy); err != nil {
		return nil, err
	}
	return gen.SetPrivacy200JSONResponse{Presence: string(privacy)}, nil
}

// own names the player whose settings are asked for: the caller, or anybody for
// an operator. It takes in what the caller's token says of his friends.
func (c calls) own(ctx context.Context, id string) (throng.PlayerID, error) {
	player, err := throng.ParsePlayerID("id", id)
	if err != nil {
		return "", err
	}
	caller := callerOf(ctx)
	if caller.Player != player && caller.Role != RoleOperator {
		return "", throng.AtField(throng.Denied, "id", "these are the settings of another player")
	}
	return player, c.claim(ctx)
}

// claim takes in the friends whom the caller's token names.
func (c calls) claim(ctx context.Context) error {
	caller := callerOf(ctx)
	if caller.Friends == nil {
		return nil
	}
	return c.cfg.Friends.Claim(ctx, caller.Player, *caller.Friends)
}

// shows says whether the caller may know where the player is.
func (c calls) shows(ctx context.Context, player throng.PlayerID) (bool, error) {
	if callerOf(ctx).Role == RoleOperator {
		return true, nil
	}
	if err := c.claim(ctx); err != nil {
		return false, err
	}
	return c.cfg.Privacy.Shows(ctx, player, callerOf(ctx).Player)
}
