package client

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/throng-gg/throng"
)

// mostDoors bounds a list of doors.
const mostDoors = 64

// doors are the doors of one region, which all lead to the same registry. Calls
// go to one of them until it is not reached; then they go to the next.
type doors struct {
	base  string   // that calls are written for before it is known where they go
	given []string // URLs that end with /, as all here

	mu  sync.Mutex
	all []string // guarded by mu; those that were learned, then the given ones
	at  int      // guarded by mu; of the one to call
}

// parseDoors takes one URL or several, separated by commas.
func parseDoors(addr string) (*doors, error) {
	d := &doors{}
	for one := range strings.SplitSeq(addr, ",") {
		door, err := parseDoor(strings.TrimSpace(one))
		if err != nil {
			return nil, err
		}
		d.given = append(d.given, door)
	}
	if len(d.given) > mostDoors {
		return nil, throng.AtField(throng.Invalid, "Addr", "has %d doors, at most %d are allowed", len(d.given), mostDoors)
	}
	d.base, d.all = d.given[0], d.given
	return d, nil
}

func parseDoor(addr string) (string, error) {
	u, err := url.Parse(addr)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", throng.AtField(throng.Invalid, "Addr", "%q is not a URL like http://localhost:8080", addr)
	}
	return strings.TrimSuffix(addr, "/") + "/", nil
}

// now is the door to call.
func (d *doors) now() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all[d.at]
}

func (d *doors) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.all)
}

// leave makes the door after this one the one to call, unless somebody else did
// already.
func (d *doors) leave(door string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all[d.at] == door {
		d.at = (d.at + 1) % len(d.all)
	}
}

// learn takes in which doors there are now. Those that were given stay, too. What
// is no URL is passed over.
func (d *doors) learn(list []string) {
	var all []string
	for _, one := range list[:min(len(list), mostDoors)] {
		if door, err := parseDoor(one); err == nil && !slices.Contains(all, door) {
			all = append(all, door)
		}
	}
	for _, door := range d.given {
		if !slices.Contains(all, door) {
			all = append(all, door)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	at := slices.Index(all, d.all[d.at])
	d.all, d.at = all, max(at, 0)
}

// rest is what a call's URL says beyond the door.
func (d *doors) rest(r *http.Request) string { return strings.TrimPrefix(r.URL.String(), d.base) }

// aim turns a call to a door.
func (d *doors) aim(r *http.Request, door string) (*http.Request, error) {
	u, err := url.Parse(door + d.rest(r))
	if err != nil {
		return nil, err
	}
	aimed := r.Clone(r.Context())
	aimed.URL, aimed.Host = u, u.Host
	if r.GetBody != nil {
		if aimed.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	return aimed, nil
}
