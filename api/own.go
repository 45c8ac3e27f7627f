package api

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// errNotKept says that the door has no store of what players own.
func errNotKept() error {
	return throng.Errorf(throng.Unsupported, "this region keeps no profiles and no ledger: its control planes need --dynamo to share them")
}

// profileClaim is a game server's right to a player's profile in its own session's game.
func (c calls) profileClaim(ctx context.Context, session, player string, epoch uint64) (throng.ProfileClaim, error) {
	var claim throng.ProfileClaim
	if c.cfg.Profiles == nil {
		return claim, errNotKept()
	}
	var err error
	if claim.Session, err = throng.ParseSessionID("id", session); err != nil {
		return claim, err
	}
	if err := ownSession(callerOf(ctx), claim.Session); err != nil {
		return claim, err
	}
	if claim.Key.Player, err = throng.ParsePlayerID("player", player); err != nil {
		return claim, err
	}
	if epoch == 0 || epoch > 1<<53 {
		return claim, throng.AtField(throng.Invalid, "epoch", "%d is none", epoch)
	}
	claim.Fence = throng.Epoch(epoch)
	claim.Key.Game, err = c.ownGame(ctx, claim.Session)
	return claim, err
}

// ownGame is the game that a session is of. A registry that lost it will hear of
// it again.
func (c calls) ownGame(ctx context.Context, id throng.SessionID) (throng.GameID, error) {
	at, err := c.homes.find(ctx, id)
	if throng.KindOf(err) == throng.NotFound && err != nil {
		return "", throng.RetryLater(throng.Unavailable, time.Second, "session %s has not reported yet", id)
	}
	if err != nil || at.game != "" {
		return at.game, err
	}
	release, err := c.cfg.Places.Version(ctx, at.place, at.version)
	if err != nil {
		return "", err
	}
	at.game = release.Keeps()
	c.homes.keep(id, at)
	return at.game, nil
}

// CheckoutProfile gives a session a player's profile.
func (c calls) CheckoutProfile(ctx context.Context, req gen.CheckoutProfileRequestObject) (gen.CheckoutProfileResponseObject, error) {
	claim, err := c.profileClaim(ctx, req.ID, req.Player, req.Body.Epoch)
	if err != nil {
		return nil, err
	}
	beat, err := c.heartbeat(ctx, "heartbeat.", claim.Session, req.Body.Heartbeat)
	if err != nil {
		return nil, err
	}
	if err := c.buckets.take(bucketKey{classOwned, string(claim.Session)}, c.limits.Owned, time.Now()); err != nil {
		return nil, err
	}
	// The epoch is the fence: it has to be the registry's word.
	if _, err := c.cfg.Seats.Bound(ctx, beat); err != nil {
		return nil, err
	}
	if err := c.seated(ctx, claim); err != nil {
		return nil, err
	}
	p, err := c.cfg.Profiles.Checkout(ctx, claim)
	if err != nil {
		return nil, err
	}
	return gen.CheckoutProfile200JSONResponse(gen.ProfileOf(p)), nil
}

// seated says whether the player sits in the session under the epoch. One whose
// confirm is on its way is let in soon.
func (c calls) seated(ctx context.Context, claim throng.ProfileClaim) error {
	err := c.cfg.Seats.Sits(ctx, claim.Session, []throng.Member{{Player: claim.Key.Player, Epoch: claim.Fence}})
	if err == nil || throng.KindOf(err) != throng.Denied {
		return err
	}
	at, look := c.cfg.Directory.Presence(ctx, claim.Key.Player)
	if look == nil && at.Epoch < claim.Fence {
		return throng.RetryLater(throng.Unavailable, 200*time.Millisecond, "the seat of %s is not confirmed yet", claim.Key.Player)
	}
	return err
}

// SaveProfile saves a player's document.
func (c calls) SaveProfile(ctx context.Context, req gen.SaveProfileRequestObject) (gen.SaveProfileResponseObject, error) {
	claim, err := c.profileClaim(ctx, req.ID, req.Player, req.Body.Epoch)
	if err != nil {
		return nil, err
	}
	if err := c.buckets.take(bucketKey{classOwned, string(claim.Session)}, c.limits.Owned, time.Now()); err != nil {
		return nil, err
	}
	if err := c.cfg.Profiles.Save(ctx, claim, throng.Revision(req.Body.Revision), req.Body.Document); err != nil {
		return nil, err
	}
	return gen.SaveProfile204Response{}, nil
}

// ReturnProfile lets go of a player's profile. It is not counted: it is asked once
// for each player, and nothing may stand in its way.
func (c calls) ReturnProfile(ctx context.Context, req gen.ReturnProfileRequestObject) (gen.ReturnProfileResponseObject, error) {
	claim, err := c.profileClaim(ctx, req.ID, req.Player, req.Body.Epoch)
	if err != nil {
		return nil, err
	}
	if err := c.cfg.Profiles.Return(ctx, claim, throng.Revision(req.Body.Revision), req.Body.Document); err != nil {
		return nil, err
	}
	return gen.ReturnProfile204Response{}, nil
}

// PostTransfer moves what players own.
func (c calls) PostTransfer(ctx context.Context, req gen.PostTransferRequestObject) (gen.PostTransferResponseObject, error) {
	if c.cfg.Ledger == nil {
		return nil, errNotKept()
	}
	transfer, err := req.Body.Root()
	if err != nil {
		return nil, err
	}
	order := throng.TransferOrder{Transfer: transfer}
	caller := callerOf(ctx)
	if caller.Role == RoleServer {
		if caller.Session == "" || req.Body.Place != "" {
			return nil, throng.AtField(throng.Denied, "place", "a game server posts in its own session's game")
		}
		order.Session = caller.Session
		if err := c.buckets.take(bucketKey{classOwned, string(caller.Session)}, c.limits.Owned, time.Now()); err != nil {
			return nil, err
		}
		order.Game, err = c.ownGame(ctx, caller.Session)
	} else {
		order.Game, err = c.gameFor(ctx, req.Body.Place, "place", "")
	}
	if err != nil {
		return nil, err
	}
	receipt, err := c.cfg.Ledger.Post(ctx, order)
	if err != nil {
		return nil, err
	}
	return gen.PostTransfer200JSONResponse(gen.ReceiptOf(receipt)), nil
}

// gameFor is the game that a place's new sessions keep what players own in, for
// the game's owners, operators, and for a player who asks about himself.
func (c calls) gameFor(ctx context.Context, id, field string, about throng.PlayerID) (throng.GameID, error) {
	place, err := throng.ParsePlaceID(field, id)
	if err != nil {
		return "", err
	}
	caller := callerOf(ctx)
	if about != "" && caller.Player == about && caller.Key == "" {
		release, err := c.cfg.Places.Release(ctx, place)
		return release.Keeps(), err
	}
	if caller.Role == RolePlayer {
		return "", throng.AtField(throng.NotFound, "player", "is not you")
	}
	if _, err := c.cfg.Owners.Owners(ctx, c.editorOf(ctx), place); err != nil {
		return "", notYours(place, err)
	}
	release, err := c.cfg.Places.Release(ctx, place)
	if err != nil && throng.KindOf(err) != throng.NotFound {
		return "", err
	}
	game := throng.GameID(place) // nothing of it is live yet
	if err == nil {
		game = release.Keeps()
	}
	if whole := throng.PlaceID(game); whole != place {
		if _, err := c.cfg.Owners.Owners(ctx, c.editorOf(ctx), whole); err != nil {
			return "", notYours(whole, err)
		}
	}
	return game, nil
}

// readable is a player in a place's game whom he himself, its creators and operators
// may read.
func (c calls) readable(ctx context.Context, id, player string) (throng.ProfileKey, error) {
	p, err := c.named(player)
	if err != nil {
		return throng.ProfileKey{}, err
	}
	game, err := c.gameFor(ctx, id, "id", p)
	return throng.ProfileKey{Game: game, Player: p}, err
}

// managed is a player in a place's game who is its creators' and operators' to
// manage.
func (c calls) managed(ctx context.Context, id, player string) (throng.ProfileKey, error) {
	p, err := c.named(player)
	if err != nil {
		return throng.ProfileKey{}, err
	}
	game, err := c.gameFor(ctx, id, "id", "")
	return throng.ProfileKey{Game: game, Player: p}, err
}

// named reads the name of a player, where what players own is kept.
func (c calls) named(player string) (throng.PlayerID, error) {
	if c.cfg.Ledger == nil || c.cfg.Saves == nil {
		return "", errNotKept()
	}
	return throng.ParsePlayerID("player", player)
}

// GetInventory returns what a player owns.
func (c calls) GetInventory(ctx context.Context, req gen.GetInventoryRequestObject) (gen.GetInventoryResponseObject, error) {
	k, err := c.readable(ctx, req.ID, req.Player)
	if err != nil {
		return nil, err
	}
	h, err := c.cfg.Ledger.Inventory(ctx, k.Game, k.Player)
	if err != nil {
		return nil, err
	}
	return gen.GetInventory200JSONResponse(gen.InventoryOf(h)), nil
}

// GetSessionInventory returns what a player owns in a session's game.
func (c calls) GetSessionInventory(
	ctx context.Context, req gen.GetSessionInventoryRequestObject,
) (gen.GetSessionInventoryResponseObject, error) {
	claim, err := c.profileClaim(ctx, req.ID, req.Player, 1) // whatever his epoch is, nothing moves
	if err != nil {
		return nil, err
	}
	if err := c.buckets.take(bucketKey{classOwned, string(claim.Session)}, c.limits.Owned, time.Now()); err != nil {
		return nil, err
	}
	h, err := c.cfg.Ledger.Inventory(ctx, claim.Key.Game, claim.Key.Player)
	if err != nil {
		return nil, err
	}
	return gen.GetSessionInventory200JSONResponse(gen.InventoryOf(h)), nil
}

// ListTransfers lists a player's newest transfers.
func (c calls) ListTransfers(ctx context.Context, req gen.ListTransfersRequestObject) (gen.ListTransfersResponseObject, error) {
	limit, err := limitOf(req.Params.Limit)
	if err != nil {
		return nil, err
	}
	k, err := c.readable(ctx, req.ID, req.Player)
	if err != nil {
		return nil, err
	}
	list, err := c.cfg.Ledger.Entries(ctx, k.Game, k.Player, time.Time{}, limit)
	if err != nil {
		return nil, err
	}
	out := gen.ListTransfers200JSONResponse{Transfers: make([]gen.TransferInfo, len(list))}
	for i, e := range list {
		out.Transfers[i] = gen.TransferInfoOf(e)
	}
	return out, nil
}

// GetProfile returns a player's profile as it was saved.
func (c calls) GetProfile(ctx context.Context, req gen.GetProfileRequestObject) (gen.GetProfileResponseObject, error) {
	k, err := c.readable(ctx, req.ID, req.Player)
	if err != nil {
		return nil, err
	}
	revision := value(req.Params.Revision)
	if revision < 0 {
		return nil, throng.AtField(throng.Invalid, "revision", "%d is none", revision)
	}
	p, err := c.cfg.Saves.Get(ctx, k, throng.Revision(revision))
	if err != nil {
		return nil, err
	}
	return gen.GetProfile200JSONResponse(gen.ProfileOf(p)), nil
}

// ListSaves lists what is kept of a player's profile.
func (c calls) ListSaves(ctx context.Context, req gen.ListSavesRequestObject) (gen.ListSavesResponseObject, error) {
	k, err := c.managed(ctx, req.ID, req.Player)
	if err != nil {
		return nil, err
	}
	list, err := c.cfg.Saves.Saves(ctx, k)
	if err != nil {
		return nil, err
	}
	out := gen.ListSaves200JSONResponse{Saves: make([]gen.SaveInfo, len(list))}
	for i, s := range list {
		out.Saves[i] = gen.SaveInfoOf(s)
	}
	return out, nil
}

// RestoreProfile makes an older save the newest.
func (c calls) RestoreProfile(ctx context.Context, req gen.RestoreProfileRequestObject) (gen.RestoreProfileResponseObject, error) {
	k, err := c.managed(ctx, req.ID, req.Player)
	if err != nil {
		return nil, err
	}
	revision, err := c.cfg.Saves.Restore(ctx, k, throng.Revision(req.Body.Revision))
	if err != nil {
		return nil, err
	}
	return gen.RestoreProfile200JSONResponse{Revision: uint64(revision)}, nil
}

// Audit proves the ledger's books.
func (c calls) Audit(ctx context.Context, _ gen.AuditRequestObject) (gen.AuditResponseObject, error) {
	if c.cfg.Auditor == nil {
		return nil, errNotKept()
	}
	select {
	case c.auditing <- struct{}{}:
		defer func() { <-c.auditing }()
	default:
		return nil, throng.RetryLater(throng.Unavailable, time.Second, "an audit is running already")
	}
	report, err := c.cfg.Auditor.Audit(ctx)
	if err != nil {
		return nil, err
	}
	return gen.Audit200JSONResponse(gen.AuditReportOf(report)), nil
}
