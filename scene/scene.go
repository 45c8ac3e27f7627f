package scene

import (
	"time"

	"github.com/throng-gg/throng/wire"
)

// Scene is one connection's world as it is to be shown. A new connection begins with
// a new one.
type Scene struct {
	clock   *clock
	smooth  *smoother
	predict *predictor
	out     []Entity
}

// Stats is how a scene is shown now.
type Stats struct {
	Behind time.Duration // of the newest snapshot, for what is not predicted
	// Correction is how far the newest snapshots moved the player's own entity from
	// where it was shown, in units of x and y: the largest of the last thirty.
	Correction float64
}

// New makes the scene of what a welcome says.
func New(w wire.Welcome) *Scene {
	tickTime := 1000 / float64(max(1, w.TickRate))
	return &Scene{
		clock:  &clock{tickTime: tickTime},
		smooth: newSmoother(w.Schema, tickTime),
		predict: &predictor{
			schema: w.Schema, player: w.Player, tickTime: tickTime, steps: map[string]Step{},
		},
	}
}

// Predict has step move the player's own entity of a kind, in place of what the kind
// says of itself; see wire.Gait. It is called before the first Snapshot.
func (s *Scene) Predict(kind string, step Step) { s.predict.steps[kind] = step }

// Snapshot takes a copy of a complete snapshot that came now, in which the input called
// applied is the newest (see client.World.Applied), and the round trip that it ended;
// 0: none. An older one than before changes nothing.
func (s *Scene) Snapshot(v *wire.View, applied uint32, round, now time.Duration) {
	at := ms(now)
	if !s.smooth.add(v, at) {
		return
	}
	if round > 0 {
		s.clock.add(float64(v.Tick), ms(round), at)
	}
	s.predict.snapshot(s.smooth.newest(), applied, at)
}

// Input takes a move that is sent now; sequence counts the connection's inputs from 1.
func (s *Scene) Input(sequence uint32, m wire.Move, now time.Duration) {
	x, y := m.Axes()
	s.predict.input(sequence, Move{X: x, Y: y, Buttons: m.Buttons}, ms(now))
}

// Tick is at which tick the server is now, with its fraction; false: no round trip is
// known. It never goes back but when the server stood still for half a second.
func (s *Scene) Tick(now time.Duration) (float64, bool) { return s.clock.tick(ms(now)) }

// At is all entities as they are to be shown now, in the order of their IDs, but the
// player's own may be the last. They are good until the next call.
func (s *Scene) At(now time.Duration) []Entity {
	at := ms(now)
	s.out = s.smooth.at(at, s.out[:0])
	own := s.predict.shown(at)
	if own == nil {
		return s.out
	}
	i, ok := s.smooth.newest().Search(s.predict.own)
	if !ok {
		return s.out
	}
	newest := s.smooth.newest().At(i)
	e := Entity{is: newest, kind: s.smooth.schema.Kind(newest.Kind), look: &s.smooth.looks[newest.Kind], own: own}
	for j := range s.out {
		if s.out[j].ID() == newest.ID {
			s.out[j] = e
			return s.out
		}
	}
	s.out = append(s.out, e)
	return s.out
}

// Stats is how the scene is shown now.
func (s *Scene) Stats() Stats {
	return Stats{
		Behind:     time.Duration(s.smooth.delay * s.smooth.tickTime * float64(time.Millisecond)),
		Correction: s.predict.correction(),
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
