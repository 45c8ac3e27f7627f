package consumer

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/throng-gg/throng"
)

// idOf is 64 bits of an event's ID. Two of a window of half a million are the
// same once in 10^13 events.
func idOf(e throng.EventID) uint64 {
	var room [96]byte
	sum := sha256.Sum256(append(room[:0], e...))
	return binary.LittleEndian.Uint64(sum[:])
}

// window is the events that were handled lately: those at floor and behind it, by
// their IDs. One that was sent twice is in it for each of its offsets, so that it is
// known as long as one of them may come again.
type window struct {
	most  int
	count int               // IDs of all pages
	pages []Page            // by number
	ids   map[uint64]uint64 // to the newest page that has it
	floor int64
	next  int64 // offset behind all that were handled
}

func newWindow(most int, m Mark, pages []Page) *window {
	w := &window{most: most, ids: make(map[uint64]uint64), floor: m.Floor, next: m.Next}
	for _, p := range pages {
		w.put(p)
	}
	return w
}

// knows says whether an event of the window was handled.
func (w *window) knows(id uint64) bool {
	_, known := w.ids[id]
	return known
}

func (w *window) put(p Page) {
	w.pages = append(w.pages, p)
	w.count += len(p.IDs)
	for _, id := range p.IDs {
		w.ids[id] = p.Number
	}
}

// add takes a page in, and returns the numbers of those that go.
func (w *window) add(p Page) (forget []uint64) {
	if len(p.IDs) > 0 {
		w.put(p)
		w.next = max(w.next, p.Next)
	}
	for len(w.pages) > 1 && w.count-len(w.pages[0].IDs) >= w.most {
		old := w.pages[0]
		w.pages = w.pages[1:]
		w.count -= len(old.IDs)
		for _, id := range old.IDs {
			if w.ids[id] == old.Number {
				delete(w.ids, id)
			}
		}
		forget = append(forget, old.Number)
	}
	if len(forget) > 0 {
		floor := w.pages[0].Floor
		for _, page := range w.pages {
			floor = min(floor, page.Floor)
		}
		w.floor = max(w.floor, floor)
	}
	return forget
}
