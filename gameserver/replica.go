package gameserver

import (
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

const (
	welcomeEvery = 3 // calls of Payloads, until the welcome is acknowledged
	hashEvery    = 8 // snapshots
	maxHold      = 255 * time.Millisecond
)

// Replica is one player's copy of a world: it makes the payloads that keep the
// client's copy current, and reads what comes back. It belongs to the loop.
type Replica struct {
	world   *World
	welcome [][]byte // until it is acknowledged

	sent     [wire.History]sent // by tick modulo wire.History
	last     throng.Tick        // newest sent; 0: none
	base     throng.Tick        // newest acknowledged; 0: none
	calls    int                // of Payloads
	hashIn   int                // snapshots until the next with a hash
	sequence uint32             // of the newest move
	echo     echo
}

// sent is what a client sees after it decoded the snapshot of a tick: the first
// entities of it.
type sent struct {
	tick     throng.Tick
	entities int
	acked    bool
}

// echo is the client's clock in its newest input, and when that came.
type echo struct {
	due  bool
	sent uint16
	at   time.Time
}

// NewReplica starts a player's copy of w, whose kinds are all defined. welcome
// is complete but for Protocol and Schema.
func NewReplica(w *World, welcome wire.Welcome) *Replica {
	full := welcome
	full.Protocol, full.Schema = wire.Protocol, &w.schema
	return &Replica{world: w, welcome: wire.SplitWelcome(full)}
}

// Receive takes a player's input: what it acknowledges, and the number of its
// newest move, which the next snapshot says was applied. It is false, and
// nothing changes, when the input is not newer than those before.
func (r *Replica) Receive(in wire.Input, now time.Time) bool {
	if in.Sequence <= r.sequence {
		return false
	}
	r.sequence = in.Sequence
	r.echo = echo{due: true, sent: in.Sent, at: now}
	if in.Welcomed {
		r.welcome = nil
	}
	r.ack(in.Ack)
	return true
}

// welcomed says whether the client has said that the welcome came.
func (r *Replica) welcomed() bool { return r.welcome == nil }

// ack takes the newest snapshot that the client has, as its newest input says
// so. 0 means that it has lost all.
func (r *Replica) ack(t throng.Tick) {
	if t == 0 {
		r.base = 0
		for i := range r.sent {
			r.sent[i].acked = false
		}
		return
	}
	if s := &r.sent[t%wire.History]; s.tick == t && t > r.base {
		s.acked = true
		r.base = t
	}
}

// Payloads returns what to send to the player of the tick that was committed
// last: the welcome until it is acknowledged, and a snapshot; nothing the second
// time. now is of the same clock as Receive's. The payloads are good until the
// next Payloads of any replica of the world: whoever keeps them must copy them.
func (r *Replica) Payloads(t throng.Tick, now time.Time) [][]byte {
	w := r.world
	w.out = w.out[:0]
	if t != w.now || t == r.last {
		return nil
	}
	r.last = w.now
	r.calls++
	if r.welcome != nil {
		if r.calls%welcomeEvery != 1 {
			return nil
		}
		for _, p := range r.welcome {
			w.payload(p)
		}
	}
	base, older := r.pick()
	d := w.delta(base, older)
	r.sent[w.now%wire.History] = sent{tick: w.now, entities: d.Seen.N}
	s := wire.Snapshot{Tick: w.now, Base: base.Tick(), Older: older.Tick(), Parts: uint8(len(d.Bodies))}
	s.About = r.about(now, d)
	for i, body := range d.Bodies {
		s.Part, s.Body = uint8(i), body
		w.snapshot(s)
	}
	return w.out
}

func (r *Replica) about(now time.Time, d *wire.Delta) wire.About {
	a := wire.About{Input: uint16(r.sequence), Through: d.Through}
	if hold := now.Sub(r.echo.at); r.echo.due && hold >= 0 && hold <= maxHold {
		a.HasEcho, a.Sent, a.Hold = true, r.echo.sent, uint8(hold.Milliseconds())
	}
	r.echo.due = false
	if r.hashIn == 0 {
		r.hashIn = hashEvery
		a.HasHash, a.Hash = true, r.world.hash(d.Seen)
	}
	r.hashIn--
	return a
}

// pick chooses the newest acknowledged view as the base, and as the older one
// that about as far before it as it is before now: a shorter line tells less
// well where things go, a longer one follows turns later.
func (r *Replica) pick() (base, older wire.Prefix) {
	now := r.world.now
	base = r.seen(r.base)
	if base.View == nil {
		return wire.Prefix{}, wire.Prefix{}
	}
	for t := r.base - min(r.base, max(1, (now-r.base)/2)); t > 0 && now-t < wire.History; t-- {
		if older = r.seen(t); older.View != nil {
			return base, older
		}
	}
	return base, wire.Prefix{}
}

// seen is what the client saw at a tick, if it said so and both still have it.
func (r *Replica) seen(t throng.Tick) wire.Prefix {
	s := r.sent[t%wire.History]
	if t == 0 || s.tick != t || !s.acked {
		return wire.Prefix{}
	}
	if v := r.world.at(t); v != nil && r.world.now-t < wire.History {
		return wire.Prefix{View: v, N: s.entities}
	}
	return wire.Prefix{}
}
