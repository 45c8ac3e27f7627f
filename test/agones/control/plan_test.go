package control

import (
	"slices"
	"testing"

	"github.com/throng-gg/throng/test/agones/object"
)

// TestRoll replays the sizes that were recorded during a rolling update of 6
// servers of which 2 were Allocated (testdata/rolling, testdata/watch).
func TestRoll(t *testing.T) {
	for _, step := range []struct {
		why         string
		newest, old generation
		size, rest  int32
	}{
		{"the template changed", generation{}, generation{6, 6, 4, 2}, 2, 5},
		{"one old server is gone", generation{2, 2, 0, 0}, generation{5, 5, 3, 2}, 3, 5},
		{"the new ones start", generation{3, 3, 0, 0}, generation{5, 5, 3, 2}, 3, 5},
		{"the new ones are there", generation{3, 3, 3, 0}, generation{5, 5, 3, 2}, 3, 1},
		{"only Allocated ones are old", generation{3, 3, 3, 0}, generation{1, 2, 0, 2}, 4, 1},
		{"all is done", generation{4, 4, 4, 0}, generation{1, 2, 0, 2}, 4, 1},
		{"an old one ended", generation{4, 4, 4, 0}, generation{1, 1, 0, 1}, 5, 1},
		{"and was replaced", generation{5, 5, 5, 0}, generation{1, 1, 0, 1}, 5, 0},
	} {
		size, rest := roll(6, object.Strategy{Type: "RollingUpdate"}, step.newest, []generation{step.old})
		if size != step.size || !slices.Equal(rest, []int32{step.rest}) {
			t.Errorf("%s: got %d new, %d old; recorded %d and %d", step.why, size, rest[0], step.size, step.rest)
		}
	}
	// Scaled to 1 while 3 new and 1 old are Allocated.
	if size, _ := roll(1, object.Strategy{}, generation{5, 5, 2, 3}, []generation{{0, 1, 0, 1}}); size != 0 {
		t.Errorf("scaled below Allocated: %d new, recorded 0", size)
	}
}
