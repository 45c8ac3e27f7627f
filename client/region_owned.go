package client

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// Owned does what another region does with what players own, through its door, on
// behalf of sessions and people whom the calling region has checked. It repeats
// nothing. Unavailable: the region is away, or is not the home.
type Owned struct {
	r      *Region
	around func(ctx context.Context, call func(context.Context) error) error
}

// Owned is what the region does with what players own. around makes each call, or
// refuses it; nil: they are made.
func (r *Region) Owned(around func(ctx context.Context, call func(context.Context) error) error) Owned {
	if around == nil {
		around = func(ctx context.Context, call func(context.Context) error) error { return call(ctx) }
	}
	return Owned{r, around}
}

func (o Owned) call(ctx context.Context, call gen.OwnedCall) (a gen.OwnedAnswer, err error) {
	err = o.around(ctx, func(ctx context.Context) (err error) {
		a, err = send[gen.OwnedAnswer](ctx, o.r.door.line, callTime, of(gen.NewCallOwnedRequest(o.r.door.line.addr, string(o.r.id), call)))
		return err
	})
	return a, err
}

func claimed(call string, c throng.ProfileClaim) gen.OwnedCall {
	return gen.OwnedCall{Call: call, Game: string(c.Key.Game), Player: string(c.Key.Player), Session: string(c.Session), Epoch: uint64(c.Fence)}
}

func about(call string, k throng.ProfileKey) gen.OwnedCall {
	return gen.OwnedCall{Call: call, Game: string(k.Game), Player: string(k.Player)}
}

// Checkout gives a session a profile.
func (o Owned) Checkout(ctx context.Context, c throng.ProfileClaim) (throng.Profile, error) {
	a, err := o.call(ctx, claimed(gen.OwnedCheckout, c))
	return a.Profile.Root(), err
}

// Save makes a document the next revision.
func (o Owned) Save(ctx context.Context, c throng.ProfileClaim, revision throng.Revision, document []byte) error {
	call := claimed(gen.OwnedSave, c)
	call.Revision, call.Document = uint64(revision), document
	_, err := o.call(ctx, call)
	return err
}

// Return lets go of a profile.
func (o Owned) Return(ctx context.Context, c throng.ProfileClaim, revision throng.Revision, document []byte) error {
	call := claimed(gen.OwnedReturn, c)
	call.Revision, call.Document = uint64(revision), document
	_, err := o.call(ctx, call)
	return err
}

// Get returns a profile as it was saved in a revision; 0: last.
func (o Owned) Get(ctx context.Context, k throng.ProfileKey, revision throng.Revision) (throng.Profile, error) {
	call := about(gen.OwnedGet, k)
	call.Revision = uint64(revision)
	a, err := o.call(ctx, call)
	return a.Profile.Root(), err
}

// Saves lists what is kept of a profile.
func (o Owned) Saves(ctx context.Context, k throng.ProfileKey) ([]throng.ProfileSave, error) {
	a, err := o.call(ctx, about(gen.OwnedSaves, k))
	out := make([]throng.ProfileSave, len(a.Saves))
	for i, s := range a.Saves {
		out[i] = s.Root()
	}
	return out, err
}

// Restore makes an older save the newest.
func (o Owned) Restore(ctx context.Context, k throng.ProfileKey, revision throng.Revision) (throng.Revision, error) {
	call := about(gen.OwnedRestore, k)
	call.Revision = uint64(revision)
	a, err := o.call(ctx, call)
	return throng.Revision(a.Revision), err
}

// Post posts a transfer.
func (o Owned) Post(ctx context.Context, order throng.TransferOrder) (throng.Receipt, error) {
	a, err := o.call(ctx, gen.OwnedCall{
		Call: gen.OwnedPost, Game: string(order.Game), Session: string(order.Session), Transfer: gen.TransferRequestOf(order.Transfer),
	})
	return a.Receipt.Root(), err
}

// Inventory is what a player owns.
func (o Owned) Inventory(ctx context.Context, g throng.GameID, p throng.PlayerID) (throng.Holding, error) {
	a, err := o.call(ctx, about(gen.OwnedInventory, throng.ProfileKey{Game: g, Player: p}))
	return a.Inventory.Root(), err
}

// Entries lists a player's newest transfers.
func (o Owned) Entries(ctx context.Context, g throng.GameID, p throng.PlayerID, before time.Time, limit int) ([]throng.LedgerEntry, error) {
	call := about(gen.OwnedEntries, throng.ProfileKey{Game: g, Player: p})
	call.Before, call.Limit = before, limit
	a, err := o.call(ctx, call)
	out := make([]throng.LedgerEntry, len(a.Transfers))
	for i, t := range a.Transfers {
		out[i] = t.Root()
	}
	return out, err
}

// Yield tells the region who is home. When it returned nil the region writes nothing
// more under an older term.
func (r *Region) Yield(ctx context.Context, h throng.Home) error {
	_, err := send[nothing](ctx, r.door.line, homeTime, of(gen.NewYieldHomeRequest(r.door.line.addr, string(r.id), gen.HomeOf(h))))
	return err
}

// homeTime is for calls that wait until a region writes nothing more.
const homeTime = time.Minute

// Home tells which region profiles and ledger are written in, for operators.
func (d *Door) Home(ctx context.Context) (gen.HomeState, error) {
	return send[gen.HomeState](ctx, d.line, callTime, of(gen.NewGetHomeRequest(d.line.addr)))
}

// PromoteHome makes the door's region the home. Repeated it changes nothing, or goes
// on.
func (d *Door) PromoteHome(ctx context.Context, force bool) (gen.HomeState, error) {
	return send[gen.HomeState](ctx, d.line, homeTime, of(gen.NewPromoteHomeRequest(d.line.addr, gen.PromoteRequest{Force: force})))
}

// HomeLosses lists transfers that were lost with an earlier home.
func (d *Door) HomeLosses(ctx context.Context) (gen.HomeLosses, error) {
	return send[gen.HomeLosses](ctx, d.line, callTime, of(gen.NewListHomeLossesRequest(d.line.addr)))
}
