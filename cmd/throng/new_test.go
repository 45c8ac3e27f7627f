package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/place"
	"github.com/throng-gg/throng/script"
)

func TestNewWritesAPlaceThatCanBePublished(t *testing.T) {
	for _, c := range []struct {
		dir      string
		args     []string
		id, name string
	}{
		{"my-place", nil, "my-place", "My place"},
		{"My Folder", []string{"--id", "tag-2"}, "tag-2", "Tag 2"},
		{"deep/down/here", []string{"--template", "arena", "--name", `It's "Tag": {x} # now`}, "here", `It's "Tag": {x} # now`},
		{"ü", []string{"--id", "u", "--name", "Übung $1"}, "u", "Übung $1"},
	} {
		t.Run(c.dir, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), c.dir)
			status, out := throngCommand(t, append([]string{"new", dir}, c.args...)...)
			if status != 0 {
				t.Fatalf("exit status %d:\n%s", status, out)
			}
			files, err := place.ReadDir(os.DirFS(dir))
			if err != nil {
				t.Fatal(err)
			}
			m, err := place.Check(files, script.Check)
			if err != nil || string(m.ID) != c.id || m.Name != c.name {
				t.Errorf("got %+v, %v, want id %s and name %s", m, err, c.id, c.name)
			}
			for _, want := range []string{"throng publish ", " --watch ", "throng logs " + c.id + " --follow "} {
				if !strings.Contains(out, want) {
					t.Errorf("does not say %q:\n%s", want, out)
				}
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	taken := t.TempDir()
	if err := os.WriteFile(filepath.Join(taken, "notes.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"a folder with something in it":  {[]string{taken, "--id", "x"}, []string{taken, "not empty", "notes.txt"}},
		"a file":                         {[]string{filepath.Join(taken, "notes.txt"), "--id", "x"}, []string{"notes.txt"}},
		"a bad ID":                       {[]string{filepath.Join(t.TempDir(), "a"), "--id", "No"}, []string{"--id", "No"}},
		"a folder whose name is no ID":   {[]string{filepath.Join(t.TempDir(), "Nö")}, []string{"--id", "Nö"}},
		"a name that cannot be a name":   {[]string{filepath.Join(t.TempDir(), "a"), "--name", " "}, []string{"--name"}},
		"a template that does not exist": {[]string{filepath.Join(t.TempDir(), "a"), "--template", "chess"}, []string{"--template", "arena"}},
	} {
		t.Run(name, func(t *testing.T) {
			status, out := throngCommand(t, append([]string{"new"}, c.args...)...)
			if status == 0 {
				t.Error("exit status 0, want another")
			}
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("%q does not name %q", out, want)
				}
			}
			if _, err := os.Stat(filepath.Join(c.args[0], place.ManifestFile)); err == nil {
				t.Error("wrote a manifest all the same")
			}
		})
	}
	if entries, err := os.ReadDir(taken); err != nil || len(entries) != 1 {
		t.Errorf("got %v, %v in the folder that was refused, want it as it was", entries, err)
	}
}

// TestDocumentedManifest: the example on the creators' page is good, and what it
// says are the defaults are; max_speed and game have none.
func TestDocumentedManifest(t *testing.T) {
	text, err := os.ReadFile("../../docs/places.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindSubmatch(text)
	if block == nil {
		t.Fatal("the page has no example of a manifest")
	}
	got, err := place.ParseManifest(block[1])
	if err != nil {
		t.Fatal(err)
	}
	plain, err := place.ParseManifest([]byte("id: my-place\nname: My place\ncapacity: 20\nentry: scripts/main.lua\nmax_speed: 8\ngame: my-hub\n"))
	plain.MaxLatency = throng.DefaultMaxLatency // which is not written into a record
	if err != nil || !reflect.DeepEqual(got, plain) {
		t.Errorf("got %+v, want the defaults %+v (%v)", got, plain, err)
	}
}
