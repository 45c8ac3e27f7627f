package gameserver

import (
	"cmp"
	"slices"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

const (
	hashEvery = 8 // snapshots
	echoEvery = 4
	maxHold   = 255 * time.Millisecond

	// Budget is what a player's snapshots take at most, in bit/s with the headers
	// below them, but for a burst: the first view, and what was not used before.
	Budget      = 50_000
	headers     = 28 + 20 + 5 // bytes of IP, UDP, netcode and reliable around a payload
	firstCredit = 32 << 10    // bytes
	mostCredit  = 4 << 10
	leastCredit = headers + 40 // below it a tick is left out

	// A client that acknowledged nothing for so long, in ticks, is told something
	// only in every eighth snapshot.
	silence      = 2 * wire.History
	silenceEvery = 8

	// repeats is in how many snapshots a change is told before its
	// acknowledgement is waited for: a lost one is made up for at once.
	repeats = 2
)

// Replica is one player's copy of a world: it makes the payloads that keep the
// client's copy current, and reads what comes back. It belongs to the loop.
type Replica struct {
	Tally *wire.Tally // of what is written; nil: nothing is counted

	world  *World
	player throng.PlayerID
	rate   int // ticks a second
	budget int // bit/s
	credit int // bytes

	ghosts []*ghost    // in the order of their entities' IDs
	looked uint32      // ID of the newest entity that was looked at
	placed bool        // the player had a place then
	tick   throng.Tick // of the last snapshot
	since  throng.Tick // the client has forgotten all before; 0: nothing was sent
	sent   uint32      // ticks with a snapshot: bit i is tick-i
	came   uint32      // of sent, those that were acknowledged
	known  throng.Tick // up to here is known what came; 0: nothing since since
	spoke  throng.Tick // when it was acknowledged last, or since began first

	told        int    // snapshots
	sequence    uint32 // of the newest input
	applied     uint32 // of the newest move that the world has
	echo        echo
	body        wire.Body
	scratchBody []byte
	chosen      []*ghost // of one Payloads
	scratch     wire.Values
}

// echo is the client's clock in its newest input, and when that came.
type echo struct {
	due  bool
	sent uint16
	at   time.Time
}

// NewReplica starts the copy of w, whose kinds are all defined, of a player who is
// sent the welcome before the first snapshot.
func NewReplica(w *World, welcome wire.Welcome) *Replica {
	return &Replica{
		world: w, player: welcome.Player, rate: max(1, int(welcome.TickRate)), budget: Budget, credit: firstCredit,
	}
}

// SetBudget sets what snapshots take at most, in bit/s; see Budget.
func (r *Replica) SetBudget(bits int) { r.budget = bits }

// Receive takes what a player's input acknowledges. It is false, and nothing
// changes, when the input is not newer than those before.
func (r *Replica) Receive(in wire.Input, now time.Time) bool {
	if in.Sequence <= r.sequence {
		return false
	}
	r.sequence = in.Sequence
	r.echo = echo{due: true, sent: in.Sent, at: now}
	r.ack(in.Ack, in.Came)
	return true
}

// Applied takes the sequence of the newest move that is in the world, which
// snapshots say.
func (r *Replica) Applied(sequence uint32) { r.applied = sequence }

// ack takes the newest snapshot that the client decoded, and which before it did
// come: bit i is the tick i+1 before. The others up to t never will. 0 means that
// the client has lost all. What is out of reach is ignored.
func (r *Replica) ack(t throng.Tick, before uint32) {
	if t == 0 {
		if r.known != 0 {
			r.forget()
		}
		return
	}
	age := r.tick - t
	if t > r.tick || age >= wire.History || t < r.since || r.sent>>age&1 == 0 {
		return
	}
	r.came |= (before<<1 | 1) << age & r.sent
	r.known, r.spoke = max(r.known, t), r.tick
}

// shownBehind is how many ticks behind its newest snapshot a client shows the
// world, at least; see scene/smooth.go.
const shownBehind = 2

// Lag is how many ticks ago the world was what a player sees who has seen the
// snapshot of a tick; 0: he has seen none.
func (r *Replica) Lag(saw throng.Tick) int {
	if saw == 0 {
		return 0
	}
	return int(min(r.world.now-saw+shownBehind, wire.History-1))
}

// forget begins anew: the client has nothing.
func (r *Replica) forget() {
	for _, g := range r.ghosts {
		g.samples = wire.Samples{}
	}
	r.since, r.sent, r.came, r.known = 0, 0, 0, 0
}

// Payloads returns what to send to the player of the tick that was committed
// last: a snapshot; nothing the second time. now is of the same clock as Receive's. The payloads are good until the
// next Payloads of any replica of the world: whoever keeps them must copy them.
func (r *Replica) Payloads(t throng.Tick, now time.Time) [][]byte {
	w := r.world
	w.out = w.out[:0]
	if t != w.now || t == r.tick {
		return nil
	}
	r.advance()
	if r.credit < leastCredit {
		return w.out
	}
	room := min(r.credit-headers, wire.MaxPayload) - snapshotHeader
	if w.now-r.spoke > silence && w.now%silenceEvery != 0 {
		room = 0
	}
	r.look()
	r.choose(room)
	s := r.head(now)
	s.Body = r.write(min(r.credit-headers-snapshotHeader, wire.MaxBody), uint8(min(w.now-r.since, wire.History-1)))
	s.HasHash = r.told%hashEvery == 0
	if r.told++; s.HasHash {
		s.Hash = r.hash()
	}
	b := w.buffer()
	*b = wire.AppendSnapshot(*b, s)
	r.credit -= len(*b) + headers
	return w.out
}

// snapshotHeader is about what a snapshot takes before its body.
const snapshotHeader = 7

// advance goes on to the world's tick.
func (r *Replica) advance() {
	w := r.world
	by := uint32(min(w.now-r.tick, wire.History))
	r.credit = min(r.credit+r.budget*int(by)/(8*r.rate), max(r.credit, mostCredit))
	if w.now-r.since >= wire.History && (r.known == 0 || w.now-r.known > wire.History) {
		r.forget() // of what is left behind nobody knows whether it came
	}
	for _, g := range r.ghosts {
		if age, ok := g.samples.Leaving(by, r.came); ok {
			g.settled = r.tick - throng.Tick(age)
			g.settledSees = g.sees[g.settled%wire.History]
		}
		g.samples.Advance(by, r.came)
	}
	r.came, r.sent = r.came<<by, r.sent<<by
	r.tick = w.now
	if r.since == 0 {
		r.since = w.now
	}
	if r.spoke == 0 {
		r.spoke = w.now
	}
}

// head is all of a snapshot but its body.
func (r *Replica) head(now time.Time) wire.Snapshot {
	s := wire.Snapshot{Tick: r.tick, Input: uint8(r.applied)}
	if age := r.tick - r.since; age < wire.History {
		s.Young, s.Since = true, uint8(age)
	}
	if hold := now.Sub(r.echo.at); r.echo.due && r.told%echoEvery == 0 && hold >= 0 && hold <= maxHold {
		s.HasEcho, s.Sent, s.Hold = true, r.echo.sent, uint8(hold.Milliseconds())
		r.echo.due = false
	}
	return s
}

// choose says of each ghost what is to be told, as far as it fits into so many
// bytes: what is due most, and what was waiting longest for its weight.
func (r *Replica) choose(most int) {
	r.chosen = r.chosen[:0]
	room := (most - 4) * 8 * 256
	need := 0
	x, y, placed := r.viewpoint()
	kept := r.ghosts[:0]
	for _, g := range r.ghosts {
		if !g.plan(r) {
			continue
		}
		kept = append(kept, g)
		if g.say == sayNothing {
			continue
		}
		need += g.cost + untoldCost
		g.due += r.weight(g, x, y, placed)
		r.chosen = append(r.chosen, g)
	}
	clear(r.ghosts[len(kept):])
	r.ghosts = kept
	if need <= room {
		return
	}
	slices.SortStableFunc(r.chosen, func(a, b *ghost) int { return cmp.Compare(b.due, a.due) })
	need = 0
	for i, g := range r.chosen {
		if need += g.cost + untoldCost; need > room {
			r.leave(i)
			return
		}
	}
}

// untoldCost is about what it takes to say that an entity is told, in 1/256 bits.
const untoldCost = 128

// leave leaves out what was chosen from the i-th on.
func (r *Replica) leave(i int) {
	for _, g := range r.chosen[i:] {
		g.say = sayNothing
	}
	r.chosen = r.chosen[:i]
}

// weight is by how much a ghost is more due after another tick.
//
//nolint:revive // flag-parameter: who has no place is near nothing
func (r *Replica) weight(g *ghost, x, y float64, placed bool) float64 {
	rule := &r.world.rules[g.e.kind]
	weight := rule.Weight
	if g.e.owner == r.player {
		weight *= 1000
	}
	if placed && rule.placed {
		weight *= square(rule.reference) / (square(rule.reference) + square(g.e.x-x) + square(g.e.y-y))
	}
	return weight
}

// write makes the body, and notes what it tells. What does not fit after all is
// left out.
func (r *Replica) write(most int, since uint8) []byte {
	acks := r.came
	r.body.Tally = nil
	for {
		body := r.encode(acks, since)
		if len(body) <= most || len(r.chosen) == 0 {
			break
		}
		r.leave(len(r.chosen) * 7 / 8)
	}
	if r.Tally != nil {
		r.body.Tally = r.Tally
		r.encode(acks, since)
	}
	r.sent |= 1
	for _, g := range r.chosen {
		g.samples.Told |= 1
		g.due = 0
		switch g.say {
		case sayGone:
			g.samples.Gone |= 1
		case sayFresh:
			g.samples.Fresh |= 1
		case sayNothing, sayChange:
		}
		g.sees[r.tick%wire.History] = g.variant
	}
	return r.scratchBody
}

func (r *Replica) encode(acks uint32, since uint8) []byte {
	w := r.world
	r.body.Begin(r.scratchBody[:0], acks, since)
	news := false
	for _, g := range r.ghosts {
		if !g.seen {
			news = news || g.say != sayNothing
			continue
		}
		switch g.say {
		case sayNothing:
			r.body.Untold(&g.samples)
		case sayChange:
			r.body.Change(&g.samples, w.tokens[g.from:g.to])
		case sayGone:
			r.body.Gone(&g.samples)
		case sayFresh:
			r.body.Fresh(&g.samples, w.tokens[g.from:g.to])
		}
	}
	if news {
		for _, g := range r.ghosts {
			if !g.seen && g.say != sayNothing {
				r.body.Add(g.e.id, g.e.kind, w.tokens[g.from:g.to])
			}
		}
	}
	r.scratchBody = r.body.End()
	return r.scratchBody
}

// hash is of what the player sees who has what he acknowledged, and this snapshot.
func (r *Replica) hash() uint32 {
	h := wire.Hash{}
	for _, g := range r.ghosts {
		told := g.samples.Told & (r.came | 1)
		if told == 0 {
			if g.samples.Settled {
				h.Settled(g.e.id, uint8(g.e.kind))
			}
			continue
		}
		if g.samples.Gone&(told&-told) != 0 {
			continue
		}
		t := r.tick - throng.Tick(trailing(told))
		is := g.e.at(t)
		r.scratch.Numbers = append(r.scratch.Numbers[:0], is.Numbers...)
		r.scratch.Texts = append(r.scratch.Texts[:0], is.Texts...)
		r.world.schema.Kind(g.e.kind).Mask(r.scratch, g.sees[t%wire.History])
		h.Entity(wire.Entity{ID: g.e.id, Kind: g.e.kind, Owner: g.e.owner, Values: r.scratch.Numbers, Texts: r.scratch.Texts})
	}
	return h.Sum()
}
