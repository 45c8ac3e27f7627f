package webtransport

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/wire/netcode"
)

var testKey = [32]byte{1, 2, 3}

func tokenFor(tb testing.TB, n int) []byte {
	tb.Helper()
	return tokenWith(tb, n, func(*netcode.TokenConfig) {})
}

func tokenWith(tb testing.TB, n int, change func(*netcode.TokenConfig)) []byte {
	tb.Helper()
	now := uint64(time.Now().Unix())
	c := netcode.TokenConfig{
		Key: testKey, Create: now, Expire: now + 30, ClientID: uint64(n),
		Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:7000")},
	}
	binary.LittleEndian.PutUint64(c.Nonce[:], uint64(n))
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
	stop     func()
	gathered *prometheus.Registry
}

func run(tb testing.TB, c Config) running {
	tb.Helper()
	if !c.Listen.IsValid() {
		c.Listen = netip.MustParseAddrPort("127.0.0.1:0")
	}
	registry := prometheus.NewRegistry()
	c.Metrics = registry
	t, err := New(c)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	done := make(chan error, 1)
	go func() { done <- t.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				tb.Errorf("Run: %v", err)
			}
		case <-time.After(time.Minute):
			tb.Error("Run has not ended a minute after its context")
		}
	})
	tb.Cleanup(stop)
	return running{t, stop, registry}
}

func listen(tb testing.TB, capacity int) running {
	tb.Helper()
	r := run(tb, Config{})
	if err := r.Listen(testKey, capacity, time.Now); err != nil {
		tb.Fatal(err)
	}
	return r
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

// metric adds up what has the name and, among its labels' values, the label.
func (r running) metric(tb testing.TB, name, label string) (sum float64) {
	tb.Helper()
	families, err := r.gathered.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if f.GetName() == name && (label == "" || strings.Contains(" "+strings.Join(values, " ")+" ", " "+label+" ")) {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// await waits until a metric is at least so much.
func (r running) await(tb testing.TB, name, label string, least float64) {
	tb.Helper()
	late := time.After(time.Minute)
	for r.metric(tb, name, label) < least {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-late:
			tb.Fatalf("%s %s: got %v after a minute, want %v", name, label, r.metric(tb, name, label), least)
		}
	}
}

// hears lets a client speak and returns what came of it.
func (r running) hears(tb testing.TB, p player) gameserver.Event {
	tb.Helper()
	if err := p.Send([]byte("here")); err != nil {
		tb.Fatal(err)
	}
	e := r.next(tb)
	if e.Kind != gameserver.EventMessage {
		tb.Fatalf("of who speaks: got %+v, want a message", e)
	}
	return e
}

// dialer connects in one of the two ways.
type dialer func(ctx context.Context, r running, token []byte, receive func([]byte)) (*Conn, error)

func byDatagrams(ctx context.Context, r running, token []byte, receive func([]byte)) (*Conn, error) {
	a := r.WebAddress()
	return Dial(ctx, a.URL, a.Certificates, token, receive)
}

func bySocket(ctx context.Context, r running, token []byte, receive func([]byte)) (*Conn, error) {
	return DialSocket(ctx, r.WebAddress().WebSocket, token, receive)
}

// bothWays runs a test over each.
func bothWays(t *testing.T, test func(t *testing.T, dial dialer)) {
	t.Helper()
	for name, dial := range map[string]dialer{"webtransport": byDatagrams, "websocket": bySocket} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, dial)
		})
	}
}

// player is a client whose Run is on.
type player struct {
	*Conn
	got   chan string
	ended chan error
}

func (d dialer) join(tb testing.TB, r running, token []byte) player {
	tb.Helper()
	p := player{got: make(chan string, 4096), ended: make(chan error, 1)}
	var err error
	if p.Conn, err = d(tb.Context(), r, token, func(b []byte) { p.got <- string(b) }); err != nil {
		tb.Fatal(err)
	}
	go func() { p.ended <- p.Run(context.WithoutCancel(tb.Context())) }()
	tb.Cleanup(func() { _ = p.Close() })
	return p
}

func (p player) end(tb testing.TB) error {
	tb.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(15 * time.Second):
		tb.Fatal("the connection has not ended in 15 s")
		return nil
	}
}

// refused is how a token fares that is not let in, whichever way says it when.
func (d dialer) refused(tb testing.TB, r running, token []byte) error {
	tb.Helper()
	c, err := d(tb.Context(), r, token, func([]byte) {})
	if err != nil {
		return err
	}
	return c.Run(tb.Context())
}

func TestEvents(t *testing.T) {
	bothWays(t, func(t *testing.T, dial dialer) {
		r := listen(t, 4)
		p := dial.join(t, r, tokenFor(t, 7))
		e := r.next(t)
		if e.Kind != gameserver.EventConnected || string(e.Data[:9]) != "player 7\x00" || len(e.Data) != 256 || !e.From.Addr().IsLoopback() || e.At.IsZero() {
			t.Fatalf("first event: got %+v", e)
		}
		id := e.Conn
		for _, text := range []string{"hello", strings.Repeat("x", MaxPayload)} {
			if err := p.Send([]byte(text)); err != nil {
				t.Fatal(err)
			}
			if e = r.next(t); e.Kind != gameserver.EventMessage || e.Conn != id || string(e.Data) != text {
				t.Errorf("message: got %+v, want %.10q", e, text)
			}
			r.Send(id, e.Data)
			if got := <-p.got; got != text {
				t.Errorf("echo: got %.10q, want %.10q", got, text)
			}
		}
		r.Send(id, make([]byte, MaxPayload+1)) // dropped
		r.Send(id, nil)
		r.Send(id+1, []byte("nobody"))
		r.Send(id, []byte("bye"))
		r.Disconnect(id)
		r.Disconnect(id)
		if e = r.next(t); e.Kind != gameserver.EventDisconnected || e.Conn != id {
			t.Errorf("last event: got %+v", e)
		}
		if err := p.end(t); throng.KindOf(err) != throng.Unavailable || err == nil {
			t.Errorf("client: got %v, want unavailable", err)
		}
		if got := <-p.got; got != "bye" {
			t.Errorf("what was sent before the end: got %q, want bye", got)
		}
		if got := r.metric(t, "throng_web_dropped_total", dropPayloadSize); got != 2 {
			t.Errorf("payloads of a bad size: got %v, want 2", got)
		}
		if got := r.metric(t, "throng_web_clients", ""); got != 0 {
			t.Errorf("clients: got %v, want none", got)
		}
	})
}

func TestClientLeaves(t *testing.T) {
	bothWays(t, func(t *testing.T, dial dialer) {
		r := listen(t, 4)
		p := dial.join(t, r, tokenFor(t, 1))
		r.next(t)
		begun := time.Now()
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if e := r.next(t); e.Kind != gameserver.EventDisconnected || time.Since(begun) > time.Second {
			t.Errorf("event: got %+v after %s, want disconnected at once", e, time.Since(begun))
		}
		if err := p.end(t); err != nil {
			t.Errorf("after Close: got %v, want nil", err)
		}
	})
}

// Who says goodbye gives his seat up; who is just gone may come back.
func TestLostIsNotLeft(t *testing.T) {
	bothWays(t, func(t *testing.T, dial dialer) {
		r := listen(t, 8)
		for i, c := range []struct {
			name string
			end  func(p player, stop context.CancelFunc)
			lost bool
		}{
			{"close", func(p player, _ context.CancelFunc) { _ = p.Close() }, false},
			{"context", func(_ player, stop context.CancelFunc) { stop() }, false},
			{"abandon", func(p player, _ context.CancelFunc) { _ = p.Abandon() }, true},
		} {
			conn, err := dial(t.Context(), r, tokenFor(t, i), func([]byte) {})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
			defer stop()
			p := player{Conn: conn, ended: make(chan error, 1)}
			go func() { p.ended <- p.Run(ctx) }()
			if e := r.next(t); e.Kind != gameserver.EventConnected {
				t.Fatalf("%s: got %+v", c.name, e)
			}
			c.end(p, stop)
			if e := r.next(t); e.Kind != gameserver.EventDisconnected || e.Lost != c.lost {
				t.Errorf("%s: got %+v, want lost %v", c.name, e, c.lost)
			}
			if err := p.end(t); err != nil {
				t.Errorf("%s: Run: got %v, want nil", c.name, err)
			}
		}
	})
}

func TestShutdownTellsEveryone(t *testing.T) {
	r := listen(t, 8)
	var players []player
	for i := range 8 {
		dial := dialer(byDatagrams)
		if i%2 == 1 {
			dial = bySocket
		}
		players = append(players, dial.join(t, r, tokenFor(t, i)))
		r.next(t)
	}
	begun := time.Now()
	r.stop()
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("the end took %s, want at most 2 s", took)
	}
	for i, p := range players {
		if err := p.end(t); throng.KindOf(err) != throng.Unavailable || err == nil || !strings.Contains(err.Error(), "ended the connection") {
			t.Errorf("client %d: got %v, want ended by the server", i, err)
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

func TestTokens(t *testing.T) {
	bothWays(t, func(t *testing.T, dial dialer) {
		r := listen(t, 8)
		used := tokenFor(t, 1)
		p := dial.join(t, r, used)
		if e := r.next(t); e.Kind != gameserver.EventConnected {
			t.Fatalf("a good token: got %+v", e)
		}
		r.hears(t, p)
		for name, c := range map[string]struct {
			token []byte
			want  throng.Kind
		}{
			"replayed":        {used, throng.Denied},
			"expired":         {tokenWith(t, 3, func(c *netcode.TokenConfig) { c.Create -= 60; c.Expire -= 60 }), throng.Denied},
			"foreign session": {tokenWith(t, 4, func(c *netcode.TokenConfig) { c.Key[0]++ }), throng.Denied},
			"other protocol":  {tokenWith(t, 5, func(c *netcode.TokenConfig) { c.ProtocolID = 7 }), throng.Invalid},
			"garbage":         {[]byte(strings.Repeat("x", netcode.TokenSize)), throng.Invalid},
			"short":           {used[:100], throng.Invalid},
		} {
			if err := dial.refused(t, r, c.token); err == nil || throng.KindOf(err) != c.want {
				t.Errorf("%s: got %v, want %s", name, err, c.want)
			}
		}
		_ = p.Close()
		if e := r.next(t); e.Kind != gameserver.EventDisconnected {
			t.Errorf("event: got %+v, want disconnected", e)
		}
		if err := dial.refused(t, r, used); throng.KindOf(err) != throng.Denied || err == nil {
			t.Errorf("replayed after the end: got %v, want denied", err)
		}
		select {
		case e := <-r.Events():
			t.Errorf("an event of who was refused: %+v", e)
		default:
		}
	})
}

// The answer to a token may be lost, and a try that the client gave up may come
// late: neither costs who comes back his seat, nor the connection that he uses.
func TestTokenOfWhoComesBack(t *testing.T) {
	bothWays(t, func(t *testing.T, dial dialer) {
		r := run(t, Config{Returning: func(data []byte) bool { return string(data[:6]) == "player" }})
		if err := r.Listen(testKey, 8, time.Now); err != nil {
			t.Fatal(err)
		}
		using := func(d time.Duration) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.useTime = d
		}
		using(time.Hour)
		token := tokenFor(t, 1)
		unheard := dial.join(t, r, token)
		if e := r.next(t); e.Kind != gameserver.EventConnected {
			t.Fatalf("first: got %+v", e)
		}
		second := dial.join(t, r, token)
		e := r.next(t)
		if e.Kind != gameserver.EventConnected {
			t.Fatalf("again, because the answer was lost: got %+v", e)
		}
		_ = unheard.Close() // its goodbye means nothing: it never heard that it was in
		if e := r.next(t); e.Kind != gameserver.EventDisconnected || !e.Lost {
			t.Errorf("the end of the first: got %+v, want lost", e)
		}
		if got := r.hears(t, second); got.Conn != e.Conn {
			t.Fatalf("message: got %+v", got)
		}
		if err := dial.refused(t, r, token); throng.KindOf(err) != throng.Unavailable || err == nil {
			t.Errorf("a late try: got %v, want unavailable", err)
		}
		using(0) // the network is gone, of which the server knows nothing yet
		third := dial.join(t, r, token)
		if e := r.next(t); e.Kind != gameserver.EventConnected {
			t.Errorf("when nothing comes over the second any more: got %+v", e)
		}
		r.hears(t, third)
		_ = third.Close()
		if e := r.next(t); e.Kind != gameserver.EventDisconnected || e.Lost {
			t.Errorf("goodbye of who was in: got %+v, want him left", e)
		}
		other := tokenWith(t, 2, func(c *netcode.TokenConfig) { copy(c.UserData[:], "joins ") })
		p := dial.join(t, r, other)
		r.next(t)
		r.hears(t, p)
		if err := dial.refused(t, r, other); throng.KindOf(err) != throng.Denied || err == nil {
			t.Errorf("a join token again: got %v, want denied", err)
		}
	})
}

// Who joins may not hear that he was let in, and try again.
func TestJoinWhoseAnswerWasLost(t *testing.T) {
	bothWays(t, func(t *testing.T, dial dialer) {
		r := listen(t, 8)
		token := tokenFor(t, 1)
		dial.join(t, r, token)
		r.next(t)
		second := dial.join(t, r, token)
		if e := r.next(t); e.Kind != gameserver.EventConnected {
			t.Fatalf("again, because the answer was lost: got %+v", e)
		}
		r.hears(t, second)
		if err := dial.refused(t, r, token); throng.KindOf(err) != throng.Denied || err == nil {
			t.Errorf("when it was used: got %v, want denied", err)
		}
	})
}

// A token makes few connections before one is used, however many show it at once
// and how.
func TestTokenRace(t *testing.T) {
	r := listen(t, 50)
	token := tokenFor(t, 1)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if i%2 == 0 {
				_ = dialer(byDatagrams).refused(t, r, token)
			} else {
				_ = dialer(bySocket).refused(t, r, token)
			}
		})
	}
	r.await(t, "throng_web_refused_total", string(refusedUsed), 20-tokenTries)
	for i := range tokenTries {
		if e := r.next(t); e.Kind != gameserver.EventConnected {
			t.Fatalf("event %d: got %+v", i, e)
		}
	}
	if n := len(r.Events()); n != 0 {
		t.Errorf("%d events beyond %d connections", n, tokenTries)
	}
	r.stop()
	all.Wait()
}

func TestFullServer(t *testing.T) {
	bothWays(t, func(t *testing.T, dial dialer) {
		r := listen(t, 4)
		for i := range 6 { // four, a quarter more, and the one to be told
			dial.join(t, r, tokenFor(t, i))
			r.next(t)
		}
		spare := tokenFor(t, 100)
		if err := dial.refused(t, r, spare); throng.KindOf(err) != throng.Full || err == nil {
			t.Fatalf("the seventh: got %v, want full", err)
		}
		r.Disconnect(1)
		r.next(t)
		dial.join(t, r, spare) // it was not used up
		if e := r.next(t); e.Kind != gameserver.EventConnected {
			t.Errorf("when one has left: got %+v", e)
		}
	})
}

func TestBeforeListen(t *testing.T) {
	bothWays(t, func(t *testing.T, dial dialer) {
		r := run(t, Config{})
		if err := dial.refused(t, r, tokenFor(t, 1)); throng.KindOf(err) != throng.Unavailable || err == nil {
			t.Errorf("before Listen: got %v, want unavailable", err)
		}
		if got := r.metric(t, "throng_web_refused_total", string(refusedUnlistening)); got == 0 {
			t.Error("nobody was counted as refused")
		}
		if err := r.Listen(testKey, 4, time.Now); err != nil {
			t.Fatal(err)
		}
		dial.join(t, r, tokenFor(t, 1))
		if e := r.next(t); e.Kind != gameserver.EventConnected {
			t.Errorf("after Listen: got %+v", e)
		}
		if got := throng.KindOf(r.Listen(testKey, 4, time.Now)); got != throng.Conflict {
			t.Errorf("Listen twice: got %s, want conflict", got)
		}
	})
}

func TestExpiresByRegistryClock(t *testing.T) {
	bothWays(t, func(t *testing.T, dial dialer) {
		r := run(t, Config{})
		if err := r.Listen(testKey, 4, func() time.Time { return time.Now().Add(time.Hour) }); err != nil {
			t.Fatal(err)
		}
		if err := dial.refused(t, r, tokenFor(t, 1)); throng.KindOf(err) != throng.Denied || err == nil {
			t.Errorf("expired by the registry's clock: got %v, want denied", err)
		}
	})
}

func TestSilentClientTimesOut(t *testing.T) {
	bothWays(t, func(t *testing.T, dial dialer) {
		r := listen(t, 4)
		p := dial.join(t, r, tokenFor(t, 1))
		id := r.next(t).Conn
		begun := time.Now()
		pulse := time.NewTicker(time.Second) // so that the client does not lose patience
		defer pulse.Stop()
		for over := false; !over; {
			select {
			case <-pulse.C:
				r.Send(id, []byte("x"))
			case e := <-r.Events():
				over = e.Kind == gameserver.EventDisconnected
				if !e.Lost {
					t.Errorf("a silent client: got %+v, want lost", e)
				}
			case <-time.After(time.Minute):
				t.Fatal("a silent client is still connected after a minute")
			}
		}
		if took := time.Since(begun); took < silence-tickInterval || took > silence+2*time.Second {
			t.Errorf("silence ended after %s, want %s", took, silence)
		}
		if err := p.end(t); throng.KindOf(err) != throng.Unavailable || err == nil {
			t.Errorf("client: got %v, want unavailable", err)
		}
	})
}

func TestSilentServerTimesOut(t *testing.T) {
	bothWays(t, func(t *testing.T, dial dialer) {
		r := listen(t, 4)
		p := dial.join(t, r, tokenFor(t, 1))
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		begun := time.Now()
		for {
			select {
			case <-ticker.C:
				_ = p.Send([]byte("anybody?"))
				continue
			case err := <-p.ended:
				if took := time.Since(begun); throng.KindOf(err) != throng.Unavailable || err == nil || took > silence+3*time.Second {
					t.Errorf("got %v after %s, want unavailable", err, took)
				}
			case <-time.After(12 * time.Second):
				t.Error("still connected after 12 s")
			}
			return
		}
	})
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
	w := r.WebAddress()
	if err := w.Check("web"); err != nil || len(w.Certificates) != 2 || w.Certificates[0] == w.Certificates[1] {
		t.Errorf("web address: got %+v, %v", w, err)
	}
	if _, err := New(Config{Listen: r.Address()}); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("bound twice: got %v, want unavailable", err)
	}
	for name, err := range map[string]error{
		"capacity 0":   r.Listen(testKey, 0, time.Now),
		"capacity 257": r.Listen(testKey, 257, time.Now),
		"no key":       r.Listen([32]byte{}, 4, time.Now),
		"no clock":     r.Listen(testKey, 4, nil),
	} {
		if throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
	if err := r.Listen(testKey, 4, time.Now); err != nil {
		t.Fatal(err)
	}
	dialer(byDatagrams).join(t, r, tokenFor(t, 1)) // over a socket for both IP versions
	if e := r.next(t); e.Kind != gameserver.EventConnected || !e.From.Addr().Is4() {
		t.Errorf("event: got %+v, want connected from an IPv4 address", e)
	}
}
