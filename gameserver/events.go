package gameserver

import (
	"bytes"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/throng-gg/throng"
)

const (
	// eventRoom is how many events a queue keeps for its reader.
	eventRoom = 4096
	// sourceShift leaves 2^56 connections to each of 255 transports.
	sourceShift = 56
)

// Events is the bounded queue between Transports and the one reader of their
// events. Several Transports can share one, each as a Source.
//
// A place is always kept for every live connection's Disconnected: messages are
// dropped before they would take one, and a connection is refused when there is
// no room for its Connected and its Disconnected. So neither is ever lost, and
// adding never blocks.
type Events struct {
	out     chan Event
	sources atomic.Uint64
	lent    sync.Pool // buffers of messages that were read, for the next ones

	mu      sync.Mutex // one sender at a time
	live    int        // connections whose Disconnected is still to come
	quiet   bool       // Gather was called
	waiting []Event    // messages, for the next Gather
}

// NewEvents makes a queue.
func NewEvents() *Events { return newEvents(eventRoom) }

func newEvents(room int) *Events { return &Events{out: make(chan Event, room)} }

// Source is one Transport's way into the queue. Its connections have IDs of
// their own.
type Source struct {
	events *Events
	tag    ConnID
}

// Source makes a way in for one more Transport.
func (e *Events) Source() *Source {
	return &Source{events: e, tag: ConnID(e.sources.Add(1)-1) << sourceShift}
}

// ID names a connection that the Transport counts as n, below 2^56.
func (s *Source) ID(n uint64) ConnID { return s.tag | ConnID(n) }

// Own is ID's reverse; false: the connection is another Transport's.
func (s *Source) Own(c ConnID) (n uint64, own bool) {
	return uint64(c &^ s.tag), c>>sourceShift == s.tag>>sourceShift
}

// Events is what the reader reads; never closed.
func (s *Source) Events() <-chan Event { return s.events.out }

// room is how many events fit beside those that are promised. The reader can
// only make it larger meanwhile.
func (e *Events) room() int { return cap(e.out) - len(e.out) - len(e.waiting) - e.live }

// Connected tells of a new connection. False: there is no room, refuse it.
func (s *Source) Connected(n uint64, from netip.AddrPort, userData []byte) bool {
	e := s.events
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.room() < 2 {
		return false
	}
	e.live++
	e.wake()
	e.out <- Event{Kind: EventConnected, Conn: s.ID(n), From: from, At: time.Now(), Data: bytes.Clone(userData)}
	return true
}

// Message tells of one payload, of which it keeps a copy. False: there is no
// room, it is dropped.
func (s *Source) Message(n uint64, payload []byte) bool {
	e := s.events
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.room() < 1 {
		return false
	}
	b, _ := e.lent.Get().(*[]byte)
	if b == nil {
		b = new([]byte)
	}
	*b = append((*b)[:0], payload...)
	m := Event{Kind: EventMessage, Conn: s.ID(n), At: time.Now(), Data: *b, lent: b, lender: &e.lent}
	if e.quiet {
		e.waiting = append(e.waiting, m)
	} else {
		e.out <- m
	}
	return true
}

// Gather makes events of the messages that came since it was called last. From
// the first call on messages wait for the next one, or for another event: a
// reader who needs them once a tick is not woken for each, which costs as much
// as receiving it.
func (s *Source) Gather() {
	e := s.events
	e.mu.Lock()
	defer e.mu.Unlock()
	e.quiet = true
	e.wake()
}

// wake moves the messages that wait into the queue, where there is room for
// them; called under mu.
func (e *Events) wake() {
	for _, m := range e.waiting {
		e.out <- m
	}
	clear(e.waiting)
	e.waiting = e.waiting[:0]
}

// Done gives back a message's Data, which its reader keeps nothing of. Who does
// not call it leaves the buffer to the garbage collector.
func (e Event) Done() {
	if e.lent != nil {
		e.lender.Put(e.lent)
	}
}

// Disconnected tells of the end of a connection whose Connected was taken, in
// the place that was kept; once for each.
func (s *Source) Disconnected(n uint64) {
	s.end(Event{Kind: EventDisconnected, Conn: s.ID(n)})
}

// Lost is Disconnected for a connection whose client fell silent.
func (s *Source) Lost(n uint64) {
	s.end(Event{Kind: EventDisconnected, Conn: s.ID(n), Lost: true})
}

func (s *Source) end(last Event) {
	e := s.events
	e.mu.Lock()
	defer e.mu.Unlock()
	e.live--
	last.At = time.Now()
	e.wake()
	e.out <- last
}

// webOf is where browsers connect; zero when they cannot.
func webOf(t Transport) throng.WebAddress {
	if w, ok := t.(Web); ok {
		return w.WebAddress()
	}
	return throng.WebAddress{}
}
