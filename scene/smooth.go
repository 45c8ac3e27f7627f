package scene

import (
	"math"
	"slices"

	"github.com/throng-gg/throng/wire"
)

const (
	framesKept = 32  // snapshots to draw between
	lagWindow  = 64  // snapshots that say how late they come
	leastGaps  = 2.2 // between snapshots that the world is shown behind, and what nine of ten need on top
	mostDelay  = 8   // ticks, or
	mostGaps   = 3
	smoothSlew = 0.05 // how much faster or slower than real time the world may run
	smoothJump = 12   // ticks off at which it jumps instead
	// An entity whose last two samples are further apart than that was at rest until a
	// gap before the later one.
	mostSpan = 6
	// ahead is how many ticks an entity goes on as between its last two samples when the
	// next one is late.
	ahead = 3
)

// smoother shows a world that comes in steps, late and with gaps, as one that moves
// evenly. Times are in ms, delays in ticks.
type smoother struct {
	schema   *wire.Schema
	looks    []look
	tickTime float64
	frames   []*wire.View // by tick
	lags     []float64    // of the last snapshots: arrival minus tick times tickTime
	gaps     []float64    // ticks between them
	gap      float64      // median of gaps
	delay    float64      // behind the newest that the world is aimed to be shown
	shown    float64      // tick
	asked    float64      // when it was shown
	begun    bool
}

func newSmoother(schema *wire.Schema, tickTime float64) *smoother {
	s := &smoother{schema: schema, tickTime: tickTime, gap: 1, delay: leastGaps + 0.3}
	for i := range schema.Len() {
		s.looks = append(s.looks, newLook(schema.Kind(i)))
	}
	return s
}

// add takes a copy of a snapshot that arrived now. False: it is no newer one.
func (s *smoother) add(v *wire.View, now float64) bool {
	if newest := s.newest(); newest != nil {
		if v.Tick <= newest.Tick {
			return false
		}
		s.gaps = push(s.gaps, float64(v.Tick-newest.Tick), lagWindow)
		s.gap = median(slices.Clone(s.gaps))
	}
	frame := &wire.View{}
	if len(s.frames) == framesKept {
		frame = s.frames[0]
	}
	frame.Copy(v)
	s.frames = push(s.frames, frame, framesKept)
	s.lags = push(s.lags, now-float64(v.Tick)*s.tickTime, lagWindow)
	s.adjust()
	return true
}

func (s *smoother) newest() *wire.View {
	if len(s.frames) == 0 {
		return nil
	}
	return s.frames[len(s.frames)-1]
}

// adjust sets the delay: up at once, down slowly, for a stutter is worse than a few
// milliseconds.
func (s *smoother) adjust() {
	sorted := slices.Sorted(slices.Values(s.lags))
	late := sorted[(len(sorted)-1)*9/10] - sorted[0]
	want := min(leastGaps*s.gap+late/s.tickTime, max(mostDelay, mostGaps*s.gap))
	if want > s.delay {
		s.delay = want
	} else {
		s.delay += (want - s.delay) * 0.02
	}
}

// advance says which tick is to be shown now.
func (s *smoother) advance(now float64) float64 {
	want := (now-slices.Min(s.lags))/s.tickTime - s.delay
	if !s.begun || math.Abs(want-s.shown) > smoothJump {
		s.shown, s.begun = want, true
	} else {
		passed := max(0, (now-s.asked)/s.tickTime)
		s.shown += passed + bounded(want-(s.shown+passed), smoothSlew*passed)
	}
	s.asked = now
	return s.shown
}

// at appends all entities as they are to be shown now, in the order of their IDs.
func (s *smoother) at(now float64, out []Entity) []Entity {
	if len(s.frames) == 0 {
		return out
	}
	tick := s.advance(now)
	f := len(s.frames) - 1
	for f > 0 && float64(s.frames[f].Tick) > tick {
		f--
	}
	for i := range s.frames[f].Len() {
		out = append(out, s.between(f, i, tick))
	}
	return out
}

// between is the i-th entity of a frame, the newest one up to tick, between the
// samples around it.
func (s *smoother) between(f, i int, tick float64) Entity {
	a := s.sample(f, i)
	e := Entity{is: a.entity, kind: s.schema.Kind(a.entity.Kind), look: &s.looks[a.entity.Kind], from: a.entity, to: a.entity}
	for n := f + 1; n < len(s.frames); n++ {
		b, ok := s.find(n, a.entity)
		if !ok {
			return e
		}
		if b.tick > a.tick {
			begin := a.tick
			if b.tick-a.tick > mostSpan {
				begin = b.tick - s.gap
			}
			e.move(a, b, max(0, min(1, (tick-begin)/(b.tick-begin))))
			return e
		}
	}
	if f < len(s.frames)-1 || a.tick < float64(s.frames[f].Tick) || tick <= a.tick {
		return e
	}
	for n := f - 1; n >= 0; n-- {
		b, ok := s.find(n, a.entity)
		if !ok || a.tick-b.tick > mostSpan {
			return e
		}
		if b.tick < a.tick {
			if !e.look.leaps(b.entity, a.entity) {
				e.move(b, a, 1+min(tick-a.tick, ahead)/(a.tick-b.tick))
			}
			return e
		}
	}
	return e
}

// sample is what an entity was at a tick.
type sample struct {
	entity wire.Entity
	tick   float64
}

func (s *smoother) sample(f, i int) sample {
	v := s.frames[f]
	return sample{v.At(i), float64(v.Tick) - float64(v.Age(i))}
}

// find is the sample of the same entity in another frame.
func (s *smoother) find(f int, e wire.Entity) (sample, bool) {
	i, ok := s.frames[f].Search(e.ID)
	if !ok {
		return sample{}, false
	}
	b := s.sample(f, i)
	return b, b.entity.Kind == e.Kind
}
