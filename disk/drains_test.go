package disk_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/disk"
)

func TestDrains(t *testing.T) {
	folder := t.TempDir()
	d, err := disk.NewDrains(folder)
	if err != nil {
		t.Fatal(err)
	}
	want := []throng.FleetDrain{
		{Kind: throng.DrainCluster, Name: "eu-1", Reason: "update", Since: time.Unix(5, 0).UTC(), Until: time.Unix(9, 0).UTC(), Old: true},
		{Kind: throng.DrainServer, Name: "srv_eu_1", Reason: "it is slow", Since: time.Unix(5, 0).UTC()},
	}
	first := want[0]
	first.Reason = "first"
	for _, f := range []throng.FleetDrain{first, want[1], want[0]} {
		if err := d.Put(f); err != nil {
			t.Fatal(err)
		}
	}
	other, err := disk.NewDrains(folder) // another process
	if err != nil {
		t.Fatal(err)
	}
	if got, err := other.List(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
	for _, bad := range []string{"", "../x", ".x", "a/b", strings.Repeat("x", 201)} {
		if err := d.Put(throng.FleetDrain{Kind: throng.DrainCluster, Name: bad}); throng.KindOf(err) != throng.Invalid {
			t.Errorf("the name %.10q: %v, want Invalid", bad, err)
		}
	}
	for range 2 {
		if err := other.Drop(throng.DrainServer, "srv_eu_1"); err != nil {
			t.Fatal(err)
		}
	}
	// A damaged one is said, and hides no other.
	if err := os.WriteFile(filepath.Join(folder, "drains", "cluster-x.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := d.List(); err == nil || !strings.Contains(err.Error(), "cluster-x.json") || len(got) != 1 {
		t.Errorf("got %+v (%v), want the good one and the name of the bad one", got, err)
	}
}
