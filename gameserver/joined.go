package gameserver

import (
	"net/netip"
	"time"

	"github.com/throng-gg/throng"
)

// Joined is several Transports as one, so that a session has players of each.
type Joined struct{ all []Transport }

var (
	_ Transport = (*Joined)(nil)
	_ Web       = (*Joined)(nil)
)

// Join makes one Transport of several, which share one Events queue and are run
// by whoever made them. Address is the first one's. Invalid: none, or they do
// not share it.
func Join(all ...Transport) (*Joined, error) {
	if len(all) == 0 {
		return nil, throng.Errorf(throng.Invalid, "join transports: there is none")
	}
	for _, t := range all[1:] {
		if t.Events() != all[0].Events() {
			return nil, throng.Errorf(throng.Invalid, "join transports: they have different event queues")
		}
	}
	return &Joined{all: all}, nil
}

// Address is where clients of the first Transport connect.
func (j *Joined) Address() netip.AddrPort { return j.all[0].Address() }

// WebAddress is the first one's that has one.
func (j *Joined) WebAddress() throng.WebAddress {
	for _, t := range j.all {
		if w := webOf(t); !w.IsZero() {
			return w
		}
	}
	return throng.WebAddress{}
}

// Listen begins to take clients on all. Each takes more than capacity;
// how many sit is the session's to say.
func (j *Joined) Listen(key [32]byte, capacity int, now func() time.Time) error {
	for _, t := range j.all {
		if err := t.Listen(key, capacity, now); err != nil {
			return err
		}
	}
	return nil
}

// Events is the queue that all share.
func (j *Joined) Events() <-chan Event { return j.all[0].Events() }

// Send queues one payload: each Transport knows its own connections.
func (j *Joined) Send(c ConnID, payload []byte) {
	for _, t := range j.all {
		t.Send(c, payload)
	}
}

// Gather makes events of the messages that came: the queue is one for all.
func (j *Joined) Gather() {
	if q, ok := j.all[0].(Quiet); ok {
		q.Gather()
	}
}

// Hold lets payloads wait where that is cheaper.
func (j *Joined) Hold() {
	for _, t := range j.all {
		if b, ok := t.(Batch); ok {
			b.Hold()
		}
	}
}

// Release sends what waits.
func (j *Joined) Release() {
	for _, t := range j.all {
		if b, ok := t.(Batch); ok {
			b.Release()
		}
	}
}

// Disconnect ends a connection.
func (j *Joined) Disconnect(c ConnID) {
	for _, t := range j.all {
		t.Disconnect(c)
	}
}
