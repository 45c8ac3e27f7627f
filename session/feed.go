package session

import (
	"sync"

	"github.com/throng-gg/throng"
)

// Feed remembers which sessions changed last, in order, for a store's Changes.
// It is a ring: who reads too slowly starts again with all sessions.
type Feed struct {
	mu   sync.Mutex
	ring []throng.SessionID
	// last is the number of the newest change. It starts at start, which is
	// later than all numbers of an earlier life.
	last, start uint64
	wake        chan struct{} // closed and replaced at each change; nil: nobody waits
}

// NewFeed makes a feed of size changes. start must be over all numbers that an
// earlier life gave out, and over 0: microseconds since 1970 are.
func NewFeed(size int, start uint64) *Feed {
	return &Feed{ring: make([]throng.SessionID, max(size, 1)), last: start, start: start}
}

// Add says that a session changed.
func (f *Feed) Add(s throng.SessionID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	f.ring[f.last%uint64(len(f.ring))] = s
	f.notify()
}

// Wake ends all waits.
func (f *Feed) Wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notify()
}

func (f *Feed) notify() {
	if f.wake != nil {
		close(f.wake)
		f.wake = nil
	}
}

// Batch is a piece of a feed.
type Batch struct {
	Cursor   uint64             // of the newest change in it
	Full     bool               // the cursor was too old: everything may have changed
	Sessions []throng.SessionID // each once; at most 1,024 changes' worth
	Wait     <-chan struct{}    // closed at the next change or Wake
}

// Since returns what changed after cursor. It does not block.
func (f *Feed) Since(cursor uint64) Batch {
	const most = 1024
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wake == nil {
		f.wake = make(chan struct{})
	}
	b := Batch{Cursor: f.last, Wait: f.wake}
	if cursor < f.start || cursor > f.last || f.last-cursor > uint64(len(f.ring)) {
		b.Full = true
		return b
	}
	b.Cursor = min(f.last, cursor+most)
	seen := make(map[throng.SessionID]bool, b.Cursor-cursor)
	for n := cursor + 1; n <= b.Cursor; n++ {
		s := f.ring[n%uint64(len(f.ring))]
		if !seen[s] {
			seen[s] = true
			b.Sessions = append(b.Sessions, s)
		}
	}
	return b
}
