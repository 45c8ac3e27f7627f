package redis_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/redis"
	"github.com/throng-gg/throng/redis/redistest"
	"github.com/throng-gg/throng/session"
)

// place is a registry on a store whose clock stands still, so that every stamp
// looks fresh whatever happens to Redis.
type place struct {
	*rig
	t   *testing.T
	reg *session.Registry
}

func (g *ground) place(t *testing.T) *place {
	t.Helper()
	p := &place{rig: g.open(t), t: t}
	p.reg = p.registry(p.store)
	p.rebuild()
	return p
}

func (p *place) registry(st session.Store) *session.Registry {
	p.t.Helper()
	reg, err := session.New(session.Config{Store: st, Region: throng.Region{ID: "local", Number: 7}, Parallel: 64})
	if err != nil {
		p.t.Fatal(err)
	}
	return reg
}

// rebuild ticks until the quarantine is over.
func (p *place) rebuild() {
	p.t.Helper()
	for range int(throng.TokenTime/time.Second) + 1 {
		p.tick()
		p.passed.Add(int64(time.Second))
	}
	p.tick()
}

// tick waits for a tick that succeeds: Redis or the Cluster may need a moment.
func (p *place) tick() {
	p.t.Helper()
	if err := redistest.Await(30*time.Second, func() error { return p.reg.Tick(p.t.Context()) }, nil); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) open() throng.Session {
	p.t.Helper()
	s, err := p.reg.Open(p.t.Context(), throng.Release{Place: "arena", Version: 3, Capacity: 4})
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// join takes a player as far as his hold.
func (p *place) join(s throng.SessionID, who throng.PlayerID) error {
	c, err := p.reg.Claim(p.t.Context(), throng.Ticket{
		Key: throng.TicketKey{Caller: who, Ticket: "t1"}, Place: "arena", Version: 3, Party: []throng.PlayerID{who},
	})
	if err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	_, _, err = p.reg.Hold(p.t.Context(), c, s)
	return err
}

// closed checks that nothing is granted in a session's shard, by the kind of
// refusal that says when to come again.
func (p *place) closed(when string, s throng.SessionID) {
	p.t.Helper()
	ctx := p.t.Context()
	m := throng.Member{Player: "zoe", Epoch: 9 << 8}
	for name, call := range map[string]func() error{
		"hold": func() error {
			_, _, err := p.store.Hold(ctx, session.HoldRequest{Session: s, Key: throng.TicketKey{Caller: "zoe", Ticket: "t"}, Members: []throng.Member{m}})
			return err
		},
		"session": func() error { _, err := p.store.Session(ctx, s); return err },
		"end":     func() error { _, err := p.store.End(ctx, session.EndRequest{Session: s}); return err },
	} {
		err := call()
		if throng.KindOf(err) != throng.Unavailable || throng.RetryAfterOf(err) <= 0 {
			p.t.Errorf("%s, %s: got %v, want it unavailable and when to retry", when, name, err)
		}
	}
}

// again checks that a generation makes the shard whole, and that its sessions
// take players only once they reported.
func (p *place) again(s throng.Session) {
	p.t.Helper()
	p.tick()
	p.closedForJoins(s.ID)
	p.rebuild()
	if err := p.join(s.ID, "bo"); throng.KindOf(err) != throng.Full && throng.KindOf(err) != throng.NotFound {
		p.t.Errorf("a session that has not reported: got %v, want no seat", err)
	}
	if err := p.join(p.open().ID, "cy"); err != nil {
		p.t.Errorf("a new session: %v", err)
	}
}

// reached waits until the store speaks to the Redis that has the session now,
// whatever that answers.
func (p *place) reached(s throng.SessionID) {
	p.t.Helper()
	err := redistest.Await(60*time.Second, func() error {
		_, err := p.store.Session(p.t.Context(), s)
		if err != nil && err.Error() != session.Rebuilding(0).Error() {
			return err
		}
		return nil
	}, nil)
	if err != nil {
		p.t.Fatalf("the store does not find its Redis again: %v", err)
	}
}

func (p *place) closedForJoins(s throng.SessionID) {
	p.t.Helper()
	if err := p.join(s, "bo"); throng.KindOf(err) != throng.Unavailable {
		p.t.Errorf("in quarantine: got %v, want it unavailable", err)
	}
}

func TestRestartWithFreshSnapshot(t *testing.T) {
	t.Parallel()
	g := alone(t)
	p := g.place(t)
	s := p.open()
	g.servers[0].Save(t)
	if err := p.join(s.ID, "ada"); err != nil { // the snapshot lacks her
		t.Fatal(err)
	}
	g.servers[0].Kill()
	g.servers[0].Restart(t)
	p.reached(s.ID)
	p.closed("back from a snapshot that is not a second old", s.ID)
	p.again(s)
}

func TestRestartWithoutSnapshot(t *testing.T) {
	t.Parallel()
	g := alone(t)
	p := g.place(t)
	s := p.open()
	g.servers[0].Kill()
	p.closed("while it is away", s.ID)
	g.servers[0].RestartEmpty(t)
	p.closed("back and empty", s.ID)
	p.again(s)
}

func TestScriptFlush(t *testing.T) {
	t.Parallel()
	g := alone(t)
	p := g.place(t)
	s := p.open()
	g.servers[0].Must(t, "SCRIPT", "FLUSH")
	p.closed("without scripts", s.ID)
	p.again(s)
}

func TestFlushAll(t *testing.T) {
	t.Parallel()
	g := alone(t)
	p := g.place(t)
	s := p.open()
	g.servers[0].Must(t, "FLUSHALL")
	p.closed("emptied", s.ID)
	p.again(s)
}

// TestPromotedReplica fails a shard's master over, with and without losing the
// writes that its replica missed. Other masters' shards go on.
func TestPromotedReplica(t *testing.T) {
	t.Parallel()
	for _, loses := range []bool{false, true} {
		t.Run(fmt.Sprintf("loses writes: %v", loses), func(t *testing.T) {
			t.Parallel()
			c := redistest.StartCluster(t, 0)
			g := &ground{url: c.URL(), servers: c.Masters, shelf: redis.NewShelf(throng.TokenTime)}
			p := g.place(t)
			s := p.open()
			i := masterOf(t, c, p.prefix, s.ID)
			if loses {
				c.Masters[i].Must(t, "WAIT", "1", "10000")
				c.Cut(t, i)
				if err := p.join(s.ID, "ada"); err != nil { // the replica lacks her
					t.Fatal(err)
				}
				c.LoseMaster(t, i)
			} else {
				c.Failover(t, i)
			}
			p.reached(s.ID)
			p.closed("on a replica that was promoted", s.ID)
			open := 0
			for shard := range throng.Shards {
				if _, err := p.store.Sessions(t.Context(), session.ListRequest{Shard: uint8(shard), Limit: 1}); err == nil {
					open++
				}
			}
			if open < throng.Shards/2 || open > throng.Shards*3/4 {
				t.Errorf("shards that go on: got %d, want those of two masters of three", open)
			}
			p.again(s)
		})
	}
}

// masterOf returns which master has a session.
func masterOf(t *testing.T, c *redistest.Cluster, prefix string, s throng.SessionID) int {
	t.Helper()
	for i, m := range c.Masters {
		if m.Must(t, "EVAL", "return #redis.call('KEYS', ARGV[1])", "0", fmt.Sprintf("%s{%02x}", prefix, s.Shard())) == "1" {
			return i
		}
	}
	t.Fatalf("no master has %s", s)
	return 0
}

// TestReplicasConverge has two processes find a Redis without scripts at the
// same time: each shard begins one generation, and stays in it.
func TestReplicasConverge(t *testing.T) {
	t.Parallel()
	g := alone(t)
	p := g.place(t)
	g.servers[0].Must(t, "SCRIPT", "FLUSH")
	var began [throng.Shards]atomic.Int64
	stamp := func(st *redis.Store) {
		for shard := range throng.Shards {
			res, err := st.Stamp(t.Context(), uint8(shard), 0)
			if err != nil {
				t.Errorf("stamp shard %d: %v", shard, err)
			}
			if res.Began {
				began[shard].Add(1)
			}
		}
	}
	stores := []*redis.Store{p.store}
	for range 3 {
		other := &rig{ground: &ground{url: g.url, shelf: redis.NewShelf(throng.TokenTime)}, prefix: p.prefix}
		other.passed.Store(p.passed.Load())
		stores = append(stores, other.another(t))
	}
	for range 3 {
		var wg sync.WaitGroup
		for _, st := range stores {
			wg.Go(func() { stamp(st) })
		}
		wg.Wait()
	}
	for shard := range began {
		if n := began[shard].Load(); n != 1 {
			t.Fatalf("shard %d began %d generations, want 1", shard, n)
		}
	}
}

// TestOtherVersion has a process with other scripts join a generation: it adds
// its own and begins none.
func TestOtherVersion(t *testing.T) {
	t.Parallel()
	for name, shelf := range map[string]*redis.Shelf{
		"all are others":  redis.NewShelf(throng.TokenTime + time.Millisecond),
		"one is another":  redis.NewPatchedShelf(throng.TokenTime, []redis.Patch{{Part: "read", Line: "local answer = {0}", Instead: "local answer  = {0}"}}),
		"its stamp is so": redis.NewPatchedShelf(throng.TokenTime, []redis.Patch{{Part: "stamp", Line: "local fresh = 0", Instead: "local fresh  = 0"}}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := alone(t)
			p := g.place(t)
			s := p.open()
			newer := &rig{ground: &ground{url: g.url, shelf: shelf}, prefix: p.prefix}
			newer.passed.Store(p.passed.Load())
			st := newer.another(t)
			if _, err := st.Session(t.Context(), s.ID); name != "its stamp is so" && throng.KindOf(err) != throng.Unavailable {
				t.Errorf("before it stamped: got %v, want it unavailable", err)
			}
			for shard := range throng.Shards {
				res, err := st.Stamp(t.Context(), uint8(shard), 0)
				if err != nil || res.Began {
					t.Fatalf("shard %d: got %+v, %v, want the generation that there is", shard, res, err)
				}
			}
			for _, one := range []*redis.Store{st, p.store} {
				if _, err := one.Session(t.Context(), s.ID); err != nil {
					t.Errorf("beside each other: %v", err)
				}
			}
		})
	}
}

func TestClocksApart(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for _, c := range []struct {
		off  time.Duration
		want bool
	}{{0, true}, {700 * time.Millisecond, true}, {-700 * time.Millisecond, true}, {5 * time.Second, false}, {-5 * time.Second, false}} {
		st, err := redis.New(redis.Config{
			URL: s.URL(), Region: "local", Prefix: c.off.String(), Timeout: time.Minute,
			Now: func() time.Time { return time.Now().Add(c.off) },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		_, err = st.Stamp(t.Context(), 3, 0)
		if c.want && err != nil {
			t.Errorf("%v off: got %v, want it taken", c.off, err)
		}
		if !c.want && (throng.KindOf(err) != throng.Unavailable || throng.RetryAfterOf(err) <= 0) {
			t.Errorf("%v off: got %v, want it refused", c.off, err)
		}
		_, err = st.Claim(t.Context(), session.ClaimRequest{Player: "ada", Ticket: throng.Ticket{Key: throng.TicketKey{Caller: "ada", Ticket: "t"}}})
		if throng.KindOf(err) != throng.Unavailable {
			t.Errorf("%v off, a claim in a shard that is not stamped: got %v, want it unavailable", c.off, err)
		}
	}
}

// TestPausedRedis checks that a call ends in time when Redis does not answer.
func TestPausedRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	st, err := redis.New(redis.Config{URL: s.URL(), Region: "local", Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := st.Stamp(t.Context(), 1, 0); err != nil {
		t.Fatal(err)
	}
	s.Pause(t)
	begun := time.Now()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			_, err := st.Presence(t.Context(), throng.PlayerID(fmt.Sprint("p", i)))
			if throng.KindOf(err) != throng.Unavailable || throng.RetryAfterOf(err) <= 0 {
				t.Errorf("got %v, want it unavailable and when to retry", err)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := st.Presence(ctx, "ada"); !errors.Is(err, context.DeadlineExceeded) && throng.KindOf(err) != throng.Unavailable {
		t.Errorf("with a deadline: got %v, want it unavailable", err)
	}
	wg.Wait()
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("it took %v to give up", took)
	}
	s.Continue(t)
	err = redistest.Await(30*time.Second, func() error {
		_, err := st.Stamp(t.Context(), 1, 0)
		return err
	}, nil)
	if err != nil {
		t.Errorf("after the pause: %v", err)
	}
}

func TestRedisComesLater(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Kill()
	st, err := redis.New(redis.Config{URL: s.URL(), Region: "local"})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := st.Stamp(t.Context(), 1, 0); throng.KindOf(err) != throng.Unavailable || throng.RetryAfterOf(err) <= 0 {
		t.Errorf("nobody there: got %v, want it unavailable and when to retry", err)
	}
	s.RestartEmpty(t)
	err = redistest.Await(30*time.Second, func() error {
		_, err := st.Stamp(t.Context(), 1, 0)
		return err
	}, nil)
	if err != nil {
		t.Errorf("after it came: %v", err)
	}
}

// TestFailBack fails a shard's master over and back: it still has the scripts of
// its first generation, which a process that slept meanwhile goes on to call.
func TestFailBack(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 0)
	g := &ground{url: c.URL(), servers: c.Masters, shelf: redis.NewShelf(throng.TokenTime)}
	p := g.place(t)
	s := p.open()
	sleeper := &place{rig: &rig{ground: &ground{url: g.url, shelf: redis.NewShelf(throng.TokenTime)}, prefix: p.prefix}, t: t}
	sleeper.passed.Store(p.passed.Load())
	sleeper.store = sleeper.another(t)
	if _, err := sleeper.store.Session(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	i := masterOf(t, c, p.prefix, s.ID)
	c.Failover(t, i)
	p.reached(s.ID)
	p.rebuild()
	if err := c.AwaitHealthy(); err != nil {
		t.Fatal(err)
	}
	c.FailBack(t, i)
	sleeper.passed.Store(p.passed.Load())
	sleeper.reached(s.ID)
	sleeper.closed("on the old master", s.ID)
	p.again(s)
}

// TestReplicaAway: who is not needed may be away. A stamp that fails because of
// one begins a generation.
func TestReplicaAway(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 0)
	g := &ground{url: c.URL(), servers: c.Masters, shelf: redis.NewShelf(throng.TokenTime)}
	r := g.open(t)
	stamp := func(shard int) error {
		r.store.ForgetTime()
		_, err := r.store.Stamp(t.Context(), uint8(shard), 0)
		return err
	}
	for shard := range throng.Shards {
		if err := stamp(shard); err != nil {
			t.Fatal(err)
		}
	}
	c.Replicas[0].Kill()
	failed, example := 0, error(nil)
	for shard := range throng.Shards {
		if err := stamp(shard); err != nil {
			failed, example = failed+1, err
		}
	}
	if failed > 0 {
		t.Errorf("without one replica %d of %d stamps failed, want none; like: %v", failed, throng.Shards, example)
	}
}
