package anticheat_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
	"github.com/throng-gg/throng/consumer/anticheat"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/memory"
)

const maxSpeed = 6.0 // units a second, of the simulated place

var begun = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// limits are the simulated place's: 1,000,000 gold.
type limits struct{}

func (limits) Speed(throng.PlaceID) (float64, bool)            { return maxSpeed, true }
func (limits) Most(throng.GameID, throng.ItemID) (int64, bool) { return 1_000_000, true }

// court remembers what was ordered.
type court struct {
	bans    map[string]throng.Ban
	evicted map[throng.PlayerID]int
	fail    func() bool
}

func newCourt() *court {
	return &court{bans: map[string]throng.Ban{}, evicted: map[throng.PlayerID]int{}, fail: func() bool { return false }}
}

func (c *court) Put(_ context.Context, b throng.Ban) error {
	if c.fail() {
		return throng.Errorf(throng.Unavailable, "the store of bans is away")
	}
	c.bans[b.ID] = b
	return nil
}

func (c *court) Evict(_ context.Context, p throng.PlayerID, _ string) error {
	c.evicted[p]++
	return nil
}

// rules are the players that were banned by each rule.
func (c *court) banned() map[string]bool {
	out := map[string]bool{}
	for _, b := range c.bans {
		out[string(b.Player)+" "+b.Rule] = true
	}
	return out
}

// simulated is a player as his game server samples him: he walks to places that he
// chooses, the network is late by up to 300 ms and loses one update in twenty, and
// the server believes the newest that came.
type simulated struct {
	rng    *rand.Rand
	name   string
	speed  float64 // times max_speed at his fastest
	leap   float64 // seconds of max_speed that he jumps
	every  int     // seconds between jumps; 0: he does not
	rate   float64 // button presses a second
	x, y   float64
	gx, gy float64
	pace   float64
	sent   []update
	sx, sy float64 // as the server has it
	newest int
	count  int
}

type update struct {
	number, arrives int // ticks
	x, y            float64
}

const ticks = 15 // of the simulated place, a second

// second plays one and returns its sample.
func (s *simulated) second(n int) throng.MotionSampled {
	out := throng.MotionSampled{Epoch: 9, SpanMS: 1000, TickMS: 1000.0 / ticks, Source: "home"}
	if s.every > 0 && n%s.every == s.every-1 {
		a := s.rng.Float64() * 2 * math.Pi
		s.x, s.y = s.x+math.Cos(a)*s.leap*maxSpeed, s.y+math.Sin(a)*s.leap*maxSpeed
		s.gx, s.gy = s.x, s.y
	}
	for range ticks {
		s.count++
		s.walk()
		if s.rng.IntN(20) != 0 {
			s.sent = append(s.sent, update{s.count, s.count + s.rng.IntN(ticks*3/10+1), s.x, s.y})
		}
		before := [2]float64{s.sx, s.sy}
		s.sent = slices.DeleteFunc(s.sent, func(u update) bool {
			if u.arrives > s.count {
				return false
			}
			if u.number > s.newest {
				s.newest, s.sx, s.sy = u.number, u.x, u.y
			}
			return true
		})
		step := math.Hypot(s.sx-before[0], s.sy-before[1])
		out.Distance += step
		out.StepMost = max(out.StepMost, step)
		if s.rng.Float64() < s.rate/ticks*0.95 {
			out.Presses++
		}
		for extra := s.rate/ticks - 1; extra > 0; extra-- {
			if s.rng.Float64() < extra*0.95 {
				out.Presses++
			}
		}
	}
	out.X, out.Y = s.sx, s.sy
	return out
}

func (s *simulated) walk() {
	far := math.Hypot(s.gx-s.x, s.gy-s.y)
	step := s.pace * s.speed * maxSpeed / ticks
	if far <= step {
		s.gx, s.gy = s.x+s.rng.Float64()*80-40, s.y+s.rng.Float64()*80-40
		s.pace = 1
		if s.rng.IntN(4) == 0 {
			s.pace = s.rng.Float64()
		}
		return
	}
	s.x, s.y = s.x+(s.gx-s.x)/far*step, s.y+(s.gy-s.y)/far*step
}

func player(seed uint64, name string) *simulated {
	return &simulated{rng: rand.New(rand.NewPCG(seed, 7)), name: name, speed: 1, rate: 3, pace: 1} //nolint:gosec // it is played again from its seed
}

// event is what is told of a player.
func event(id string, t throng.EventType, p string, at time.Time, data any) throng.EventRecord {
	e, err := throng.MakeEvent(throng.Event{
		ID: throng.EventID(id), Type: t, Stream: throng.StreamMotion, Key: p, Place: "arena", Session: "ses_1", Player: throng.PlayerID(p), Time: at,
	}, data)
	if err != nil {
		panic(err)
	}
	return throng.EventRecord{Event: e}
}

// judge plays a player for some seconds before a Keeper; gains are of each tenth
// second.
func (s *simulated) judge(t *testing.T, k *anticheat.Keeper, seconds int, gain int64) {
	t.Helper()
	for n := range seconds {
		at := begun.Add(time.Duration(n+1) * time.Second)
		list := []throng.EventRecord{event("", throng.EventMotionSampled, s.name, at, s.second(n))}
		if gain > 0 && n%10 == 9 {
			list = append(list, reward(s.name, at, gain))
		}
		for i := range list {
			if err := k.Apply(&list[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func reward(p string, at time.Time, count int64) throng.EventRecord {
	return event("", throng.EventLedgerPosted, p, at, throng.LedgerPosted{
		Game: "arena", ID: "t", Kind: throng.TransferReward, First: throng.PlayerID(p),
		Lines: []throng.EventLine{{Account: p, Item: "gold", Change: count}, {Account: "@01", Item: "gold", Change: -count}},
	})
}

// house is how many players behind an address are one hand, and how many are not.
type house struct {
	seed        uint64
	name        string
	one, others int
}

// together are players behind one address. Those who are one hand press the same,
// the others what they like.
func together(t *testing.T, k *anticheat.Keeper, h house) {
	t.Helper()
	rng := rand.New(rand.NewPCG(h.seed, 8)) //nolint:gosec // it is played again from its seed
	sequence := func() []uint64 {
		out := make([]uint64, 6)
		for i := range out {
			out[i] = rng.Uint64N(1 << 40)
		}
		return out
	}
	for n := range 18 {
		at, hand := begun.Add(time.Duration(10*n)*time.Second), sequence()
		for i := range h.one + h.others {
			pressed := hand
			if i >= h.one {
				pressed = sequence()
			}
			kept := slices.DeleteFunc(slices.Clone(pressed), func(uint64) bool { return rng.IntN(20) == 0 }) // lost on the way
			e := event("", throng.EventInputPattern, fmt.Sprint(h.name, "-", i), at.Add(time.Duration(rng.IntN(3000))*time.Millisecond), throng.InputPattern{Epoch: 9, Source: h.name, Shingles: kept})
			if err := k.Apply(&e); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func newKeeper(c *court) *anticheat.Keeper {
	return anticheat.New(anticheat.Config{Limits: limits{}, Bans: c, Orders: c})
}

func soak() int {
	times, _ := strconv.Atoi(os.Getenv("THRONG_SOAK")) //nolint:forbidigo // a test's own
	return times
}

// kinds are the cheats: how strong the i-th of a hundred is, from which strength on
// they have to be found, and how they play.
var kinds = []struct {
	name   string
	at     func(i int) float64
	stated float64
	unit   string
	play   func(t *testing.T, k *anticheat.Keeper, seed uint64, name string, strength float64)
}{
	{"speed", func(i int) float64 { return 1.05 + 0.02*float64(i) }, 1.5, "times max_speed", func(t *testing.T, k *anticheat.Keeper, seed uint64, name string, v float64) {
		t.Helper()
		p := player(seed, name)
		p.speed = v
		p.judge(t, k, 180, 0)
	}},
	{"teleport", func(i int) float64 { return 0.2 + 0.1*float64(i) }, 2, "seconds of max_speed", func(t *testing.T, k *anticheat.Keeper, seed uint64, name string, v float64) {
		t.Helper()
		p := player(seed, name)
		p.leap, p.every = v, 5
		p.judge(t, k, 180, 0)
	}},
	{"gain", func(i int) float64 { return 0.1 + 0.04*float64(i) }, 1.1, "times the limit", func(t *testing.T, k *anticheat.Keeper, seed uint64, name string, v float64) {
		t.Helper()
		player(seed, name).judge(t, k, 180, int64(v*500_000/18)+1)
	}},
	{"inputs", func(i int) float64 { return 10 + 0.5*float64(i) }, 25, "presses a second", func(t *testing.T, k *anticheat.Keeper, seed uint64, name string, v float64) {
		t.Helper()
		p := player(seed, name)
		p.rate = v
		p.judge(t, k, 180, 0)
	}},
	{"device", func(i int) float64 { return 2 + float64(i/15) }, 3, "accounts", func(t *testing.T, k *anticheat.Keeper, seed uint64, name string, v float64) {
		t.Helper()
		together(t, k, house{seed, name, int(v), 2})
	}},
}

// TestCheatsAreFound sweeps a hundred cheats of each kind by strength, among as many
// honest players.
func TestCheatsAreFound(t *testing.T) {
	t.Parallel()
	c := newCourt()
	k := newKeeper(c)
	for i := range 200 {
		player(uint64(i+10_000), fmt.Sprint("honest", i)).judge(t, k, 60, 2000)
		if i < 50 {
			together(t, k, house{uint64(i), fmt.Sprint("family", i), 0, 5})
		}
	}
	for n, kind := range kinds {
		for i := range 100 {
			kind.play(t, k, uint64(1000*n+i), fmt.Sprint(kind.name, i), kind.at(i))
		}
	}
	if err := k.Act(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	found := c.banned()
	good, bad := 0, 0
	for key := range found {
		if strings.HasPrefix(key, "honest") || strings.HasPrefix(key, "family") {
			bad++
			t.Errorf("an honest player was banned: %s", key)
		} else {
			good++
		}
	}
	for _, kind := range kinds {
		strong, hit, first := 0, 0, math.Inf(1)
		for i := range 100 {
			name := fmt.Sprint(kind.name, i)
			if kind.name == "device" {
				name += "-0"
			}
			if found[name+" "+kind.name] {
				first = min(first, kind.at(i))
			}
			if kind.at(i) >= kind.stated {
				strong++
				if found[name+" "+kind.name] {
					hit++
				}
			}
		}
		t.Logf("%s: %d of %d found from %g %s on, the weakest at %.2f", kind.name, hit, strong, kind.stated, kind.unit, first)
		if float64(hit) < 0.95*float64(strong) {
			t.Errorf("%s: %d of %d were found, 95 %% are to be", kind.name, hit, strong)
		}
	}
	precision := float64(good) / float64(good+bad)
	t.Logf("precision %.3f, %d flags", precision, good+bad)
	if precision < 0.95 {
		t.Errorf("precision is %.3f, at least 0.95 is asked", precision)
	}
}

// TestNobodyHonestIsBanned: 10 player-hours, 10,000 in the long form, with a late and
// lossy network, and hands as fast as they get.
func TestNobodyHonestIsBanned(t *testing.T) {
	t.Parallel()
	hours := 10
	if soak() > 0 {
		hours = 10_000 * soak()
	}
	c := newCourt()
	for h := range hours {
		k := newKeeper(c)
		p := player(uint64(h), fmt.Sprint("honest", h))
		p.rate = []float64{1, 3, 8, 14}[h%4]
		p.judge(t, k, 3600, 500)
		k.Changes(begun)
		if err := k.Act(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range c.bans {
		t.Errorf("%s was banned: %s", b.Player, b.Evidence)
	}
	t.Logf("%d player-hours", hours)
}

// crowd is events of some honest players and cheats, in order of time.
func crowd(seconds int) []throng.Event {
	var out []throng.Event
	players := make([]*simulated, 30)
	for i := range players {
		players[i] = player(uint64(i), fmt.Sprint("p", i))
	}
	players[3].speed, players[9].rate = 2.5, 60
	players[5].leap, players[5].every = 20, 4
	for n := range seconds {
		for i, p := range players {
			at := begun.Add(time.Duration(n)*time.Second + time.Duration(i)*time.Millisecond)
			e := event(fmt.Sprint(i, "/", n), throng.EventMotionSampled, p.name, at, p.second(n)).Event
			if i == 20 && n%50 == 0 {
				e.Data = json.RawMessage(`{"span_ms":-1}`)
			}
			out = append(out, e)
			if n%10 == 0 {
				r := reward(p.name, at, map[bool]int64{true: 90_000, false: 100}[i == 7]).Event
				r.ID = throng.EventID(fmt.Sprint("r", i, "/", n))
				out = append(out, r)
			}
		}
	}
	return out
}

// TestCrashEverywhere: who is flagged, and banned, is who is in a clean run.
func TestCrashEverywhere(t *testing.T) {
	t.Parallel()
	seconds := 200
	if soak() > 0 {
		seconds = 5000
	}
	events := crowd(seconds)
	for seed := range uint64(2) {
		clean, crashed := newCourt(), newCourt()
		rng := rand.New(rand.NewPCG(seed, 9)) //nolint:gosec // it is played again from its seed
		crashed.fail = func() bool { return rng.IntN(3) == 0 }
		make1 := func(c *court) func(consumer.Shard) consumer.Keeper {
			return func(consumer.Shard) consumer.Keeper { return newKeeper(c) }
		}
		if err := contract.ConsumerCrash(t, contract.ConsumerPlay{
			Events: events, Clean: memory.NewShards(), Store: memory.NewShards(), Seed: seed, New: make1(crashed), NewClean: make1(clean), Window: 2000,
			Same: func(want, got map[string][]byte) error {
				if a, b := flags(want), flags(got); !reflect.DeepEqual(a, b) {
					return fmt.Errorf("flags are %v, %v in a clean run", b, a)
				}
				return nil
			},
		}); err != nil {
			t.Fatal(err)
		}
		want := []string{"p3 speed", "p5 teleport", "p7 gain", "p9 inputs"}
		for name, c := range map[string]*court{"clean": clean, "crashed": crashed} {
			if got := slices.Sorted(maps.Keys(c.banned())); !slices.Equal(got, want) {
				t.Errorf("seed %d, %s: banned are %v, want %v", seed, name, got, want)
			}
		}
	}
}

// flags are the names of all flags; none is left to be carried out.
func flags(rows map[string][]byte) map[string]bool {
	out := map[string]bool{}
	for k := range rows {
		if strings.HasPrefix(k, "flag/") || strings.HasPrefix(k, "todo/") {
			out[k] = true
		}
	}
	return out
}

// TestReportBansNobody: a dry run says what it would have done.
func TestReportBansNobody(t *testing.T) {
	c := newCourt()
	k := anticheat.New(anticheat.Config{Limits: limits{}, Bans: c, Orders: c, Report: true})
	p := player(1, "ada")
	p.leap, p.every = 50, 2
	p.judge(t, k, 30, 0)
	if err := k.Act(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if len(c.bans) != 1 || len(c.evicted) != 0 {
		t.Errorf("got %d bans and %d evictions, want one report", len(c.bans), len(c.evicted))
	}
	for _, b := range c.bans {
		if !b.Report || b.Holds(b.At) || b.Evidence == "" {
			t.Errorf("got %+v, want a report with evidence that keeps nobody out", b)
		}
	}
}

// TestRulesAreChecked: a fault in a file of rules is named.
func TestRulesAreChecked(t *testing.T) {
	if got := len(anticheat.DefaultRules()); got != 5 {
		t.Errorf("%d rules come with Throng, want 5", got)
	}
	for text, want := range map[string]string{
		"rules: [{name: a, kind: speed, limit: 1, window: 30s, ban: 1h, speling: 1}]": "speling",
		"rules: [{name: a, kind: speed, limit: 0, window: 30s, ban: 1h}]":             "limit",
		"rules: [{name: a, kind: magic, limit: 1, window: 30s, ban: 1h}]":             "magic",
		"rules: [{name: a, kind: speed, limit: 1, window: 3h, ban: 1h}]":              "window",
		"rules: [{name: a, kind: speed, limit: 1, window: 3s, ban: 1s}]":              "ban",
		"rules: [{name: a, kind: device, limit: 1, window: 3s, ban: 1h}]":             "accounts",
	} {
		_, err := anticheat.ParseRules("own.yaml", []byte(text))
		if err == nil || throng.KindOf(err) != throng.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want a word of %s", text, err, want)
		}
	}
}

// BenchmarkAnticheat is samples a second of one partition, store included.
func BenchmarkAnticheat(b *testing.B) {
	var events []throng.Event
	for _, e := range crowd(40) {
		for copy1 := range 80 {
			c := e
			c.Player += throng.PlayerID(fmt.Sprint("-", copy1))
			events = append(events, c)
		}
	}
	store := newCourt()
	contract.ConsumerRate(b, contract.ConsumerLoad{
		Store: memory.NewShards(), Stream: throng.StreamMotion, Now: time.Now, Events: events,
		New:  func(consumer.Shard) consumer.Keeper { return newKeeper(store) },
		Each: func(e *throng.Event, round int) { e.Time = e.Time.Add(time.Duration(round+1) * time.Minute) },
	})
}
