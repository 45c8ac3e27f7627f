package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/place"
)

// packageName is where a package is; hash was checked.
func (s *Store) packageName(hash throng.PackageHash) string {
	return filepath.Join(s.dir, packagesDir, string(hash[:2]), string(hash)+".tar")
}

// Put is place.Packages.
func (s *Store) Put(ctx context.Context, hash throng.PackageHash, content []byte) error {
	if got := place.Hash(content); got != hash {
		return throng.Errorf(throng.Invalid, "package %.64s: its content has hash %s", hash, got)
	}
	if s.intact(ctx, hash) {
		return nil
	}
	name := s.packageName(hash)
	if err := os.Mkdir(filepath.Dir(name), 0o755); err == nil {
		err = syncDir(filepath.Join(s.dir, packagesDir))
		if err != nil {
			return fmt.Errorf("write package: %w", err)
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write package: %w", err)
	}
	if err := writeFile(name, content, 0o644); err != nil {
		return fmt.Errorf("write package: %w", err)
	}
	return nil
}

// intact says whether a package is there and good.
func (s *Store) intact(ctx context.Context, hash throng.PackageHash) bool {
	r, _, err := s.Open(ctx, hash)
	if err != nil {
		return false
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err == nil
}

// Open is place.Packages.
func (s *Store) Open(_ context.Context, hash throng.PackageHash) (io.ReadCloser, int64, error) {
	if _, err := place.ParseHash("package", string(hash)); err != nil {
		return nil, 0, err
	}
	f, err := os.Open(s.packageName(hash))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, throng.Errorf(throng.NotFound, "there is no package %s", hash)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open package: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("open package: %w", errors.Join(err, f.Close()))
	}
	return place.Verified(f, info.Size(), hash), info.Size(), nil
}
