package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/place"
)

// packageKey is where a package is; hash was checked.
func packageKey(hash throng.PackageHash) string {
	return "packages/" + string(hash[:2]) + "/" + string(hash) + ".tar"
}

// Put is place.Packages. When it returned nil, the package is in all regions'
// buckets.
func (s *Store) Put(ctx context.Context, hash throng.PackageHash, content []byte) error {
	if got := place.Hash(content); got != hash {
		return throng.Errorf(throng.Invalid, "package %.64s: its content has hash %s", hash, got)
	}
	targets := append([]*bucket{s.own}, s.others...)
	errs := make([]error, len(targets))
	var all sync.WaitGroup
	for i, at := range targets {
		all.Go(func() { errs[i] = putPackage(ctx, at, hash, content) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// putPackage writes a package that is not there, or is damaged. It looks first: a
// bucket that refuses a body may end the connection in the midst of it, and then
// its answer is not always heard.
func putPackage(ctx context.Context, at *bucket, hash throng.PackageHash, content []byte) error {
	err := checkPackage(ctx, at, hash)
	if throng.KindOf(err) == throng.NotFound {
		if _, err = at.put(ctx, packageKey(hash), content, condition{absent: true}); throng.KindOf(err) == throng.Conflict {
			err = checkPackage(ctx, at, hash) // another one was faster
		}
	}
	if err == nil {
		return nil
	}
	_, err = at.put(ctx, packageKey(hash), content, condition{})
	return err
}

// checkPackage reads a package, which has to be what its hash says.
func checkPackage(ctx context.Context, at *bucket, hash throng.PackageHash) error {
	body, _, err := openPackage(ctx, at, hash)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, body)
	return errors.Join(err, body.Close())
}

func openPackage(ctx context.Context, at *bucket, hash throng.PackageHash) (io.ReadCloser, int64, error) {
	body, length, err := at.open(ctx, packageKey(hash))
	if err != nil {
		return nil, 0, err
	}
	return place.Verified(body, length, hash), length, nil
}

// Open is place.Packages. A package that the region's bucket does not have, or
// that cannot be had from it, comes from another region's and is kept.
func (s *Store) Open(ctx context.Context, hash throng.PackageHash) (io.ReadCloser, int64, error) {
	if _, err := place.ParseHash("package", string(hash)); err != nil {
		return nil, 0, err
	}
	body, length, err := openPackage(ctx, s.own, hash)
	if err == nil || len(s.others) == 0 {
		return body, length, err
	}
	content, elsewhere := s.fetch(ctx, hash)
	if elsewhere != nil {
		if throng.KindOf(err) == throng.NotFound { // unless it may be where nobody can look now
			return nil, 0, elsewhere
		}
		return nil, 0, errors.Join(err, elsewhere)
	}
	return io.NopCloser(bytes.NewReader(content)), int64(len(content)), nil
}

// fetch is one package on its way from another region.
type fetch struct {
	done    chan struct{} // closed when content and err are there
	content []byte
	err     error
}

// fetch gets a package from another region, once for all who want it now.
func (s *Store) fetch(ctx context.Context, hash throng.PackageHash) ([]byte, error) {
	s.fetchMu.Lock()
	f, under := s.fetching[hash]
	if !under {
		f = &fetch{done: make(chan struct{})}
		s.fetching[hash] = f
	}
	s.fetchMu.Unlock()
	if under {
		select {
		case <-f.done:
			return f.content, f.err
		case <-ctx.Done():
			return nil, throng.RetryLater(throng.Unavailable, again, "wait for package %s: %w", hash, ctx.Err())
		}
	}
	// Others may wait for it, whatever becomes of this caller.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bytesTime)
	defer cancel()
	f.content, f.err = s.fetchFrom(ctx, hash)
	s.fetchMu.Lock()
	delete(s.fetching, hash)
	s.fetchMu.Unlock()
	close(f.done)
	return f.content, f.err
}

func (s *Store) fetchFrom(ctx context.Context, hash throng.PackageHash) ([]byte, error) {
	var missing, failed error
	for _, at := range s.others {
		content, err := readPackage(ctx, at, hash)
		if err != nil && throng.KindOf(err) == throng.NotFound {
			missing = err
			continue
		}
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		s.metrics.fetched.Inc()
		if err := putPackage(ctx, s.own, hash, content); err != nil {
			s.logger.WarnContext(ctx, "package of another region not kept", "package", string(hash), "err", err)
		}
		return content, nil
	}
	if failed != nil {
		return nil, failed
	}
	return nil, missing
}

func readPackage(ctx context.Context, at *bucket, hash throng.PackageHash) ([]byte, error) {
	body, _, err := openPackage(ctx, at, hash)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(body, place.MaxPackage+1))
	return content, errors.Join(err, body.Close())
}
