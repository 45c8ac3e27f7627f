package api

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// errNoHome says that regions keep what players own each by itself.
func errNoHome() error {
	return throng.Errorf(throng.Unsupported, "this region has no home of profiles and ledger: its control planes need --home")
}

// CallOwned does for another region's door what it may do with what players own here.
func (c calls) CallOwned(ctx context.Context, req gen.CallOwnedRequestObject) (gen.CallOwnedResponseObject, error) {
	if err := c.ownRegion(req.ID); err != nil {
		return nil, err
	}
	if c.cfg.Home == nil {
		return nil, errNoHome()
	}
	out, err := callOwned(ctx, c.cfg.Home.Here(), *req.Body)
	if err != nil {
		return nil, err
	}
	return gen.CallOwned200JSONResponse(out), nil
}

// callOwned makes one call.
func callOwned(ctx context.Context, of Owned, call gen.OwnedCall) (out gen.OwnedAnswer, err error) {
	switch call.Call {
	case gen.OwnedPost:
		err = postOwned(ctx, of, call, &out)
		return out, err
	case gen.OwnedCheckout, gen.OwnedSave, gen.OwnedReturn:
		err = writeOwned(ctx, of, call, &out)
		return out, err
	}
	k, err := call.Key()
	if err != nil {
		return out, err
	}
	switch call.Call {
	case gen.OwnedGet:
		var p throng.Profile
		p, err = of.Get(ctx, k, throng.Revision(call.Revision))
		out.Profile = gen.ProfileOf(p)
	case gen.OwnedSaves:
		var list []throng.ProfileSave
		list, err = of.Saves(ctx, k)
		for _, s := range list {
			out.Saves = append(out.Saves, gen.SaveInfoOf(s))
		}
	case gen.OwnedRestore:
		var revision throng.Revision
		revision, err = of.Restore(ctx, k, throng.Revision(call.Revision))
		out.Revision = uint64(revision)
	case gen.OwnedInventory:
		var h throng.Holding
		h, err = of.Inventory(ctx, k.Game, k.Player)
		out.Inventory = gen.InventoryOf(h)
	case gen.OwnedEntries:
		var list []throng.LedgerEntry
		if call.Limit < 1 || call.Limit > maxLimit {
			return out, throng.AtField(throng.Invalid, "limit", "%d is not within 1 and %d", call.Limit, maxLimit)
		}
		list, err = of.Entries(ctx, k.Game, k.Player, call.Before, call.Limit)
		for _, e := range list {
			out.Transfers = append(out.Transfers, gen.TransferInfoOf(e))
		}
	default:
		err = throng.AtField(throng.Invalid, "call", "%.20q is none", call.Call)
	}
	return out, err
}

func postOwned(ctx context.Context, of Owned, call gen.OwnedCall, out *gen.OwnedAnswer) error {
	order, err := call.Order()
	if err != nil {
		return err
	}
	receipt, err := of.Post(ctx, order)
	out.Receipt = gen.ReceiptOf(receipt)
	return err
}

func writeOwned(ctx context.Context, of Owned, call gen.OwnedCall, out *gen.OwnedAnswer) error {
	claim, err := call.Claim()
	if err != nil {
		return err
	}
	switch call.Call {
	case gen.OwnedSave:
		return of.Save(ctx, claim, throng.Revision(call.Revision), call.Document)
	case gen.OwnedReturn:
		return of.Return(ctx, claim, throng.Revision(call.Revision), call.Document)
	}
	p, err := of.Checkout(ctx, claim)
	out.Profile = gen.ProfileOf(p)
	return err
}

// YieldHome takes in who is home, told by the region that is to be it.
func (c calls) YieldHome(ctx context.Context, req gen.YieldHomeRequestObject) (gen.YieldHomeResponseObject, error) {
	if err := c.ownRegion(req.ID); err != nil {
		return nil, err
	}
	if c.cfg.Home == nil {
		return nil, errNoHome()
	}
	said, err := req.Body.Root()
	if err != nil {
		return nil, err
	}
	if said.Region != callerOf(ctx).Region {
		return nil, throng.AtField(throng.Denied, "region", "%s is not the one that calls, which is %s", said.Region, callerOf(ctx).Region)
	}
	return gen.YieldHome204Response{}, c.cfg.Home.Yield(ctx, said)
}

// GetHome says who is home.
func (c calls) GetHome(ctx context.Context, _ gen.GetHomeRequestObject) (gen.GetHomeResponseObject, error) {
	if c.cfg.Home == nil {
		return nil, errNoHome()
	}
	s, err := c.cfg.Home.State(ctx)
	if err != nil {
		return nil, err
	}
	return gen.GetHome200JSONResponse(gen.HomeStateOf(s)), nil
}

// PromoteHome makes this region the home.
func (c calls) PromoteHome(ctx context.Context, req gen.PromoteHomeRequestObject) (gen.PromoteHomeResponseObject, error) {
	if c.cfg.Home == nil {
		return nil, errNoHome()
	}
	c.cfg.Logger.InfoContext(ctx, "operator makes this region the home", "by", callerOf(ctx).Player)
	if err := c.cfg.Home.Promote(ctx, req.Body.Force); err != nil {
		return nil, err
	}
	s, err := c.cfg.Home.State(ctx)
	if err != nil {
		return nil, err
	}
	return gen.PromoteHome200JSONResponse(gen.HomeStateOf(s)), nil
}

// ListHomeLosses lists what was lost with an earlier home.
func (c calls) ListHomeLosses(ctx context.Context, _ gen.ListHomeLossesRequestObject) (gen.ListHomeLossesResponseObject, error) {
	if c.cfg.Home == nil {
		return nil, errNoHome()
	}
	list, err := c.cfg.Home.Losses(ctx)
	if err != nil {
		return nil, err
	}
	out := gen.ListHomeLosses200JSONResponse{Losses: []gen.HomeLoss{}}
	for _, l := range list {
		out.Losses = append(out.Losses, gen.HomeLossOf(l))
	}
	return out, nil
}

// homeTime is how long a promotion may take: the home is told, and its last writes
// are waited for.
const homeTime = time.Minute
