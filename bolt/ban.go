package bolt

import (
	"cmp"
	"context"
	"time"

	"go.etcd.io/bbolt"

	"github.com/throng-gg/throng"
)

// mostBans is how many players' bans are kept if it is not told.
const mostBans = 100_000

// Bans keeps who may not play: the newest ban of each player that counts.
type Bans struct {
	store *Store
	most  int
}

// Bans returns the store of up to so many players' bans; 0: 100,000.
func (s *Store) Bans(most int) Bans { return Bans{s, cmp.Or(most, mostBans)} }

func banOf(tx *bbolt.Tx, p throng.PlayerID) (b throng.Ban, err error) {
	if data := bucket(tx, bans).Get([]byte(p)); data != nil {
		err = decode(data, &b)
	}
	return b, err
}

func putBan(tx *bbolt.Tx, b throng.Ban) error {
	return bucket(tx, bans).Put([]byte(b.Player), encode(b))
}

// Put keeps a ban, if its player's yields to it. Unavailable: there is no room.
func (s Bans) Put(ctx context.Context, b throng.Ban) error {
	return s.store.change(ctx, func(tx *bbolt.Tx) (func() error, error) {
		old, err := banOf(tx, b.Player)
		if err != nil {
			return nil, err
		}
		var over [][]byte
		switch {
		case !old.Yields(b):
			return nil, nil
		case old.ID == "" && bucket(tx, bans).Stats().KeyN >= s.most:
			if over, err = bansOver(tx, b.At); err != nil {
				return nil, err
			}
			if len(over) == 0 {
				return nil, throng.RetryLater(throng.Unavailable, time.Minute, "%d bans are kept, which is the most", s.most)
			}
		}
		return func() error {
			for _, k := range over {
				if err := bucket(tx, bans).Delete(k); err != nil {
					return err
				}
			}
			return putBan(tx, b)
		}, nil
	})
}

// bansOver are the keys of those that are.
func bansOver(tx *bbolt.Tx, now time.Time) (over [][]byte, err error) {
	err = bucket(tx, bans).ForEach(func(k, v []byte) error {
		var b throng.Ban
		if err := decode(v, &b); err != nil {
			return err
		}
		if b.Until.Before(now) {
			over = append(over, append([]byte(nil), k...))
		}
		return nil
	})
	return over, err
}

// Bans returns those of the given players that have one, in their order.
func (s Bans) Bans(_ context.Context, players []throng.PlayerID) (out []throng.Ban, err error) {
	err = s.store.view(func(tx *bbolt.Tx) error {
		for _, p := range players {
			b, err := banOf(tx, p)
			if err != nil {
				return err
			}
			if b.ID != "" {
				out = append(out, b)
			}
		}
		return nil
	})
	return out, err
}

// ListBans lists all, by player, after the given one.
func (s Bans) ListBans(_ context.Context, after throng.PlayerID, limit int) (out []throng.Ban, err error) {
	err = s.store.view(func(tx *bbolt.Tx) error {
		c := bucket(tx, bans).Cursor()
		for k, v := c.Seek([]byte(after)); k != nil && len(out) < limit; k, v = c.Next() {
			if string(k) == string(after) {
				continue
			}
			var b throng.Ban
			if err := decode(v, &b); err != nil {
				return err
			}
			out = append(out, b)
		}
		return nil
	})
	return out, err
}

// Lift ends a player's ban. Lifted before: the same answer. NotFound: he has none.
func (s Bans) Lift(ctx context.Context, p throng.PlayerID, by string, at time.Time) (b throng.Ban, err error) {
	err = s.store.change(ctx, func(tx *bbolt.Tx) (func() error, error) {
		var err error
		if b, err = banOf(tx, p); err != nil {
			return nil, err
		}
		if b.ID == "" {
			return nil, throng.Errorf(throng.NotFound, "%s has no ban", p)
		}
		if b.Lifted.IsZero() {
			b.Lifted, b.By = at, by
		}
		return func() error { return putBan(tx, b) }, nil
	})
	return b, err
}
