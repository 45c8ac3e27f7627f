package api

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// GetNumbers tells how a place does.
func (c calls) GetNumbers(ctx context.Context, req gen.GetNumbersRequestObject) (gen.GetNumbersResponseObject, error) {
	place, err := throng.ParsePlaceID("id", req.ID)
	if err != nil {
		return nil, err
	}
	if c.cfg.Numbers == nil {
		return nil, throng.Errorf(throng.Unsupported, "events are not counted here")
	}
	if _, err := c.cfg.Owners.Owners(ctx, c.editorOf(ctx), place); err != nil {
		return nil, notYours(place, err)
	}
	n, err := c.cfg.Numbers.Numbers(ctx, place)
	if err != nil {
		return nil, err
	}
	return gen.GetNumbers200JSONResponse(gen.PlaceNumbersOf(n)), nil
}

// ListBans lists who is banned.
func (c calls) ListBans(ctx context.Context, req gen.ListBansRequestObject) (gen.ListBansResponseObject, error) {
	limit, err := limitOf(req.Params.Limit)
	if err != nil {
		return nil, err
	}
	after := throng.PlayerID(value(req.Params.After))
	if after != "" {
		if after, err = throng.ParsePlayerID("after", string(after)); err != nil {
			return nil, err
		}
	}
	if c.cfg.Bans == nil {
		return nil, noBans()
	}
	list, err := c.cfg.Bans.ListBans(ctx, after, limit+1)
	if err != nil {
		return nil, err
	}
	out, now := gen.ListBans200JSONResponse{Bans: []gen.Ban{}}, time.Now()
	for i, b := range list {
		if i == limit {
			out.Next = out.Bans[limit-1].Player
			break
		}
		out.Bans = append(out.Bans, gen.BanOf(b, now))
	}
	return out, nil
}

// GetBan tells why a player is banned.
func (c calls) GetBan(ctx context.Context, req gen.GetBanRequestObject) (gen.GetBanResponseObject, error) {
	player, err := throng.ParsePlayerID("player", req.Player)
	if err != nil {
		return nil, err
	}
	if c.cfg.Bans == nil {
		return nil, noBans()
	}
	list, err := c.cfg.Bans.Bans(ctx, []throng.PlayerID{player})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, throng.Errorf(throng.NotFound, "%s has no ban", player)
	}
	return gen.GetBan200JSONResponse(gen.BanOf(list[0], time.Now())), nil
}

// LiftBan lets a player in again.
func (c calls) LiftBan(ctx context.Context, req gen.LiftBanRequestObject) (gen.LiftBanResponseObject, error) {
	player, err := throng.ParsePlayerID("player", req.Player)
	if err != nil {
		return nil, err
	}
	if c.cfg.Bans == nil {
		return nil, noBans()
	}
	b, err := c.cfg.Bans.Lift(ctx, player, string(callerOf(ctx).Player), time.Now().UTC().Truncate(time.Millisecond))
	if err != nil {
		return nil, err
	}
	return gen.LiftBan200JSONResponse(gen.BanOf(b, time.Now())), nil
}

func noBans() error { return throng.Errorf(throng.Unsupported, "nobody is banned here") }

// notBanned refuses players who are kept out. While it cannot be said who is, they
// come in: who keeps bans keeps nobody else out.
func (a *API) notBanned(ctx context.Context, players ...throng.PlayerID) error {
	if a.cfg.Bans == nil {
		return nil
	}
	list, err := a.cfg.Bans.Bans(ctx, players)
	if err != nil {
		a.log.WarnContext(ctx, "bans cannot be read, nobody is kept out", "err", err)
		return nil
	}
	now := time.Now()
	for _, b := range list {
		if b.Holds(now) {
			return b.Refuse()
		}
	}
	return nil
}
