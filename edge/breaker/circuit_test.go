package breaker

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/throng-gg/throng"
)

var start = time.Unix(1_800_000_000, 0)

// drive is a circuit with its clock.
type drive struct {
	*Circuit
	t   *testing.T
	now time.Time
}

func newDrive(t *testing.T) *drive {
	t.Helper()
	c, err := NewCircuit(Rules{})
	if err != nil {
		t.Fatal(err)
	}
	return &drive{Circuit: c, t: t, now: start}
}

// call makes one that takes so long, and says whether it went through.
func (d *drive) call(o Outcome, took time.Duration) bool {
	p, ok := d.Allow(d.now, 0)
	if d.now = d.now.Add(took); ok {
		d.Done(p, o, d.now)
	}
	return ok
}

func (d *drive) calls(n int, o Outcome, took time.Duration) {
	for range n {
		d.call(o, took)
	}
}

func (d *drive) is(want State) {
	d.t.Helper()
	if got := d.State(d.now); got != want {
		d.t.Errorf("after %s it is %s, want %s", d.now.Sub(start), got, want)
	}
}

func TestOpens(t *testing.T) {
	for name, c := range map[string]struct {
		outcome Outcome
		took    time.Duration
		want    State
	}{
		"errors":             {Bad, time.Millisecond, Open},
		"slow answers":       {Good, 1100 * time.Millisecond, Open},
		"slow and given up":  {Void, 1100 * time.Millisecond, Open},
		"quick and given up": {Void, time.Millisecond, Closed},
		"answers":            {Good, 900 * time.Millisecond, Closed},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDrive(t)
			d.calls(4, c.outcome, c.took)
			d.is(Closed)
			d.calls(1, c.outcome, c.took)
			d.is(c.want)
		})
	}
}

func TestAShareOfFailuresOpens(t *testing.T) {
	d := newDrive(t)
	for range 200 { // two of five fail
		d.calls(3, Good, 10*time.Millisecond)
		d.calls(2, Bad, 10*time.Millisecond)
	}
	d.is(Closed)
	d.now = d.now.Add(11 * time.Second) // what was before does not count any more
	d.calls(3, Good, 10*time.Millisecond)
	d.calls(3, Bad, 10*time.Millisecond)
	d.is(Open)
}

func TestWaitingIsNotSlow(t *testing.T) {
	d := newDrive(t)
	for range 20 {
		p, ok := d.Allow(d.now, 5*time.Second)
		if !ok {
			t.Fatal("it opened")
		}
		d.now = d.now.Add(5 * time.Second)
		d.Done(p, Good, d.now)
	}
}

func TestProbes(t *testing.T) {
	d := newDrive(t)
	d.calls(5, Bad, 0)
	d.is(Open)
	if d.call(Good, 0) {
		t.Error("an open circuit let a call through")
	}
	d.now = d.now.Add(time.Second)
	d.is(HalfOpen)
	p, ok := d.Allow(d.now, 0)
	if !ok {
		t.Fatal("no probe went through")
	}
	if _, ok := d.Allow(d.now, 0); ok {
		t.Error("a second probe at the same time")
	}
	d.Done(p, Void, d.now) // whoever made it went away: another one may go
	d.calls(2, Good, time.Millisecond)
	d.is(HalfOpen)
	d.calls(1, Bad, time.Millisecond)
	d.is(Open)
	d.now = d.now.Add(1999 * time.Millisecond) // the second pause is twice as long
	d.is(Open)
	d.now = d.now.Add(time.Millisecond)
	d.calls(3, Good, time.Millisecond)
	d.is(Closed)
}

// A region that is back for a moment again and again is called ever less often;
// one that was well for long starts anew.
func TestDoesNotFlap(t *testing.T) {
	d := newDrive(t)
	var pauses []time.Duration
	for range 6 {
		d.calls(5, Bad, 0)
		d.is(Open)
		pauses = append(pauses, d.until.Sub(d.now))
		d.now = d.until
		d.calls(3, Good, time.Millisecond)
		d.is(Closed)
	}
	if got := fmt.Sprint(pauses); got != "[1s 2s 4s 8s 8s 8s]" {
		t.Errorf("the pauses are %s", got)
	}
	d.now = d.now.Add(30 * time.Second)
	d.calls(5, Bad, 0)
	if got := d.until.Sub(d.now); got != time.Second {
		t.Errorf("after it was well for long the pause is %s, want 1s", got)
	}
}

// A call from before the circuit opened says nothing of how it is now.
func TestOldCallsDoNotCount(t *testing.T) {
	d := newDrive(t)
	old, _ := d.Allow(d.now, time.Hour)
	d.calls(5, Bad, 0)
	d.now = d.now.Add(time.Second)
	d.call(Good, 0)
	d.Done(old, Bad, d.now)
	d.is(HalfOpen)
	d.calls(2, Good, 0)
	d.is(Closed)
}

func TestRules(t *testing.T) {
	for _, bad := range []Rules{{Least: -1}, {Share: 1.1}, {Share: -1}, {Probes: -1}, {Window: 1}, {Slow: -1}, {Pause: time.Minute}, {Calm: -1}} {
		if _, err := NewCircuit(bad); throng.KindOf(err) != throng.Invalid {
			t.Errorf("%+v: got %v, want invalid", bad, err)
		}
	}
}

// Whatever happens: changes of state are those of the picture, half-open lets one
// call through at a time, a pause lasts as long as it says, and who only answers
// well is closed again within a while.
func TestCircuitProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, err := NewCircuit(Rules{})
		if err != nil {
			t.Fatal(err)
		}
		now, state, probes := start, Closed, 0
		var under []Pass
		var opened time.Time
		step := func(name string) {
			if is := c.state; is != state {
				if !state.CanBecome(is) {
					t.Fatalf("%s: from %s to %s", name, state, is)
				}
				if state == Open && now.Sub(opened) < c.rules.Pause {
					t.Fatalf("%s: the pause was over after %s", name, now.Sub(opened))
				}
				state, probes = is, 0
				if is == Open {
					opened = now
				}
			}
		}
		allow := func() {
			p, ok := c.Allow(now, 0)
			step("allow")
			if !ok {
				if state == Closed {
					t.Fatal("a closed circuit refuses")
				}
				return
			}
			if state == HalfOpen {
				if probes++; probes > 1 {
					t.Fatal("two probes at once")
				}
			}
			under = append(under, p)
		}
		done := func(o Outcome) {
			if len(under) == 0 {
				return
			}
			i := rapid.IntRange(0, len(under)-1).Draw(t, "which")
			p := under[i]
			under = append(under[:i], under[i+1:]...)
			if p.period == c.period && state == HalfOpen {
				probes--
			}
			c.Done(p, o, now)
			step("done")
		}
		t.Repeat(map[string]func(*rapid.T){
			"allow": func(*rapid.T) { allow() },
			"done":  func(t *rapid.T) { done(Outcome(rapid.IntRange(0, 2).Draw(t, "outcome"))) },
			"later": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(t, "later")))
			},
		})
		for len(under) > 0 {
			done(Void)
		}
		for range 100 {
			allow()
			done(Good)
			now = now.Add(100 * time.Millisecond)
		}
		if c.state != Closed {
			t.Fatalf("after 10 s of good answers it is %s", c.state)
		}
	})
}
