package redis

import (
	"context"
	"errors"
	"slices"

	"github.com/redis/rueidis"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// maxLooks is how often Open looks again at a pool that changes meanwhile.
const maxLooks = 8

// Open keeps a new Starting session with holds in it, or returns others that
// have room.
func (st *Store) Open(ctx context.Context, r session.OpenRequest) (session.OpenResult, error) {
	var res session.OpenResult
	err := st.around(ctx, "Open", func() error {
		if err := checkRelease(r.Session.Place, r.Session.Version, r.Session.Capacity); err != nil {
			return err
		}
		id, err := st.names.id(r.Session.ID)
		if err != nil {
			return err
		}
		holds, players, err := packHolds(r.Holds)
		if err != nil {
			return err
		}
		for range maxLooks {
			done, err := st.open(ctx, opening{r, id, holds, players}, &res)
			if done || err != nil {
				return err
			}
		}
		return throng.RetryLater(throng.Unavailable, session.TickTime, "sessions of %s change faster than they can be looked at", r.Session.Place)
	})
	return res, err
}

// opening is a request for a script.
type opening struct {
	session.OpenRequest
	id      string
	holds   []string // packed
	players int      // of them
}

// open makes one attempt. Not done: the pool changed since it was looked at.
func (st *Store) open(ctx context.Context, r opening, res *session.OpenResult) (done bool, err error) {
	var p pool
	if r.Room > 0 {
		if p, err = st.look(ctx, r.OpenRequest); err != nil {
			return false, err
		}
	}
	args := append([]string{
		r.id, decimal(r.Session.Capacity), packWhat(r.Session),
		decimal(max(r.Room, 0)), decimal(r.players), decimal(len(p.members)), p.to, p.from,
	}, p.members...)
	shard := r.Session.ID.Shard()
	got, err := st.run(ctx, call{
		link: st.hot, shard: shard, script: scriptOpen,
		keys: append(st.names.lifeKeys(shard, r.id), p.keys...), args: append(args, r.holds...),
	})
	if err != nil {
		return false, err
	}
	switch short(got) {
	case "A":
		return false, nil
	case "C":
		return false, errNoCapacity(got)
	}
	return true, st.opened(r, p.ids, got, res)
}

// packHolds packs requests for holds for a script, three arguments each.
func packHolds(list []session.HoldRequest) (args []string, players int, err error) {
	if len(list) > session.MaxCapacity {
		return nil, 0, throng.AtField(throng.Invalid, "holds", "are %d, at most %d are allowed", len(list), session.MaxCapacity)
	}
	for _, h := range list {
		if len(h.Members) == 0 || len(h.Members) > session.MaxCapacity {
			return nil, 0, throng.AtField(throng.Invalid, "members", "are %d, must be 1 to %d", len(h.Members), session.MaxCapacity)
		}
		var epochs, names []byte
		for _, m := range h.Members {
			if err := errors.Join(checkNumbers(m.Epoch, 0), checkPlayer(m.Player)); err != nil {
				return nil, 0, err
			}
			epochs = appendUint(epochs, 7, uint64(m.Epoch))
			names = appendShort(names, string(m.Player))
		}
		args = append(args, ticketKey(h.Key), string(epochs), string(names))
		players += len(h.Members)
	}
	return args, players, nil
}

// pool is a look at a pool's newest sessions, the newest first.
type pool struct {
	from, to string   // bounds of the look
	members  []string // of the index of pools
	ids      []string // of the sessions
	keys     []string // of them
}

// look finds the sessions that may make a new one needless. The script sees
// whether they still are those. Holds that lapsed are dropped before.
func (st *Store) look(ctx context.Context, r session.OpenRequest) (pool, error) {
	client, err := st.hot.get()
	if err != nil {
		return pool{}, err
	}
	shard := r.Session.ID.Shard()
	start := release(r.Session.Place, r.Session.Version)
	p := pool{
		from: "[" + string(appendUint(slices.Clone(start), 7, min(r.Seen, maxEpoch)+1)),
		to:   "(" + string(start) + "\xff\xff\xff\xff\xff\xff\xff",
	}
	cmd := client.B().Zrevrangebylex().Key(st.names.shard[shard]+"u").Max(p.to).Min(p.from).Limit(0, session.MaxLook).Build()
	if p.members, err = client.Do(ctx, cmd).AsStrSlice(); err != nil {
		return pool{}, away(err)
	}
	for _, m := range p.members {
		id := m[min(len(start)+7, len(m)):]
		p.ids = append(p.ids, id)
		p.keys = append(p.keys, st.names.shard[shard]+"s"+id)
	}
	found, err := st.read(ctx, st.hot, shard, p.ids, stamp{})
	if err != nil {
		return pool{}, err
	}
	for _, c := range found {
		if c.lapse > 0 && int64(c.lapse) <= st.now() {
			if _, _, err := st.onSession(ctx, st.hot, scriptTend, c.ID); err != nil && !errors.Is(err, errUnknown) {
				return pool{}, err
			}
		}
	}
	return p, nil
}

// opened reads what Open made or found.
func (st *Store) opened(r opening, pool []string, got []rueidis.RedisMessage, res *session.OpenResult) error {
	shard := r.Session.ID.Shard()
	if number(got[0]) == 2 {
		for one := range slices.Chunk(got[3:], 3) {
			other, err := st.names.parse(pool[number(one[0])-1], text(one[1]), number(one[2]))
			if err != nil {
				return err
			}
			res.Others = append(res.Others, other.Session)
		}
		return nil
	}
	c, err := st.names.parse(r.id, text(got[1]), number(got[2]))
	if err != nil {
		return err
	}
	st.watch.apply(shard, c)
	res.Session = c.Session
	res.Holds = make([]throng.Hold, len(r.Holds))
	for i, want := range r.Holds {
		b := reader{b: text(got[3+i])}
		if b.b == "" {
			continue
		}
		h := throng.Hold{Key: want.Key, Session: c.ID, HeldAt: fromMilli(b.uint(6)), Until: fromMilli(b.uint(6))}
		h.Members = make([]throng.Member, b.uint(1))
		for m := range h.Members {
			h.Members[m].Epoch = throng.Epoch(b.uint(7))
		}
		for m := range h.Members {
			h.Members[m].Player = throng.PlayerID(b.short())
		}
		if b.bad {
			return throng.Errorf(throng.Internal, "a hold in session %s is broken", c.ID)
		}
		res.Holds[i] = h
	}
	return nil
}
