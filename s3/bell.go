package s3

import (
	"context"
	"crypto/rand"
	"errors"
	"hash/fnv"
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

const (
	shards = 16
	// mostChanged is how many records are read ahead when a shard changed.
	mostChanged = 256
	// again is what callers are told to wait. Those who may answer with what is known
	// do so for twice as long after a failed look: Run looks meanwhile, so that none
	// has to wait for a bucket that is away.
	again = time.Second
	// useTime is how long what was asked for is kept fresh after it.
	useTime = time.Minute
	// lookTime is how long a look may take.
	lookTime = 2 * time.Second
)

// bell is what is known of a shard's text under changes/.
type bell struct {
	// turn is held by who looks at it. Full: others wait for what that one finds.
	turn chan struct{}

	mu     sync.Mutex // guards the rest
	tag    string     // empty: nobody has changed anything yet
	number uint64     // grows with each other tag, from 1
	looked time.Time  // when the last look began that found something out
	failed time.Time  // when the last look failed
	err    error      // of that
	wanted time.Time  // when somebody asked last
}

func shardOf(id throng.PlaceID) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // a hash never fails
	return int(h.Sum32() % shards)
}

func bellKey(shard int) string { return "changes/" + string("0123456789abcdef"[shard]) }

// state is a shard's number, if it is fresh enough for who asked at that time. An
// error: the last look failed, just now.
func (b *bell) state(asked time.Time, fresh time.Duration) (number uint64, ok bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wanted = time.Now()
	switch {
	case !b.looked.IsZero() && (time.Since(b.looked) < fresh || b.looked.After(asked)):
		return b.number, true, nil
	case b.err != nil && (time.Since(b.failed) < 2*again || len(b.turn) > 0):
		return b.number, false, b.err
	}
	return b.number, false, nil
}

// look asks the bucket whether a shard changed.
func (s *Store) look(ctx context.Context, shard int) {
	b := &s.bells[shard]
	b.mu.Lock()
	known := b.tag
	b.mu.Unlock()
	began := time.Now()
	asking, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	o, err := s.own.get(asking, bellKey(shard), known)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case errors.Is(err, errSame):
	case throng.KindOf(err) == throng.NotFound && err != nil, err == nil:
		if o.tag != b.tag || b.number == 0 {
			b.tag = o.tag
			b.number++
		}
	case ctx.Err() != nil:
		return // who asked went away: nothing is known of the bucket
	default:
		b.failed, b.err = time.Now(), err
		return
	}
	b.looked, b.err = began, nil
}

// changes returns a shard's number, which is current. Unavailable: it is not
// known, the bucket is away; the number is the last one.
func (s *Store) changes(ctx context.Context, shard int) (uint64, error) {
	b, asked := &s.bells[shard], time.Now()
	for {
		number, ok, err := b.state(asked, s.fresh)
		if ok || err != nil {
			return number, err
		}
		select {
		case b.turn <- struct{}{}:
		case <-ctx.Done():
			return number, throng.RetryLater(throng.Unavailable, again, "ask what changed: %w", ctx.Err())
		}
		s.lookNow(ctx, b, shard, s.fresh)
		if ctx.Err() != nil {
			return number, throng.RetryLater(throng.Unavailable, again, "ask what changed: %w", ctx.Err())
		}
	}
}

// lookNow looks for who has the turn, unless another one did so a moment ago, and
// gives the turn back.
func (s *Store) lookNow(ctx context.Context, b *bell, shard int, fresh time.Duration) {
	defer func() { <-b.turn }()
	b.mu.Lock()
	known := !b.looked.IsZero() && time.Since(b.looked) < fresh
	b.mu.Unlock()
	if !known {
		s.look(ctx, shard)
	}
}

// keepFresh looks at the shards that were asked for before what is known of them
// is too old, and reads what changed in them, so that joins rarely wait for the
// bucket; and one who is cut off from it knows what was published before that.
func (s *Store) keepFresh(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for shard := range s.bells {
		b := &s.bells[shard]
		if !b.due(s.fresh) {
			continue
		}
		select {
		case b.turn <- struct{}{}:
			all.Go(func() {
				s.lookNow(ctx, b, shard, s.fresh/3)
				s.readChanged(ctx, shard)
			})
		default: // somebody does
		}
	}
}

func (b *bell) due(fresh time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		// A change waits for fresh: who comes back to his bucket is to see it.
		return time.Since(b.failed) > fresh/2
	}
	return time.Since(b.wanted) < useTime && time.Since(b.looked) > fresh/3
}

// readChanged reads the records of a shard that may have changed and were asked
// for lately.
func (s *Store) readChanged(ctx context.Context, shard int) {
	number, ok, err := s.bells[shard].state(time.Now(), s.fresh)
	if !ok || err != nil {
		return
	}
	s.mu.Lock()
	changed := map[throng.PlaceID]*known{}
	for id, k := range s.known {
		if shardOf(id) == shard && k.tag != "" && k.number != number && time.Since(time.Unix(0, k.used.Load())) < useTime && len(changed) < mostChanged {
			changed[id] = k
		}
	}
	s.mu.Unlock()
	for id, k := range changed {
		if _, err := s.read(ctx, id, k, number); err != nil {
			return // it is read when it is asked for
		}
	}
}

// ring says in a bucket that a shard changed.
func (s *Store) ring(ctx context.Context, at *bucket, shard int) error {
	_, err := at.put(ctx, bellKey(shard), []byte(rand.Text()), condition{})
	if at == s.own {
		b := &s.bells[shard]
		b.mu.Lock()
		b.looked = time.Time{}
		b.mu.Unlock()
	}
	return err
}
