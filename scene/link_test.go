package scene_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/scene"
	"github.com/throng-gg/throng/script/physics"
	"github.com/throng-gg/throng/wire"
)

const (
	rate     = 30
	tickTime = time.Second / rate
	frame    = time.Second / 60
	size     = 64.
	speed    = 6.
	radius   = 0.5
)

// link is a bad network, in both directions.
type link struct {
	delay, jitter time.Duration // each way
	loss          float64
}

// run is a session of walkers among pillars and walls over a link to one of them, by a
// clock of its own. The server is the real World and Replica, and the client the real
// World: all that is not real is the way between them, the loop, which applies the
// newest input at each tick, and the script, which is a few lines here.
type run struct {
	link
	rng    *rand.Rand
	now    time.Duration
	events []event // by time

	server  *gameserver.World
	replica *gameserver.Replica
	tick    throng.Tick
	every   int // ticks to a snapshot
	space   *physics.Space
	people  []*person
	move    wire.Move // newest of person 0
	applied uint32    // its sequence
	truth   [][][2]float64

	client *client.World
	scene  *scene.Scene
	made   uint32
	// Told of what happens, when set.
	sent func(now time.Duration, sequence uint32, m wire.Move)
	came func(now time.Duration, v *wire.View, applied uint32, round time.Duration)
}

type event struct {
	at time.Duration
	do func()
}

// person is one who walks about: so long in one direction, then in another.
type person struct {
	entity uint32
	body   *physics.Body
	move   wire.Move
	until  throng.Tick
}

var kinds = []struct {
	name   string
	fields []wire.Field
	gait   wire.Gait
}{
	{
		"walker",
		[]wire.Field{metres("x"), metres("y"), {Name: "angle", Kind: wire.FieldNumber, Min: -math.Pi, Max: math.Pi, Precision: 1. / 32}, {Name: "on", Kind: wire.FieldBool}},
		wire.Gait{Speed: speed, Radius: radius, Turns: true},
	},
	{"pillar", []wire.Field{metres("x"), metres("y"), metres("radius")}, wire.Gait{Solid: true}},
	{"wall", []wire.Field{metres("x"), metres("y"), metres("width"), metres("height")}, wire.Gait{Solid: true}},
}

func metres(name string) wire.Field {
	return wire.Field{Name: name, Kind: wire.FieldNumber, Max: size, Precision: 1. / 64}
}

func newRun(seed uint64, l link, people int) *run {
	r := &run{link: l, rng: rand.New(rand.NewPCG(seed, 5)), server: gameserver.NewWorld(), every: 1, client: client.NewWorld()}
	r.now = 10 * time.Second // no clock begins at 0
	for i, k := range kinds {
		_, err := r.server.Define(k.name, k.fields)
		check(err)
		check(r.server.Gait(i, k.gait))
	}
	r.space = must(physics.NewSpace(2))
	for _, at := range [][2]float64{{16, 16}, {48, 16}, {16, 48}, {48, 48}, {32, 32}} {
		r.spawn(1, "", at[0], at[1], 3)
		must(r.space.Circle(at[0], at[1], 3)).Solid = true
	}
	for _, at := range [][2]float64{{32, 16}, {32, 48}} {
		r.spawn(2, "", at[0], at[1], 8, 2)
		must(r.space.Box(at[0], at[1], 8, 2)).Solid = true
	}
	for i := range people {
		p := &person{body: must(r.space.Circle(8+float64(i*5%48), 24+float64(i*7%16), radius))}
		x, y := p.body.Place()
		p.entity = r.spawn(0, throng.PlayerID(fmt.Sprint("p", i)), x, y)
		r.people = append(r.people, p)
	}
	welcome := wire.Welcome{Protocol: wire.Protocol, TickRate: rate, Player: "p0", Schema: r.server.Schema()}
	r.replica = gameserver.NewReplica(r.server, welcome)
	must(r.client.Receive(wire.AppendWelcome(nil, welcome), stamp(r.now)))
	r.scene = scene.New(welcome)
	r.at(r.now, r.step)
	r.at(r.now+tickTime/3, r.send)
	return r
}

func (r *run) spawn(kind int, owner throng.PlayerID, numbers ...float64) uint32 {
	id := must(r.server.Spawn(kind, owner))
	for i, v := range numbers {
		check(r.server.SetNumber(id, i, v))
	}
	return id
}

// at has something happen at a time.
func (r *run) at(t time.Duration, do func()) {
	i, _ := slices.BinarySearchFunc(r.events, t, func(e event, t time.Duration) int {
		if e.at <= t {
			return -1
		}
		return 1
	})
	r.events = slices.Insert(r.events, i, event{t, do})
}

// until lets time pass.
func (r *run) until(t time.Duration) {
	for len(r.events) > 0 && r.events[0].at <= t {
		e := r.events[0]
		r.events = r.events[1:]
		r.now = e.at
		e.do()
	}
	r.now = t
}

// deliver brings a payload to the other side, or does not.
func (r *run) deliver(payload []byte, take func([]byte)) {
	if r.rng.Float64() < r.loss {
		return
	}
	late := r.delay + time.Duration((r.rng.Float64()*2-1)*float64(r.jitter))
	b := slices.Clone(payload)
	r.at(r.now+late.Truncate(time.Millisecond), func() { take(b) })
}

// step is a tick of the server.
func (r *run) step() {
	r.at(r.now+tickTime, r.step)
	r.tick++
	var places [][2]float64
	for i, p := range r.people {
		m := p.wants(r.tick, r.rng)
		if i == 0 {
			m = r.move
		}
		mx, my := m.Axes()
		if long := math.Hypot(mx, my); long > 1 {
			mx, my = mx/long, my/long
		}
		hit := r.space.Move(p.body, mx*speed/rate, my*speed/rate, physics.Filter{})
		r.put(p, hit.X, hit.Y)
		if mx != 0 || my != 0 {
			check(r.server.SetNumber(p.entity, 2, math.Atan2(my, mx)))
		}
		check(r.server.SetNumber(p.entity, 3, float64(r.tick/7%2)))
		x, y := p.body.Place()
		places = append(places, [2]float64{x, y})
	}
	r.truth = append(r.truth, places)
	r.replica.Applied(r.applied)
	r.server.Commit(r.tick)
	if int(r.tick)%r.every == 0 {
		for _, payload := range r.replica.Payloads(r.tick, stamp(r.now)) {
			r.deliver(payload, r.receive)
		}
	}
}

// put sets where a person is.
func (r *run) put(p *person, x, y float64) {
	x, y = max(radius, min(x, size-radius)), max(radius, min(y, size-radius))
	check(r.space.Put(p.body, x, y))
	check(r.server.SetNumber(p.entity, 0, x))
	check(r.server.SetNumber(p.entity, 1, y))
}

func (p *person) wants(t throng.Tick, rng *rand.Rand) wire.Move {
	if t >= p.until {
		p.until = t + throng.Tick(5+rng.IntN(40))
		a := rng.Float64() * 2 * math.Pi
		if p.move = (wire.Move{}); rng.IntN(5) > 0 {
			p.move = wire.MakeMove(math.Cos(a), math.Sin(a), 0)
		}
	}
	return p.move
}

// receive takes a snapshot at the client.
func (r *run) receive(payload []byte) {
	u := must(r.client.Receive(payload, stamp(r.now)))
	if u.Mismatch {
		panic("the client's world is not the server's")
	}
	if u.Tick == 0 {
		return
	}
	if r.came != nil {
		r.came(r.now, r.client.View(), r.client.Applied(), u.Round)
	}
	r.scene.Snapshot(r.client.View(), r.client.Applied(), u.Round, r.now)
}

// send sends the client's input, whose timer is off by up to 3 ms.
func (r *run) send() {
	due := 10*time.Second + tickTime/3 + time.Duration(r.made)*tickTime
	r.made++
	r.at(due+tickTime+time.Duration(r.rng.IntN(4))*time.Millisecond, r.send)
	m := r.people[0].wants(throng.Tick(r.made), r.rng)
	x, y := m.Axes()
	if r.sent != nil {
		r.sent(r.now, r.made, m)
	}
	r.scene.Input(r.made, m, r.now)
	r.deliver(r.client.Input(x, y, 0, stamp(r.now)), func(b []byte) {
		if in := must(wire.ParseInput(b)); r.replica.Receive(in, stamp(r.now)) {
			r.move, r.applied = in.Moves[in.Count-1], in.Sequence
		}
	})
}

// was is where the server had a person at a time, between its ticks.
func (r *run) was(person int, t time.Duration) [2]float64 {
	at := float64(t-10*time.Second) / float64(tickTime)
	i := max(0, min(int(math.Floor(at)), len(r.truth)-2))
	a, b, part := r.truth[i][person], r.truth[i+1][person], max(0, min(1, at-float64(i)))
	return [2]float64{a[0] + (b[0]-a[0])*part, a[1] + (b[1]-a[1])*part}
}

func stamp(now time.Duration) time.Time { return time.UnixMilli(1e12).Add(now) }

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}
