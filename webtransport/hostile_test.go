package webtransport

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/wire/netcode"
)

// stranger is a QUIC connection that may ask for anything.
func (r running) stranger(t *testing.T) *quic.Conn {
	t.Helper()
	conn, err := quic.DialAddr(t.Context(), r.Address().String(), trusting(r.WebAddress().Certificates), &quic.Config{
		EnableDatagrams: true, EnableStreamResetPartialDelivery: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	return conn
}

// plain is a socket that speaks nothing yet.
func plain(t *testing.T, network string, to netip.AddrPort) net.Conn {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), network, to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// gone waits for the server to close a connection.
func gone(t *testing.T, conn *quic.Conn, within time.Duration) {
	t.Helper()
	select {
	case <-conn.Context().Done():
	case <-time.After(within):
		t.Errorf("the connection is still open after %s", within)
	}
}

// alive says that the server takes a player and hears him.
func (r running) alive(t *testing.T, n int) {
	t.Helper()
	for i, dial := range []dialer{byDatagrams, bySocket} {
		p := dial.join(t, r, tokenFor(t, n+i))
		e := r.next(t)
		if e.Kind != gameserver.EventConnected {
			t.Fatalf("got %+v, want connected", e)
		}
		if err := p.Send([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if e := r.next(t); e.Kind != gameserver.EventMessage || string(e.Data) != "hello" {
			t.Errorf("got %+v, want hello", e)
		}
		_ = p.Close()
		if e := r.next(t); e.Kind != gameserver.EventDisconnected {
			t.Errorf("got %+v, want disconnected", e)
		}
	}
}

func TestWrongCertificate(t *testing.T) {
	r, other := listen(t, 4), listen(t, 4)
	_, err := Dial(t.Context(), r.WebAddress().URL, other.WebAddress().Certificates, tokenFor(t, 1), func([]byte) {})
	if throng.KindOf(err) != throng.Unavailable || err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("another server's hash: got %v, want unavailable for its certificate", err)
	}
	r.alive(t, 1) // the token was not shown
}

func TestBadRequests(t *testing.T) {
	r := listen(t, 4)
	url := r.WebAddress().URL
	for name, path := range map[string]string{
		"other path":  strings.TrimSuffix(url, playPath) + "/other?token=x",
		"no token":    url,
		"no base64":   url + "?token=***",
		"long":        url + "?token=" + base64.RawURLEncoding.EncodeToString(make([]byte, 3000)),
		"random 2048": url + "?token=" + base64.RawURLEncoding.EncodeToString(random(netcode.TokenSize)),
	} {
		conn := r.stranger(t)
		if _, err := request(t.Context(), conn, path); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
		gone(t, conn, 2*time.Second)
	}
	get := &http3.Transport{}
	conn := r.stranger(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := get.NewClientConn(conn).RoundTrip(req) //nolint:bodyclose // the connection is closed
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("GET: got %v, %v, want 400", resp, err)
	}
	gone(t, conn, 2*time.Second)
	r.alive(t, 100)
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// One connection is one player.
func TestSecondSessionOnOneConnection(t *testing.T) {
	r := listen(t, 4)
	conn := r.stranger(t)
	var wt webtransport.Transport
	client, err := wt.NewClientConn(conn)
	if err != nil {
		t.Fatal(err)
	}
	with := func(n int) string {
		return r.WebAddress().URL + "?token=" + base64.RawURLEncoding.EncodeToString(tokenFor(t, n))
	}
	if _, _, err := client.Dial(t.Context(), with(1), nil); err != nil { //nolint:bodyclose // it is the session
		t.Fatal(err)
	}
	if e := r.next(t); e.Kind != gameserver.EventConnected {
		t.Fatalf("got %+v", e)
	}
	if _, _, err := client.Dial(t.Context(), with(2), nil); err == nil { //nolint:bodyclose // it is the session
		t.Error("a second session was taken")
	}
	if e := r.next(t); e.Kind != gameserver.EventDisconnected {
		t.Errorf("got %+v, want disconnected", e)
	}
	r.alive(t, 2) // the second token was not used
}

// A handshake that goes nowhere ends, and gives its place back.
func TestIdleHandshakes(t *testing.T) {
	r := listen(t, 4)
	silent := r.stranger(t)
	conn := plain(t, "tcp", r.publicTCP)
	socket, _, err := websocket.Dial(t.Context(), r.WebAddress().WebSocket, nil) //nolint:bodyclose // hijacked
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.CloseNow() }()
	begun := time.Now()
	gone(t, silent, handshakeTime+2*time.Second)
	_ = conn.SetReadDeadline(begun.Add(handshakeTime + 2*time.Second))
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("a silent TCP connection: got %v, want closed", err)
	}
	if _, _, err := socket.Read(t.Context()); websocket.CloseStatus(err) == -1 && !errors.Is(err, io.EOF) {
		t.Errorf("a WebSocket without a token: got %v, want closed", err)
	}
	if took := time.Since(begun); took > handshakeTime+2*time.Second {
		t.Errorf("took %s", took)
	}
	for late := time.Now().Add(5 * time.Second); ; {
		r.gate.mu.Lock()
		pending := r.gate.pending
		r.gate.mu.Unlock()
		if pending == 0 {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("%d handshakes are still pending", pending)
		}
		<-time.After(10 * time.Millisecond)
	}
	r.alive(t, 1)
}

// Streams are read by nobody, are few, and do no harm.
func TestStreamFlood(t *testing.T) {
	r := listen(t, 4)
	conn := r.stranger(t)
	var wt webtransport.Transport
	client, err := wt.NewClientConn(conn)
	if err != nil {
		t.Fatal(err)
	}
	token := base64.RawURLEncoding.EncodeToString(tokenFor(t, 1))
	if _, _, err = client.Dial(t.Context(), r.WebAddress().URL+"?token="+token, nil); err != nil { //nolint:bodyclose // it is the session
		t.Fatal(err)
	}
	if e := r.next(t); e.Kind != gameserver.EventConnected {
		t.Fatalf("got %+v", e)
	}
	before := runtime.NumGoroutine()
	opened, wrote := 0, 0
	deadline := time.Now().Add(time.Second)
	for time.Now().Before(deadline) && conn.Context().Err() == nil {
		stream, err := conn.OpenUniStream()
		if err != nil {
			<-time.After(time.Millisecond)
			continue
		}
		opened++
		_ = stream.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		n, _ := stream.Write(append([]byte{0x40, 0x54, 0}, make([]byte, 1<<20)...)) // a WebTransport stream of session 0
		wrote += n
	}
	if opened > 20 || wrote > 1<<20 {
		t.Errorf("opened %d streams and wrote %d bytes, want few", opened, wrote)
	}
	if grown := runtime.NumGoroutine() - before; grown > 50 {
		t.Errorf("%d goroutines more", grown)
	}
	r.alive2(t, 10)
}

// alive2 is alive among other events.
func (r running) alive2(t *testing.T, n int) {
	t.Helper()
	p := dialer(byDatagrams).join(t, r, tokenFor(t, n))
	connected := false
	for {
		e := r.next(t)
		connected = connected || e.Kind == gameserver.EventConnected && strings.HasPrefix(string(e.Data), fmt.Sprintf("player %d\x00", n))
		if connected {
			break
		}
	}
	_ = p.Close()
}

func TestGarbageDatagrams(t *testing.T) {
	r := listen(t, 4)
	garbage := plain(t, "udp", r.Address())
	for i := range 2000 {
		_, _ = garbage.Write(random(1 + i%1400))
	}
	initial := append([]byte{0xc3, 0, 0, 0, 1, 8}, random(1250)...) // like a first QUIC packet
	for range 500 {
		_, _ = garbage.Write(initial)
	}
	web := plain(t, "tcp", r.publicTCP)
	_, _ = web.Write(random(100_000))
	r.alive(t, 1)
}

func TestOversized(t *testing.T) {
	r := listen(t, 4)
	conn := r.stranger(t)
	session, err := request(t.Context(), conn, r.WebAddress().URL+"?token="+base64.RawURLEncoding.EncodeToString(tokenFor(t, 1)))
	if err != nil {
		t.Fatal(err)
	}
	r.next(t)
	if err := session.SendDatagram(make([]byte, MaxPayload+1)); err != nil {
		t.Fatal(err)
	}
	if err := session.SendDatagram([]byte("good")); err != nil {
		t.Fatal(err)
	}
	if e := r.next(t); e.Kind != gameserver.EventMessage || string(e.Data) != "good" {
		t.Errorf("after an oversized datagram: got %+v, want good", e)
	}
	_ = conn.CloseWithError(0, "")
	if e := r.next(t); e.Kind != gameserver.EventDisconnected || !e.Lost {
		t.Errorf("a connection that is gone: got %+v, want lost", e)
	}
	for name, c := range map[string]struct {
		kind websocket.MessageType
		size int
		want websocket.StatusCode
	}{
		"oversized": {websocket.MessageBinary, MaxPayload + 1, websocket.StatusMessageTooBig},
		"huge":      {websocket.MessageBinary, 1 << 20, websocket.StatusMessageTooBig},
		"text":      {websocket.MessageText, 10, websocket.StatusUnsupportedData},
	} {
		socket, _, err := websocket.Dial(t.Context(), r.WebAddress().WebSocket, nil) //nolint:bodyclose // hijacked
		if err != nil {
			t.Fatal(err)
		}
		if err := socket.Write(t.Context(), websocket.MessageBinary, tokenFor(t, 100+c.size+int(c.kind))); err != nil {
			t.Fatal(err)
		}
		if e := r.next(t); e.Kind != gameserver.EventConnected {
			t.Fatalf("%s: got %+v", name, e)
		}
		_ = socket.Write(t.Context(), c.kind, make([]byte, c.size))
		_, _, err = socket.Read(t.Context())
		if got := websocket.CloseStatus(err); got != c.want && c.size < 1<<20 { // a large one may break off
			t.Errorf("%s: got %v, want status %d", name, err, c.want)
		}
		if e := r.next(t); e.Kind != gameserver.EventDisconnected {
			t.Errorf("%s: got %+v, want disconnected", name, e)
		}
		_ = socket.CloseNow()
	}
	socket, _, err := websocket.Dial(t.Context(), r.WebAddress().WebSocket, nil) //nolint:bodyclose // hijacked
	if err != nil {
		t.Fatal(err)
	}
	_ = socket.Write(t.Context(), websocket.MessageBinary, make([]byte, netcode.TokenSize+1))
	if _, _, err := socket.Read(t.Context()); err == nil {
		t.Error("an oversized token was taken")
	}
	_ = socket.CloseNow()
	r.alive(t, 500)
}

func TestMessageFlood(t *testing.T) {
	bothWays(t, func(t *testing.T, dial dialer) {
		r := listen(t, 4)
		p := dial.join(t, r, tokenFor(t, 1))
		r.next(t)
		begun := time.Now()
		for r.metric(t, "throng_web_dropped_total", dropFlood) < messagesPerSecond {
			if time.Since(begun) > time.Minute {
				t.Fatal("a flood is not noticed in a minute")
			}
			for range 20 {
				if err := p.Send([]byte("x")); err != nil {
					t.Fatal(err)
				}
			}
		}
		seconds := int(time.Since(begun)/time.Second) + 1
		if got := len(r.Events()); got > (seconds+1)*messagesPerSecond {
			t.Errorf("events in %d s: got %d, want %d a second at most", seconds, got, messagesPerSecond)
		}
	})
}

// A client that reads nothing costs the server nothing but its queue, delays
// nobody, and gets the newest when it reads again.
func TestSlowReader(t *testing.T) {
	r := listen(t, 4)
	socket, _, err := websocket.Dial(t.Context(), r.WebAddress().WebSocket, &websocket.DialOptions{ //nolint:bodyclose // hijacked
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dialSmall}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.CloseNow() }()
	if err := socket.Write(t.Context(), websocket.MessageBinary, tokenFor(t, 1)); err != nil {
		t.Fatal(err)
	}
	id := r.next(t).Conn
	const sent = 2000
	begun := time.Now()
	for i := range sent {
		r.Send(id, fmt.Appendf(nil, "%04d%s", i, strings.Repeat("x", 1000)))
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("sending to who does not read took %s", took)
	}
	r.await(t, "throng_web_dropped_total", dropSlow, 1000)
	var last string
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	got := 0
	for last != fmt.Sprintf("%04d", sent-1) {
		_, b, err := socket.Read(ctx)
		if err != nil {
			t.Fatalf("after %d messages, the last %s: %v", got, last, err)
		}
		got++
		if string(b[:4]) <= last {
			t.Fatalf("%s came after %s", b[:4], last)
		}
		last = string(b[:4])
	}
	if got > sent/2 {
		t.Errorf("got %d of %d messages, want the newest", got, sent)
	}
}

// One that never reads is ended, though it sends.
func TestStuckReader(t *testing.T) {
	r := listen(t, 4)
	socket, _, err := websocket.Dial(t.Context(), r.WebAddress().WebSocket, &websocket.DialOptions{ //nolint:bodyclose // hijacked
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dialSmall}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.CloseNow() }()
	if err := socket.Write(t.Context(), websocket.MessageBinary, tokenFor(t, 1)); err != nil {
		t.Fatal(err)
	}
	id := r.next(t).Conn
	begun := time.Now()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.Send(id, make([]byte, MaxPayload))
			_ = socket.Write(t.Context(), websocket.MessageBinary, []byte("x"))
			continue
		case e := <-r.Events():
			if e.Kind == gameserver.EventMessage {
				continue
			}
			if took := time.Since(begun); e.Kind != gameserver.EventDisconnected || !e.Lost || took < silence {
				t.Errorf("got %+v after %s, want lost after %s", e, took, silence)
			}
		case <-time.After(15 * time.Second):
			t.Error("still connected")
		}
		return
	}
}

func TestGate(t *testing.T) {
	now := time.Now()
	var g gate
	here := netip.MustParseAddr("192.0.2.1")
	if got := g.enter(here, now); got != refusedUnlistening {
		t.Errorf("closed: got %q", got)
	}
	g.open(10)
	for i := range g.burst {
		if got := g.enter(here, now); got != refusedNone {
			t.Fatalf("handshake %d: got %q", i, got)
		}
		g.leave()
	}
	if got := g.enter(here, now); got != refusedRate {
		t.Errorf("one too many from an address: got %q", got)
	}
	if got := g.enter(netip.MustParseAddr("::ffff:192.0.2.1"), now); got != refusedRate {
		t.Errorf("the same address, mapped: got %q", got)
	}
	if got := g.enter(netip.MustParseAddr("192.0.2.2"), now); got != refusedNone {
		t.Errorf("another address: got %q", got)
	}
	g.leave()
	if got := g.enter(here, now.Add(time.Second)); got != refusedNone {
		t.Errorf("a second later: got %q", got)
	}
	g.leave()
	six := func(i, j int) netip.Addr {
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 8), byte(i), 0, 0, byte(j >> 8), byte(j)})
	}
	taken := 0
	for j := range g.burst + 10 { // one /64
		if g.enter(six(1, j), now.Add(time.Minute)) == refusedNone {
			taken++
			g.leave()
		}
	}
	if taken != g.burst {
		t.Errorf("from one /64: got %d, want %d", taken, g.burst)
	}
	for i := range 3 * addressRoom {
		if g.enter(six(i, 0), now.Add(time.Hour+time.Duration(i)*time.Second)) == refusedNone {
			g.leave()
		}
	}
	if got := len(g.recent) + len(g.older); got > 2*addressRoom {
		t.Errorf("remembers %d addresses, want at most %d", got, 2*addressRoom)
	}
	late := now.Add(24 * time.Hour)
	for i := range g.most {
		if got := g.enter(six(i, 1), late); got != refusedNone {
			t.Fatalf("pending %d: got %q", i, got)
		}
	}
	if got := g.enter(here, late); got != refusedPending {
		t.Errorf("too many at once: got %q", got)
	}
	g.shut()
	if got := g.enter(here, late); got != refusedUnlistening {
		t.Errorf("shut: got %q", got)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	r := listen(t, 4)
	r.mu.Lock()
	r.usedRoom = 3
	r.mu.Unlock()
	for i := range 3 {
		if _, why := r.admit(tokenFor(t, i)); why != refusedNone {
			t.Fatalf("token %d: got %q", i, why)
		}
	}
	if _, why := r.admit(tokenFor(t, 9)); why != refusedBusy {
		t.Errorf("no room: got %q", why)
	}
	r.mu.Lock()
	r.registry = func() time.Time { return time.Now().Add(time.Hour) }
	r.sweep()
	r.registry = time.Now
	left := len(r.used)
	r.mu.Unlock()
	if left != 0 {
		t.Errorf("after all have expired: %d are remembered", left)
	}
	if _, why := r.admit(tokenFor(t, 9)); why != refusedNone {
		t.Errorf("room again: got %q", why)
	}
}
