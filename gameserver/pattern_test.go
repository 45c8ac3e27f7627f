package gameserver

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

// presses makes moves that a seed decides: keys that are held for a while.
func presses(seed uint64, n int) []wire.Move {
	rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // it is played again from its seed
	var moves []wire.Move
	for len(moves) < n {
		m := wire.MakeMove(float64(rng.IntN(3)-1), float64(rng.IntN(3)-1), uint32(rng.IntN(2)))
		for range 1 + rng.IntN(6) {
			moves = append(moves, m)
		}
	}
	return moves[:n]
}

// TestPatternsOfAnAddress: two players that one program plays, the second a second
// late, have sequences in common, and a third behind their address has none of them.
func TestPatternsOfAnAddress(t *testing.T) {
	t.Parallel()
	w := &witness{}
	playWith(t, func(s *stage) { s.events = w }, func(s *stage) {
		conns, _ := s.enter("t", "ada", "bo", "cy")
		moves := [][]wire.Move{presses(1, 900), presses(1, 900), presses(2, 900)}
		for step := range 900 {
			for i, conn := range conns {
				n := step - 30*(i%2)
				if n < 0 {
					continue
				}
				s.net.say(conn, wire.AppendInput(nil, wire.Input{Sequence: uint32(n + 1), Count: 1, Moves: [wire.MaxMoves]wire.Move{moves[i][n]}}))
			}
			s.wait(time.Second / 30)
		}
		w.of(t, throng.EventInputPattern)
		pressed := map[throng.PlayerID]map[uint64]bool{"ada": {}, "bo": {}, "cy": {}}
		for _, e := range w.got {
			if e.Type != throng.EventInputPattern {
				continue
			}
			var d throng.InputPattern
			if err := json.Unmarshal(e.Data, &d); err != nil {
				t.Fatal(err)
			}
			if e.Stream != throng.StreamMotion || e.Key != d.Source || d.Source == "" {
				t.Errorf("%s: got stream %s and key %q of source %q", e.ID, e.Stream, e.Key, d.Source)
			}
			for _, h := range d.Shingles {
				pressed[e.Player][h] = true
			}
		}
		common := func(a, b throng.PlayerID) (n int) {
			for h := range pressed[a] {
				if pressed[b][h] {
					n++
				}
			}
			return n
		}
		if both := common("ada", "bo"); both < 20 || common("ada", "cy") > 0 || len(pressed["cy"]) < 20 {
			t.Errorf("ada and bo have %d in common, want at least 20; ada and cy %d, want none; cy pressed %d", both, common("ada", "cy"), len(pressed["cy"]))
		}
	})
}

// TestPatternsOfOne: who is alone behind his address is not compared with anybody.
func TestPatternsOfOne(t *testing.T) {
	t.Parallel()
	w := &witness{}
	playWith(t, func(s *stage) { s.events = w }, func(s *stage) {
		conns, _ := s.enter("t", "ada")
		for n, m := range presses(1, 400) {
			s.net.say(conns[0], wire.AppendInput(nil, wire.Input{Sequence: uint32(n + 1), Count: 1, Moves: [wire.MaxMoves]wire.Move{m}}))
			s.wait(time.Second / 30)
		}
		if got := w.of(t, throng.EventInputPattern); len(got) > 0 {
			t.Errorf("got %d", len(got))
		}
	})
}

func TestPatternIsOfWhatWasSeenWhole(t *testing.T) {
	play := func(moves []wire.Move, from uint32, miss int) []uint64 {
		p := &pattern{}
		var all []uint64
		for i, m := range moves {
			if i != miss {
				p.step(from+uint32(i), m)
				all = append(all, p.smallest...)
				p.smallest = p.smallest[:0]
			}
		}
		return all
	}
	moves := presses(7, 600)
	whole := play(moves, 1, -1)
	if len(whole) < 100 {
		t.Fatalf("got %d sequences of 600 moves", len(whole))
	}
	// Whoever comes in late, or misses a move, has only sequences that are there.
	late, missed := play(moves[100:], 1000, -1), play(moves, 1, 300)
	for name, got := range map[string][]uint64{"late": late, "missed": missed} {
		if len(got) == 0 || len(got) > len(whole)-10 {
			t.Errorf("%s: got %d sequences, whole has %d", name, len(got), len(whole))
		}
		for _, h := range got {
			if !slices.Contains(whole, h) {
				t.Errorf("%s: %d is no sequence of the whole", name, h)
				break
			}
		}
	}
	p := &pattern{}
	for n, m := range moves {
		p.step(uint32(n+1), m)
	}
	slices.Sort(whole)
	if !slices.Equal(p.smallest, slices.Compact(whole)[:mostShingles]) {
		t.Error("not the smallest are kept")
	}
}
