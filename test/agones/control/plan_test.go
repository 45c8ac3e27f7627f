package control

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

func on(name, node string, st object.State) *object.GameServer {
	return &object.GameServer{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status:     object.GameServerStatus{State: st, NodeName: node},
	}
}

// TestSurplus: what ends first when a set shrinks.
func TestSurplus(t *testing.T) {
	up := []*object.GameServer{
		on("a1", "full", object.Allocated), on("a2", "full", object.Ready), on("a3", "full", object.Ready),
		on("b1", "half", object.Reserved), on("b2", "half", object.Ready),
		on("c1", "empty", object.Ready),
		on("d1", "full", object.Scheduled),
	}
	for scheduling, want := range map[string][]string{
		"Packed":      {"d1", "c1", "b2", "a2", "a3"}, // not Ready first, then the emptiest node's
		"Distributed": {"d1", "a2", "a3", "b2", "c1"},
	} {
		var got []string
		for _, gs := range surplus(up, 99, scheduling) {
			got = append(got, gs.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q: never an Allocated or Reserved one", scheduling, got, want)
		}
	}
	if got := surplus(up, 1, "Packed"); len(got) != 1 {
		t.Errorf("got %d, want 1", len(got))
	}
}

// TestOver: as many Allocated servers are marked as there are too many.
func TestOver(t *testing.T) {
	o := &object.Overflow{Labels: map[string]string{"overflow": "yes"}}
	marked := on("a", "n", object.Allocated)
	marked.Labels = o.Labels
	up := []*object.GameServer{
		marked, on("b", "n", object.Allocated), on("c", "n", object.Allocated), on("d", "n", object.Ready),
	}
	if got := over(up, 1, o); len(got) != 1 || got[0].Name != "b" {
		t.Errorf("got %v, want b: one of two is marked already", got)
	}
	if got := over(up, 3, o); len(got) != 0 {
		t.Errorf("got %v: none is too many", got)
	}
}
