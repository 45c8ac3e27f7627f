package image_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng/deploy/image"
)

// entries reads an archive.
func entries(t *testing.T, content []byte) (names []string, files map[string][]byte) {
	t.Helper()
	files = map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(content)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names, files
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(time.Unix(0, 0)) || h.Uid != 0 || h.Gid != 0 || h.Uname != "" {
			t.Errorf("%s is of %v, of user %d %q", h.Name, h.ModTime, h.Uid, h.Uname)
		}
		files[h.Name], err = io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("%s %o", h.Name, h.Mode))
	}
}

func write(t *testing.T, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

func TestImage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/bin/throng", "a program", 0o700)
	write(t, dir+"/places/hub/main.lua", "a script", 0o600)
	write(t, dir+"/places/hub/place.yaml", "a manifest", 0o600)
	i := image.Image{Name: "throng.test/throng:1", Files: []image.File{
		{Path: "/throng", From: dir + "/bin/throng"}, {Path: "/share/places", From: dir + "/places"},
	}}
	var first bytes.Buffer
	if err := image.Write(&first, i); err != nil {
		t.Fatal(err)
	}
	_, outer := entries(t, first.Bytes())
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(outer["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest) != 1 || len(manifest[0].Layers) != 1 || manifest[0].RepoTags[0] != i.Name {
		t.Fatalf("the manifest is %s", outer["manifest.json"])
	}
	layer := outer[manifest[0].Layers[0]]
	names, files := entries(t, layer)
	want := "share/ 755, share/places/ 755, share/places/hub/ 755, tmp/ 1777, " +
		"share/places/hub/main.lua 644, share/places/hub/place.yaml 644, throng 755"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("in the image are\n%s, want\n%s", got, want)
	}
	if got := string(files["throng"]); got != "a program" {
		t.Errorf("the program is %q", got)
	}
	wantConfig := fmt.Sprintf(`{"architecture":"amd64","config":{"Entrypoint":["/throng"],"Env":["PATH=/"],"User":"65532:65532","WorkingDir":"/"},`+
		`"created":"1970-01-01T00:00:00Z","os":"linux","rootfs":{"diff_ids":["sha256:%x"],"type":"layers"}}`, sha256.Sum256(layer))
	if got := string(outer[manifest[0].Config]); got != wantConfig {
		t.Errorf("the config is\n%s, want\n%s", got, wantConfig)
	}

	// The same files at another time, in another folder, listed otherwise.
	elsewhere := t.TempDir()
	if err := os.CopyFS(elsewhere, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(elsewhere+"/places/hub/main.lua", 0o644); err != nil { //nolint:gosec // that is the point
		t.Fatal(err)
	}
	i.Entrypoint = []string{"/throng"}
	i.Files = []image.File{{Path: "share/places", From: elsewhere + "/places"}, {Path: "throng", From: elsewhere + "/bin/throng"}}
	tarball := filepath.Join(elsewhere, "images", "throng.tar")
	if err := image.WriteFile(tarball, i); err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(tarball)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second) {
		t.Error("the same files give another image")
	}
}

func TestBadImages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/a", "a", 0o600)
	write(t, dir+"/b", "b", 0o600)
	for want, i := range map[string]image.Image{
		"name with a tag":           {Name: "throng", Files: []image.File{{Path: "a", From: dir + "/a"}}},
		"0 files":                   {Name: "throng:1"},
		"is both":                   {Name: "throng:1", Files: []image.File{{Path: "x", From: dir + "/a"}, {Path: "/x", From: dir + "/b"}}},
		"no such file or directory": {Name: "throng:1", Files: []image.File{{Path: "x", From: dir + "/none"}}},
	} {
		tarball := filepath.Join(t.TempDir(), "i.tar")
		if err := image.WriteFile(tarball, i); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("an image that is wrong: %v, want %q", err, want)
		}
		if left, err := os.ReadDir(filepath.Dir(tarball)); err != nil || len(left) > 0 {
			t.Errorf("an image that is wrong leaves %v, %v", left, err)
		}
	}
}
