package script

import (
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
)

// example loads a place of examples/places.
func example(tb testing.TB, name string) *place {
	tb.Helper()
	files := make(map[string][]byte)
	root := os.DirFS(path.Join("../examples/places", name))
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files[name], err = fs.ReadFile(root, name)
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	if !strings.Contains(string(files["place.yaml"]), "entry: scripts/main.lua") {
		tb.Fatal("place.yaml does not name scripts/main.lua")
	}
	p := &place{world: newFakeWorld()}
	p.VM, err = New(Config{
		Files: files, Entry: "scripts/main.lua", World: p.world, Capacity: 50, Seed: 1,
		Log: func(_ throng.LogLevel, line string) { p.lines = append(p.lines, line) },
	})
	must(tb, err, p.Start())
	return p
}

// entityOf finds the entity of a player.
func (p *place) entityOf(tb testing.TB, id throng.PlayerID) uint32 {
	tb.Helper()
	for e, v := range p.world.entities {
		if v.owner == id {
			return e
		}
	}
	tb.Fatalf("%s has no entity", id)
	return 0
}

func TestStarter(t *testing.T) {
	p := example(t, "starter")
	must(t, p.Join("ada"), p.Join("bo"), p.Tick(0.1))
	ada := p.entityOf(t, "ada")
	must(t, p.Input("ada", Input{Buttons: 1}), p.Tick(0.1))
	if x, y := p.world.number(ada, "x"), p.world.number(ada, "y"); x != 16 || y != 16 {
		t.Errorf("got %v, %v after button 1, want 16, 16", x, y)
	}
	must(t, p.Input("ada", Input{MoveX: 1, MoveY: -0.5}), p.Tick(0.1))
	if x, y := p.world.number(ada, "x"), p.world.number(ada, "y"); math.Abs(x-16.5) > 1e-9 || math.Abs(y-15.75) > 1e-9 {
		t.Errorf("got %v, %v after a step, want 16.5, 15.75", x, y)
	}
	for range 100 {
		must(t, p.Tick(0.1))
	}
	if x := p.world.number(ada, "x"); x != 32 {
		t.Errorf("got x %v, want the edge", x)
	}
	must(t, p.Leave("ada"), p.Tick(0.1), p.Leave("bo"), p.Tick(0.1))
	if len(p.world.entities) != 0 {
		t.Errorf("got %d entities after all left, want 0", len(p.world.entities))
	}
	if want := "ada is here, we are 1 of 50"; p.lines[0] != want {
		t.Errorf("got log %q, want %q", p.lines[0], want)
	}
}

// crowd lets players of the arena run about for some ticks, and looks at what
// must hold after each.
func crowd(tb testing.TB, p *place, players, ticks int) (mostSteps int) {
	tb.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range players {
		must(tb, p.Join(throng.PlayerID(fmt.Sprintf("p%d", i))))
	}
	for tick := range ticks {
		for i := range players {
			if rng.IntN(20) == 0 || tick == 0 {
				a := rng.Float64() * 2 * math.Pi
				must(tb, p.Input(throng.PlayerID(fmt.Sprintf("p%d", i)), Input{MoveX: math.Cos(a), MoveY: math.Sin(a)}))
			}
		}
		must(tb, p.Tick(1.0/30))
		mostSteps = max(mostSteps, p.Usage().Steps)
		its := 0
		for id, e := range p.world.entities {
			if e.owner == "" { // a pillar
				continue
			}
			x, y := p.world.number(id, "x"), p.world.number(id, "y")
			if x < 0.5-1e-9 || x > 63.5+1e-9 || y < 0.5-1e-9 || y > 63.5+1e-9 {
				tb.Fatalf("tick %d: entity %d is in a wall, at %v, %v", tick, id, x, y)
			}
			if math.Hypot(x-32, y-32) < 5.5-1e-6 || math.Hypot(x-16, y-48) < 3.5-1e-6 {
				tb.Fatalf("tick %d: entity %d is in a pillar, at %v, %v", tick, id, x, y)
			}
			its += int(p.world.number(id, "it"))
		}
		if want := (players + 9) / 10; its != want {
			tb.Fatalf("tick %d: %d of %d players are it, want %d", tick, its, players, want)
		}
	}
	return mostSteps
}

func TestArenaIsCheapAndKeepsItsRules(t *testing.T) {
	p := example(t, "arena")
	steps := crowd(t, p, 50, 900)
	t.Logf("at most %d steps a tick with 50 players, %d KiB", steps, p.Usage().Memory>>10)
	if steps > 100_000 {
		t.Errorf("got %d steps a tick with 50 players, want at most 100,000", steps)
	}
	tags := 0
	for id, e := range p.world.entities {
		if e.owner != "" && p.world.number(id, "score") > 30 {
			tags++
		}
	}
	if tags == 0 {
		t.Errorf("nobody has more than a point a second after 30 s: nobody was tagged")
	}
	for i := range 50 {
		must(t, p.Leave(throng.PlayerID(fmt.Sprintf("p%d", i))), p.Tick(1.0/30))
	}
	if len(p.world.entities) != 5 {
		t.Errorf("got %d entities after all left, want the 5 pillars", len(p.world.entities))
	}
}

func TestArenaInOneSpot(t *testing.T) {
	p := example(t, "arena")
	for i := range 50 {
		must(t, p.Join(throng.PlayerID(fmt.Sprintf("p%d", i))))
	}
	most := 0
	for range 600 { // all press into one corner
		for i := range 50 {
			must(t, p.Input(throng.PlayerID(fmt.Sprintf("p%d", i)), Input{MoveX: -1, MoveY: -1}))
		}
		must(t, p.Tick(1.0/30))
		most = max(most, p.Usage().Steps)
	}
	if most > 200_000 {
		t.Errorf("got %d steps a tick with all in one corner, want at most 200,000", most)
	}
	t.Logf("at most %d steps a tick", most)
}

func TestArenaTag(t *testing.T) {
	p := example(t, "arena")
	must(t, p.Join("ada"), p.Tick(0.1))
	ada := p.entityOf(t, "ada")
	if p.world.number(ada, "it") != 0 {
		t.Errorf("one alone is it")
	}
	must(t, p.Join("bo"), p.Tick(0.1))
	bo := p.entityOf(t, "bo")
	if p.world.number(ada, "it")+p.world.number(bo, "it") != 1 {
		t.Errorf("got no one who is it among two")
	}
	it := func() uint32 {
		if p.world.number(ada, "it") == 1 {
			return ada
		}
		return bo
	}
	passed, last, lastPass := 0, it(), 0
	for tick := range 900 { // ada runs after bo, who stands
		dx := p.world.number(bo, "x") - p.world.number(ada, "x")
		dy := p.world.number(bo, "y") - p.world.number(ada, "y")
		d := math.Hypot(dx, dy)
		must(t, p.Input("ada", Input{MoveX: dx / d, MoveY: dy / d}), p.Tick(1.0/30))
		if now := it(); now != last {
			if passed > 0 && tick-lastPass < 29 {
				t.Errorf("passed back after %d ticks, want a second of grace", tick-lastPass)
			}
			passed, last, lastPass = passed+1, now, tick
		}
	}
	if passed < 2 {
		t.Errorf("passed %d times in 30 s of touching, want several", passed)
	}
	if score := p.world.number(ada, "score") + p.world.number(bo, "score"); score < float64(5*passed) {
		t.Errorf("got %v points for %d tags, want five each", score, passed)
	}
}

// TestRush: nobody gets into a wall, coins are collected and dropped but not
// made out of nothing, and a round ends.
func TestRush(t *testing.T) {
	p := example(t, "rush")
	rng := rand.New(rand.NewPCG(3, 4))
	name := func(i int) throng.PlayerID { return throng.PlayerID(fmt.Sprintf("p%d", i)) }
	for i := range 20 {
		must(t, p.Join(name(i)))
	}
	most, topScore, touched := 0, 0.0, 0.0
	for tick := range 30 * 119 {
		for i := range 20 {
			if rng.IntN(15) == 0 || tick == 0 {
				a := rng.Float64() * 2 * math.Pi
				must(t, p.Input(name(i), Input{MoveX: math.Cos(a), MoveY: math.Sin(a), Buttons: uint32(rng.IntN(2))}))
			}
		}
		must(t, p.Tick(1.0/30))
		most = max(most, p.Usage().Steps)
		if tick%10 > 0 {
			continue
		}
		var walls [][4]float64
		for id, e := range p.world.entities {
			if p.world.kinds[e.kind] == "wall" {
				walls = append(walls, [4]float64{p.world.number(id, "x"), p.world.number(id, "y"), p.world.number(id, "width") / 2, p.world.number(id, "height") / 2})
			}
		}
		for id, e := range p.world.entities {
			if e.owner == "" {
				continue
			}
			x, y := p.world.number(id, "x"), p.world.number(id, "y")
			for _, w := range walls {
				dx, dy := max(math.Abs(x-w[0])-w[2], 0), max(math.Abs(y-w[1])-w[3], 0)
				if math.Hypot(dx, dy) < 0.499 {
					t.Fatalf("tick %d: %s is in a wall, at %v, %v", tick, e.owner, x, y)
				}
			}
			topScore, touched = max(topScore, p.world.number(id, "score")), touched+p.world.number(id, "it")
		}
	}
	if topScore < 5 || touched == 0 {
		t.Errorf("the best has %v coins and %v ticks of having been hit were seen, want a game", topScore, touched)
	}
	for range 30 * 10 {
		must(t, p.Tick(1.0/30))
	}
	if !strings.Contains(p.log(), "wins with") || !strings.Contains(p.log(), "ran into") {
		t.Errorf("the log says nothing of a winner or of hits: %.300s", p.log())
	}
	t.Logf("at most %d steps a tick, %d KiB, best %v", most, p.Usage().Memory>>10, topScore)
	if most > 100_000 {
		t.Errorf("got %d steps a tick with 20 players, want at most 100,000", most)
	}
	for i := range 20 {
		must(t, p.Leave(name(i)))
	}
	must(t, p.Tick(1.0/30))
}

func BenchmarkArena50(b *testing.B) {
	p := example(b, "arena")
	for i := range 50 {
		id := throng.PlayerID(fmt.Sprintf("p%d", i))
		a := float64(i)
		must(b, p.Join(id), p.Input(id, Input{MoveX: math.Cos(a), MoveY: math.Sin(a)}))
	}
	for b.Loop() {
		must(b, p.Tick(1.0/30))
	}
	b.ReportMetric(float64(p.Usage().Steps), "steps/tick")
}
