package home

import (
	"context"
	"fmt"
	"time"

	"github.com/throng-gg/throng"
)

const (
	yieldTime = 15 * time.Second
	copyTime  = 30 * time.Second // for the last writes of a home that was told
	copyLook  = 200 * time.Millisecond
	fallTime  = 4 * time.Second // until a region that is lost is not heard any more
)

// Promote makes this region the home. A home that is heard is told first, and its last
// writes are waited for; what a home that is not heard wrote and never passed on is
// listed once it is back. Repeated it changes nothing, or goes on. Unavailable: a home that
// is heard cannot be told, or its last writes do not come; force goes on all the same.
func (h *Homes) Promote(ctx context.Context, force bool) error { //nolint:revive // flag-parameter: how it is meant
	select {
	case h.one <- struct{}{}:
		defer func() { <-h.one }()
	default:
		return throng.RetryLater(throng.Conflict, again, "this region is being promoted already")
	}
	before := h.Now()
	if before.Term == 0 {
		return throng.RetryLater(throng.Unavailable, again, "who is home is not known yet")
	}
	if before.Region == h.cfg.Own.ID {
		return nil
	}
	highest := before.Term
	for _, s := range h.cfg.Regions.Known() { // also one that was begun and not ended
		highest = max(highest, s.Home.Term)
	}
	next := throng.Home{Region: h.cfg.Own.ID, Term: throng.NextTerm(highest, h.cfg.Own.Number)}
	h.cfg.Logger.WarnContext(ctx, "this region is being made the home of profiles and ledger", "before", before.Region, "term", next.Term>>8, "force", force)
	if err := h.letGo(ctx, before.Region, next); err != nil {
		if !force {
			return err
		}
		h.cfg.Logger.WarnContext(ctx, "made the home by force", "err", err)
	}
	if err := h.cfg.Store.SetHome(ctx, next); err != nil {
		return fmt.Errorf("write down that this region is the home: %w", err)
	}
	h.adopt(ctx, next)
	return nil
}

// letGo returns when the home may be replaced.
func (h *Homes) letGo(ctx context.Context, home throng.RegionID, next throng.Home) error {
	if h.cfg.Regions.Heard(home) {
		err := h.tell(ctx, home, next)
		if err == nil {
			return h.awaitLast(ctx, home)
		}
		if !h.falls(ctx, home) {
			return err
		}
	}
	behind, known := h.behind(home)
	if !known {
		return throng.Errorf(throng.Unavailable, "this region has no copy of what %s wrote: nobody's profile nor items would be here; force makes it the home all the same", home)
	}
	h.cfg.Logger.WarnContext(ctx, "the home is not heard; what is not in the copy is listed as losses once it is back", "region", home, "copy_age", behind)
	return nil
}

// falls says whether a region that did not answer is not heard either, in a moment.
func (h *Homes) falls(ctx context.Context, r throng.RegionID) bool {
	late := time.NewTimer(fallTime)
	defer late.Stop()
	tick := time.NewTicker(copyLook)
	defer tick.Stop()
	for h.cfg.Regions.Heard(r) {
		select {
		case <-tick.C:
		case <-late.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (h *Homes) behind(r throng.RegionID) (time.Duration, bool) {
	if h.cfg.Copies == nil {
		return 0, false
	}
	return h.cfg.Copies.Behind(r)
}

// tell has the home stop writing.
func (h *Homes) tell(ctx context.Context, r throng.RegionID, next throng.Home) error {
	ctx, cancel := context.WithTimeout(ctx, yieldTime)
	defer cancel()
	if err := h.cfg.Regions.Yield(ctx, r, next); err != nil {
		return fmt.Errorf("tell region %s that it is not the home any more: %w", r, err)
	}
	return nil
}

// awaitLast waits until what a home wrote that stopped is here.
func (h *Homes) awaitLast(ctx context.Context, r throng.RegionID) error {
	stopped, late := time.Now(), time.NewTimer(copyTime)
	defer late.Stop()
	tick := time.NewTicker(copyLook)
	defer tick.Stop()
	for {
		if behind, known := h.behind(r); known && behind < time.Since(stopped) {
			return nil
		}
		select {
		case <-tick.C:
		case <-late.C:
			return throng.RetryLater(throng.Unavailable, again, "region %s writes no more, but its last writes are not here after %s", r, copyTime)
		case <-ctx.Done():
			return throng.Errorf(throng.Unavailable, "wait for the last writes of region %s: %w", r, ctx.Err())
		}
	}
}

// Yield takes in that another region is the home, told by it. When it returned nil
// nothing is written here any more under an older term, and all that was can be copied.
func (h *Homes) Yield(ctx context.Context, said throng.Home) error {
	if said.Region == h.cfg.Own.ID {
		return throng.AtField(throng.Invalid, "region", "is this one, which other regions do not promote")
	}
	if err := h.Learn(ctx, said); err != nil || h.cfg.Copies == nil {
		return err
	}
	return h.cfg.Copies.Flush(ctx)
}
