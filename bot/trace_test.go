package bot

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata anew")

// recordWalk is the model that the trace is recorded from.
func recordWalk() string {
	rng := rand.New(rand.NewPCG(20, 26))
	var b strings.Builder
	b.WriteString("# milliseconds degrees percent buttons; written by go test ./bot -run TestWalkTrace -update\n")
	heading := 0.0
	for range 2000 {
		ms := 120 + int(1000*math.Exp(0.8*rng.NormFloat64()-0.7))
		speed, buttons := 100, 0
		switch p := rng.Float64(); {
		case p < 0.15: // stand and look
			speed = 0
		case p < 0.30: // walk
			speed = 40 + rng.IntN(40)
			heading += 30 * rng.NormFloat64()
		case p < 0.40: // turn about
			heading += 180 + 25*rng.NormFloat64()
		default: // correct the heading
			heading += 20 * rng.NormFloat64()
		}
		if rng.Float64() < 0.08 {
			buttons = 1
		}
		heading = math.Mod(heading+720, 360)
		fmt.Fprintln(&b, min(ms, 6000), int(heading), speed, buttons)
	}
	return b.String()
}

func TestWalkTraceIsTheRecordedOne(t *testing.T) {
	want := recordWalk()
	if *update {
		if err := os.WriteFile("testdata/walk.trace", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("testdata/walk.trace")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("testdata/walk.trace is not what the model writes: run with -update and look at the difference")
	}
}

func TestWalkersTurnAndStop(t *testing.T) {
	walk, err := parseWalk(walkTrace)
	if err != nil {
		t.Fatal(err)
	}
	w := newWalker(walk, rand.New(rand.NewPCG(1, 2)))
	stopped, turned := 0, 0
	var lastX, lastY float64
	for range 30 * 120 {
		x, y, _ := w.Step(33)
		if n := math.Hypot(x, y); n > 1.0001 {
			t.Fatalf("step wants speed %v, at most 1 is possible", n)
		}
		if x == 0 && y == 0 {
			stopped++
		}
		if x != lastX || y != lastY {
			turned++
		}
		lastX, lastY = x, y
	}
	if stopped < 100 || turned < 60 {
		t.Errorf("in two minutes the walker stood for %d ticks and changed course %d times: not like a person", stopped, turned)
	}
}

func TestWalkBadLinesAreNamed(t *testing.T) {
	for _, text := range []string{"", "1 2 3", "a 0 0 0", "0 1 2 3"} {
		if _, err := parseWalk(text); err == nil {
			t.Errorf("parseWalk(%q): got no error", text)
		}
	}
}
