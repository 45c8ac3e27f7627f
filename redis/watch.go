package redis

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

const (
	pollTime  = 50 * time.Millisecond
	idlePolls = 5                // shards without sessions are polled each fifth time
	maxPolled = 1024             // changes of one shard; more, and it is read anew
	keepEnded = 10 * time.Minute // how long an ended session's view is kept
)

// watch is what this process knows of all sessions, for Changes. It is fed by
// the operations of this process at once, and by polling for those of others.
type watch struct {
	wanted chan struct{} // closed by the first call of Changes
	nudge  chan struct{} // has room for one: some shards are to be polled at once
	once   sync.Once
	active atomic.Bool

	feed atomic.Pointer[session.Feed]
	size int

	mu     sync.Mutex
	shards [throng.Shards]watched

	// Owned by poll.
	polls int
	log   time.Time
}

// watched is one shard.
type watched struct {
	loaded   bool
	nudged   bool   // to be polled at once
	settled  bool   // loaded after the generation's quarantine
	stamp    stamp  // of the generation that was loaded
	last     string // newest change that was read
	sessions map[throng.SessionID]view
}

// view is a session as it was read.
type view struct {
	session throng.Session
	seq     uint64
	ended   time.Time // when it was seen to have ended
}

func (w *watch) init(size int, now time.Time) {
	w.wanted, w.nudge, w.size = make(chan struct{}), make(chan struct{}, 1), size
	w.feed.Store(session.NewFeed(size, uint64(now.UnixMicro())))
	for i := range w.shards {
		w.shards[i].sessions = map[throng.SessionID]view{}
	}
}

// apply keeps a session that an operation answered with, and tells of it if it
// is news. A session that is not known yet comes by the next poll, at once: others
// of lower Numbers may have to come before it.
func (w *watch) apply(shard uint8, c *record) {
	if !w.active.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.shards[shard].sessions[c.ID]; !known {
		if w.shards[shard].loaded {
			w.shards[shard].nudged = true
			select {
			case w.nudge <- struct{}{}:
			default: // it is to look already
			}
		}
		return
	}
	if w.put(shard, c) {
		w.feed.Load().Add(c.ID)
	}
}

// put keeps a session and says whether it is news. w.mu is held.
func (w *watch) put(shard uint8, c *record) bool {
	sessions := w.shards[shard].sessions
	old, known := sessions[c.ID]
	if known && old.seq >= c.seq {
		if old.seq == c.seq { // the lease may be a newer one
			old.session = c.Session
			sessions[c.ID] = old
		}
		return false
	}
	v := view{session: c.Session, seq: c.seq}
	if c.State == throng.SessionEnded {
		v.ended = time.Now()
	}
	sessions[c.ID] = v
	return true
}

// Changes blocks until a session changed after cursor, and returns what changed.
// While a shard is not live, in quarantine or not read yet, it waits. Run feeds it.
func (st *Store) Changes(ctx context.Context, cursor uint64) (throng.SessionChanges, error) {
	w := &st.watch
	w.once.Do(func() {
		w.active.Store(true)
		close(w.wanted)
	})
	for {
		feed := w.feed.Load()
		b := feed.Since(cursor)
		news := b.Full || len(b.Sessions) > 0
		if ctx.Err() == nil && news && w.complete() && st.stamps.wait(st.now()) == 0 && feed == w.feed.Load() {
			return w.changes(b), nil
		}
		// Nothing wakes who has news that may not be told yet: it becomes so by a
		// stamp of whatever process, or as time passes.
		var again <-chan time.Time
		if news {
			again = time.After(pollTime)
		}
		select {
		case <-ctx.Done():
			return throng.SessionChanges{}, throng.Errorf(throng.Unavailable, "nothing changed: %w", ctx.Err())
		case <-again:
		case <-b.Wait:
		}
	}
}

// complete says whether all shards are as they were after their quarantine.
func (w *watch) complete() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.shards {
		if !w.shards[i].settled {
			return false
		}
	}
	return true
}

func (w *watch) changes(b session.Batch) throng.SessionChanges {
	c := throng.SessionChanges{Cursor: b.Cursor, Full: b.Full}
	w.mu.Lock()
	defer w.mu.Unlock()
	if b.Full {
		for i := range w.shards {
			for _, v := range w.shards[i].sessions {
				if v.session.State != throng.SessionEnded {
					c.Sessions = append(c.Sessions, v.session)
				}
			}
		}
		return c
	}
	for _, id := range b.Sessions {
		if v, ok := w.shards[id.Shard()].sessions[id]; ok {
			c.Sessions = append(c.Sessions, v.session)
		}
	}
	return c
}

// poll brings the watch up to date once.
func (st *Store) poll(ctx context.Context) error {
	w := &st.watch
	w.polls++
	client, err := st.bulk.get()
	if err != nil {
		return err
	}
	if err := st.readStamps(ctx, stampAge); err != nil {
		return err
	}
	if err := st.reload(ctx, client); err != nil {
		return err
	}
	return st.follow(ctx, client, false)
}

// pollNudged follows only the shards that are to be polled at once.
func (st *Store) pollNudged(ctx context.Context) error {
	client, err := st.bulk.get()
	if err != nil {
		return err
	}
	return st.follow(ctx, client, true)
}

func (w *watch) failed(st *Store, err error) {
	if time.Since(w.log) > 10*time.Second {
		w.log = time.Now()
		st.log.Warn("the feed of sessions does not hear from redis", "part", "redis", "err", err)
	}
}

// reload reads the shards anew that began a generation, and once more when its
// quarantine is over: what answers of the old one brought late is gone then.
func (st *Store) reload(ctx context.Context, client rueidis.Client) error {
	w, now := &st.watch, st.now()
	anew := false
	for shard := range throng.Shards {
		s := st.stamps.get(uint8(shard))
		if s.nonce == "" {
			continue
		}
		w.mu.Lock()
		known := &w.shards[shard]
		same := known.loaded && known.stamp.nonce == s.nonce && known.stamp.generation == s.generation && known.stamp.began == s.began
		if same && (known.settled || now < s.ready) {
			w.mu.Unlock()
			continue
		}
		if !same {
			known.sessions = map[throng.SessionID]view{}
		}
		known.loaded, known.settled = false, false
		w.mu.Unlock()
		if err := st.loadShard(ctx, client, uint8(shard), s); err != nil {
			return err
		}
		anew = true
	}
	if anew {
		old := w.feed.Swap(session.NewFeed(w.size, uint64(time.Now().UnixMicro())))
		old.Wake()
		st.metrics.reloads.Inc()
	}
	return nil
}

func (st *Store) loadShard(ctx context.Context, client rueidis.Client, shard uint8, s stamp) error {
	w, key := &st.watch, st.names.shard[shard]
	settled := st.now() >= s.ready
	// The newest change comes first: what changes while the rest is read is
	// read again.
	newest, err := client.Do(ctx, client.B().Xrevrange().Key(key+"c").End("+").Start("-").Count(1).Build()).AsXRange()
	if err != nil {
		return away(err)
	}
	last := "0-0"
	if len(newest) > 0 {
		last = newest[0].ID
	}
	var ids []string
	first := client.Do(ctx, client.B().Hscan().Key(key+"i").Cursor(0).Count(pageSize).Build())
	if err := scan(ctx, client, key+"i", first, func(id, _ string) { ids = append(ids, id) }); err != nil {
		return err
	}
	found, err := st.read(ctx, st.bulk, shard, ids, s)
	if err != nil {
		return err
	}
	fresh := make(map[throng.SessionID]view, len(found))
	for _, c := range found {
		fresh[c.ID] = view{session: c.Session, seq: c.seq}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	known := &w.shards[shard]
	for id, v := range known.sessions { // brought by operations meanwhile
		if f, ok := fresh[id]; !settled && v.seq > f.seq || settled && ok && v.seq > f.seq && v.seq-f.seq < maxPolled {
			fresh[id] = v
		}
	}
	*known = watched{loaded: true, settled: settled, stamp: s, last: last, sessions: fresh}
	return nil
}

// follow reads what changed in the shards that are loaded, or only in those that
// were nudged.
func (st *Store) follow(ctx context.Context, client rueidis.Client, nudged bool) error {
	w := &st.watch
	shards, lasts := w.behind(nudged)
	cmds := make(rueidis.Commands, 0, len(shards))
	for i, shard := range shards {
		cmds = append(cmds, client.B().Xrange().Key(st.names.shard[shard]+"c").Start("("+lasts[i]).End("+").Count(maxPolled).Build())
	}
	if len(cmds) == 0 {
		return nil
	}
	for i, r := range client.DoMulti(ctx, cmds...) {
		entries, err := r.AsXRange()
		if err != nil {
			return away(err)
		}
		if len(entries) == 0 {
			continue
		}
		if err := st.catchUp(ctx, shards[i], entries); err != nil {
			return err
		}
	}
	return nil
}

// behind returns the shards that may have news, and the newest change that was
// read of each.
func (w *watch) behind(nudged bool) (shards []uint8, lasts []string) { //nolint:revive // the same as follow's
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.shards {
		s := &w.shards[i]
		idle := len(s.sessions) == 0 && w.polls%idlePolls != i%idlePolls
		if !s.loaded || !s.nudged && (nudged || idle) {
			continue
		}
		s.nudged = false
		shards, lasts = append(shards, uint8(i)), append(lasts, s.last)
		for id, v := range s.sessions {
			if w.polls%256 == i && !v.ended.IsZero() && time.Since(v.ended) > keepEnded {
				delete(s.sessions, id)
			}
		}
	}
	return shards, lasts
}

// catchUp reads the sessions of a shard that changed.
func (st *Store) catchUp(ctx context.Context, shard uint8, entries []rueidis.XRangeEntry) error {
	w := &st.watch
	w.mu.Lock()
	s := &w.shards[shard]
	if len(entries) >= maxPolled { // some may be lost
		s.loaded, s.settled = false, false
		w.mu.Unlock()
		return nil
	}
	var ids []string
	asked := map[string]bool{}
	for _, e := range entries {
		for id, v := range e.FieldValues {
			seq, err := strconv.ParseUint(v, 10, 64)
			if known, ok := s.sessions[st.names.session(id)]; err == nil && ok && known.seq >= seq || asked[id] {
				continue
			}
			asked[id] = true
			ids = append(ids, id)
		}
	}
	stamp := s.stamp
	w.mu.Unlock()
	found, err := st.read(ctx, st.bulk, shard, ids, stamp)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range found {
		if w.put(shard, c) {
			w.feed.Load().Add(c.ID)
		}
	}
	w.shards[shard].last = entries[len(entries)-1].ID
	return nil
}
