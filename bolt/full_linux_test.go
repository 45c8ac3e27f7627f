package bolt_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/bolt"
	"github.com/throng-gg/throng/profile"
)

// smallDisk is a file system of some MiB, and a file that fills most of it.
func smallDisk(t *testing.T) (dir, ballast string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("NOT TESTED: a full disk: a small file system cannot be mounted here (%v); it takes root", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	ballast = filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 6<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, ballast
}

// TestFullDisk: when the disk is full a write is Unavailable and says why, what was
// answered before is there and can be read, also after a restart, and once there
// is room it goes on.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir, ballast := smallDisk(t)
	path := filepath.Join(dir, "throng.db")
	s := open(t, path)
	key := func(n int) profile.Key {
		return profile.Key{Game: "bazaar", Player: throng.PlayerID(fmt.Sprintf("p%d", n))}
	}
	save := func(s *bolt.Store, n int) error {
		if _, err := s.Profiles().Checkout(t.Context(), key(n), 7, "ses"); err != nil {
			return err
		}
		return s.Profiles().Save(t.Context(), key(n), profile.Save{
			Revision: 1, Fence: 7, Holder: "ses", SavedAt: time.UnixMilli(1), Size: 32 << 10, Data: []byte(strings.Repeat("x", 32<<10)),
		}, false)
	}
	all := func(s *bolt.Store, n int) {
		t.Helper()
		for i := range n {
			if got, err := s.Profiles().Saved(t.Context(), key(i), 1); err != nil || len(got.Data) != 32<<10 {
				t.Fatalf("save %d of %d: got %d bytes, %v", i, n, len(got.Data), err)
			}
		}
	}
	acked := 0
	full := save(s, acked)
	for ; full == nil && acked < 1000; full = save(s, acked) {
		acked++
	}
	if full == nil || throng.KindOf(full) != throng.Unavailable || throng.RetryAfterOf(full) == 0 || !errors.Is(full, syscall.ENOSPC) {
		t.Fatalf("after %d saves: got %v, want Unavailable, when to come back, and that there is no space left", acked, full)
	}
	t.Logf("%d saves, then: %v", acked, full)
	again := func(when string) { // pages that came free may be enough for one more
		t.Helper()
		switch err := save(s, acked); {
		case err == nil:
			acked++
		case throng.KindOf(err) != throng.Unavailable || !errors.Is(err, syscall.ENOSPC):
			t.Errorf("%s: got %v, want Unavailable", when, err)
		}
	}
	for range 3 {
		again("again")
	}
	all(s, acked)
	s = reopen(t, s, path) // as full as before
	all(s, acked)
	again("after a restart")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := save(s, acked); err != nil {
			t.Fatalf("with room again: %v", err)
		}
		acked++
	}
	all(s, acked)
	all(reopen(t, s, path), acked)
}
