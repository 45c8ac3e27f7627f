package joinlog

import (
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

// shelf is the newest records. It does no I/O and reads no clock.
type shelf struct {
	records int           // at most
	most    int           // bytes at most
	age     time.Duration // at most

	entries []entry // oldest first
	first   uint64  // number of the first one
	bytes   int
	byName  map[throng.TicketID][]uint64 // their numbers, oldest first
}

type entry struct {
	record *throng.JoinRecord // never changed
	cost   int                // bytes
}

// What the parts of a record take, beside their texts, bytes.
const (
	recordCost    = 600
	stepCost      = 80
	decisionCost  = 400
	wishCost      = 88
	latencyCost   = 48
	candidateCost = 176
)

func entryOf(r throng.JoinRecord) entry {
	cost := recordCost + len(r.Detail) + 40*len(r.Party)
	for _, s := range r.Steps {
		cost += stepCost + len(s.Detail)
	}
	for _, d := range r.Decisions {
		cost += decisionCost + wishCost*len(d.Wishes) + latencyCost*len(d.Latencies)
		for _, c := range d.Candidates {
			cost += candidateCost + len(c.Attributes) + 8*len(c.Signals.Own)
		}
	}
	return entry{&r, cost}
}

// add puts a record on the shelf and returns how many older ones fell off.
func (s *shelf) add(e entry, now time.Time) (forgotten int) {
	s.byName[e.record.Ticket] = append(s.byName[e.record.Ticket], s.first+uint64(len(s.entries)))
	s.entries = append(s.entries, e)
	s.bytes += e.cost
	return s.trim(now)
}

// trim drops what is too much or too old.
func (s *shelf) trim(now time.Time) (forgotten int) {
	for len(s.entries) > 0 && (len(s.entries) > s.records || s.bytes > s.most || now.Sub(s.entries[0].record.At) > s.age) {
		e := s.entries[0]
		s.entries[0] = entry{}
		s.entries = s.entries[1:]
		s.first++
		s.bytes -= e.cost
		if rest := s.byName[e.record.Ticket][1:]; len(rest) > 0 {
			s.byName[e.record.Ticket] = rest
		} else {
			delete(s.byName, e.record.Ticket)
		}
		forgotten++
	}
	return forgotten
}

// find returns the newest records of a ticket, oldest first; caller empty: of
// any caller.
func (s *shelf) find(ticket throng.TicketID, caller throng.PlayerID) []throng.JoinRecord {
	var list []throng.JoinRecord
	for _, n := range slices.Backward(s.byName[ticket]) {
		r := s.entries[n-s.first].record
		if caller == "" || r.Caller == caller {
			list = append(list, *r)
		}
		if len(list) == maxFound {
			break
		}
	}
	slices.Reverse(list)
	return list
}
