package disk_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/disk"
	"github.com/throng-gg/throng/place"
)

// TestMain lets this binary be the other process that has a folder open.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "hold" {
		hold(os.Args[2])
	}
	if len(os.Args) == 5 && os.Args[1] == "cache" {
		useCache(os.Args[2], os.Args[3], os.Args[4])
	}
	os.Exit(m.Run())
}

// hold opens a folder until its input ends.
func hold(dir string) {
	if _, err := disk.Open(dir); err != nil {
		say(err.Error())
		os.Exit(1)
	}
	say("held")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

func say(line string) {
	if _, err := io.WriteString(os.Stdout, line+"\n"); err != nil {
		os.Exit(1)
	}
}

func open(t *testing.T, dir string) *disk.Store {
	t.Helper()
	s, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // may be closed already
	return s
}

func packageFile(dir string, hash throng.PackageHash) string {
	return filepath.Join(dir, "packages", string(hash[:2]), string(hash)+".tar")
}

func TestStore(t *testing.T) {
	contract.Places(t, func(t *testing.T) contract.PlaceStores {
		dir := filepath.Join(t.TempDir(), "made", "here")
		s := open(t, dir)
		return contract.PlaceStores{
			Records:  s,
			Packages: s,
			Again: func(t *testing.T) contract.PlaceStores {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = open(t, dir)
				return contract.PlaceStores{Records: s, Packages: s}
			},
			Damage: func(t *testing.T, hash throng.PackageHash) {
				change(t, packageFile(dir, hash), func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
			},
		}
	})
}

func change(t *testing.T, name string, edit func([]byte) []byte) {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, edit(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedPackages(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 10_000)
	hash := place.Hash(content)
	for name, edit := range map[string]func([]byte) []byte{
		"first byte": func(b []byte) []byte { b[0] ^= 1; return b },
		"cut":        func(b []byte) []byte { return b[:len(b)-1] },
		"empty":      func([]byte) []byte { return nil },
		"longer":     func(b []byte) []byte { return append(b, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			if err := s.Put(t.Context(), hash, content); err != nil {
				t.Fatal(err)
			}
			change(t, packageFile(dir, hash), edit)
			r, _, err := s.Open(t.Context(), hash)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			got, err := io.ReadAll(r)
			if throng.KindOf(err) != throng.Internal || err == nil || bytes.Contains(got, content) {
				t.Errorf("got %d bytes and %v, want fewer than %d and an internal error", len(got), err, len(content))
			}
			if _, err := r.Read(make([]byte, 10)); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("read on: got %v, want the error again", err)
			}
		})
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := disk.Open(dir)
	want := "data folder " + dir + ": is in use by another process (pid " + strconv.Itoa(os.Getpid()) + ")"
	if throng.KindOf(err) != throng.Unavailable || err == nil || err.Error() != want {
		t.Errorf("second Open: got %v, want %s", err, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	other := exec.CommandContext(t.Context(), os.Args[0], "hold", dir)
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "held\n" {
		t.Fatalf("the other process: got %q, %v", line, err)
	}
	_, err = disk.Open(dir)
	if err == nil || !strings.Contains(err.Error(), "(pid "+strconv.Itoa(other.Process.Pid)+")") {
		t.Errorf("while another process has it: got %v", err)
	}
	if err := other.Process.Kill(); err != nil { // a crash lets go of it, too
		t.Fatal(err)
	}
	if err := other.Wait(); err == nil {
		t.Error("the other process ended well, want killed")
	}
	in.Close()
	open(t, dir)
}

func TestFolderThatCantBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	dirs := []string{file, filepath.Join(file, "below"), "/proc/throng-data"}
	if os.Geteuid() == 0 {
		t.Log("a folder without permission was NOT tried: root may write everywhere")
	} else {
		locked := t.TempDir()
		if err := os.Chmod(locked, 0o500); err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, locked)
	}
	for _, dir := range dirs {
		_, err := disk.Open(dir)
		if err == nil || !strings.HasPrefix(err.Error(), "data folder "+dir+": can't be used: ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one line", dir, err)
		}
	}
}

func TestDamagedRecordIsNotOverwritten(t *testing.T) {
	for _, content := range []string{"", "{", `{"place":"maze","revision":1,"releases":[{}]}`, `{"place":"arena"}`} {
		dir := t.TempDir()
		if err := open(t, dir).Close(); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, "places", "arena.json")
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := disk.Open(dir)
		if err == nil || !strings.Contains(err.Error(), "places/arena.json is damaged") {
			t.Errorf("%q: got %v, want a damaged record", content, err)
		}
		if got, _ := os.ReadFile(name); string(got) != content {
			t.Errorf("%q: the file was changed to %q", content, got)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		open(t, dir) // the failed Open let go of the lock
	}
}

// A write that fails changes nothing, and leaves nothing.
func TestFailedSwap(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	record := place.Record{Place: "arena", Live: 1, Releases: []throng.Release{{Place: "arena", Version: 1}}}
	if err := s.Swap(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	places := filepath.Join(dir, "places")
	if err := os.Rename(places, places+".away"); err != nil {
		t.Fatal(err)
	}
	record.Revision, record.Live = 1, 2
	if err := s.Swap(t.Context(), record); throng.KindOf(err) != throng.Internal || err == nil {
		t.Errorf("got %v, want internal", err)
	}
	if got, err := s.Get(t.Context(), "arena"); err != nil || got.Live != 1 || got.Revision != 1 {
		t.Errorf("got %+v, %v, want what was there", got, err)
	}
	if err := os.Rename(places+".away", places); err != nil {
		t.Fatal(err)
	}
	if err := s.Swap(t.Context(), record); err != nil {
		t.Errorf("repeated: %v", err)
	}
}

func TestLeftoversAreSwept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	content := []byte("content")
	if err := s.Put(t.Context(), place.Hash(content), content); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	left := []string{filepath.Join(dir, "places", "arena.json.1.tmp"), packageFile(dir, place.Hash(content)) + ".1.tmp"}
	for _, name := range left {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir)
	for _, name := range left {
		if _, err := os.Stat(name); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
	if _, _, err := s.Open(t.Context(), place.Hash(content)); err != nil {
		t.Errorf("the package: %v", err)
	}
}

func TestSecret(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	const callers = 8
	secrets := make([][]byte, callers)
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			var err error
			if secrets[i], err = disk.Secret(dir, "master"); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, s := range secrets {
		if len(s) != 32 || !bytes.Equal(s, secrets[0]) || bytes.Equal(s, make([]byte, 32)) {
			t.Errorf("got %x, want the same 32 bytes as %x", s, secrets[0])
		}
	}
	other, err := disk.Secret(dir, "other")
	if err != nil || bytes.Equal(other, secrets[0]) {
		t.Errorf("other: got %x, %v, want another secret", other, err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "secrets"))
	if err != nil || len(entries) != 2 {
		t.Fatalf("got %v, %v, want two files", entries, err)
	}
	info, err := entries[0].Info()
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("got mode %v, %v, want 0600", info.Mode(), err)
	}

	master := filepath.Join(dir, "secrets", "master")
	if err := os.WriteFile(master, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Secret(dir, "master"); err == nil || !strings.Contains(err.Error(), "is damaged: it has 5 bytes, not 32") {
		t.Errorf("a short one: got %v", err)
	}
	for _, name := range []string{"", "..", "a/b", ".hidden"} {
		if _, err := disk.Secret(dir, name); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("name %q: got %v, want invalid", name, err)
		}
	}
}
