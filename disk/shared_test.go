package disk_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/disk"
	"github.com/throng-gg/throng/place"
)

func share(t *testing.T, dir string) *disk.Store {
	t.Helper()
	s, err := disk.OpenShared(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // may be closed already
	return s
}

func TestSharedStore(t *testing.T) {
	contract.Places(t, func(t *testing.T) contract.PlaceStores {
		dir := t.TempDir()
		share(t, dir) // somebody else has it, too
		return contract.PlaceStores{
			Records:  share(t, dir),
			Packages: share(t, dir),
			Again: func(t *testing.T) contract.PlaceStores {
				return contract.PlaceStores{Records: share(t, dir), Packages: share(t, dir)}
			},
			Damage: func(t *testing.T, hash throng.PackageHash) {
				change(t, packageFile(dir, hash), func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
			},
		}
	})
}

// What one process stored, the next read of another returns, however fast they
// come one after the other.
func TestASwapIsReadAtOnce(t *testing.T) {
	dir := t.TempDir()
	stores := []*disk.Store{share(t, dir), share(t, dir), share(t, dir)}
	record := place.Record{Place: "arena", Releases: []throng.Release{{Place: "arena", Version: 1}}}
	for n := range 200 {
		record.Live = throng.Version(1 + n%2) // files of the same length
		if err := stores[n%3].Swap(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		record.Revision++
		for i, s := range stores {
			got, err := s.Get(t.Context(), "arena")
			if err != nil || got.Revision != record.Revision || got.Live != record.Live {
				t.Fatalf("swap %d, store %d: got revision %d, live %d, %v, want %d, %d", n, i, got.Revision, got.Live, err, record.Revision, record.Live)
			}
			list, err := s.List(t.Context(), "", 10)
			if err != nil || len(list) != 1 || list[0].Revision != record.Revision {
				t.Fatalf("swap %d, store %d: listed %+v, %v", n, i, list, err)
			}
		}
	}
	if err := stores[0].Swap(t.Context(), place.Record{Place: "beach", Releases: record.Releases}); err != nil {
		t.Fatal(err)
	}
	if list, err := stores[1].List(t.Context(), "", 10); err != nil || len(list) != 2 {
		t.Errorf("a new place: listed %+v, %v, want two", list, err)
	}
}

func TestSwapsOfSeveralProcessesRace(t *testing.T) {
	dir := t.TempDir()
	const stores, each = 4, 10
	var all sync.WaitGroup
	for range stores {
		s := share(t, dir)
		all.Go(func() {
			for done := 0; done < each; {
				r, err := s.Get(t.Context(), "arena")
				if throng.KindOf(err) == throng.NotFound && err != nil {
					r, err = place.Record{Place: "arena"}, nil
				}
				if err != nil {
					t.Error(err)
					return
				}
				r.Releases = append(slices.Clip(r.Releases), throng.Release{Place: "arena", Version: throng.Version(len(r.Releases) + 1)})
				switch err := s.Swap(t.Context(), r); {
				case err == nil:
					done++
				case throng.KindOf(err) != throng.Conflict:
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	got, err := share(t, dir).Get(t.Context(), "arena")
	if err != nil || len(got.Releases) != stores*each || got.Revision != stores*each {
		t.Errorf("got %d releases, revision %d, %v, want %d of each", len(got.Releases), got.Revision, err, stores*each)
	}
}

func TestSharedOrAlone(t *testing.T) {
	dir := t.TempDir()
	alone := open(t, dir)
	if _, err := disk.OpenShared(dir); throng.KindOf(err) != throng.Unavailable || err == nil {
		t.Errorf("shared while one has it alone: got %v, want unavailable", err)
	}
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}
	shared := share(t, dir)
	_, err := disk.Open(dir)
	if throng.KindOf(err) != throng.Unavailable || err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("alone while it is shared: got %v, want unavailable", err)
	}
	if err := shared.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

// What another process is writing right now is not swept away.
func TestSharedSweep(t *testing.T) {
	dir := t.TempDir()
	share(t, dir)
	young, old := filepath.Join(dir, "places", "arena.json.1.tmp"), filepath.Join(dir, "places", "arena.json.2.tmp")
	for _, name := range []string{young, old} {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	yesterday := time.Now().Add(-24 * time.Hour)
	if err := os.Chtimes(old, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	share(t, dir)
	if _, err := os.Stat(young); err != nil {
		t.Errorf("the young one: %v", err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("the old one is still there")
	}
}
