package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/place"
)

// CacheConfig is what a Cache is made of.
type CacheConfig struct {
	Dir    string       // made when missing; of this machine's own
	Bytes  int64        // that packages may take; the one used longest ago goes first. Default 2 GiB
	Logger *slog.Logger // nil: nothing is logged
}

// Cache keeps packages on a machine for all its game servers, which are processes
// of their own. What is in it is checked each time it is read: a package that is
// damaged or cut off is fetched again, never used.
//
//	DIR/<hash>.tar      a package, moved here when it is whole
//	DIR/<hash>.*.tmp    one that is on its way
//	DIR/locks/<2 hex>   held by who fetches a package whose hash begins so
type Cache struct {
	dir    string
	most   int64
	logger *slog.Logger
}

const (
	locksDir   = "locks"
	cacheBytes = 2 << 30
	// fetchTries is how often a package is fetched that comes damaged.
	fetchTries = 2
	waitFirst  = 5 * time.Millisecond // for another process that fetches; then longer
	waitMost   = 200 * time.Millisecond
	// usedEvery is how exactly it is known when a package was used last.
	usedEvery = time.Minute
)

// NewCache makes a cache's folder, if there is none.
func NewCache(cfg CacheConfig) (*Cache, error) {
	c := &Cache{dir: cfg.Dir, most: cfg.Bytes, logger: cfg.Logger}
	if c.most <= 0 {
		c.most = cacheBytes
	}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(filepath.Join(cfg.Dir, locksDir), 0o755); err != nil {
		return nil, fmt.Errorf("cache of packages %s: %w", cfg.Dir, plain(err))
	}
	return c, nil
}

// Fetch opens a package where it comes from.
type Fetch func(ctx context.Context, hash throng.PackageHash) (io.ReadCloser, error)

// Scripts returns a package's manifest and scripts; all of it is verified. What is not
// here is fetched once, whichever process of the machine does it; the others wait
// for it. A cache that cannot be written is passed by. Errors are fetch's; Internal:
// the package comes damaged again and again.
func (c *Cache) Scripts(ctx context.Context, hash throng.PackageHash, fetch Fetch) (map[string][]byte, error) {
	if _, err := place.ParseHash("package", string(hash)); err != nil {
		return nil, err
	}
	for wait := waitFirst; ; wait = min(2*wait, waitMost) {
		if files := c.load(ctx, hash); files != nil {
			return files, nil
		}
		unlock, err := c.lock(hash)
		if err == nil {
			defer unlock()
			return c.fill(ctx, hash, fetch)
		}
		if !errors.Is(err, errHeld) {
			c.logger.WarnContext(ctx, "cache of packages can't be used", "err", err)
			files, _, err := c.fetch(ctx, hash, fetch)
			return files, err
		}
		pause := time.NewTimer(wait/2 + rand.N(wait/2)) //nolint:gosec // so that not all look at once
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil, throng.RetryLater(throng.Unavailable, time.Second, "wait for package %s: %w", hash, ctx.Err())
		case <-pause.C:
		}
	}
}

func (c *Cache) file(hash throng.PackageHash) string {
	return filepath.Join(c.dir, string(hash)+".tar")
}

// load reads a package that is here and good; nil: there is none.
func (c *Cache) load(ctx context.Context, hash throng.PackageHash) map[string][]byte {
	f, err := os.Open(c.file(hash))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			c.logger.WarnContext(ctx, "package in the cache can't be read", "package", string(hash), "err", err)
		}
		return nil
	}
	defer func() { _ = f.Close() }() // it was only read
	files, err := place.UnpackScripts(f, hash)
	if err != nil {
		c.logger.WarnContext(ctx, "package in the cache is damaged, fetching it again", "package", string(hash), "err", err)
		return nil
	}
	if info, err := f.Stat(); err == nil && time.Since(info.ModTime()) > usedEvery {
		_ = os.Chtimes(c.file(hash), time.Time{}, time.Now()) // else it goes earlier than it should
	}
	return files
}

// errHeld says that another process fetches.
var errHeld = errors.New("another process fetches it")

// lock lets this process fetch a package. errHeld: another one does.
func (c *Cache) lock(hash throng.PackageHash) (unlock func(), err error) {
	// A file that is opened anew has a lock of its own, also within a process.
	f, err := os.OpenFile(filepath.Join(c.dir, locksDir, string(hash[:2])), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case err == nil:
		return func() { _ = f.Close() }, nil // nothing was written to it
	case errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR):
		_ = f.Close() // nothing was written to it
		return nil, errHeld
	}
	return nil, errors.Join(err, f.Close())
}

// fill fetches a package for all, unless another one was faster. The caller has the
// lock.
func (c *Cache) fill(ctx context.Context, hash throng.PackageHash, fetch Fetch) (map[string][]byte, error) {
	if files := c.load(ctx, hash); files != nil {
		return files, nil
	}
	files, content, err := c.fetch(ctx, hash, fetch)
	if err != nil {
		return nil, err
	}
	if err := c.keep(hash, content); err != nil {
		c.logger.WarnContext(ctx, "package not kept in the cache", "package", string(hash), "err", err)
	}
	return files, nil
}

// fetch gets a package from where it comes from: its files, and its bytes.
func (c *Cache) fetch(ctx context.Context, hash throng.PackageHash, fetch Fetch) (files map[string][]byte, content []byte, err error) {
	var bad error
	for range fetchTries {
		if content, err = read(ctx, hash, fetch); err != nil {
			return nil, nil, err
		}
		if files, bad = place.UnpackScripts(bytes.NewReader(content), hash); bad == nil {
			return files, content, nil
		}
		c.logger.WarnContext(ctx, "package came damaged", "package", string(hash), "err", bad)
	}
	return nil, nil, bad
}

func read(ctx context.Context, hash throng.PackageHash, fetch Fetch) ([]byte, error) {
	body, err := fetch(ctx, hash)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(body, place.MaxPackage+1))
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, fmt.Errorf("fetch package %s: %w", hash, err)
	}
	return content, nil
}

// keep writes a package and makes room for it. It need not outlive a crash of the
// machine: what is damaged is fetched again.
func (c *Cache) keep(hash throng.PackageHash, content []byte) error {
	f, err := os.CreateTemp(c.dir, string(hash)+".*"+tmpSuffix)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), c.file(hash))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return c.makeRoom(hash)
}

// makeRoom removes what was used longest ago until the rest fits, but not the one
// that has just come; and what others left half written.
func (c *Cache) makeRoom(last throng.PackageHash) error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	var there []fs.FileInfo
	total := int64(0)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || e.IsDir() {
			continue // removed meanwhile
		}
		switch {
		case strings.HasSuffix(e.Name(), tmpSuffix):
			if time.Since(info.ModTime()) > leftover {
				_ = os.Remove(filepath.Join(c.dir, e.Name())) // another one may have done it
			}
		case strings.HasSuffix(e.Name(), ".tar"):
			there = append(there, info)
			total += info.Size()
		}
	}
	slices.SortFunc(there, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, info := range there {
		if total <= c.most {
			break
		}
		if info.Name() == string(last)+".tar" {
			continue
		}
		// Who reads it now goes on reading.
		if err := os.Remove(filepath.Join(c.dir, info.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		total -= info.Size()
	}
	return nil
}
