package memory

import (
	"slices"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

const (
	maxGone    = 32 // epochs of a player that are never to be confirmed
	maxPending = 8  // evictions of a player that are not queued
)

// record is all that is known of a player.
type record struct {
	highest throng.Epoch // ever seen
	settled throng.Epoch // the highest one that he settled as a caller
	tickets []*ticket    // his own, oldest first; at most session.MaxTickets
	claims  []claim      // as a member of others' parties, oldest first; as many
	gone    []gone       // oldest first
	at      throng.Presence
	leftAt  time.Time
	pending []session.Eviction // of older seats, not queued yet
	queued  bool               // in the shard's trims
}

// ticket is one of its caller's.
type ticket struct {
	session.TicketRecord
	until      time.Time // remembered until then
	confirmed  bool      // the caller has, or had, the seat
	superseded bool      // a later ticket was settled before that
	release    []session.HoldRef
}

// claim is an epoch under somebody else's ticket.
type claim struct {
	key   throng.TicketKey
	epoch throng.Epoch
	until time.Time
}

// gone is an epoch that was given up or has left before it was confirmed.
type gone struct {
	epoch throng.Epoch
	until time.Time
}

// trim is a record to look after.
type trim struct {
	at     time.Time
	player throng.PlayerID
}

// record returns a player's record with nothing in it that is over, made if
// need be. Nil: the shard has too many.
func (sh *shard) record(p throng.PlayerID, now time.Time) *record {
	rec := sh.players[p]
	if rec == nil {
		if len(sh.players) >= session.MaxPlayers {
			return nil
		}
		rec = &record{}
		sh.players[p] = rec
	}
	rec.trim(now)
	if !rec.queued {
		rec.queued = true
		sh.trims.push(trim{at: now.Add(throng.TicketTime), player: p})
	}
	return rec
}

// known returns a player's record if there is one, else an empty one.
func (sh *shard) known(p throng.PlayerID, now time.Time) *record {
	rec := sh.players[p]
	if rec == nil {
		return &record{}
	}
	rec.trim(now)
	return rec
}

func (r *record) trim(now time.Time) {
	r.tickets = slices.DeleteFunc(r.tickets, func(t *ticket) bool { return !now.Before(t.until) })
	r.claims = slices.DeleteFunc(r.claims, func(c claim) bool { return !now.Before(c.until) })
	r.gone = slices.DeleteFunc(r.gone, func(g gone) bool { return !now.Before(g.until) })
	if r.at.State == throng.PresenceLeft && now.Sub(r.leftAt) > session.LeftTime {
		r.at = throng.Presence{}
	}
}

// sweepPlayers looks after a bounded number of records that are due.
func (sh *shard) sweepPlayers(now time.Time) {
	for range maxTrims {
		d, ok := sh.trims.front()
		if !ok || d.at.After(now) {
			return
		}
		sh.trims.pop()
		rec := sh.players[d.player]
		rec.trim(now)
		switch {
		case len(rec.tickets)+len(rec.claims)+len(rec.gone) > 0 || rec.at.State == throng.PresenceLeft:
			sh.trims.push(trim{at: now.Add(throng.TicketTime), player: d.player})
		case rec.at.State == throng.PresencePlaying || rec.highest >= throng.NextEpoch(now, 0, 0):
			rec.queued = false // until it is touched again
		default:
			delete(sh.players, d.player)
		}
	}
}

func (r *record) next(now time.Time, req session.ClaimRequest) throng.Epoch {
	r.highest = throng.NextEpoch(now, max(r.highest, r.at.Epoch, req.Known), req.Region)
	return r.highest
}

func (r *record) ticket(id throng.TicketID) *ticket {
	for _, t := range r.tickets {
		if t.Ticket.Key.Ticket == id {
			return t
		}
	}
	return nil
}

// give says that the epoch is never to be confirmed.
func (r *record) give(e throng.Epoch, now time.Time) {
	if r.isGone(e) {
		return
	}
	if len(r.gone) == maxGone {
		r.gone = slices.Delete(r.gone, 0, 1)
	}
	r.gone = append(r.gone, gone{epoch: e, until: now.Add(throng.TicketTime)})
}

func (r *record) isGone(e throng.Epoch) bool {
	return slices.ContainsFunc(r.gone, func(g gone) bool { return g.epoch == e })
}
