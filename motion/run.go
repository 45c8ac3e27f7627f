package motion

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/wire"
)

// Headers is what a payload costs beside itself: IP, UDP, netcode and reliable, bytes.
const Headers = 28 + 20 + 5

// Scene is a world that moves the same in every run.
type Scene interface {
	World() *gameserver.World
	// Step moves it by a tick; Run commits it.
	Step() error
}

// Config says how a scene is shown.
type Config struct {
	Players []throng.PlayerID
	Rate    int // ticks a second
	Ticks   int
	Warm    int // ticks before, which are not measured
	// Delay is how many ticks a payload takes each way; Loss is the share of those
	// that are lost, each way.
	Delay  int
	Loss   float64
	Seed   uint64
	Budget int // bit/s a player with headers; 0: no limit
	// Tally counts decisions by their contexts; nil: it does not.
	Tally *wire.Tally
	// Plain measures the plainer ways, too.
	Plain bool
}

// Report is what one player got on average.
type Report struct {
	Payload float64 `json:"payload_kbit_s"`
	Total   float64 `json:"kbit_s"`        // with Headers
	Bytes   float64 `json:"payload_bytes"` // of a snapshot
	// Stale is by how much the shown state of the entities that moved lags behind the
	// snapshot that came, in ms, on average.
	Stale  float64 `json:"stale_ms"`
	Plain  *Plain  `json:"plain,omitempty"`
	Checks int     `json:"hashes_checked"`
}

// noLimit is a budget that no scene reaches.
const noLimit = 1 << 30

type viewer struct {
	replica *gameserver.Replica
	client  *client.World
	down    [][][]byte // by ticks from now
	up      [][][]byte
}

// Run shows a scene. An error says that a client saw what is not so, or of which
// the scene fell over.
func Run(s Scene, c Config) (Report, error) {
	r := rand.New(rand.NewPCG(c.Seed, 17))
	w := s.World()
	viewers := make([]*viewer, len(c.Players))
	for i, p := range c.Players {
		welcome := wire.Welcome{Protocol: wire.Protocol, TickRate: uint8(c.Rate), Player: p, Schema: w.Schema()}
		v := &viewer{
			replica: gameserver.NewReplica(w, welcome),
			client:  client.NewWorld(), down: make([][][]byte, c.Delay+1), up: make([][][]byte, c.Delay+1),
		}
		if _, err := v.client.Receive(wire.AppendWelcome(nil, welcome), time.UnixMilli(1e12)); err != nil {
			return Report{}, err
		}
		v.replica.SetBudget(noLimit)
		if c.Budget > 0 {
			v.replica.SetBudget(c.Budget)
		}
		v.replica.Tally = c.Tally
		viewers[i] = v
	}
	m := meter{config: c, world: w, plain: newPlain(c)}
	now := time.UnixMilli(1e12)
	for i := range c.Warm + c.Ticks {
		now = now.Add(time.Second / time.Duration(c.Rate))
		if err := s.Step(); err != nil {
			return Report{}, err
		}
		t := throng.Tick(i + 1)
		w.Commit(t)
		m.measuring = i >= c.Warm
		m.commit()
		for _, v := range viewers {
			if err := v.step(t, now, r, &m); err != nil {
				return Report{}, fmt.Errorf("tick %d: %w", t, err)
			}
		}
	}
	return m.report(), nil
}

func (v *viewer) step(t throng.Tick, now time.Time, r *rand.Rand, m *meter) error {
	for _, p := range v.replica.Payloads(t, now) {
		m.sent(p)
		if r.Float64() >= m.config.Loss || !m.measuring {
			last := len(v.down) - 1
			v.down[last] = append(v.down[last], append([]byte{}, p...))
		}
	}
	for _, p := range v.down[0] {
		u, err := v.client.Receive(p, now)
		switch {
		case err != nil:
			return err
		case u.Mismatch:
			return fmt.Errorf("a client's hash is not the server's")
		case u.Tick != 0:
			if err := m.saw(v.client.View()); err != nil {
				return err
			}
		}
		m.checks += u.Verified
	}
	v.down = turn(v.down)
	if r.Float64() >= m.config.Loss || !m.measuring {
		last := len(v.up) - 1
		v.up[last] = append(v.up[last], append([]byte{}, v.client.Input(0, 0, 0, now)...))
	}
	for _, p := range v.up[0] {
		in, err := wire.ParseInput(p)
		if err != nil {
			return err
		}
		v.replica.Receive(in, now)
	}
	v.up = turn(v.up)
	return nil
}

func turn(q [][][]byte) [][][]byte {
	first := q[0][:0]
	copy(q, q[1:])
	q[len(q)-1] = first
	return q
}

// meter adds up what one run took.
type meter struct {
	config    Config
	world     *gameserver.World
	plain     *plain
	measuring bool
	past      [2 * wire.History]*wire.View // by tick

	payloads, bytes int
	stale, seen     int // ticks; entities that moved
	checks          int
}

func (m *meter) commit() {
	v := m.world.View()
	at := &m.past[v.Tick%(2*wire.History)]
	*at = clone(v, m.world.Schema())
	if m.measuring && m.plain != nil {
		m.plain.add(m.past, v.Tick, m.world.Schema())
	}
}

func (m *meter) sent(p []byte) {
	if m.measuring && wire.MessageOf(p) == wire.MessageSnapshot {
		m.payloads++
		m.bytes += len(p)
	}
}

// saw checks a client's view against the world, and how old it is.
func (m *meter) saw(v *wire.View) error {
	is := m.past[v.Tick%(2*wire.History)]
	for i := range v.Len() {
		e := v.At(i)
		now, ok := is.Find(e.ID)
		if !ok {
			continue // it is gone, which the client does not know yet
		}
		age := v.Age(i)
		if age < wire.History {
			was, ok := m.past[(v.Tick-throng.Tick(age))%(2*wire.History)].Find(e.ID)
			if !ok || !equal(was, e) {
				return fmt.Errorf("a client sees %+v, which was %+v %d ticks ago", e, was, age)
			}
		}
		if !m.measuring || e.Owner == "" && len(e.Values) < 5 {
			continue
		}
		m.seen++
		if !equal(now, e) {
			m.stale += m.since(v.Tick, e)
		}
	}
	return nil
}

// since is how many ticks ago the world was last as an entity says.
func (m *meter) since(t throng.Tick, e wire.Entity) int {
	for age := 1; age < 2*wire.History && throng.Tick(age) < t; age++ {
		if was, ok := m.past[(t-throng.Tick(age))%(2*wire.History)].Find(e.ID); !ok || equal(was, e) {
			return age
		}
	}
	return 2 * wire.History
}

func (m *meter) report() Report {
	seconds := float64(m.config.Ticks) / float64(m.config.Rate) * float64(len(m.config.Players))
	r := Report{
		Payload: float64(m.bytes) * 8 / 1000 / seconds,
		Total:   float64(m.bytes+Headers*m.payloads) * 8 / 1000 / seconds,
		Bytes:   float64(m.bytes) / float64(max(m.payloads, 1)),
		Stale:   float64(m.stale) / float64(max(m.seen, 1)) * 1000 / float64(m.config.Rate),
		Checks:  m.checks,
	}
	if m.plain != nil {
		r.Plain = m.plain.report(m.config)
	}
	return r
}

func equal(a, b wire.Entity) bool {
	if a.ID != b.ID || len(a.Values) != len(b.Values) || len(a.Texts) != len(b.Texts) {
		return false
	}
	for i, v := range a.Values {
		if v != b.Values[i] {
			return false
		}
	}
	for i, s := range a.Texts {
		if s != b.Texts[i] {
			return false
		}
	}
	return true
}

func clone(v *wire.View, s *wire.Schema) *wire.View {
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
