package place

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

const (
	maxBefore = 100 // versions that a rollback can go back
	maxShown  = 50  // releases in Channels
)

// edit changes a place's record by one conditional write, again and again until
// nobody was faster. change returns whether anything is to be written.
func (c *Catalog) edit(
	ctx context.Context, get func() (Record, error), change func(*Record) (bool, error),
) (Record, bool, error) {
	for range maxTries {
		record, err := get()
		if err != nil {
			return Record{}, false, err
		}
		changed, err := change(&record)
		if err != nil || !changed {
			return record, false, err
		}
		err = c.cfg.Records.Swap(ctx, record)
		switch {
		case err == nil:
			record.Revision++
			return record, true, nil
		case throng.KindOf(err) != throng.Conflict:
			return Record{}, false, fmt.Errorf("change the place: %w", err)
		case ctx.Err() != nil:
			return Record{}, false, throng.Errorf(throng.Unavailable, "change the place: %w", ctx.Err())
		}
	}
	return Record{}, false, throng.RetryLater(throng.Contention, time.Second, "others changed the place %d times meanwhile", maxTries)
}

// activate makes the release the place's next version, and live or what else how
// says, by one conditional write. It says whether anything changed.
func (c *Catalog) activate(
	ctx context.Context, by throng.Editor, how throng.Publication, next throng.Release,
) (throng.Published, bool, error) {
	record, changed, err := c.edit(ctx, func() (Record, error) { return c.record(ctx, next.Place) }, func(r *Record) (bool, error) {
		var err error
		if r.Owners, err = publishers(*r, by); err != nil {
			return false, err
		}
		if live, ok := r.live(); ok && live.Package == next.Package {
			next = live
			return false, nil
		}
		added := len(r.Releases) == 0 || r.Releases[len(r.Releases)-1].Package != next.Package
		if added {
			if err := r.add(&next, c.cfg.Now()); err != nil {
				return false, err
			}
		} else {
			next = r.Releases[len(r.Releases)-1]
		}
		return r.put(next.Version, how) || added, nil
	})
	if err != nil {
		return throng.Published{}, false, err
	}
	out := throng.Published{Release: next, Live: record.Live == next.Version}
	if record.Canary.Version == next.Version {
		out.Canary = record.Canary.Percent
	}
	return out, changed, nil
}

// add gives a release the next number.
func (r *Record) add(next *throng.Release, now time.Time) error {
	if len(r.Releases) >= maxVersions {
		return throng.Errorf(throng.Invalid, "the place has %d versions, which is the most that it can have", maxVersions)
	}
	next.Version = 1
	if n := len(r.Releases); n > 0 {
		next.Version = r.Releases[n-1].Version + 1
	}
	next.Published = now.UnixMilli()
	r.Releases = slices.Concat(r.Releases, []throng.Release{*next})
	return nil
}

// put does with a version what its publication says. It says whether it changed
// anything.
func (r *Record) put(v throng.Version, how throng.Publication) bool {
	switch {
	case how.Stage:
	case how.Canary > 0 && r.Live > 0:
		return r.setCanary(throng.Canary{Version: v, Percent: how.Canary})
	case !r.Pinned || r.Live == 0:
		return r.setLive(v)
	}
	return false
}

func (r *Record) setCanary(c throng.Canary) bool {
	if r.Canary == c {
		return false
	}
	r.Canary = c
	return true
}

func (r *Record) setLive(v throng.Version) bool {
	ended := r.setCanary(throng.Canary{})
	if r.Live == v {
		return ended
	}
	if r.Live > 0 {
		r.Before = slices.Concat(r.Before, []throng.Version{r.Live})
		r.Before = r.Before[max(0, len(r.Before)-maxBefore):]
	}
	r.Live = v
	return true
}

func checkPercent(field string, percent int) error {
	if percent < 1 || percent > 99 {
		return throng.AtField(throng.Invalid, field, "must be 1 to 99 percent, is %d", percent)
	}
	return nil
}

// Change releases another version of a place, in all or a part of its new
// sessions, by one conditional write: when it returned, Lanes says so, wherever it
// is asked. Sessions that run keep their version. NotFound: as Owners; or there is
// no such version. Conflict: the place is not at the revision, or there is nothing
// to roll back to.
func (c *Catalog) Change(
	ctx context.Context, by throng.Editor, id throng.PlaceID, want throng.ReleaseChange,
) (throng.Channels, error) {
	if err := checkChange(want); err != nil {
		return throng.Channels{}, err
	}
	record, changed, err := c.edit(ctx, func() (Record, error) { return c.owned(ctx, by, id) }, func(r *Record) (bool, error) {
		if want.Revision != 0 && want.Revision != r.Revision {
			return false, throng.Errorf(throng.Conflict, "place %s is at revision %d, not %d: look again", id, r.Revision, want.Revision)
		}
		was := *r
		changed, err := r.apply(want)
		if err != nil {
			return false, err
		}
		return changed, c.maySharePut(ctx, by, was, *r)
	})
	if err != nil {
		c.metrics.releases.WithLabelValues(throng.KindOf(err).String()).Inc()
		return throng.Channels{}, err
	}
	if changed {
		c.metrics.releases.WithLabelValues("ok").Inc()
		c.cfg.Logger.InfoContext(ctx, "place released", "place", id, "player", by.Player, "version", int(record.Live),
			"canary", int(record.Canary.Version), "percent", record.Canary.Percent, "pinned", record.Pinned)
	} else {
		c.metrics.releases.WithLabelValues("same").Inc()
	}
	return record.channels(), nil
}

// maySharePut asks for the games of versions that new sessions run now and did not
// before: an older one may share a game that was another owner's to share.
func (c *Catalog) maySharePut(ctx context.Context, by throng.Editor, was, is Record) error {
	for _, v := range []throng.Version{is.Live, is.Canary.Version} {
		if v == was.Live || v == was.Canary.Version {
			continue
		}
		if release, ok := is.release(v); ok {
			if err := c.mayShare(ctx, by, release.Game); err != nil {
				return fmt.Errorf("version %d of %s: %w", v, is.Place, err)
			}
		}
	}
	return nil
}

// checkChange refuses what makes no sense together.
func checkChange(want throng.ReleaseChange) error {
	said := 0
	for _, yes := range []bool{want.Live != 0, want.Canary != nil, want.Rollback} {
		if yes {
			said++
		}
	}
	switch {
	case said > 1:
		return throng.AtField(throng.Invalid, "live", "is one of three: live, canary and rollback do not go together")
	case said == 0 && want.Pin == nil:
		return throng.AtField(throng.Invalid, "live", "or canary, rollback or pin is needed")
	case want.Canary != nil && want.Canary.Percent != 0:
		return checkPercent("canary.percent", want.Canary.Percent)
	}
	return nil
}

// apply changes the record as wanted and says whether it changed.
func (r *Record) apply(want throng.ReleaseChange) (changed bool, err error) {
	switch {
	case want.Live != 0:
		if _, ok := r.release(want.Live); !ok {
			return false, throng.AtField(throng.NotFound, "live", "there is no version %d", want.Live)
		}
		changed = r.setLive(want.Live)
	case want.Canary != nil && want.Canary.Percent == 0:
		changed = r.setCanary(throng.Canary{})
	case want.Canary != nil:
		if changed, err = r.startCanary(*want.Canary); err != nil {
			return false, err
		}
	case want.Rollback && r.Canary.Percent > 0:
		changed = r.setCanary(throng.Canary{})
	case want.Rollback:
		n := len(r.Before)
		if n == 0 {
			return false, throng.AtField(throng.Conflict, "rollback", "nothing else was live before")
		}
		r.Live, r.Before, changed = r.Before[n-1], r.Before[:n-1], true
	}
	if want.Pin != nil && *want.Pin != r.Pinned {
		r.Pinned, changed = *want.Pin, true
	}
	return changed, nil
}

// startCanary runs a version, by default the newest, beside the live one.
func (r *Record) startCanary(c throng.Canary) (bool, error) {
	if c.Version == 0 {
		c.Version = r.Canary.Version
	}
	if c.Version == 0 && len(r.Releases) > 0 {
		c.Version = r.Releases[len(r.Releases)-1].Version
	}
	if _, ok := r.release(c.Version); !ok {
		return false, throng.AtField(throng.NotFound, "canary.version", "there is no version %d", c.Version)
	}
	if c.Version == r.Live {
		return false, throng.AtField(throng.Conflict, "canary.version", "version %d is live: a canary is another one", c.Version)
	}
	return r.setCanary(c), nil
}

// Channels returns what is released of a place. NotFound: as Owners.
func (c *Catalog) Channels(ctx context.Context, by throng.Editor, id throng.PlaceID) (throng.Channels, error) {
	record, err := c.owned(ctx, by, id)
	if err != nil {
		return throng.Channels{}, err
	}
	return record.channels(), nil
}

func (r *Record) channels() throng.Channels {
	out := throng.Channels{Place: r.Place, Revision: r.Revision, Live: r.Live, Canary: r.Canary, Pinned: r.Pinned}
	if n := len(r.Before); n > 0 {
		out.Before = r.Before[n-1]
	}
	for _, release := range slices.Backward(r.Releases) {
		if len(out.Releases) == maxShown {
			break
		}
		out.Releases = append(out.Releases, release)
	}
	return out
}
