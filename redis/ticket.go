package redis

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/rueidis"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// onPlayer runs a script on a player's record. key may be zero.
func (st *Store) onPlayer(ctx context.Context, k script, p throng.PlayerID, key throng.TicketKey, args ...string) ([]rueidis.RedisMessage, error) {
	if err := checkPlayer(p); err != nil {
		return nil, err
	}
	name, packed := playerName(p), ""
	if key != (throng.TicketKey{}) {
		packed = ticketKey(key)
	}
	shard, keys := st.names.playerKeys(p, name, packed)
	all := make([]string, 0, len(args)+2)
	all = append(all, name)
	if packed != "" {
		all = append(all, packed)
	}
	got, err := st.run(ctx, call{link: st.hot, shard: shard, script: k, keys: keys, args: append(all, args...)})
	if err == nil {
		err = errTooMany(got)
	}
	if err != nil {
		return nil, err
	}
	return got, nil
}

// errTooMany is the error of a record or a place for which there is no room.
func errTooMany(got []rueidis.RedisMessage) error {
	switch number(got[0]) {
	case 5:
		return throng.RetryLater(throng.Unavailable, time.Minute, "too many players")
	case 6:
		return throng.RetryLater(throng.Unavailable, time.Minute, "too many places")
	}
	return nil
}

// Claim gives the player the next epoch under the ticket, and remembers the
// ticket if he is its caller.
func (st *Store) Claim(ctx context.Context, r session.ClaimRequest) (session.ClaimResult, error) {
	var res session.ClaimResult
	err := st.around(ctx, "Claim", func() error {
		t := r.Ticket
		caller := r.Player == t.Key.Caller
		k, wish := scriptMember, ""
		if err := checkNumbers(r.Known, 0); err != nil {
			return err
		}
		if caller {
			if err := checkTicket(t); err != nil {
				return err
			}
			k, wish = scriptClaim, packWish(t)
		}
		got, err := st.onPlayer(ctx, k, r.Player, t.Key, bit(caller), decimal(r.Region), decimal(t.Version), wish, string(t.Place), decimal(r.Known))
		if err != nil {
			return err
		}
		switch number(got[0]) {
		case 0:
			res.Epoch = throng.Epoch(number(got[1]))
			return nil
		case 1:
			res.Epoch = throng.Epoch(number(got[1]))
			t.Version = throng.Version(number(got[2]))
			res.Grant, err = st.names.parseGrant(t, res.Epoch, text(got[3]))
			return err
		case 2:
			return throng.AtField(throng.Conflict, "ticket", "%s is known with other content", t.Key.Ticket)
		case 3:
			return errGivenUp(t.Key)
		default:
			return throng.RetryLater(throng.RateLimited, time.Duration(number(got[1]))*time.Millisecond,
				"%d tickets in %v are too many", session.MaxTickets, throng.TicketTime)
		}
	})
	return res, err
}

// checkTicket says whether the layout takes a ticket.
func checkTicket(t throng.Ticket) error {
	if t.Version < 0 || t.Version >= maxVersion || len(t.Place) > 64 {
		return throng.AtField(throng.Invalid, "version", "%s version %d is out of bounds", t.Place, t.Version)
	}
	if max(len(t.Session), len(t.Friend), len(t.Mode), len(t.PartyID), len(t.From.Session), len(t.From.Place)) > 255 || len(t.Key.Ticket) > 64 {
		return throng.AtField(throng.Invalid, "ticket", "has a name of over 255 characters")
	}
	if len(t.From.Data) > throng.HandoffData {
		return throng.AtField(throng.Invalid, "from.data", "has %d bytes, at most %d are allowed", len(t.From.Data), throng.HandoffData)
	}
	if len(t.Party) > session.MaxCapacity {
		return throng.AtField(throng.Invalid, "party", "has %d players, at most %d are allowed", len(t.Party), session.MaxCapacity)
	}
	for _, p := range t.Party {
		if err := checkPlayer(p); err != nil {
			return err
		}
	}
	return nil
}

func errGivenUp(k throng.TicketKey) error {
	return throng.AtField(throng.Denied, "ticket", "%s was given up", k.Ticket)
}

// Settle makes the grant the ticket's answer unless there is one already.
func (st *Store) Settle(ctx context.Context, g throng.Grant) (session.SettleResult, error) {
	var res session.SettleResult
	err := st.around(ctx, "Settle", func() error {
		if len(g.Members) == 0 || len(g.Members) > session.MaxCapacity {
			return throng.AtField(throng.Invalid, "members", "are %d, must be 1 to %d", len(g.Members), session.MaxCapacity)
		}
		for _, m := range g.Members {
			if err := errors.Join(checkNumbers(m.Epoch, 0), checkPlayer(m.Player)); err != nil {
				return err
			}
		}
		if err := checkTicket(throng.Ticket{Key: g.Key, Place: g.Place, Version: g.Version}); err != nil {
			return err
		}
		packed, err := st.names.packGrant(g)
		if err != nil {
			return err
		}
		id, err := st.names.id(g.Session)
		if err != nil {
			return err
		}
		got, err := st.onPlayer(ctx, scriptSettle, g.Key.Caller, g.Key,
			decimal(g.Members[0].Epoch), packed, packedID(id)+string(g.Key.Ticket), decimal(g.Version), string(g.Place))
		if err != nil {
			return err
		}
		switch number(got[0]) {
		case 0:
			return st.settled(g, got, &res)
		case 1:
			return throng.AtField(throng.Contention, "ticket", "%s is not claimed any more", g.Key.Ticket)
		case 2:
			return errGivenUp(g.Key)
		default:
			return throng.AtField(throng.Denied, "ticket", "%s is older than the player's newest join", g.Key.Ticket)
		}
	})
	return res, err
}

// settled reads the ticket's answer and what it makes void.
func (st *Store) settled(g throng.Grant, got []rueidis.RedisMessage, res *session.SettleResult) error {
	t := throng.Ticket{Key: g.Key, Version: throng.Version(number(got[4])), Place: throng.PlaceID(text(got[5]))}
	won, err := st.names.parseGrant(t, throng.Epoch(number(got[1])), text(got[2]))
	if err != nil {
		return err
	}
	res.Grant = *won
	if released := text(got[3]); released != "" {
		r := reader{b: released}
		id := st.names.session(r.short())
		res.Release = append(res.Release, session.HoldRef{
			Session: id, Key: throng.TicketKey{Caller: g.Key.Caller, Ticket: throng.TicketID(r.b)},
		})
	}
	if g.Session != won.Session {
		res.Release = append(res.Release, session.HoldRef{Session: g.Session, Key: g.Key})
	}
	return nil
}

// Ticket returns what is remembered of a ticket.
func (st *Store) Ticket(ctx context.Context, k throng.TicketKey) (session.TicketRecord, error) {
	var res session.TicketRecord
	err := st.around(ctx, "Ticket", func() error {
		got, err := st.onPlayer(ctx, scriptTicket, k.Caller, k)
		if errors.Is(err, errUnknown) {
			return errNoTicket(k)
		}
		if err != nil {
			return err
		}
		flags := number(got[1])
		res.Left, res.Epoch = flags&2 != 0, throng.Epoch(number(got[2]))
		t := throng.Ticket{Key: k, Version: throng.Version(number(got[3])), Place: throng.PlaceID(text(got[6]))}
		if res.Ticket, err = parseWish(t, text(got[5])); err != nil || flags&1 == 0 {
			return err
		}
		res.Grant, err = st.names.parseGrant(res.Ticket, res.Epoch, text(got[4]))
		return err
	})
	return res, err
}

func errNoTicket(k throng.TicketKey) error {
	return throng.AtField(throng.NotFound, "ticket", "there is no ticket %s", k.Ticket)
}

// Leave marks that the player gave the ticket up.
func (st *Store) Leave(ctx context.Context, r session.LeaveRequest) (session.LeaveResult, error) {
	var res session.LeaveResult
	err := st.around(ctx, "Leave", func() error {
		if err := checkNumbers(r.Epoch, 0); err != nil {
			return err
		}
		got, err := st.onPlayer(ctx, scriptLeave, r.Player, r.Key, bit(r.Player == r.Key.Caller), decimal(r.Epoch), bit(r.Cancel))
		if errors.Is(err, errUnknown) {
			return errNoTicket(r.Key)
		}
		if err != nil {
			return err
		}
		if e := number(got[1]); e > 0 {
			id := reader{b: text(got[2])}
			res.Seat = &session.Eviction{Player: r.Player, Session: st.names.session(id.short()), Epoch: throng.Epoch(e)}
		}
		if number(got[3]) == 0 {
			return nil
		}
		t := throng.Ticket{Key: r.Key, Version: throng.Version(number(got[6])), Place: throng.PlaceID(text(got[7]))}
		res.Grant, err = st.names.parseGrant(t, throng.Epoch(number(got[4])), text(got[5]))
		return err
	})
	return res, err
}

// Fence makes the seat the player's only one, and returns the older seats whose
// eviction is not queued yet.
func (st *Store) Fence(ctx context.Context, r session.FenceRequest) ([]session.Eviction, error) {
	var older []session.Eviction
	err := st.around(ctx, "Fence", func() error {
		args, err := st.fencing(r, confirmed)
		if err != nil {
			return err
		}
		got, err := st.onPlayer(ctx, scriptFence, r.Player, throng.TicketKey{}, args...)
		if err != nil {
			return err
		}
		older, err = st.fenced(r, got)
		return err
	})
	return older, err
}

// What fence.lua is told of how a seat is known.
const (
	confirmed = "f"
	reported  = "t"
)

// fencing is a request as ARGV of fence.lua, without the name.
func (st *Store) fencing(r session.FenceRequest, how string) ([]string, error) {
	id, err := st.names.id(r.Session)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(checkPlayer(r.Player), checkNumbers(r.Epoch, r.Revision)); err != nil {
		return nil, err
	}
	if len(r.Place) > 64 {
		return nil, throng.AtField(throng.Invalid, "place", "has %d characters", len(r.Place))
	}
	last := ""
	if r.Key.Caller == r.Player {
		last = string(r.Key.Ticket)
	}
	return []string{decimal(r.Epoch), decimal(r.Revision), packedID(id), string(r.Place), how, last}, nil
}

// fenced reads the answer of fence.lua.
func (st *Store) fenced(r session.FenceRequest, got []rueidis.RedisMessage) ([]session.Eviction, error) {
	switch number(got[0]) {
	case 0:
		return st.evictions(r.Player, got[1:]), nil
	case 1:
		return nil, errFenced(r, "was given up or has left")
	case 2:
		return nil, errFenced(r, "is older than the player's newest seat")
	case 3:
		return nil, errFenced(r, "has left")
	default:
		return nil, errFenced(r, "is older than the player's newest join")
	}
}

func errFenced(r session.FenceRequest, why string) error {
	return throng.AtField(throng.Denied, "epoch", "epoch %d of %s %s", r.Epoch, r.Player, why)
}

// evictions reads pairs of session and epoch.
func (st *Store) evictions(p throng.PlayerID, got []rueidis.RedisMessage) []session.Eviction {
	var list []session.Eviction
	for pair := range slices.Chunk(got, 2) {
		id := reader{b: text(pair[0])}
		list = append(list, session.Eviction{Player: p, Session: st.names.session(id.short()), Epoch: throng.Epoch(number(pair[1]))})
	}
	return list
}
