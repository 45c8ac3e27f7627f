package analytics

import (
	"context"

	"github.com/throng-gg/throng"
)

// Files keeps the Parquet files.
type Files interface {
	// Put keeps a file under its name, like "minutes/day=2026-11-29/place=arena/x.parquet",
	// whole or not at all. A second time: it is replaced.
	Put(ctx context.Context, name string, data []byte) error
}

// Board keeps the newest summary of each place and shard, for those who show it.
type Board interface {
	// Post replaces a shard's summary of a place.
	Post(ctx context.Context, place throng.PlaceID, shard string, summary []byte) error
	// Posts returns all shards' summaries of a place; none: nobody posted any.
	Posts(ctx context.Context, place throng.PlaceID) ([][]byte, error)
}
