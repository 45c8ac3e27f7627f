package home

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

// awayTime is how long another region's door may take to answer a read before the
// copy does.
const awayTime = 3 * time.Second

// Here is what other regions' doors call: what is not written here is Unavailable.
func (h *Homes) Here() Owned { return owned{h, func() bool { return true }} }

// Anywhere is what this region's own door calls.
func (h *Homes) Anywhere() Owned {
	return owned{h, func() bool { now := h.Now(); return now.Term == 0 || now.Region == h.cfg.Own.ID }}
}

// owned calls the home.
type owned struct {
	h    *Homes
	here func() bool // whether the call is for this region
}

// write makes a call that may change something.
func write[T any](ctx context.Context, o owned, call func(context.Context, Owned) (T, error)) (out T, err error) {
	went := wentHere
	defer func() { o.h.metrics.called(went, err) }()
	if !o.here() {
		went = wentHome
		home := o.h.Now().Region
		if out, err = call(ctx, o.h.cfg.Regions.Owned(home)); away(err) { // who reads this need not know what its door's address is
			o.h.cfg.Logger.DebugContext(ctx, "the home does not answer", "region", home, "err", err)
			err = throng.RetryLater(throng.Unavailable, max(again, throng.RetryAfterOf(err)), "region %s, in which what players own is written, does not answer", home)
		}
		return out, err
	}
	done, err := o.h.enter()
	if err != nil {
		return out, err
	}
	defer done()
	return call(ctx, o.h.cfg.Local)
}

// read makes a call that changes nothing: where the home does not answer, of the
// copy, which has to say so.
func read[T any](ctx context.Context, o owned, call func(context.Context, Owned) (T, error)) (out T, copied bool, err error) {
	if o.here() {
		out, err = call(ctx, o.h.cfg.Local)
		o.h.metrics.called(wentHere, err)
		return out, false, err
	}
	asking, cancel := context.WithTimeout(ctx, awayTime)
	defer cancel()
	out, err = call(asking, o.h.cfg.Regions.Owned(o.h.Now().Region))
	o.h.metrics.called(wentHome, err)
	if !away(err) || ctx.Err() != nil {
		return out, false, err
	}
	out, err = call(ctx, o.h.cfg.Local)
	o.h.metrics.called(wentCopy, err)
	return out, true, err
}

// away says whether a region does not answer, or cannot say.
func away(err error) bool {
	kind := throng.KindOf(err)
	return err != nil && (kind == throng.Unavailable || kind == throng.Internal)
}

// Checkout gives a session the profile. While the home is away: its copy, which
// cannot be saved; Unavailable: there is none of a save.
func (o owned) Checkout(ctx context.Context, c throng.ProfileClaim) (throng.Profile, error) {
	asking, cancel := context.WithTimeout(ctx, awayTime+2*time.Second) // an older holder is waited for
	defer cancel()
	p, err := write(asking, o, func(ctx context.Context, to Owned) (throng.Profile, error) { return to.Checkout(ctx, c) })
	if o.here() || !away(err) || ctx.Err() != nil {
		return p, err
	}
	copied, wrong := o.h.cfg.Local.Get(ctx, c.Key, 0)
	o.h.metrics.called(wentCopy, wrong)
	if wrong != nil || copied.Revision == 0 { // he may be new, or not copied yet
		return throng.Profile{}, err
	}
	copied.Copy = true
	return copied, nil
}

// Save makes the document the next revision.
func (o owned) Save(ctx context.Context, c throng.ProfileClaim, revision throng.Revision, document []byte) error {
	_, err := write(ctx, o, func(ctx context.Context, to Owned) (struct{}, error) {
		return struct{}{}, to.Save(ctx, c, revision, document)
	})
	return err
}

// Return lets go of the profile.
func (o owned) Return(ctx context.Context, c throng.ProfileClaim, revision throng.Revision, document []byte) error {
	_, err := write(ctx, o, func(ctx context.Context, to Owned) (struct{}, error) {
		return struct{}{}, to.Return(ctx, c, revision, document)
	})
	return err
}

// Get returns a profile as it was saved.
func (o owned) Get(ctx context.Context, k throng.ProfileKey, revision throng.Revision) (throng.Profile, error) {
	p, copied, err := read(ctx, o, func(ctx context.Context, of Owned) (throng.Profile, error) { return of.Get(ctx, k, revision) })
	p.Copy = copied && err == nil
	return p, err
}

// Saves lists what is kept; of the copy what came here.
func (o owned) Saves(ctx context.Context, k throng.ProfileKey) ([]throng.ProfileSave, error) {
	list, _, err := read(ctx, o, func(ctx context.Context, of Owned) ([]throng.ProfileSave, error) { return of.Saves(ctx, k) })
	return list, err
}

// Restore makes an older save the newest.
func (o owned) Restore(ctx context.Context, k throng.ProfileKey, revision throng.Revision) (throng.Revision, error) {
	return write(ctx, o, func(ctx context.Context, to Owned) (throng.Revision, error) { return to.Restore(ctx, k, revision) })
}

// Post posts a transfer.
func (o owned) Post(ctx context.Context, order throng.TransferOrder) (throng.Receipt, error) {
	return write(ctx, o, func(ctx context.Context, to Owned) (throng.Receipt, error) { return to.Post(ctx, order) })
}

// Inventory is what a player owns.
func (o owned) Inventory(ctx context.Context, g throng.GameID, p throng.PlayerID) (throng.Holding, error) {
	has, copied, err := read(ctx, o, func(ctx context.Context, of Owned) (throng.Holding, error) { return of.Inventory(ctx, g, p) })
	has.Copy = copied && err == nil
	return has, err
}

// Entries lists a player's newest transfers.
func (o owned) Entries(ctx context.Context, g throng.GameID, p throng.PlayerID, before time.Time, limit int) ([]throng.LedgerEntry, error) {
	list, _, err := read(ctx, o, func(ctx context.Context, of Owned) ([]throng.LedgerEntry, error) {
		return of.Entries(ctx, g, p, before, limit)
	})
	return list, err
}
