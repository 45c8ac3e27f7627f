package session

import (
	"fmt"

	"github.com/throng-gg/throng"
)

// checkSession says whether the ID can be one of this region's.
func (r *Registry) checkSession(id throng.SessionID) error {
	if _, err := throng.ParseSessionID("session", string(id)); err != nil {
		return err
	}
	if id.Region() != r.region.ID {
		return throng.AtField(throng.NotFound, "session", "%s is not of region %s", id, r.region.ID)
	}
	return nil
}

func checkKey(k throng.TicketKey) error {
	if _, err := throng.ParsePlayerID("caller", string(k.Caller)); err != nil {
		return err
	}
	_, err := throng.ParseTicketID("ticket", string(k.Ticket))
	return err
}

func checkRelease(rel throng.Release) error {
	if _, err := throng.ParsePlaceID("place", string(rel.Place)); err != nil {
		return err
	}
	if rel.Version < 1 {
		return throng.AtField(throng.Invalid, "version", "is %d, versions count from 1", rel.Version)
	}
	return checkCapacity(rel.Capacity)
}

func checkCapacity(n int) error {
	if n < 1 || n > MaxCapacity {
		return throng.AtField(throng.Invalid, "capacity", "is %d, must be 1 to %d", n, MaxCapacity)
	}
	return nil
}

func checkTicket(t throng.Ticket) error {
	if err := checkKey(t.Key); err != nil {
		return err
	}
	if _, err := throng.ParsePlaceID("place", string(t.Place)); err != nil {
		return err
	}
	if err := checkOrigin(t); err != nil {
		return err
	}
	if len(t.Party) == 0 || len(t.Party) > MaxCapacity {
		return throng.AtField(throng.Invalid, "party", "has %d players, must have 1 to %d", len(t.Party), MaxCapacity)
	}
	seen := make(map[throng.PlayerID]bool, len(t.Party))
	for i, p := range t.Party {
		field := fmt.Sprintf("party[%d]", i)
		if _, err := throng.ParsePlayerID(field, string(p)); err != nil {
			return err
		}
		if seen[p] {
			return throng.AtField(throng.Invalid, field, "%s is in the party twice", p)
		}
		seen[p] = true
	}
	if t.Party[0] != t.Key.Caller {
		return throng.AtField(throng.Invalid, "party[0]", "must be the caller")
	}
	return nil
}

// checkMembers says whether these are a ticket's members.
func checkMembers(k throng.TicketKey, members []throng.Member) error {
	if len(members) == 0 || len(members) > MaxCapacity || members[0].Player != k.Caller {
		return throng.AtField(throng.Invalid, "members", "must be 1 to %d, the caller first", MaxCapacity)
	}
	for i, m := range members {
		if m.Epoch == 0 {
			return throng.AtField(throng.Invalid, fmt.Sprintf("members[%d]", i), "%s has no epoch", m.Player)
		}
	}
	return nil
}

// checkServer says whether a heartbeat can be one of this region's servers'.
func (r *Registry) checkServer(h throng.Heartbeat) error {
	if err := r.checkSession(h.Session); err != nil {
		return err
	}
	if _, err := throng.ParseServerID("server", string(h.Server)); err != nil {
		return err
	}
	if n := len(h.Incarnation); n == 0 || n > 64 {
		return throng.AtField(throng.Invalid, "incarnation", "must have 1 to 64 characters")
	}
	return nil
}

func checkAddress(h throng.Heartbeat) error {
	if !h.Address.IsValid() || h.Address.Port() == 0 {
		return throng.AtField(throng.Invalid, "address", "must be where players connect")
	}
	if err := h.Web.Check("web"); err != nil {
		return err
	}
	return h.Attributes.Check("attributes")
}

func checkReport(rep throng.Report) error {
	if _, err := throng.ParsePlaceID("place", string(rep.Place)); err != nil {
		return err
	}
	if rep.Version < 1 || rep.Session.Shard() != throng.PoolShard(rep.Place, rep.Version) {
		return throng.AtField(throng.Invalid, "version", "%s is not a session of %s version %d", rep.Session, rep.Place, rep.Version)
	}
	if err := checkCapacity(rep.Capacity); err != nil {
		return err
	}
	if rep.State != throng.SessionOpen && rep.State != throng.SessionDraining {
		return throng.AtField(throng.Invalid, "state", "is %s, must be open or draining", rep.State)
	}
	if rep.Private == (rep.Code == throng.CodeHash{}) {
		return throng.AtField(throng.Invalid, "code_hash", "goes with a private session, which must have one")
	}
	if len(rep.Seats) > rep.Capacity {
		return throng.AtField(throng.Invalid, "seats", "are %d, the capacity is %d", len(rep.Seats), rep.Capacity)
	}
	seen := make(map[throng.PlayerID]bool, len(rep.Seats))
	for i, s := range rep.Seats {
		if s.Player == "" || s.Epoch == 0 || seen[s.Player] {
			return throng.AtField(throng.Invalid, fmt.Sprintf("seats[%d]", i), "has no player, no epoch or one that sits already")
		}
		seen[s.Player] = true
	}
	return nil
}
