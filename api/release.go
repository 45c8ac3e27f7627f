package api

import (
	"context"
	"fmt"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// drainedMost bounds the sessions that are looked at for one drain.
const drainedMost = 100_000

// GetRelease says what of a place is released.
func (c calls) GetRelease(ctx context.Context, req gen.GetReleaseRequestObject) (gen.GetReleaseResponseObject, error) {
	place, err := throng.ParsePlaceID("id", req.ID)
	if err != nil {
		return nil, err
	}
	ch, err := c.cfg.Releases.Channels(ctx, c.editorOf(ctx), place)
	if err != nil {
		return nil, notYours(place, err)
	}
	return gen.GetRelease200JSONResponse(channelsOf(ch)), nil
}

// ChangeRelease releases another version.
func (c calls) ChangeRelease(ctx context.Context, req gen.ChangeReleaseRequestObject) (gen.ChangeReleaseResponseObject, error) {
	place, err := throng.ParsePlaceID("id", req.ID)
	if err != nil {
		return nil, err
	}
	want, err := changeOf(*req.Body)
	if err != nil {
		return nil, err
	}
	ch, err := c.change(ctx, place, want, *req.Body)
	if err != nil {
		return nil, err
	}
	out := channelsOf(ch)
	if req.Body.Drain {
		if out.Drained, err = c.drainOthers(ctx, ch); err != nil {
			return nil, fmt.Errorf("it is released, but others are not drained: %w", err)
		}
	}
	return gen.ChangeRelease200JSONResponse(out), nil
}

// change changes what is released, if anything is to be changed.
func (c calls) change(
	ctx context.Context, place throng.PlaceID, want throng.ReleaseChange, body gen.ReleaseRequest,
) (throng.Channels, error) {
	ch, err := c.cfg.Releases.Channels(ctx, c.editorOf(ctx), place)
	if err != nil {
		return throng.Channels{}, notYours(place, err)
	}
	if body.Drain && want.Live == 0 && want.Canary == nil && !want.Rollback && want.Pin == nil {
		return ch, nil
	}
	// What is released from now on is not drained any more.
	for _, v := range comes(ch, want) {
		if err := c.undrain(ctx, place, v); err != nil {
			return throng.Channels{}, err
		}
	}
	ch, err = c.cfg.Releases.Change(ctx, c.editorOf(ctx), place, want)
	return ch, notYours(place, err)
}

// comes is the versions that a change may release.
func comes(ch throng.Channels, want throng.ReleaseChange) (list []throng.Version) {
	switch {
	case want.Live != 0:
		list = append(list, want.Live)
	case want.Rollback && ch.Before != 0:
		list = append(list, ch.Before)
	case want.Canary != nil && want.Canary.Version != 0:
		list = append(list, want.Canary.Version)
	case want.Canary != nil && len(ch.Releases) > 0:
		list = append(list, ch.Releases[0].Version)
	}
	return list
}

func (c calls) undrain(ctx context.Context, place throng.PlaceID, v throng.Version) error {
	if c.cfg.Fleets == nil {
		return nil
	}
	return c.cfg.Fleets.Undrain(ctx, throng.DrainVersion, throng.VersionName(place, v))
}

// drainOthers moves the players of other versions to what is released. It returns
// in how many sessions they are.
func (c calls) drainOthers(ctx context.Context, ch throng.Channels) (int, error) {
	fleets, err := c.fleets()
	if err != nil {
		return 0, err
	}
	sessions := map[throng.Version]int{}
	after, seen := throng.SessionID(""), 0
	for seen < drainedMost {
		page, err := c.cfg.Directory.Sessions(ctx, ch.Place, after, censusPage)
		if err != nil {
			return 0, err
		}
		for _, s := range page {
			if s.Version != ch.Live && s.Version != ch.Canary.Version {
				sessions[s.Version]++
			}
			after = s.ID
		}
		if seen += len(page); len(page) < censusPage {
			break
		}
	}
	n := 0
	for v, count := range sessions {
		_, err := fleets.Drain(ctx, throng.FleetDrain{
			Kind: throng.DrainVersion, Name: throng.VersionName(ch.Place, v),
			Reason: fmt.Sprintf("version %d is live", ch.Live),
		}, 0)
		if err != nil {
			return n, err
		}
		n += count
	}
	return n, nil
}

func changeOf(in gen.ReleaseRequest) (throng.ReleaseChange, error) {
	want := throng.ReleaseChange{Live: throng.Version(in.Live), Rollback: in.Rollback, Pin: in.Pin}
	if in.Live < 0 {
		return want, throng.AtField(throng.Invalid, "live", "is %d, versions count from 1", in.Live)
	}
	if in.Revision < 0 {
		return want, throng.AtField(throng.Invalid, "revision", "is %d, revisions count from 1", in.Revision)
	}
	want.Revision = uint64(in.Revision)
	if in.Canary != nil {
		if in.Canary.Version < 0 {
			return want, throng.AtField(throng.Invalid, "canary.version", "is %d, versions count from 1", in.Canary.Version)
		}
		want.Canary = &throng.Canary{Version: throng.Version(in.Canary.Version), Percent: in.Canary.Percent}
	}
	return want, nil
}

func channelsOf(ch throng.Channels) gen.Channels {
	out := gen.Channels{
		Place: string(ch.Place), Revision: int64(ch.Revision), Live: int(ch.Live), Pinned: ch.Pinned, Before: int(ch.Before), //nolint:gosec // it counts changes
		Versions: make([]gen.Release, 0, len(ch.Releases)),
	}
	if ch.Canary.Percent > 0 {
		out.Canary = &gen.Canary{Version: int(ch.Canary.Version), Percent: ch.Canary.Percent}
	}
	for _, r := range ch.Releases {
		p := throng.Published{Release: r, Live: r.Version == ch.Live}
		if r.Version == ch.Canary.Version {
			p.Canary = ch.Canary.Percent
		}
		out.Versions = append(out.Versions, releaseOf(p))
	}
	return out
}

func releaseOf(p throng.Published) gen.Release {
	return gen.Release{
		Place:       string(p.Place),
		Name:        p.Name,
		Version:     int(p.Version),
		Package:     string(p.Package),
		Capacity:    p.Capacity,
		TickRate:    p.TickRate,
		PublishedAt: time.UnixMilli(p.Published).UTC(),
		Live:        p.Live,
		Canary:      p.Canary,
	}
}
