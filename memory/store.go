package memory

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// Config is how a Store is made. The zero value is right for one process that
// is the first and only one ever.
type Config struct {
	// Now is the store's clock. Nil: time.Now.
	Now func() time.Time
	// Quarantine is how long nothing is granted after a generation began, and
	// whether sessions of an earlier one must report first. Zero, none: no
	// earlier store can have granted anything that still counts.
	// throng.TokenTime: one may have.
	Quarantine time.Duration
	// FeedSize is how many changes are remembered. Zero: 65,536.
	FeedSize int
	// Shards is how many shards are kept apart; others are folded onto them.
	// Zero: throng.Shards. Fewer make a small store cheap to stamp and sweep.
	Shards int
	// Fault, for tests, is called around each operation; an error is what the
	// caller gets. Nil: none.
	Fault session.Fault
}

// Store is a session.Store in memory. It is safe for concurrent use.
type Store struct {
	config Config
	start  time.Time // all stamps are relative to it
	feed   *session.Feed
	shards []*shard // as many as Config.Shards
}

var _ session.Store = (*Store)(nil)

// New makes an empty Store. It grants nothing until it is stamped.
func New(c Config) (*Store, error) {
	if c.Quarantine < 0 {
		return nil, throng.AtField(throng.Invalid, "Quarantine", "is negative")
	}
	if c.FeedSize < 0 {
		return nil, throng.AtField(throng.Invalid, "FeedSize", "is negative")
	}
	if c.Shards < 0 || c.Shards > throng.Shards {
		return nil, throng.AtField(throng.Invalid, "Shards", "is %d, must be 1 to %d", c.Shards, throng.Shards)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Shards == 0 {
		c.Shards = throng.Shards
	}
	if c.FeedSize == 0 {
		c.FeedSize = 1 << 16
	}
	start := c.Now()
	st := &Store{config: c, start: start, feed: session.NewFeed(c.FeedSize, uint64(start.UnixMicro()))}
	st.shards = make([]*shard, c.Shards)
	for i := range st.shards {
		st.shards[i] = newShard(st)
	}
	return st, nil
}

// shard is where the number's records are.
func (st *Store) shard(number uint8) *shard { return st.shards[int(number)%len(st.shards)] }

// need is when an operation is served.
type need uint8

const (
	always need = iota // also while the shard is not stamped
	live               // while it is stamped
	grants             // and out of quarantine
)

// operation names one run of one operation.
type operation struct {
	name  string
	shard uint8
	need  need
}

// on runs one operation on its shard: whole and alone.
func (st *Store) on(ctx context.Context, op operation, run func(sh *shard, now time.Time) error) error {
	if err := ctx.Err(); err != nil {
		return throng.Errorf(throng.Unavailable, "not begun: %w", err)
	}
	if err := st.fault(op.name, session.BeforePersist); err != nil {
		return err
	}
	if err := st.locked(op, run); err != nil {
		return err
	}
	return st.fault(op.name, session.AfterPersist)
}

func (st *Store) locked(op operation, run func(sh *shard, now time.Time) error) error {
	sh := st.shard(op.shard)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := st.config.Now()
	if wait := sh.wait(now, op.need); wait > 0 {
		return session.Rebuilding(wait)
	}
	return run(sh, now)
}

func (st *Store) fault(op string, at session.Point) error {
	if st.config.Fault == nil {
		return nil
	}
	return st.config.Fault(op, at)
}

// Now is the store's clock. Unavailable: a shard is not live, or in quarantine.
func (st *Store) Now(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, throng.Errorf(throng.Unavailable, "not begun: %w", err)
	}
	now := st.config.Now()
	if wait := st.wait(now); wait > 0 {
		return time.Time{}, session.Rebuilding(wait)
	}
	return now.Round(0), nil
}

// wait is how long until all shards grant.
func (st *Store) wait(now time.Time) time.Duration {
	var longest time.Duration
	for _, sh := range st.shards {
		longest = max(longest, sh.wait(now, grants))
	}
	return longest
}

// Changes blocks until a session changed after cursor, and returns it. While a
// shard is not live or in quarantine it waits.
func (st *Store) Changes(ctx context.Context, cursor uint64) (throng.SessionChanges, error) {
	for {
		// The batch comes first: what changes while it is being read comes
		// again with the next one.
		b := st.feed.Since(cursor)
		if (b.Full || len(b.Sessions) > 0) && st.wait(st.config.Now()) == 0 {
			return st.changes(b), nil
		}
		select {
		case <-ctx.Done():
			return throng.SessionChanges{}, throng.Errorf(throng.Unavailable, "nothing changed: %w", ctx.Err())
		case <-b.Wait:
		}
	}
}

func (st *Store) changes(b session.Batch) throng.SessionChanges {
	c := throng.SessionChanges{Cursor: b.Cursor, Full: b.Full}
	if b.Full {
		for _, sh := range st.shards {
			c.Sessions = sh.views(c.Sessions)
		}
		return c
	}
	for _, id := range b.Sessions {
		if s, ok := st.shard(id.Shard()).look(id); ok {
			c.Sessions = append(c.Sessions, s)
		}
	}
	return c
}
