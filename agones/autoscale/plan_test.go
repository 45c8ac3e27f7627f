package autoscale

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/throng-gg/throng/agones/kind"
)

var noon = time.Unix(1_700_000_000, 0)

func TestShares(t *testing.T) {
	fleets := []Fleet{{Cluster: "a", Weight: 3}, {Cluster: "b", Weight: 1}, {Cluster: "c"}}
	for name, c := range map[string]struct {
		wanted int
		away   map[string]bool
		want   [3]int
	}{
		"by weight":          {40, nil, [3]int{30, 10, 0}},
		"rounded up":         {1, nil, [3]int{1, 1, 0}},
		"nothing":            {0, nil, [3]int{}},
		"one away":           {40, map[string]bool{"a": true}, [3]int{0, 40, 0}},
		"all away":           {40, map[string]bool{"a": true, "b": true, "c": true}, [3]int{30, 10, 0}},
		"those with a share": {40, map[string]bool{"a": true, "b": true}, [3]int{30, 10, 0}},
	} {
		if got := [3]int(shares(c.wanted, fleets, c.away)); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

// step is one question and the answer that it must get.
type step struct {
	at                              int // seconds
	replicas, allocated, known, res int
	want                            int
	hold                            bool
	answer                          int
}

func play(t *testing.T, b bounds, steps []step) {
	t.Helper()
	var m memory
	for _, s := range steps {
		got := m.answer(view{
			now: noon.Add(time.Duration(s.at) * time.Second), bounds: b, allocated: s.known, want: s.want, hold: s.hold,
			status: kind.FleetStatus{Replicas: s.replicas, AllocatedReplicas: s.allocated, ReservedReplicas: s.res},
		})
		if got != s.answer {
			t.Errorf("after %d s: got %d, want %d", s.at, got, s.answer)
		}
	}
}

func TestAnswer(t *testing.T) {
	wide := bounds{readyLeast: 1, readyMost: 100, most: 1000}
	for name, c := range map[string]struct {
		bounds bounds
		steps  []step
	}{
		"what is there is kept at first": {wide, []step{{0, 10, 4, 4, 0, 2, false, 10}}},
		"up at once, down after a minute, a tenth at a time": {wide, []step{
			{0, 10, 4, 4, 0, 30, false, 34},
			{5, 34, 4, 4, 0, 10, false, 34},
			{64, 34, 4, 4, 0, 10, false, 34},
			{65, 34, 4, 4, 0, 10, false, 32},
			{75, 32, 4, 4, 0, 10, false, 31},
		}},
		"a status that is late takes nothing away": {wide, []step{
			{0, 14, 4, 4, 0, 10, false, 14},
			{5, 14, 4, 9, 0, 10, false, 19},  // five were allocated, and Agones does not know
			{10, 14, 9, 9, 0, 10, false, 19}, // nor what it started
			{15, 17, 9, 9, 0, 10, false, 19},
			{20, 19, 9, 9, 0, 10, false, 19},
		}},
		"nor does what we have not seen": {wide, []step{{0, 14, 8, 2, 0, 6, false, 14}}},
		"reserved ones are occupied":     {wide, []step{{0, 14, 4, 4, 3, 7, false, 14}}},
		"another replica went down first": {wide, []step{
			{0, 20, 0, 0, 0, 5, false, 20},
			{5, 12, 0, 0, 0, 5, false, 12},
			{10, 3, 0, 0, 0, 5, false, 12}, // less than is wanted: no
		}},
		"a fall that nobody foresaw": {wide, []step{
			{0, 20, 0, 0, 0, 5, true, 20},
			{100, 12, 0, 0, 0, 5, true, 20},
			{200, 20, 0, 0, 0, 5, true, 20},
		}},
		"the most servers":           {bounds{1, 100, 0, 12}, []step{{0, 10, 8, 8, 0, 30, false, 12}}},
		"the most are occupied":      {bounds{1, 100, 0, 12}, []step{{0, 20, 20, 20, 0, 30, false, 20}}},
		"the least":                  {bounds{0, 100, 6, 12}, []step{{0, 0, 0, 0, 0, 0, false, 6}}},
		"the least Ready":            {bounds{3, 100, 0, 12}, []step{{0, 0, 0, 0, 0, 0, false, 3}}},
		"the most Ready":             {bounds{3, 5, 0, 12}, []step{{0, 0, 1, 1, 0, 50, false, 6}}},
		"the most Ready by mistake":  {bounds{5, 3, 0, 12}, []step{{0, 0, 1, 1, 0, 50, false, 6}}},
		"the least by mistake":       {bounds{1, 9, 8, 4}, []step{{0, 0, 0, 0, 0, 0, false, 8}}},
		"nothing there, nothing yet": {wide, []step{{0, 0, 0, 0, 0, 0, false, 1}}},
	} {
		t.Run(name, func(t *testing.T) { play(t, c.bounds, c.steps) })
	}
}

// Whatever comes: no answer ends an occupied server, none is below what is wanted
// or above what is allowed, and none falls fast.
func TestAnswersBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := bounds{
			readyLeast: rapid.IntRange(0, 20).Draw(t, "ready-least"), readyMost: rapid.IntRange(0, 100).Draw(t, "ready-most"),
			least: rapid.IntRange(0, 50).Draw(t, "least"), most: rapid.IntRange(0, 300).Draw(t, "most"),
		}
		var m memory
		now := noon
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "wait")) * time.Second)
			v := view{
				now: now, bounds: b, hold: rapid.Bool().Draw(t, "hold"),
				allocated: rapid.IntRange(0, 200).Draw(t, "known"), want: rapid.IntRange(0, 200).Draw(t, "want"),
				status: kind.FleetStatus{
					Replicas:          rapid.IntRange(0, 300).Draw(t, "replicas"),
					AllocatedReplicas: rapid.IntRange(0, 200).Draw(t, "allocated"),
					ReservedReplicas:  rapid.IntRange(0, 20).Draw(t, "reserved"),
				},
			}
			occupied := max(v.status.AllocatedReplicas, v.allocated) + v.status.ReservedReplicas
			got := m.answer(v)
			ready := max(min(v.want, b.readyMost), b.readyLeast)
			if got < occupied {
				t.Fatalf("got %d, and %d are occupied", got, occupied)
			}
			if got > max(occupied, b.most, b.least) {
				t.Fatalf("got %d, more than the most of %d, with %d occupied", got, b.most, occupied)
			}
			if got < min(occupied+ready, b.most) {
				t.Fatalf("got %d, less than %d occupied and %d wanted", got, occupied, ready)
			}
		}
	})
}

// Two replicas of the control plane answer in turn, and one was just started: the
// Fleet goes down once, and never up again.
func TestReplicasDoNotFlap(t *testing.T) {
	var one, two memory
	b := bounds{readyLeast: 1, readyMost: 100, most: 1000}
	spec, changes, before := 44, 0, 44
	for i := range 400 {
		m := &one
		if i > 10 && i%2 == 1 {
			m = &two // started when the demand was down already
		}
		want := 40
		if i > 8 {
			want = 8
		}
		spec = m.answer(view{
			now: noon.Add(time.Duration(5*i) * time.Second), bounds: b, allocated: 4, want: want,
			status: kind.FleetStatus{Replicas: before, AllocatedReplicas: 4},
		})
		if spec > before {
			changes++
		}
		before = spec
	}
	if spec != 12 || changes != 0 {
		t.Errorf("got %d servers at the end, %d times more than before; want 12, and never more", spec, changes)
	}
}

func TestFallbackOf(t *testing.T) {
	b := bounds{readyLeast: 1, readyMost: 100, least: 3, most: 50}
	for name, c := range map[string]struct {
		is    Buffer
		ready int
		want  Buffer
		same  bool
	}{
		"the same":          {Buffer{1, "f", 10, 10, 50}, 10, Buffer{1, "f", 10, 10, 50}, true},
		"more":              {Buffer{1, "f", 10, 10, 50}, 11, Buffer{1, "f", 11, 11, 50}, false},
		"a little less":     {Buffer{1, "f", 10, 10, 50}, 6, Buffer{1, "f", 10, 10, 50}, true},
		"much less":         {Buffer{1, "f", 10, 10, 50}, 5, Buffer{1, "f", 5, 5, 50}, false},
		"the least":         {Buffer{1, "f", 2, 2, 50}, 2, Buffer{1, "f", 2, 3, 50}, false},
		"nothing is one":    {Buffer{1, "f", 2, 3, 50}, 0, Buffer{1, "f", 1, 3, 50}, false},
		"more than allowed": {Buffer{1, "f", 2, 3, 50}, 90, Buffer{1, "f", 50, 50, 50}, false},
		"the most is low":   {Buffer{1, "f", 2, 3, 4}, 9, Buffer{1, "f", 9, 9, 9}, false},
	} {
		if got, same := fallbackOf(c.is, c.ready, b); got != c.want || same != c.same {
			t.Errorf("%s: got %+v %v, want %+v %v", name, got, same, c.want, c.same)
		}
	}
}
