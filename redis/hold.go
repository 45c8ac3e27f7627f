package redis

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/redis/rueidis"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// maxBlock is how many requests for one session go into one call.
const maxBlock = 32

// lines are the requests of this process that wait for a call of one script on
// the same session. A call is made at once when none is under way; what comes
// meanwhile goes together into the next one.
type lines struct {
	mu sync.Mutex
	of map[throng.SessionID]*line // with a call under way
}

// line is what waits for one session. It is bounded by the callers, who wait.
type line struct{ waiting []*asked }

// asked is a caller's request. Owned by lines' mutex until it is told.
type asked struct {
	session throng.SessionID
	args    []string // of the script
	// read takes the script's answer; c is nil if the session is not known.
	read func(c *record, got rueidis.RedisMessage) told
	told chan told // has room for one
}

// told is what a caller who waits gets: his answer, or the turn to make the call.
type told struct {
	lead    bool
	hold    throng.Hold
	session throng.Session
	err     error
}

// Hold keeps seats for all members or for none; a live hold of the key is
// returned as it is. Calls for one session at the same time share one call.
func (st *Store) Hold(ctx context.Context, r session.HoldRequest) (throng.Hold, throng.Session, error) {
	var t told
	err := st.around(ctx, "Hold", func() error {
		args, _, err := packHolds([]session.HoldRequest{r})
		if err != nil {
			return err
		}
		me := &asked{session: r.Session, args: args, told: make(chan told, 1)}
		me.read = func(c *record, got rueidis.RedisMessage) told { return c.held(r, got) }
		t = st.holds.enter(ctx, me, st.holdAll)
		return t.err
	})
	return t.hold, t.session, err
}

// HoldCommand is the words of the command that Hold sends for r, for those who
// measure it beside other clients of Redis.
func (st *Store) HoldCommand(ctx context.Context, r session.HoldRequest) ([]string, error) {
	id, err := st.names.id(r.Session)
	if err != nil {
		return nil, err
	}
	args, _, err := packHolds([]session.HoldRequest{r})
	if err != nil {
		return nil, err
	}
	client, err := st.hot.get()
	if err != nil {
		return nil, err
	}
	shard := r.Session.Shard()
	f, err := st.lookUp(ctx, client, shard)
	if err != nil {
		return nil, err
	}
	c := call{shard: shard, script: scriptHold, keys: st.names.sessionKeys(shard, id), args: append([]string{id}, args...)}
	command := st.evalsha(client, f, c)
	return slices.Clone(command.Commands()), nil
}

// enter waits in line until all has been asked that stands before me, and me.
func (l *lines) enter(ctx context.Context, me *asked, ask func(context.Context, throng.SessionID, []*asked) []told) told {
	l.mu.Lock()
	if ln := l.of[me.session]; ln != nil {
		ln.waiting = append(ln.waiting, me)
		l.mu.Unlock()
		select {
		case t := <-me.told:
			if !t.lead {
				return t
			}
		case <-ctx.Done():
			if l.quit(me) {
				return told{err: throng.Errorf(throng.Unavailable, "not asked: %w", ctx.Err())}
			}
			if t := <-me.told; !t.lead { // under way, and soon answered
				return t
			}
		}
		l.mu.Lock()
	} else {
		l.of[me.session] = &line{}
	}
	block := l.next(me.session, me)
	l.mu.Unlock()

	// The others in the block are not to fail because this caller gives up.
	answers := ask(context.WithoutCancel(ctx), me.session, block)
	for i, a := range block[1:] {
		a.told <- answers[i+1]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.of[me.session]
	if len(ln.waiting) == 0 {
		delete(l.of, me.session)
		return answers[0]
	}
	first := ln.waiting[0]
	ln.waiting = ln.waiting[1:]
	first.told <- told{lead: true}
	return answers[0]
}

// next takes the block that me leads out of the line.
func (l *lines) next(id throng.SessionID, me *asked) []*asked {
	ln := l.of[id]
	n := min(len(ln.waiting), maxBlock-1)
	block := append([]*asked{me}, ln.waiting[:n]...)
	ln.waiting = slices.Clone(ln.waiting[n:])
	return block
}

// quit takes a request that nobody has taken yet out of its line.
func (l *lines) quit(me *asked) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.of[me.session]
	if ln == nil {
		return false
	}
	i := slices.Index(ln.waiting, me)
	if i < 0 {
		return false
	}
	ln.waiting = slices.Delete(ln.waiting, i, i+1)
	return true
}

// holdAll asks for holds in one session, in one call.
func (st *Store) holdAll(ctx context.Context, id throng.SessionID, block []*asked) []told {
	st.metrics.blocks.Observe(float64(len(block)))
	return st.askAll(ctx, scriptHold, id, block)
}

// askAll runs a script that answers from its fourth on to each request of a block.
func (st *Store) askAll(ctx context.Context, k script, id throng.SessionID, block []*asked) []told {
	args := make([]string, 0, len(block)*len(block[0].args))
	for _, a := range block {
		args = append(args, a.args...)
	}
	c, got, err := st.onSession(ctx, st.hot, k, id, args...)
	if errors.Is(err, errUnknown) {
		err = errNoSession(id)
	}
	answers := make([]told, len(block))
	for i, a := range block {
		if err != nil {
			answers[i].err = err
			continue
		}
		answers[i] = a.read(c, got[3+i])
	}
	return answers
}

// held reads the answer to one request.
func (c *record) held(r session.HoldRequest, got rueidis.RedisMessage) told {
	if !got.IsString() {
		switch number(got) {
		case 1:
			return told{err: throng.AtField(throng.Conflict, "ticket", "%s holds seats for others", r.Key.Ticket)}
		case 2:
			return told{err: throng.AtField(throng.NotFound, "session", "%s takes no more players", r.Session)}
		case 3:
			return told{err: throng.AtField(throng.Full, "session", "%s takes no players until its server is heard", r.Session)}
		default:
			return told{err: throng.AtField(throng.Full, "session", "%s has no room for %d", r.Session, len(r.Members))}
		}
	}
	b := reader{b: text(got)}
	t := told{session: c.Session}
	t.hold = throng.Hold{Key: r.Key, Session: r.Session, HeldAt: fromMilli(b.uint(6)), Until: fromMilli(b.uint(6))}
	for _, m := range r.Members {
		t.hold.Members = append(t.hold.Members, throng.Member{Player: m.Player, Epoch: throng.Epoch(b.uint(7))})
	}
	if b.bad {
		return told{err: throng.Errorf(throng.Internal, "a hold in session %s is broken", r.Session)}
	}
	return t
}
