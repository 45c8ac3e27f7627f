package region

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/throng-gg/throng"
)

// at is a region that has a session with so many of 50 seats taken, and a warm
// server; none is one that has only the server.
func at(id throng.RegionID, taken int) Candidate {
	c := Candidate{Region: id, Summary: throng.RegionSummary{Region: id, Warm: 1, Room: 100}}
	if taken > none {
		p := throng.PlaceSummary{Place: "arena"}
		p.Add(1, 50, 50-taken)
		c.Summary.Places = []throng.PlaceSummary{p}
	}
	return c
}

const none = -1

func with(c Candidate, change func(*Candidate)) Candidate {
	change(&c)
	return c
}

func want(w throng.Weights, ms map[throng.RegionID]float64) throng.RegionWish {
	return throng.RegionWish{Place: "arena", Seats: 1, Weights: w, Farthest: throng.DefaultMaxLatency, Latencies: ms}
}

// told is the order in which regions are tried, and why the others are not.
func told(list []throng.RegionChoice) string {
	var words []string
	for _, r := range list {
		word := string(r.Region)
		if r.Why != "" {
			word += ":" + r.Why
		}
		if !r.Try {
			word = "(" + word + ")"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

var (
	usual   = throng.Weights{Fill: 2, Latency: 3}
	hasty   = throng.Weights{Fill: 1, Latency: 10}
	farther = map[throng.RegionID]float64{"eu": 10, "us": 50}
)

func TestRank(t *testing.T) {
	for name, c := range map[string]struct {
		want       throng.RegionWish
		candidates []Candidate
		order      string
	}{
		"populated and 40 ms farther wins":             {want(usual, farther), []Candidate{at("eu", none), at("us", 25)}, "us eu"},
		"empty and near wins by weights":               {want(hasty, farther), []Candidate{at("eu", none), at("us", 25)}, "eu us"},
		"both populated, the near one wins":            {want(usual, farther), []Candidate{at("eu", 25), at("us", 25)}, "eu us"},
		"an empty session is no better than a new one": {want(usual, map[throng.RegionID]float64{"eu": 10, "us": 30}), []Candidate{at("eu", none), at("us", 0)}, "eu us"},
		"too far, however full": {
			want(usual, map[throng.RegionID]float64{"eu": 10, "us": 101}), []Candidate{at("eu", none), at("us", 49)}, "eu us",
		},
		"the far ones by distance": {
			want(usual, map[throng.RegionID]float64{"eu": 10, "us": 150, "ap": 120}), []Candidate{at("us", 49), at("ap", none), at("eu", none)}, "eu ap us",
		},
		"all are far: the nearest one's distance is near": {
			want(usual, map[throng.RegionID]float64{"eu": 180, "us": 170, "ap": 300}), []Candidate{at("ap", 49), at("eu", 49), at("us", none)}, "us eu ap",
		},
		"nobody measured: here first": {
			want(usual, nil), []Candidate{at("ap", 49), at("us", 40), with(at("eu", none), own)}, "eu ap us",
		},
		"not measured comes last": {
			want(usual, map[throng.RegionID]float64{"us": 400}), []Candidate{at("ap", 49), at("us", none)}, "us ap",
		},
		"the nearest is full": {
			want(usual, map[throng.RegionID]float64{"eu": 10, "us": 150, "ap": 120}),
			[]Candidate{with(at("eu", 50), func(c *Candidate) { c.Summary.Warm = 0 }), at("us", none), at("ap", none)},
			"ap us (eu:full)",
		},
		"what may be started counts": {
			want(usual, farther), []Candidate{with(at("eu", none), func(c *Candidate) { c.Summary.Warm, c.Summary.Spare = 0, 1 }), at("us", none)}, "eu us",
		},
		"what was sent there counts": {
			want(usual, farther), []Candidate{at("eu", none), with(at("us", 25), func(c *Candidate) { c.SentSeats = 25 })}, "eu us",
		},
		"a line": {
			want(usual, farther), []Candidate{with(at("eu", 25), func(c *Candidate) { c.SentTickets = 100 }), at("us", none)}, "us (eu:busy)",
		},
		"stale, refused, draining": {
			want(usual, farther),
			[]Candidate{with(at("a", 25), func(c *Candidate) { c.Age = FreshFor + 1 }), with(at("b", 25), func(c *Candidate) { c.Refused = true }), with(at("c", 25), func(c *Candidate) { c.Summary.Draining = true })},
			"(a:stale) (b:refused) (c:draining)",
		},
		"the own region has the last word": {
			want(usual, farther), []Candidate{with(at("eu", 25), func(c *Candidate) { own(c); c.Summary.Room = 0 }), with(at("us", 25), func(c *Candidate) { c.Age = FreshFor })}, "us eu:busy",
		},
		"a party needs room": {
			func() throng.RegionWish { w := want(usual, farther); w.Seats = 6; return w }(), []Candidate{at("eu", none), at("us", 45)}, "eu us",
		},
		"a session of one's own": {
			func() throng.RegionWish { w := want(usual, farther); w.New = true; return w }(), []Candidate{at("eu", none), at("us", 45)}, "eu us",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := told(Rank(c.want, c.candidates)); got != c.order {
				t.Errorf("got %s, want %s", got, c.order)
			}
		})
	}
}

func own(c *Candidate) { c.Own = true }

// Regions that are alike share the players.
func TestNearTiesAreDrawn(t *testing.T) {
	first := map[throng.RegionID]int{}
	for i := range 300 {
		w := want(usual, map[throng.RegionID]float64{"eu": 40, "us": 41, "ap": 42, "sa": 90})
		w.Random = uint64(i) * (math.MaxUint64 / 300)
		first[Rank(w, []Candidate{at("sa", 25), at("eu", 25), at("us", 25), at("ap", 25)})[0].Region]++
	}
	if first["eu"] < 99 || first["us"] < 99 || first["ap"] < 99 {
		t.Errorf("got %v, want about 100 each of eu, us and ap", first)
	}
}

// Whatever is known: every region comes once, in an order that does not depend on
// that of the candidates; what is tried stands before what is not; the own one is
// always tried, others only if nothing speaks against them, and none too far before
// one that is near.
func TestRankProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := []throng.RegionID{"a", "b", "c", "d", "e", "f"}
		w := want(throng.Weights{Fill: rapid.Float64Range(0, 100).Draw(t, "fill"), Latency: rapid.Float64Range(0, 100).Draw(t, "latency")}, map[throng.RegionID]float64{})
		w.Seats, w.Random = rapid.IntRange(1, 60).Draw(t, "seats"), rapid.Uint64().Draw(t, "random")
		var candidates []Candidate
		for i, id := range ids {
			if rapid.Bool().Draw(t, "measured") {
				w.Latencies[id] = rapid.Float64Range(0, 400).Draw(t, "ms")
			}
			candidates = append(candidates, with(at(id, rapid.IntRange(none, 50).Draw(t, "taken")), func(c *Candidate) {
				c.Own = i == 0
				c.Refused = rapid.IntRange(0, 4).Draw(t, "refused") == 0
				c.Summary.Warm = rapid.IntRange(0, 1).Draw(t, "warm")
				c.SentSeats = rapid.IntRange(0, 50).Draw(t, "sent")
			}))
		}
		list, tiers := Rank(w, candidates), rank(w, candidates)
		if other := Rank(w, rapid.Permutation(candidates).Draw(t, "order")); !slices.Equal(list, other) {
			t.Fatalf("got %s, and in another order %s", told(list), told(other))
		}
		if seen := map[throng.RegionID]bool{}; len(list) != len(ids) || slices.ContainsFunc(list, func(r throng.RegionChoice) bool { was := seen[r.Region]; seen[r.Region] = true; return was }) {
			t.Fatalf("not each once: %s", told(list))
		}
		far := false
		for i, r := range list {
			switch {
			case r.Region == "a" && !r.Try, r.Region != "a" && r.Try != (r.Why == ""), i > 0 && r.Try && !list[i-1].Try:
				t.Fatalf("%s is at %d of %s", r.Region, i, told(list))
			}
			if r.Try && r.Why == "" && r.Latency >= 0 {
				if isFar := tiers[i].tier == tierFar; isFar && r.Latency <= w.Farthest || far && r.Latency <= w.Farthest {
					t.Fatalf("%s with %g ms is after one that is too far: %s", r.Region, r.Latency, told(list))
				}
				far = far || tiers[i].tier == tierFar
			}
		}
	})
}

func TestSummaryCounts(t *testing.T) {
	var p throng.PlaceSummary
	p.Add(2, 50, 3)
	p.Add(1, 50, 20)
	p.Add(4, 50, 0)
	if p.Sessions != 7 || p.Free != 26 || p.Players != 4*50+2*47+30 {
		t.Errorf("got %+v", p)
	}
	for seats, want := range map[int]float64{1: .94, 2: .94, 3: .6, 4: .6, 16: .6, 17: -1, 0: -1, 200: -1} {
		got, ok := p.FullestFor(seats)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("for %d seats the fullest is %g full, want %g", seats, got, want)
		}
	}
}
