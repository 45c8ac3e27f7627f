package redis

import (
	"context"
	"errors"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// How much one sweep of a shard does at most.
const (
	maxLapsed      = 1024
	maxUnpublished = 64
	maxTended      = 512
	maxForgotten   = 256
	maxReaped      = 512
	publishTime    = 12000 // ms after which the sweep offers departures again
)

// Sweep forgets what is over and returns what needs a decision. It reads the
// shard's index as it is and looks closer only at what is due.
func (st *Store) Sweep(ctx context.Context, shard uint8) (session.SweepResult, error) {
	var res session.SweepResult
	err := st.around(ctx, "Sweep", func() error {
		s := sweep{st: st, shard: shard, res: &res}
		return s.run(ctx)
	})
	return res, err
}

// sweep is one sweep of a shard.
type sweep struct {
	st    *Store
	shard uint8
	res   *session.SweepResult

	client rueidis.Client
	now    int64 // ms, before anything was read
	stamp  stamp
	due    []dueSession
	lapsed []string // of those whose lease is over
}

// dueSession has holds or departures to look at.
type dueSession struct {
	id           string
	seated, held int // as they were counted
}

func (s *sweep) run(ctx context.Context) (err error) {
	if s.client, err = s.st.bulk.get(); err != nil {
		return err
	}
	if err := s.st.compareClocks(ctx, s.client, s.shard); err != nil {
		return err
	}
	s.now = s.st.now()
	// What Stamp of this process saw a moment ago is good enough: what is decided
	// by it is checked again.
	if s.stamp = s.st.stamps.get(s.shard); !s.stamp.live(s.now) {
		if s.stamp, err = s.st.readStamp(ctx, s.client, s.shard); err != nil {
			return err
		}
	}
	turn := s.st.prune[s.shard].Swap(0)
	bucket := s.key("b" + string([]byte{byte(turn - 1)}))
	b := s.client.B
	cmds := rueidis.Commands{
		b().Hscan().Key(s.key("i")).Cursor(0).Count(pageSize).Build(),
		b().Zrange().Key(s.key("t")).Min("-inf").Max(strconv.FormatInt(s.now, 10)).Byscore().Limit(0, maxForgotten).Build(),
		b().Zcard().Key(s.key("t")).Build(),
	}
	if turn > 0 {
		cmds = append(cmds, b().Hscan().Key(bucket).Cursor(0).Count(pageSize).Build())
	}
	got := s.client.DoMulti(ctx, cmds...)
	if err := s.index(ctx, got[0]); err != nil {
		return err
	}
	if err := s.tend(ctx); err != nil {
		return err
	}
	if err := s.lapse(ctx); err != nil {
		return err
	}
	if err := s.forget(ctx, got[1], got[2]); err != nil || turn == 0 {
		return err
	}
	return s.reap(ctx, bucket, got[3])
}

func (s *sweep) key(name string) string { return s.st.names.shard[s.shard] + name }

// pageSize is how many fields of a large hash are read at once, so that reading
// it holds nobody up.
const pageSize = 1000

// scan reads a hash whose first piece was read already.
func scan(ctx context.Context, client rueidis.Client, key string, first rueidis.RedisResult, visit func(field, value string)) error {
	e, err := first.AsScanEntry()
	if err != nil {
		return away(err)
	}
	var seen map[string]bool // a large hash may name a field twice
	if e.Cursor != 0 {
		seen = map[string]bool{}
	}
	for {
		for i := 0; i+1 < len(e.Elements); i += 2 {
			f := e.Elements[i]
			if seen[f] {
				continue
			}
			if seen != nil {
				seen[f] = true
			}
			visit(f, e.Elements[i+1])
		}
		if e.Cursor == 0 {
			return nil
		}
		e, err = client.Do(ctx, client.B().Hscan().Key(key).Cursor(e.Cursor).Count(pageSize).Build()).AsScanEntry()
		if err != nil {
			return away(err)
		}
	}
}

// index counts the shard's sessions and finds those to look at.
func (s *sweep) index(ctx context.Context, first rueidis.RedisResult) error {
	overdue := session.Overdue(fromMilli(uint64(s.now))).UnixMilli()
	isLive := s.stamp.live(s.now)
	return scan(ctx, s.client, s.key("i"), first, func(id, v string) {
		r := reader{b: v}
		lease, opened := r.uint(6), r.uint(4)
		flags, seated, held, due := r.uint(1), r.uint(1), r.uint(2), int64(r.uint(6))
		state, silent := throng.SessionState(flags&15), flags&16 != 0
		if due > 0 && due <= s.now && len(s.due) < maxTended {
			s.due = append(s.due, dueSession{id: id, seated: int(seated), held: int(held)})
		}
		switch state {
		case throng.SessionStarting:
			s.res.Starting++
		case throng.SessionOpen:
			s.res.Open++
		case throng.SessionDraining:
			s.res.Draining++
		case throng.SessionEnded:
			return
		}
		s.res.Seated += int(seated)
		s.res.Held += int(held)
		finish := s.stamp.finish(lease, opened, state)
		switch {
		case !isLive: // it was the registry that was silent
		case silent:
			if finish+throng.HeartbeatTime.Milliseconds() > s.now {
				s.res.Overdue++
			}
		case finish <= overdue:
			if state != throng.SessionStarting {
				s.res.Overdue++
			}
			if finish <= s.now && len(s.lapsed) < maxLapsed {
				s.lapsed = append(s.lapsed, id)
			}
		}
	})
}

// tend drops holds that lapsed, and offers departures that nobody published.
func (s *sweep) tend(ctx context.Context) error {
	for _, d := range s.due {
		c, _, err := s.st.onSession(ctx, s.st.bulk, scriptTend, s.st.names.session(d.id))
		if errors.Is(err, errUnknown) {
			continue
		}
		if throng.KindOf(err) == throng.Unavailable {
			return nil //nolint:nilerr // the shard is not live: later
		}
		if err != nil {
			return err
		}
		if c.State != throng.SessionEnded {
			s.res.Seated += c.Seated - d.seated
			s.res.Held += c.Held - d.held
		}
		if c.since > 0 && s.now-int64(c.since) > publishTime && len(s.res.Left) < maxUnpublished {
			s.res.Left = append(s.res.Left, c.effects())
		}
	}
	return nil
}

// lapse returns the sessions whose lease is over.
func (s *sweep) lapse(ctx context.Context) error {
	found, err := s.st.read(ctx, s.st.bulk, s.shard, s.lapsed, s.stamp)
	for _, c := range found {
		if c.State != throng.SessionEnded && !c.silent && c.LeaseUntil.UnixMilli() <= s.now {
			s.res.Lapsed = append(s.res.Lapsed, session.Lapse{Session: c.ID, Server: c.Server, Until: fromMilli(c.lease)})
		}
	}
	return err
}

// forget forgets sessions that ended long ago, or before too many others.
func (s *sweep) forget(ctx context.Context, due, count rueidis.RedisResult) error {
	ids, err := due.AsStrSlice()
	if err != nil {
		return away(err)
	}
	many, err := count.AsInt64()
	if err != nil {
		return away(err)
	}
	over := "0"
	if extra := many - session.MaxSessions; extra > int64(len(ids)) {
		over = "1"
		ids, err = s.client.Do(ctx, s.client.B().Zrange().Key(s.key("t")).Min("0").Max(strconv.FormatInt(min(extra, maxForgotten)-1, 10)).Build()).AsStrSlice()
		if err != nil {
			return away(err)
		}
	}
	for _, id := range ids {
		_, err := s.st.run(ctx, call{
			link: s.st.bulk, shard: s.shard, script: scriptForget, keys: s.st.names.lifeKeys(s.shard, id), args: []string{id, over},
		})
		if err != nil {
			return s.later(err)
		}
	}
	return nil
}

// later is nil for a shard whose scripts are not there: it is swept when they are.
func (s *sweep) later(err error) error {
	if throng.KindOf(err) == throng.Unavailable {
		return nil
	}
	return err
}

// reap forgets what is over in a bucket of players. One process at a time has a
// shard's turn.
func (s *sweep) reap(ctx context.Context, bucket string, first rueidis.RedisResult) error {
	var tickets, players, keys []string
	err := scan(ctx, s.client, bucket, first, func(f, v string) {
		if len(tickets)+len(players) >= maxReaped || len(f) == 0 {
			return
		}
		r := reader{b: v}
		flags := r.uint(1)
		switch {
		case f[0] == 1:
			if int64(r.uint(6)) <= s.now {
				tickets = append(tickets, f)
			}
		case f[0] == 0 || f[0] > ' ':
			if throng.PresenceState(flags&3) != throng.PresencePlaying {
				players, keys = append(players, f), append(keys, s.key("x"+f))
			}
		}
	})
	if err != nil || len(tickets)+len(players) == 0 {
		return err
	}
	args := append([]string{strconv.Itoa(len(tickets))}, tickets...)
	_, err = s.st.run(ctx, call{
		link: s.st.bulk, shard: s.shard, script: scriptReap,
		keys: append([]string{bucket, s.key("n")}, keys...), args: append(args, players...),
	})
	return s.later(err)
}
