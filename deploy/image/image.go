package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Nobody is the user of an image that names none.
const Nobody = "65532:65532"

// Image is what an archive holds.
type Image struct {
	// Name is like throng.test/throng:1, with its tag.
	Name string
	// Files are in it, and nothing else is, but an empty /tmp.
	Files []File
	// Entrypoint is what runs; default: the first of Files.
	Entrypoint []string
	// User is user:group in numbers; default: Nobody.
	User string
	// Architecture is as Go calls it; default: amd64.
	Architecture string
}

// File is a file of an image, or a folder with all that is in it.
type File struct {
	Path string // in the image
	From string // on this machine
}

// WriteFile writes an image's archive to a file, whole or not at all.
func WriteFile(name string, i Image) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // images are no secret
		return fmt.Errorf("write the image %s: %w", i.Name, err)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".image-")
	if err != nil {
		return fmt.Errorf("write the image %s: %w", i.Name, err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it has the other name by then
	err = Write(f, i)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("write the image %s: %w", i.Name, err)
	}
	return nil
}

// Write writes an image's archive.
func Write(w io.Writer, i Image) error {
	if len(i.Files) == 0 || !strings.Contains(path.Base(i.Name), ":") {
		return fmt.Errorf("an image has files and a name with a tag: %q, %d files", i.Name, len(i.Files))
	}
	layer, err := layer(i.Files)
	if err != nil {
		return err
	}
	config, err := i.config(layer)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%x.json", sha256.Sum256(config))
	manifest, err := json.Marshal([]any{map[string]any{"Config": name, "RepoTags": []string{i.Name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return fmt.Errorf("write a manifest: %w", err)
	}
	out := tar.NewWriter(w)
	for _, part := range []struct {
		name    string
		content []byte
	}{{name, config}, {"layer.tar", layer}, {"manifest.json", manifest}} {
		if err := add(out, tar.Header{Name: part.name, Mode: 0o644}, bytes.NewReader(part.content), int64(len(part.content))); err != nil {
			return err
		}
	}
	return out.Close()
}

// config says how the image runs and what is in it.
func (i Image) config(layer []byte) ([]byte, error) {
	run := map[string]any{"Entrypoint": i.Entrypoint, "User": i.User, "Env": []string{"PATH=/"}, "WorkingDir": "/"}
	if len(i.Entrypoint) == 0 {
		run["Entrypoint"] = []string{path.Join("/", i.Files[0].Path)}
	}
	if i.User == "" {
		run["User"] = Nobody
	}
	if i.Architecture == "" {
		i.Architecture = "amd64"
	}
	config, err := json.Marshal(map[string]any{
		"architecture": i.Architecture, "os": "linux", "created": "1970-01-01T00:00:00Z", "config": run,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	if err != nil {
		return nil, fmt.Errorf("write an image's config: %w", err)
	}
	return config, nil
}

// layer packs files, sorted by name, root's, of no date.
func layer(files []File) ([]byte, error) {
	all, err := find(files)
	if err != nil {
		return nil, err
	}
	dirs := map[string]bool{"tmp": true}
	for _, f := range all {
		for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
			dirs[dir] = true
		}
	}
	var packed bytes.Buffer
	out := tar.NewWriter(&packed)
	for _, dir := range sorted(dirs) {
		mode := int64(0o755)
		if dir == "tmp" {
			mode = 0o1777
		}
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: mode}); err != nil {
			return nil, fmt.Errorf("pack %s: %w", dir, err)
		}
	}
	for _, f := range all {
		if err := pack(out, f); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.Path, err)
		}
	}
	return packed.Bytes(), out.Close()
}

func sorted(set map[string]bool) []string {
	var names []string
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// find lists the files below folders, by their paths in the image, which don't
// begin with a slash.
func find(files []File) ([]File, error) {
	found := map[string]string{}
	for _, f := range files {
		err := filepath.WalkDir(f.From, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			below, err := filepath.Rel(f.From, name)
			if err != nil {
				return err
			}
			inside := strings.TrimPrefix(path.Join("/", f.Path, filepath.ToSlash(below)), "/")
			if was, twice := found[inside]; twice {
				return fmt.Errorf("/%s is both %s and %s", inside, was, name)
			}
			found[inside] = name
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("find the files of an image: %w", err)
		}
	}
	var all []File
	for inside, name := range found {
		all = append(all, File{Path: inside, From: name})
	}
	slices.SortFunc(all, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

// pack writes one file. Who may run it and read it is the same whatever the
// machine's umask was.
func pack(out *tar.Writer, f File) error {
	in, err := os.Open(f.From)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it was only read
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", f.From)
	}
	mode := int64(0o644)
	if info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	return add(out, tar.Header{Name: f.Path, Mode: mode}, in, info.Size())
}

func add(out *tar.Writer, h tar.Header, content io.Reader, size int64) error {
	h.Typeflag, h.Size = tar.TypeReg, size
	if err := out.WriteHeader(&h); err != nil {
		return err
	}
	_, err := io.Copy(out, content)
	return err
}
