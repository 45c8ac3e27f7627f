package physics

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func space(tb testing.TB, size float64) *Space {
	tb.Helper()
	s, err := NewSpace(size)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func solid(tb testing.TB) func(b *Body, err error) *Body {
	tb.Helper()
	return func(b *Body, err error) *Body {
		if err != nil {
			tb.Fatal(err)
		}
		b.Solid = true
		return b
	}
}

func near(got, want float64) bool { return math.Abs(got-want) < 2*skin }

func numbers(list []*Body) string {
	var out []string
	for _, b := range list {
		out = append(out, fmt.Sprint(b.Number))
	}
	return strings.Join(out, " ")
}

func TestOverlap(t *testing.T) {
	s := space(t, 2)
	must := solid(t)
	must(s.Circle(0, 0, 1)).Group = "a"
	must(s.Box(5, 0, 4, 2)).Group = "b"
	must(s.Box(0, 0, 500, 500)).Group = "b" // in more cells than are noted
	for _, c := range []struct{ got, want string }{
		{numbers(s.OverlapCircle(0, 2, 0.99, Filter{})), "3"},
		{numbers(s.OverlapCircle(0, 2, 1.01, Filter{})), "1 3"},
		{numbers(s.OverlapCircle(2, 2, 1.4, Filter{Group: "b"})), "3"}, // beside the box's corner
		{numbers(s.OverlapCircle(2, 2, 1.42, Filter{Group: "b"})), "2 3"},
		{numbers(s.OverlapBox(2, 0, 2, 0.1, Filter{})), "3"}, // touches both
		{numbers(s.OverlapBox(2, 0, 2.1, 0.1, Filter{})), "1 2 3"},
		{numbers(s.OverlapCircle(400, 400, 1, Filter{})), ""},
		{numbers(s.OverlapCircle(0, 0, 1e6, Filter{})), "1 2 3"},
		{numbers(s.OverlapCircle(0, 0, 1, Filter{Group: "c"})), ""},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestRaycast(t *testing.T) {
	s := space(t, 1)
	must := solid(t)
	wall := must(s.Box(10, 0, 2, 8))
	ball := must(s.Circle(5, 0.5, 1))
	big := must(s.Box(0, 1000, 1900, 2))
	for _, c := range []struct {
		x1, y1, x2, y2 float64
		f              Filter
		body           *Body
		x, y, nx, ny   float64
	}{
		{0, 0.5, 20, 0.5, Filter{}, ball, 4, 0.5, -1, 0},
		{0, 0.5, 20, 0.5, Filter{Skip: ball}, wall, 9, 0.5, -1, 0},
		{20, -3, 0, -3, Filter{}, wall, 11, -3, 1, 0},
		{10, 900, 10, 0, Filter{}, wall, 10, 4, 0, 1},
		{10, 0, 10, 10, Filter{}, nil, 10, 10, 0, 0}, // starts inside: not met
		{0, 0.5, 3.9, 0.5, Filter{}, nil, 3.9, 0.5, 0, 0},
		{0, 1.51, 9.5, 1.51, Filter{}, wall, 9, 1.51, -1, 0},
		{-900, 0, -900, 2000, Filter{}, big, -900, 999, 0, -1},
		{5, 0.5, 5, 0.5, Filter{}, nil, 5, 0.5, 0, 0},
		{-1e6, -1e6, 1e6, 1e6, Filter{Group: "none"}, nil, 1e6, 1e6, 0, 0},
	} {
		h := s.Raycast(c.x1, c.y1, c.x2, c.y2, c.f)
		if h.Body != c.body || !near(h.X, c.x) || !near(h.Y, c.y) || !near(h.NX, c.nx) || !near(h.NY, c.ny) {
			t.Errorf("%+v: got %+v", c, h)
		}
	}
}

func TestMoveStopsSlidesAndIsPushedOut(t *testing.T) {
	s := space(t, 2)
	must := solid(t)
	must(s.Box(10, 0, 2, 40)) // a wall at x = 9
	must(s.Box(0, 10, 40, 2)) // and one at y = 9
	me, err := s.Circle(0, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if h := s.Move(me, 3, 4, Filter{}); h.Body != nil || h.X != 3 || h.Y != 4 {
		t.Errorf("in the open: got %+v", h)
	}
	if h := s.Move(me, 100, -2, Filter{}); h.Body == nil || h.NX != -1 || !near(h.X, 8) || !near(h.Y, 2) {
		t.Errorf("along a wall, however fast: got %+v", h)
	}
	if h := s.Move(me, 50, 50, Filter{}); !near(h.X, 8) || !near(h.Y, 8) {
		t.Errorf("into a corner: got %+v", h)
	}
	if h := s.Move(me, -3, 3, Filter{}); !near(h.X, 5) || !near(h.Y, 8) {
		t.Errorf("out of it: got %+v", h)
	}
	if err := s.Put(me, 9.5, 0); err != nil {
		t.Fatal(err)
	}
	if h := s.Move(me, 0, 0, Filter{}); h.Body == nil || !near(h.X, 8) || h.Y != 0 {
		t.Errorf("inside a wall: got %+v, want it pushed out on the nearest side", h)
	}
	if h := s.Move(me, 20, 0, Filter{Group: "none"}); !near(h.X, 28) {
		t.Errorf("through what it does not run against: got %+v", h)
	}
	pillar := must(s.Circle(28, -20, 2))
	pillar.Solid = false
	if h := s.Move(me, 0, -40, Filter{}); h.Body != nil {
		t.Errorf("through what is not solid: got %+v", h)
	}
}

func TestRoundThingsAreSlidAlong(t *testing.T) {
	s := space(t, 2)
	solid(t)(s.Circle(10, 0, 2))
	me, err := s.Circle(0, 0.3, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	for range 60 {
		s.Move(me, 0.5, 0, Filter{})
	}
	if x, y := me.Place(); x < 15 || y < 2 {
		t.Errorf("got to %v, %v; want past the pillar, along it", x, y)
	}
}

func TestWhatCannotBe(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, size := range []float64{0, -1, nan, inf, 1e9} {
		if _, err := NewSpace(size); err == nil {
			t.Errorf("a cell of %v is taken", size)
		}
	}
	s := space(t, 1)
	for _, v := range [][3]float64{{nan, 0, 1}, {0, inf, 1}, {1e7, 0, 1}, {0, 0, 0}, {0, 0, -1}, {0, 0, nan}, {0, 0, 1e7}} {
		if _, err := s.Circle(v[0], v[1], v[2]); err == nil {
			t.Errorf("circle %v is taken", v)
		}
		if _, err := s.Box(v[0], v[1], v[2], 1); err == nil {
			t.Errorf("box %v is taken", v)
		}
	}
	b := solid(t)(s.Circle(0, 0, 1))
	if s.Put(b, nan, 0) == nil {
		t.Error("a place that is no number is taken")
	}
	s.Remove(b)
	s.Remove(b)
	if s.Len() != 0 || !b.Removed() || len(s.grid) != 0 {
		t.Errorf("%d bodies and %d cells are left", s.Len(), len(s.grid))
	}
	for range MaxBodies {
		solid(t)(s.Box(0, 0, 1, 1))
	}
	if _, err := s.Circle(0, 0, 1); err == nil {
		t.Error("one more than the most is taken")
	}
}

// crowd lets bodies run about between solid ones, and returns what became of
// them and what it cost.
func crowd(tb testing.TB, seed uint64, check bool) (sum uint64, steps int) { //nolint:revive // looking takes longer than moving
	tb.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	s := space(tb, 2)
	s.Charge = func(n int) { steps += n }
	for range 60 {
		x, y := rng.Float64()*60-30, rng.Float64()*60-30
		if rng.IntN(2) == 0 {
			solid(tb)(s.Circle(x, y, 0.5+2*rng.Float64()))
		} else {
			solid(tb)(s.Box(x, y, 0.5+5*rng.Float64(), 0.5+5*rng.Float64()))
		}
	}
	solid(tb)(s.Box(0, 0, 0.5, 59)) // in the list of large ones
	var movers []*Body
	for len(movers) < 40 {
		x, y := rng.Float64()*60-30, rng.Float64()*60-30
		if len(s.OverlapCircle(x, y, 1, Filter{Solid: true})) > 0 {
			continue
		}
		b, err := s.Circle(x, y, 0.5)
		if rng.IntN(2) == 0 {
			b, err = s.Box(x, y, 0.9, 0.9)
		}
		if err != nil {
			tb.Fatal(err)
		}
		movers = append(movers, b)
	}
	digest := fnv.New64a()
	for tick := range 200 {
		for _, b := range movers {
			a := rng.Float64() * 2 * math.Pi
			far := rng.Float64()
			if rng.IntN(20) == 0 {
				far *= 50
			}
			h := s.Move(b, far*math.Cos(a), far*math.Sin(a), Filter{})
			fmt.Fprintln(digest, h.X, h.Y, h.NX, h.NY, h.T)
			if !check {
				continue
			}
			for _, o := range s.bodies {
				if d, _, _ := o.sum(b.shape).depth(b.x, b.y); o != b && o.Solid && d > 0 {
					tb.Fatalf("seed %d, tick %d: body %d is %v deep in body %d", seed, tick, b.Number, d, o.Number)
				}
			}
		}
	}
	return digest.Sum64(), steps
}

// TestNothingEndsInsideASolid: however things move between solid ones, none
// ends inside of one, and the same seed gives the same to the last bit.
func TestNothingEndsInsideASolid(t *testing.T) {
	for seed := range uint64(8) {
		sum, steps := crowd(t, seed, true)
		again, stepsAgain := crowd(t, seed, false)
		if sum != again || steps != stepsAgain {
			t.Errorf("seed %d: got %x for %d steps, and then %x for %d", seed, sum, steps, again, stepsAgain)
		}
	}
}

// TestResultsOnThisMachine: other processors and other builds give these bits,
// too.
func TestResultsOnThisMachine(t *testing.T) {
	s := space(t, 1.5)
	solid(t)(s.Circle(3.3, 1.7, 1.1))
	solid(t)(s.Box(6.1, 2.9, 1.3, 4.7))
	b, err := s.Circle(0.1, 1.3, 0.45)
	if err != nil {
		t.Fatal(err)
	}
	var last Hit
	for i := range 100 {
		last = s.Move(b, 0.37, 0.11*float64(i%5-2), Filter{})
	}
	if got, want := fmt.Sprintf("%x %x", math.Float64bits(last.X), math.Float64bits(last.Y)), "4041ea44d37a4aef 3fb9899999999975"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestCellsFindWhatASearchOfAllFinds: the cells only save work.
func TestCellsFindWhatASearchOfAllFinds(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	s := space(t, 1)
	for range 300 {
		x, y := rng.Float64()*40-20, rng.Float64()*40-20
		b := solid(t)(s.Circle(x, y, 0.1+rng.Float64()))
		if rng.IntN(30) == 0 {
			b = solid(t)(s.Box(x, y, 30*rng.Float64()+0.1, 0.3))
		}
		if rng.IntN(5) == 0 {
			s.put(b, rng.Float64()*40-20, y)
		}
		if rng.IntN(9) == 0 {
			s.Remove(b)
		}
	}
	for range 2000 {
		x, y := rng.Float64()*50-25, rng.Float64()*50-25
		dx, dy := rng.NormFloat64()*10, rng.NormFloat64()*10
		if rng.IntN(10) == 0 {
			dy = 0
		}
		got := s.Raycast(x, y, x+dx, y+dy, Filter{})
		best, bestT := (*Body)(nil), 2.0
		for _, b := range s.bodies {
			if h, ok := b.ray(way{x, y, x + dx - x, y + dy - y}); ok && h.t < bestT {
				if d, _, _ := b.depth(x, y); d == 0 {
					best, bestT = b, h.t
				}
			}
		}
		if got.Body != best {
			t.Fatalf("ray from %v, %v by %v, %v: got %+v, want %+v at %v", x, y, dx, dy, got, best, bestT)
		}
		r := rng.Float64() * 5
		var want []*Body
		for _, b := range s.bodies {
			if d, _, _ := b.sum(shape{x: x, y: y, r: r}).depth(x, y); d > 0 {
				want = append(want, b)
			}
		}
		if got := s.OverlapCircle(x, y, r, Filter{}); !slices.Equal(got, want) {
			t.Fatalf("circle at %v, %v of %v: got %s, want %s", x, y, r, numbers(got), numbers(want))
		}
	}
}

// BenchmarkMove says what a step of Charge costs.
func BenchmarkMove(b *testing.B) {
	s := space(b, 2)
	steps := 0
	s.Charge = func(n int) { steps += n }
	rng := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		solid(b)(s.Box(rng.Float64()*100, rng.Float64()*100, 1, 1))
	}
	me, err := s.Circle(50, 50, 0.5)
	if err != nil {
		b.Fatal(err)
	}
	i := 0
	for b.Loop() {
		i++
		a := float64(i)
		s.Move(me, 0.2*math.Cos(a/30), 0.2*math.Sin(a/30), Filter{})
	}
	b.ReportMetric(float64(steps)/float64(b.N), "steps/op")
}
