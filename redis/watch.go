package redis

import (
	"context"
	"strconv"
	"strings"
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
	shards, lasts := st.watch.behind(nudged)
	if len(shards) == 0 {
		return nil
	}
	changes, err := st.changes(ctx, client, shards, lasts)
	if err != nil {
		return err
	}
	for i, list := range changes {
		if len(list) == 0 {
			continue
		}
		if err := st.catchUp(ctx, shards[i], list); err != nil {
			return err
		}
	}
	return nil
}

// changes reads the changes of shards after those that were read last, in one
// command if Redis is no Cluster.
func (st *Store) changes(ctx context.Context, client rueidis.Client, shards []uint8, lasts []string) ([][]change, error) {
	keys := make([]string, len(shards))
	for i, shard := range shards {
		keys[i] = st.names.shard[shard] + "c"
	}
	all := make([][]change, len(shards))
	if client.Mode() == rueidis.ClientModeCluster {
		cmds := make(rueidis.Commands, len(shards))
		for i := range shards {
			cmds[i] = client.B().Xrange().Key(keys[i]).Start("(" + lasts[i]).End("+").Count(maxPolled).Build()
		}
		for i, r := range client.DoMulti(ctx, cmds...) {
			entries, err := r.ToArray()
			if err != nil {
				return nil, away(err)
			}
			all[i] = parseChanges(entries)
		}
		return all, nil
	}
	got, err := client.Do(ctx, client.B().Xread().Count(maxPolled).Streams().Key(keys...).Id(lasts...).Build()).AsMap()
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	if err != nil {
		return nil, away(err)
	}
	for i, key := range keys {
		if m, ok := got[key]; ok {
			entries, err := m.ToArray()
			if err != nil {
				return nil, away(err)
			}
			all[i] = parseChanges(entries)
		}
	}
	return all, nil
}

// change is an entry of a shard's stream. One that is not read says with its
// counts all that changed.
type change struct {
	at   string // where it stands
	id   string
	seq  uint64 // 0: it is of a later version
	read bool

	seated, held int
	revision     throng.Revision
	finish       uint64
}

func parseChanges(entries []rueidis.RedisMessage) []change {
	list := make([]change, 0, len(entries))
	for _, e := range entries {
		parts, err := e.ToArray()
		if err != nil || len(parts) != 2 {
			continue
		}
		at, said := text(parts[0]), texts(parts[1])
		for i := 0; i+1 < len(said); i += 2 {
			c := parseChange(said[i+1])
			c.at, c.id = at, said[i]
			list = append(list, c)
		}
	}
	return list
}

// parseChange reads what save.lua wrote.
func parseChange(s string) change {
	counts, ok := strings.CutPrefix(s, "+")
	if !ok {
		seq, _ := strconv.ParseUint(s, 10, 64) // 0 if it is none
		return change{seq: seq, read: true}
	}
	r := reader{b: counts}
	c := change{seq: r.uint(6), seated: int(r.uint(1)), held: int(r.uint(2)), revision: throng.Revision(r.uint(6)), finish: r.uint(6)}
	if r.bad || r.b != "" {
		return change{read: true}
	}
	return c
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

// catchUp takes in what changed in a shard, and reads the sessions of which the
// changes do not say enough.
func (st *Store) catchUp(ctx context.Context, shard uint8, changes []change) error {
	w := &st.watch
	ids, stamp := w.take(&st.names, shard, changes)
	if len(ids) > 0 {
		found, err := st.read(ctx, st.bulk, shard, ids, stamp)
		if err != nil {
			return err
		}
		w.mu.Lock()
		for _, c := range found {
			if w.put(shard, c) {
				w.feed.Load().Add(c.ID)
			}
		}
		w.mu.Unlock()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := &w.shards[shard]; s.loaded {
		s.last = changes[len(changes)-1].at
	}
	return nil
}

// take applies the changes that say enough, and returns the sessions that are to
// be read. After too many some may be missing, and the shard is not loaded any more.
func (w *watch) take(n *names, shard uint8, changes []change) (ids []string, of stamp) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.shards[shard]
	if len(changes) >= maxPolled {
		s.loaded, s.settled = false, false
		return nil, s.stamp
	}
	asked := map[string]bool{}
	for _, c := range changes {
		id := n.session(c.id)
		v, known := s.sessions[id]
		if asked[c.id] || known && c.seq > 0 && v.seq >= c.seq {
			continue
		}
		if !known || c.read || v.seq+1 != c.seq {
			asked[c.id] = true
			ids = append(ids, c.id)
			continue
		}
		v.seq = c.seq
		v.session.Seated, v.session.Held, v.session.Revision = c.seated, c.held, c.revision
		v.session.LeaseUntil = fromMilli(c.finish)
		s.sessions[id] = v
		w.feed.Load().Add(id)
	}
	return ids, s.stamp
}
