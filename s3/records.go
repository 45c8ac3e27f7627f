package s3

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/place"
)

const (
	placesDir = "places/"
	maxPlaces = 1_000_000
	maxAbsent = 10_000 // names of no place that are remembered
	readers   = 16     // requests at once of one listing
	pullEvery = 5 * time.Second
)

// Store is places in buckets. It is place.Records and place.Packages.
type Store struct {
	own     *bucket
	home    *bucket   // where records are swapped; may be own
	others  []*bucket // of the other regions
	fresh   time.Duration
	logger  *slog.Logger
	metrics *metrics

	bells [shards]bell

	mu     sync.Mutex
	known  map[throng.PlaceID]*known // guarded by mu
	absent int                       // guarded by mu; of known
	names  names                     // guarded by mu
	warned time.Time                 // guarded by mu

	fetchMu  sync.Mutex
	fetching map[throng.PackageHash]*fetch // guarded by fetchMu
}

// known is what the bucket said of a place. It is not changed, but for used.
type known struct {
	place.Record              // zero: there was none
	tag          string       // of its object
	number       uint64       // of its shard before it was read
	used         atomic.Int64 // Unix nanoseconds when it was asked for last, about
}

// names is which places there are, sorted.
type names struct {
	all     []throng.PlaceID
	numbers [shards]uint64 // of the shards before it was read
}

func (k *known) record(id throng.PlaceID) (place.Record, error) {
	if now := time.Now().UnixNano(); now-k.used.Load() > int64(time.Second) {
		k.used.Store(now)
	}
	if k.tag == "" {
		return place.Record{}, throng.Errorf(throng.NotFound, "there is no place %s", id)
	}
	return k.Record, nil
}

// Get is place.Records. While the bucket is away it returns what was known last.
func (s *Store) Get(ctx context.Context, id throng.PlaceID) (place.Record, error) {
	if _, err := throng.ParsePlaceID("place", string(id)); err != nil {
		return place.Record{}, throng.Errorf(throng.NotFound, "there is no such place")
	}
	number, err := s.changes(ctx, shardOf(id))
	s.mu.Lock()
	k := s.known[id]
	s.mu.Unlock()
	if err == nil && k != nil && k.number == number {
		return k.record(id)
	}
	if err == nil {
		k, err = s.read(ctx, id, k, number)
	}
	if err != nil {
		if k != nil && ctx.Err() == nil {
			s.stale(ctx, err)
			return k.record(id)
		}
		return place.Record{}, err
	}
	return k.record(id)
}

// read asks the bucket for a record; old is what is known of it, or nil. In an
// error it returns old.
func (s *Store) read(ctx context.Context, id throng.PlaceID, old *known, number uint64) (*known, error) {
	tag := ""
	if old != nil {
		tag = old.tag
	}
	o, err := s.own.get(ctx, placesDir+string(id), tag)
	next := &known{number: number}
	switch {
	case errors.Is(err, errSame):
		next.Record, next.tag = old.Record, old.tag
	case throng.KindOf(err) == throng.NotFound && err != nil:
	case err != nil:
		return old, err
	default:
		next.tag = o.tag
		if next.Record, err = place.DecodeRecord(id, o.content); err != nil {
			return old, fmt.Errorf("%s: %w", s.own.name, err)
		}
	}
	if old != nil {
		next.used.Store(old.used.Load())
	}
	s.keep(id, next)
	return next, nil
}

// keep remembers what a bucket said, and not for ever of what nobody published.
func (s *Store) keep(id throng.PlaceID, k *known) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.known[id]; old != nil && old.tag == "" {
		s.absent--
	}
	s.known[id] = k
	if k.tag != "" {
		return
	}
	if s.absent++; s.absent > maxAbsent {
		for id, k := range s.known {
			if k.tag == "" {
				delete(s.known, id)
			}
		}
		s.absent = 0
	}
}

// stale counts an answer that may be old, and says so once in a while.
func (s *Store) stale(ctx context.Context, err error) {
	s.metrics.stale.Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.warned) > 10*time.Second {
		s.warned = time.Now()
		s.logger.WarnContext(ctx, "places are as they were known last", "err", err)
	}
}

// List is place.Records.
func (s *Store) List(ctx context.Context, after throng.PlaceID, limit int) ([]place.Record, error) {
	all, err := s.places(ctx)
	if err != nil {
		return nil, fmt.Errorf("list places: %w", err)
	}
	from, found := slices.BinarySearch(all, after)
	if found {
		from++
	}
	var list []place.Record
	for page := range slices.Chunk(all[from:], max(min(limit, readers*8), 1)) {
		records, err := s.records(ctx, page)
		if err != nil {
			return nil, err
		}
		list = append(list, records...)
		if len(list) >= limit {
			return list[:limit], nil
		}
	}
	return list, nil
}

// records reads some places, some at once; one that is gone is passed over.
func (s *Store) records(ctx context.Context, ids []throng.PlaceID) ([]place.Record, error) {
	records, errs := make([]place.Record, len(ids)), make([]error, len(ids))
	turn := make(chan struct{}, readers)
	var all sync.WaitGroup
	for i, id := range ids {
		turn <- struct{}{}
		all.Go(func() {
			records[i], errs[i] = s.Get(ctx, id)
			<-turn
		})
	}
	all.Wait()
	var list []place.Record
	for i, err := range errs {
		switch {
		case err == nil:
			list = append(list, records[i])
		case throng.KindOf(err) != throng.NotFound:
			return nil, err
		}
	}
	return list, nil
}

// places returns which places there are, sorted.
func (s *Store) places(ctx context.Context) ([]throng.PlaceID, error) {
	s.mu.Lock()
	n := s.names
	s.mu.Unlock()
	var numbers [shards]uint64
	for shard := range numbers {
		var err error
		if numbers[shard], err = s.changes(ctx, shard); err != nil {
			if n.all != nil && ctx.Err() == nil {
				s.stale(ctx, err)
				return n.all, nil
			}
			return nil, err
		}
	}
	if n.all != nil && n.numbers == numbers {
		return n.all, nil
	}
	found, err := s.own.list(ctx, placesDir, maxPlaces)
	if err != nil {
		return nil, err
	}
	n = names{all: make([]throng.PlaceID, 0, len(found)), numbers: numbers}
	for _, f := range found {
		if _, err := throng.ParsePlaceID("place", f.name); err == nil {
			n.all = append(n.all, throng.PlaceID(f.name))
		}
	}
	slices.Sort(n.all)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = n
	return n.all, nil
}

// Swap is place.Records. When it returned nil, what it stored is in all regions'
// buckets, and every Get in any process returns it, or what came after it. In an
// Unavailable error it may have been stored in some of them.
func (s *Store) Swap(ctx context.Context, r place.Record) error {
	if _, err := throng.ParsePlaceID("place", string(r.Place)); err != nil {
		return err
	}
	key, when := placesDir+string(r.Place), condition{absent: true}
	if r.Revision > 0 {
		o, err := s.home.get(ctx, key, "")
		if throng.KindOf(err) == throng.NotFound && err != nil {
			return throng.Errorf(throng.Conflict, "place %s is not there, and not at revision %d", r.Place, r.Revision)
		}
		if err != nil {
			return err
		}
		stored, err := place.DecodeRecord(r.Place, o.content)
		if err != nil {
			return fmt.Errorf("%s: %w", s.home.name, err)
		}
		if stored.Revision != r.Revision {
			return s.lost(ctx, r, fmt.Sprintf("place %s is at revision %d, not %d", r.Place, stored.Revision, r.Revision))
		}
		when = condition{tag: o.tag}
	}
	r.Revision++
	content, err := place.EncodeRecord(r)
	if err != nil {
		return err
	}
	if len(content) > maxSmall {
		return throng.Errorf(throng.Invalid, "the record of %s has %d bytes, at most %d are allowed", r.Place, len(content), maxSmall)
	}
	tag, err := s.home.put(ctx, key, content, when)
	if throng.KindOf(err) == throng.Conflict && err != nil {
		return s.lost(ctx, r, fmt.Sprintf("place %s moved on", r.Place))
	}
	if err != nil {
		return err
	}
	s.remember(r.Place, content, tag)
	return s.spread(ctx, r, content)
}

// remember keeps what was swapped for the case that the bucket goes away before it
// is read.
func (s *Store) remember(id throng.PlaceID, content []byte, tag string) {
	if own, err := place.DecodeRecord(id, content); err == nil { // has nothing of the caller's
		s.keep(id, &known{Record: own, tag: tag})
	}
}

// lost is a swap that others were faster than. What they did must be seen here
// before the next try.
func (s *Store) lost(ctx context.Context, r place.Record, why string) error {
	if s.home != s.own {
		if err := s.pull(ctx, r.Place); err != nil {
			return err
		}
	}
	b := &s.bells[shardOf(r.Place)]
	b.mu.Lock()
	b.looked = time.Time{}
	b.number++ // who swapped may not have rung yet
	b.mu.Unlock()
	return throng.Errorf(throng.Conflict, "%s", why)
}

// spread makes what was swapped at home known everywhere, and waits until it is.
func (s *Store) spread(ctx context.Context, r place.Record, content []byte) error {
	// It is done, so it is told, also when the caller goes away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*callTime)
	defer cancel()
	targets := append([]*bucket{s.own}, s.others...)
	errs := make([]error, len(targets))
	var all sync.WaitGroup
	for i, at := range targets {
		all.Go(func() {
			if at != s.home {
				_, errs[i] = advance(ctx, at, r.Place, r.Revision, content)
			}
			if errs[i] == nil {
				errs[i] = s.ring(ctx, at, shardOf(r.Place))
			}
		})
	}
	all.Wait()
	wait := time.NewTimer(s.fresh)
	defer wait.Stop()
	<-wait.C
	if err := errors.Join(errs...); err != nil {
		return throng.RetryLater(throng.Unavailable, again, "place %s changed, but not everywhere: %w", r.Place, err)
	}
	return nil
}

// advance writes a record into a bucket that is not home, unless that has one of
// the same revision or a later one already.
func advance(ctx context.Context, at *bucket, id throng.PlaceID, revision uint64, content []byte) (changed bool, err error) {
	key := placesDir + string(id)
	for ctx.Err() == nil {
		when := condition{absent: true}
		o, err := at.get(ctx, key, "")
		switch {
		case err == nil:
			if r, err := place.DecodeRecord(id, o.content); err == nil && r.Revision >= revision {
				return false, nil
			}
			when = condition{tag: o.tag}
		case throng.KindOf(err) != throng.NotFound:
			return false, err
		}
		if _, err = at.put(ctx, key, content, when); err == nil || throng.KindOf(err) != throng.Conflict {
			return err == nil, err
		}
	}
	return false, throng.RetryLater(throng.Unavailable, again, "%s: write %s: %w", at.name, key, ctx.Err())
}

// pull copies a record from home into the region's own bucket, if that is behind.
func (s *Store) pull(ctx context.Context, id throng.PlaceID) error {
	o, err := s.home.get(ctx, placesDir+string(id), "")
	if err != nil {
		return err
	}
	r, err := place.DecodeRecord(id, o.content)
	if err != nil {
		return fmt.Errorf("%s: %w", s.home.name, err)
	}
	changed, err := advance(ctx, s.own, id, r.Revision, o.content)
	if err != nil || !changed {
		return err
	}
	s.metrics.copied.Inc()
	return s.ring(ctx, s.own, shardOf(id))
}

// Run keeps what is asked for fresh, and the region's bucket as new as home,
// until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	freshen := time.NewTicker(s.fresh / 4)
	defer freshen.Stop()
	pull := time.NewTicker(pullEvery)
	defer pull.Stop()
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { s.follow(ctx, pull.C) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-freshen.C:
			s.keepFresh(ctx)
		}
	}
}

// follow copies from home what this region was not told, as its bucket was away.
func (s *Store) follow(ctx context.Context, tick <-chan time.Time) {
	var seen [shards]string
	for s.home != s.own {
		if err := s.catchUp(ctx, &seen); err != nil && ctx.Err() == nil {
			s.logger.WarnContext(ctx, "places of home are not known", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
	}
}

// catchUp copies all records that differ, if any changed at home since seen.
func (s *Store) catchUp(ctx context.Context, seen *[shards]string) error {
	now, same := *seen, true
	for shard := range now {
		o, err := s.home.get(ctx, bellKey(shard), now[shard])
		switch {
		case err == nil:
			now[shard], same = o.tag, false
		case errors.Is(err, errSame):
		case throng.KindOf(err) != throng.NotFound:
			return err
		}
	}
	if same {
		return nil
	}
	home, err := s.home.list(ctx, placesDir, maxPlaces)
	if err != nil {
		return err
	}
	own, err := s.own.list(ctx, placesDir, maxPlaces)
	if err != nil {
		return err
	}
	for _, h := range home {
		i, found := slices.BinarySearchFunc(own, h.name, func(l listed, name string) int { return strings.Compare(l.name, name) })
		if found && own[i].tag == h.tag {
			continue
		}
		if _, err := throng.ParsePlaceID("place", h.name); err != nil {
			continue
		}
		if err := s.pull(ctx, throng.PlaceID(h.name)); err != nil {
			return err
		}
	}
	*seen = now
	return nil
}
