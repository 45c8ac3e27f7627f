package gameserver

import (
	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

const (
	// mostMoves of a player wait for their step. Of more the oldest are dropped: he
	// makes more than the steps can take.
	mostMoves = 12
	// fewMoves may wait without hurry.
	fewMoves = 4
	// atOnce is how many a step takes of those who wait too long.
	atOnce = 3
	// spareSeconds is how long moves must have waited that are made up for.
	spareSeconds = 2
)

// inputs is a player's moves on their way to the script: in order, each once, one a
// step. An input repeats the moves before it, so that one that comes after a loss
// brings those that were lost, too. While they were awaited the step went without;
// from then on as many wait as it takes for the next loss to be made up in time.
// What was never needed for a while is taken sooner.
type inputs struct {
	waiting []waitingMove // the oldest first
	came    uint32        // sequence of the newest
	taken   uint32        // and of the newest that the script got
	missing int           // moves that never came
	dropped int           // and that were too many

	least  int // that were left over after a step, of the last so many
	steps  int
	excess int // that are to be made up for
}

// waitingMove is one of a player who saw the world of a tick.
type waitingMove struct {
	sequence uint32
	move     wire.Move
	saw      throng.Tick
}

// add takes an input that is newer than those before, of a player who has seen a
// tick.
func (q *inputs) add(in wire.Input, saw throng.Tick) {
	first := in.Sequence - uint32(in.Count) + 1
	if uint32(in.Count) > in.Sequence {
		first = 1
	}
	if gap := int64(first) - int64(q.came) - 1; gap > 0 && q.came != 0 {
		q.missing += int(gap)
	}
	for n := max(first, q.came+1); n <= in.Sequence && n != 0; n++ {
		q.waiting = append(q.waiting, waitingMove{sequence: n, move: in.Moves[uint32(in.Count)-1-(in.Sequence-n)], saw: saw})
	}
	q.came = in.Sequence
	if more := len(q.waiting) - mostMoves; more > 0 {
		q.dropped += more
		q.waiting = q.waiting[:copy(q.waiting, q.waiting[more:])]
	}
}

// due says how many moves the next step takes. It is asked once a step, of which
// there are rate a second.
func (q *inputs) due(rate int) int {
	left := max(0, len(q.waiting)-1)
	if q.steps == 0 || left < q.least {
		q.least = left
	}
	if q.steps++; q.steps >= spareSeconds*rate {
		q.excess, q.steps = q.least, 0
	}
	hurry := min(left, atOnce-1, max(q.excess, left-fewMoves))
	q.excess = max(0, q.excess-hurry)
	return min(len(q.waiting), 1+hurry)
}

// take removes the oldest; there must be one.
func (q *inputs) take() waitingMove {
	m := q.waiting[0]
	q.waiting = q.waiting[:copy(q.waiting, q.waiting[1:])]
	q.taken = m.sequence
	return m
}
