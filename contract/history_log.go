package contract

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/throng-gg/throng"
)

// eventKind is what a call asked for.
type eventKind uint8

const (
	opened eventKind = iota
	claimed
	held
	unheld
	settled
	gaveUp
	confirmed
	present
	heard
	reported
	ended
	looked
	lost
)

func (k eventKind) String() string {
	return [...]string{
		"open", "claim", "hold", "unhold", "settle", "leave", "confirm", "presence", "heartbeat", "report", "end", "look", "LOSS",
	}[k]
}

// event is a call with its answer.
type event struct {
	kind eventKind
	proc int
	call int64 // order of calls and returns
	ret  int64
	from time.Time // by the store's clock, before and after
	till time.Time

	player  throng.PlayerID
	session throng.SessionID
	key     throng.TicketKey
	party   []throng.PlayerID
	change  throng.RosterChange
	beat    throng.Heartbeat
	report  throng.Report
	left    []throng.Member // a report: who left before it, ever

	err      error
	sure     bool // all of the call's steps were done
	members  []throng.Member
	grant    *throng.Grant
	hold     throng.Hold
	view     throng.Session
	presence throng.Presence
	answer   throng.HeartbeatAnswer
}

// refused says whether the call was answered with a refusal.
func (e *event) refused() bool {
	k := throng.KindOf(e.err)
	return e.err != nil && k != throng.Unavailable && k != throng.Internal && !isCrash(e.err)
}

// journal is what was called and answered, in order.
type journal struct {
	now     func() time.Time
	belated bool // what was not answered may be done at any time later
	mu      sync.Mutex
	clock   int64
	events  []*event

	capacities map[throng.SessionID]int // owned by who opens sessions
}

func newJournal(now func() time.Time, belated bool) *journal {
	return &journal{now: now, belated: belated, capacities: map[throng.SessionID]int{}}
}

func (j *journal) begin(e event) *event {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.clock++
	e.call, e.ret, e.from = j.clock, math.MaxInt64, j.now()
	j.events = append(j.events, &e)
	return &e
}

func (j *journal) end(e *event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.clock++
	e.ret, e.till = j.clock, j.now()
	if j.belated && e.err != nil && !e.refused() {
		e.ret, e.till = math.MaxInt64, e.from.Add(time.Hour)
	}
}

// also notes what a call that ended told besides: as if it had been two at the
// same time. A hold's view of the session may be of after the holds of others
// that were asked for together with it.
func (j *journal) also(as *event, e event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.call, e.ret, e.from, e.till = as.call, as.ret, as.from, as.till
	j.events = append(j.events, &e)
}

// check checks that the events are linearizable, by player and by session, and
// returns for whom they are not, or the first of them.
func (j *journal) check(first bool) []string {
	sessions, players, callers := j.sorted()
	var broken []string
	done := func() bool { return first && len(broken) > 0 }
	for _, p := range slices.Sorted(maps.Keys(players)) {
		if done() {
			break
		}
		if why := linearize(playerModel(p), players[p]); why != "" {
			broken = append(broken, fmt.Sprintf("player %s: %s", p, why))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(sessions)) {
		if done() {
			break
		}
		if why := linearize(sessionModel(id, j.capacities[id]), j.aroundSession(sessions[id], callers)); why != "" {
			broken = append(broken, fmt.Sprintf("session %s: %s", id, why))
		}
	}
	return broken
}

// sorted returns the events by session, by player, and those that answer tickets
// by caller.
func (j *journal) sorted() (sessions map[throng.SessionID][]*event, players, callers map[throng.PlayerID][]*event) {
	players, sessions = map[throng.PlayerID][]*event{}, map[throng.SessionID][]*event{}
	callers = map[throng.PlayerID][]*event{}
	for _, e := range j.events {
		for _, p := range e.of() {
			players[p] = append(players[p], e)
		}
		if e.session != "" {
			sessions[e.session] = append(sessions[e.session], e)
		}
		if e.kind == settled || e.kind == gaveUp {
			callers[e.key.Caller] = append(callers[e.key.Caller], e)
		}
		if e.kind == lost {
			for _, p := range historyPlayers {
				players[p] = append(players[p], e)
			}
		}
	}
	return sessions, players, callers
}

// aroundSession adds what may have released the session's holds.
func (j *journal) aroundSession(events []*event, callers map[throng.PlayerID][]*event) []*event {
	in := map[*event]bool{}
	for _, e := range events {
		in[e] = true
	}
	for _, e := range events {
		if e.kind == held {
			for _, c := range callers[e.key.Caller] {
				in[c] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(j.events), func(e *event) bool { return !in[e] && e.kind != lost })
}

// of is the players whom an event is about.
func (e *event) of() []throng.PlayerID {
	switch e.kind {
	case claimed:
		return e.party
	case settled:
		return []throng.PlayerID{e.key.Caller}
	case gaveUp, confirmed, present:
		return []throng.PlayerID{e.player}
	case reported:
		var list []throng.PlayerID
		for _, s := range e.report.Seats {
			list = append(list, s.Player)
		}
		return list
	case opened, held, unheld, heard, ended, looked, lost:
	}
	return nil
}

// linearize returns why there is no order of the events that explains them; empty:
// there is one.
func linearize(m porcupine.Model, events []*event) string {
	ops := make([]porcupine.Operation, 0, len(events))
	for _, e := range events {
		ops = append(ops, porcupine.Operation{ClientId: e.proc, Input: e, Call: e.call, Return: e.ret})
	}
	result, info := porcupine.CheckOperationsVerbose(m, ops, 20*time.Second)
	if result == porcupine.Ok {
		return ""
	}
	// The longest order that could be explained shows where it goes wrong.
	var longest []porcupine.Operation
	for _, part := range info.PartialLinearizationsOperations() {
		for _, l := range part {
			if len(l) > len(longest) {
				longest = l
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: no order explains the history\n", result)
	in := map[*event]bool{}
	for _, o := range longest {
		in[o.Input.(*event)] = true //nolint:forcetypeassert // as made above
	}
	shown := 0
	for _, o := range longest[max(len(longest)-12, 0):] {
		fmt.Fprintf(&b, "  %s\n", o.Input)
	}
	b.WriteString("  and then none of\n")
	for _, e := range events {
		if !in[e] && shown < 6 {
			shown++
			fmt.Fprintf(&b, "  %s\n", e)
		}
	}
	return b.String()
}

// String shows the event on one line.
func (e *event) String() string {
	out := fmt.Sprintf("[%d,%d] p%d %s", e.call, e.ret, e.proc, e.kind)
	switch e.kind {
	case claimed:
		out += fmt.Sprintf(" %s of %v -> %v grant %s", e.key.Ticket, e.party, e.members, where(e.grant))
	case held:
		out += fmt.Sprintf(" %s for %v -> until %s, %d seated, %d held of %d", e.key.Ticket, e.members,
			e.hold.Until.Format("05.000"), e.view.Seated, e.view.Held, e.view.Capacity)
	case unheld:
		out += fmt.Sprintf(" %s", e.key.Ticket)
	case settled:
		out += fmt.Sprintf(" %s (%s) in %s -> %s", e.key.Ticket, e.key.Caller, tail(e.session), where(e.grant))
	case gaveUp:
		out += fmt.Sprintf(" %s by %s", e.key.Ticket, e.player)
	case confirmed:
		out += fmt.Sprintf(" %s %d rev %d of %s in %s", e.player, e.change.Epoch, e.change.Revision, e.change.Key.Ticket, tail(e.session))
	case present:
		out += fmt.Sprintf(" -> %s %d in %s", e.presence.State, e.presence.Epoch, tail(e.presence.Session))
	case heard:
		out += fmt.Sprintf(" %v -> acked %d, ended %v", changes(e.beat.Changes), e.answer.Acked, e.answer.Ended)
	case reported:
		out += fmt.Sprintf(" rev %d %v -> acked %d, ended %v", e.report.Revision, e.report.Seats, e.answer.Acked, e.answer.Ended)
	case looked:
		out += fmt.Sprintf(" -> %s, %d seated, %d held of %d", e.view.State, e.view.Seated, e.view.Held, e.view.Capacity)
	case opened, ended, lost:
	}
	out += fmt.Sprintf(" at %s-%s", e.from.Format("05.000"), e.till.Format("05.000"))
	if e.err != nil {
		out += fmt.Sprintf(" error %v", e.err)
	}
	return out
}

func where(g *throng.Grant) string {
	if g == nil {
		return "none"
	}
	return fmt.Sprintf("%s %x", tail(g.Session), g.Nonce[:3])
}

func tail(s throng.SessionID) string { return string(s[max(len(s)-6, 0):]) }

func changes(list []throng.RosterChange) string {
	var b strings.Builder
	for _, c := range list {
		fmt.Fprintf(&b, "%d:%s%+d ", c.Revision, c.Player, int64(c.Epoch)*int64(3-2*int(c.Kind)))
	}
	return b.String()
}
