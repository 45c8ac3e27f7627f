package s3

import (
	"context"
	"path"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

const (
	maxFile     = 256 << 20 // bytes of one that is updated
	updateTries = 10
)

// Files keeps files for what reads them from the bucket, like Parquet for DuckDB.
type Files struct {
	at    *bucket
	below string // of the bucket's prefix: "numbers", or empty
}

// Files returns the store's: those below numbers/ of the region's own bucket.
func (s *Store) Files() Files { return Files{s.own, "numbers"} }

// OpenFiles connects to a bucket for files alone, with a URL as Config has it; names
// begin below its prefix. Like Open it asks for one object. to: nil, its requests are
// not counted.
func OpenFiles(ctx context.Context, url string, to prometheus.Registerer) (Files, error) {
	m, err := newMetrics(to)
	if err != nil {
		return Files{}, err
	}
	b, err := newBucket(ctx, url, m)
	if err != nil {
		return Files{}, err
	}
	if _, err := b.get(ctx, "none", ""); err != nil && throng.KindOf(err) != throng.NotFound {
		return Files{}, err
	}
	return Files{at: b}, nil
}

// Put keeps a file under its name, whole or not at all, durable when it returned nil. A
// second time: it is replaced. Invalid: a name that is not below the prefix.
func (f Files) Put(ctx context.Context, name string, data []byte) error {
	key, err := f.key(name)
	if err != nil {
		return err
	}
	_, err = f.at.put(ctx, key, data, condition{})
	return err
}

// Update replaces a file by what change makes of it, whole or not at all, if nobody
// else did meanwhile: then it begins anew. old is nil when there is none; nil is
// returned for no change. Contention: that happened too often.
func (f Files) Update(ctx context.Context, name string, change func(old []byte) []byte) error {
	key, err := f.key(name)
	if err != nil {
		return err
	}
	for range updateTries {
		old, err := f.at.read(ctx, key, "", maxFile)
		when := condition{tag: old.tag}
		switch {
		case throng.KindOf(err) == throng.NotFound && err != nil:
			when.absent = true
		case err != nil:
			return err
		}
		data := change(old.content)
		if data == nil {
			return nil
		}
		if _, err = f.at.put(ctx, key, data, when); err == nil || throng.KindOf(err) != throng.Conflict {
			return err
		}
	}
	return throng.Errorf(throng.Contention, "%s: others wrote %s %d times meanwhile", f.at.name, name, updateTries)
}

// key is a file's in the bucket.
func (f Files) key(name string) (string, error) {
	if !filepath.IsLocal(name) || path.Clean(name) != name || name == "." {
		return "", throng.AtField(throng.Invalid, "name", "%.100q is not below the prefix", name)
	}
	return path.Join(f.below, name), nil
}
