package redis

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// maxSkew is how far a caller's clock may be from Redis's.
const maxSkew = time.Second

// Stamp says that a registry process looks after the shard. When the stamp was
// missing or too old, or the Redis that answers is not the process that the
// stamp was made in, it starts a generation. Unavailable also: this machine's
// clock is over 1 s off.
func (st *Store) Stamp(ctx context.Context, shard uint8, census uint64) (session.StampResult, error) {
	var res session.StampResult
	err := st.around(ctx, "Stamp", func() error {
		client, err := st.hot.get() // not behind reports: a late stamp begins a generation
		if err != nil {
			return err
		}
		if err := st.compareClocks(ctx, client, shard); err != nil {
			return err
		}
		for range 4 {
			var done bool
			if res, done, err = st.stamp(ctx, client, shard, census); done || err != nil {
				return err
			}
		}
		return session.Rebuilding(session.TickTime)
	})
	return res, err
}

// stamp makes one attempt. Not done: another one may go further.
func (st *Store) stamp(ctx context.Context, client rueidis.Client, shard uint8, census uint64) (res session.StampResult, done bool, err error) {
	f := st.loaded[shard].Load()
	if f == nil {
		s, err := st.readStamp(ctx, client, shard)
		if err != nil {
			return res, false, err
		}
		if s.nonce == "" {
			return st.begin(ctx, client, shard, "", census)
		}
		f = st.shelf.get(s.nonce)
	}
	got, err := client.Do(ctx, st.evalsha(client, f, call{shard: shard, script: scriptStamp, args: []string{"", decimal(census)}})).ToArray()
	if isNoScript(err) {
		st.loaded[shard].Store(nil)
		return st.begin(ctx, client, shard, f.nonce, census)
	}
	return st.stamped(shard, f, got, err)
}

// stamped reads the answer to a stamp.
func (st *Store) stamped(shard uint8, f *family, got []rueidis.RedisMessage, err error) (res session.StampResult, done bool, _ error) {
	if err != nil {
		return res, false, away(err)
	}
	if got[0].IsString() { // another generation began
		st.loaded[shard].Store(st.shelf.get(text(got[1])))
		return res, false, nil
	}
	st.loaded[shard].Store(f)
	now, ready := number(got[1]), number(got[4])
	if prune := number(got[6]); prune >= 0 {
		st.prune[shard].Store(int32(prune) + 1)
	}
	st.stamps.set(shard, stamp{
		nonce: f.nonce, generation: uint64(number(got[2])), at: now, ready: ready, began: number(got[5]),
	})
	st.metrics.generations.Add(float64(number(got[3])))
	return session.StampResult{
		Now: time.UnixMilli(now), Generation: uint64(number(got[2])), Began: number(got[3]) == 1,
		ReadyAt: time.UnixMilli(max(now, ready)), Census: uint64(number(got[7])),
	}, true, nil
}

// begin starts a generation in a shard whose scripts are gone: the Redis that
// has its keys is another process than the one that had them, and may lack what
// that one granted. All of it goes over one connection, so to one process.
func (st *Store) begin(
	ctx context.Context, client rueidis.Client, shard uint8, dead string, census uint64,
) (res session.StampResult, done bool, err error) {
	st.revive.Lock()
	defer st.revive.Unlock()
	err = client.Dedicated(func(conn rueidis.DedicatedClient) error {
		v, err := conn.Do(ctx, conn.B().Get().Key(st.names.shard[shard]).Build()).ToString()
		if err != nil && !rueidis.IsRedisNil(err) {
			return away(err)
		}
		s := parseStamp(v)
		if s.nonce != dead {
			if s.nonce != "" {
				st.loaded[shard].Store(st.shelf.get(s.nonce))
			}
			return nil // somebody else was faster
		}
		f, err := st.load(ctx, conn, dead)
		if err != nil {
			return err
		}
		cmd := conn.B().Evalsha().Sha1(f.names[scriptStamp]).Numkeys(1).Key(st.names.shard[shard]).Arg(dead, decimal(census)).Arg(st.tell()...).Build()
		got, err := conn.Do(ctx, cmd).ToArray()
		if isNoScript(err) {
			return session.Rebuilding(session.TickTime)
		}
		res, done, err = st.stamped(shard, f, got, err)
		return err
	})
	return res, done, err
}

// load returns a family whose scripts this connection's Redis has: the dead
// generation's own if it only lacks this version's scripts, one that this
// process loaded there before, or a new one.
func (st *Store) load(ctx context.Context, conn rueidis.DedicatedClient, dead string) (*family, error) {
	known := st.shelf.candidates()
	if dead != "" {
		known = append(known, st.shelf.get(dead))
	}
	var names []string
	for _, f := range known {
		names = append(names, f.anchor)
	}
	if len(names) > 0 {
		found, err := conn.Do(ctx, conn.B().ScriptExists().Sha1(names...).Build()).AsIntSlice()
		if err != nil {
			return nil, away(err)
		}
		for i, is := range slices.Backward(found) {
			if is == 1 {
				return known[i], st.loadAll(ctx, conn, known[i])
			}
		}
	}
	f := st.shelf.draw()
	if err := st.loadAll(ctx, conn, f); err != nil {
		return nil, err
	}
	st.shelf.used(f.nonce)
	return f, nil
}

func (st *Store) loadAll(ctx context.Context, conn rueidis.DedicatedClient, f *family) error {
	var cmds rueidis.Commands
	for _, text := range f.texts {
		cmds = append(cmds, conn.B().ScriptLoad().Script(text).Build())
	}
	// The anchor comes last: where it is, all are.
	cmds = append(cmds, conn.B().ScriptLoad().Script(anchorText(f.nonce)).Build())
	for _, r := range conn.DoMulti(ctx, cmds...) {
		if err := r.Error(); err != nil {
			return away(err)
		}
	}
	return nil
}

// stamp is a shard's stamp as it was read.
type stamp struct {
	nonce            string
	generation       uint64
	at, ready, began int64 // ms
}

func parseStamp(v string) stamp {
	r := reader{b: v}
	s := stamp{nonce: r.text(8), generation: r.uint(4), at: int64(r.uint(6)), ready: int64(r.uint(6)), began: int64(r.uint(6))}
	if r.bad {
		return stamp{}
	}
	return s
}

// live says whether the shard serves at now (ms), by its stamp.
func (s stamp) live(now int64) bool {
	const limit = int64(session.StampTime / time.Millisecond)
	return s.nonce != "" && now-s.at <= limit && s.at-now <= limit
}

// wait is how long until the shard grants; 0: it does now.
func (s stamp) wait(now int64) time.Duration {
	if !s.live(now) {
		return session.TickTime
	}
	return time.Duration(max(s.ready-now, 0)) * time.Millisecond
}

// stamps is what this process knows of the shards' stamps.
type stamps struct {
	mu   sync.Mutex
	all  [throng.Shards]stamp
	read time.Time // when all were read last

	reading sync.Mutex // held while they are read
}

func (s *stamps) set(shard uint8, v stamp) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[shard] = v
}

func (s *stamps) get(shard uint8) stamp {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[shard]
}

// wait is how long until all shards grant.
func (s *stamps) wait(now int64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var longest time.Duration
	for i := range s.all {
		longest = max(longest, s.all[i].wait(now))
	}
	return longest
}

// stampAge is how old what is known of the stamps may be.
const stampAge = 250 * time.Millisecond

// readStamps reads all shards' stamps unless somebody did that recently.
func (st *Store) readStamps(ctx context.Context, recently time.Duration) error {
	begun := time.Now()
	st.stamps.reading.Lock()
	defer st.stamps.reading.Unlock()
	st.stamps.mu.Lock()
	read := st.stamps.read
	st.stamps.mu.Unlock()
	if read.After(begun) || time.Since(read) < recently {
		return nil
	}
	client, err := st.hot.get()
	if err != nil {
		return err
	}
	if err := st.compareClocks(ctx, client, 0); err != nil && !st.clock.skewed() {
		return err
	}
	begun = time.Now()
	values, err := st.allStamps(ctx, client)
	if err != nil {
		return err
	}
	var all [throng.Shards]stamp
	for shard := range all {
		all[shard] = parseStamp(values[shard])
	}
	st.stamps.mu.Lock()
	defer st.stamps.mu.Unlock()
	st.stamps.all, st.stamps.read = all, begun
	return nil
}

// allStamps reads the stamps of all shards.
func (st *Store) allStamps(ctx context.Context, client rueidis.Client) ([]string, error) {
	if client.Mode() != rueidis.ClientModeCluster {
		return values(ctx, client, st.names.shard[:])
	}
	cmds := make(rueidis.Commands, throng.Shards)
	for shard := range cmds {
		cmds[shard] = client.B().Get().Key(st.names.shard[shard]).Build()
	}
	list := make([]string, throng.Shards)
	for shard, r := range client.DoMulti(ctx, cmds...) {
		v, err := r.ToString()
		if err != nil && !rueidis.IsRedisNil(err) {
			return nil, away(err)
		}
		list[shard] = v
	}
	return list, nil
}

// Now is the store's clock. Unavailable: a shard is not live, or in quarantine.
func (st *Store) Now(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, throng.Errorf(throng.Unavailable, "not begun: %w", err)
	}
	if err := st.readStamps(ctx, stampAge); err != nil {
		return time.Time{}, err
	}
	if st.stamps.wait(st.now()) > 0 {
		if err := st.readStamps(ctx, 0); err != nil {
			return time.Time{}, err
		}
	}
	if st.clock.skewed() {
		return time.Time{}, st.clock.refusal()
	}
	now := st.now()
	if wait := st.stamps.wait(now); wait > 0 {
		return time.Time{}, session.Rebuilding(wait)
	}
	return time.UnixMilli(now), nil
}

// now is Redis's time in ms, as far as this process knows it.
func (st *Store) now() int64 {
	if st.config.clock != nil {
		return st.config.clock().UnixMilli()
	}
	return time.Now().Add(st.clock.offset()).UnixMilli()
}

// clock compares this machine's clock with Redis's.
type clock struct {
	mu    sync.Mutex
	asked time.Time     // when it was compared last
	ahead time.Duration // Redis's before time.Now
	off   time.Duration // Redis's before the machine's, as far as it is certain
}

func (c *clock) offset() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead
}

func (c *clock) skewed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.off > maxSkew || c.off < -maxSkew
}

func (c *clock) refusal() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return throng.RetryLater(throng.Unavailable, 5*time.Second,
		"this machine's clock is %v off that of redis, at most %v is allowed", (-c.off).Round(time.Millisecond), maxSkew)
}

// compareClocks asks the Redis that has the shard for the time, at most twice a
// second. Another node of the Cluster may be away: TIME alone, without a key,
// would go to any. Unavailable: it does not answer, or the clocks differ too much.
func (st *Store) compareClocks(ctx context.Context, client rueidis.Client, shard uint8) error {
	c := &st.clock
	c.mu.Lock()
	recent := time.Since(c.asked) < session.TickTime/2
	if !recent {
		c.asked = time.Now()
	}
	c.mu.Unlock()
	if !recent {
		before, begun := st.config.Now(), time.Now()
		ask := client.B().EvalRo().Script("return redis.call('TIME')").Numkeys(1).Key(st.names.shard[shard]).Build()
		got, err := client.Do(ctx, ask).AsIntSlice()
		if err != nil {
			c.mu.Lock()
			c.asked = time.Time{}
			c.mu.Unlock()
			return away(err)
		}
		after, took := st.config.Now(), time.Since(begun)
		if len(got) == 2 {
			c.compare(before, after, begun.Add(took/2), time.Unix(got[0], got[1]*1000))
			st.metrics.offset.Set(-c.certain().Seconds())
		}
	}
	if c.skewed() {
		return c.refusal()
	}
	return nil
}

// compare notes that Redis's clock said at some moment between before and after,
// by this machine's clock.
func (c *clock) compare(before, after, middle, said time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead = said.Sub(middle)
	switch {
	case said.Before(before):
		c.off = said.Sub(before)
	case said.After(after):
		c.off = said.Sub(after)
	default:
		c.off = 0
	}
}

func (c *clock) certain() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.off
}
