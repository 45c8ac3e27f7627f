package gameserver

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

const (
	// patternEvery is how often sequences of inputs are told.
	patternEvery = 5 * time.Second
	// patternLength is how many changes of input a sequence has: so many that two
	// people who press the same keys in the same order do not hold each of them for
	// the same number of steps.
	patternLength = 12
	// mostShingles are told at once: those with the smallest hashes, which are the
	// same ones for all who made the same sequences.
	mostShingles = 16
	shingleBits  = 48 // readers in other languages have 53 at most
	longestHeld  = 255
)

// change is an input and how many steps it was held.
type change struct {
	move wire.Move
	held uint8 // steps, at most longestHeld
}

// pattern is what of a player's inputs is compared with others' of his address.
type pattern struct {
	last     change
	sequence uint32 // of the newest move; 0: none
	changes  [patternLength]change
	known    int      // of changes, since a move was missed
	smallest []uint64 // sorted; at most mostShingles
}

// step takes the next move. After one that never came it begins anew.
func (p *pattern) step(sequence uint32, m wire.Move) {
	follows := p.sequence != 0 && sequence == p.sequence+1
	p.sequence = sequence
	switch {
	case !follows:
		p.known = 0
	case m == p.last.move:
		p.last.held = min(p.last.held, longestHeld-1) + 1
		return
	default:
		copy(p.changes[:], p.changes[1:])
		p.changes[patternLength-1] = p.last
		if p.known++; p.known > patternLength { // the first one's begin was not seen
			p.known = patternLength + 1
			p.keep(p.hash())
		}
	}
	p.last = change{m, 1}
}

func (p *pattern) hash() uint64 {
	h := fnv.New64a()
	var b [8]byte
	for _, c := range p.changes {
		b = [8]byte{byte(c.move.X), byte(c.move.Y), c.held}
		binary.LittleEndian.PutUint32(b[4:], c.move.Buttons)
		_, _ = h.Write(b[:]) // a hash never fails
	}
	return h.Sum64() >> (64 - shingleBits)
}

func (p *pattern) keep(h uint64) {
	at, there := slices.BinarySearch(p.smallest, h)
	if there || at == mostShingles {
		return
	}
	if len(p.smallest) == mostShingles {
		p.smallest = p.smallest[:mostShingles-1]
	}
	p.smallest = slices.Insert(p.smallest, at, h)
}

// tellPatterns tells what those pressed behind whose address there are others.
func (l *loop) tellPatterns(boot time.Duration) {
	if l.cfg.Events == nil || boot-l.patterns < patternEvery {
		return
	}
	l.patterns = boot
	behind := make(map[string]int, len(l.joined))
	for _, s := range l.joined {
		behind[s.source]++
	}
	for _, s := range l.joined {
		p := &s.pattern
		if len(p.smallest) > 0 && behind[s.source] > 1 {
			l.happened(throng.Event{
				ID:   throng.EventID(fmt.Sprintf("%s/pattern/%s/%d/%d", l.hand.Session, s.player, s.epoch, l.tick)),
				Type: throng.EventInputPattern, Stream: throng.StreamMotion, Key: s.source, Player: s.player,
			}, throng.InputPattern{Epoch: s.epoch, Source: s.source, Shingles: p.smallest})
		}
		p.smallest = p.smallest[:0]
	}
}
