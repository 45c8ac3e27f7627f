package fleet

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Unix(1_700_000_040, 0) // a whole minute

func TestRecentExpects(t *testing.T) {
	type burst struct {
		ago time.Duration
		n   int
	}
	steady := func(every time.Duration, n int) (all []burst) {
		for ago := every; ago <= 14*time.Minute; ago += every {
			all = append(all, burst{ago, n})
		}
		return all
	}
	for name, c := range map[string]struct {
		openings []burst
		span     time.Duration
		want     int
	}{
		"nothing yet":              {nil, time.Second, 0},
		"one a second":             {steady(time.Second, 1), 10 * time.Second, 10},
		"within part of a second":  {steady(time.Second, 3), 300 * time.Millisecond, 3},
		"a burst now":              {[]burst{{0, 300}}, time.Second, 300},
		"a burst long ago":         {[]burst{{10 * time.Minute, 300}}, time.Second, 297},
		"a burst longer ago":       {[]burst{{16 * time.Minute, 300}}, time.Second, 0},
		"two bursts apart":         {[]burst{{10 * time.Minute, 200}, {5 * time.Minute, 200}}, 10 * time.Second, 198},
		"two bursts together":      {[]burst{{305 * time.Second, 200}, {300 * time.Second, 200}}, 10 * time.Second, 396},
		"one in a hundred":         {append(steady(time.Second, 10), burst{time.Minute, 50}), time.Second, 10},
		"more than one in hundred": {append(steady(time.Second, 10), burst{time.Minute, 500}), time.Second, 421},
		"a span too long":          {steady(time.Minute, 1), 24 * time.Hour, 14},
	} {
		r := &Recent{}
		for _, o := range slices.Backward(c.openings) {
			r.Opened(noon.Add(-o.ago), o.n)
		}
		if got := r.Expect(noon, c.span).Openings; got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func TestRecentSeesAFall(t *testing.T) {
	for name, c := range map[string]struct {
		usual, last int // openings a minute
		quiet       time.Duration
		want        bool
	}{
		"as usual":            {usual: 60, last: 60, want: false},
		"noise":               {usual: 60, last: 40, want: false},
		"a third is missing":  {usual: 600, last: 370, want: true},
		"all is missing":      {usual: 60, last: 0, want: true},
		"for 25 min":          {usual: 60, last: 0, quiet: 24 * time.Minute, want: true},
		"for 40 min":          {usual: 60, last: 0, quiet: 39 * time.Minute, want: false},
		"too few to say":      {usual: 4, last: 0, want: false},
		"more":                {usual: 60, last: 600, want: false},
		"a burst is no usual": {usual: 0, last: 0, want: false},
	} {
		r := &Recent{}
		now := noon.Add(-50 * time.Minute)
		for i := 0; now.Before(noon.Add(-c.quiet - time.Minute)); i++ {
			r.Opened(now, c.usual)
			now = now.Add(time.Minute)
		}
		r.Opened(noon.Add(-time.Minute), c.last)
		if c.usual == 0 {
			r.Opened(noon.Add(-20*time.Minute), 5000)
		}
		if got := r.Expect(noon, time.Second).Fell; got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

// Whatever was opened when: of the openings that are remembered no more than one
// in a hundred met more of them than expected, and there is no less room than for
// what just came.
func TestRecentKeepsItsPromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &Recent{}
		span := rapid.IntRange(1, 60).Draw(t, "span")
		var all [600]int
		for range rapid.IntRange(1, 60).Draw(t, "bursts") {
			all[rapid.IntRange(0, len(all)-1).Draw(t, "at")] += rapid.IntRange(1, 400).Draw(t, "openings")
		}
		for i, n := range all {
			if n > 0 {
				r.Opened(noon.Add(time.Duration(i)*time.Second), n)
			}
		}
		end := len(all) - 1
		got := r.Expect(noon.Add(time.Duration(end)*time.Second), time.Duration(span)*time.Second).Openings
		total, late, last := 0, 0, 0
		for i, n := range all {
			before := 0
			for j := max(i-span+1, 0); j < i; j++ {
				before += all[j]
			}
			for k := range n {
				total++
				if before+k+1 > got {
					late++
				}
			}
			last = before + n
		}
		if late > total/100 {
			t.Errorf("got %d, and %d of %d openings met more", got, late, total)
		}
		if got < last {
			t.Errorf("got %d, and the last span had %d", got, last)
		}
	})
}

// What comes late, early or again does no harm.
func TestRecentTakesAnyTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &Recent{}
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			at := noon.Add(time.Duration(rapid.Int64Range(-1e13, 1e13).Draw(t, "at")))
			r.Opened(at, rapid.IntRange(0, 5).Draw(t, "n"))
			if o := r.Expect(at, time.Duration(rapid.Int64Range(-1e9, 1e14).Draw(t, "span"))); o.Openings < 0 || o.Openings > 250 {
				t.Fatalf("got %d openings of 250 at most", o.Openings)
			}
		}
	})
}

func TestTarget(t *testing.T) {
	g := Target{Floor: 2, Most: 100}
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	for _, c := range []struct {
		at, want int
		hold     bool
		size     int
	}{
		{0, 0, false, 2},
		{1, 60, false, 60},    // up at once
		{2, 500, false, 100},  // no more than the most
		{3, 0, false, 100},    // less is noticed
		{62, 0, false, 100},   // for a minute nothing happens
		{63, 0, false, 91},    // then a tenth of it goes
		{72, 0, false, 91},    // every ten seconds
		{73, 0, false, 83},    //
		{74, 95, false, 95},   // up at once
		{75, 10, false, 95},   //
		{140, 10, true, 95},   // a fall holds
		{199, 10, false, 95},  // and the minute starts anew
		{200, 10, false, 87},  //
		{210, 86, false, 86},  // the last step is a whole one
		{1000, 86, false, 86}, //
	} {
		if got := g.Follow(at(c.at), c.want, c.hold); got != c.size {
			t.Errorf("after %d s: got %d, want %d", c.at, got, c.size)
		}
	}
}

func TestTargetsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := Target{Floor: rapid.IntRange(0, 50).Draw(t, "floor"), Most: rapid.IntRange(0, 100).Draw(t, "most")}
		now, before := noon, 0
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 30_000).Draw(t, "ms")) * time.Millisecond)
			want, hold := rapid.IntRange(-10, 200).Draw(t, "want"), rapid.Bool().Draw(t, "hold")
			got := g.Follow(now, want, hold)
			switch inside := max(min(want, g.Most), g.Floor); {
			case got < g.Floor || got > max(g.Most, g.Floor):
				t.Fatalf("got %d outside %d to %d", got, g.Floor, g.Most)
			case got < inside:
				t.Fatalf("got %d, less than %d that is wanted", got, inside)
			case got < before && (hold || before-got > max((before-inside)/targetShare, 1)):
				t.Fatalf("got down from %d to %d at once (want %d, hold %v)", before, got, inside, hold)
			}
			before = got
		}
	})
}

func TestRefills(t *testing.T) {
	var r Refills
	if got := r.Time(); got != firstRefill {
		t.Errorf("got %s before any was measured, want %s", got, firstRefill)
	}
	for i := range 100 {
		r.Took(time.Duration(i+1) * time.Second) // 37 to 100 are remembered
	}
	if got := r.Time(); got != 94*time.Second {
		t.Errorf("got %s, want 94s", got)
	}
}

// A burst that is larger than what is asked for at once is refilled in rounds.
func TestStockForLooksAheadInRounds(t *testing.T) {
	r := &Recent{}
	for i := range 10 {
		r.Opened(noon.Add(time.Duration(2*i-20)*time.Second), 24)
	}
	if got := StockFor(r, noon, time.Second, 24).Openings; got != 24 {
		t.Errorf("one round: got %d, want 24", got)
	}
	if got := StockFor(r, noon, time.Second, 8).Openings; got != 48 {
		t.Errorf("three rounds: got %d, want the 48 of three seconds", got)
	}
	if got := StockFor(r, noon, time.Second, 1).Openings; got != 48 {
		t.Errorf("four rounds at most: got %d, want 48", got)
	}
}
