package redis

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// onSession runs a script on a session and reads the session that it answers
// with. Nil: it is not known. Its answer's first element is 0 or a refusal.
func (st *Store) onSession(ctx context.Context, l *link, k script, s throng.SessionID, args ...string) (*record, []rueidis.RedisMessage, error) {
	id, err := st.names.id(s)
	if err != nil {
		return nil, nil, err
	}
	shard := s.Shard()
	var keys []string
	if recipes[k].all {
		keys = st.names.lifeKeys(shard, id)
	} else {
		keys = st.names.sessionKeys(shard, id)
	}
	got, err := st.run(ctx, call{link: l, shard: shard, script: k, keys: keys, args: append([]string{id}, args...)})
	if err != nil || len(got) < 3 {
		return nil, got, err
	}
	raw := text(got[1])
	if raw == "" {
		return nil, got, nil
	}
	c, err := parseSession(s, id, raw, number(got[2]))
	if err != nil {
		return nil, nil, err
	}
	st.watch.apply(shard, c)
	return c, got, nil
}

// short is an answer without a session: a word, and what goes with it.
func short(got []rueidis.RedisMessage) string {
	if len(got) > 0 && got[0].IsString() {
		return text(got[0])
	}
	return ""
}

func checkRelease(p throng.PlaceID, v throng.Version, capacity int) error {
	if len(p) > 64 || v < 0 || v >= maxVersion || capacity < 0 || capacity > session.MaxCapacity {
		return throng.AtField(throng.Invalid, "version", "%s version %d with %d seats is out of bounds", p, v, capacity)
	}
	return nil
}

func errNoCapacity(got []rueidis.RedisMessage) error {
	n := int64(0)
	if len(got) > 1 {
		n = number(got[1])
	}
	return throng.RetryLater(throng.NoCapacity, time.Minute, "the pool has %d sessions", n)
}

func errNoSession(id throng.SessionID) error {
	return throng.AtField(throng.NotFound, "session", "there is no session %s", id)
}

// Drain takes no more players in.
func (st *Store) Drain(ctx context.Context, r session.DrainRequest) (session.Effects, error) {
	var fx session.Effects
	err := st.around(ctx, "Drain", func() error {
		c, got, err := st.onSession(ctx, st.hot, scriptDrain, r.Session,
			clip(orElse(r.Reason, "drained")), decimal(uint64(unixMilli(r.Until))))
		if errors.Is(err, errUnknown) {
			return errNoSession(r.Session)
		}
		if err != nil {
			return err
		}
		orders, err := c.parseOrders(texts(got[4]))
		if fresh := number(got[3]); fresh > 0 && err == nil {
			fx = c.effects(newest(orders, fresh)...)
		} else {
			fx = session.Effects{}
		}
		return err
	})
	return fx, err
}

// clip bounds a reason by what the layout takes.
func clip(reason string) string { return reason[:min(len(reason), 4096)] }

func texts(m rueidis.RedisMessage) []string {
	list, _ := m.AsStrSlice()
	return list
}

// newest returns the last n orders.
func newest(orders []throng.Order, n int64) []throng.Order {
	return orders[max(len(orders)-int(n), 0):]
}

// End ends a session and frees its seats and holds.
func (st *Store) End(ctx context.Context, r session.EndRequest) (session.Effects, error) {
	var fx session.Effects
	err := st.around(ctx, "End", func() error {
		by := ""
		if r.By != nil {
			by = packWho(*r.By)
		}
		c, got, err := st.onSession(ctx, st.hot, scriptEnd, r.Session, clip(r.Reason), bit(r.Failed), by, bit(r.IfEmpty))
		switch {
		case errors.Is(err, errUnknown):
			return errNoSession(r.Session)
		case err != nil:
			return err
		case number(got[0]) == 1:
			return throng.AtField(throng.Denied, "session", "%s is not on this server", r.Session)
		case number(got[0]) == 2:
			return throng.AtField(throng.Conflict, "session", "%s has %d players and %d on the way", r.Session, c.Seated, c.Held)
		}
		fx = c.ended(number(got[3]))
		return nil
	})
	return fx, err
}

// bit is t or f.
func bit(b bool) string { return strconv.FormatBool(b)[:1] }

// ended is what is left to do for a session that ended. orders is 1 if its server
// is told by one, for the courier; heartbeats are told Ended.
func (c *record) ended(orders int64) session.Effects {
	if orders == 0 {
		return c.effects()
	}
	return c.effects(throng.Order{ID: c.lastOrder, Kind: throng.OrderEnd, Reason: c.Reason})
}

// Session returns one session, also an ended one while it is remembered.
func (st *Store) Session(ctx context.Context, id throng.SessionID) (throng.Session, error) {
	var v throng.Session
	err := st.around(ctx, "Session", func() error {
		c, _, err := st.onSession(ctx, st.hot, scriptRead, id)
		if errors.Is(err, errUnknown) {
			return errNoSession(id)
		}
		if err == nil {
			v = c.Session
		}
		return err
	})
	return v, err
}

// Sessions lists a shard's sessions that have not ended, by ID. Unavailable:
// the shard is in quarantine, and more may exist.
func (st *Store) Sessions(ctx context.Context, r session.ListRequest) ([]throng.Session, error) {
	var list []throng.Session
	err := st.around(ctx, "Sessions", func() error {
		after, more, err := st.names.after(r)
		for err == nil && more && len(list) < r.Limit {
			var found []*record
			found, after, err = st.page(ctx, r, after)
			more = after != ""
			for _, c := range found {
				if c.State != throng.SessionEnded && (r.Place == "" || c.Place == r.Place) {
					list = append(list, c.Session)
				}
			}
		}
		list = list[:min(len(list), max(r.Limit, 0))]
		return err
	})
	return list, err
}

// after is the ID, packed, after which a list of a shard's sessions begins, and
// whether there can be any.
func (n *names) after(r session.ListRequest) (id string, some bool, err error) {
	if r.After == "" || r.After.Shard() < r.Shard {
		return "", true, nil
	}
	id, err = n.id(r.After)
	return id, r.After.Shard() == r.Shard, err
}

// page reads some of a shard's sessions that come after an ID, and returns the
// last one's, empty if there are none.
func (st *Store) page(ctx context.Context, r session.ListRequest, after string) ([]*record, string, error) {
	p := st.names.shard[r.Shard]
	got, err := st.run(ctx, call{
		link: st.bulk, shard: r.Shard, script: scriptPage, keys: []string{p + "d", p + "e"},
		args: []string{string(r.Place), after, decimal(min(max(r.Limit, 1), 200))},
	})
	if err != nil || len(got) < 4 {
		return nil, "", err
	}
	ids := texts(got[3])
	if len(ids) == 0 {
		return nil, "", nil
	}
	found, err := st.read(ctx, st.bulk, r.Shard, ids, stamp{generation: uint64(number(got[1])), began: number(got[2])})
	return found, ids[len(ids)-1], err
}

// read reads sessions of a shard, without those that are not there any more.
func (st *Store) read(ctx context.Context, l *link, shard uint8, ids []string, s stamp) ([]*record, error) {
	client, err := l.get()
	if err != nil {
		return nil, err
	}
	var list []*record
	for len(ids) > 0 {
		some := ids[:min(len(ids), 256)]
		ids = ids[len(some):]
		keys := make([]string, len(some))
		for i, id := range some {
			keys[i] = st.names.shard[shard] + "s" + id
		}
		values, err := values(ctx, client, keys)
		if err != nil {
			return nil, err
		}
		for i, raw := range values {
			if raw == "" {
				continue
			}
			c, err := st.names.parse(some[i], raw, 0)
			if err != nil {
				return nil, err
			}
			c.LeaseUntil = time.UnixMilli(s.finish(c.lease, c.opened, c.State))
			list = append(list, c)
		}
	}
	return list, nil
}

// values reads keys of one shard, or any if Redis is no Cluster. Empty: it is not
// there.
func values(ctx context.Context, client rueidis.Client, keys []string) ([]string, error) {
	got, err := client.Do(ctx, client.B().Mget().Key(keys...).Build()).ToArray()
	if err != nil {
		return nil, away(err)
	}
	list := make([]string, len(got))
	for i, m := range got {
		list[i] = text(m)
	}
	return list, nil
}

// finish is when a lease is over: a generation starts leases anew.
func (s stamp) finish(lease, opened uint64, state throng.SessionState) int64 {
	grace := throng.LeaseTime
	if state == throng.SessionStarting {
		grace = session.StartTime
	}
	if anew := s.began + grace.Milliseconds(); s.generation > opened && anew > int64(lease) {
		return anew
	}
	return int64(lease)
}

// Expire ends or suspends a session if its lease is still over.
func (st *Store) Expire(ctx context.Context, r session.ExpireRequest) (session.Effects, error) {
	var fx session.Effects
	err := st.around(ctx, "Expire", func() error {
		c, got, err := st.onSession(ctx, st.bulk, scriptExpire, r.Session, decimal(uint64(unixMilli(r.Until))), clip(r.Reason))
		if errors.Is(err, errUnknown) {
			return nil // heard meanwhile, or gone
		}
		if err == nil && number(got[0]) == 0 && r.Reason != "" {
			fx = c.ended(number(got[3]))
		}
		return err
	})
	return fx, err
}
