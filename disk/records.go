package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/place"
)

// load reads all records.
func (s *Store) load() error {
	names, err := s.list()
	if err != nil {
		return err
	}
	for _, id := range names {
		if _, err := s.read(id); err != nil && throng.KindOf(err) != throng.NotFound {
			return err
		}
	}
	return nil
}

// list reads which places there are, sorted.
func (s *Store) list() ([]throng.PlaceID, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, placesDir))
	if err != nil {
		return nil, err
	}
	var names []throng.PlaceID
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), ".json"); ok {
			names = append(names, throng.PlaceID(id))
		}
	}
	slices.Sort(names)
	return names, nil
}

// known is a record with the file that it was read from or written to.
type known struct {
	place.Record
	file os.FileInfo
	// settled: whoever writes the file anew gives it another time than this one.
	settled bool
}

// settleTime is longer than any file system's idea of the same moment.
const settleTime = 100 * time.Millisecond

func settled(info os.FileInfo) bool { return time.Since(info.ModTime()).Abs() > settleTime }

// same says that a file was not written since.
func same(a, b os.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

func noPlace() error { return throng.Errorf(throng.NotFound, "there is no such place") }

// read reads a place's record from its file, and remembers it.
func (s *Store) read(id throng.PlaceID) (place.Record, error) {
	name := filepath.Join(placesDir, string(id)+".json")
	f, err := os.Open(filepath.Join(s.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.records, id)
		return place.Record{}, noPlace()
	}
	if err != nil {
		return place.Record{}, err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return place.Record{}, err
	}
	k := known{file: info, settled: settled(info)}
	content, err := io.ReadAll(f)
	if err != nil {
		return place.Record{}, err
	}
	if k.Record, err = place.DecodeRecord(id, content); err != nil {
		return place.Record{}, throng.Errorf(throng.Internal, "%s is damaged (%w): mend it, or move it away to publish the place anew", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[id] = k
	return k.Record, nil
}

// Get is place.Records.
func (s *Store) Get(_ context.Context, id throng.PlaceID) (place.Record, error) {
	if _, err := throng.ParsePlaceID("place", string(id)); err != nil {
		return place.Record{}, noPlace()
	}
	return s.get(id)
}

func (s *Store) get(id throng.PlaceID) (place.Record, error) {
	s.mu.Lock()
	k, ok := s.records[id]
	s.mu.Unlock()
	if !s.shared {
		if !ok {
			return place.Record{}, noPlace()
		}
		return k.Record, nil
	}
	if ok && k.settled {
		info, err := os.Stat(filepath.Join(s.dir, placesDir, string(id)+".json"))
		if err == nil && same(k.file, info) {
			return k.Record, nil
		}
	}
	return s.read(id)
}

// Swap is place.Records.
func (s *Store) Swap(ctx context.Context, r place.Record) error {
	if _, err := throng.ParsePlaceID("place", string(r.Place)); err != nil {
		return err
	}
	unlock, err := s.lockSwaps(ctx)
	if err != nil {
		return fmt.Errorf("write record of %s: %w", r.Place, err)
	}
	defer unlock()
	stored, err := s.get(r.Place)
	if err != nil && throng.KindOf(err) != throng.NotFound {
		return err
	}
	if stored.Revision != r.Revision {
		return throng.Errorf(throng.Conflict, "place %s is at revision %d, not %d", r.Place, stored.Revision, r.Revision)
	}
	r.Revision++
	content, err := place.EncodeRecord(r)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(s.dir, placesDir, string(r.Place)+".json"), content, 0o644); err != nil {
		return fmt.Errorf("write record of %s: %w", r.Place, err)
	}
	own, err := place.DecodeRecord(r.Place, content) // has nothing of the caller's
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[r.Place] = known{Record: own} // read anew where the folder is shared
	return nil
}

const (
	lockTime  = 5 * time.Second // to wait for others who write records
	lockEvery = 5 * time.Millisecond
)

// lockSwaps keeps others from writing records, those in other processes too.
// Unavailable: they do not let us.
func (s *Store) lockSwaps(ctx context.Context) (unlock func(), err error) {
	// A file that is opened anew has a lock of its own, also within a process.
	f, err := os.OpenFile(filepath.Join(s.dir, swapFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	until := time.Now().Add(lockTime)
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { _ = f.Close() }, nil // nothing was written to it
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return nil, errors.Join(err, f.Close())
		case time.Now().After(until) || ctx.Err() != nil:
			_ = f.Close() // nothing was written to it
			return nil, throng.RetryLater(throng.Unavailable, time.Second, "others write records all the time")
		}
		select {
		case <-ctx.Done():
		case <-time.After(lockEvery):
		}
	}
}

// listing is the places of a shared folder, as far as the folder is the same.
type listing struct {
	all     []throng.PlaceID
	dir     os.FileInfo
	settled bool
}

// places returns which places there are, sorted.
func (s *Store) places() ([]throng.PlaceID, error) {
	if !s.shared {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Sorted(maps.Keys(s.records)), nil
	}
	info, err := os.Stat(filepath.Join(s.dir, placesDir))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	l := s.names
	s.mu.Unlock()
	if l.settled && same(l.dir, info) {
		return l.all, nil
	}
	l = listing{dir: info, settled: settled(info)}
	if l.all, err = s.list(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = l
	return l.all, nil
}

// List is place.Records.
func (s *Store) List(_ context.Context, after throng.PlaceID, limit int) ([]place.Record, error) {
	names, err := s.places()
	if err != nil {
		return nil, fmt.Errorf("list places: %w", err)
	}
	var list []place.Record
	for _, id := range names {
		if id <= after || len(list) >= limit {
			continue
		}
		r, err := s.get(id)
		if throng.KindOf(err) == throng.NotFound && err != nil {
			continue // moved away meanwhile
		}
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}
