package bot

import (
	_ "embed" // the trace
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// walkTrace is a recorded walk: one line a stretch, "milliseconds degrees
// percent buttons": for so long the walker heads there, at that share of full
// speed, with those buttons down. It was recorded from a seeded model of people
// in open games (trace_test.go writes it): stretches of log-normal length,
// pauses, small corrections of the heading and now and then a turn about.
//
//go:embed testdata/walk.trace
var walkTrace string

// stretch is one line of a walk.
type stretch struct {
	ms      int
	heading float64 // radians
	speed   float64 // 0 to 1
	buttons uint32
}

// parseWalk reads a trace.
func parseWalk(text string) ([]stretch, error) {
	var walk []stretch
	for i, line := range strings.Split(text, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) != 4 {
			return nil, fmt.Errorf("walk line %d: want 4 numbers, got %q", i+1, line)
		}
		var n [4]int
		for j, f := range fields {
			v, err := strconv.Atoi(f)
			if err != nil {
				return nil, fmt.Errorf("walk line %d: %w", i+1, err)
			}
			n[j] = v
		}
		if n[0] <= 0 {
			return nil, fmt.Errorf("walk line %d: a stretch takes %d ms", i+1, n[0])
		}
		walk = append(walk, stretch{
			ms: n[0], heading: float64(n[1]) * math.Pi / 180, speed: float64(n[2]) / 100, buttons: uint32(n[3]),
		})
	}
	if len(walk) == 0 {
		return nil, fmt.Errorf("walk has no stretches")
	}
	return walk, nil
}

// Walker replays a walk from a place in it, turned by an angle, so that no two
// walkers go the same way. Owned by one bot.
type Walker struct {
	walk []stretch
	turn float64
	at   int
	left int // ms of the stretch
}

// NewWalker returns a walker of the bots' walk, the same for the same rng.
func NewWalker(rng *rand.Rand) *Walker {
	walk, err := parseWalk(walkTrace)
	if err != nil {
		panic(err) // it is embedded, and tested
	}
	return newWalker(walk, rng)
}

func newWalker(walk []stretch, rng *rand.Rand) *Walker {
	at := rng.IntN(len(walk))
	return &Walker{walk: walk, turn: rng.Float64() * 2 * math.Pi, at: at, left: walk[at].ms}
}

// Step goes on by ms and says what the walker wants.
func (w *Walker) Step(ms int) (x, y float64, buttons uint32) {
	w.left -= ms
	for w.left <= 0 {
		w.at = (w.at + 1) % len(w.walk)
		w.left += w.walk[w.at].ms
	}
	s := w.walk[w.at]
	return s.speed * math.Cos(s.heading+w.turn), s.speed * math.Sin(s.heading+w.turn), s.buttons
}
