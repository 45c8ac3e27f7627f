package api

import (
	"context"
	"strings"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

const maxKeyTime = 5 * 365 * 24 * time.Hour

func (c calls) apiKeys() (KeyBook, error) {
	if c.cfg.APIKeys == nil {
		return nil, throng.Errorf(throng.Unsupported, "API keys are not kept here")
	}
	return c.cfg.APIKeys, nil
}

// keyOwner is whose keys the caller may see and revoke; empty: everybody's.
func keyOwner(c Caller) throng.PlayerID {
	if c.Role == RoleOperator {
		return ""
	}
	return c.Player
}

// ListKeys lists API keys.
func (c calls) ListKeys(ctx context.Context, req gen.ListKeysRequestObject) (gen.ListKeysResponseObject, error) {
	keys, err := c.apiKeys()
	if err != nil {
		return nil, err
	}
	caller := callerOf(ctx)
	owner := caller.Player
	if said := value(req.Params.Owner); said != "" {
		if owner, err = throng.ParsePlayerID("owner", said); err != nil {
			return nil, err
		}
		if owner != caller.Player && caller.Role != RoleOperator {
			return nil, throng.AtField(throng.Denied, "owner", "is somebody else")
		}
	}
	list, err := keys.List(ctx, owner)
	if err != nil {
		return nil, err
	}
	out := gen.ListKeys200JSONResponse{Keys: make([]gen.APIKey, len(list))}
	for i, k := range list {
		out.Keys[i] = keyOf(k)
	}
	return out, nil
}

// CreateKey makes an API key.
func (c calls) CreateKey(ctx context.Context, req gen.CreateKeyRequestObject) (gen.CreateKeyResponseObject, error) {
	keys, err := c.apiKeys()
	if err != nil {
		return nil, err
	}
	want := throng.APIKey{Owner: callerOf(ctx).Player, Name: req.Body.Name, Rate: req.Body.Rate}
	switch in := req.Body.ExpiresIn; {
	case in < 0 || in > int64(maxKeyTime/time.Second):
		return nil, throng.AtField(throng.Invalid, "expires_in", "%d is not within 0 and %d", in, int64(maxKeyTime/time.Second))
	case in > 0:
		want.Expires = time.Now().Add(time.Duration(in) * time.Second).UTC().Truncate(time.Second)
	}
	text, key, err := keys.Create(ctx, want)
	if err != nil {
		return nil, err
	}
	c.log.InfoContext(ctx, "API key made", "player", key.Owner, "key", key.ID)
	return gen.CreateKey200JSONResponse{Key: text, Record: keyOf(key)}, nil
}

// RevokeKey takes an API key away.
func (c calls) RevokeKey(ctx context.Context, req gen.RevokeKeyRequestObject) (gen.RevokeKeyResponseObject, error) {
	keys, err := c.apiKeys()
	if err != nil {
		return nil, err
	}
	id, err := throng.ParseKeyID("id", req.ID)
	if err != nil {
		return nil, err
	}
	if err := keys.Revoke(ctx, keyOwner(callerOf(ctx)), id); err != nil {
		return nil, err
	}
	c.log.InfoContext(ctx, "API key revoked", "player", callerOf(ctx).Player, "key", id)
	return gen.RevokeKey204Response{}, nil
}

func keyOf(k throng.APIKey) gen.APIKey {
	return gen.APIKey{
		ID: string(k.ID), Prefix: "thk_" + strings.TrimPrefix(string(k.ID), "key_"), Owner: string(k.Owner), Name: k.Name,
		Rate: k.Rate, CreatedAt: k.Created.UTC(), ExpiresAt: k.Expires, UsedAt: k.Used,
	}
}

// GetOwners lists who owns a place.
func (c calls) GetOwners(ctx context.Context, req gen.GetOwnersRequestObject) (gen.GetOwnersResponseObject, error) {
	place, err := throng.ParsePlaceID("id", req.ID)
	if err != nil {
		return nil, err
	}
	owners, err := c.cfg.Owners.Owners(ctx, c.editorOf(ctx), place)
	if err != nil {
		return nil, notYours(place, err)
	}
	return gen.GetOwners200JSONResponse{OwnedJSONResponse: ownersOf(owners)}, nil
}

// AddOwner lets another account own a place as well.
func (c calls) AddOwner(ctx context.Context, req gen.AddOwnerRequestObject) (gen.AddOwnerResponseObject, error) {
	owners, err := c.changeOwners(ctx, req.ID, req.Player, c.cfg.Owners.AddOwner)
	if err != nil {
		return nil, err
	}
	return gen.AddOwner200JSONResponse{OwnedJSONResponse: ownersOf(owners)}, nil
}

// RemoveOwner takes an owner away.
func (c calls) RemoveOwner(ctx context.Context, req gen.RemoveOwnerRequestObject) (gen.RemoveOwnerResponseObject, error) {
	owners, err := c.changeOwners(ctx, req.ID, req.Player, c.cfg.Owners.RemoveOwner)
	if err != nil {
		return nil, err
	}
	return gen.RemoveOwner200JSONResponse{OwnedJSONResponse: ownersOf(owners)}, nil
}

func (c calls) changeOwners(
	ctx context.Context, id, player string,
	change func(context.Context, throng.Editor, throng.PlaceID, throng.PlayerID) ([]throng.PlayerID, error),
) ([]throng.PlayerID, error) {
	place, err := throng.ParsePlaceID("id", id)
	if err != nil {
		return nil, err
	}
	p, err := throng.ParsePlayerID("player", player)
	if err != nil {
		return nil, err
	}
	owners, err := change(ctx, c.editorOf(ctx), place, p)
	return owners, notYours(place, err)
}

// notYours says the same of a place that is another's and of one that is not.
func notYours(place throng.PlaceID, err error) error {
	if err != nil && throng.KindOf(err) == throng.NotFound {
		return throng.AtField(throng.NotFound, "id", "there is no place %q of yours", place)
	}
	return err
}

func ownersOf(owners []throng.PlayerID) gen.OwnedJSONResponse {
	out := gen.OwnedJSONResponse{Owners: make([]string, len(owners))}
	for i, p := range owners {
		out.Owners[i] = string(p)
	}
	return out
}
