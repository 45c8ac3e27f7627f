package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/throng-gg/throng"
)

// Files keeps files below a folder, for what reads them from there.
type Files struct{ Dir string }

// Put keeps a file under its name, whole or not at all. A second time: it is
// replaced. Its folder is made when missing. Of two who do so at the same time one
// may be told that it failed.
func (f Files) Put(ctx context.Context, name string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return throng.Errorf(throng.Unavailable, "not written: %w", err)
	}
	if !filepath.IsLocal(name) {
		return throng.AtField(throng.Invalid, "name", "%.100q is not below the folder", name)
	}
	path := filepath.Join(f.Dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	if err := writeFile(path, data, 0o644); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	if err := sweepOf(path); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
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
