package disk_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/auth"
	"github.com/throng-gg/throng/disk"
)

func numbers(t *testing.T, r disk.Ring) string {
	t.Helper()
	secrets, err := r.Secrets()
	if err != nil {
		return err.Error()
	}
	var list []int
	for _, s := range secrets {
		list = append(list, s.Number)
		if time.Since(s.Since) > time.Hour || time.Since(s.Since) < -time.Hour {
			t.Errorf("secret %d was made at %s", s.Number, s.Since)
		}
	}
	return fmt.Sprint(list)
}

func TestRing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	r := disk.Ring{Dir: dir}
	if got := numbers(t, r); got != "[1]" {
		t.Fatalf("a new folder: got %s, want [1]", got)
	}
	master, err := disk.Secret(dir, "region")
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := r.Secrets()
	if err != nil || [32]byte(master) != secrets[0].Bytes {
		t.Errorf("the first secret: got %v, %v, want the file's", secrets, err)
	}
	if err := r.Remove(1); throng.KindOf(err) != throng.Conflict || err == nil {
		t.Errorf("remove the only one: got %v, want conflict", err)
	}
	for want := 2; want <= auth.MaxSecrets; want++ {
		if n, err := r.Add(); err != nil || n != want {
			t.Fatalf("Add: got %d, %v, want %d", n, err, want)
		}
	}
	if _, err := r.Add(); throng.KindOf(err) != throng.Full || err == nil {
		t.Errorf("one too many: got %v, want full", err)
	}
	for n := 1; n < auth.MaxSecrets-1; n++ {
		if err := r.Remove(n); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Remove(1); throng.KindOf(err) != throng.NotFound || err == nil {
		t.Errorf("remove again: got %v, want not found", err)
	}
	// What is beside it is none of it.
	for _, name := range []string{"region.x", "region.1", "region.02", "region.-3", "other", "region.17.abc.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, "secrets", name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := numbers(t, r); got != "[15 16]" {
		t.Errorf("got %s, want [15 16]: the first is not made anew", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "secrets", "region.15"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Secrets(); err == nil || throng.KindOf(err) != throng.Internal {
		t.Errorf("a damaged one: got %v", err)
	}
}

func key(n byte, owner throng.PlayerID) auth.KeyRecord {
	return auth.KeyRecord{
		APIKey: throng.APIKey{
			ID: throng.MakeKeyID(throng.Entropy{n}), Owner: owner, Name: "ci", Rate: 2.5, Created: time.Unix(1_700_000_000, 0).UTC(),
			Expires: time.Unix(1_800_000_000, 0).UTC(),
		},
		Hash: [32]byte{n, 1},
	}
}

func TestKeys(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	here, there := disk.Keys{Dir: dir}, disk.Keys{Dir: dir} // two processes
	if list, err := here.ListKeys(ctx, ""); err != nil || len(list) != 0 {
		t.Errorf("none: got %v, %v", list, err)
	}
	one, two := key(1, "ada"), key(2, "bo")
	for _, k := range []auth.KeyRecord{one, two} {
		if err := here.PutKey(ctx, k); err != nil {
			t.Fatal(err)
		}
	}
	if err := there.PutKey(ctx, one); throng.KindOf(err) != throng.Exists || err == nil {
		t.Errorf("again: got %v, want exists", err)
	}
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
	info, err := os.Stat(filepath.Join(dir, "keys", string(one.ID)+".json"))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("got %v, %v, want mode 0600", info, err)
	}
	if err := there.DeleteKey(ctx, one.ID); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"delete": here.DeleteKey(ctx, one.ID), "use": here.UseKey(ctx, one.ID, time.Now()),
		"get": second(here.GetKey(ctx, one.ID)),
	} {
		if throng.KindOf(err) != throng.NotFound || err == nil {
			t.Errorf("%s after it: got %v, want not found", name, err)
		}
	}
	if _, err := here.GetKey(ctx, "../../secrets/region"); throng.KindOf(err) != throng.Invalid || err == nil {
		t.Errorf("a name that leads out: got %v, want invalid", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "keys", string(two.ID)+".json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := here.GetKey(ctx, two.ID); throng.KindOf(err) != throng.Internal || err == nil {
		t.Errorf("damaged: got %v, want internal", err)
	}
}

func second[T any](_ T, err error) error { return err }

// TestRevokedKeysStayRevoked: a note of use that comes late does not bring a key
// back.
func TestRevokedKeysStayRevoked(t *testing.T) {
	ctx, dir := context.WithoutCancel(t.Context()), t.TempDir()
	k := disk.Keys{Dir: dir}
	for n := range byte(20) {
		record := key(n, "ada")
		if err := k.PutKey(ctx, record); err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() { _ = k.UseKey(ctx, record.ID, time.Unix(int64(i), 0)) }) // it may be gone
		}
		group.Go(func() {
			if err := (disk.Keys{Dir: dir}).DeleteKey(ctx, record.ID); err != nil {
				t.Error(err)
			}
		})
		group.Wait()
	}
	if list, err := k.ListKeys(ctx, ""); err != nil || len(list) != 0 {
		t.Errorf("got %v, %v, want none", list, err)
	}
}
