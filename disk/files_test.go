package disk_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/disk"
)

// TestFilesLeaveNothingBeside: what a process that died left beside a file is gone
// once the file is written, and nothing else is.
func TestFilesLeaveNothingBeside(t *testing.T) {
	dir := t.TempDir()
	files := disk.Files{Dir: dir}
	for _, name := range []string{"day/a.json", "day/a.json.b.json"} {
		if err := files.Put(t.Context(), name, []byte("1")); err != nil {
			t.Fatal(err)
		}
	}
	for _, left := range []string{"a.json.17.tmp", "b.json.18.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, "day", left), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.Put(t.Context(), "day/a.json", []byte("2")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "day"))
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, e := range entries {
		got += e.Name() + " "
	}
	if want := "a.json a.json.b.json b.json.18.tmp "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "day", "a.json")); err != nil || string(text) != "2" {
		t.Errorf("got %q, %v, want the newest", text, err)
	}
	if err := files.Put(t.Context(), "../out", nil); throng.KindOf(err) != throng.Invalid || err == nil {
		t.Errorf("outside of the folder: got %v, want Invalid", err)
	}
}

func TestFilesContract(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	contract.Files(t, func() contract.FileStore { return disk.Files{Dir: dir} }, func(name string) []byte {
		data, _ := os.ReadFile(filepath.Join(dir, name))
		return data
	})
}
