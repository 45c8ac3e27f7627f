package contract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/place"
)

// PlaceStores is what Places tests.
type PlaceStores struct {
	Records  place.Records
	Packages place.Packages
	// Again opens the same stores anew, as after a restart; the old ones are not
	// used any more. Nil: they do not outlive the process.
	Again func(t *testing.T) PlaceStores
	// Damage changes one byte of a stored package behind the store's back.
	Damage func(t *testing.T, hash throng.PackageHash)
}

// Places is the contract of place.Records and place.Packages. open makes empty
// stores.
func Places(t *testing.T, open func(t *testing.T) PlaceStores) {
	t.Helper()
	t.Run("records", func(t *testing.T) { placeRecords(t, open) })
	t.Run("record swaps race", func(t *testing.T) { placeSwapsRace(t, open(t)) })
	t.Run("packages", func(t *testing.T) { placePackages(t, open) })
	t.Run("damaged package", func(t *testing.T) { placeDamaged(t, open(t)) })
}

func placeRecord(id throng.PlaceID, revision uint64, versions int) place.Record {
	r := place.Record{Place: id, Revision: revision, Live: throng.Version(versions), Owners: []throng.PlayerID{"ada", "bo"}[:versions%3]}
	for v := range versions {
		if v > 0 {
			r.Before, r.Pinned = append(r.Before, throng.Version(v)), v%2 == 0
			r.Canary = throng.Canary{Version: throng.Version(v), Percent: 10 + v}
		}
		r.Releases = append(r.Releases, throng.Release{
			Place:    id,
			Name:     "Place of " + string(id),
			Version:  throng.Version(v + 1),
			Package:  place.Hash([]byte{byte(v)}),
			Capacity: 50,
			TickRate: 30,
			Weights:  throng.Weights{Fill: 2, Latency: 0.5, Friends: 7},
			Scripts:  "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210",
			Signals: []throng.Signal{
				{Name: "language", Kind: throng.SignalCategory, Weight: 2},
				{Name: "skill", Kind: throng.SignalNumber, Range: 400, Weight: 0.5 + float64(v)},
			},
			Published: 1_700_000_000_000 + int64(v), MaxLatency: 20 * v,
			Game: []throng.GameID{"", "hub"}[v%2],
		})
	}
	return r
}

func placeWantRecord(t *testing.T, s place.Records, want place.Record) {
	t.Helper()
	got, err := s.Get(t.Context(), want.Place)
	if err != nil {
		t.Fatalf("Get %s: %v", want.Place, err)
	}
	if got.Place != want.Place || got.Revision != want.Revision || got.Live != want.Live || !reflect.DeepEqual(got.Releases, want.Releases) ||
		!slices.Equal(got.Owners, want.Owners) {
		t.Fatalf("Get %s: got %+v, want %+v", want.Place, got, want)
	}
}

func placeWantKind(t *testing.T, what string, err error, want throng.Kind) {
	t.Helper()
	if err == nil || throng.KindOf(err) != want {
		t.Fatalf("%s: got error %v, want kind %v", what, err, want)
	}
}

func placeRecords(t *testing.T, open func(t *testing.T) PlaceStores) {
	t.Helper()
	stores := open(t)
	s := stores.Records
	_, err := s.Get(t.Context(), "arena")
	placeWantKind(t, "Get of none", err, throng.NotFound)
	placeWantKind(t, "Swap of revision 1 where there is none", s.Swap(t.Context(), placeRecord("arena", 1, 1)), throng.Conflict)

	first := placeRecord("arena", 0, 1)
	if err := s.Swap(t.Context(), first); err != nil {
		t.Fatalf("first Swap: %v", err)
	}
	placeWantRecord(t, s, placeRecord("arena", 1, 1))
	first.Releases[0].Name = "changed by its owner after the swap"
	first.Owners[0] = "eve"
	placeWantRecord(t, s, placeRecord("arena", 1, 1))

	placeWantKind(t, "Swap repeated", s.Swap(t.Context(), placeRecord("arena", 0, 2)), throng.Conflict)
	if err := s.Swap(t.Context(), placeRecord("arena", 1, 2)); err != nil {
		t.Fatalf("second Swap: %v", err)
	}
	placeWantRecord(t, s, placeRecord("arena", 2, 2))

	for _, id := range []throng.PlaceID{"zoo", "maze", "b-1"} {
		if err := s.Swap(t.Context(), placeRecord(id, 0, 1)); err != nil {
			t.Fatalf("Swap %s: %v", id, err)
		}
	}
	placeList(t, s)
	if stores.Again != nil {
		s = stores.Again(t).Records
		placeWantRecord(t, s, placeRecord("arena", 2, 2))
		placeList(t, s)
		placeWantKind(t, "Swap of an old revision after a restart", s.Swap(t.Context(), placeRecord("arena", 1, 3)), throng.Conflict)
	}
}

func placeList(t *testing.T, s place.Records) {
	t.Helper()
	list := func(after throng.PlaceID, limit int) string {
		records, err := s.List(t.Context(), after, limit)
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		ids := []throng.PlaceID{}
		for _, r := range records {
			if len(r.Releases) == 0 || r.Revision == 0 {
				t.Errorf("List: %s came without its releases or revision: %+v", r.Place, r)
			}
			ids = append(ids, r.Place)
		}
		return fmt.Sprint(ids)
	}
	for _, c := range []struct {
		after throng.PlaceID
		limit int
		want  string
	}{
		{"", 10, "[arena b-1 maze zoo]"},
		{"", 2, "[arena b-1]"},
		{"b-1", 2, "[maze zoo]"},
		{"c", 1, "[maze]"},
		{"zoo", 10, "[]"},
	} {
		if got := list(c.after, c.limit); got != c.want {
			t.Errorf("List after %q, %d: got %s, want %s", c.after, c.limit, got, c.want)
		}
	}
}

// placeSwapsRace has many writers count up one record: none is lost.
func placeSwapsRace(t *testing.T, stores PlaceStores) {
	t.Helper()
	const writers, each = 8, 10
	failed := make(chan error, writers)
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for range each {
				if err := placeAppend(t.Context(), stores.Records); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	placeWantRecord(t, stores.Records, placeRecord("arena", writers*each, writers*each))
}

func placeAppend(ctx context.Context, s place.Records) error {
	for {
		r, err := s.Get(ctx, "arena")
		if err != nil && throng.KindOf(err) != throng.NotFound {
			return err
		}
		err = s.Swap(ctx, placeRecord("arena", r.Revision, len(r.Releases)+1))
		if err == nil || throng.KindOf(err) != throng.Conflict {
			return err
		}
	}
}

func placePackages(t *testing.T, open func(t *testing.T) PlaceStores) {
	t.Helper()
	stores := open(t)
	contents := [][]byte{{}, []byte("small"), bytes.Repeat([]byte("0123456789abcdef"), 100_000)}
	_, _, err := stores.Packages.Open(t.Context(), place.Hash([]byte("none")))
	placeWantKind(t, "Open of none", err, throng.NotFound)
	placeWantKind(t, "Put under another hash",
		stores.Packages.Put(t.Context(), place.Hash([]byte("other")), []byte("content")), throng.Invalid)
	_, _, err = stores.Packages.Open(t.Context(), place.Hash([]byte("other")))
	placeWantKind(t, "Open of what was refused", err, throng.NotFound)
	for _, hash := range []throng.PackageHash{"", "../../../etc/passwd", "ABCDEF"} {
		if _, _, err := stores.Packages.Open(t.Context(), hash); err == nil {
			t.Errorf("Open of the hash %q: got no error", hash)
		}
	}
	for _, c := range contents {
		for range 2 { // repeated it is no error
			if err := stores.Packages.Put(t.Context(), place.Hash(c), c); err != nil {
				t.Fatalf("Put of %d bytes: %v", len(c), err)
			}
		}
	}
	placeWantPackages(t, stores.Packages, contents)
	if stores.Again != nil {
		placeWantPackages(t, stores.Again(t).Packages, contents)
	}
}

func placeWantPackages(t *testing.T, s place.Packages, contents [][]byte) {
	t.Helper()
	for _, c := range contents {
		got, length, err := placeRead(t.Context(), s, place.Hash(c))
		if err != nil || length != int64(len(c)) || !bytes.Equal(got, c) {
			t.Fatalf("package of %d bytes: got %d bytes, length %d, error %v", len(c), len(got), length, err)
		}
	}
}

func placeRead(ctx context.Context, s place.Packages, hash throng.PackageHash) ([]byte, int64, error) {
	r, length, err := s.Open(ctx, hash)
	if err != nil {
		return nil, 0, err
	}
	got, err := io.ReadAll(r)
	return got, length, errors.Join(err, r.Close())
}

func placeDamaged(t *testing.T, stores PlaceStores) {
	t.Helper()
	content := bytes.Repeat([]byte("all good "), 50_000)
	hash := place.Hash(content)
	if err := stores.Packages.Put(t.Context(), hash, content); err != nil {
		t.Fatalf("Put: %v", err)
	}
	placeWantPackages(t, stores.Packages, [][]byte{content})
	stores.Damage(t, hash)
	got, _, err := placeRead(t.Context(), stores.Packages, hash)
	if err == nil || len(got) >= len(content) {
		t.Fatalf("damaged package: got %d of %d bytes and error %v, want fewer and an error", len(got), len(content), err)
	}
	if err := stores.Packages.Put(t.Context(), hash, content); err != nil {
		t.Fatalf("Put over a damaged package: %v", err)
	}
	placeWantPackages(t, stores.Packages, [][]byte{content})
}
