package gameserver

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/wire"
)

// failer is a testing.T or a rapid.T.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// crowd is a world of avatars that walk, turn, stop, shoot, come and go.
type crowd struct {
	t     failer
	world *World
	r     *rand.Rand
	ids   []uint32
	walks []walk
	tick  throng.Tick
}

type walk struct {
	x, y, angle, speed float64
}

func newCrowd(t failer, seed uint64) *crowd {
	w := NewWorld()
	kind, err := w.Define("avatar", []wire.Field{
		{Name: "x", Kind: wire.FieldNumber, Min: 0, Max: 64, Precision: 1. / 64},
		{Name: "y", Kind: wire.FieldNumber, Min: 0, Max: 64, Precision: 1. / 64},
		{Name: "angle", Kind: wire.FieldNumber, Min: -math.Pi, Max: math.Pi, Precision: math.Pi / 128},
		{Name: "firing", Kind: wire.FieldBool},
		{Name: "health", Kind: wire.FieldInteger, Min: 0, Max: 100},
	})
	if err != nil || kind != 0 {
		t.Fatalf("got kind %d, %v", kind, err)
	}
	if _, err := w.Define("sign", []wire.Field{
		{Name: "text", Kind: wire.FieldString, Max: 40},
		{Name: "height", Kind: wire.FieldNumber, Min: -5, Max: 5, Precision: 0.1},
	}); err != nil {
		t.Fatal(err)
	}
	return &crowd{t: t, world: w, r: rand.New(rand.NewPCG(seed, 7))}
}

func (c *crowd) spawn(kind int, owner throng.PlayerID) {
	id, err := c.world.Spawn(kind, owner)
	if err != nil {
		c.t.Fatal(err)
	}
	c.ids = append(c.ids, id)
	c.walks = append(c.walks, walk{c.r.Float64() * 64, c.r.Float64() * 64, 0, 5})
	if kind == 0 {
		c.set(id, 4, 100)
		return
	}
	if err := c.world.SetString(id, 0, fmt.Sprintf("sign %d", id)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *crowd) set(id uint32, field int, v float64) {
	if err := c.world.SetNumber(id, field, v); err != nil {
		c.t.Fatal(err)
	}
}

// step moves everybody by one tick at 30 Hz: 5 m/s, with a turn every two
// seconds, and a stop or a start as often.
func (c *crowd) step() {
	for i, id := range c.ids {
		w := &c.walks[i]
		if _, avatar := c.world.entity(id); avatar.Name() != "avatar" {
			continue
		}
		switch c.r.IntN(60) {
		case 0:
			w.angle = c.r.Float64()*2*math.Pi - math.Pi
		case 1:
			w.speed = 5 - w.speed
		case 2:
			c.set(id, 4, float64(c.r.IntN(101)))
		case 3:
			c.set(id, 3, float64(c.r.IntN(2)))
		}
		w.x += math.Cos(w.angle) * w.speed / 30
		w.y += math.Sin(w.angle) * w.speed / 30
		if w.x < 0 || w.x > 64 || w.y < 0 || w.y > 64 {
			w.x, w.y = max(0, min(64, w.x)), max(0, min(64, w.y))
			w.angle = c.r.Float64()*2*math.Pi - math.Pi
		}
		c.set(id, 0, w.x)
		c.set(id, 1, w.y)
		c.set(id, 2, w.angle)
	}
	c.tick++
	c.world.Commit(c.tick)
}

func (c *crowd) remove(i int) {
	c.world.Remove(c.ids[i])
	last := len(c.ids) - 1
	c.ids[i], c.walks[i] = c.ids[last], c.walks[last]
	c.ids, c.walks = c.ids[:last], c.walks[:last]
}

// churn lets some come and go and some signs change.
func (c *crowd) churn() {
	switch c.r.IntN(12) {
	case 0:
		c.spawn(c.r.IntN(2), throng.PlayerID([]string{"", "ada", "bo"}[c.r.IntN(3)]))
	case 1:
		if len(c.ids) > 0 {
			c.remove(c.r.IntN(len(c.ids)))
		}
	case 2:
		for range 30 {
			if len(c.ids) == 0 {
				return
			}
			id := c.ids[c.r.IntN(len(c.ids))]
			if _, k := c.world.entity(id); k.Name() == "sign" {
				if err := c.world.SetString(id, 0, fmt.Sprintf("now %d", c.r.Uint32())); err != nil {
					c.t.Fatal(err)
				}
				return
			}
		}
	}
}

// link carries payloads one way: some are lost, some late, some twice.
type link struct {
	r    *rand.Rand
	loss float64
	late int // ticks, at most, beyond one
	wait [][][]byte
}

func (l *link) send(payload []byte) {
	for copies := 1; copies > 0; copies-- {
		if l.r.Float64() < l.loss {
			continue
		}
		if l.r.IntN(20) == 0 {
			copies++
		}
		at := 1 + l.r.IntN(l.late+1)
		for len(l.wait) <= at {
			l.wait = append(l.wait, nil)
		}
		l.wait[at] = append(l.wait[at], append([]byte{}, payload...))
	}
}

func (l *link) receive() [][]byte {
	if len(l.wait) == 0 {
		return nil
	}
	now := l.wait[0]
	l.wait = l.wait[1:]
	l.r.Shuffle(len(now), func(i, j int) { now[i], now[j] = now[j], now[i] })
	return now
}

// player is one client with its replica and the network between them.
type player struct {
	t        failer
	replica  *Replica
	client   *client.World
	down, up link

	complete, verified int
	rounds             []time.Duration
}

// welcomeTo is what ada is told first.
func welcomeTo(c *crowd) wire.Welcome {
	return wire.Welcome{
		Protocol: wire.Protocol, TickRate: 30, Capacity: 50, Player: "ada", Session: "ses_local_x", Place: "arena", Version: 1, Schema: c.world.Schema(),
	}
}

func newPlayer(c *crowd, r *rand.Rand, loss float64, late int) *player {
	w := welcomeTo(c)
	p := &player{
		t:       c.t,
		replica: NewReplica(c.world, w),
		client:  client.NewWorld(),
		down:    link{r: r, loss: loss, late: late},
		up:      link{r: r, loss: loss, late: late},
	}
	if _, err := p.client.Receive(wire.AppendWelcome(nil, w), time.Time{}); err != nil {
		c.t.Fatal(err)
	}
	return p
}

// step runs one tick of both ends, and checks every snapshot that the client
// completes.
func (p *player) step(tick throng.Tick, now time.Time, check func(*wire.View)) {
	for _, payload := range p.replica.Payloads(tick, now) {
		if len(payload) > wire.MaxPayload {
			p.t.Fatalf("a payload has %d bytes", len(payload))
		}
		p.down.send(payload)
	}
	for _, payload := range p.down.receive() {
		u, err := p.client.Receive(payload, now)
		if err != nil || u.Mismatch {
			p.t.Fatalf("tick %d: update %+v, error %v", tick, u, err)
		}
		p.verified += u.Verified
		if u.Round > 0 {
			p.rounds = append(p.rounds, u.Round)
		}
		if u.Tick != 0 {
			p.complete++
			check(p.client.View())
		}
	}
	p.up.send(p.client.Input(p.up.r.Float64()*2-1, 0, p.up.r.Uint32N(4), now))
	for _, payload := range p.up.receive() {
		in, err := wire.ParseInput(payload)
		if err != nil {
			p.t.Fatal(err)
		}
		p.replica.Receive(in, now)
	}
}

// history is the world as it was at each tick.
type history struct {
	t     failer
	views map[throng.Tick]*wire.View
}

func (h history) add(w *World) {
	v := copyView(w.View(), w.Schema())
	h.views[v.Tick] = v
	delete(h.views, v.Tick-100)
}

// check checks that a client's view is what the world was: each entity as it was
// when it was told.
func (h history) check(got *wire.View) {
	h.t.Helper()
	for i := range got.Len() {
		if got.Age(i) == wire.History {
			continue
		}
		at := got.Tick - throng.Tick(got.Age(i))
		w, ok := h.views[at].Find(got.At(i).ID)
		if g := got.At(i); !ok || !equal(g, w) {
			h.t.Fatalf("tick %d: got %+v, want that of tick %d: %+v", got.Tick, g, at, w)
		}
	}
}

// same checks that a client's view is the world's.
func (h history) same(got, want *wire.View) {
	h.t.Helper()
	if got.Len() != want.Len() {
		h.t.Fatalf("tick %d: got %d entities, want %d", got.Tick, got.Len(), want.Len())
	}
	for i := range got.Len() {
		if g, w := got.At(i), want.At(i); !equal(g, w) {
			h.t.Fatalf("tick %d: got %+v, want %+v", got.Tick, g, w)
		}
	}
}

func equal(a, b wire.Entity) bool {
	return a.ID == b.ID && a.Kind == b.Kind && a.Owner == b.Owner &&
		slices.Equal(a.Values, b.Values) && slices.Equal(a.Texts, b.Texts)
}

func copyView(v *wire.View, s *wire.Schema) *wire.View {
	c := &wire.View{}
	c.Reset(v.Tick)
	for i := range v.Len() {
		e := v.At(i)
		in := c.Add(s.Kind(e.Kind), e)
		copy(in.Values, e.Values)
		copy(in.Texts, e.Texts)
	}
	return c
}

func TestClientsSeeTheWorldOverABadNetwork(t *testing.T) {
	for _, c := range []struct {
		loss float64
		late int
		want float64 // of the snapshots, complete
	}{{0, 0, 0.95}, {0.05, 3, 0.3}, {0.3, 8, 0.1}, {0.05, 40, 0.01}} {
		t.Run(fmt.Sprintf("loss %v late %d", c.loss, c.late), func(t *testing.T) {
			crowd := newCrowd(t, 1)
			for i := range 40 {
				crowd.spawn(i%2, "ada")
			}
			var players []*player
			for i := range uint64(3) {
				players = append(players, newPlayer(crowd, rand.New(rand.NewPCG(2, i)), c.loss, c.late))
			}
			truth := history{t, map[throng.Tick]*wire.View{}}
			now := time.UnixMilli(1e12)
			const ticks = 1500
			for range ticks {
				now = now.Add(time.Second / 30)
				crowd.churn()
				crowd.step()
				truth.add(crowd.world)
				for _, p := range players {
					p.step(crowd.tick, now, truth.check)
				}
			}
			for _, p := range players {
				p.judge(ticks, c.late, c.want)
			}
		})
	}
}

// judge says whether enough arrived over so many ticks.
func (p *player) judge(ticks, late int, want float64) {
	p.t.Helper()
	if got := float64(p.complete) / float64(ticks); got < want {
		p.t.Fatalf("%.3f of the snapshots are complete, want %v", got, want)
	}
	if p.verified > p.complete || p.verified < p.complete-200 {
		p.t.Fatalf("%d of %d snapshots count", p.verified, p.complete)
	}
	if len(p.rounds) == 0 {
		p.t.Fatal("no round trip was measured")
	}
	for _, round := range p.rounds {
		if most := time.Duration(2*(late+1)+1) * time.Second / 30; round > most {
			p.t.Fatalf("a round trip of %v, want at most %v", round, most)
		}
	}
}

func TestAnyNetworkAnyWorld(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		crowd := newCrowd(rt, seed)
		r := rand.New(rand.NewPCG(seed, 9))
		for range rapid.IntRange(0, 500).Draw(rt, "entities") {
			crowd.spawn(r.IntN(2), "bo")
		}
		p := newPlayer(crowd, r, rapid.Float64Range(0, 0.5).Draw(rt, "loss"), rapid.IntRange(0, 20).Draw(rt, "late"))
		now := time.UnixMilli(1e12)
		truth := history{rt, map[throng.Tick]*wire.View{}}
		for range 60 {
			now = now.Add(time.Second / 30)
			crowd.churn()
			crowd.step()
			truth.add(crowd.world)
			p.step(crowd.tick, now, truth.check)
		}
		// Once the network is good again, all of the world arrives.
		p.down.loss, p.up.loss, p.down.late, p.up.late = 0, 0, 0, 0
		for range 60 {
			now = now.Add(time.Second / 30)
			crowd.tick++
			crowd.world.Commit(crowd.tick)
			truth.add(crowd.world)
			p.step(crowd.tick, now, truth.check)
		}
		if p.client.Tick()+4 < crowd.tick {
			rt.Fatalf("at tick %d the client is at %d", crowd.tick, p.client.Tick())
		}
		truth.same(p.client.View(), truth.views[p.client.Tick()])
	})
}
