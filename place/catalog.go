package place

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// Config is what a Catalog is made of.
type Config struct {
	Records      Records
	Packages     Packages
	CheckScripts CheckScripts
	Now          func() time.Time // stamps releases
	Logger       *slog.Logger
	Metrics      prometheus.Registerer // nil: not registered
}

// Bounds of a catalog.
const (
	maxVersions = 10_000 // of one place
	maxTries    = 64     // of one conditional write; each lost try is another's success
	maxList     = 1000   // releases in one answer
	uploads     = 4      // checked at the same time: each needs up to three times MaxTotal
)

// Catalog says what is live of each place, and takes new versions.
type Catalog struct {
	cfg     Config
	metrics *metrics

	// uploads is how many are being checked. Full: Publish waits its turn.
	uploads chan struct{}
}

// New makes a catalog. It starts nothing.
func New(cfg Config) (*Catalog, error) {
	if cfg.Records == nil || cfg.Packages == nil || cfg.CheckScripts == nil || cfg.Now == nil || cfg.Logger == nil {
		return nil, throng.Errorf(throng.Invalid, "place catalog: a needed part of its configuration is missing")
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	return &Catalog{cfg: cfg, metrics: m, uploads: make(chan struct{}, uploads)}, nil
}

// Publish checks an upload (a gzipped tar), stores it and makes it live: when
// it returned, Release says so. The content that is live already is answered
// with the live release, and no version is made. Invalid errors name the file
// and the line. id is the place that the manifest must name. Who publishes a
// place first owns it; Denied: by may not change the place.
func (c *Catalog) Publish(
	ctx context.Context, by throng.Editor, id throng.PlaceID, upload io.Reader,
) (throng.Release, error) {
	release, changed, err := c.publish(ctx, by, id, upload)
	switch {
	case err != nil:
		c.metrics.publishes.WithLabelValues(throng.KindOf(err).String()).Inc()
		return throng.Release{}, fmt.Errorf("publish %s: %w", clip(string(id)), err)
	case changed:
		c.metrics.publishes.WithLabelValues("ok").Inc()
		c.cfg.Logger.InfoContext(ctx, "place published", "place", id, "version", int(release.Version), "package", string(release.Package))
	default:
		c.metrics.publishes.WithLabelValues("same").Inc()
	}
	return release, nil
}

func (c *Catalog) publish(
	ctx context.Context, by throng.Editor, id throng.PlaceID, upload io.Reader,
) (throng.Release, bool, error) {
	if _, err := throng.ParsePlaceID("place", string(id)); err != nil {
		return throng.Release{}, false, err
	}
	// Asked again when it is activated; here it spares the upload's work.
	if err := c.mayPublish(ctx, by, id); err != nil {
		return throng.Release{}, false, err
	}
	select {
	case c.uploads <- struct{}{}:
		defer func() { <-c.uploads }()
	case <-ctx.Done():
		return throng.Release{}, false, throng.RetryLater(throng.Unavailable, time.Second, "wait for other uploads: %w", ctx.Err())
	}
	manifest, hash, err := c.store(ctx, id, upload)
	if err != nil {
		return throng.Release{}, false, err
	}
	return c.activate(ctx, by, throng.Release{
		Place:    id,
		Name:     manifest.Name,
		Package:  hash,
		Capacity: manifest.Capacity,
		TickRate: manifest.TickRate,
		Weights:  manifest.Weights,
		Signals:  manifest.Signals,
	})
}

// store checks an upload and stores its package.
func (c *Catalog) store(ctx context.Context, id throng.PlaceID, upload io.Reader) (Manifest, throng.PackageHash, error) {
	files, err := ReadUpload(upload)
	if err != nil {
		return Manifest{}, "", err
	}
	manifest, err := Check(files, c.cfg.CheckScripts)
	if err != nil {
		return Manifest{}, "", err
	}
	if manifest.ID != id {
		return Manifest{}, "", throng.AtField(throng.Invalid, ManifestFile, "id: is %q, and the upload is for %q", manifest.ID, id)
	}
	content, hash, err := Pack(files)
	if err != nil {
		return Manifest{}, "", err
	}
	if err := c.cfg.Packages.Put(ctx, hash, content); err != nil {
		return Manifest{}, "", fmt.Errorf("store package: %w", err)
	}
	return manifest, hash, nil
}

// activate makes the release the place's next version, by one conditional
// write. It says whether anything changed.
func (c *Catalog) activate(ctx context.Context, by throng.Editor, next throng.Release) (throng.Release, bool, error) {
	for range maxTries {
		record, err := c.record(ctx, next.Place)
		if err != nil {
			return throng.Release{}, false, err
		}
		if record.Owners, err = publishers(record, by); err != nil {
			return throng.Release{}, false, err
		}
		if live, ok := record.live(); ok && live.Package == next.Package {
			return live, false, nil
		}
		if len(record.Releases) >= maxVersions {
			return throng.Release{}, false, throng.Errorf(throng.Invalid, "the place has %d versions, which is the most that it can have", maxVersions)
		}
		next.Version = 1
		if n := len(record.Releases); n > 0 {
			next.Version = record.Releases[n-1].Version + 1
		}
		next.Published = c.cfg.Now().UnixMilli()
		record.Releases = slices.Concat(record.Releases, []throng.Release{next})
		record.Live = next.Version
		err = c.cfg.Records.Swap(ctx, record)
		if err == nil {
			return next, true, nil
		}
		if throng.KindOf(err) != throng.Conflict {
			return throng.Release{}, false, fmt.Errorf("make version %d live: %w", next.Version, err)
		}
		if ctx.Err() != nil {
			return throng.Release{}, false, throng.Errorf(throng.Unavailable, "make version %d live: %w", next.Version, ctx.Err())
		}
	}
	return throng.Release{}, false, throng.RetryLater(throng.Contention, time.Second, "others published %d versions meanwhile", maxTries)
}

// live is the release that new sessions run.
func (r Record) live() (throng.Release, bool) {
	for _, release := range slices.Backward(r.Releases) {
		if release.Version == r.Live {
			return release, true
		}
	}
	return throng.Release{}, false
}

// Release returns what is live of a place. NotFound: no such place.
func (c *Catalog) Release(ctx context.Context, id throng.PlaceID) (throng.Release, error) {
	record, err := c.cfg.Records.Get(ctx, id)
	if err != nil {
		return throng.Release{}, fmt.Errorf("place %q: %w", clip(string(id)), err)
	}
	live, ok := record.live()
	if !ok {
		return throng.Release{}, throng.Errorf(throng.NotFound, "place %s has no live version", id)
	}
	return live, nil
}

// Version returns one release of a place, live or not. NotFound: no such place,
// or no such version of it.
func (c *Catalog) Version(ctx context.Context, id throng.PlaceID, v throng.Version) (throng.Release, error) {
	record, err := c.cfg.Records.Get(ctx, id)
	if err != nil {
		return throng.Release{}, fmt.Errorf("place %q: %w", clip(string(id)), err)
	}
	for _, release := range slices.Backward(record.Releases) {
		if release.Version == v {
			return release, nil
		}
	}
	return throng.Release{}, throng.Errorf(throng.NotFound, "place %s has no version %d", id, v)
}

// Releases lists what is live of all places, by ID, after the given one: up to
// limit, which is bounded to 1 to 1,000.
func (c *Catalog) Releases(ctx context.Context, after throng.PlaceID, limit int) ([]throng.Release, error) {
	records, err := c.cfg.Records.List(ctx, after, min(max(limit, 1), maxList))
	if err != nil {
		return nil, fmt.Errorf("list places: %w", err)
	}
	releases := make([]throng.Release, 0, len(records))
	for _, r := range records {
		if live, ok := r.live(); ok {
			releases = append(releases, live)
		}
	}
	return releases, nil
}

// Package opens a package's canonical bytes and tells their length. NotFound: no
// such package. Bytes that are not what was published are never read to the
// end: the last Read fails.
func (c *Catalog) Package(ctx context.Context, hash throng.PackageHash) (io.ReadCloser, int64, error) {
	if _, err := ParseHash("package", string(hash)); err != nil {
		return nil, 0, err
	}
	content, length, err := c.cfg.Packages.Open(ctx, hash)
	if err != nil {
		return nil, 0, fmt.Errorf("package %s: %w", hash, err)
	}
	return content, length, nil
}
