package shed

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Unix(1_800_000_000, 0)

// late is a window in which goroutines wait, calm one in which they do not.
func late(done uint64) Window {
	return Window{Waits: 100, Late: 60, Done: done, Took: windowTime}
}

func calm(done, refused uint64) Window {
	return Window{Waits: 100, Late: 40, Leases: 100, Slow: 40, Done: done, Refused: refused, Took: windowTime}
}

func TestOver(t *testing.T) {
	for name, c := range map[string]struct {
		w    Window
		want string
	}{
		"nothing":            {Window{}, ""},
		"half is late":       {Window{Waits: 100, Late: 50}, ""},
		"more is late":       {Window{Waits: 100, Late: 51}, "late"},
		"few goroutines":     {Window{Waits: 9, Late: 9}, ""},
		"leases are slow":    {Window{Waits: 100, Leases: 5, Slow: 3}, "slow"},
		"leases are stuck":   {Window{Stuck: 5}, "slow"},
		"few leases":         {Window{Leases: 4, Slow: 4}, ""},
		"half of the leases": {Window{Leases: 10, Slow: 5}, ""},
	} {
		if got := c.w.Over(); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// A stall is no overload, two windows in a row are; what is let in then is a part of
// what got done.
func TestLimitBegins(t *testing.T) {
	var p Policy
	now := start
	look := func(w Window) {
		now = now.Add(windowTime)
		p.Look(w, now)
	}
	look(calm(500, 0))
	look(late(0))
	look(calm(500, 0))
	look(late(10))
	if p.Rate() != 0 {
		t.Fatalf("after a stall %g calls a second are let in, want all", p.Rate())
	}
	look(late(10))
	if got, want := p.Rate(), cutTo*5000; got != want {
		t.Errorf("%g calls a second are let in, want %g", got, want)
	}
	for range 100 { // what waits is worked off
		look(late(100))
	}
	if got := p.Rate(); got != leastRate {
		t.Errorf("%g calls a second are let in, want the least", got)
	}
	look(calm(100, 10))
	if got, want := p.Rate(), cutTo*1000; got != want {
		t.Errorf("%g calls a second are let in, want %g", got, want)
	}
}

// drive offers so many calls of each class in each window to a door that can do so
// many, and says how many of each were let in within the last windows.
func drive(p *Policy, now *time.Time, can int, offered [classes]int, windows int) (in [classes]int) {
	waiting := 0
	for w := range windows {
		refused := 0
		at := *now
		for step := range 10 { // a window's calls come one after the other
			for c := range Classes() {
				for range offered[c]*(step+1)/10 - offered[c]*step/10 {
					switch {
					case !p.Admit(Class(c), at):
						refused++
					case w >= windows/2:
						in[c]++
						waiting++
					default:
						waiting++
					}
				}
			}
			at = at.Add(windowTime / 10)
		}
		done := min(waiting, can)
		waiting -= done
		seen := calm(uint64(done), uint64(refused))
		if waiting > can/2 { // who came last waits for half a window
			seen = late(uint64(done))
			seen.Refused = uint64(refused)
		}
		*now = now.Add(windowTime)
		p.Look(seen, *now)
	}
	return in
}

// Ten times as many browse and join as the door can do: whoever has a lease or saves
// is let in, browsing is given up, and of the joins as many are let in as there is
// room for.
func TestGivesUpInOrder(t *testing.T) {
	var p Policy
	now := start
	in := drive(&p, &now, 1000, [classes]int{Telemetry: 500, Browse: 5000, Join: 5000, Reconnect: 50, Save: 50, Lease: 100}, 500)
	t.Logf("let in within 50 s: %v", in)
	const half = 250 // windows
	for c, want := range map[Class]int{Lease: 100 * half, Save: 50 * half, Reconnect: 50 * half} {
		if in[c] < want*95/100 {
			t.Errorf("%d calls of class %s were let in, want 95 %% of %d", in[c], c, want)
		}
	}
	if in[Join] < 500*half || in[Browse] > in[Join]/20 || in[Telemetry] > in[Browse] {
		t.Errorf("%d joins, %d of browsing and %d of telemetry were let in, want at least %d joins and next to nothing of the others",
			in[Join], in[Browse], in[Telemetry], 500*half)
	}
	offered := [classes]int{Browse: 300, Join: 300, Lease: 100}
	drive(&p, &now, 1000, offered, 300)
	if in = drive(&p, &now, 1000, offered, 10); p.Rate() != 0 || in[Browse] != 5*300 || in[Join] != 5*300 {
		t.Errorf("half a minute after the overload: a limit of %g, %v let in; want all", p.Rate(), in)
	}
}

// Whatever happens: no class is let in where one above it is refused; leases are
// never refused; a limit is never below the least; and without overload
// it is gone within a time that depends on how much is asked.
func TestPolicyProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p Policy
		now := start
		class := rapid.SampledFrom(Classes())
		t.Repeat(map[string]func(*rapid.T){
			"admit": func(t *rapid.T) {
				c := class.Draw(t, "class")
				for range rapid.IntRange(1, 500).Draw(t, "calls") {
					would := p.Would(c, now)
					if p.Admit(c, now) != would {
						t.Fatal("what would be let in is not")
					}
				}
			},
			"below": func(t *rapid.T) { // the ones below take what they get: those above have their share
				c := rapid.SampledFrom(Classes()[1:]).Draw(t, "class")
				for p.rate > 0 && p.Admit(c-1, now) {
				}
				if before := p.tokens; p.rate > 0 && before > 1+(1-c.share())*p.burst() && !p.Would(c, now) {
					t.Fatalf("%s has no room", c)
				}
			},
			"later": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(-int64(time.Second), int64(time.Second)).Draw(t, "later")))
			},
			"look": func(t *rapid.T) {
				w := calm(rapid.Uint64Range(0, 5000).Draw(t, "done"), rapid.Uint64Range(0, 100).Draw(t, "refused"))
				if rapid.Bool().Draw(t, "late") {
					w.Late = w.Waits
				}
				p.Look(w, now)
			},
			"": func(t *rapid.T) {
				for i, c := range Classes()[1:] {
					if p.Would(Class(i), now) && !p.Would(c, now) {
						t.Fatalf("%s is let in and %s is not", Class(i), c)
					}
				}
				if p.rate != 0 && p.rate < leastRate || p.tokens < -p.burst() || p.tokens > p.burst() && p.rate > 0 {
					t.Fatalf("the limit is %g with %g saved up", p.rate, p.tokens)
				}
				if !p.Would(Lease, now) {
					t.Fatal("a lease is refused")
				}
			},
		})
		// From the least to 10,000 calls a second, at least twice as much each time that some
		// are refused, which is seldom enough to be calm in between, and then calm.
		const most = growAfter + 8*calmFor + calmFor
		for range most {
			asked, refused := rapid.IntRange(0, 1000).Draw(t, "asked"), uint64(0)
			for range asked {
				if !p.Admit(Save, now) {
					refused++
				}
			}
			now = now.Add(windowTime)
			p.Look(calm(uint64(asked), refused), now)
		}
		if p.rate != 0 {
			t.Fatalf("after %d windows without overload the limit is %g", most, p.rate)
		}
	})
}

// Calls that come many at once, as seldom as it takes to count as calm in between, are
// all let in soon.
func TestBurstsEndTheLimit(t *testing.T) {
	for every := 2; every < calmFor; every++ {
		var p Policy
		now, refused := start, 0
		p.Look(late(0), now)
		p.Look(late(0), now)
		if p.Rate() != leastRate {
			t.Fatalf("the limit is %g, want the least", p.Rate())
		}
		const bursts = 20
		for i := range bursts * every {
			w := calm(0, 0)
			if i%every == every-1 {
				for range 1000 {
					if p.Admit(Save, now) {
						w.Done++
					} else {
						w.Refused++
					}
				}
			}
			refused = int(w.Refused)
			now = now.Add(windowTime)
			p.Look(w, now)
		}
		if refused > 0 {
			t.Errorf("every %d windows: of the last 1,000 calls %d are refused, the limit is %g", every, refused, p.Rate())
		}
	}
}

func TestShares(t *testing.T) {
	for i, c := range Classes()[1:] {
		if Class(i).share() > c.share() || c.String() == "none" {
			t.Errorf("%s has the share %g, below it is %g", c, c.share(), Class(i).share())
		}
	}
	if got := Telemetry.Of(1); got != 1 {
		t.Errorf("of one place telemetry has %d", got)
	}
	if got := Join.Of(20_000); got != 14_000 {
		t.Errorf("of 20,000 places joins have %d", got)
	}
}

// What the runtime counts of goroutines grows.
func TestGoroutines(t *testing.T) {
	before, _ := Goroutines()
	for range 1000 {
		done := make(chan struct{})
		go func() { close(done) }()
		<-done
	}
	waits, late := Goroutines()
	if waits <= before || late > waits {
		t.Errorf("after a thousand goroutines %d waited, of which %d long; before %d", waits, late, before)
	}
}
