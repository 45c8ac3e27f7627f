package gameserver

import (
	"slices"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

// forgetEpochsAfter is how long an evicted epoch is remembered. A join token is
// good for throng.TokenTime, and a reconnect token only while its seat is there,
// so nobody can come back with an older one.
const forgetEpochsAfter = 10 * time.Minute

// admission decides who may enter. The server is the last authority on its
// seats: the registry may be wrong for a while, this never seats more than
// capacity. Owned by the loop.
type admission struct {
	capacity int
	draining bool
	seats    map[throng.PlayerID]throng.Epoch
	away     map[throng.PlayerID]time.Duration // of seats: the boot clock until which a lost player's is kept
	floor    map[throng.PlayerID]floor         // epochs up to it never enter (again)
	parties  map[throng.TicketKey]*reservation
}

type floor struct {
	epoch throng.Epoch
	until time.Time
}

// reservation keeps seats for the members of a party whose first one arrived,
// while their tokens live.
type reservation struct {
	left  int
	until time.Time
}

// Refusal is why a player may not enter.
type Refusal string

// The refusals.
const (
	RefusedExpired  Refusal = "expired"     // the token, by the registry's time
	RefusedSession  Refusal = "session"     // a token for another session
	RefusedEpoch    Refusal = "older_epoch" // a newer join of the player is known
	RefusedFull     Refusal = "full"
	RefusedDraining Refusal = "draining"
	RefusedGone     Refusal = "seat_gone" // the seat that the player comes back into was given up
)

func newAdmission(capacity int) *admission {
	return &admission{
		capacity: capacity,
		seats:    map[throng.PlayerID]throng.Epoch{},
		away:     map[throng.PlayerID]time.Duration{},
		floor:    map[throng.PlayerID]floor{},
		parties:  map[throng.TicketKey]*reservation{},
	}
}

// admit takes a seat for the player, or says why not. A newer epoch of a player
// who is inside takes over his seat. A reconnect token, and the join token that he
// came with, lead into the seat that the player has, and take none.
func (a *admission) admit(c wire.Claims, session throng.SessionID, now time.Time) (Refusal, bool) {
	a.expire(now)
	seated, inside := a.seats[c.Player]
	switch {
	case c.Session != session:
		return RefusedSession, false
	case !now.Before(time.UnixMilli(c.Expires)):
		return RefusedExpired, false
	case inside && c.Epoch == seated:
		delete(a.away, c.Player)
		return "", true
	case c.Reconnect && !inside:
		return RefusedGone, false
	case c.Reconnect, c.Epoch <= a.floor[c.Player].epoch, inside && c.Epoch < seated:
		return RefusedEpoch, false
	case a.draining && !inside:
		return RefusedDraining, false
	case !inside && a.free(c) <= 0:
		return RefusedFull, false
	}
	rest := a.free(c)
	if !inside {
		rest--
	}
	a.reserve(c, rest)
	a.seats[c.Player] = c.Epoch
	delete(a.away, c.Player)
	return "", true
}

// free is the number of seats that the token's party may take. Seats that are
// kept for another party give way to a token that was granted after that party's:
// the registry found room for it, so whom they are kept for went elsewhere.
func (a *admission) free(c wire.Claims) int {
	n := a.capacity - len(a.seats)
	for key, r := range a.parties {
		if key != c.Key && !r.until.Before(time.UnixMilli(c.Expires)) {
			n -= r.left
		}
	}
	return n
}

// reserve keeps seats for the rest of the player's party, as far as any are free.
func (a *admission) reserve(c wire.Claims, free int) {
	if c.PartySize <= 1 {
		return
	}
	if r, ok := a.parties[c.Key]; ok {
		r.left = max(r.left-1, 0)
		return
	}
	rest := min(int(c.PartySize)-1, max(free, 0))
	a.parties[c.Key] = &reservation{left: rest, until: time.UnixMilli(c.Expires)}
}

// leave frees the seat that the player has under epoch.
func (a *admission) leave(p throng.PlayerID, e throng.Epoch) {
	if a.seats[p] == e {
		delete(a.seats, p)
		delete(a.away, p)
	}
}

// lose keeps the seat that the player has under epoch until a time of the boot
// clock.
func (a *admission) lose(p throng.PlayerID, e throng.Epoch, until time.Duration) {
	if a.seats[p] == e {
		a.away[p] = until
	}
}

// lapsed is who has to leave now because he did not come back in time.
func (a *admission) lapsed(boot time.Duration) []throng.PlayerID {
	var over []throng.PlayerID
	for p, until := range a.away {
		if boot >= until {
			over = append(over, p)
		}
	}
	slices.Sort(over)
	return over
}

// fence keeps epochs up to e out for good.
func (a *admission) fence(p throng.PlayerID, e throng.Epoch, now time.Time) {
	if f := a.floor[p]; e > f.epoch {
		a.floor[p] = floor{epoch: e, until: now.Add(forgetEpochsAfter)}
	}
}

func (a *admission) expire(now time.Time) {
	for key, r := range a.parties {
		if r.left == 0 || !now.Before(r.until) {
			delete(a.parties, key)
		}
	}
	for p, f := range a.floor {
		if now.After(f.until) {
			delete(a.floor, p)
		}
	}
}
