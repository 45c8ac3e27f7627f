package udp

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/wire/netcode"
)

var testKey = [32]byte{1, 2, 3}

func tokenFor(tb testing.TB, server netip.AddrPort, n int) []byte {
	tb.Helper()
	return tokenWith(tb, server, n, func(*netcode.TokenConfig) {})
}

func tokenWith(tb testing.TB, server netip.AddrPort, n int, change func(*netcode.TokenConfig)) []byte {
	tb.Helper()
	now := uint64(time.Now().Unix())
	c := netcode.TokenConfig{
		Key: testKey, Create: now, Expire: now + 30, ClientID: uint64(n), Servers: []netip.AddrPort{server},
	}
	binary.LittleEndian.PutUint64(c.Nonce[:], uint64(n))
	binary.LittleEndian.PutUint64(c.ClientToServer[:], uint64(n))
	binary.LittleEndian.PutUint64(c.ServerToClient[:], uint64(n)+1<<32)
	copy(c.UserData[:], fmt.Sprintf("player %d", n))
	change(&c)
	token, err := netcode.MakeToken(c)
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

// running is a Transport whose Run is on; stop ends it and waits.
type running struct {
	*Transport
	stop func()
}

func run(tb testing.TB, c Config) running {
	tb.Helper()
	if !c.Listen.IsValid() {
		c.Listen = netip.MustParseAddrPort("127.0.0.1:0")
	}
	t, err := New(c)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	done := make(chan error, 1)
	go func() { done <- t.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Run: %v", err)
		}
	})
	tb.Cleanup(stop)
	return running{t, stop}
}

func listen(tb testing.TB, c Config, capacity int) running {
	tb.Helper()
	r := run(tb, c)
	if err := r.Listen(testKey, capacity, time.Now); err != nil {
		tb.Fatal(err)
	}
	return r
}

// echo answers every message with itself until ctx ends, and counts events.
func (r running) echo(ctx context.Context) (counts func() map[gameserver.EventKind]int) {
	var mu sync.Mutex
	seen := map[gameserver.EventKind]int{}
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-r.Events():
				mu.Lock()
				seen[e.Kind]++
				mu.Unlock()
				if e.Kind == gameserver.EventMessage {
					r.Send(e.Conn, e.Data)
				}
			}
		}
	}()
	return func() map[gameserver.EventKind]int {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(seen)
	}
}

func (r running) next(tb testing.TB) gameserver.Event {
	tb.Helper()
	select {
	case e := <-r.Events():
		return e
	case <-time.After(time.Minute):
		tb.Fatal("no event for a minute")
		return gameserver.Event{}
	}
}

// dial connects and runs a client; what it gets goes to the channel.
func dial(tb testing.TB, token []byte) (*Conn, chan string) {
	tb.Helper()
	got := make(chan string, 100)
	c, err := Dial(tb.Context(), token, func(b []byte) { got <- string(b) })
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Run(context.WithoutCancel(tb.Context()))
	}()
	tb.Cleanup(func() {
		_ = c.Close()
		<-done
	})
	return c, got
}

func TestFiftyClientsEcho(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := listen(t, Config{Metrics: registry}, 50)
	counts := r.echo(t.Context())
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			c, got := dial(t, tokenFor(t, r.Address(), i))
			for j := range 20 {
				echoOne(t, c, got, fmt.Sprintf("client %d says %d", i, j))
			}
		})
	}
	all.Wait()
	if got := counts(); got[gameserver.EventConnected] != 50 || got[gameserver.EventMessage] < 1000 {
		t.Errorf("events: got %v, want 50 connected and 1000 messages", got)
	}
	if got := metric(t, registry, "throng_udp_clients", ""); got != 50 {
		t.Errorf("throng_udp_clients: got %v, want 50", got)
	}
	if got := metric(t, registry, "throng_udp_datagrams_total", "in"); got < 1000 {
		t.Errorf("datagrams in: got %v, want at least 1000", got)
	}
}

// echoOne sends until the echo comes: a datagram may be lost on loopback too.
func echoOne(t *testing.T, c *Conn, got chan string, want string) {
	t.Helper()
	for range 50 {
		if err := c.Send([]byte(want)); err != nil {
			t.Errorf("Send: %v", err)
			return
		}
		again := time.After(200 * time.Millisecond)
		for waiting := true; waiting; {
			select {
			case s := <-got:
				if s == want {
					return
				}
			case <-again:
				waiting = false
			}
		}
	}
	t.Errorf("no echo of %q", want)
}

func metric(tb testing.TB, g prometheus.Gatherer, name, label string) float64 {
	tb.Helper()
	families, err := g.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() != name || label != "" && m.GetLabel()[0].GetValue() != label {
				continue
			}
			if m.GetGauge() != nil {
				return m.GetGauge().GetValue()
			}
			return m.GetCounter().GetValue()
		}
	}
	tb.Fatalf("no metric %s %s", name, label)
	return 0
}

func TestEvents(t *testing.T) {
	r := listen(t, Config{}, 4)
	c, _ := dial(t, tokenFor(t, r.Address(), 7))
	e := r.next(t)
	if e.Kind != gameserver.EventConnected || string(e.Data[:9]) != "player 7\x00" || len(e.Data) != 256 || !e.From.IsValid() {
		t.Fatalf("first event: got %+v", e)
	}
	id := e.Conn
	if err := c.Send([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if e = r.next(t); e.Kind != gameserver.EventMessage || e.Conn != id || string(e.Data) != "hello" {
		t.Errorf("second event: got %+v", e)
	}
	r.Send(id, make([]byte, netcode.MaxPayload+1)) // dropped
	r.Send(id+256, []byte("nobody"))
	r.Disconnect(id)
	if e = r.next(t); e.Kind != gameserver.EventDisconnected || e.Conn != id {
		t.Errorf("third event: got %+v", e)
	}
	<-c.Done()
	if got := throng.KindOf(c.Err()); got != throng.Unavailable || c.Reason() != netcode.ReasonRemote {
		t.Errorf("client: got %v (%s), want ended by the other side", c.Err(), c.Reason())
	}
}

func TestClientLeaves(t *testing.T) {
	r := listen(t, Config{}, 4)
	c, _ := dial(t, tokenFor(t, r.Address(), 1))
	r.next(t)
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if e := r.next(t); e.Kind != gameserver.EventDisconnected {
		t.Errorf("event: got %+v, want disconnected", e)
	}
	<-c.Done()
	if c.Err() != nil || c.Reason() != netcode.ReasonLocal {
		t.Errorf("after Close: got %v (%s), want nil", c.Err(), c.Reason())
	}
}

// The game is told who said goodbye and who fell silent.
func TestLostIsNotLeft(t *testing.T) {
	r := listen(t, Config{}, 4)
	quick := func(c *netcode.TokenConfig) { c.TimeoutSeconds = 1 }
	abandoned, _ := dial(t, tokenWith(t, r.Address(), 1, quick))
	r.next(t)
	if err := abandoned.Abandon(); err != nil {
		t.Errorf("Abandon: %v", err)
	}
	if err := abandoned.Close(); err != nil {
		t.Errorf("Close after Abandon: %v", err)
	}
	if e := r.next(t); e.Kind != gameserver.EventDisconnected || !e.Lost {
		t.Errorf("abandoned: got %+v, want a lost connection", e)
	}
	left, _ := dial(t, tokenWith(t, r.Address(), 2, quick))
	if since := time.Since(left.Heard()); since > 5*time.Second {
		t.Errorf("the server was heard %s ago", since)
	}
	first := r.next(t)
	if err := left.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if e := r.next(t); e.Kind != gameserver.EventDisconnected || e.Lost || e.Conn != first.Conn {
		t.Errorf("left: got %+v, want a goodbye", e)
	}
}

// A client that a server answered once cannot use the token again; one that
// nobody answered can.
func TestDialSaysWhetherTheTokenIsGood(t *testing.T) {
	r := listen(t, Config{}, 4)
	r.echo(t.Context())
	half := relay(t, r.Address(), func(n int) bool { return n == 1 }) // only the first answer comes back
	short := func(c *netcode.TokenConfig) { c.TimeoutSeconds = 1 }
	_, err := Dial(t.Context(), redirected(tokenWith(t, r.Address(), 1, short), half), func([]byte) {})
	if throng.KindOf(err) != throng.Denied || err == nil {
		t.Errorf("answered once: got %v, want denied", err)
	}
	deaf := relay(t, r.Address(), func(int) bool { return false })
	token := tokenWith(t, r.Address(), 2, short)
	if _, err := Dial(t.Context(), redirected(token, deaf), func([]byte) {}); throng.KindOf(err) != throng.Unavailable || err == nil {
		t.Errorf("never answered: got %v, want unavailable", err)
	}
	dial(t, token) // from another address
}

// redirected is a token whose client goes to another address; the server's part
// of it is as it was.
func redirected(token []byte, to netip.AddrPort) []byte {
	const addresses = 13 + 3*8 + 24 + 1024 + 4
	out := bytes.Clone(token)
	copy(out[addresses+5:], to.Addr().AsSlice())
	binary.LittleEndian.PutUint16(out[addresses+9:], to.Port())
	return out
}

// relay passes on what one client says to a server, and those answers that pass.
func relay(t *testing.T, server netip.AddrPort, pass func(n int) bool) netip.AddrPort {
	t.Helper()
	front, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	back, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		t.Fatal(err)
	}
	var client atomic.Pointer[netip.AddrPort]
	var group sync.WaitGroup
	group.Go(func() {
		for b := make([]byte, 2000); ; {
			n, from, err := front.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			client.Store(&from)
			_, _ = back.Write(b[:n])
		}
	})
	group.Go(func() {
		answers := 0
		for b := make([]byte, 2000); ; {
			n, err := back.Read(b)
			if err != nil {
				return
			}
			if answers++; pass(answers) {
				_, _ = front.WriteToUDPAddrPort(b[:n], *client.Load())
			}
		}
	})
	t.Cleanup(func() {
		_, _ = front.Close(), back.Close()
		group.Wait()
	})
	return netip.MustParseAddrPort(front.LocalAddr().String())
}

func TestShutdownTellsEveryone(t *testing.T) {
	r := listen(t, Config{}, 8)
	conns := make([]*Conn, 8)
	for i := range conns {
		conns[i], _ = dial(t, tokenFor(t, r.Address(), i))
		r.next(t)
	}
	r.stop()
	for i, c := range conns {
		<-c.Done()
		if c.Reason() != netcode.ReasonRemote {
			t.Errorf("client %d: got %s, want ended by the other side", i, c.Reason())
		}
		if e := r.next(t); e.Kind != gameserver.EventDisconnected {
			t.Errorf("event: got %+v, want disconnected", e)
		}
	}
	r.Send(1, []byte("too late"))
	r.Disconnect(1)
	if got := throng.KindOf(r.Listen(testKey, 1, time.Now)); got != throng.Conflict {
		t.Errorf("Listen after Run: got %s, want conflict", got)
	}
	if got := throng.KindOf(r.Run(t.Context())); got != throng.Conflict {
		t.Errorf("Run again: got %s, want conflict", got)
	}
}

// A client that comes before the session's key gets in as soon as it is there.
func TestBeforeListen(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := run(t, Config{Metrics: registry})
	connected := make(chan error, 1)
	go func() {
		c, err := Dial(t.Context(), tokenFor(t, r.Address(), 1), func([]byte) {})
		if err == nil {
			err = c.Close()
		}
		connected <- err
	}()
	for metric(t, registry, "throng_udp_dropped_total", dropUnlistening) == 0 {
		<-time.After(10 * time.Millisecond)
	}
	if err := r.Listen(testKey, 4, time.Now); err != nil {
		t.Fatal(err)
	}
	if err := <-connected; err != nil {
		t.Errorf("Dial: %v", err)
	}
	if got := throng.KindOf(r.Listen(testKey, 4, time.Now)); got != throng.Conflict {
		t.Errorf("second Listen: got %s, want conflict", got)
	}
}

func TestDialFails(t *testing.T) {
	r := listen(t, Config{}, 1)
	r.echo(t.Context())
	for i := range 3 { // one and the spares
		dial(t, tokenFor(t, r.Address(), 100+i))
	}
	silent, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	quiet := netip.MustParseAddrPort(silent.LocalAddr().String())
	cases := map[string]struct {
		token []byte
		want  throng.Kind
	}{
		"no token":    {nil, throng.Invalid},
		"full server": {tokenFor(t, r.Address(), 1), throng.Full},
		"no answer": {tokenWith(t, quiet, 2, func(c *netcode.TokenConfig) {
			c.TimeoutSeconds = 1
		}), throng.Unavailable},
		"expired": {tokenWith(t, quiet, 3, func(c *netcode.TokenConfig) { c.Expire = c.Create }), throng.Denied},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Dial(t.Context(), c.token, func([]byte) {}); err == nil || throng.KindOf(err) != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		defer cancel()
		if _, err := Dial(ctx, tokenFor(t, quiet, 4), func([]byte) {}); err == nil || ctx.Err() == nil {
			t.Errorf("got %v, want the context's error", err)
		}
	})
}

// The registry's clock can move while the server listens.
func TestExpiresByRegistryClock(t *testing.T) {
	r := run(t, Config{})
	asked := make(chan time.Duration)
	ahead := time.Duration(0)
	if err := r.Listen(testKey, 4, func() time.Time { // under the Transport's lock
		select {
		case ahead = <-asked:
		default:
		}
		return time.Now().Add(ahead)
	}); err != nil {
		t.Fatal(err)
	}
	dial(t, tokenFor(t, r.Address(), 1))
	asked <- time.Minute
	token := tokenWith(t, r.Address(), 2, func(c *netcode.TokenConfig) { c.TimeoutSeconds = 1 })
	if _, err := Dial(t.Context(), token, func([]byte) {}); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("a token that the registry holds expired: got %v, want unavailable", err)
	}
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]Config{
		"nothing":          {},
		"no known address": {Listen: netip.MustParseAddrPort("0.0.0.0:0")},
	} {
		if _, err := New(c); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
	r := run(t, Config{Listen: netip.MustParseAddrPort("0.0.0.0:0"), Public: netip.MustParseAddrPort("127.0.0.1:0")})
	if a := r.Address(); a.Addr() != netip.MustParseAddr("127.0.0.1") || a.Port() == 0 {
		t.Errorf("address: got %s, want 127.0.0.1 and the bound port", a)
	}
	if _, err := New(Config{Listen: r.Address()}); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("bound twice: got %v, want unavailable", err)
	}
	for _, capacity := range []int{0, 257} {
		if got := throng.KindOf(r.Listen(testKey, capacity, time.Now)); got != throng.Invalid {
			t.Errorf("capacity %d: got %s, want invalid", capacity, got)
		}
	}
	if err := r.Listen(testKey, 4, time.Now); err != nil {
		t.Fatal(err)
	}
	dial(t, tokenFor(t, r.Address(), 1)) // over a socket for both IP versions
	if e := r.next(t); e.Kind != gameserver.EventConnected || !e.From.Addr().Is4() {
		t.Errorf("event: got %+v, want connected from an IPv4 address", e)
	}
}
