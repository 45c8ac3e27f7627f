package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

// mostBans is how many players' bans are kept if it is not told.
const mostBans = 100_000

// Bans keeps who may not play while this process lives. It is safe for concurrent
// use.
type Bans struct {
	most int
	mu   sync.Mutex
	bans map[throng.PlayerID]throng.Ban // guarded by mu
}

// NewBans makes an empty store of up to so many players; 0: 100,000.
func NewBans(most int) *Bans {
	return &Bans{most: cmp.Or(most, mostBans), bans: map[throng.PlayerID]throng.Ban{}}
}

// Put keeps a ban, if its player's yields to it. Unavailable: there is no room.
func (s *Bans) Put(_ context.Context, b throng.Ban) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.bans[b.Player]
	if !old.Yields(b) {
		return nil
	}
	if !known && len(s.bans) >= s.most {
		maps.DeleteFunc(s.bans, func(_ throng.PlayerID, o throng.Ban) bool { return o.Until.Before(b.At) })
		if len(s.bans) >= s.most {
			return throng.RetryLater(throng.Unavailable, time.Minute, "%d bans are kept, which is the most", s.most)
		}
	}
	s.bans[b.Player] = b
	return nil
}

// Bans returns those of the given players that have one, in their order.
func (s *Bans) Bans(_ context.Context, players []throng.PlayerID) ([]throng.Ban, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []throng.Ban
	for _, p := range players {
		if b, ok := s.bans[p]; ok {
			out = append(out, b)
		}
	}
	return out, nil
}

// ListBans lists all, by player, after the given one.
func (s *Bans) ListBans(_ context.Context, after throng.PlayerID, limit int) ([]throng.Ban, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []throng.Ban
	for _, p := range slices.Sorted(maps.Keys(s.bans)) {
		if p > after && len(out) < limit {
			out = append(out, s.bans[p])
		}
	}
	return out, nil
}

// Lift ends a player's ban. Lifted before: the same answer. NotFound: he has none.
func (s *Bans) Lift(_ context.Context, p throng.PlayerID, by string, at time.Time) (throng.Ban, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.bans[p]
	if !ok {
		return throng.Ban{}, throng.Errorf(throng.NotFound, "%s has no ban", p)
	}
	if b.Lifted.IsZero() {
		b.Lifted, b.By = at, by
		s.bans[p] = b
	}
	return b, nil
}
