package contract

import (
	"context"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/auth"
)

// KeyStores is the contract of auth.KeyStore. open makes two that share what is
// stored, as two processes have them.
func KeyStores(t *testing.T, open func(t *testing.T) (here, there auth.KeyStore)) {
	t.Helper()
	t.Run("keys", func(t *testing.T) { keysLife(t, open) })
	t.Run("revoked keys stay revoked", func(t *testing.T) { keysRevoked(t, open) })
}

func keyRecord(n byte, owner throng.PlayerID) auth.KeyRecord {
	return auth.KeyRecord{
		APIKey: throng.APIKey{
			ID: throng.MakeKeyID(throng.Entropy{n}), Owner: owner, Name: "ci", Rate: 2.5, Created: time.Unix(1_700_000_000, 0).UTC(),
			Expires: time.Unix(1_800_000_000, 0).UTC(),
		},
		Hash: [32]byte{n, 1},
	}
}

func keysLife(t *testing.T, open func(t *testing.T) (here, there auth.KeyStore)) {
	t.Helper()
	ctx := t.Context()
	here, there := open(t)
	if list, err := here.ListKeys(ctx, ""); err != nil || len(list) != 0 {
		t.Errorf("none: got %v, %v", list, err)
	}
	one, two := keyRecord(1, "ada"), keyRecord(2, "bo")
	for _, k := range []auth.KeyRecord{one, two} {
		if err := here.PutKey(ctx, k); err != nil {
			t.Fatal(err)
		}
	}
	placeWantKind(t, "PutKey again", there.PutKey(ctx, one), throng.Exists)
	if got, err := there.GetKey(ctx, one.ID); err != nil || got != one {
		t.Errorf("got %+v, %v, want %+v", got, err, one)
	}
	list, err := there.ListKeys(ctx, "ada")
	if err != nil || len(list) != 1 || list[0] != one {
		t.Errorf("ada's: got %+v, %v", list, err)
	}
	if list, err := there.ListKeys(ctx, ""); err != nil || len(list) != 2 {
		t.Errorf("all: got %+v, %v", list, err)
	}
	used := time.Unix(1_750_000_000, 0).UTC()
	if err := there.UseKey(ctx, one.ID, used); err != nil {
		t.Fatal(err)
	}
	if err := here.UseKey(ctx, one.ID, used.Add(-time.Hour)); err != nil { // late
		t.Fatal(err)
	}
	if got, err := here.GetKey(ctx, one.ID); err != nil || !got.Used.Equal(used) {
		t.Errorf("used: got %+v, %v, want %s", got, err, used)
	}
	if err := there.DeleteKey(ctx, one.ID); err != nil {
		t.Fatal(err)
	}
	placeWantKind(t, "delete after it", here.DeleteKey(ctx, one.ID), throng.NotFound)
	placeWantKind(t, "use after it", here.UseKey(ctx, one.ID, time.Now()), throng.NotFound)
	_, err = here.GetKey(ctx, one.ID)
	placeWantKind(t, "get after it", err, throng.NotFound)
	_, err = here.GetKey(ctx, "../../secrets/region")
	placeWantKind(t, "a name that leads out", err, throng.Invalid)
}

// keysRevoked: a note of use that comes late does not bring a key back.
func keysRevoked(t *testing.T, open func(t *testing.T) (here, there auth.KeyStore)) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	here, there := open(t)
	for n := range byte(20) {
		record := keyRecord(n, "ada")
		if err := here.PutKey(ctx, record); err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() { _ = here.UseKey(ctx, record.ID, time.Unix(int64(i), 0)) }) // it may be gone
		}
		group.Go(func() {
			if err := there.DeleteKey(ctx, record.ID); err != nil {
				t.Error(err)
			}
		})
		group.Wait()
	}
	if list, err := here.ListKeys(ctx, ""); err != nil || len(list) != 0 {
		t.Errorf("got %v, %v, want none", list, err)
	}
}

// DrainStore keeps what of a fleet is taken out of use.
type DrainStore interface {
	Put(ctx context.Context, f throng.FleetDrain) error
	Drop(ctx context.Context, kind throng.DrainKind, name string) error
	List(ctx context.Context) ([]throng.FleetDrain, error)
}

// DrainStores is the contract of a DrainStore. open makes two that share what is
// stored, as two processes have them; damage writes something that is no drain of
// the cluster x behind their back.
func DrainStores(t *testing.T, open func(t *testing.T) (here, there DrainStore, damage func())) {
	t.Helper()
	here, there, damage := open(t)
	ctx := t.Context()
	want := []throng.FleetDrain{
		{Kind: throng.DrainCluster, Name: "eu-1", Reason: "update", Since: time.Unix(5, 0).UTC(), Until: time.Unix(9, 0).UTC(), Old: true},
		{Kind: throng.DrainServer, Name: "srv_eu_1", Reason: "it is slow", Since: time.Unix(5, 0).UTC()},
	}
	first := want[0]
	first.Reason = "first"
	for _, f := range []throng.FleetDrain{first, want[1], want[0]} {
		if err := here.Put(ctx, f); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if got, err := there.List(ctx); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v (%v), want %+v", got, err, want)
		}
	}
	for _, bad := range []string{"", "../x", ".x", "a/b", strings.Repeat("x", 201)} {
		placeWantKind(t, "the name "+bad, here.Put(ctx, throng.FleetDrain{Kind: throng.DrainCluster, Name: bad}), throng.Invalid)
	}
	for range 2 {
		if err := there.Drop(ctx, throng.DrainServer, "srv_eu_1"); err != nil {
			t.Fatal(err)
		}
	}
	// A damaged one is said, and hides no other.
	damage()
	if got, err := here.List(ctx); err == nil || !strings.Contains(err.Error(), "cluster-x.json") || !reflect.DeepEqual(got, want[:1]) {
		t.Errorf("got %+v (%v), want the good one and the name of the bad one", got, err)
	}
}
