package gateway

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/throng-gg/throng/wire/netcode"
)

// desk is a worker without sockets.
func desk(tb testing.TB, c Config) *worker {
	tb.Helper()
	c.Listen, c.Keys, c.Workers = anyPort, edgeKeys, 1
	if err := c.fill(); err != nil {
		tb.Fatal(err)
	}
	routes, err := netcode.NewRoutes(edgeKeys, 0)
	if err != nil {
		tb.Fatal(err)
	}
	w := &worker{
		cfg: &c, begun: time.Now().Add(-time.Hour), secret: [2]uint64{1, 2}, routes: routes,
		tokens:  makeLimiter(c.HalfOpen, c.PerToken, c.PerToken),
		sources: makeLimiter(c.HalfOpen, c.PerSource, c.PerSource),
	}
	w.makeTables(c.Flows, c.HalfOpen)
	return w
}

var (
	serverAt = netip.MustParseAddrPort("10.0.0.9:7001")
	server   = addressOf(serverAt)
)

func clientAt(i int) address {
	return addressOf(netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 4000))
}

// packet is one of a type, of which a gateway sees no more.
func packet(kind netcode.Type, body int) []byte {
	b := make([]byte, 2+body+tagSize)
	b[0] = 1<<4 | byte(kind)
	return b
}

// down is a packet of a server for a client.
func (w *worker) down(from, to address, b []byte) []byte {
	return append(netcode.AppendCarried(nil, to.addrPort(), w.tag(to, from)), b...)
}

func (w *worker) open() (halfOpen int) {
	for _, l := range w.half.lines {
		if l.server != (address{}) {
			halfOpen++
		}
	}
	return halfOpen
}

// Who is silent is forgotten a step at a time, and all have had their turn in time.
func TestTend(t *testing.T) {
	w := desk(t, Config{Idle: 5 * time.Second})
	now := time.Now()
	w.tended = now
	request := requestOf(tokenFor(t, serverAt, serverAt))
	for i := range 100 {
		w.server(w.ms(now), server, w.down(server, clientAt(i), packet(netcode.TypeKeepAlive, 8)))
		w.client(now, w.ms(now), clientAt(1000+i), request)
	}
	silent, places := now.Add(w.cfg.Idle), len(w.flows.flows)
	for now = now.Add(stepEvery / 2); now.Before(silent); now = now.Add(stepEvery) {
		before := w.flows.swept
		w.tend(now)
		if looked, most := (w.flows.swept-before)&(places-1), places/2000; looked > most {
			t.Fatalf("a step looked at %d of %d places, want at most %d", looked, places, most)
		}
	}
	if w.flows.len() != 100 {
		t.Errorf("%d of 100 flows are left before they are idle", w.flows.len())
	}
	for end := now.Add(sweepTakes + 2*stepEvery); now.Before(end); now = now.Add(stepEvery) {
		w.tend(now)
	}
	if w.flows.len() != 0 || w.open() != 0 {
		t.Errorf("%d flows and %d lines are left of who was silent", w.flows.len(), w.open())
	}
}

func TestHandshake(t *testing.T) {
	w := desk(t, Config{})
	now := time.Now()
	ms, ada := w.ms(now), clientAt(1)
	request := requestOf(tokenFor(t, serverAt, serverAt))
	steps := []struct {
		what    string
		b       []byte
		down    bool
		want    Verdict
		flows   int
		halfWay int
	}{
		{"a payload from nobody", packet(netcode.TypePayload, 100), false, Unknown, 0, 0},
		{"a response from nobody", packet(netcode.TypeResponse, 308), false, Unknown, 0, 0},
		{"the request", request, false, Forwarded, 0, 1},
		{"it again", request, false, Forwarded, 0, 1},
		{"a payload before the proof", packet(netcode.TypePayload, 100), false, Unproven, 0, 1},
		{"a goodbye before the proof", packet(netcode.TypeDisconnect, 0), false, Unproven, 0, 1},
		{"the challenge", packet(netcode.TypeChallenge, 308), true, Forwarded, 0, 1},
		{"the response", packet(netcode.TypeResponse, 308), false, Forwarded, 0, 1},
		{"the first keep-alive", packet(netcode.TypeKeepAlive, 8), true, Forwarded, 1, 0},
		{"a payload up", packet(netcode.TypePayload, 100), false, Forwarded, 1, 0},
		{"a payload down", packet(netcode.TypePayload, 1200), true, Forwarded, 1, 0},
		{"a server's packet of a client", packet(netcode.TypeChallenge, 308), false, Malformed, 1, 0},
		{"a client's packet of a server", packet(netcode.TypeRebind, 58), true, Malformed, 1, 0},
		{"a payload too long", packet(netcode.TypePayload, 1201), false, Malformed, 1, 0},
		{"nothing", nil, false, Malformed, 1, 0},
	}
	for _, s := range steps {
		var to address
		var v Verdict
		want := server
		if s.down {
			to, v = w.server(ms, server, w.down(server, ada, s.b))
			want = ada
		} else {
			to, v = w.client(now, ms, ada, s.b)
		}
		if v != s.want || v == Forwarded && to != want {
			t.Errorf("%s: got %s to %s, want %s to %s", s.what, v, to.addrPort(), s.want, want.addrPort())
		}
		if w.flows.len() != s.flows || w.open() != s.halfWay {
			t.Errorf("%s: got %d flows and %d lines, want %d and %d", s.what, w.flows.len(), w.open(), s.flows, s.halfWay)
		}
	}
}

// Whatever is changed in a request, a gateway sees it, but for the seal of the
// private part, which the server sees.
func TestChangedRequests(t *testing.T) {
	w := desk(t, Config{PerToken: 1 << 20, PerSource: 1 << 20})
	now := time.Now()
	request := requestOf(tokenFor(t, serverAt, serverAt))
	for i := range request {
		request[i] ^= 1
		_, v := w.client(now, w.ms(now), clientAt(1), request)
		if sealed := i >= len(request)-tagSize; sealed != (v == Forwarded) {
			t.Errorf("byte %d changed: got %s", i, v)
		}
		request[i] ^= 1
	}
	other, err := netcode.MakeRoute([netcode.KeySize]byte{9}, 7, serverAt, markKey)
	if err != nil {
		t.Fatal(err)
	}
	copy(request[1054-len(other)+24-32:], other) // of another region
	if _, v := w.client(now, w.ms(now), clientAt(1), request); v != Forged {
		t.Errorf("another region's: got %s, want forged", v)
	}
}

func TestExpired(t *testing.T) {
	w := desk(t, Config{RouteLife: time.Hour})
	now := time.Now()
	ms := w.ms(now)
	for _, c := range []struct {
		ago  time.Duration
		want Verdict
	}{{-time.Minute, Forwarded}, {time.Minute, Shown}, {59 * time.Minute, Shown}, {time.Hour + time.Second, Expired}} {
		_, v := w.client(now, ms, clientAt(1), requestOf(tokenAt(t, now.Add(-c.ago), serverAt, serverAt)))
		if v != c.want {
			t.Errorf("%s after its end: got %s, want %s", c.ago, v, c.want)
		}
	}
}

// A million forged first packets leave nothing behind, and are answered by
// nothing: no verdict sends to a client.
func TestForgedFlood(t *testing.T) {
	w := desk(t, Config{})
	now := time.Now()
	ms := w.ms(now)
	genuine := requestOf(tokenFor(t, serverAt, serverAt))
	random := rand.New(rand.NewPCG(1, 2))
	n := 1_000_000
	if testing.Short() || raceDetector {
		n = 50_000
	}
	b := make([]byte, len(genuine))
	for i := range n {
		copy(b, genuine)
		switch i % 3 {
		case 0: // garbage in a request's clothes
			for at := len(requestVersion) + 16; at < len(b)-8; at += 8 {
				binary.LittleEndian.PutUint64(b[at:], random.Uint64())
			}
		case 1: // a genuine one's route under another token
			binary.LittleEndian.PutUint64(b[30:], random.Uint64())
		case 2:
			b[61+int(random.Uint32N(900))] ^= byte(1 + random.Uint32N(255))
		}
		if _, v := w.client(now, ms, clientAt(i), b); v == Forwarded || v == Shown {
			t.Fatalf("forged packet %d: %s", i, v)
		}
	}
	if w.flows.len() != 0 || w.open() != 0 {
		t.Errorf("got %d flows and %d lines, want none", w.flows.len(), w.open())
	}
	t.Logf("%d forged packets", n)
}

func TestLimits(t *testing.T) {
	w := desk(t, Config{PerFlow: 10, PerToken: 3, PerSource: 5})
	now := time.Now()
	ms := w.ms(now)
	show := func(token, client int, tokens [][]byte) Verdict {
		_, v := w.client(now, ms, clientAt(client), tokens[token])
		return v
	}
	var tokens [][]byte
	for range 10 {
		tokens = append(tokens, requestOf(tokenFor(t, serverAt, serverAt)))
	}
	var got []string
	for client := range 5 { // one token from many addresses
		got = append(got, show(0, client, tokens).String())
	}
	for token := range 7 { // many tokens from one address
		got = append(got, show(token+1, 20, tokens).String())
	}
	want := "[forwarded forwarded forwarded token_limit token_limit " +
		"forwarded forwarded forwarded forwarded forwarded source_limit source_limit]"
	if fmt.Sprint(got) != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
	w.server(ms, server, w.down(server, clientAt(1), packet(netcode.TypeKeepAlive, 8)))
	passed := 0
	for range 30 {
		if _, v := w.client(now, ms, clientAt(1), packet(netcode.TypePayload, 1)); v == Forwarded {
			passed++
		}
	}
	if passed != 10 {
		t.Errorf("a client passed %d at once, want 10", passed)
	}
	if _, v := w.client(now, ms+100, clientAt(1), packet(netcode.TypePayload, 1)); v != Forwarded {
		t.Errorf("after 100 ms: got %s", v)
	}
}

// A client who goes to another session from the same address is followed, and
// what the old session still says does not bring him back.
func TestNextSession(t *testing.T) {
	w := desk(t, Config{})
	now := time.Now()
	ms, ada := w.ms(now), clientAt(1)
	nextAt := netip.MustParseAddrPort("10.0.0.10:7002")
	next := addressOf(nextAt)
	w.client(now, ms, ada, requestOf(tokenFor(t, serverAt, serverAt)))
	w.server(ms, server, w.down(server, ada, packet(netcode.TypeKeepAlive, 8)))
	w.client(now, ms, ada, requestOf(tokenFor(t, nextAt, nextAt)))
	for _, s := range []struct {
		kind netcode.Type
		body int
		want address
	}{{netcode.TypePayload, 9, server}, {netcode.TypeResponse, 308, next}, {netcode.TypePayload, 9, server}} {
		if to, v := w.client(now, ms, ada, packet(s.kind, s.body)); v != Forwarded || to != s.want {
			t.Errorf("type %d: got %s to %s, want to %s", s.kind, v, to.addrPort(), s.want.addrPort())
		}
	}
	w.server(ms, next, w.down(next, ada, packet(netcode.TypeKeepAlive, 8)))
	w.server(ms, server, w.down(server, ada, packet(netcode.TypePayload, 9)))
	if to, v := w.client(now, ms, ada, packet(netcode.TypePayload, 9)); v != Forwarded || to != next {
		t.Errorf("got %s to %s, want to the next session", v, to.addrPort())
	}
}

func TestFullAndIdle(t *testing.T) {
	w := desk(t, Config{Flows: 3})
	now := time.Now()
	ms := w.ms(now)
	alive := packet(netcode.TypeKeepAlive, 8)
	var got []string
	for i := range 4 {
		_, v := w.server(ms, server, w.down(server, clientAt(i), alive))
		got = append(got, v.String())
	}
	if want := "[forwarded forwarded forwarded full]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	w.server(ms+20_000, server, w.down(server, clientAt(2), alive))
	w.flows.sweep(ms+35_000, 30, 1)
	if w.flows.len() != 1 || w.flows.of(clientAt(2)) == nil {
		t.Errorf("got %d flows, want the one that was heard", w.flows.len())
	}
	for i := range 3 {
		w.server(ms+35_000, server, w.down(server, clientAt(10+i), alive))
	}
	if w.flows.len() != 3 {
		t.Errorf("got %d flows, want 3", w.flows.len())
	}
}

// The table says what a map says, whatever is put, removed, swept and shed, also
// where all stand in each other's way.
func TestTableIsAMap(t *testing.T) {
	for _, bits := range []uint64{0, 3, 7, ^uint64(0)} {
		random := rand.New(rand.NewPCG(bits, 1))
		table := makeTable(40, func(a address) uint64 { return uint64(a.ip[15]) * 7 & bits })
		want := map[address]address{}
		for step := range 20_000 {
			client, to := clientAt(random.IntN(60)), clientAt(1000+random.IntN(5))
			_, known := want[client]
			switch random.IntN(5) {
			case 0, 1:
				if ok := table.put(client, to, 1000, 1); ok != (known || len(want) < 40) {
					t.Fatalf("step %d: put says %v with %d flows", step, ok, len(want))
				} else if ok {
					want[client] = to
				}
			case 2:
				table.remove(table.place(client))
				delete(want, client)
			case 3:
				if f := table.of(client); (f != nil) != known || known && f.server != want[client] {
					t.Fatalf("step %d: got %v, want %v", step, f, want[client])
				}
			case 4:
				if random.IntN(100) == 0 {
					table.shed(10)
					for client := range want {
						if table.of(client) == nil {
							delete(want, client)
						}
					}
				}
			}
			if table.len() != len(want) {
				t.Fatalf("step %d: %d flows, want %d", step, table.len(), len(want))
			}
		}
	}
}

// Tokens that are shown from many addresses at once find four lines each, and
// those that are young stay.
func TestHalfOpenIsBounded(t *testing.T) {
	h := makeHalfOpen(64, func(a address) uint64 { return uint64(a.ip[15]) << 2 })
	shown := 0
	for i := range 1000 {
		if h.show(clientAt(i), server, 10_000) {
			shown++
		}
	}
	if shown != 64 || len(h.lines) != 64 {
		t.Errorf("got %d of %d lines, want 64 of 64", shown, len(h.lines))
	}
	if h.of(clientAt(1), 10_500) == nil {
		t.Error("a young line is gone")
	}
	if !h.show(clientAt(999), server, 11_500) {
		t.Error("no old line gave way")
	}
	if h.of(clientAt(1), 10_000+lineLife) != nil {
		t.Error("a line lives for ever")
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	w := desk(t, Config{PerFlow: 1 << 20})
	now := time.Now()
	ms, ada := w.ms(now), clientAt(1)
	request := requestOf(tokenFor(t, serverAt, serverAt))
	up, down := packet(netcode.TypePayload, 100), w.down(server, ada, packet(netcode.TypePayload, 200))
	w.client(now, ms, ada, request)
	w.server(ms, server, down)
	forged := append([]byte(nil), request...)
	forged[500] ^= 1
	n := testing.AllocsPerRun(1000, func() {
		w.client(now, ms, ada, up)
		w.server(ms, server, down)
		w.client(now, ms, ada, forged)
		w.client(now, ms, clientAt(2), up)
	})
	if n != 0 {
		t.Errorf("four datagrams take %v allocations, want none", n)
	}
}

func FuzzDatagrams(f *testing.F) {
	w := desk(f, Config{})
	f.Add(requestOf(tokenFor(f, serverAt, serverAt)))
	f.Add(packet(netcode.TypePayload, 4))
	f.Add(w.down(server, clientAt(1), packet(netcode.TypeProof, 50)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > slotSize {
			return
		}
		now := time.Now()
		before := append([]byte(nil), b...)
		w.client(now, w.ms(now), clientAt(3), b)
		w.server(w.ms(now), server, b)
		if string(before) != string(b) {
			t.Fatal("a datagram was changed")
		}
		if w.flows.len() > 1 {
			t.Fatalf("%d flows", w.flows.len())
		}
	})
}

func BenchmarkWorker(b *testing.B) {
	w := desk(b, Config{PerFlow: 1 << 20})
	now := time.Now()
	ms := w.ms(now)
	up := packet(netcode.TypePayload, 100)
	down := make([][]byte, 10_000)
	for i := range down {
		down[i] = w.down(server, clientAt(i), packet(netcode.TypePayload, 200))
		w.server(ms, server, down[i])
	}
	forged := requestOf(tokenFor(b, serverAt, serverAt))
	forged[500] ^= 1
	for name, f := range map[string]func(i int){
		"up":      func(i int) { _, _ = w.client(now, ms, clientAt(i%len(down)), up) },
		"down":    func(i int) { _, _ = w.server(ms, server, down[i%len(down)]) },
		"unknown": func(i int) { _, _ = w.client(now, ms, clientAt(20_000+i%len(down)), up) },
		"forged":  func(int) { _, _ = w.client(now, ms, clientAt(1), forged) },
	} {
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				f(i)
				i++
			}
		})
	}
}

// BenchmarkBatch is what a worker adds to datagrams of as many clients as are connected, one after
// the other, without the kernel, which brings its own misses of the cache.
func BenchmarkBatch(b *testing.B) {
	for _, flows := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(flows), func(b *testing.B) {
			w := desk(b, Config{PerFlow: 1 << 20})
			now := time.Now()
			ms := w.ms(now)
			up := packet(netcode.TypePayload, 100)
			all := make([]address, flows)
			for i := range all {
				all[i] = addressOf(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(i >> 16), byte(i >> 8), byte(i)}), 4000))
				w.server(ms, server, w.down(server, all[i], packet(netcode.TypePayload, 200)))
			}
			next, tags := 0, uint64(0)
			for b.Loop() {
				from := all[next%flows]
				next++
				if to, v := w.client(now, ms, from, up); v == Forwarded {
					tags += w.tag(from, to)
				}
			}
			_ = tags
		})
	}
}
