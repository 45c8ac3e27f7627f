package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/auth"
)

const (
	keysDir     = "keys"
	maxKeyFiles = 20_000
)

// Keys keeps API keys in a data folder, one file each, and nothing in memory: any
// number of processes may use one folder. It is auth.KeyStore.
type Keys struct{ Dir string }

func (k Keys) file(id throng.KeyID) string { return filepath.Join(k.Dir, keysDir, string(id)+".json") }

// lock keeps other writers out until unlock; readers see whole files anyway.
func (k Keys) lock() (unlock func(), err error) {
	dir := filepath.Join(k.Dir, keysDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keys of data folder %s: %w", k.Dir, plain(err))
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keys of data folder %s: %w", k.Dir, plain(err))
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock the keys of data folder %s: %w", k.Dir, errors.Join(err, f.Close()))
	}
	return func() { _ = f.Close() }, nil // nothing was written to it
}

// PutKey is auth.KeyStore.
func (k Keys) PutKey(_ context.Context, r auth.KeyRecord) error {
	if _, err := throng.ParseKeyID("key", string(r.ID)); err != nil {
		return err
	}
	unlock, err := k.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Lstat(k.file(r.ID)); err == nil {
		return throng.Errorf(throng.Exists, "there is a key %s", r.ID)
	}
	return k.write(r)
}

func (k Keys) write(r auth.KeyRecord) error {
	content, err := auth.EncodeKey(r)
	if err == nil {
		err = writeFile(k.file(r.ID), content, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write key %s: %w", r.ID, err)
	}
	return nil
}

// GetKey is auth.KeyStore.
func (k Keys) GetKey(_ context.Context, id throng.KeyID) (auth.KeyRecord, error) {
	if _, err := throng.ParseKeyID("key", string(id)); err != nil {
		return auth.KeyRecord{}, err
	}
	content, err := os.ReadFile(k.file(id))
	if errors.Is(err, fs.ErrNotExist) {
		return auth.KeyRecord{}, throng.Errorf(throng.NotFound, "there is no key %s", id)
	}
	if err != nil {
		return auth.KeyRecord{}, fmt.Errorf("read key %s: %w", id, plain(err))
	}
	r, err := auth.DecodeKey(id, content)
	if err != nil {
		return auth.KeyRecord{}, fmt.Errorf("data folder %s: %w", k.Dir, err)
	}
	return r, nil
}

// ListKeys is auth.KeyStore.
func (k Keys) ListKeys(ctx context.Context, owner throng.PlayerID) ([]auth.KeyRecord, error) {
	entries, err := os.ReadDir(filepath.Join(k.Dir, keysDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("keys of data folder %s: %w", k.Dir, plain(err))
	}
	if len(entries) > maxKeyFiles {
		return nil, throng.Errorf(throng.Internal, "data folder %s has more than %d keys", k.Dir, maxKeyFiles)
	}
	var list []auth.KeyRecord
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		r, err := k.GetKey(ctx, throng.KeyID(id))
		switch {
		case throng.KindOf(err) == throng.NotFound && err != nil: // deleted meanwhile
		case err != nil:
			return nil, err
		case owner == "" || r.Owner == owner:
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b auth.KeyRecord) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return list, nil
}

// DeleteKey is auth.KeyStore.
func (k Keys) DeleteKey(_ context.Context, id throng.KeyID) error {
	if _, err := throng.ParseKeyID("key", string(id)); err != nil {
		return err
	}
	unlock, err := k.lock()
	if err != nil {
		return err
	}
	defer unlock()
	err = os.Remove(k.file(id))
	if errors.Is(err, fs.ErrNotExist) {
		return throng.Errorf(throng.NotFound, "there is no key %s", id)
	}
	if err == nil {
		err = syncDir(filepath.Join(k.Dir, keysDir))
	}
	if err != nil {
		return fmt.Errorf("delete key %s: %w", id, err)
	}
	return nil
}

// UseKey is auth.KeyStore.
func (k Keys) UseKey(ctx context.Context, id throng.KeyID, at time.Time) error {
	unlock, err := k.lock()
	if err != nil {
		return err
	}
	defer unlock()
	r, err := k.GetKey(ctx, id)
	if err != nil {
		return err
	}
	if !at.After(r.Used) {
		return nil
	}
	r.Used = at.UTC().Truncate(time.Second)
	return k.write(r)
}
