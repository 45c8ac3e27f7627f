package match

import (
	"math"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

const (
	// share bounds what one place takes of what all places have together: at
	// most so many times as much as is left. So one hot place leaves a ninth to
	// the others, and two leave a seventeenth.
	share = 8
	// lineOfCaller is how many tickets one caller has in line.
	lineOfCaller = 8
	// rateMemory is how fast the service rate forgets its rounds.
	rateMemory = 10 * time.Second
	rateRound  = time.Second
	rateGuess  = 3 * time.Second
	// hallMemory is how long the rate of a place without a line is remembered.
	hallMemory = time.Minute
)

// queue is who is worked on and who stands in line for that. It decides, and
// knows no clock; Matchmaker.mu guards it.
//
// Each place has a line of its own, in the order in which its tickets came, and
// the places take turns.
type queue struct {
	most        int // worked on at once
	lineMost    int // in line; full: push refuses
	settledMost int // answered tickets that are worked on besides; full: pass refuses

	halls   map[throng.PlaceID]*hall
	turns   []*hall // that have a line, whose turn it is first
	callers map[throng.PlayerID]int
	started int // worked on
	settled int // of answered tickets
	waiting int // in line
	arrived uint64
}

// hall is the part of a queue that waits for one place.
type hall struct {
	place   throng.PlaceID
	active  int   // worked on
	unready ranks // those of active without seats
	line    ranks
	rate    rate // at which the line moves
	service mean // from the begin of the work to its end, when that was a seat
	holding mean // the same, whatever the end was
}

// perSecond is how fast the line moves. At first that is guessed from how many
// are worked on and for how long.
func (h *hall) perSecond(now time.Time) float64 {
	expected := 0.0
	if h.holding.value > 0 {
		expected = float64(h.active) / h.holding.value
	}
	return h.rate.perSecond(now, expected)
}

// phase is how far a work has come.
type phase uint8

const (
	inLine   phase = iota
	begun          // is worked on, has no seats yet
	ready          // is worked on and has its seats
	passing        // is worked on past the line, for it has its answer
	finished       // is over, or was taken out of the line
)

func newQueue(most, lineMost int) *queue {
	return &queue{
		most: most, lineMost: lineMost, settledMost: most,
		halls: map[throng.PlaceID]*hall{}, callers: map[throng.PlayerID]int{},
	}
}

func (q *queue) hall(p throng.PlaceID) *hall {
	h := q.halls[p]
	if h == nil {
		h = &hall{place: p}
		q.halls[p] = h
	}
	return h
}

// pass lets an answered ticket by, if not too many are.
func (q *queue) pass(w *work) bool {
	if q.settled >= q.settledMost {
		return false
	}
	q.settled++
	w.phase = passing
	return true
}

// room says whether a place may have one more worked on.
func (q *queue) room(h *hall) bool {
	free := q.most - q.started
	return free > 0 && h.active < share*free
}

// free is how many tickets of all places would be begun with at once; none while
// some stand in line.
func (q *queue) free() int {
	if q.waiting > 0 {
		return 0
	}
	return max(q.most-q.started, 0)
}

// startNow begins with a ticket that came if there is no need to stand in line.
func (q *queue) startNow(w *work, now time.Time) bool {
	h := q.hall(w.ticket.Place)
	if h.line.n > 0 || !q.room(h) {
		q.tidy(h)
		return false
	}
	q.arrived++
	w.number = q.arrived
	q.begin(h, w, now)
	return true
}

func (q *queue) begin(h *hall, w *work, now time.Time) {
	q.started++
	h.active++
	h.unready.insert(w)
	w.phase, w.begun = begun, now
}

// push puts a work in line, by its since. RateLimited: its caller has too many
// there. Unavailable: there is no room; it says when a tenth of the place's line
// will have moved on.
func (q *queue) push(w *work, now time.Time) error {
	h := q.hall(w.ticket.Place)
	caller := w.ticket.Key.Caller
	free := q.lineMost - q.waiting
	switch {
	case q.callers[caller] >= lineOfCaller:
		return throng.RetryLater(throng.RateLimited, lineIdle/6, "%s has %d tickets in line, which is the most", caller, lineOfCaller)
	case free <= 0 || h.line.n >= share*free:
		after := 2 * time.Second
		if r := h.perSecond(now); r > 0 {
			after = seconds(float64(h.line.n) / r / 10)
		}
		q.tidy(h)
		return throng.RetryLater(throng.Unavailable, min(max(after, 2*time.Second), 30*time.Second),
			"%d tickets are in line for %s, and there is no room for more", h.line.n, h.place)
	}
	if h.line.n == 0 {
		q.turns = append(q.turns, h)
		h.rate.resume(now)
	}
	q.arrived++
	w.number, w.phase = q.arrived, inLine
	q.waiting++
	q.callers[caller]++
	h.line.insert(w)
	return nil
}

// next is whose turn it is; nil: nobody's, or there is no room.
func (q *queue) next() *work {
	for _, h := range q.turns { // those that have their share are passed over
		if q.room(h) {
			return h.line.first()
		}
	}
	return nil
}

// start begins with a work that stands in line; the next turn is another place's.
func (q *queue) start(w *work, now time.Time) {
	h := q.hall(w.ticket.Place)
	h.rate.count(now)
	q.leave(w)
	if i := slices.Index(q.turns, h); i >= 0 {
		q.turns = append(slices.Delete(q.turns, i, i+1), h)
	}
	q.begin(h, w, now)
}

// leave takes a work out of the line.
func (q *queue) leave(w *work) {
	h := q.hall(w.ticket.Place)
	h.line.remove(w)
	w.phase = finished
	q.waiting--
	caller := w.ticket.Key.Caller
	if q.callers[caller]--; q.callers[caller] <= 0 {
		delete(q.callers, caller)
	}
	if h.line.n == 0 {
		if i := slices.Index(q.turns, h); i >= 0 {
			q.turns = slices.Delete(q.turns, i, i+1)
		}
	}
}

// seat says that a work has its seats.
func (q *queue) seat(w *work) {
	if w.phase == begun {
		q.hall(w.ticket.Place).unready.remove(w)
		w.phase = ready
	}
}

// end takes note of a work that is over.
func (q *queue) end(w *work, now time.Time) {
	if w.phase == passing {
		q.settled--
		w.phase = finished
		return
	}
	q.seat(w)
	w.phase = finished
	q.started--
	h := q.hall(w.ticket.Place)
	h.active--
	h.holding.add(now.Sub(w.begun).Seconds())
	if w.err == nil {
		h.service.add(now.Sub(w.begun).Seconds())
	}
	q.tidy(h)
}

// tidy forgets a place for which nobody waits and of which nothing was measured.
func (q *queue) tidy(h *hall) {
	if h.active == 0 && h.line.n == 0 && h.rate.last.IsZero() {
		delete(q.halls, h.place)
	}
}

// sweep returns the works in line that nobody asks for, and forgets places.
func (q *queue) sweep(now time.Time) []*work {
	var idle []*work
	for _, h := range q.halls {
		for w := range h.line.all {
			if w.idle(now) {
				idle = append(idle, w)
			}
		}
		if h.active == 0 && h.line.n == 0 && now.Sub(h.rate.last) > hallMemory {
			delete(q.halls, h.place)
		}
	}
	slices.SortFunc(idle, byArrival)
	return idle
}

// standing is a work's place among those who wait for the same place to play.
type standing struct {
	position int           // from 1
	wait     time.Duration // how long it will take; 0: nobody knows
	sure     time.Duration // how long what is known was looked at
}

func (q *queue) place(w *work, now time.Time) standing {
	h := q.halls[w.ticket.Place]
	if h == nil {
		return standing{position: 1}
	}
	served := h.service.value
	left := seconds(served - now.Sub(w.begun).Seconds())
	switch w.phase {
	case inLine:
		rank := h.line.rank(w)
		at := standing{position: h.unready.n + rank + 1}
		if r := h.perSecond(now); r > 0 {
			at.wait, at.sure = seconds(float64(rank+1)/r+served), h.rate.sure()
		}
		return at
	case begun:
		return standing{h.unready.rank(w) + 1, left, left}
	case ready:
		return standing{1, left, left}
	case passing, finished:
	}
	return standing{position: 1}
}

func seconds(s float64) time.Duration {
	return time.Duration(min(max(s, 0), 24*3600) * float64(time.Second))
}

// rate is an exponentially smoothed number of events a second. It counts in
// whole rounds, since those who are seated together move the line together;
// rounds and their events are forgotten alike, so it is a plain average at
// first. The round that begins with an event does not count: it has one lot too
// many.
type rate struct {
	events, rounds float64   // smoothed, of those that are over
	from           time.Time // begin of this round; zero: the next event begins one
	now            float64   // events of this round
	first          bool      // this round does not count
	last           time.Time // when something was heard of it
}

// resume leaves the time out in which nothing could happen.
func (r *rate) resume(now time.Time) { r.from, r.now, r.first, r.last = time.Time{}, 0, true, now }

func (r *rate) count(now time.Time) {
	r.roll(now)
	if r.from.IsZero() {
		r.from = now
	}
	r.now++
	r.last = now
}

// roll ends the rounds that are over.
func (r *rate) roll(now time.Time) {
	n := int(now.Sub(r.from) / rateRound)
	if r.from.IsZero() || n < 1 {
		return
	}
	if r.first {
		r.first = false
		r.from, r.now = r.from.Add(rateRound), 0
		r.roll(now)
		return
	}
	keep := math.Exp(-rateRound.Seconds() / rateMemory.Seconds())
	r.events, r.rounds = r.events*keep+r.now, r.rounds*keep+1
	empty := math.Pow(keep, float64(n-1))
	r.events, r.rounds = r.events*empty, r.rounds*empty+(1-empty)/(1-keep)
	r.from, r.now = r.from.Add(time.Duration(n)*rateRound), 0
}

// perSecond is 0 while nothing is known. expected is what the rate should be, 0:
// nobody knows; it counts as much as rateGuess of counting.
func (r *rate) perSecond(now time.Time, expected float64) float64 {
	r.roll(now)
	events, measured := r.events, r.rounds*rateRound.Seconds()
	if expected > 0 {
		events += expected * rateGuess.Seconds()
		measured += rateGuess.Seconds()
	}
	if measured == 0 {
		return 0
	}
	return events / measured
}

// sure is how much time the rate is from.
func (r *rate) sure() time.Duration { return time.Duration((r.rounds + 1) * float64(rateRound)) }

// mean is an average that forgets: of all at first, then of the last 256 mostly.
type mean struct {
	value float64
	n     int
}

func (m *mean) add(x float64) {
	m.n = min(m.n+1, 256)
	m.value += (x - m.value) / float64(m.n)
}
