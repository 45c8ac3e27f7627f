package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// Open keeps a new Starting session with holds in it, or returns others that
// have room.
func (st *Store) Open(ctx context.Context, r session.OpenRequest) (session.OpenResult, error) {
	var res session.OpenResult
	err := st.on(ctx, operation{"Open", r.Session.ID.Shard(), grants}, func(sh *shard, now time.Time) error {
		s := sh.find(r.Session.ID, now)
		if s == nil {
			if res.Others = sh.others(r, now); len(res.Others) > 0 {
				return nil
			}
			var err error
			if s, err = sh.open(r, now); err != nil {
				return err
			}
		}
		res.Holds = make([]throng.Hold, len(r.Holds))
		for i, want := range r.Holds {
			if h := s.holds[want.Key]; h != nil {
				res.Holds[i] = h.copy()
			}
		}
		sh.note(s)
		res.Session = sh.view(s)
		return nil
	})
	return res, err
}

// others returns the sessions that make a new one needless.
func (sh *shard) others(r session.OpenRequest, now time.Time) []throng.Session {
	if r.Room <= 0 {
		return nil
	}
	need := 0
	for _, h := range r.Holds {
		need += len(h.Members)
	}
	pool := sh.pools[poolKey{r.Session.Place, r.Session.Version}]
	pool = pool[max(len(pool)-session.MaxLook, 0):]
	from, _ := slices.BinarySearchFunc(pool, r.Seen+1, byNumber)
	var list []throng.Session
	for _, s := range pool[from:] {
		s.purge(now)
		if free := s.free(); free >= r.Room && sh.joinable(s) && sh.end(s).After(now) {
			list = append(list, sh.view(s))
			need -= free
		}
		if need <= 0 || len(list) == session.MaxOthers {
			break
		}
	}
	return list
}

func byNumber(s *pooled, n uint64) int { return cmp.Compare(s.Number, n) }

// open makes the session and its holds.
func (sh *shard) open(r session.OpenRequest, now time.Time) (*pooled, error) {
	d := r.Session
	s, err := sh.add(throng.Session{
		ID: d.ID, Place: d.Place, Version: d.Version, Capacity: d.Capacity,
		State: throng.SessionStarting, OpenedAt: now, Private: d.Private, Code: d.Code,
	}, now)
	if err != nil {
		return nil, err
	}
	sh.leases.set(s, now.Add(session.StartTime))
	for _, h := range r.Holds {
		h.Session = d.ID
		s.addHold(newHold(h, now))
	}
	return s, nil
}

// add keeps a session that is not known, without a lease.
func (sh *shard) add(s throng.Session, now time.Time) (*pooled, error) {
	if len(sh.ids) >= session.MaxSessions {
		return nil, throng.RetryLater(throng.NoCapacity, time.Minute, "the pool has %d sessions", len(sh.ids))
	}
	sh.number = max(sh.number+1, uint64(max(now.UnixMicro(), 0)))
	s.Number = sh.number
	p := newPooled(s)
	p.generation, p.opened, p.census = sh.generation, sh.generation, sh.census
	sh.sessions[s.ID] = p
	i, _ := slices.BinarySearch(sh.ids, s.ID)
	sh.ids = slices.Insert(sh.ids, i, s.ID)
	sh.places[s.Place]++
	if !s.Private {
		key := poolKey{s.Place, s.Version}
		sh.pools[key] = append(sh.pools[key], p)
	}
	return p, nil
}

// unlist takes a session out of its pool.
func (sh *shard) unlist(s *pooled) {
	key := poolKey{s.Place, s.Version}
	pool := sh.pools[key]
	i, ok := slices.BinarySearchFunc(pool, s.Number, byNumber)
	if !ok || pool[i] != s {
		return
	}
	if len(pool) == 1 {
		delete(sh.pools, key)
		return
	}
	sh.pools[key] = slices.Delete(pool, i, i+1)
}
