package allocation

import (
	"math/rand/v2"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/throng-gg/throng/test/agones/object"
)

func on(name, node string, st object.State, rooms int64) *object.GameServer {
	return &object.GameServer{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"name": name}},
		Status: object.GameServerStatus{
			State: st, NodeName: node,
			Counters: map[string]object.Counter{"rooms": {Count: rooms, Capacity: 10}},
		},
	}
}

// TestOrder: Packed takes from the node that has most, whatever the priorities
// say; they order the servers of one node.
func TestOrder(t *testing.T) {
	servers := []*object.GameServer{
		on("a", "idle", object.Ready, 0), on("b", "idle", object.Ready, 0),
		on("c", "busy", object.Allocated, 0), on("d", "busy", object.Ready, 2), on("e", "busy", object.Ready, 5),
	}
	names := func(o []*object.GameServer) (out []string) {
		for _, gs := range o {
			out = append(out, gs.Name)
		}
		return out
	}
	rnd := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // a test's
	if got, want := names(order(servers, Packed, nil, rnd)), []string{"c", "d", "e", "a", "b"}; !slices.Equal(got, want) {
		t.Errorf("packed: got %q, want %q", got, want)
	}
	fullest := []Priority{{Type: "Counter", Key: "rooms", Order: "Ascending"}}
	if got, want := names(order(servers, Packed, fullest, rnd)), []string{"e", "d", "c", "a", "b"}; !slices.Equal(got, want) {
		t.Errorf("by what is free: got %q, want %q", got, want)
	}
	if got := names(order(servers, Distributed, fullest, rnd)); got[0] != "e" || got[1] != "d" {
		t.Errorf("distributed, by what is free: got %q", got)
	}
}

func TestPick(t *testing.T) {
	servers := []*object.GameServer{on("a", "n", object.Ready, 0), on("b", "n", object.Allocated, 9), on("c", "n", object.Ready, 0)}
	none := func(*object.GameServer) bool { return false }
	selectors := []Selector{
		{State: object.Allocated, Counters: map[string]CounterSelector{"rooms": {MinAvailable: 2}}},
		{State: object.Ready, LabelSelector: metav1.LabelSelector{MatchLabels: map[string]string{"name": "c"}}},
	}
	if got := pick(servers, selectors, none); got == nil || got.Name != "c" {
		t.Errorf("got %v, want c: the Allocated one is too full", got)
	}
	if got := pick(servers, selectors, func(gs *object.GameServer) bool { return gs.Name == "c" }); got != nil {
		t.Errorf("got %v, want none: c is taken", got.Name)
	}
}

func TestApplyCutsOff(t *testing.T) {
	many, room := int64(99), int64(2)
	if got := (CounterAction{Action: "Increment", Amount: &many}).on(object.Counter{Count: 1, Capacity: 3}); got.Count != 3 {
		t.Errorf("incremented past the capacity: %+v", got)
	}
	if got := (CounterAction{Action: "Decrement", Amount: &many}).on(object.Counter{Count: 1, Capacity: 3}); got.Count != 0 {
		t.Errorf("decremented below 0: %+v", got)
	}
	got := ListAction{AddValues: []string{"a", "b", "c"}, Capacity: &room}.on(object.List{Capacity: 5, Values: []string{"a"}})
	if !slices.Equal(got.Values, []string{"a", "b"}) {
		t.Errorf("added past the capacity: %+v", got)
	}
}
