package main

import (
	"crypto/sha256"
	"encoding/binary"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/throng-gg/throng/place"
)

// maxHashed is the most bytes of a script whose content is compared; of other
// files size and time of change are.
const maxHashed = 1 << 20

// changes notices when a folder has changed and come to rest.
type changes struct {
	dir     string
	handled fingerprint // what was published last; zero: nothing
	pending fingerprint // what is there now
	first   time.Time   // when a look first differed from handled
	since   time.Time   // since when pending is there
}

// fingerprint is a folder's state, in short.
type fingerprint [sha256.Size]byte

// look compares the folder with what was handled. changed: it is new, and was
// at rest for watchSettle; noticed is when the change was seen first.
func (c *changes) look(now time.Time) (noticed time.Time, changed bool) {
	found := fingerprintOf(c.dir)
	if found == c.handled {
		c.pending, c.first = found, time.Time{}
		return time.Time{}, false
	}
	if c.first.IsZero() {
		c.first = now
	}
	fresh := c.handled == fingerprint{} && c.pending == fingerprint{} // at the start nothing is being written
	if found != c.pending {
		c.pending, c.since = found, now
	}
	if !fresh && now.Sub(c.since) < watchSettle {
		return time.Time{}, false
	}
	noticed = c.first
	c.handled, c.first = found, time.Time{}
	return noticed, true
}

// moving says that a change was noticed that has not come to rest.
func (c *changes) moving() bool { return !c.first.IsZero() }

// forget makes the next look a change.
func (c *changes) forget() { c.handled, c.pending = fingerprint{}, fingerprint{} }

// fingerprintOf looks at the files that place.ReadDir reads. What cannot be
// looked at is part of the fingerprint, so that publishing tells about it.
func fingerprintOf(dir string) fingerprint {
	sum := sha256.New()
	files := 0
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == dir:
			return nil
		case strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if files++; files > 2*place.MaxFiles {
			return fs.SkipAll
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		sum.Write([]byte(name + "\x00" + d.Type().String() + "\x00"))
		if d.IsDir() {
			return nil
		}
		stamp := binary.BigEndian.AppendUint64(nil, uint64(info.Size()))
		sum.Write(binary.BigEndian.AppendUint64(stamp, uint64(info.ModTime().UnixNano())))
		if text := path.Ext(d.Name()) == ".lua" || d.Name() == place.ManifestFile; text && info.Mode().IsRegular() && info.Size() <= maxHashed {
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			sum.Write(content)
		}
		return nil
	})
	if err != nil {
		sum.Write([]byte(err.Error()))
	}
	return fingerprint(sum.Sum(nil))
}
