package match

import (
	"cmp"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

// blockSize is how many tickets are sorted together at most.
const blockSize = 1024

// line is a pool with those who wait for a seat in it.
//
// The oldest who wait are worked in blocks: within a block bigger parties are
// seated first, each in the fullest session that fits, so that smaller ones
// fill the gaps. A block is worked to its end before the next is made, so no
// flow of big parties can keep a small one waiting.
type line struct {
	key  poolKey
	pool *Pool

	block   []*ask // bigger parties first
	rest    []*ask // the others, as they came
	seats   int    // that all of them want
	arrived uint64 // numbers the asks

	release  throng.Release // newest that a ticket of this line brought
	seen     uint64         // the feed told of all sessions up to this Number
	openings int            // sessions that are being opened, at most openingsMost
	opened   int            // how often one was opened, or could not be
	most     int            // openings at once: openingsMost, less after a failure
	filling  bool           // one of them will have room for those who wait
	room     int            // that it had when it was begun
	refusal  error          // why no session could be opened; no new try before until
	until    time.Time
	shown    int // candidates that the metrics know of
	promised int // sessions that the quota counts already, and nobody has opened yet
}

// poolKey names a pool.
type poolKey struct {
	place   throng.PlaceID
	version throng.Version
}

// ask is one ticket's request for seats.
type ask struct {
	want    Want
	claim   throng.Claim
	key     poolKey
	release throng.Release
	canary  *lane      // what it may run instead; nil: nothing, or it was chosen already
	number  uint64     // its place in the order of arrival
	answer  chan offer // takes one without blocking
	offered *offer     // nil while waiting
	left    bool       // its ticket does not wait any more

	// What is recorded of it; read with the answer.
	ahead    int // who waited when it came
	openings int // of sessions, that it waited for; while waiting: that were before
	decision *throng.Decision
}

// offer is the answer to an ask: a session in which seats are promised.
type offer struct {
	session throng.SessionID
	hold    *throng.Hold // the seats, if they are held already
	mark    uint64       // of Pool.Take, if they are not
	err     error        // instead of a session
}

func newLine(key poolKey) *line { return &line{key: key, pool: NewPool(), most: openingsMost} }

// join takes a place at the end.
func (l *line) join(a *ask) {
	l.arrived++
	a.number = l.arrived
	a.ahead, a.openings = l.waiting(), l.opened
	l.rest = append(l.rest, a)
	l.seats += a.want.Seats
}

// rejoin gives asks their old places back.
func (l *line) rejoin(asks []*ask) {
	for _, a := range asks {
		if !a.left {
			l.block = append(l.block, a)
			l.seats += a.want.Seats
		}
	}
	slices.SortFunc(l.block, biggestFirst)
}

// leave gives the place up, if it is waiting still.
func (l *line) leave(a *ask) {
	for _, some := range []*[]*ask{&l.block, &l.rest} {
		if i := slices.Index(*some, a); i >= 0 {
			*some = slices.Delete(*some, i, i+1)
			l.seats -= a.want.Seats
			return
		}
	}
}

// waiting is the number of asks in line.
func (l *line) waiting() int { return len(l.block) + len(l.rest) }

// next makes a block of those who have waited longest, if there is none.
func (l *line) next() {
	if len(l.block) > 0 {
		return
	}
	n := min(len(l.rest), blockSize)
	l.block = append(l.block, l.rest[:n]...)
	clear(l.rest[:n])
	l.rest = l.rest[n:]
	slices.SortFunc(l.block, biggestFirst)
}

// seat promises seats to all who fit, in their order, and calls give for each.
func (l *line) seat(give func(*ask, throng.SessionID)) {
	for l.waiting() > 0 && l.pool.Candidates() > 0 {
		l.next()
		l.block = l.fit(l.block, give)
		if len(l.block) > 0 {
			l.rest = l.fit(l.rest, give)
			return
		}
	}
}

// fit tries those of one list and returns who of them still waits.
func (l *line) fit(list []*ask, give func(*ask, throng.SessionID)) []*ask {
	tooBig := int(^uint(0) >> 1) // parties of that size fit nowhere now
	kept := 0
	for _, a := range list {
		if a.want.Seats < tooBig {
			id, ok := l.pool.Choose(&a.want)
			if ok {
				l.seats -= a.want.Seats
				give(a, id)
				continue
			}
			if len(a.want.Refused) == 0 {
				tooBig = a.want.Seats
			}
		}
		list[kept] = a
		kept++
	}
	clear(list[kept:])
	return list[:kept]
}

// pack takes those out of the line who fill a new session together: in their
// order whoever still fits, of the block and of as many behind it. left is how
// many seats stay free.
func (l *line) pack(capacity int) (aboard []*ask, left int) {
	l.next()
	left = capacity
	take := func(list []*ask) []*ask {
		kept := 0
		for i, a := range list {
			if left == 0 {
				kept += copy(list[kept:], list[i:])
				break
			}
			if a.want.Seats <= left {
				left -= a.want.Seats
				aboard = append(aboard, a)
				continue
			}
			list[kept] = a
			kept++
		}
		clear(list[kept:])
		return list[:kept]
	}
	l.block = take(l.block)
	if ahead := min(len(l.rest), blockSize); left > 0 && ahead > 0 {
		kept := take(l.rest[:ahead:ahead])
		if gone := ahead - len(kept); gone > 0 {
			// Move the few who stay, not the many behind them.
			copy(l.rest[gone:], kept)
			clear(l.rest[:gone])
			l.rest = l.rest[gone:]
		}
	}
	l.seats -= capacity - left
	return aboard, left
}

// clear empties the line and returns who waited.
func (l *line) clear() []*ask {
	all := append(l.block, l.rest...)
	l.block, l.rest, l.seats = nil, nil, 0
	return all
}

// idle says that nothing is known and nobody waits.
func (l *line) idle(now time.Time) bool {
	return l.waiting() == 0 && l.pool.Len() == 0 && l.openings == 0 && !now.Before(l.until)
}

func biggestFirst(a, b *ask) int {
	return cmp.Or(cmp.Compare(b.want.Seats, a.want.Seats), cmp.Compare(a.number, b.number))
}
