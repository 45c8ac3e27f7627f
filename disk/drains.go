package disk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/throng-gg/throng"
)

const (
	drainsDir = "drains"
	// maxDrains is how many there may be; who wants more drains the region.
	maxDrains = 4096
)

// Drains keeps what of a fleet is taken out of use, a file each, so that several
// processes may share the folder: the last word on each counts.
type Drains struct{ dir string }

// NewDrains keeps them in a folder's subfolder, which is made.
func NewDrains(folder string) (*Drains, error) {
	d := &Drains{filepath.Join(folder, drainsDir)}
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return nil, fmt.Errorf("folder of drains: %w", err)
	}
	return d, nil
}

// Put keeps a drain in place of an earlier one of the same part, durable when it
// returns. Invalid: a name that is no file's. Full: there are 4,096.
func (d *Drains) Put(_ context.Context, f throng.FleetDrain) error {
	file, err := d.file(f.Kind, f.Name)
	if err != nil {
		return err
	}
	if entries, err := os.ReadDir(d.dir); err != nil || len(entries) >= maxDrains {
		return errors.Join(throng.Errorf(throng.Full, "%d parts of the fleet are drained, which is the most", len(entries)), err)
	}
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return Replace(file, text, 0o644)
}

// Drop forgets a drain. One that is not there is no error.
func (d *Drains) Drop(_ context.Context, kind throng.DrainKind, name string) error {
	file, err := d.file(kind, name)
	if err != nil {
		return err
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(d.dir)
}

// List returns them all, by kind and name. One that cannot be read is passed over
// and returned in the error, beside the others.
func (d *Drains) List(context.Context) ([]throng.FleetDrain, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, fmt.Errorf("read drains: %w", err)
	}
	var list []throng.FleetDrain
	var bad []error
	for _, e := range entries[:min(len(entries), maxDrains)] {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(d.dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // dropped meanwhile
		}
		var f throng.FleetDrain
		if err == nil {
			err = json.Unmarshal(text, &f)
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("drain %s is damaged: %w", e.Name(), err))
			continue
		}
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b throng.FleetDrain) int {
		return strings.Compare(string(a.Kind)+a.Name, string(b.Kind)+b.Name)
	})
	return list, errors.Join(bad...)
}

func (d *Drains) file(kind throng.DrainKind, name string) (string, error) {
	if !throng.IsDrainName(name) {
		return "", throng.AtField(throng.Invalid, "name", "%q is not a name", name)
	}
	return filepath.Join(d.dir, string(kind)+"-"+name+".json"), nil
}
