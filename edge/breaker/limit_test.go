package breaker

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// region answers at once up to some calls at a time; more wait for each other.
func settleAt(fits int, steps int) int {
	l, now := NewLimit(), start
	for range steps {
		var slots []Slot
		for s, ok := l.Take(); ok; s, ok = l.Take() {
			slots = append(slots, s)
		}
		n := len(slots)
		took := 40 * time.Millisecond * time.Duration(max(1, (n+fits-1)/fits))
		now = now.Add(took)
		for _, s := range slots {
			l.Back(s, Good, took, now)
		}
	}
	return l.Most()
}

func TestLimitFollowsLatency(t *testing.T) {
	if got := settleAt(1000, 2000); got != limitMost {
		t.Errorf("where all fit %d are let through at once, want %d", got, limitMost)
	}
	// Twice as many as fit take twice as long, which is about what is tolerated. It
	// is found from below; a line that was there from the start is not seen.
	if got := settleAt(20, 2000); got < 20 || got > 70 {
		t.Errorf("where 20 fit %d are let through at once, want 20 to 70", got)
	}
}

func TestLimitCutsOncePerJam(t *testing.T) {
	l := NewLimit()
	for range 16 {
		l.Take()
	}
	for range 16 {
		l.Back(Slot{}, Bad, time.Second, start)
	}
	if got := l.Most(); got != 14 {
		t.Errorf("after one jam the limit is %d, want 14", got)
	}
}

func TestLimitProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, now, under := NewLimit(), start, []Slot(nil)
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				s, ok := l.Take()
				if ok != (len(under) < l.Most()) {
					t.Fatalf("%d of %d under way: got %t", len(under), l.Most(), ok)
				}
				if ok {
					under = append(under, s)
				}
			},
			"back": func(t *rapid.T) {
				if len(under) == 0 {
					return
				}
				s := under[0]
				under = under[1:]
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "later")))
				l.Back(s, Outcome(rapid.IntRange(0, 2).Draw(t, "outcome")), time.Duration(rapid.Int64Range(0, int64(5*time.Second)).Draw(t, "took")), now)
			},
			"": func(t *rapid.T) {
				if l.running != len(under) || l.Most() < limitLeast || l.Most() > limitMost {
					t.Fatalf("%d under way, limit %d, usual %s, want %d", l.running, l.Most(), l.usual, len(under))
				}
			},
		})
	})
}

// Repeated calls are never more than a tenth of the others, one a second and what
// was saved up; and the budget refuses nobody who has that.
func TestBudgetProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now, calls, made := start, 0, 0
		b := NewBudget(now)
		t.Repeat(map[string]func(*rapid.T){
			"call": func(t *rapid.T) {
				for range rapid.IntRange(1, 100).Draw(t, "calls") {
					calls++
					b.Earn()
				}
			},
			"again": func(*rapid.T) {
				for b.Spend(now) {
					made++
				}
			},
			"later": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(-int64(time.Second), int64(3*time.Second)).Draw(t, "later")))
			},
			"": func(t *rapid.T) {
				if most := budgetMost + budgetShare*float64(calls) + budgetRate*b.at.Sub(start).Seconds(); float64(made) > most+1e-6 {
					t.Fatalf("%d calls and %s allow %d repeated ones", calls, b.at.Sub(start), made)
				}
			},
		})
	})
	b := NewBudget(start)
	for range int(budgetMost) {
		if !b.Spend(start) {
			t.Fatal("what was saved up can't be spent")
		}
	}
	if b.Spend(start) {
		t.Error("more than was saved up")
	}
	if !b.Spend(start.Add(time.Second)) {
		t.Error("nothing is earned by waiting")
	}
}
