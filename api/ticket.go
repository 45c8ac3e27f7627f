package api

import (
	"fmt"
	"slices"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

const (
	maxParty     = 200
	maxLatencies = 64
	maxLatency   = 10_000 // ms
	maxLine      = 64     // bytes
)

// ticketOf checks a matchmake request of a caller. What it cannot know is left
// open: the version, and whether the party fits the place.
func ticketOf(caller throng.PlayerID, req gen.MatchmakeRequest) (throng.Ticket, error) {
	ticket := throng.Ticket{Key: throng.TicketKey{Caller: caller}}
	var err error
	if ticket.Key.Ticket, err = throng.ParseTicketID("ticket", req.Ticket); err != nil {
		return throng.Ticket{}, err
	}
	if ticket.Key.Ticket.IsHandoff() {
		return throng.Ticket{}, throng.AtField(throng.Invalid, "ticket", "%q is a name that only handoffs have", clip(req.Ticket))
	}
	if ticket.Place, err = throng.ParsePlaceID("place", req.Place); err != nil {
		return throng.Ticket{}, err
	}
	if err = setParty(&ticket, req); err != nil {
		return throng.Ticket{}, err
	}
	if ticket.Latencies, err = latenciesOf(req.Latencies); err != nil {
		return throng.Ticket{}, err
	}
	if ticket.Line, err = lineOf(req.Line); err != nil {
		return throng.Ticket{}, err
	}
	return ticket, setMode(&ticket, req)
}

// lineOf bounds a place in line that a caller brings; what it is worth is the
// matchmaker's to say.
func lineOf(s string) (string, error) {
	if len(s) > maxLine {
		return "", throng.AtField(throng.Invalid, "line", "has %d characters, at most %d are allowed", len(s), maxLine)
	}
	return s, nil
}

// setParty takes the players that are listed, or the party object whose members
// are looked up later.
func setParty(ticket *throng.Ticket, req gen.MatchmakeRequest) (err error) {
	if req.PartyID == "" {
		ticket.Party, err = partyOf(ticket.Key.Caller, req.Party)
		return err
	}
	if req.Party != nil {
		return throng.AtField(throng.Invalid, "party", "goes without party_id only")
	}
	ticket.PartyID, err = throng.ParsePartyID("party_id", req.PartyID)
	return err
}

// partyOf puts the caller first and keeps the others' order.
func partyOf(caller throng.PlayerID, names []string) ([]throng.PlayerID, error) {
	if len(names) > maxParty {
		return nil, throng.AtField(throng.Invalid, "party", "has %d players, at most %d are allowed", len(names), maxParty)
	}
	party := []throng.PlayerID{caller}
	seen := make(map[throng.PlayerID]int, len(names))
	for i, name := range names {
		field := fmt.Sprintf("party[%d]", i)
		player, err := throng.ParsePlayerID(field, name)
		if err != nil {
			return nil, err
		}
		if first, twice := seen[player]; twice {
			return nil, throng.AtField(throng.Invalid, field, "%q is party[%d] already", player, first)
		}
		seen[player] = i
		if player != caller {
			party = append(party, player)
		}
	}
	if _, among := seen[caller]; !among {
		return nil, throng.AtField(throng.Invalid, "party", "does not include the caller, %q", caller)
	}
	return party, nil
}

func latenciesOf(given map[string]float64) (map[throng.RegionID]float64, error) {
	if len(given) > maxLatencies {
		return nil, throng.AtField(throng.Invalid, "latencies", "has %d regions, at most %d are allowed", len(given), maxLatencies)
	}
	latencies := make(map[throng.RegionID]float64, len(given))
	for name, ms := range given {
		region, err := throng.ParseRegionID("latencies", name)
		if err != nil {
			return nil, err
		}
		if ms < 0 || ms > maxLatency {
			return nil, throng.AtField(throng.Invalid, "latencies."+name, "%g ms is not within 0 and %d", ms, maxLatency)
		}
		latencies[region] = ms
	}
	return latencies, nil
}

// setMode checks that a ticket brings what its mode needs and nothing else.
// Which modes are served is the matchmaker's to say.
func setMode(ticket *throng.Ticket, req gen.MatchmakeRequest) error {
	modes := []throng.Mode{
		throng.ModeDropIn, throng.ModeSession, throng.ModeNew, throng.ModeQueue, throng.ModeFriend, throng.ModePrivate,
	}
	ticket.Mode = throng.Mode(req.Mode)
	if req.Mode == "" {
		ticket.Mode = throng.ModeDropIn
	}
	if !slices.Contains(modes, ticket.Mode) {
		return throng.AtField(throng.Invalid, "mode", "%q is not drop-in, new, queue, session, friend or private", clip(req.Mode))
	}
	for _, of := range []struct {
		field, value string
		mode         throng.Mode
	}{{"session", req.Session, throng.ModeSession}, {"friend", req.Friend, throng.ModeFriend}, {"code", req.Code, throng.ModePrivate}} {
		if of.value != "" && ticket.Mode != of.mode {
			return throng.AtField(throng.Invalid, of.field, "goes with mode %s only", of.mode)
		}
	}
	var err error
	switch {
	case ticket.Mode == throng.ModeSession:
		ticket.Session, err = throng.ParseSessionID("session", req.Session)
	case ticket.Mode == throng.ModeFriend:
		ticket.Friend, err = throng.ParsePlayerID("friend", req.Friend)
		if err == nil && ticket.Friend == ticket.Key.Caller {
			err = throng.AtField(throng.Invalid, "friend", "is the caller")
		}
	case req.Code != "":
		var code string
		if code, err = throng.ParseCode("code", req.Code); err == nil {
			ticket.Code = throng.HashCode(code)
		}
	}
	return err
}
