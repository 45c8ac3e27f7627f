package netcode

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

var (
	testKey     = keyOf(1)
	testEntropy = keyOf(2)
	serverAddr  = netip.MustParseAddrPort("10.0.0.1:40000")
	start       = time.Unix(1_800_000_000, 0)
)

func keyOf(b byte) (k [KeySize]byte) {
	for i := range k {
		k[i] = b ^ byte(i)
	}
	return k
}

func clientAddr(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}), 5000)
}

// tokenOf is a good token, different for every n.
func tokenOf(n int) TokenConfig {
	c := TokenConfig{
		Key: testKey, Create: uint64(start.Unix()), Expire: uint64(start.Unix()) + 8, ClientID: uint64(n),
		Servers: []netip.AddrPort{serverAddr}, ClientToServer: keyOf(byte(n)), ServerToClient: keyOf(byte(n) + 100),
	}
	copy(c.Nonce[:], fmt.Sprintf("nonce %d", n))
	copy(c.UserData[:], fmt.Sprintf("player %d", n))
	return c
}

func makeToken(tb testing.TB, c TokenConfig) []byte {
	tb.Helper()
	b, err := MakeToken(c)
	if err != nil {
		tb.Fatalf("MakeToken: %v", err)
	}
	return b
}

// datagram is one on its way.
type datagram struct {
	from, to netip.AddrPort
	data     []byte
	due      time.Time
}

// world is servers and clients on a network that loses, doubles and delays.
type world struct {
	t     *testing.T
	now   time.Time
	rng   *rand.Rand
	loss  float64
	twice float64
	delay time.Duration // at most
	lose  func(datagram) bool
	way   []datagram
	sent  []datagram // everything, for tests to look at

	servers map[netip.AddrPort]*host
	clients map[netip.AddrPort]*guest
}

func newWorld(t *testing.T) *world {
	return &world{
		t: t, now: start, rng: rand.New(rand.NewPCG(1, 2)),
		servers: map[netip.AddrPort]*host{}, clients: map[netip.AddrPort]*guest{},
	}
}

// host is a server and what it told its application.
type host struct {
	*Server
	w       *world
	addr    netip.AddrPort
	refuse  bool
	conns   map[ConnID]string // user data
	events  []string
	payload map[ConnID][]string
	last    ConnID
}

func (w *world) host(change func(*ServerConfig)) *host {
	w.t.Helper()
	c := ServerConfig{Key: testKey, Entropy: testEntropy, Public: []netip.AddrPort{serverAddr}, Capacity: 8}
	if change != nil {
		change(&c)
	}
	addr := serverAddr
	if len(c.Public) > 0 {
		addr = c.Public[0]
	}
	h := &host{w: w, addr: addr, conns: map[ConnID]string{}, payload: map[ConnID][]string{}}
	s, err := NewServer(c, h)
	if err != nil {
		w.t.Fatalf("NewServer: %v", err)
	}
	h.Server = s
	w.servers[addr] = h
	return h
}

func (h *host) Datagram(to netip.AddrPort, b []byte) { h.w.send(h.addr, to, b) }

func (h *host) Connected(c ConnID, from netip.AddrPort, userData *[UserDataSize]byte) bool {
	if h.refuse {
		return false
	}
	if _, again := h.conns[c]; again || c == 0 {
		h.w.t.Errorf("connection %d is used twice", c)
	}
	h.conns[c], h.last = string(bytes.TrimRight(userData[:], "\x00")), c
	h.events = append(h.events, fmt.Sprintf("connected %s from %s", h.conns[c], from))
	return true
}

func (h *host) Moved(c ConnID, to netip.AddrPort) {
	h.events = append(h.events, fmt.Sprintf("moved %s to %s", h.conns[c], to))
}

func (h *host) Payload(c ConnID, b []byte) { h.payload[c] = append(h.payload[c], string(b)) }

func (h *host) Disconnected(c ConnID, why Reason) {
	h.events = append(h.events, fmt.Sprintf("disconnected %s: %s", h.conns[c], why))
}

// guest is a client and what it got.
type guest struct {
	*Client
	w    *world
	addr netip.AddrPort
	got  []string
}

func (w *world) guest(addr netip.AddrPort, token []byte) *guest {
	w.t.Helper()
	g := &guest{w: w, addr: addr}
	c, err := NewClient(token, w.now, g)
	if err != nil {
		w.t.Fatalf("NewClient: %v", err)
	}
	g.Client = c
	w.clients[addr] = g
	return g
}

func (g *guest) Datagram(to netip.AddrPort, b []byte) { g.w.send(g.addr, to, b) }
func (g *guest) Payload(b []byte)                     { g.got = append(g.got, string(b)) }

func (w *world) send(from, to netip.AddrPort, b []byte) {
	d := datagram{from: from, to: to, data: bytes.Clone(b), due: w.now}
	w.sent = append(w.sent, d)
	if w.rng.Float64() < w.loss || w.lose != nil && w.lose(d) {
		return
	}
	copies := 1
	if w.rng.Float64() < w.twice {
		copies = 2
	}
	for range copies {
		if w.delay > 0 {
			d.due = w.now.Add(time.Duration(w.rng.Int64N(int64(w.delay))))
		}
		w.way = append(w.way, d)
	}
}

// deliver hands over what is due, and what that makes due at once.
func (w *world) deliver() {
	for {
		i := slices.IndexFunc(w.way, func(d datagram) bool { return !d.due.After(w.now) })
		if i < 0 {
			return
		}
		d := w.way[i]
		w.way = slices.Delete(w.way, i, i+1)
		if h := w.servers[d.to]; h != nil {
			h.Receive(w.now, d.from, bytes.Clone(d.data))
		}
		if g := w.clients[d.to]; g != nil {
			g.Receive(w.now, d.from, bytes.Clone(d.data))
		}
	}
}

// run lets time pass in steps of 10 ms, ticking every 50 ms.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for w.now.Before(end) {
		if w.now.Sub(start)%(50*time.Millisecond) == 0 {
			for _, h := range w.servers {
				h.Tick(w.now)
			}
			for _, addr := range slices.SortedFunc(maps.Keys(w.clients), netip.AddrPort.Compare) {
				w.clients[addr].Tick(w.now)
			}
		}
		w.deliver()
		w.now = w.now.Add(10 * time.Millisecond)
	}
}

// requestOf is the request datagram of a token.
func requestOf(tb testing.TB, token []byte) []byte {
	tb.Helper()
	parsed, err := ParseToken(token)
	if err != nil {
		tb.Fatalf("ParseToken: %v", err)
	}
	return appendRequest(nil, parsed)
}

func wantEvents(t *testing.T, h *host, want ...string) {
	t.Helper()
	if !slices.Equal(h.events, want) {
		t.Errorf("events:\n got %q\nwant %q", h.events, want)
	}
}

func wantState(t *testing.T, g *guest, state State, why Reason) {
	t.Helper()
	if g.State() != state || g.Reason() != why {
		t.Errorf("client %s: got %s (%s), want %s (%s)", g.addr, g.State(), g.Reason(), state, why)
	}
}
