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

// Publish checks an upload (a gzipped tar), stores it and makes it live, unless
// how says otherwise or the place is pinned: when it returned, Lanes says so. The
// content that is live, or in the newest version, makes no version again. Invalid
// errors name the file and the line. id is the place that the manifest must name.
// Who publishes a place first owns it; Denied: by may not change the place.
func (c *Catalog) Publish(
	ctx context.Context, by throng.Editor, id throng.PlaceID, upload io.Reader, how throng.Publication,
) (throng.Published, error) {
	release, changed, err := c.publish(ctx, by, id, upload, how)
	switch {
	case err != nil:
		c.metrics.publishes.WithLabelValues(throng.KindOf(err).String()).Inc()
		return throng.Published{}, fmt.Errorf("publish %s: %w", clip(string(id)), err)
	case changed:
		c.metrics.publishes.WithLabelValues("ok").Inc()
		c.cfg.Logger.InfoContext(ctx, "place published", "place", id, "version", int(release.Version), "package", string(release.Package))
	default:
		c.metrics.publishes.WithLabelValues("same").Inc()
	}
	return release, nil
}

func (c *Catalog) publish(
	ctx context.Context, by throng.Editor, id throng.PlaceID, upload io.Reader, how throng.Publication,
) (throng.Published, bool, error) {
	if _, err := throng.ParsePlaceID("place", string(id)); err != nil {
		return throng.Published{}, false, err
	}
	if how.Canary != 0 {
		if err := checkPercent("canary", how.Canary); err != nil {
			return throng.Published{}, false, err
		}
	}
	// Asked again when it is activated; here it spares the upload's work.
	if err := c.mayPublish(ctx, by, id); err != nil {
		return throng.Published{}, false, err
	}
	select {
	case c.uploads <- struct{}{}:
		defer func() { <-c.uploads }()
	case <-ctx.Done():
		return throng.Published{}, false, throng.RetryLater(throng.Unavailable, time.Second, "wait for other uploads: %w", ctx.Err())
	}
	release, err := c.store(ctx, by, id, upload)
	if err != nil {
		return throng.Published{}, false, err
	}
	return c.activate(ctx, by, how, release)
}

// store checks an upload and stores two packages: all of it, and what game servers
// run of it, so that these need not fetch and verify assets. The release has no
// version yet.
func (c *Catalog) store(ctx context.Context, by throng.Editor, id throng.PlaceID, upload io.Reader) (throng.Release, error) {
	files, err := ReadUpload(upload)
	if err != nil {
		return throng.Release{}, err
	}
	manifest, err := Check(files, c.cfg.CheckScripts)
	if err != nil {
		return throng.Release{}, err
	}
	if manifest.ID != id {
		return throng.Release{}, throng.AtField(throng.Invalid, ManifestFile, "id: is %q, and the upload is for %q", manifest.ID, id)
	}
	if err := c.mayShare(ctx, by, manifest.Game); err != nil {
		return throng.Release{}, fmt.Errorf("%s: game: %w", ManifestFile, err)
	}
	parts := Scripts(files)
	scripts, err := c.put(ctx, parts)
	if err != nil {
		return throng.Release{}, err
	}
	all := scripts
	if len(parts) < len(files) {
		if all, err = c.put(ctx, files); err != nil {
			return throng.Release{}, err
		}
	}
	return throng.Release{
		Place:    id,
		Name:     manifest.Name,
		Package:  all,
		Scripts:  scripts,
		Capacity: manifest.Capacity,
		TickRate: manifest.TickRate,
		MaxSpeed: manifest.MaxSpeed,
		Weights:  manifest.Weights,
		Signals:  manifest.Signals,

		MaxLatency: manifest.MaxLatency,
		Game:       manifest.Game,
	}, nil
}

// put packs files and stores them.
func (c *Catalog) put(ctx context.Context, files map[string][]byte) (throng.PackageHash, error) {
	content, hash, err := Pack(files)
	if err != nil {
		return "", err
	}
	if err := c.cfg.Packages.Put(ctx, hash, content); err != nil {
		return "", fmt.Errorf("store package: %w", err)
	}
	return hash, nil
}

// live is the release that new sessions run.
func (r *Record) live() (throng.Release, bool) { return r.release(r.Live) }

// release finds a version.
func (r *Record) release(v throng.Version) (throng.Release, bool) {
	for _, release := range slices.Backward(r.Releases) {
		if release.Version == v {
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

// Lanes returns what new sessions of a place run. NotFound: no such place, or
// nothing of it is live.
func (c *Catalog) Lanes(ctx context.Context, id throng.PlaceID) (throng.Lanes, error) {
	record, err := c.cfg.Records.Get(ctx, id)
	if err != nil {
		return throng.Lanes{}, fmt.Errorf("place %q: %w", clip(string(id)), err)
	}
	live, ok := record.live()
	if !ok {
		return throng.Lanes{}, throng.Errorf(throng.NotFound, "place %s has no live version", id)
	}
	lanes := throng.Lanes{Live: live}
	if record.Canary.Percent > 0 {
		if canary, ok := record.release(record.Canary.Version); ok {
			lanes.Canary, lanes.Percent = canary, record.Canary.Percent
		}
	}
	return lanes, nil
}

// Version returns one release of a place, live or not. NotFound: no such place,
// or no such version of it.
func (c *Catalog) Version(ctx context.Context, id throng.PlaceID, v throng.Version) (throng.Release, error) {
	record, err := c.cfg.Records.Get(ctx, id)
	if err != nil {
		return throng.Release{}, fmt.Errorf("place %q: %w", clip(string(id)), err)
	}
	release, ok := record.release(v)
	if !ok {
		return throng.Release{}, throng.Errorf(throng.NotFound, "place %s has no version %d", id, v)
	}
	return release, nil
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
