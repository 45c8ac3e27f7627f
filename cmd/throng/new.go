package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/examples"
	"github.com/throng-gg/throng/place"
	"github.com/throng-gg/throng/script"
)

// newCmd writes a place to start from.
type newCmd struct {
	Dir      string `arg:"" help:"Folder for the place; made when missing, else it must be empty."`
	ID       string `name:"id" help:"Name of the place in the API: a-z, 0-9 and -; the folder's when not given."`
	Name     string `help:"Name for people; made from the ID when not given."`
	Template string `default:"starter" enum:"starter,arena,rush" help:"Which example to start from: starter, arena or rush."`
}

// Run writes the files, all or none, and says what to do next.
func (c *newCmd) Run(e *env) error {
	files, err := c.files()
	if err != nil {
		return err
	}
	if err := claimFolder(c.Dir); err != nil {
		return err
	}
	if err := writeFiles(c.Dir, files); err != nil {
		return err
	}
	manifest, err := place.ParseManifest(files[place.ManifestFile])
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s is the place %s (%s). Next:\n\n", c.Dir, manifest.ID, manifest.Name)
	t := tabwriter.NewWriter(e.out, 0, 8, 4, ' ', 0)
	fmt.Fprintf(t, "    throng publish %s --watch\tpublishes it now, and whenever you save\n", shellWord(c.Dir))
	fmt.Fprintf(t, "    throng logs %s --follow\tshows what its scripts print, and their errors\n", manifest.ID)
	return t.Flush()
}

// shellWord is a path as people can paste it into a shell.
func shellWord(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+:,@%") == "" && !strings.HasPrefix(s, "-") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// files is the template under the new place's name.
func (c *newCmd) files() (map[string][]byte, error) {
	id := throng.PlaceID(c.ID)
	if id == "" {
		whole, err := filepath.Abs(c.Dir)
		if err != nil {
			return nil, fmt.Errorf("find the folder: %w", err)
		}
		id = throng.PlaceID(filepath.Base(whole))
		if _, err := throng.ParsePlaceID("--id", string(id)); err != nil {
			return nil, throng.AtField(throng.Invalid, "--id", "is needed: the folder's name %q is no place ID like my-place", id)
		}
	}
	if _, err := throng.ParsePlaceID("--id", string(id)); err != nil {
		return nil, err
	}
	name := c.Name
	if name == "" {
		name = nameOf(id)
	}
	folder, err := fs.Sub(examples.Places, "places/"+c.Template)
	if err != nil {
		return nil, fmt.Errorf("read template %s: %w", c.Template, err)
	}
	files, err := place.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("read template %s: %w", c.Template, err)
	}
	manifest := files[place.ManifestFile]
	for key, value := range map[string]string{"id": string(id), "name": strconv.Quote(name)} {
		line := regexp.MustCompile(`(?m)^` + key + `: .*$`)
		manifest = line.ReplaceAllLiteral(manifest, []byte(key+": "+value))
	}
	files[place.ManifestFile] = manifest
	checked, err := place.Check(files, script.Check)
	switch {
	case err != nil && c.Name != "":
		return nil, throng.AtField(throng.Invalid, "--name", "%q is no name for a place: %w", c.Name, err)
	case err != nil:
		return nil, fmt.Errorf("template %s: %w", c.Template, err)
	case checked.ID != id || checked.Name != name:
		return nil, throng.Errorf(throng.Internal, "template %s could not be renamed", c.Template)
	}
	return files, nil
}

// nameOf makes a name for people: my-place is My place.
func nameOf(id throng.PlaceID) string {
	words := strings.Join(strings.FieldsFunc(string(id), func(r rune) bool { return r == '-' }), " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

// claimFolder makes the folder, or refuses one with something in it.
func claimFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make the place's folder: %w", err)
		}
		return nil
	case err != nil:
		return fmt.Errorf("look into the place's folder: %w", err)
	case len(entries) > 0:
		return throng.Errorf(throng.Exists, "%s is not empty: it has %s in it", dir, entries[0].Name())
	}
	return nil
}

// writeFiles writes all files, or takes back those that it wrote. It overwrites
// nothing.
func writeFiles(dir string, files map[string][]byte) error {
	var written []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := writeNew(to, files[name]); err != nil {
			for _, done := range slices.Backward(written) {
				_ = os.Remove(done) // the first error is the one to tell
			}
			return fmt.Errorf("write the place: %w", err)
		}
		written = append(written, to)
	}
	return nil
}

func writeNew(to string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = bytes.NewReader(content).WriteTo(f)
	return errors.Join(err, f.Close())
}
