package netcode

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestReplayWindow(t *testing.T) {
	steps := []struct {
		number uint64
		seen   bool
	}{
		{5, false},
		{5, true},
		{0, false},
		{0, true},
		{260, false},
		{5, true}, // seen before 260, and still in the window
		{4, true}, // too old
		{6, false},
		{260, true},
		{1000, false},
		{744, true},
		{745, false},
		{1 << 63, false},
		{1000, true},
		{math.MaxUint64, false},
		{math.MaxUint64, true},
		{math.MaxUint64 - 255, false},
		{math.MaxUint64 - 256, true},
		{0, true},
	}
	var w replayWindow
	for i, s := range steps {
		if got := w.has(s.number); got != s.seen {
			t.Errorf("step %d, number %d: got %t, want %t", i, s.number, got, s.seen)
		}
		if !w.has(s.number) {
			w.add(s.number)
		}
	}
}

// The window says what a full memory would, cut at 256 below the newest.
func TestReplayWindowAgainstMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.SampledFrom([]uint64{0, 1 << 63, math.MaxUint64 - 2000}).Draw(t, "base")
		var w replayWindow
		seen, newest := map[uint64]bool{}, uint64(0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			n := base + rapid.Uint64Range(0, 2000).Draw(t, "number")
			want := seen[n] || len(seen) > 0 && n < newest && newest-n >= 256
			if got := w.has(n); got != want {
				t.Fatalf("number %d, newest %d: got %t, want %t", n, newest, got, want)
			}
			if !want {
				w.add(n)
				seen[n], newest = true, max(newest, n)
			}
		}
	})
}
