package scene_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/scene"
)

var (
	near = link{delay: 15 * time.Millisecond, jitter: 3 * time.Millisecond}
	bad  = link{delay: 100 * time.Millisecond, jitter: 30 * time.Millisecond, loss: 0.05}
)

// shown is where somebody was shown when.
type shown struct {
	at time.Duration
	x  [2]float64
}

// watched is how two entities were shown, by the scene and as of the newest snapshot.
type watched struct{ own, other, ownNewest, otherNewest []shown }

// watch plays for some seconds, and says where the player's own and another entity were
// shown: by the scene, and by the newest snapshot as it is.
func watch(r *run, seconds int) (w watched) {
	for now := r.now; now < time.Duration(10+seconds)*time.Second; now += frame {
		r.until(now)
		see := func(list *[]shown, x, y float64) { *list = append(*list, shown{now, [2]float64{x, y}}) }
		if now < 13*time.Second {
			r.scene.At(now)
			continue
		}
		for _, e := range r.scene.At(now) {
			switch e.Owner() {
			case "p0":
				see(&w.own, e.Number(0), e.Number(1))
			case "p1":
				see(&w.other, e.Number(0), e.Number(1))
			}
		}
		for e := range r.client.Entities {
			switch e.Owner() {
			case "p0":
				see(&w.ownNewest, e.Number(0), e.Number(1))
			case "p1":
				see(&w.otherNewest, e.Number(0), e.Number(1))
			}
		}
	}
	return w
}

// off is by how much what was shown differs from where the server had it so much later,
// sorted.
func off(r *run, person int, list []shown, later time.Duration) []float64 {
	var d []float64
	for _, s := range list {
		was := r.was(person, s.at+later)
		d = append(d, math.Hypot(s.x[0]-was[0], s.x[1]-was[1]))
	}
	slices.Sort(d)
	return d
}

// fit is how much later the server had it where it was shown, on the whole.
func fit(r *run, person int, list []shown) time.Duration {
	best, least := time.Duration(0), math.Inf(1)
	list = every(list, 8)
	for later := -600 * time.Millisecond; later <= 400*time.Millisecond; later += 5 * time.Millisecond {
		sum := 0.
		for _, d := range off(r, person, list, later) {
			sum += d
		}
		if sum < least {
			best, least = later, sum
		}
	}
	return best
}

// steps are how far an entity went from one frame to the next, sorted.
func steps(list []shown) []float64 {
	var d []float64
	for i := 1; i < len(list); i++ {
		d = append(d, math.Hypot(list[i].x[0]-list[i-1].x[0], list[i].x[1]-list[i-1].x[1]))
	}
	slices.Sort(d)
	return d
}

func at(sorted []float64, q float64) float64 { return sorted[int(q*float64(len(sorted)-1))] }

const walked = speed / 60 // by who walks, from one frame to the next

// A player's own entity is where the server has it once the inputs are there, others
// move evenly; and without, neither is so. -v prints the table of docs/benchmarks.md.
func TestFeel(t *testing.T) {
	for _, c := range []struct {
		name string
		link link
		// What is shown of the own entity is off by, p99; what another one jumps, at most.
		off, jump float64
	}{
		{"15 ms ± 3 ms", near, 0.15, 1.3 * walked},
		{"100 ms ± 30 ms, 5 % loss", bad, 0.6, 3 * walked},
	} {
		r := newRun(7, c.link, 6)
		w := watch(r, 120)
		row := func(what string, person int, list []shown) {
			later := fit(r, person, list)
			d, s := off(r, person, list, later), steps(list)
			t.Logf("%s | %s | %d ms | %.2f, %.2f | %.2f, %.2f", c.name, what, later.Milliseconds(), at(d, 0.5), at(d, 0.99), at(s, 0.99), at(s, 1))
		}
		row("own, newest snapshot", 0, w.ownNewest)
		row("own, predicted", 0, w.own)
		row("other, newest snapshot", 1, w.otherNewest)
		row("other, between samples", 1, w.other)
		ahead := fit(r, 0, w.own)
		if ahead < c.link.delay-tickTime || ahead > c.link.delay+2*tickTime {
			t.Errorf("%s: the own entity is shown %v ahead of the server, want about the way of an input", c.name, ahead)
		}
		if got := at(off(r, 0, w.own, ahead), 0.99); got > c.off {
			t.Errorf("%s: the own entity is off by %.2f, want at most %.2f", c.name, got, c.off)
		}
		if got := at(steps(w.other), 1); got > c.jump {
			t.Errorf("%s: another entity jumps by %.2f, want at most %.2f", c.name, got, c.jump)
		}
		if got := at(steps(w.otherNewest), 1); got < 1.9*walked {
			t.Errorf("%s: without a scene it jumps by %.2f only: what is it for?", c.name, got)
		}
	}
}

// The estimate of the server's time is right within half the unevenness of the way, and
// never goes back.
func TestClock(t *testing.T) {
	for _, l := range []link{near, bad, {delay: 300 * time.Millisecond, jitter: 100 * time.Millisecond, loss: 0.2}} {
		r := newRun(3, l, 2)
		last, worst := 0., 0.
		for now := r.now; now < 40*time.Second; now += frame {
			r.until(now)
			tick, ok := r.scene.Tick(now)
			if !ok {
				continue
			}
			if tick < last {
				t.Fatalf("%v: the clock went back from %v to %v", l, last, tick)
			}
			last = tick
			if now > 15*time.Second {
				worst = max(worst, math.Abs(tick-1-float64(now-10*time.Second)/float64(tickTime)))
			}
		}
		if most := float64(l.jitter+5*time.Millisecond) / float64(tickTime); worst > most {
			t.Errorf("%v: the clock is off by %.2f ticks, want at most %.2f", l, worst, most)
		}
	}
}

// One who is elsewhere at once is not seen on the way.
func TestTeleport(t *testing.T) {
	r := newRun(5, bad, 2)
	own, other := 0, 0
	for i := range 5 {
		r.at(time.Duration(13+2*i)*time.Second, func() {
			for _, p := range r.people {
				x, y := p.body.Place()
				r.put(p, size-x, size-y)
			}
		})
	}
	var before map[throng.PlayerID][2]float64
	for now := r.now; now < 24*time.Second; now += frame {
		r.until(now)
		places := map[throng.PlayerID][2]float64{}
		for _, e := range r.scene.At(now) {
			if e.Owner() == "" {
				continue
			}
			places[e.Owner()] = [2]float64{e.Number(0), e.Number(1)}
			was, ok := before[e.Owner()]
			if now < 12*time.Second || !ok {
				continue
			}
			switch d := math.Hypot(e.Number(0)-was[0], e.Number(1)-was[1]); {
			case d < 1:
			case d < 3:
				t.Errorf("at %v %s went %v in a frame: neither a walk nor a leap", now, e.Owner(), d)
			case e.Owner() == "p0":
				own++
			default:
				other++
			}
		}
		before = places
	}
	if own < 4 || own > 5 || other < 4 || other > 5 { // to the middle is no leap
		t.Errorf("the own entity leapt %d times, the other one %d: want 5 each", own, other)
	}
}

// The world goes on while snapshots come rarely, and when they stop it stands still soon.
func TestRareSnapshotsAndNone(t *testing.T) {
	r := newRun(11, link{delay: 40 * time.Millisecond, jitter: 5 * time.Millisecond}, 3)
	r.every = 4
	other := watch(r, 30).other
	if got := at(steps(other), 1); got > 3*walked {
		t.Errorf("another entity jumps by %.2f, want at most %.2f", got, 3*walked)
	}
	if got, most := r.scene.Stats().Behind, 13*tickTime; got < 8*tickTime || got > most {
		t.Errorf("the world is shown %v behind, want two to three of four ticks each", got)
	}
	last := fmt.Sprint(places(r.scene, 50*time.Second))
	if now := fmt.Sprint(places(r.scene, 60*time.Second)); now != last {
		t.Errorf("without snapshots the world went on from %s to %s", last, now)
	}
}

func places(s *scene.Scene, now time.Duration) (all []float64) {
	for _, e := range s.At(now) {
		all = append(all, e.Number(0), e.Number(1))
	}
	return all
}

// An engine's own step is used, with all fields of the entity.
func TestOwnStep(t *testing.T) {
	r := newRun(2, near, 1)
	var dts []float64
	r.scene.Predict("walker", func(state []float64, _ scene.Move, dt float64) {
		dts = append(dts, dt)
		state[0] = 1
	})
	r.until(12 * time.Second)
	list := r.scene.At(r.now)
	e := list[len(list)-1]
	if !e.Predicted() || math.Abs(e.Number(0)-1) > 8 || len(dts) == 0 || dts[0] != 1./rate {
		t.Errorf("predicted %v at %v after %d steps", e.Predicted(), e.Number(0), len(dts))
	}
}

// every is the list without most of it.
func every(list []shown, n int) (some []shown) {
	for i := 0; i < len(list); i += n {
		some = append(some, list[i])
	}
	return some
}
