package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/throng-gg/throng"
)

// Files keeps files below a folder, for what reads them from there.
type Files struct{ Dir string }

// Put keeps a file under its name, whole or not at all. A second time: it is
// replaced. Its folder is made when missing. Of two who do so at the same time one
// may be told that it failed.
func (f Files) Put(ctx context.Context, name string, data []byte) error {
	path, err := f.path(ctx, name)
	if err == nil {
		err = putFile(path, data)
	}
	if err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

// Update replaces a file by what change makes of it, whole or not at all, while no
// other process does. old is nil when there is none; nil is returned for no change.
func (f Files) Update(ctx context.Context, name string, change func(old []byte) []byte) error {
	path, err := f.path(ctx, name)
	if err == nil {
		err = f.update(path, change)
	}
	if err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

func (f Files) update(path string, change func(old []byte) []byte) (err error) {
	lock, err := os.OpenFile(filepath.Join(f.Dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	data := change(old)
	if data == nil {
		return nil
	}
	return putFile(path, data)
}

// path is where a file is; its folder is there.
func (f Files) path(ctx context.Context, name string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", throng.Errorf(throng.Unavailable, "not written: %w", err)
	}
	if !filepath.IsLocal(name) {
		return "", throng.AtField(throng.Invalid, "name", "%.100q is not below the folder", name)
	}
	path := filepath.Join(f.Dir, filepath.FromSlash(name))
	return path, os.MkdirAll(filepath.Dir(path), 0o755)
}

func putFile(path string, data []byte) error {
	return errors.Join(writeFile(path, data, 0o644), sweepOf(path))
}

// sweepOf removes what processes that died in the middle of writing a file have left
// beside it: who reads all of the folder would read it twice.
func sweepOf(path string) error {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), base+".") || !strings.HasSuffix(e.Name(), tmpSuffix) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
