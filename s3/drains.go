package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/throng-gg/throng"
)

const (
	drainsDir = "drains/"
	// maxDrains is how many there may be; who wants more drains the region.
	maxDrains = 4096
)

// Drains keeps what of a fleet is taken out of use in the region's bucket: the
// last word on each part counts.
type Drains struct {
	at *bucket

	mu    sync.Mutex
	known map[listed]throng.FleetDrain // guarded by mu; as they were read
}

// Drains returns the store's drains.
func (s *Store) Drains() *Drains { return &Drains{at: s.own, known: map[listed]throng.FleetDrain{}} }

// Put keeps a drain in place of an earlier one of the same part, durable when it
// returns. Invalid: a name that is no name. Full: there are 4,096.
func (d *Drains) Put(ctx context.Context, f throng.FleetDrain) error {
	key, err := drainKey(f.Kind, f.Name)
	if err != nil {
		return err
	}
	there, err := d.at.list(ctx, drainsDir, maxDrains+shards)
	if err != nil {
		return err
	}
	if len(there) >= maxDrains {
		return throng.Errorf(throng.Full, "%d parts of the fleet are drained, which is the most", len(there))
	}
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = d.at.put(ctx, key, text, condition{})
	return err
}

// Drop forgets a drain. One that is not there is no error.
func (d *Drains) Drop(ctx context.Context, kind throng.DrainKind, name string) error {
	key, err := drainKey(kind, name)
	if err != nil {
		return err
	}
	return d.at.drop(ctx, key)
}

// List returns them all, by kind and name. One that cannot be read is passed over
// and returned in the error, beside the others.
func (d *Drains) List(ctx context.Context) ([]throng.FleetDrain, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	there, err := d.at.list(ctx, drainsDir, maxDrains+shards)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	known := make(map[listed]throng.FleetDrain, len(there))
	var list []throng.FleetDrain
	var bad []error
	for _, l := range there {
		f, ok := d.known[l]
		if !ok {
			o, err := d.at.get(ctx, drainsDir+l.name, "")
			if err != nil && throng.KindOf(err) == throng.NotFound {
				continue // dropped meanwhile
			}
			if err == nil {
				err = json.Unmarshal(o.content, &f)
			}
			if err != nil {
				bad = append(bad, fmt.Errorf("%s: drain %s is damaged: %w", d.at.name, l.name, err))
				continue
			}
		}
		known[l] = f
		list = append(list, f)
	}
	d.known = known
	slices.SortFunc(list, func(a, b throng.FleetDrain) int {
		return strings.Compare(string(a.Kind)+a.Name, string(b.Kind)+b.Name)
	})
	return list, errors.Join(bad...)
}

func drainKey(kind throng.DrainKind, name string) (string, error) {
	if !throng.IsDrainName(name) {
		return "", throng.AtField(throng.Invalid, "name", "%q is not a name", name)
	}
	return drainsDir + string(kind) + "-" + name + ".json", nil
}
