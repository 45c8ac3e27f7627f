package fleet

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	replayRefill = 2           // seconds
	replayAtOnce = 64          // allocations under way
	replayStep   = time.Minute // that a value of a trace lasts: shorter than it did, which is harder
	replayRate   = 2           // openings a second on average
	replayMost   = 400         // of the stock
)

// replayed is what became of a trace's openings.
type replayed struct {
	openings, waited int
	idle             float64 // servers on average
	most             int     // of the target
}

func (r replayed) waits() float64 { return 100 * float64(r.waited) / float64(max(r.openings, 1)) }

// replay lets openings draw from a stock whose target is set each second.
func replay(openings []int, target func(now time.Time, opened int) int) (r replayed) {
	idle, waiting := 0, 0
	coming := make([]int, replayRefill) // by the second in which they connect
	under := 0
	for i, opened := range openings {
		now := noon.Add(time.Duration(i) * time.Second)
		arrived := coming[i%replayRefill]
		coming[i%replayRefill] = 0
		under -= arrived
		idle += arrived
		served := min(idle, waiting)
		idle, waiting = idle-served, waiting-served
		ready := min(idle, opened)
		idle -= ready
		waiting += opened - ready
		r.openings += opened
		r.waited += opened - ready
		want := target(now, opened)
		ask := max(min(want+waiting-idle-under, replayAtOnce-under), 0)
		coming[i%replayRefill] += ask
		under += ask
		idle -= max(idle-want-waiting, 0) / 100 // slower than Plan gives them back
		r.idle += float64(idle) / float64(len(openings))
		r.most = max(r.most, want)
	}
	return r
}

// planned is the stock as the orchestrator sizes it.
func planned() func(now time.Time, opened int) int {
	f, g := &Recent{}, Target{Floor: 2, Most: replayMost}
	return func(now time.Time, opened int) int {
		f.Opened(now, opened)
		o := StockFor(f, now, replayRefill*time.Second, replayAtOnce)
		return g.Follow(now, o.Openings, o.Fell)
	}
}

func fixed(n int) func(time.Time, int) int { return func(time.Time, int) int { return n } }

// trace makes openings by the second out of a trace's values, at random around
// its rate.
func trace(tb testing.TB, name string, steps int) []int {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "traces", name+".txt"))
	if err != nil {
		tb.Fatal(err)
	}
	var values []float64
	highest := 0.
	for line := range strings.FieldsSeq(string(text)) {
		v, err := strconv.ParseFloat(line, 64)
		if err != nil {
			tb.Fatal(err)
		}
		values = append(values, v)
		highest = max(highest, v)
	}
	start := max(len(values)-steps, 0) / 2 // around the middle, where the highest is
	values = values[start:min(start+steps, len(values))]
	dice := rand.New(rand.NewPCG(1, 2))
	var all []int
	for _, v := range values {
		for range int(replayStep / time.Second) {
			all = append(all, poisson(dice, replayRate*v/highest))
		}
	}
	return all
}

func poisson(dice *rand.Rand, mean float64) int {
	if mean > 50 {
		return max(int(math.Round(mean+math.Sqrt(mean)*dice.NormFloat64())), 0)
	}
	n, p := 0, math.Exp(-mean)
	for q := dice.Float64(); q > p; q *= dice.Float64() {
		n++
	}
	return n
}

// spike adds a burst that nobody announced: so many openings within a second,
// every so often.
func spike(openings []int, n, every int) []int {
	out := append([]int(nil), openings...)
	for i := every; i < len(out); i += every {
		out[i] += n
	}
	return out
}

// cheapest is the smallest fixed stock with no more waits.
func cheapest(openings []int, waited int) (n int, r replayed) {
	low, high := 0, 4*replayMost
	for low < high {
		if m := (low + high) / 2; replay(openings, fixed(m)).waited <= waited {
			high = m
		} else {
			low = m + 1
		}
	}
	return low, replay(openings, fixed(low))
}

// Beside a fixed stock, on traces of other things than games: with the plan fewer
// wait, and a fixed stock that is as good has more idle servers.
func TestReplayOfTraces(t *testing.T) {
	for name, openings := range map[string][]int{
		"taxi":              trace(t, "taxi", 240),
		"tweets-fb":         trace(t, "tweets-fb", 240),
		"tweets-aapl":       trace(t, "tweets-aapl", 240),
		"group":             trace(t, "group", 240),
		"taxi with updates": spike(trace(t, "taxi", 240), 200, 601),
	} {
		plan, two := replay(openings, planned()), replay(openings, fixed(2))
		n, same := cheapest(openings, plan.waited)
		t.Logf("%-18s %6d openings; plan: %5.2f %% wait, %5.1f idle, target up to %d; fixed 2: %5.2f %% wait; fixed %d, which waits as rarely: %.1f idle",
			name, plan.openings, plan.waits(), plan.idle, plan.most, two.waits(), n, same.idle)
		if plan.waits() > 2.5 {
			t.Errorf("%s: %.2f %% of openings wait, want 2.5 at most", name, plan.waits())
		}
		if plan.idle > 1.1*same.idle {
			t.Errorf("%s: %.1f servers idle, and %.1f with a fixed stock of %d, which is as good", name, plan.idle, same.idle, n)
		}
		if plan.waited*4 > two.waited {
			t.Errorf("%s: %d openings wait, want a quarter of the %d of a fixed stock at most", name, plan.waited, two.waited)
		}
	}
}

func BenchmarkReplayOfTraces(b *testing.B) {
	for _, name := range []string{"taxi", "tweets-fb", "tweets-aapl", "group"} {
		b.Run(name, func(b *testing.B) {
			openings := trace(b, name, 2016)
			var r replayed
			for b.Loop() {
				r = replay(openings, planned())
			}
			n, same := cheapest(openings, r.waited)
			b.ReportMetric(r.waits(), "%wait")
			b.ReportMetric(r.idle, "idle")
			b.ReportMetric(replay(openings, fixed(2)).waits(), "%wait-fixed-2")
			b.ReportMetric(float64(n), "same-fixed")
			b.ReportMetric(same.idle, "same-fixed-idle")
		})
	}
}

// BenchmarkExpect is what a look at the openings costs.
func BenchmarkExpect(b *testing.B) {
	r := &Recent{}
	dice := rand.New(rand.NewPCG(1, 2))
	for i := range slots {
		r.Opened(noon.Add(time.Duration(i)*time.Second), poisson(dice, 100))
	}
	now := noon.Add(slots * time.Second)
	for b.Loop() {
		r.Expect(now, 5*time.Second)
	}
}
