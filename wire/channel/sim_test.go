package channel_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/throng-gg/throng/wire/channel"
)

// weather is what a network does to datagrams, each way.
type weather struct {
	delay, jitter         time.Duration // jitter: up to so much more or less
	loss, double, reorder float64
	rate                  int // bytes a second through one queue of both ways; 0: any number
	queue                 int // bytes that it holds
}

// rough is the network that players are promised to be able to play on.
func rough() weather {
	return weather{delay: 50 * time.Millisecond, jitter: 15 * time.Millisecond, loss: 0.05, double: 0.02, reorder: 0.02}
}

type datagram struct {
	at   time.Time
	to   int
	data []byte
}

// net is a network with two ends, in a time of its own.
type net struct {
	t      testing.TB
	now    time.Time
	random *rand.Rand
	weather
	way  []datagram
	free time.Time // when the queue of rate is empty
	ends [2]*side
}

// side is one end and what came to it.
type side struct {
	net      *net
	who      int
	conn     *channel.Conn
	deaf     bool // it takes nothing
	mute     bool // it sends nothing
	messages [][]byte
	states   []byte      // first bytes
	times    []time.Time // of states
	late     int
	acked    []uint64
	last     string
	bytes    int // sent
	record   func(line string, args ...any)
}

func newNet(t testing.TB, seed uint64, w weather, cfg ...channel.Config) *net {
	t.Helper()
	n := &net{t: t, now: time.Unix(1e9, 0), random: rand.New(rand.NewPCG(seed, 7)), weather: w}
	for i := range n.ends {
		var c channel.Config
		if i < len(cfg) {
			c = cfg[i]
		}
		n.ends[i] = &side{net: n, who: i, conn: channel.New(c)}
	}
	return n
}

func (s *side) State(state []byte, late bool) bool { //nolint:revive // flag-parameter: the interface's
	if s.record != nil {
		s.record("\tstate %x", state)
		return state[0] != 0xEE
	}
	if late {
		s.late++
		return true
	}
	if len(state) == 0 {
		return true
	}
	s.states = append(s.states, state[0])
	if s.net != nil {
		s.times = append(s.times, s.net.now)
	}
	return state[0] != 0xEE
}

func (s *side) Message(m []byte) {
	s.messages = append(s.messages, slices.Clone(m))
	s.note("\tmessage %x", m)
}

func (s *side) Last(w []byte) {
	s.last = string(w)
	s.note("\tlast %x", w)
}

func (s *side) Acked(tag uint64) {
	s.acked = append(s.acked, tag)
	s.note("\tacked %d", tag)
}

func (s *side) note(line string, args ...any) {
	if s.record != nil {
		s.record(line, args...)
	}
}

// transmit puts a datagram on its way.
func (s *side) transmit(data []byte) {
	n := s.net
	if len(data) > channel.MaxDatagram {
		n.t.Fatalf("a datagram of %d bytes", len(data))
	}
	s.bytes += len(data) + 28
	if s.mute || n.random.Float64() < n.loss {
		return
	}
	at := n.now
	if n.rate > 0 {
		if n.free.Before(at) {
			n.free = at
		}
		if int(n.free.Sub(at).Seconds()*float64(n.rate)) > n.queue {
			return
		}
		n.free = n.free.Add(time.Duration(len(data)+28) * time.Second / time.Duration(n.rate))
		at = n.free
	}
	for {
		wait := n.delay
		if n.jitter > 0 {
			wait += time.Duration(n.random.Int64N(int64(2*n.jitter))) - n.jitter
		}
		if n.random.Float64() < n.reorder {
			wait += 40 * time.Millisecond
		}
		n.way = append(n.way, datagram{at: at.Add(wait).Truncate(time.Millisecond), to: 1 - s.who, data: slices.Clone(data)})
		if n.random.Float64() >= n.double {
			return
		}
	}
}

// arrive brings what is due by a time.
func (n *net) arrive(until time.Time) {
	slices.SortStableFunc(n.way, func(a, b datagram) int { return a.at.Compare(b.at) })
	for len(n.way) > 0 && !n.way[0].at.After(until) {
		d := n.way[0]
		n.way = n.way[1:]
		n.now = d.at
		if s := n.ends[d.to]; !s.deaf {
			s.note("%d receive %x", n.now.UnixMilli(), d.data)
			_ = s.conn.Receive(n.now, d.data, s) // tests look at Err
		}
	}
	n.now = until
}

// run ticks 30 times a second; act is called before both ends send.
func (n *net) run(ticks int, act func(tick int)) {
	for i := range ticks {
		n.arrive(n.now.Add(time.Second / 30))
		if act != nil {
			act(i)
		}
	}
}

// play sends states of so many bytes from 0 as its pace allows, and small ones
// from 1 always, and returns how many 0 sent.
func (n *net) play(size int, tag uint64) int {
	server, client := n.ends[0], n.ends[1]
	sent := 0
	var state []byte
	if server.conn.Due() {
		state = make([]byte, size)
		sent = 1
	}
	server.conn.Flush(n.now, state, tag, server.transmit)
	client.conn.Flush(n.now, make([]byte, 10), tag, client.transmit)
	return sent
}
