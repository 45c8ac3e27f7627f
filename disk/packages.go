package disk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	return &verified{file: f, left: info.Size(), sum: sha256.New(), want: hash}, info.Size(), nil
}

// hasher is what is needed of a hash.Hash.
type hasher interface {
	io.Writer
	Sum(b []byte) []byte
}

// verified reads a package and holds its last bytes back until all of it was
// seen to be what its name says: who reads to the end has good content.
type verified struct {
	file *os.File
	left int64
	sum  hasher
	want throng.PackageHash
	bad  error
}

func (v *verified) Read(p []byte) (int, error) {
	if v.bad != nil {
		return 0, v.bad
	}
	if v.left == 0 {
		if v.bad = v.check(); v.bad == nil {
			v.bad = io.EOF
		}
		return 0, v.bad
	}
	n, err := v.file.Read(p[:min(int64(len(p)), v.left)])
	_, _ = v.sum.Write(p[:n]) // a hash never fails
	v.left -= int64(n)
	if err != nil { // an early end, too
		v.bad = throng.Errorf(throng.Internal, "package %s can't be read: %w", v.want, err)
		return 0, v.bad
	}
	if v.left == 0 {
		if v.bad = v.check(); v.bad != nil {
			return 0, v.bad
		}
	}
	return n, nil
}

func (v *verified) check() error {
	if got := hex.EncodeToString(v.sum.Sum(nil)); got != string(v.want) {
		return throng.Errorf(throng.Internal, "package %s is damaged on disk: its content has hash %s", v.want, got)
	}
	return nil
}

func (v *verified) Close() error { return v.file.Close() }
