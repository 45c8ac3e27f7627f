package main

import (
	"context"
	"fmt"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/auth"
	"github.com/throng-gg/throng/consumer/analytics"
	"github.com/throng-gg/throng/consumer/economy"
	"github.com/throng-gg/throng/disk"
	"github.com/throng-gg/throng/place"
	"github.com/throng-gg/throng/s3"
)

// placesFlags say where places are kept, with the rest that replicas share.
type placesFlags struct {
	Places        string   `env:"THRONG_PLACES" help:"Bucket that keeps places, their packages, API keys and drains: s3://bucket/prefix, with ?region= and ?endpoint= where the usual ways of AWS do not say them; credentials come by these ways. Without it, the data folder." placeholder:"URL"`
	PlacesRegions []string `env:"THRONG_PLACES_REGIONS" help:"With several regions: the buckets of all of them, the same list in each, the home of the records first." placeholder:"URL,..."`
}

// drainStore keeps what of the fleet is taken out of use.
type drainStore interface {
	Put(ctx context.Context, f throng.FleetDrain) error
	Drop(ctx context.Context, kind throng.DrainKind, name string) error
	List(ctx context.Context) ([]throng.FleetDrain, error)
}

// numberStore is where consumers leave what people read.
type numberStore interface {
	analytics.Files
	economy.Files
}

// placeStores is what replicas share beside the registry.
type placeStores struct {
	records  place.Records
	packages place.Packages
	keys     auth.KeyStore
	drains   drainStore
	numbers  numberStore                 // nil: a folder of the consumers
	run      func(context.Context) error // until its context ends
}

// stores opens them: the bucket, or the data folder. Files of numbers may be in a
// bucket of their own.
func (f placesFlags) stores(e *env, g *ground) (placeStores, error) {
	st, err := f.open(e, g)
	if err == nil && g.flags.Numbers != "" {
		if st.numbers, err = s3.OpenFiles(e.ctx, g.flags.Numbers, g.metrics); err != nil {
			return st, fmt.Errorf("--numbers: %w", err)
		}
	}
	return st, err
}

func (f placesFlags) open(e *env, g *ground) (placeStores, error) {
	if f.Places == "" {
		if len(f.PlacesRegions) > 0 {
			return placeStores{}, throng.AtField(throng.Invalid, "--places", "is needed with --places-regions: which of the buckets is this region's")
		}
		drains, err := disk.NewDrains(g.flags.Data)
		return placeStores{
			records: g.data, packages: g.data, keys: disk.Keys{Dir: g.flags.Data}, drains: drains,
			run: func(context.Context) error { return nil },
		}, err
	}
	bucket, err := s3.Open(e.ctx, s3.Config{
		URL: f.Places, Regions: f.PlacesRegions, Logger: g.logger.With("part", "s3"), Metrics: g.metrics,
	})
	if err != nil {
		return placeStores{}, fmt.Errorf("--places: %w", err)
	}
	return placeStores{records: bucket, packages: bucket, keys: bucket.Keys(), drains: bucket.Drains(), numbers: bucket.Files(), run: bucket.Run}, nil
}
