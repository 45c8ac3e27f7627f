package fleet

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

const (
	reconcileTime = 3 * time.Second  // between two
	listTime      = 10 * time.Second // longest List
	mostDoubts    = 256              // looked into at once
	restartWait   = 5 * time.Second  // for servers of an earlier life of ours to connect
	absentMost    = 2                // listings that a server may be missing from
)

// inquest is what a reconciliation found out.
type inquest struct {
	began    time.Time
	listed   []throng.ServerID
	listErr  error
	now      time.Time // the registry's clock
	nowErr   error     // of it
	verdicts map[throng.ServerID]doubted
	suspects []throng.ServerID
	held     map[throng.ServerID]bool // of the suspects, by peers
	heldErr  error
}

// doubted is a server whose session the registry was asked about.
type doubted struct {
	session throng.SessionID
	hello   throng.Hello
	verdict verdict
}

// reconcile compares what the backend runs, what we believe and what the
// registry knows.
func (t *table) reconcile(ctx context.Context, now time.Time) {
	t.checking = true
	q := inquest{began: now, verdicts: map[throng.ServerID]doubted{}}
	for id, s := range t.servers {
		if !s.doubt.IsZero() && s.phase < phaseLeaving && len(q.verdicts) < mostDoubts {
			q.verdicts[id] = doubted{session: s.session, hello: s.hello}
		}
		if s.suspect != "" && len(q.suspects) < mostDoubts {
			q.suspects = append(q.suspects, id)
		}
	}
	t.spawn(func() {
		t.o.investigate(ctx, &q)
		t.o.send(ctx, func(t *table, now time.Time) { t.reconciled(ctx, q, now) })
	})
}

// investigate asks the backend and the registry.
func (o *Orchestrator) investigate(ctx context.Context, q *inquest) {
	listing, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	q.listed, q.listErr = o.backend.List(listing)
	o.askPeers(ctx, q)
	asking, cancelAsking := context.WithTimeout(ctx, listTime)
	defer cancelAsking()
	if q.now, q.nowErr = o.registry.Now(asking); q.nowErr != nil {
		return
	}
	for id, d := range q.verdicts {
		s, err := o.registry.Session(asking, d.session)
		d.verdict = judge(d.hello, s, err)
		q.verdicts[id] = d
	}
}

func (t *table) reconciled(ctx context.Context, q inquest, now time.Time) {
	t.checking = false
	t.checked = now
	if q.listErr != nil {
		t.o.logger.WarnContext(ctx, "game servers not listed", "err", q.listErr)
	} else {
		t.compare(ctx, q, now)
	}
	t.listed = true
	if q.nowErr != nil {
		// The registry knows nothing for certain: all patience starts anew.
		for _, s := range t.servers {
			s.suspect = ""
			if !s.doubt.IsZero() {
				s.doubt = now
			}
			if s.phase == phaseFound {
				s.since = now
			}
		}
		return
	}
	if q.listErr == nil {
		t.mourn(ctx, q)
	}
	t.noteReports(now)
	t.partSuspects(ctx, q, now)
	for id, d := range q.verdicts {
		if s := t.servers[id]; s != nil && s.session == d.session && !s.doubt.IsZero() && s.phase < phaseLeaving {
			t.decide(ctx, s, d.verdict, now)
		}
	}
}

// compare takes in the backend's list.
func (t *table) compare(ctx context.Context, q inquest, now time.Time) {
	alive := make(map[throng.ServerID]bool, len(q.listed))
	for _, id := range q.listed {
		alive[id] = true
		s := t.servers[id]
		if s == nil {
			s = t.discover(id, now)
			t.o.logger.InfoContext(ctx, "server found", "server", id, "session", s.session)
			if !t.listed {
				t.settled = now.Add(restartWait)
			}
		}
		if s.phase == phaseGone && s.since.Before(q.began) {
			t.part(ctx, s, "it should be gone", now)
			continue
		}
		s.ours, s.absent = true, 0
	}
	for id, s := range t.servers {
		// What changed since the question is not in the answer.
		if alive[id] || !s.ours || s.link != nil || !s.since.Before(q.began) || s.phase >= phaseLeaving {
			continue
		}
		if s.absent++; s.absent >= absentMost {
			t.gone(ctx, s, "the backend does not list it", now)
		}
	}
}

// mourn ends sessions whose servers are gone and that the registry still has: it
// came back from an older copy, or they ended while nobody looked. Their lease
// does not end them when many fall silent together. One that is heard, wherever
// its server may be, has a lease and is left alone.
func (t *table) mourn(ctx context.Context, q inquest) {
	alive := make(map[throng.ServerID]bool, len(q.listed))
	for _, id := range q.listed {
		alive[id] = true
	}
	for id, live := range t.hosts {
		if s := t.servers[id]; alive[id] || s != nil && s.phase != phaseGone {
			delete(t.absent, live.ID)
			continue
		}
		if t.absent[live.ID]++; t.absent[live.ID] >= absentMost {
			t.end(ctx, live.ID, ending{reason: "its game server is gone: the backend does not list it", lapsed: q.now})
		}
	}
	for id := range t.absent {
		if _, ok := t.bound[id]; !ok {
			delete(t.absent, id)
		}
	}
}

// patience is how long a server without a living session may stay. One that is
// stopped or cut off cannot know yet: it gets a lease more to come back, be told
// and end in order.
func (s *server) patience() time.Duration {
	if s.link == nil {
		return 2 * throng.LeaseTime
	}
	return throng.LeaseTime
}

// decide acts on the registry's word about a server that it contradicts.
func (t *table) decide(ctx context.Context, s *server, v verdict, now time.Time) {
	switch v {
	case verdictHosts:
		s.doubt, s.suspect = time.Time{}, ""
		t.move(s, phaseBound, now)
	case verdictUnheard:
		// It may only be cut off, as all the others then are.
		if now.Sub(s.doubt) >= throng.LeaseTime && t.reachable(now) {
			t.part(ctx, s, "the registry does not know its session", now)
		}
	case verdictOver, verdictNotYet:
		if now.Sub(s.doubt) >= s.patience() {
			t.part(ctx, s, "its session is over or another's", now)
		}
	case verdictUnknown:
		s.doubt, s.suspect = now, ""
	}
}
