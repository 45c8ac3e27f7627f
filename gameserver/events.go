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

	mu   sync.Mutex // one sender at a time
	live int        // connections whose Disconnected is still to come
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
func (e *Events) room() int { return cap(e.out) - len(e.out) - e.live }

// Connected tells of a new connection. False: there is no room, refuse it.
func (s *Source) Connected(n uint64, from netip.AddrPort, userData []byte) bool {
	e := s.events
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.room() < 2 {
		return false
	}
	e.live++
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
	e.out <- Event{Kind: EventMessage, Conn: s.ID(n), At: time.Now(), Data: bytes.Clone(payload)}
	return true
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
	e.out <- last
}

// webOf is where browsers connect; zero when they cannot.
func webOf(t Transport) throng.WebAddress {
	if w, ok := t.(Web); ok {
		return w.WebAddress()
	}
	return throng.WebAddress{}
}
