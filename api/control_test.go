package api

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/auth"
	"github.com/throng-gg/throng/client"
)

// orders remembers what a server was told.
type orders struct {
	handover func(throng.Handover) error
	told     chan string
}

func (o orders) Handover(h throng.Handover) error { return o.handover(h) }

func (o orders) Order(s throng.SessionID, order throng.Order) {
	o.told <- string(s) + " " + order.Kind.String() + " " + string(order.Player)
}

func (o orders) Stop(reason string) { o.told <- "stop " + reason }

// Connected is no news to these tests: the hello that follows is.
func (o orders) Connected() {}

func (d *door) server(token string) *client.Server {
	d.t.Helper()
	s, err := client.NewServer(client.ServerConfig{Addr: d.http.URL, Server: serverA, Token: token})
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

func (d *door) handover() throng.Handover {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	return throng.Handover{
		Session: sessionA, Place: "arena", Version: 3, Package: hashA, Capacity: 8, Key: [32]byte{1, 31: 2},
		Token: d.serverToken(serverA, sessionA), Now: at, OpenedAt: at.Add(-time.Second), Incarnation: "i1",
	}
}

var (
	address = netip.MustParseAddrPort("192.0.2.1:7000")
	hello   = throng.Hello{Server: serverA, Incarnation: "i1", Address: address}
	beat    = throng.Heartbeat{Session: sessionA, Server: serverA, Incarnation: "i1", Address: address, Revision: 1}
)

func TestControl(t *testing.T) {
	d := openDoor(t, nil)
	var attached throng.Hello
	d.world.attach = func(h throng.Hello, _ Link) error { attached = h; return nil }
	s := d.server(d.serverToken(serverA, ""))
	var got throng.Handover
	o := orders{told: make(chan string, 8)}
	o.handover = func(h throng.Handover) error {
		if got.Session != "" && got.Session != h.Session {
			return throng.Errorf(throng.Conflict, "has %s", got.Session)
		}
		got = h
		return nil
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- s.Serve(ctx, hello, o) }()
	link := <-d.world.links
	if !reflect.DeepEqual(attached, hello) {
		t.Errorf("hello: got %+v, want %+v", attached, hello)
	}
	if _, err := s.Heartbeat(t.Context(), beat); throng.KindOf(err) != throng.Denied {
		t.Errorf("a heartbeat before the handover: got %v, want denied", err)
	}
	want := d.handover()
	for range 2 { // repeated: yes again
		if err := link.Handover(t.Context(), want); err != nil {
			t.Fatalf("handover: %v", err)
		}
	}
	if got != want {
		t.Errorf("handover: got %+v, want %+v", got, want)
	}
	if a, err := s.Heartbeat(t.Context(), beat); err != nil || a.Acked != 1 || a.Next != throng.HeartbeatTime {
		t.Errorf("a heartbeat with the new token: got %+v, %v", a, err)
	}
	other := want
	other.Session, other.Token = sessionB, d.serverToken(serverA, sessionB)
	if err := link.Handover(t.Context(), other); throng.KindOf(err) != throng.Conflict || !strings.Contains(err.Error(), string(sessionA)) {
		t.Errorf("a second session: got %v, want conflict", err)
	}
	if _, err := s.Heartbeat(t.Context(), beat); err != nil {
		t.Errorf("a heartbeat after a refused handover: %v", err)
	}
	if err := link.Order(sessionA, throng.Order{ID: 1, Kind: throng.OrderEvict, Player: "ada", Epoch: 7}); err != nil {
		t.Fatal(err)
	}
	if err := link.Stop("idle"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{string(sessionA) + " evict ada", "stop idle"} {
		if told := <-o.told; told != want {
			t.Errorf("told: got %q, want %q", told, want)
		}
	}
	stop()
	if err := <-served; !errors.Is(err, context.Canceled) {
		t.Errorf("Serve: got %v, want canceled", err)
	}
	if gone := <-d.world.detached; gone != serverA || !d.world.left.Load() {
		t.Errorf("detached: got %s, left %v, want %s, which left", gone, d.world.left.Load(), serverA)
	}
	if err := link.Handover(t.Context(), want); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("handover to a server that left: got %v, want unavailable", err)
	}
	if err := link.Order(sessionA, throng.Order{}); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("order to a server that left: got %v, want unavailable", err)
	}
	// It comes back with its session.
	again := hello
	again.Session = sessionA
	go func() { served <- s.Serve(t.Context(), again, o) }()
	<-d.world.links
	if !reflect.DeepEqual(attached, again) {
		t.Errorf("second hello: got %+v, want %+v", attached, again)
	}
	d.http.CloseClientConnections() // does not know hijacked ones
	d.open.close()
	if err := <-served; throng.KindOf(err) != throng.Unavailable {
		t.Errorf("Serve when the door closes: got %v, want unavailable", err)
	}
}

func TestControlRefuses(t *testing.T) {
	d := openDoor(t, nil)
	d.world.attach = func(h throng.Hello, _ Link) error {
		if h.Incarnation == "twin" {
			return throng.Errorf(throng.Conflict, "another incarnation is bound: %s", strings.Repeat("x", 300))
		}
		return nil
	}
	say := func(change func(*throng.Hello)) throng.Hello {
		h := hello
		change(&h)
		return h
	}
	for _, c := range []struct {
		name, token string
		hello       throng.Hello
		want        throng.Kind
	}{
		{"no token", "", hello, throng.Denied},
		{"a player's token", d.token("ada", RolePlayer), hello, throng.Denied},
		{"another server's token", d.serverToken(serverB, ""), hello, throng.Denied},
		{"another server's hello", d.serverToken(serverA, ""), say(func(h *throng.Hello) { h.Server = serverB }), throng.Denied},
		{"another session's hello", d.serverToken(serverA, sessionA), say(func(h *throng.Hello) { h.Session = sessionB }), throng.Denied},
		{"idle with a session's token", d.serverToken(serverA, sessionA), hello, throng.Denied},
		{"bound with an idle token", d.serverToken(serverA, ""), say(func(h *throng.Hello) { h.Session = sessionA }), throng.Denied},
		{"no incarnation", d.serverToken(serverA, ""), say(func(h *throng.Hello) { h.Incarnation = "" }), throng.Invalid},
		{"bound nowhere", d.serverToken(serverA, sessionA), say(func(h *throng.Hello) { h.Session, h.Address = sessionA, netip.AddrPort{} }), throng.Invalid},
		{"a twin", d.serverToken(serverA, ""), say(func(h *throng.Hello) { h.Incarnation = "twin" }), throng.Conflict},
	} {
		err := d.server(c.token).Serve(t.Context(), c.hello, orders{})
		if throng.KindOf(err) != c.want || err == nil {
			t.Errorf("%s: got %v (%v), want %v", c.name, err, throng.KindOf(err), c.want)
		}
	}
	if n := len(d.world.links); n != 0 {
		t.Errorf("%d were attached", n)
	}
	path := "/v1/servers/" + string(serverA) + "/control"
	if r := d.call("GET", path, d.serverToken(serverA, ""), ""); r.status != 426 || r.problem(t).Code != "invalid" {
		t.Errorf("without a handshake: got %d %s, want 426", r.status, r.body)
	}
	if r := d.call("GET", path, d.serverToken(serverB, ""), ""); r.status != 403 {
		t.Errorf("another server's, before the handshake: got %d %s, want 403", r.status, r.body)
	}
	if r := d.call("GET", "/v1/servers/x/control", d.serverToken(serverA, ""), ""); r.status != 400 {
		t.Errorf("a bad server: got %d %s, want 400", r.status, r.body)
	}
}

// dial opens a control connection by hand.
func (d *door) dial(first string) *websocket.Conn {
	d.t.Helper()
	return d.dialWith(d.serverToken(serverA, ""), first)
}

func (d *door) dialWith(token, first string) *websocket.Conn {
	d.t.Helper()
	conn, resp, err := websocket.Dial(d.t.Context(), d.http.URL+"/v1/servers/"+string(serverA)+"/control", &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + token}},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	if resp.Body != nil {
		d.t.Cleanup(func() { resp.Body.Close() })
	}
	d.t.Cleanup(func() { _ = conn.CloseNow() })
	if err := conn.Write(d.t.Context(), websocket.MessageText, []byte(first)); err != nil {
		d.t.Fatal(err)
	}
	return conn
}

const rawHello = `{"hello":{"server":"` + string(serverA) + `","incarnation":"i1"}}`

func TestControlMessages(t *testing.T) {
	d := openDoor(t, nil)
	for name, first := range map[string]string{
		"not JSON":       `{"hello"`,
		"not a hello":    `{"handover_answer":{"id":1,"ok":true}}`,
		"nothing":        `{}`,
		"wrong types":    `{"hello":{"server":1}}`,
		"far too large":  `{"hello":"` + strings.Repeat("x", controlSize) + `"}`,
		"hello of a foe": strings.Replace(rawHello, string(serverA), string(serverB), 1),
	} {
		_, _, err := d.dial(first).Read(t.Context())
		if code := websocket.CloseStatus(err); code != websocket.StatusPolicyViolation && code != websocket.StatusMessageTooBig {
			t.Errorf("%s: got %v, want closed with 1008 or 1009", name, err)
		}
	}
	conn := d.dial(rawHello)
	<-d.world.links
	for _, harmless := range []string{`{"handover_answer":{"id":99,"ok":true}}`, `{"from_the_future":{}}`, rawHello} {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(harmless)); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(`]`)); err != nil {
		t.Fatal(err)
	}
	var err error
	for err == nil {
		_, _, err = conn.Read(t.Context())
	}
	if websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("garbage later: got %v, want closed with 1008", err)
	}
	if <-d.world.detached; d.world.left.Load() {
		t.Error("one whose connection was closed left by itself")
	}
}

func TestControlOfASilentServer(t *testing.T) {
	d := openDoor(t, nil)
	d.pingEvery = 20 * time.Millisecond
	d.dial(rawHello) // never reads, so it never answers a ping
	link := <-d.world.links
	err := link.Handover(t.Context(), d.handover())
	if throng.KindOf(err) != throng.Unavailable {
		t.Errorf("handover: got %v, want unavailable", err)
	}
	if <-d.world.detached; d.world.left.Load() {
		t.Error("one that fell silent left in order")
	}
}

func TestControlOfASlowServer(t *testing.T) {
	d := openDoor(t, nil)
	d.dial(rawHello)
	link := <-d.world.links
	order := throng.Order{ID: 1, Kind: throng.OrderEnd, Reason: string(bytes.Repeat([]byte{'x'}, 1<<20))}
	var err error
	for range controlQueue + 64 { // the queue, and what the sockets hold
		if err = link.Order(sessionA, order); err != nil {
			break
		}
	}
	if throng.KindOf(err) != throng.Unavailable || err == nil {
		t.Fatalf("got %v, want unavailable", err)
	}
	if err := link.Order(sessionA, order); !errors.Is(err, errLost) {
		t.Errorf("after the overflow: got %v, want %v", err, errLost)
	}
	<-d.world.detached
	if m := d.call("GET", "/metrics", "", "").body; !strings.Contains(m, "throng_door_control_overflows_total 1") {
		t.Error("the overflow is not counted")
	}
}

func TestHandoverIsBounded(t *testing.T) {
	d := openDoor(t, nil)
	d.dial(rawHello)
	l := <-d.world.links
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	for range maxHandovers {
		go func() { done <- l.Handover(ctx, d.handover()) }()
	}
	raw, _ := l.(*link)
	waiting := func() int {
		raw.mu.Lock()
		defer raw.mu.Unlock()
		return len(raw.answers)
	}
	for waiting() < maxHandovers {
		select {
		case err := <-done:
			t.Fatalf("a handover returned: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	if err := l.Handover(t.Context(), d.handover()); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("one too many: got %v, want unavailable", err)
	}
	cancel()
	for range maxHandovers {
		if err := <-done; throng.KindOf(err) != throng.Unavailable || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want unavailable", err)
		}
	}
	if n := waiting(); n != 0 {
		t.Errorf("%d answers are still waited for", n)
	}
}

type nodes chan throng.NodeID

func (n nodes) ServeNode(w http.ResponseWriter, r *http.Request, node throng.NodeID) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	n <- node
	<-r.Context().Done()
	_ = conn.Close(websocket.StatusGoingAway, "")
}

func TestNodeControl(t *testing.T) {
	served := make(nodes, 1)
	d := openDoor(t, func(c *Config) { c.Nodes = served })
	token, err := d.keys.NodeToken(nodeA)
	if err != nil {
		t.Fatal(err)
	}
	path := "/v1/nodes/" + string(nodeA) + "/control"
	conn, resp, err := websocket.Dial(t.Context(), d.http.URL+path, &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + token}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body != nil {
		defer resp.Body.Close()
	}
	defer func() { _ = conn.CloseNow() }()
	if got := <-served; got != nodeA {
		t.Errorf("got %s, want %s", got, nodeA)
	}
	if r := d.call("GET", strings.Replace(path, "abcdef", "abcdeg", 1), token, ""); r.status != 403 {
		t.Errorf("as another node: got %d %s, want 403", r.status, r.body)
	}
	closed := make(chan error)
	go func() {
		_, _, err := conn.Read(t.Context())
		closed <- err
	}()
	d.open.close()
	if err := <-closed; websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("when the door closes: got %v, want 1001", err)
	}
	none := openDoor(t, nil)
	if r := none.call("GET", path, token, ""); r.status != 501 {
		t.Errorf("a door without nodes: got %d %s, want 501", r.status, r.body)
	}
}

// TestControlOfARetiredSecret: what was let in by a key that is taken out does
// not stay.
func TestControlOfARetiredSecret(t *testing.T) {
	source := &ring{numbers: []int{1}}
	keys, err := auth.NewRing(auth.RingConfig{Secrets: source})
	if err != nil {
		t.Fatal(err)
	}
	who, err := auth.New(auth.Config{Ring: keys})
	if err != nil {
		t.Fatal(err)
	}
	d := openDoor(t, func(c *Config) { c.Auth = who })
	d.pingEvery = 300 * time.Millisecond // which is how soon a pong has to come, too
	token, err := keys.EnrollToken(serverA)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- d.server(token).Serve(t.Context(), hello, orders{}) }()
	<-d.world.links
	source.set(1, 2)
	if err := keys.Reload(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-served:
		t.Fatalf("while its secret verifies: the connection ended: %v", err)
	case <-time.After(3 * d.pingEvery):
	}
	source.set(2)
	if err := keys.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := <-served; throng.KindOf(err) != throng.Unavailable || err == nil {
		t.Errorf("after that: got %v, want it lost", err)
	}
	if err := d.server(token).Serve(t.Context(), hello, orders{}); throng.KindOf(err) != throng.Denied || err == nil {
		t.Errorf("back with the same credential: got %v, want denied", err)
	}
}
