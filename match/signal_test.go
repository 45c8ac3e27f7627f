package match

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/throng-gg/throng"
)

var (
	skill    = throng.Signal{Name: "skill", Kind: throng.SignalNumber, Range: 400, Weight: 5}
	language = throng.Signal{Name: "language", Kind: throng.SignalCategory, Weight: 3}
)

func TestWishesOfAParty(t *testing.T) {
	signals := []throng.Signal{language, {Name: "mute", Kind: throng.SignalCategory}, skill, {Name: "wins", Kind: throng.SignalNumber, Range: 1, Weight: 1}}
	number := func(v float64) throng.Attribute { return throng.Attribute{Name: "skill", Number: v} }
	speaks := func(v string) throng.Attribute { return throng.Attribute{Name: "language", Category: v} }
	for _, c := range []struct {
		name    string
		brought [][]throng.Attribute
		want    []throng.Wish
	}{
		{"nothing", nil, nil},
		{"one", [][]throng.Attribute{{speaks("de"), number(7)}}, []throng.Wish{{Signal: language, Category: "de"}, {Signal: skill, Number: 7}}},
		{
			"a mean, and the most",
			[][]throng.Attribute{{speaks("en"), number(100)}, nil, {speaks("de"), number(400)}, {speaks("de")}},
			[]throng.Wish{{Signal: language, Category: "de"}, {Signal: skill, Number: 250}},
		},
		{"equals go by name", [][]throng.Attribute{{speaks("en")}, {speaks("de")}}, []throng.Wish{{Signal: language, Category: "de"}}},
		{"zero is a number", [][]throng.Attribute{{number(0)}}, []throng.Wish{{Signal: skill}}},
		{"the wrong kind", [][]throng.Attribute{{{Name: "skill", Category: "high"}}}, nil},
		{"without weight", [][]throng.Attribute{{{Name: "mute", Category: "yes"}}}, nil},
	} {
		if got := wishesOf(signals, c.brought); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

// plainSignal is a signal by its definition, from what a session says.
func plainSignal(w throng.Wish, text throng.SessionAttributes) float64 {
	for _, a := range text.List() {
		if a.Name != w.Signal.Name {
			continue
		}
		switch {
		case w.Signal.Kind == throng.SignalNumber && a.Counts == nil && a.Category == "":
			return 1 - min(math.Abs(a.Number-w.Number), w.Signal.Range)/w.Signal.Range
		case w.Signal.Kind == throng.SignalCategory && a.Counts != nil:
			total := 0
			for _, n := range a.Counts {
				total += n
			}
			if total > 0 {
				return float64(a.Counts[w.Category]) / float64(total)
			}
		case w.Signal.Kind == throng.SignalCategory && a.Category != "":
			if a.Category == w.Category {
				return 1
			}
			return 0
		}
	}
	return 0.5
}

func randomAttributes(random *rand.Rand) throng.SessionAttributes {
	var list []throng.SessionAttribute
	switch random.IntN(4) {
	case 0:
	case 1:
		list = append(list, throng.SessionAttribute{Attribute: throng.Attribute{Name: "skill", Category: "odd"}})
	default:
		list = append(list, throng.SessionAttribute{Attribute: throng.Attribute{Name: "skill", Number: random.NormFloat64()*300 + 1000}})
	}
	switch random.IntN(3) {
	case 0:
	case 1:
		list = append(list, throng.SessionAttribute{Attribute: throng.Attribute{Name: "language", Category: []string{"en", "de"}[random.IntN(2)]}})
	default:
		counts := map[string]int{}
		for _, l := range []string{"", "en", "de", "fr"} {
			counts[l] = random.IntN(5)
		}
		list = append(list, throng.SessionAttribute{Attribute: throng.Attribute{Name: "language"}, Counts: counts})
	}
	return throng.MakeSessionAttributes(list)
}

// TestChooseWithSignalsIsBest compares the index with the plainest search there
// is, and says that what is chosen does not depend on the order of the feed.
func TestChooseWithSignalsIsBest(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 2))
	for round := range 400 {
		p := NewPool()
		var all []throng.Session
		for i := range 80 {
			s := throng.Session{
				ID:    throng.SessionID(fmt.Sprintf("ses_%s_%03d", []string{"eu", "us"}[random.IntN(2)], i)),
				State: throng.SessionOpen, Capacity: 10, Attributes: randomAttributes(random),
			}
			s.Seated = random.IntN(s.Capacity + 1)
			all = append(all, s)
			p.Put(s)
		}
		w := &Want{
			Seats:     1 + random.IntN(3),
			Weights:   throng.Weights{Fill: float64(random.IntN(3)), Latency: float64(random.IntN(3)), Friends: 15},
			Latencies: map[throng.RegionID]float64{"eu": random.Float64() * 300},
			Wishes:    []throng.Wish{{Signal: language, Category: "en"}, {Signal: skill, Number: 700 + 600*random.Float64()}, {Signal: throng.Signal{Name: "unsaid", Kind: throng.SignalCategory, Weight: 1}, Category: "x"}},
			Refused:   []throng.SessionID{all[0].ID},
			Keep:      random.IntN(3),
			Random:    random.Uint64(),
		}
		if random.IntN(2) == 0 {
			w.Friends = []throng.SessionFriends{{Session: all[1].ID, Friends: 2}}
		}
		best, scores := math.Inf(-1), map[throng.SessionID]float64{}
		for _, s := range all {
			if s.Free() < w.Seats || slices.Contains(w.Refused, s.ID) {
				continue
			}
			score := w.Weights.Fill*float64(s.Seated)/float64(s.Capacity) + w.Weights.Latency*latencySignal(w.Latencies, s.ID.Region()) + extra(w, s)
			for _, wish := range w.Wishes {
				score += wish.Signal.Weight * plainSignal(wish, s.Attributes)
			}
			scores[s.ID] = score
			best = max(best, score)
		}
		got, ok := p.Choose(w)
		if ok != (len(scores) > 0) {
			t.Fatalf("round %d: got %v, want %v", round, ok, len(scores) > 0)
		}
		if score, fits := scores[got]; ok && (!fits || score < best-math.Abs(best)*(1-near)-1e-9) {
			t.Fatalf("round %d: got %s with score %v, want one near %v", round, got, score, best)
		}
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		q := NewPool()
		for _, s := range all {
			q.Put(throng.Session{ID: s.ID, Capacity: s.Capacity, Attributes: randomAttributes(random)})
			q.Put(s)
		}
		if again, _ := q.Choose(w); again != got {
			t.Fatalf("round %d: got %s in one order, %s in another", round, got, again)
		}
	}
}

// bestOf is the best score of any session that can be chosen, by scoring all.
func bestOf(p *Pool, w *Want) (best float64, score func(throng.SessionID) float64) {
	score = func(id throng.SessionID) float64 {
		e := p.entries[id]
		if e == nil || e.group == nil || e.group.free < w.Seats {
			return math.Inf(-1)
		}
		return p.alike(w, e.group.free, e.group.fill, e.group.region) + p.own(e)
	}
	p.rate(w)
	p.wish(w.Wishes)
	best = math.Inf(-1)
	for id := range p.entries {
		best = max(best, score(id))
	}
	return best, score
}

// TestTreeFollowsThePool: whatever comes and goes, the tree finds what a search
// through all finds.
func TestTreeFollowsThePool(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	p := NewPool()
	id := func() throng.SessionID { return throng.SessionID(fmt.Sprintf("ses_eu_%03d", random.IntN(600))) }
	for step := range 30_000 {
		switch s, known := p.Session(id()); {
		case random.IntN(12) == 0 && known:
			p.Remove(s.ID)
		case known && random.IntN(3) == 0:
			mark := p.Take(s.ID, 1)
			if s.Free() == 0 {
				p.Refuse(s.ID, 1, mark)
			} else {
				s.Held++
				p.Held(s, 1, mark)
			}
		case known && random.IntN(2) == 0:
			s.Seated, s.Held = random.IntN(s.Capacity+1), 0
			p.Put(s)
		default:
			p.Put(throng.Session{ID: id(), State: throng.SessionOpen, Capacity: 20, Seated: random.IntN(21), Attributes: randomAttributes(random)})
		}
		if step%10 != 0 {
			continue
		}
		w := &Want{
			Seats: 1 + random.IntN(2), Weights: throng.Weights{Fill: float64(random.IntN(3))}, Keep: 2, Random: random.Uint64(),
			Wishes: []throng.Wish{{Signal: language, Category: []string{"en", "fr", "xx"}[random.IntN(3)]}, {Signal: skill, Number: 400 + 1200*random.Float64()}},
		}
		got, ok := p.Choose(w)
		best, score := bestOf(p, w)
		if ok != !math.IsInf(best, -1) || ok && score(got) < floor(best)-1e-5 {
			t.Fatalf("step %d: got %q with %v, want one near %v", step, got, score(got), best)
		}
	}
}

// TestManyCategories: those without a column are found too.
func TestManyCategories(t *testing.T) {
	p := NewPool()
	for i := range 500 {
		a := throng.SessionAttributes(fmt.Sprintf(`{"language":"l%d"}`, i%50))
		p.Put(throng.Session{ID: throng.SessionID(fmt.Sprintf("ses_eu_%03d", i)), State: throng.SessionOpen, Capacity: 20, Attributes: a})
	}
	for i := range 50 {
		got, ok := p.Choose(&Want{Seats: 1, Wishes: []throng.Wish{{Signal: language, Category: fmt.Sprintf("l%d", i)}}, Random: uint64(i)})
		if want := throng.SessionAttributes(fmt.Sprintf(`{"language":"l%d"}`, i)); !ok || p.entries[got].session.Attributes != want {
			t.Errorf("got %s, want one with %s", got, want)
		}
	}
}

// TestManySignalsLoseLittle: with 8 signals that have nothing to do with each
// other a choice looks at a tenth of 20,000 sessions, and is nearly the best.
func TestManySignalsLoseLittle(t *testing.T) {
	p, _ := crowdWithSignals(20_000, 8)
	lost, wants := 0.0, someWants(8)[:24]
	for i := range wants {
		if _, ok := p.Choose(&wants[i]); !ok || p.search.rows > treeRows+leafRows {
			t.Fatalf("got %v after %d sessions, want a session after %d", ok, p.search.rows, treeRows)
		}
		found := p.search.best
		best, _ := bestOf(p, &wants[i])
		lost += (best - found) / best
	}
	if mean := lost / float64(len(wants)); mean > 0.005 {
		t.Errorf("got %.2f %% less than the best on average, want at most 0.5 %%", 100*mean)
	}
}

// TestSignalsSpreadAHerd: sessions that are alike share a herd evenly.
func TestSignalsSpreadAHerd(t *testing.T) {
	p := NewPool()
	for i := range 40 {
		a := throng.SessionAttributes(`{"skill":1000}`)
		if i%2 == 1 {
			a = `{"skill":1400}`
		}
		p.Put(throng.Session{ID: throng.SessionID(fmt.Sprintf("ses_eu_%02d", i)), State: throng.SessionOpen, Capacity: 50, Seated: 10, Attributes: a})
	}
	random := rand.New(rand.NewPCG(1, 9))
	got := map[throng.SessionID]int{}
	for range 4000 {
		id, _ := p.Choose(&Want{Seats: 1, Weights: throng.Weights{Fill: 1}, Wishes: []throng.Wish{{Signal: skill, Number: 1000}}, Random: random.Uint64()})
		got[id]++
	}
	if len(got) != 20 {
		t.Errorf("got %d sessions, want the 20 that are alike", len(got))
	}
	for id, n := range got {
		if n < 120 || n > 280 {
			t.Errorf("%s: got %d of 4000, want about 200", id, n)
		}
	}
}

// crowdWithSignals is a pool of n sessions of 50, differently full, which say
// something of as many signals.
func crowdWithSignals(n, signals int) (*Pool, []throng.Session) {
	random := rand.New(rand.NewPCG(3, 4))
	p := NewPool()
	all := make([]throng.Session, n)
	for i := range all {
		var e throng.Entropy
		for j := range e {
			e[j] = byte(random.Uint32())
		}
		var list []throng.SessionAttribute
		for k := range signals {
			a := throng.SessionAttribute{Attribute: throng.Attribute{Name: fmt.Sprintf("s%d", k)}}
			if k%2 == 0 {
				a.Number = 1000 + 300*random.NormFloat64()
			} else {
				a.Counts = map[string]int{"en": random.IntN(20), "de": random.IntN(10), "fr": random.IntN(10), "": random.IntN(5)}
			}
			list = append(list, a)
		}
		all[i] = throng.Session{
			ID: throng.MakeSessionID("eu-west", 7, e), State: throng.SessionOpen, Capacity: 50, Seated: random.IntN(51),
			Attributes: throng.MakeSessionAttributes(list),
		}
		p.Put(all[i])
	}
	return p, all
}

// wishList is a player's wish for as many signals.
func wishList(random *rand.Rand, signals int) []throng.Wish {
	var list []throng.Wish
	for k := range signals {
		w := throng.Wish{Signal: throng.Signal{Name: fmt.Sprintf("s%d", k), Kind: throng.SignalCategory, Weight: 3}, Category: []string{"en", "de", "fr"}[random.IntN(3)]}
		if k%2 == 0 {
			w = throng.Wish{Signal: throng.Signal{Name: w.Signal.Name, Kind: throng.SignalNumber, Range: 400, Weight: 5}, Number: 1000 + 300*random.NormFloat64()}
		}
		list = append(list, w)
	}
	return list
}

func TestChooseWithSignalsAllocatesNothing(t *testing.T) {
	p, all := crowdWithSignals(1000, 8)
	w := &Want{Seats: 1, Weights: throng.Weights{Fill: 2, Latency: 3, Friends: 15}, Keep: 2, Wishes: wishList(rand.New(rand.NewPCG(1, 1)), 8)}
	for _, s := range all[2:202] {
		w.Friends = append(w.Friends, throng.SessionFriends{Session: s.ID, Friends: 1})
	}
	for range 3 {
		p.Choose(w)
	}
	if n := testing.AllocsPerRun(100, func() { p.Choose(w) }); n != 0 {
		t.Errorf("got %v allocations a choice, want 0", n)
	}
}

// BenchmarkChoose chooses a session among 20,000 for players who differ, on
// every core with a pool of its own, and beside it scores each session, as a
// search without an index would; "scan/choice" is how many times as long that takes.
func BenchmarkChoose(b *testing.B) {
	const sessions = 20_000
	for _, signals := range []int{0, 1, 2, 4, 8} {
		b.Run(fmt.Sprintf("signals=%d", signals), func(b *testing.B) {
			pools := make(chan *Pool, runtime.GOMAXPROCS(0))
			for range cap(pools) {
				p, _ := crowdWithSignals(sessions, signals)
				for _, w := range someWants(signals) {
					p.Choose(&w) // grows the scratch
				}
				pools <- p
			}
			scan := scanTime(b, <-pools, signals)
			p, _ := crowdWithSignals(sessions, signals)
			pools <- p
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime(b)
			b.RunParallel(func(pb *testing.PB) {
				p, wants := <-pools, someWants(signals)
				for i := 0; pb.Next(); i++ {
					if _, ok := p.Choose(&wants[i%len(wants)]); !ok {
						b.Error("got no session, want one")
					}
				}
			})
			spent := cpuTime(b) - cpu
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "choices/s")
			b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "cpu-ns/op")
			b.ReportMetric(scan*float64(b.N)/spent.Seconds(), "scan/choice")
		})
	}
}

// cpuTime is what this process has used of all cores. On a machine that others
// use too it says more than the clock.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// scanTime is how many seconds of a core it takes to score every session of a pool once.
func scanTime(b *testing.B, p *Pool, signals int) float64 {
	b.Helper()
	all := make([]*entry, 0, len(p.entries))
	for _, e := range p.entries {
		all = append(all, e)
	}
	wants := someWants(signals)
	begun := cpuTime(b)
	best := 0.0
	for i := range wants {
		w := &wants[i]
		p.rate(w)
		p.wish(w.Wishes)
		for _, e := range all {
			if e.group != nil && e.group.free >= w.Seats {
				best = max(best, w.Weights.Fill*e.group.fill+p.signals[e.group.region]+p.own(e))
			}
		}
	}
	if best == 0 {
		return 0
	}
	return (cpuTime(b) - begun).Seconds() / float64(len(wants))
}

func someWants(signals int) []Want {
	random := rand.New(rand.NewPCG(5, 6))
	wants := make([]Want, 256)
	for i := range wants {
		wants[i] = Want{
			Seats: 1, Weights: throng.Weights{Fill: 2, Latency: 3, Friends: 15}, Keep: 2, Random: random.Uint64(),
			Latencies: map[throng.RegionID]float64{"eu-west": 20}, Wishes: wishList(random, signals),
		}
	}
	return wants
}
