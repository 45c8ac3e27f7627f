package api

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

const (
	defaultLimit = 50
	maxLimit     = 200
	scanPage     = 500   // sessions asked for at a time while filtering
	maxScan      = 5_000 // sessions that one call looks at
)

// ListPlaces lists what is live.
func (c calls) ListPlaces(ctx context.Context, req gen.ListPlacesRequestObject) (gen.ListPlacesResponseObject, error) {
	limit, err := limitOf(req.Params.Limit)
	if err != nil {
		return nil, err
	}
	after := throng.PlaceID("")
	if from := value(req.Params.After); from != "" {
		if after, err = throng.ParsePlaceID("after", from); err != nil {
			return nil, err
		}
	}
	releases, err := c.cfg.Places.Releases(ctx, after, limit+1)
	if err != nil {
		return nil, err
	}
	counts, err := c.census.counts(ctx)
	if err != nil {
		return nil, err
	}
	out := gen.ListPlaces200JSONResponse{Places: []gen.Place{}}
	for i, r := range releases {
		if i == limit {
			out.Next = out.Places[limit-1].ID
			break
		}
		n := counts[r.Place]
		out.Places = append(out.Places, gen.Place{
			ID: string(r.Place), Name: r.Name, Version: int(r.Version), Capacity: r.Capacity,
			Players: n.players, Sessions: n.sessions,
		})
	}
	return out, nil
}

// ListPlaceSessions lists a place's sessions.
func (c calls) ListPlaceSessions(
	ctx context.Context, req gen.ListPlaceSessionsRequestObject,
) (gen.ListPlaceSessionsResponseObject, error) {
	place, err := throng.ParsePlaceID("id", req.ID)
	if err != nil {
		return nil, err
	}
	limit, err := limitOf(req.Params.Limit)
	if err != nil {
		return nil, err
	}
	after, err := afterSession(value(req.Params.After))
	if err != nil {
		return nil, err
	}
	fits, err := sessionFilter(req.Params)
	if err != nil {
		return nil, err
	}
	if _, err := c.release(ctx, "id", place); err != nil {
		return nil, err
	}
	out := gen.ListPlaceSessions200JSONResponse{Sessions: []gen.Session{}}
	for scanned := 0; scanned < maxScan; {
		page, err := c.cfg.Directory.Sessions(ctx, place, after, scanPage)
		if err != nil {
			return nil, err
		}
		for _, s := range page {
			if fits(s) && len(out.Sessions) == limit {
				out.Next = string(after)
				return out, nil
			}
			if fits(s) {
				out.Sessions = append(out.Sessions, gen.Session{
					ID: string(s.ID), Region: string(s.ID.Region()), State: s.State.String(),
					Players: s.Seated, Capacity: s.Capacity,
				})
			}
			after = s.ID
		}
		if len(page) < scanPage {
			return out, nil
		}
		scanned += len(page)
	}
	out.Next = string(after)
	return out, nil
}

func sessionFilter(p gen.ListPlaceSessionsParams) (func(throng.Session) bool, error) {
	free := value(p.Free)
	if free < 0 || free > maxParty {
		return nil, throng.AtField(throng.Invalid, "free", "%d is not within 0 and %d", free, maxParty)
	}
	if value(p.State) == "" {
		return func(s throng.Session) bool { return !s.Private && s.Free() >= free }, nil
	}
	state, err := throng.ParseSessionState(*p.State)
	if err != nil {
		return nil, err
	}
	return func(s throng.Session) bool { return !s.Private && s.State == state && s.Free() >= free }, nil
}

// GetPresence tells where a player is.
func (c calls) GetPresence(ctx context.Context, req gen.GetPresenceRequestObject) (gen.GetPresenceResponseObject, error) {
	player, err := throng.ParsePlayerID("id", req.ID)
	if err != nil {
		return nil, err
	}
	p, age, err := c.where(ctx, player)
	if err != nil && throng.KindOf(err) != throng.NotFound {
		return nil, err
	}
	if shows, err := c.shows(ctx, player); err != nil {
		return nil, err
	} else if !shows {
		p = throng.Presence{}
	}
	out := gen.GetPresence200JSONResponse{Player: string(player), State: p.State.String()}
	if p.State == throng.PresencePlaying {
		out.Session, out.Place, out.Region = string(p.Session), string(p.Place), string(p.Session.Region())
		out.Age = age.Truncate(100 * time.Millisecond).Seconds()
	}
	return out, nil
}

// where is where a player is, in any region.
func (c calls) where(ctx context.Context, p throng.PlayerID) (throng.Presence, time.Duration, error) {
	if c.cfg.Whereabouts != nil {
		return c.cfg.Whereabouts.Where(ctx, p)
	}
	at, err := c.cfg.Directory.Presence(ctx, p)
	return at, 0, err
}

// beside is the region in which a friend plays; the own one if that is not known. Whether
// he may be followed is for that region to say.
func (c calls) beside(ctx context.Context, friend throng.PlayerID) throng.RegionID {
	at, _, err := c.where(ctx, friend)
	if err != nil || at.State != throng.PresencePlaying {
		return c.cfg.Region
	}
	return at.Session.Region()
}

// ListRegions lists the deployment's regions.
func (c calls) ListRegions(context.Context, gen.ListRegionsRequestObject) (gen.ListRegionsResponseObject, error) {
	out := gen.ListRegions200JSONResponse{Regions: []gen.Region{}}
	for _, r := range c.cfg.Regions() {
		region := gen.Region{ID: string(r.ID), Name: r.Name, URL: r.URL, BeaconUrls: append([]string{}, r.Beacons...), State: r.State}
		if region.State == "" {
			region.State = "open"
		}
		out.Regions = append(out.Regions, region)
	}
	return out, nil
}

// release returns what is live of a place that the caller named in field.
func (c calls) release(ctx context.Context, field string, place throng.PlaceID) (throng.Release, error) {
	release, err := c.cfg.Places.Release(ctx, place)
	if throng.KindOf(err) == throng.NotFound && err != nil {
		return throng.Release{}, throng.AtField(throng.NotFound, field, "there is no place %q", place)
	}
	return release, err
}

// value is what a parameter says, or the zero value when it is missing.
func value[T any](p *T) T {
	if p == nil {
		var none T
		return none
	}
	return *p
}

func limitOf(n *int) (int, error) {
	if n == nil {
		return defaultLimit, nil
	}
	if *n < 1 || *n > maxLimit {
		return 0, throng.AtField(throng.Invalid, "limit", "%d is not within 1 and %d", *n, maxLimit)
	}
	return *n, nil
}

func afterSession(s string) (throng.SessionID, error) {
	if s == "" {
		return "", nil
	}
	return throng.ParseSessionID("after", s)
}
