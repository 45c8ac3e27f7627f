package disk_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/auth"
	"github.com/throng-gg/throng/contract"
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

func TestKeys(t *testing.T) {
	contract.KeyStores(t, func(t *testing.T) (here, there auth.KeyStore) {
		dir := t.TempDir()
		return disk.Keys{Dir: dir}, disk.Keys{Dir: dir}
	})
}

func TestKeyFiles(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	k := disk.Keys{Dir: dir}
	one := auth.KeyRecord{APIKey: throng.APIKey{ID: throng.MakeKeyID(throng.Entropy{1}), Owner: "ada"}}
	if err := k.PutKey(ctx, one); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "keys", string(one.ID)+".json")
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("got %v, %v, want mode 0600", info, err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.GetKey(ctx, one.ID); throng.KindOf(err) != throng.Internal || err == nil {
		t.Errorf("damaged: got %v, want internal", err)
	}
}
