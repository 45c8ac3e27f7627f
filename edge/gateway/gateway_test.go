package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/udp"
	"github.com/throng-gg/throng/udp/batch"
	"github.com/throng-gg/throng/wire/netcode"
)

var (
	anyPort    = netip.MustParseAddrPort("127.0.0.1:0")
	loopback   = netip.MustParseAddr("127.0.0.1")
	sessionKey = [netcode.KeySize]byte{1}
	markKey    = [netcode.KeySize]byte{2}
	edgeKey    = [netcode.KeySize]byte{3}
	edgeKeys   = map[uint8][netcode.KeySize]byte{7: edgeKey}
)

const patience = 60 * time.Second

// tokenFor makes a token that leads through gateways.
func tokenFor(tb testing.TB, server netip.AddrPort, gateways ...netip.AddrPort) []byte {
	tb.Helper()
	return tokenAt(tb, time.Now().Add(patience), server, gateways...)
}

func tokenAt(tb testing.TB, expire time.Time, server netip.AddrPort, gateways ...netip.AddrPort) []byte {
	tb.Helper()
	route, err := netcode.MakeRoute(edgeKey, 7, server, markKey)
	if err != nil {
		tb.Fatal(err)
	}
	c := netcode.TokenConfig{
		Key: sessionKey, Create: uint64(expire.Add(-patience).Unix()), Expire: uint64(expire.Unix()),
		TimeoutSeconds: int32(patience / time.Second),
		Servers:        []netip.AddrPort{server}, Gateways: gateways, Route: route, MarkKey: markKey,
	}
	rand.Read(c.Nonce[:])
	rand.Read(c.ClientToServer[:])
	rand.Read(c.ServerToClient[:])
	c.ClientID = uint64(c.Nonce[0]) | uint64(c.Nonce[1])<<8 | uint64(c.Nonce[2])<<16 | 1<<32
	token, err := netcode.MakeToken(c)
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

// requestOf is the first packet of a client with a token.
func requestOf(token []byte) []byte {
	const created, nonce = 13 + 8, 13 + 3*8
	out := append([]byte{0}, token[:created]...)
	return append(out, token[created+8:nonce+netcode.NonceSize+1024]...)
}

// running is a gateway that runs.
type running struct {
	*Gateway
	stop func() error
}

func run(t *testing.T, c Config) running {
	t.Helper()
	c.Listen, c.Inner, c.Keys = anyPort, loopback, edgeKeys
	g, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	r := running{g, sync.OnceValue(func() error {
		cancel()
		return <-done
	})}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

// echo is a game server's socket that says everything back.
type echo struct {
	*udp.Transport
	connected, disconnected atomic.Int64
}

func serve(t *testing.T) *echo {
	t.Helper()
	transport, err := udp.New(udp.Config{Listen: anyPort})
	if err != nil {
		t.Fatal(err)
	}
	s := &echo{Transport: transport}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var group sync.WaitGroup
	group.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("server: %v", err)
		}
	})
	group.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-s.Events():
				switch e.Kind {
				case gameserver.EventConnected:
					s.connected.Add(1)
				case gameserver.EventDisconnected:
					s.disconnected.Add(1)
				case gameserver.EventMessage:
					s.Send(e.Conn, e.Data)
				}
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		group.Wait()
	})
	if err := s.Listen(sessionKey, 64, time.Now); err != nil {
		t.Fatal(err)
	}
	return s
}

// player is a client and what it hears.
type player struct {
	*udp.Conn
	got chan string
}

func dial(t *testing.T, token []byte) player {
	t.Helper()
	p := player{got: make(chan string, 1000)}
	var err error
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p.Conn, err = udp.Dial(ctx, token, func(b []byte) {
		select {
		case p.got <- string(b):
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var group sync.WaitGroup
	group.Go(func() { _ = p.Run(running) })
	t.Cleanup(func() {
		stop()
		group.Wait()
	})
	return p
}

// echoes says something until it comes back.
func (p player) echoes(t *testing.T, what string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if err := p.Send([]byte(what)); err != nil {
			t.Fatalf("send: %v (%v)", err, p.Err())
		}
		for deadline := time.After(50 * time.Millisecond); deadline != nil; {
			select {
			case got := <-p.got:
				if got == what {
					return
				}
			case <-deadline:
				deadline = nil
			}
		}
	}
	t.Fatalf("nothing came back for %.10q", what)
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for: %s", what)
		}
	}
}

func TestPlay(t *testing.T) {
	server, g := serve(t), run(t, Config{Workers: 2})
	token := tokenFor(t, server.Address(), g.Address())
	if shown, err := netcode.ParseToken(token); err != nil || !slices.Equal(shown.Servers, []netip.AddrPort{g.Address()}) {
		t.Fatalf("the token names %v (%v), want the gateway alone", shown.Servers, err)
	}
	at := server.Address()
	ip := at.Addr().As4()
	if bytes.Contains(token, append(ip[:], byte(at.Port()), byte(at.Port()>>8))) || bytes.Contains(token, append(ip[:], byte(at.Port()>>8), byte(at.Port()))) {
		t.Error("the server's address stands in the token")
	}
	var players []player
	for i := range 8 {
		p := dial(t, tokenFor(t, server.Address(), g.Address()))
		players = append(players, p)
		p.echoes(t, fmt.Sprint("player ", i))
	}
	players[0].echoes(t, "x")
	players[0].echoes(t, string(bytes.Repeat([]byte{'y'}, netcode.MaxPayload)))
	if n := g.Stats().Flows; n != len(players) {
		t.Errorf("flows: got %d, want %d", n, len(players))
	}
	for _, p := range players {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	await(t, "goodbyes", func() bool { return int(server.disconnected.Load()) == len(players) })
}

// first counts the threads of this process that run before all else.
func first(t *testing.T) (n int) {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		if a, err := unix.SchedGetAttr(id, 0); err == nil && a.Policy == unix.SCHED_FIFO {
			n++
		}
	}
	return n
}

// Only what passes datagrams runs before all else, and only as long as the gateway does.
func TestRealtime(t *testing.T) {
	place, err := (&batch.Front{}).Enter()
	if err != nil {
		t.Skipf("the kernel does not allow it here: %v", err)
	}
	place.Leave()
	server, g := serve(t), run(t, Config{Workers: 2, Realtime: true})
	dial(t, tokenFor(t, server.Address(), g.Address())).echoes(t, "at once")
	await(t, "a thread for each worker", func() bool { return first(t) == 2 })
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	await(t, "their end", func() bool { return first(t) == 0 })
}

// While next to nothing comes a gateway takes next to no processor time.
func TestQuietRealtime(t *testing.T) {
	server, g := serve(t), run(t, Config{Workers: 2, Realtime: true})
	dial(t, tokenFor(t, server.Address(), g.Address())).echoes(t, "at once")
	used := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	await(t, "rest", func() bool {
		before, begun := used(), time.Now()
		<-time.After(100 * time.Millisecond)
		return used()-before < time.Since(begun)/4
	})
}

// A gateway dies, another one takes over: the server sees the same connection,
// although the token that the client shows has expired long ago.
func TestGatewayReplaced(t *testing.T) {
	server, first, second := serve(t), run(t, Config{}), run(t, Config{})
	expire := time.Now().Add(2 * time.Second)
	p := dial(t, tokenAt(t, expire, server.Address(), first.Address(), second.Address()))
	p.echoes(t, "through the first")
	await(t, "the token's end", func() bool { return time.Now().After(expire) })
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	p.echoes(t, "through the second")
	t.Logf("carried on after %s", time.Since(begun))
	if got := p.Server(); got != second.Address() {
		t.Errorf("talks to %s, want the second gateway %s", got, second.Address())
	}
	if c, d := server.connected.Load(), server.disconnected.Load(); c != 1 || d != 0 {
		t.Errorf("the server saw %d connections and %d ends, want one connection", c, d)
	}
}

func TestDrain(t *testing.T) {
	server, first, second := serve(t), run(t, Config{}), run(t, Config{})
	var players []player
	for i := range 5 {
		p := dial(t, tokenFor(t, server.Address(), first.Address(), second.Address()))
		p.echoes(t, fmt.Sprint("before ", i))
		players = append(players, p)
	}
	first.Drain(time.Second)
	for i, p := range players {
		await(t, "a move", func() bool {
			_ = p.Send([]byte("on the way"))
			return p.Server() == second.Address()
		})
		p.echoes(t, fmt.Sprint("after ", i))
	}
	await(t, "the end of the drained gateway", func() bool { return first.Stats().Flows == 0 })
	if c, d := server.connected.Load(), server.disconnected.Load(); c != 5 || d != 0 {
		t.Errorf("the server saw %d connections and %d ends, want 5 and none", c, d)
	}
}

// Who is not a server cannot send to players, nor to anybody, through a gateway.
func TestReflectsNothing(t *testing.T) {
	g := run(t, Config{Workers: 1})
	victim, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(anyPort))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = victim.Close() }()
	at := netip.MustParseAddrPort(victim.LocalAddr().String())
	inner := g.workers[0].inner.Address()
	forged := netcode.AppendCarried(nil, at, 0x1234)
	forged = append(forged, 0x14, 0)
	forged = append(forged, make([]byte, 24)...)
	for range 3 {
		if _, err := victim.WriteToUDPAddrPort(forged, inner); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the verdict", func() bool { return g.Stats().FromServers[Untagged] == 3 })
	if s := g.Stats(); s.Flows != 0 || s.FromServers[Forwarded] != 0 {
		t.Errorf("got %d flows, %d forwarded, want none", s.Flows, s.FromServers[Forwarded])
	}
}

// What comes back for a first packet before its sender's address is proven has fewer bytes
// than it, and comes once; for what is no first packet nothing does.
func TestFirstPacketAmplifiesNothing(t *testing.T) {
	server, g := serve(t), run(t, Config{Workers: 1})
	socket, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(g.Address()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	request := requestOf(tokenFor(t, server.Address(), g.Address()))
	forged := bytes.Clone(request)
	forged[500] ^= 1
	for _, b := range [][]byte{packet(netcode.TypePayload, 1), packet(netcode.TypeResponse, challengeBody), packet(netcode.TypeRebind, 58), []byte("garbage"), forged, request} {
		if _, err := socket.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	answered, buffer := 0, make([]byte, 2000)
	for wait := patience; ; wait = 500 * time.Millisecond {
		_ = socket.SetReadDeadline(time.Now().Add(wait))
		n, err := socket.Read(buffer)
		if err != nil {
			break
		}
		answered += n
	}
	if want := 333; answered != want || answered > len(request) {
		t.Errorf("%d bytes were answered with %d, want %d", len(request), answered, want)
	}
}
