package gameserver

import (
	"math/rand/v2"
	"testing"

	"github.com/throng-gg/throng/wire"
)

// inputOf is the input with moves up to a sequence, each told apart by its buttons.
func inputOf(sequence uint32, count int) wire.Input {
	in := wire.Input{Sequence: sequence, Count: uint8(min(uint32(count), sequence))}
	for i := range in.Count {
		in.Moves[i].Buttons = sequence - uint32(in.Count) + 1 + uint32(i)
	}
	return in
}

// hands takes what each step takes, and checks that moves come in order, once.
type hands struct {
	t       *testing.T
	q       inputs
	last    uint32
	skipped int // moves that were never given
	idle    int // steps without one
	waited  int // left over after all steps
	most    int // in a step
}

func (h *hands) step() {
	h.t.Helper()
	n := h.q.due(30)
	h.most = max(h.most, n)
	if n == 0 {
		h.idle++
	}
	for range n {
		m := h.q.take()
		if m.sequence <= h.last || m.move.Buttons != m.sequence {
			h.t.Fatalf("move %d, which is %d, was given after %d", m.move.Buttons, m.sequence, h.last)
		}
		h.skipped += int(m.sequence - h.last - 1)
		h.last = m.sequence
	}
	h.waited += len(h.q.waiting)
}

// Inputs get lost, come late and out of order: every move is given, but for those
// of which all inputs were lost.
func TestEveryMoveIsGivenOnceInOrder(t *testing.T) {
	const all = 60_000
	for name, c := range map[string]struct {
		loss    float64
		jitter  int // steps
		repeats int
	}{
		"nothing is lost":                   {0, 0, 8},
		"5 % lost":                          {0.05, 0, 8},
		"5 % lost, late by up to two steps": {0.05, 2, 8},
		"half are lost":                     {0.5, 0, 8},
		"5 % lost, each move comes twice":   {0.05, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			dice := rand.New(rand.NewPCG(3, 4))
			h := &hands{t: t}
			var newest uint32
			arriving := map[int][]uint32{}
			run, expected := 0, 0
			for i := range all {
				made := uint32(i + 1)
				if dice.Float64() >= c.loss || i == all-1 {
					if run >= c.repeats {
						expected += run - c.repeats + 1
					}
					run = 0
					at := i + dice.IntN(c.jitter+1)
					arriving[at] = append(arriving[at], made)
				} else {
					run++
				}
				for _, s := range arriving[i] {
					if s > newest { // as Replica.Receive does
						newest = s
						h.q.add(inputOf(s, c.repeats), 0)
					}
				}
				delete(arriving, i)
				h.step()
			}
			for range 2 * mostMoves {
				h.step()
			}
			waited := float64(h.waited) / all
			t.Logf("of %d moves %d never came; %d steps had none, a move waited %.2f steps", all, h.skipped, h.idle, waited)
			if c.jitter == 0 && (h.skipped != expected || h.q.missing != expected) {
				t.Errorf("%d moves were not given, %d are counted; of %d all inputs were lost", h.skipped, h.q.missing, expected)
			}
			if c.jitter > 0 && h.skipped != h.q.missing || h.q.dropped != 0 || h.last < all-2 {
				t.Errorf("%d were not given, %d counted, %d dropped, the last is %d of %d", h.skipped, h.q.missing, h.q.dropped, h.last, all)
			}
			if c.loss == 0.05 && c.repeats == 8 && h.skipped > 0 {
				t.Errorf("%d moves were not given at 5 %% loss", h.skipped)
			}
			if c.loss == 0 && (h.waited > 2*mostMoves || h.idle > 2*mostMoves) || waited > 4 {
				t.Errorf("a move waited %.2f steps, %d steps had none", waited, h.idle)
			}
		})
	}
}

// A burst after a pause is made up for within seconds, a move or two more a step.
func TestBurstOfMovesIsMadeUpFor(t *testing.T) {
	h := &hands{t: t}
	sequence := uint32(0)
	step := func(moves int) {
		sequence += uint32(moves)
		if moves > 0 {
			h.q.add(inputOf(sequence, moves), 0)
		}
		h.step()
	}
	for range 100 {
		step(1)
	}
	for range 7 {
		step(0)
	}
	step(8)
	for range 2 * spareSeconds * 30 {
		step(1)
	}
	if len(h.q.waiting) != 0 || h.skipped != 0 || h.most > atOnce {
		t.Errorf("%d moves wait still, %d were skipped, %d a step at most", len(h.q.waiting), h.skipped, h.most)
	}
}

// A client that makes more moves than there are steps is heard: up to three a
// step, and what is more is dropped.
func TestTooManyMoves(t *testing.T) {
	for perStep, dropped := range map[int]bool{2: false, 3: false, 8: true} {
		h := &hands{t: t}
		for i := range 3000 {
			for j := range perStep {
				h.q.add(inputOf(uint32(i*perStep+j+1), 8), 0)
			}
			h.step()
			if len(h.q.waiting) > mostMoves {
				t.Fatalf("%d a step: %d wait", perStep, len(h.q.waiting))
			}
		}
		if dropped != (h.q.dropped > 0) || h.most > atOnce || h.skipped != h.q.dropped {
			t.Errorf("%d a step: %d dropped, %d skipped, %d a step at most", perStep, h.q.dropped, h.skipped, h.most)
		}
	}
}

// Sequences are the client's word: none makes the queue fall over.
func TestInputsTakeAnySequence(t *testing.T) {
	h := &hands{t: t}
	for _, s := range []uint32{1, 2, 5, 1 << 20, 1<<32 - 2, 1<<32 - 1} {
		h.q.add(inputOf(s, 8), 0)
		for range 4 {
			h.step()
		}
	}
	if h.last != 1<<32-1 || h.q.missing == 0 {
		t.Errorf("the last move is %d, %d are missing", h.last, h.q.missing)
	}
	q := inputs{}
	q.add(wire.Input{Sequence: 1, Count: 8}, 0)
	if len(q.waiting) != 1 {
		t.Errorf("an input that repeats moves before the first: %d wait", len(q.waiting))
	}
}
