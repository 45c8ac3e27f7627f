package memory

import (
	"context"
	"slices"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// Claim gives the player the next epoch under the ticket, and remembers the
// ticket if he is its caller.
func (st *Store) Claim(ctx context.Context, r session.ClaimRequest) (session.ClaimResult, error) {
	var res session.ClaimResult
	op := operation{"Claim", throng.PlayerShard(r.Player), grants}
	err := st.on(ctx, op, func(sh *shard, now time.Time) error {
		rec := sh.record(r.Player, now)
		if rec == nil {
			return throng.RetryLater(throng.Unavailable, time.Minute, "too many players")
		}
		if r.Player != r.Ticket.Key.Caller {
			res.Epoch = rec.member(r, now)
			return nil
		}
		t, err := rec.caller(r, now)
		if err != nil {
			return err
		}
		res = session.ClaimResult{Epoch: t.Epoch, Grant: cloneGrant(t.Grant)}
		return nil
	})
	return res, err
}

func (r *record) member(req session.ClaimRequest, now time.Time) throng.Epoch {
	until := now.Add(throng.TicketTime)
	for i, c := range r.claims {
		if c.key == req.Ticket.Key {
			r.claims[i].until = until
			return c.epoch
		}
	}
	if len(r.claims) >= session.MaxTickets {
		r.claims = slices.Delete(r.claims, 0, 1)
	}
	e := r.next(now, req)
	r.claims = append(r.claims, claim{key: req.Ticket.Key, epoch: e, until: until})
	return e
}

func (r *record) caller(req session.ClaimRequest, now time.Time) (*ticket, error) {
	t := r.ticket(req.Ticket.Key.Ticket)
	if t == nil {
		if err := r.makeRoom(now); err != nil {
			return nil, err
		}
		t = &ticket{TicketRecord: session.TicketRecord{Ticket: req.Ticket, Epoch: r.next(now, req)}}
		t.Ticket.Party = slices.Clone(req.Ticket.Party)
		t.Ticket.Latencies, t.Ticket.Attributes = nil, nil
		t.until = now.Add(throng.TicketTime)
		r.tickets = append(r.tickets, t)
		return t, nil
	}
	if !sameWish(t.Ticket, req.Ticket) {
		return nil, throng.AtField(throng.Conflict, "ticket", "%s is known with other content", req.Ticket.Key.Ticket)
	}
	if t.Grant != nil {
		return t, nil
	}
	if t.Left {
		return nil, errGivenUp(t.Ticket.Key)
	}
	t.Ticket.Version = req.Ticket.Version // a newer one may be live now
	t.until = now.Add(throng.TicketTime)
	return t, nil
}

// makeRoom forgets the oldest ticket that was not settled if there are too many.
func (r *record) makeRoom(now time.Time) error {
	if len(r.tickets) < session.MaxTickets {
		return nil
	}
	i := slices.IndexFunc(r.tickets, func(t *ticket) bool { return t.Grant == nil })
	if i < 0 {
		first := slices.MinFunc(r.tickets, func(a, b *ticket) int { return a.until.Compare(b.until) })
		return throng.RetryLater(throng.RateLimited, first.until.Sub(now), "%d tickets in %v are too many", session.MaxTickets, throng.TicketTime)
	}
	r.tickets = slices.Delete(r.tickets, i, i+1)
	return nil
}

// sameWish compares what makes two tickets the same; the version may move on
// and latencies are measured anew.
func sameWish(a, b throng.Ticket) bool {
	return a.Place == b.Place && a.Mode == b.Mode && a.Session == b.Session && a.Friend == b.Friend &&
		a.Code == b.Code && a.PartyID == b.PartyID && a.From == b.From && slices.Equal(a.Party, b.Party)
}

func errGivenUp(k throng.TicketKey) error {
	return throng.AtField(throng.Denied, "ticket", "%s was given up", k.Ticket)
}

// Settle makes the grant the ticket's answer unless there is one already.
func (st *Store) Settle(ctx context.Context, g throng.Grant) (session.SettleResult, error) {
	var res session.SettleResult
	op := operation{"Settle", throng.PlayerShard(g.Key.Caller), grants}
	err := st.on(ctx, op, func(sh *shard, now time.Time) error {
		rec := sh.known(g.Key.Caller, now)
		t := rec.ticket(g.Key.Ticket)
		if t == nil {
			return throng.AtField(throng.Contention, "ticket", "%s is not claimed any more", g.Key.Ticket)
		}
		if t.Grant == nil {
			if err := rec.settle(t, g); err != nil {
				return err
			}
		}
		t.until = now.Add(throng.TicketTime)
		res = session.SettleResult{Grant: *cloneGrant(t.Grant), Release: slices.Clone(t.release)}
		if g.Session != t.Grant.Session {
			res.Release = append(res.Release, session.HoldRef{Session: g.Session, Key: g.Key})
		}
		return nil
	})
	return res, err
}

func (r *record) settle(t *ticket, g throng.Grant) error {
	if t.Left {
		return errGivenUp(g.Key)
	}
	e := g.Members[0].Epoch
	if r.settled > e || r.at.Epoch > e {
		return throng.AtField(throng.Denied, "ticket", "%s is older than the player's newest join", g.Key.Ticket)
	}
	for _, other := range r.tickets {
		if other.Grant != nil && !other.confirmed && !other.superseded {
			other.superseded = true
			t.release = append(t.release, session.HoldRef{Session: other.Grant.Session, Key: other.Grant.Key})
		}
	}
	t.Grant, t.Epoch = cloneGrant(&g), e
	r.settled = e
	return nil
}

func cloneGrant(g *throng.Grant) *throng.Grant {
	if g == nil {
		return nil
	}
	c := *g
	c.Members = slices.Clone(g.Members)
	return &c
}

// Ticket returns what is remembered of a ticket.
func (st *Store) Ticket(ctx context.Context, k throng.TicketKey) (session.TicketRecord, error) {
	var res session.TicketRecord
	op := operation{"Ticket", throng.PlayerShard(k.Caller), live}
	err := st.on(ctx, op, func(sh *shard, now time.Time) error {
		t := sh.known(k.Caller, now).ticket(k.Ticket)
		if t == nil {
			return sh.unknown(now, "ticket", "there is no ticket %s", k.Ticket)
		}
		res = t.TicketRecord
		res.Ticket.Party = slices.Clone(t.Ticket.Party)
		res.Grant = cloneGrant(t.Grant)
		return nil
	})
	return res, err
}

// unknown is the error for what is not there: NotFound, unless the shard is in
// quarantine and may only not have heard of it yet.
func (sh *shard) unknown(now time.Time, field, format string, args ...any) error {
	if wait := sh.wait(now, grants); wait > 0 {
		return session.Rebuilding(wait)
	}
	return throng.AtField(throng.NotFound, field, format, args...)
}

// Leave marks that the player gave the ticket up.
func (st *Store) Leave(ctx context.Context, r session.LeaveRequest) (session.LeaveResult, error) {
	var res session.LeaveResult
	op := operation{"Leave", throng.PlayerShard(r.Player), live}
	err := st.on(ctx, op, func(sh *shard, now time.Time) error {
		rec := sh.record(r.Player, now)
		if rec == nil {
			return throng.RetryLater(throng.Unavailable, time.Minute, "too many players")
		}
		e := r.Epoch
		if r.Player == r.Key.Caller {
			t := rec.ticket(r.Key.Ticket)
			if t == nil {
				return sh.unknown(now, "ticket", "there is no ticket %s", r.Key.Ticket)
			}
			t.Left = true
			res.Grant, e = cloneGrant(t.Grant), t.Epoch
		} else if i := slices.IndexFunc(rec.claims, func(c claim) bool { return c.key == r.Key }); e == 0 && i >= 0 {
			e = rec.claims[i].epoch
		}
		if e == 0 {
			return nil
		}
		playing := rec.at.State == throng.PresencePlaying && rec.at.Epoch == e
		if playing && r.Cancel {
			return nil
		}
		rec.give(e, now)
		if playing {
			res.Seat = &session.Eviction{Player: r.Player, Session: rec.at.Session, Epoch: e}
		}
		return nil
	})
	return res, err
}
