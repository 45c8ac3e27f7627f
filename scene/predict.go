package scene

import (
	"math"
	"slices"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

const (
	movesKept   = 256  // that were sent
	leadWindow  = 31   // snapshots that say when inputs are applied
	leadSlew    = 0.02 // how much faster or slower than real time the prediction may run
	leadJump    = 250  // ms off at which it jumps instead
	mostAhead   = 1000 // ms that are predicted at most
	fade        = 40   // ms after which a third of a correction is left to show
	snap        = 1. / 16
	corrections = 30 // snapshots over which the largest one is told
)

// predictor shows a player's own entity as it will be once the server has his inputs.
//
// The server applies inputs at its ticks, and says with a tick's snapshot which was the
// newest. So it is known how long after an input was made it counts, in the middle of
// the last snapshots: tick t has the inputs up to t*tickTime + lead by the caller's
// clock. From the newest snapshot's state on, ticks
// are stepped with the inputs that they will have, up to the one that is due now. What
// a new snapshot changes about that fades away, unless it is large. Times are in ms.
type predictor struct {
	schema   *wire.Schema
	player   throng.PlayerID
	tickTime float64
	steps    map[string]Step // the caller's own, by kind
	walk     walk

	moves [movesKept]made // by sequence modulo movesKept
	last  uint32          // sequence of the newest

	leads  []float64
	target float64 // median of leads
	lead   float64 // what is used, on its way to target
	leadAt float64

	own     uint32 // ID of the entity; 0: there is none to predict
	look    look
	at      walker
	applied uint32 // of the newest snapshot
	before  []float64
	states  [][]float64 // of base and the ticks after it
	base    float64     // tick of states[0]
	stale   bool        // states[1:] are not of all moves

	offset   []float64 // of look.places: what is left of corrections
	offsetAt float64
	sizes    []float64 // of the last corrections
	values   []float64 // of shown, reused
}

// made is an input and when it was.
type made struct {
	sequence uint32
	at       float64
	move     Move
}

// input takes a move that was sent now.
func (p *predictor) input(sequence uint32, m Move, now float64) {
	p.moves[sequence%movesKept] = made{sequence, now, m}
	p.last, p.stale = sequence, true
}

// snapshot takes the newest view, in which the input called applied is the newest.
func (p *predictor) snapshot(v *wire.View, applied uint32, now float64) {
	p.learn(v, applied, now)
	e, ok := p.find(v)
	if !ok || len(p.leads) == 0 {
		p.own = 0
		return
	}
	tick := float64(v.Tick)
	again := e.ID == p.own
	var was []float64
	if again {
		p.refresh(now)
		was = slices.Clone(p.predicted(now))
		p.before = append(p.before[:0], p.state(tick-1)...)
	}
	k := p.schema.Kind(e.Kind)
	if !again {
		p.own, p.look, p.offset, p.sizes = e.ID, newLook(k), nil, nil
		p.before = nil
		if k.Gait().Speed > 0 {
			p.at = newWalker(k)
		}
	}
	p.walk.look(p.schema, v, e.ID, k.Gait().Radius)
	state := make([]float64, k.Len())
	for i := range state {
		state[i] = k.Number(e, i)
	}
	if p.before == nil {
		p.before = state
	}
	p.states, p.base, p.applied, p.stale = append(p.states[:0], state), tick, applied, false
	if again {
		p.correct(was, p.predicted(now), now)
	} else {
		p.offset = make([]float64, len(p.look.places))
	}
}

// find is the player's first entity that can be predicted.
func (p *predictor) find(v *wire.View) (wire.Entity, bool) {
	for i := range v.Len() {
		if e := v.At(i); e.Owner == p.player && p.player != "" {
			if k := p.schema.Kind(e.Kind); k.Gait().Speed > 0 || p.steps[k.Name()] != nil {
				return e, true
			}
		}
	}
	return wire.Entity{}, false
}

// learn takes when the newest applied input was made.
func (p *predictor) learn(v *wire.View, applied uint32, now float64) {
	m := p.moves[applied%movesKept]
	if applied == 0 || m.sequence != applied {
		return
	}
	p.advance(now)
	p.leads = push(p.leads, m.at-float64(v.Tick)*p.tickTime, leadWindow)
	p.target = median(slices.Clone(p.leads))
	if len(p.leads) == 1 || math.Abs(p.target-p.lead) > leadJump {
		p.lead = p.target
	}
}

func (p *predictor) advance(now float64) {
	passed := max(0, now-p.leadAt)
	p.leadAt = max(p.leadAt, now)
	p.lead += bounded(p.target-p.lead, leadSlew*passed)
}

// correct shows on what was predicted until now, and lets the difference fade.
func (p *predictor) correct(was, is []float64, now float64) {
	p.decay(now)
	var size, left float64
	far := false
	for i, f := range p.look.places {
		d := was[f] - is[f]
		size += float64(d * d)
		p.offset[i] += d
		left += float64(p.offset[i] * p.offset[i])
		field := p.look.kind.At(f)
		far = far || math.Abs(p.offset[i]) > snap*(field.Max-field.Min)
	}
	p.sizes = push(p.sizes, math.Sqrt(size), corrections)
	if far {
		clear(p.offset)
	}
}

func (p *predictor) decay(now float64) {
	part := math.Exp(-max(0, now-p.offsetAt) / fade)
	p.offsetAt = max(p.offsetAt, now)
	for i := range p.offset {
		p.offset[i] *= part
	}
}

// shown is the entity's fields as they are to be shown now; nil: there is none to
// predict. It is good until the next call.
func (p *predictor) shown(now float64) []float64 {
	if p.own == 0 {
		return nil
	}
	p.refresh(now)
	p.decay(now)
	v := p.predicted(now)
	for i, f := range p.look.places {
		field := p.look.kind.At(f)
		v[f] = max(field.Min, min(v[f]+p.offset[i], field.Max))
	}
	return v
}

// refresh steps anew when an input came since. Where a tick has it that is shown
// already, the difference fades, as if it were a correction.
func (p *predictor) refresh(now float64) {
	if !p.stale {
		return
	}
	p.stale = false
	was := slices.Clone(p.predicted(now))
	p.states = p.states[:1]
	is := p.predicted(now)
	p.decay(now)
	for i, f := range p.look.places {
		p.offset[i] += was[f] - is[f]
	}
}

// predicted is the state between the ticks that are due now, without what is left of
// corrections.
func (p *predictor) predicted(now float64) []float64 {
	p.advance(now)
	due := max(p.base, min((now-p.lead)/p.tickTime, p.base+mostAhead/p.tickTime))
	tick := math.Floor(due)
	a, b := p.state(tick-1), p.state(tick)
	p.values = append(p.values[:0], b...)
	for _, f := range p.look.places {
		p.values[f] = p.look.mix(f, a[f], b[f], due-tick)
	}
	for f, turn := range p.look.turns {
		if turn != 0 {
			p.values[f] = p.look.mix(f, a[f], b[f], due-tick)
		}
	}
	return p.values
}

// state is the predicted state at the end of a tick, from the one before base on.
func (p *predictor) state(tick float64) []float64 {
	if tick < p.base {
		return p.before
	}
	for float64(len(p.states)) <= tick-p.base {
		next := slices.Clone(p.states[len(p.states)-1])
		p.step(next, p.moveAt(p.base+float64(len(p.states))))
		p.states = append(p.states, next)
	}
	return p.states[int(tick-p.base)]
}

func (p *predictor) step(state []float64, m Move) {
	dt := p.tickTime / 1000
	if own := p.steps[p.look.kind.Name()]; own != nil {
		own(state, m, dt)
		return
	}
	p.walk.step(p.at, state, m, dt)
}

// moveAt is the move that a tick after base will have: half a tick later than it is
// certain of, so that it does not change with every unevenness.
func (p *predictor) moveAt(tick float64) Move {
	by := (tick+0.5)*p.tickTime + p.lead
	for n := p.last; n > p.applied && p.last-n < movesKept; n-- {
		if m := p.moves[n%movesKept]; m.sequence == n && m.at <= by {
			return m.move
		}
	}
	if m := p.moves[p.applied%movesKept]; m.sequence == p.applied {
		return m.move
	}
	return Move{}
}

// correction is the largest one of the last snapshots.
func (p *predictor) correction() float64 {
	if len(p.sizes) == 0 {
		return 0
	}
	return slices.Max(p.sizes)
}
