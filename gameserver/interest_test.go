package gameserver

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/wire"
)

// field is a world of trees that are seen 20 far, and walkers who are seen
// everywhere, whose names are seen 15 far and secrets by their owners.
func newField(t failer) *World {
	w := NewWorld()
	place := []wire.Field{
		{Name: "x", Kind: wire.FieldNumber, Min: -100, Max: 100, Precision: 0.1},
		{Name: "y", Kind: wire.FieldNumber, Min: -100, Max: 100, Precision: 0.1},
	}
	tree, err := w.Define("tree", place)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Rule(tree, 20, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Define("walker", append(place,
		wire.Field{Name: "name", Kind: wire.FieldString, Max: 9, Within: 15},
		wire.Field{Name: "secret", Kind: wire.FieldInteger, Max: 99, Owner: true},
	)); err != nil {
		t.Fatal(err)
	}
	return w
}

func put(t failer, w *World, id uint32, x, y float64) {
	for i, v := range []float64{x, y} {
		if err := w.SetNumber(id, i, v); err != nil {
			t.Fatal(err)
		}
	}
}

// Whoever comes near is seen, whoever is away is not, between the two nobody
// comes and goes; names and secrets are for whom they are.
func TestPlayersSeeWhatConcernsThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
		w := newField(t)
		trees, walkers := []uint32{}, map[throng.PlayerID]uint32{}
		for range rapid.IntRange(0, 150).Draw(t, "trees") {
			id, _ := w.Spawn(0, "")
			put(t, w, id, r.Float64()*200-100, r.Float64()*200-100)
			trees = append(trees, id)
		}
		players, names := []*player{}, []throng.PlayerID{}
		for i := range 3 {
			p := newPlayer(&crowd{t: t, world: w}, r, rapid.Float64Range(0, 0.3).Draw(t, "loss"), 2)
			name := throng.PlayerID(fmt.Sprintf("p%d", i))
			p.replica.player = name
			id, _ := w.Spawn(1, name)
			walkers[name] = id
			names = append(names, name)
			if w.SetString(id, 2, string(name)) != nil || w.SetNumber(id, 3, float64(50+i)) != nil {
				t.Fatal("cannot be set")
			}
			players = append(players, p)
		}
		at := map[throng.PlayerID][2]float64{}
		now := time.UnixMilli(1e12)
		tick := throng.Tick(0)
		run := func(ticks int, speed float64) {
			for range ticks {
				tick++
				now = now.Add(time.Second / 30)
				for _, name := range names {
					p, id := at[name], walkers[name]
					p[0] = max(-100, min(100, p[0]+(r.Float64()*2-1)*speed))
					p[1] = max(-100, min(100, p[1]+(r.Float64()*2-1)*speed))
					at[name] = p
					put(t, w, id, p[0], p[1])
				}
				w.Commit(tick)
				for _, p := range players {
					p.step(tick, now, func(*wire.View) {})
				}
			}
		}
		run(60, 20)
		for _, p := range players {
			p.down.loss, p.up.loss = 0, 0
		}
		run(60, 0)
		for _, p := range players {
			checkSight(t, w, p, walkers, trees)
		}
	})
}

func checkSight(t failer, w *World, p *player, walkers map[throng.PlayerID]uint32, trees []uint32) {
	me, _ := w.find(walkers[p.replica.player])
	away := func(id uint32) float64 {
		i, _ := w.find(id)
		return math.Hypot(w.entities[i].x-w.entities[me].x, w.entities[i].y-w.entities[me].y)
	}
	v := p.client.View()
	for _, id := range trees {
		_, seen := v.Find(id)
		if d := away(id); d <= 20 && !seen || d > 20*stay && seen {
			t.Fatalf("a tree %v away is seen: %v", d, seen)
		}
	}
	for owner, id := range walkers {
		e, seen := v.Find(id)
		if !seen {
			t.Fatalf("%s is not seen", owner)
		}
		own, d := owner == p.replica.player, away(id)
		if got := e.Values[2] != 0; got != own {
			t.Fatalf("%s sees the secret of %s: %v", p.replica.player, owner, got)
		}
		if named := e.Texts[0] != ""; (own || d <= 15) && !named || !own && d > 15*stay && named {
			t.Fatalf("the name of who is %v away is seen: %v", d, named)
		}
	}
}

// A world that is too much for the budget comes by and by, near things first, in
// no more bytes than that.
func TestBudgetsAreKept(t *testing.T) {
	w := newField(t)
	r := rand.New(rand.NewPCG(5, 5))
	me, _ := w.Spawn(1, "ada")
	put(t, w, me, 0, 0)
	var ids []uint32
	for range 600 {
		id, _ := w.Spawn(1, "")
		ids = append(ids, id)
		put(t, w, id, r.Float64()*200-100, r.Float64()*200-100)
	}
	welcome := wire.Welcome{Protocol: wire.Protocol, TickRate: 30, Player: "ada", Schema: w.Schema()}
	replica, c := NewReplica(w, welcome), client.NewWorld()
	if _, err := c.Receive(wire.AppendWelcome(nil, welcome), time.Time{}); err != nil {
		t.Fatal(err)
	}
	replica.SetBudget(40_000)
	now := time.UnixMilli(1e12)
	bytes, near, far := 0, 0, 0
	var nearAge, farAge int
	for tick := throng.Tick(1); tick <= 900; tick++ {
		now = now.Add(time.Second / 30)
		for _, id := range ids {
			put(t, w, id, w.Number(id, 0)+r.Float64()*2-1, w.Number(id, 1)+r.Float64()*2-1)
		}
		w.Commit(tick)
		for _, p := range replica.Payloads(tick, now) {
			if wire.MessageOf(p) == wire.MessageSnapshot {
				bytes += len(p) + headers
			}
			if u, err := c.Receive(p, now); err != nil || u.Mismatch {
				t.Fatalf("tick %d: %+v, %v", tick, u, err)
			}
		}
		in, err := wire.ParseInput(c.Input(0, 0, 0, now))
		if err != nil {
			t.Fatal(err)
		}
		replica.Receive(in, now)
		if tick < 300 {
			continue
		}
		v := c.View()
		for i := range v.Len() {
			id := v.At(i).ID
			if math.Hypot(w.Number(id, 0), w.Number(id, 1)) < 20 {
				near, nearAge = near+1, nearAge+v.Age(i)
			} else {
				far, farAge = far+1, farAge+v.Age(i)
			}
		}
	}
	if most := 40_000/8*30 + firstCredit + mostCredit; bytes > most {
		t.Errorf("%d bytes in 30 s, want at most %d", bytes, most)
	}
	if c.Len() != w.Len() {
		t.Errorf("%d of %d entities are seen", c.Len(), w.Len())
	}
	if n, f := float64(nearAge)/float64(near), float64(farAge)/float64(far); n*2 > f {
		t.Errorf("near ones are %.1f ticks old, far ones %.1f", n, f)
	}
}
