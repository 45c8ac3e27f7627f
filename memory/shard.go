package memory

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// How much one sweep of a shard does at most.
const (
	maxLapsed      = 1024
	maxUnpublished = 64
	maxTrims       = 4096
	publishTime    = 12 * time.Second // after which the sweep offers departures again
)

// shard is one of the 256 parts of a store.
type shard struct {
	store *Store
	// Nanoseconds after the store's start; written under mu, read without.
	stamp atomic.Int64 // of the newest stamp; 0: never
	ready atomic.Int64 // grants are made from then on

	mu         sync.Mutex
	generation uint64
	began      time.Time // the generation
	census     uint64

	players map[throng.PlayerID]*record
	trims   queue[trim] // records to look after, soonest first

	sessions    map[throng.SessionID]*pooled
	ids         []throng.SessionID // of those that have not ended, sorted
	places      map[throng.PlaceID]int
	pools       map[poolKey][]*pooled // the public ones that have not ended, by Number
	number      uint64                // of the newest session
	leases      leases                // of those that have not ended and are not silenced
	silenced    map[throng.SessionID]*pooled
	lapses      queue[due] // sessions with holds to look at, soonest first
	tombs       queue[due] // ended sessions to forget, soonest first
	unpublished map[throng.SessionID]time.Time
	total       shown
	states      [4]int
}

func newShard(st *Store) *shard {
	return &shard{
		store:       st,
		players:     map[throng.PlayerID]*record{},
		sessions:    map[throng.SessionID]*pooled{},
		places:      map[throng.PlaceID]int{},
		pools:       map[poolKey][]*pooled{},
		silenced:    map[throng.SessionID]*pooled{},
		unpublished: map[throng.SessionID]time.Time{},
	}
}

// poolKey names a pool.
type poolKey struct {
	place   throng.PlaceID
	version throng.Version
}

// due is a session to look at.
type due struct {
	at      time.Time
	session throng.SessionID
}

// since is now on the scale of stamp and ready; over 0.
func (sh *shard) since(now time.Time) int64 { return int64(now.Sub(sh.store.start)) + 1 }

// wait is how long until the shard serves what needs n; 0: it does now.
func (sh *shard) wait(now time.Time, n need) time.Duration {
	if n == always {
		return 0
	}
	at, stamp := sh.since(now), sh.stamp.Load()
	if stamp == 0 || at-stamp > int64(session.StampTime) {
		return session.TickTime
	}
	if ready := sh.ready.Load(); n == grants && at < ready {
		return time.Duration(ready - at)
	}
	return 0
}

// Stamp says that a registry process looks after the shard. When the stamp was
// missing or too old, it starts a generation.
func (st *Store) Stamp(ctx context.Context, number uint8, census uint64) (session.StampResult, error) {
	var res session.StampResult
	err := st.on(ctx, operation{"Stamp", number, always}, func(sh *shard, now time.Time) error {
		at, waited := sh.since(now), sh.wait(now, grants)
		if sh.wait(now, live) > 0 {
			res.Began = true
			sh.generation++
			sh.began = now
			census = max(census+1, uint64(max(now.UnixMilli(), 0)))
			sh.ready.Store(at + int64(st.config.Quarantine))
		}
		sh.stamp.Store(at)
		sh.census = max(sh.census, census)
		res.Now, res.Generation, res.Census = now.Round(0), sh.generation, sh.census
		res.ReadyAt = now.Round(0).Add(sh.wait(now, grants))
		if waited > 0 || sh.ready.Load() > at-int64(session.StampTime) {
			st.feed.Wake() // who waits for the shard looks again
		}
		return nil
	})
	return res, err
}

// trusted says whether what is known of a session's seats is complete.
func (sh *shard) trusted(s *pooled) bool {
	return sh.store.config.Quarantine == 0 || s.generation == sh.generation
}

// wants says whether the session's server has to report: what is known of its
// seats may not be complete, or what is known of its players.
func (sh *shard) wants(s *pooled) bool {
	return !sh.trusted(s) || sh.store.config.Quarantine > 0 && s.census < sh.census
}

// end is when the session's lease is over. A generation starts leases anew.
func (sh *shard) end(s *pooled) time.Time {
	grace := throng.LeaseTime
	if s.State == throng.SessionStarting {
		grace = session.StartTime
	}
	if anew := sh.began.Add(grace); anew.After(s.LeaseUntil) && sh.generation > s.opened {
		return anew
	}
	return s.LeaseUntil
}

// Sweep forgets what is over and returns what needs a decision.
func (st *Store) Sweep(ctx context.Context, number uint8) (session.SweepResult, error) {
	var res session.SweepResult
	if int(number) >= len(st.shards) {
		return res, nil // folded: it is swept, and counted, with another
	}
	err := st.on(ctx, operation{"Sweep", number, always}, func(sh *shard, now time.Time) error {
		sh.sweepHolds(now)
		sh.sweepTombs(now)
		sh.sweepPlayers(now)
		sh.sweepLeases(now, &res)
		for id, since := range sh.unpublished {
			if len(res.Left) == maxUnpublished {
				break
			}
			if now.Sub(since) > publishTime {
				res.Left = append(res.Left, sh.sessions[id].effects())
			}
		}
		res.Starting = sh.states[throng.SessionStarting]
		res.Open = sh.states[throng.SessionOpen]
		res.Draining = sh.states[throng.SessionDraining]
		res.Seated, res.Held = sh.total.seated, sh.total.held
		return nil
	})
	return res, err
}

func (sh *shard) sweepHolds(now time.Time) {
	for {
		d, ok := sh.lapses.front()
		if !ok || d.at.After(now) {
			return
		}
		sh.lapses.pop()
		if s := sh.sessions[d.session]; s != nil {
			s.purge(now)
			sh.note(s)
		}
	}
}

func (sh *shard) sweepTombs(now time.Time) {
	for {
		d, ok := sh.tombs.front()
		if !ok || d.at.After(now) && sh.tombs.len() <= session.MaxSessions {
			return
		}
		sh.tombs.pop()
		delete(sh.sessions, d.session)
		delete(sh.unpublished, d.session)
	}
}

func (sh *shard) sweepLeases(now time.Time, res *session.SweepResult) {
	if sh.wait(now, live) > 0 {
		return // it was the registry that was silent
	}
	overdue := session.Overdue(now)
	sh.leases.before(0, overdue, func(s *pooled) {
		end := sh.end(s)
		if s.State != throng.SessionStarting && !end.After(overdue) {
			res.Overdue++
		}
		if !end.After(now) && len(res.Lapsed) < maxLapsed {
			res.Lapsed = append(res.Lapsed, session.Lapse{Session: s.ID, Server: s.Server, Until: s.LeaseUntil})
		}
	})
	for _, s := range sh.silenced {
		if sh.end(s).Add(throng.HeartbeatTime).After(now) {
			res.Overdue++
		}
	}
}

// Expire ends or suspends a session if its lease is still over.
func (st *Store) Expire(ctx context.Context, r session.ExpireRequest) (session.Effects, error) {
	var fx session.Effects
	err := st.on(ctx, operation{"Expire", r.Session.Shard(), live}, func(sh *shard, now time.Time) error {
		s := sh.sessions[r.Session]
		if s == nil || s.State == throng.SessionEnded || s.silent ||
			!s.LeaseUntil.Equal(r.Until) || sh.end(s).After(now) {
			return nil
		}
		if r.Reason != "" {
			sh.bury(s, now, r.Reason)
			fx = s.effects(s.endOrder()...)
			return nil
		}
		s.suspended, s.silent = true, true
		sh.leases.drop(s)
		sh.silenced[s.ID] = s
		sh.note(s)
		return nil
	})
	return fx, err
}
