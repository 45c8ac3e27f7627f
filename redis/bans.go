package redis

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/throng-gg/throng"
)

const (
	mostBans  = 100_000
	banRounds = 20 // how often a ban is decided anew that others changed meanwhile
)

// Bans keeps who may not play, for all replicas: a hash of all, by player.
type Bans struct {
	common
	most int
}

// Bans returns the store of up to so many players' bans; 0: 100,000.
func (st *Store) Bans(most int) Bans { return Bans{common{st}, cmp.Or(most, mostBans)} }

// banSwap replaces a field that is as it was. KEYS: the hash. ARGV: player, old
// ("" : none), new ("": none), most. It returns 1: done, 0: it was changed, -1: there
// is no room.
//
//nolint:gochecknoglobals // a constant
var banSwap = rueidis.NewLuaScript(`
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return 1
end
if ARGV[2] == '' and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return -1 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1`)

func (s Bans) hash() string { return s.key("bans", "") }

// change decides on a player's ban until it is as it was when it is written. No ban:
// nothing is written.
func (s Bans) change(ctx context.Context, p throng.PlayerID, decide func(throng.Ban) (throng.Ban, error)) (throng.Ban, error) {
	for range banRounds {
		got, err := s.do(ctx, func(b rueidis.Builder) rueidis.Completed { return b.Hget().Key(s.hash()).Field(string(p)).Build() })
		if err != nil {
			return throng.Ban{}, err
		}
		text, err := got.ToString()
		if err != nil && !rueidis.IsRedisNil(err) {
			return throng.Ban{}, away(err)
		}
		old, err := banOf(text)
		if err != nil {
			return throng.Ban{}, err
		}
		next, err := decide(old)
		if err != nil || next.ID == "" || next == old {
			return old, err
		}
		data, err := json.Marshal(next)
		if err != nil {
			return throng.Ban{}, err
		}
		answer, err := s.exec(ctx, banSwap, []string{s.hash()}, string(p), text, string(data), strconv.Itoa(s.most))
		if err != nil {
			return throng.Ban{}, err
		}
		switch n, err := answer.AsInt64(); {
		case err != nil:
			return throng.Ban{}, away(err)
		case n == 1:
			return next, nil
		case n < 0:
			if err := s.makeRoom(ctx, next.At); err != nil {
				return throng.Ban{}, err
			}
		}
	}
	return throng.Ban{}, throng.RetryLater(throng.Unavailable, time.Second, "the ban of %s is being changed by others", p)
}

func banOf(text string) (b throng.Ban, err error) {
	if text == "" {
		return b, nil
	}
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		return b, throng.Errorf(throng.Internal, "a stored ban cannot be read: %w", err)
	}
	return b, nil
}

// makeRoom takes out what is over. Unavailable: nothing is.
func (s Bans) makeRoom(ctx context.Context, now time.Time) error {
	all, err := s.all(ctx)
	if err != nil {
		return err
	}
	freed := false
	for p, text := range all {
		if b, err := banOf(text); err != nil || !b.Until.Before(now) {
			continue
		}
		if _, err := s.exec(ctx, banSwap, []string{s.hash()}, p, text, "", "0"); err != nil {
			return err
		}
		freed = true
	}
	if !freed {
		return throng.RetryLater(throng.Unavailable, time.Minute, "%d bans are kept, which is the most", s.most)
	}
	return nil
}

func (s Bans) all(ctx context.Context) (map[string]string, error) {
	got, err := s.do(ctx, func(b rueidis.Builder) rueidis.Completed { return b.Hgetall().Key(s.hash()).Build() })
	if err != nil {
		return nil, err
	}
	all, err := got.AsStrMap()
	if err != nil {
		return nil, away(err)
	}
	return all, nil
}

// Put keeps a ban, if its player's yields to it. Unavailable: there is no room.
func (s Bans) Put(ctx context.Context, b throng.Ban) error {
	_, err := s.change(ctx, b.Player, func(old throng.Ban) (throng.Ban, error) {
		if !old.Yields(b) {
			return throng.Ban{}, nil
		}
		return b, nil
	})
	return err
}

// Bans returns those of the given players that have one, in their order.
func (s Bans) Bans(ctx context.Context, players []throng.PlayerID) ([]throng.Ban, error) {
	if len(players) == 0 {
		return nil, nil
	}
	fields := make([]string, len(players))
	for i, p := range players {
		fields[i] = string(p)
	}
	got, err := s.do(ctx, func(b rueidis.Builder) rueidis.Completed { return b.Hmget().Key(s.hash()).Field(fields...).Build() })
	if err != nil {
		return nil, err
	}
	list, err := got.ToArray()
	if err != nil {
		return nil, away(err)
	}
	var out []throng.Ban
	for _, m := range list {
		b, err := banOf(text(m))
		if err != nil {
			return nil, err
		}
		if b.ID != "" {
			out = append(out, b)
		}
	}
	return out, nil
}

// ListBans lists all, by player, after the given one.
func (s Bans) ListBans(ctx context.Context, after throng.PlayerID, limit int) ([]throng.Ban, error) {
	got, err := s.do(ctx, func(b rueidis.Builder) rueidis.Completed { return b.Hkeys().Key(s.hash()).Build() })
	if err != nil {
		return nil, err
	}
	names, err := got.AsStrSlice()
	if err != nil {
		return nil, away(err)
	}
	slices.Sort(names)
	var page []throng.PlayerID
	for _, n := range names {
		if n > string(after) && len(page) < limit {
			page = append(page, throng.PlayerID(n))
		}
	}
	return s.Bans(ctx, page)
}

// Lift ends a player's ban. Lifted before: the same answer. NotFound: he has none.
func (s Bans) Lift(ctx context.Context, p throng.PlayerID, by string, at time.Time) (throng.Ban, error) {
	return s.change(ctx, p, func(b throng.Ban) (throng.Ban, error) {
		if b.ID == "" {
			return b, throng.Errorf(throng.NotFound, "%s has no ban", p)
		}
		if b.Lifted.IsZero() {
			b.Lifted, b.By = at, by
		}
		return b, nil
	})
}
