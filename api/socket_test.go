package api

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/throng-gg/throng"
)

// socketHost plays a game server's own WebSocket port.
type socketHost struct {
	*httptest.Server
	came  chan *websocket.Conn // after its token was read
	token chan []byte
	calls atomic.Int64
}

func newSocketHost(t *testing.T) *socketHost {
	t.Helper()
	h := &socketHost{came: make(chan *websocket.Conn, 8), token: make(chan []byte, 8)}
	done := make(chan struct{})
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.calls.Add(1)
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		_, token, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		h.token <- token
		h.came <- conn
		<-done // the connection is the test's
	}))
	t.Cleanup(func() {
		close(done)
		h.Close()
	})
	return h
}

// socketDoor is a door whose session A is at a host.
func socketDoor(t *testing.T, change func(*Config)) (*door, *socketHost) {
	t.Helper()
	h := newSocketHost(t)
	d := openDoor(t, change)
	d.world.sessions = []throng.Session{
		{
			ID: sessionA, Place: "arena", State: throng.SessionOpen,
			Web: throng.WebAddress{WebSocket: "ws" + strings.TrimPrefix(h.URL, "http") + "/play"},
		},
		{ID: sessionB, Place: "arena", State: throng.SessionOpen, Web: throng.WebAddress{WebSocket: "ws://127.0.0.1:1/play"}},
	}
	return d, h
}

func (d *door) socket(t *testing.T, session throng.SessionID) *websocket.Conn {
	t.Helper()
	conn, resp, err := websocket.Dial(t.Context(), d.http.URL+"/v1/sessions/"+string(session)+"/socket", &websocket.DialOptions{ //nolint:bodyclose // hijacked
		HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}},
	})
	if err != nil {
		t.Fatalf("dial: %v (%v)", err, resp)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

func tokenOf(session throng.SessionID) []byte {
	token := make([]byte, socketToken)
	copy(token, session)
	return token
}

func say(t *testing.T, conn *websocket.Conn, message []byte) {
	t.Helper()
	if err := conn.Write(t.Context(), websocket.MessageBinary, message); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, conn *websocket.Conn) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, message, err := conn.Read(ctx)
	return message, err
}

func TestSocketRelays(t *testing.T) {
	d, h := socketDoor(t, nil)
	player := d.socket(t, sessionA)
	say(t, player, tokenOf(sessionA))
	if got := <-h.token; !bytes.Equal(got, tokenOf(sessionA)) {
		t.Errorf("token: got %d bytes, want it as it is", len(got))
	}
	server := <-h.came
	for _, size := range []int{1, socketMessage} {
		up, down := bytes.Repeat([]byte("u"), size), bytes.Repeat([]byte("d"), size)
		say(t, player, up)
		if got, err := hear(t, server); err != nil || !bytes.Equal(got, up) {
			t.Errorf("up: got %d bytes, %v, want %d", len(got), err, size)
		}
		say(t, server, down)
		if got, err := hear(t, player); err != nil || !bytes.Equal(got, down) {
			t.Errorf("down: got %d bytes, %v, want %d", len(got), err, size)
		}
	}
	if got := d.sockets.in.Load(); got != 1 {
		t.Errorf("sockets: got %v, want 1", got)
	}
	if err := server.Close(websocket.StatusNormalClosure, "over"); err != nil {
		t.Errorf("close: %v", err)
	}
	_, err := hear(t, player)
	if websocket.CloseStatus(err) != websocket.StatusNormalClosure || !strings.Contains(err.Error(), "over") {
		t.Errorf("the server's end: got %v, want its words", err)
	}
}

func TestSocketEnds(t *testing.T) {
	d, h := socketDoor(t, nil)
	for name, c := range map[string]struct {
		end  func(player, server *websocket.Conn) *websocket.Conn // returns who hears of it
		want websocket.StatusCode
	}{
		"goodbye": {func(p, s *websocket.Conn) *websocket.Conn {
			go func() { _ = p.Close(websocket.StatusNormalClosure, "") }()
			return s
		}, websocket.StatusNormalClosure},
		"page left": {func(p, s *websocket.Conn) *websocket.Conn {
			go func() { _ = p.Close(websocket.StatusGoingAway, "") }()
			return s
		}, -1},
		"player gone": {func(p, s *websocket.Conn) *websocket.Conn { _ = p.CloseNow(); return s }, -1},
		"server gone": {func(p, s *websocket.Conn) *websocket.Conn { _ = s.CloseNow(); return p }, -1},
		"refused": {func(p, s *websocket.Conn) *websocket.Conn {
			go func() { _ = s.Close(websocket.StatusPolicyViolation, "denied: no") }()
			return p
		}, websocket.StatusPolicyViolation},
		"too large": {func(p, _ *websocket.Conn) *websocket.Conn {
			_ = p.Write(t.Context(), websocket.MessageBinary, make([]byte, socketMessage+100))
			return p
		}, websocket.StatusMessageTooBig},
	} {
		player := d.socket(t, sessionA)
		say(t, player, tokenOf(sessionA))
		<-h.token
		_, err := hear(t, c.end(player, <-h.came))
		if got := websocket.CloseStatus(err); err == nil || got != c.want {
			t.Errorf("%s: got %v, want status %d", name, err, c.want)
		}
	}
	for late := time.Now().Add(5 * time.Second); d.sockets.in.Load() != 0; <-time.After(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("relays are left over")
		}
	}
}

// Nobody is called for who shows no good token.
func TestSocketRefuses(t *testing.T) {
	d, h := socketDoor(t, nil)
	for name, c := range map[string]struct {
		session throng.SessionID
		kind    websocket.MessageType
		token   []byte
		want    string
	}{
		"another session's": {sessionA, websocket.MessageBinary, tokenOf(sessionB), "denied"},
		"short":             {sessionA, websocket.MessageBinary, tokenOf(sessionA)[:100], "invalid"},
		"text":              {sessionA, websocket.MessageText, tokenOf(sessionA), "invalid"},
		"unknown session":   {sessionB + "x", websocket.MessageBinary, tokenOf(sessionB + "x"), "not_found"},
		"unreachable":       {sessionB, websocket.MessageBinary, tokenOf(sessionB), "unavailable"},
	} {
		if name == "unknown session" {
			d.world.sessions = d.world.sessions[:1]
			c.session, c.token = sessionB, tokenOf(sessionB)
		}
		player := d.socket(t, c.session)
		if err := player.Write(t.Context(), c.kind, c.token); err != nil {
			t.Fatal(err)
		}
		_, err := hear(t, player)
		code := websocket.CloseStatus(err)
		if code != websocket.StatusPolicyViolation && code != websocket.StatusTryAgainLater {
			t.Errorf("%s: got %v, want refused", name, err)
		}
		if name != "unreachable" && !strings.Contains(err.Error(), c.want+": ") {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	if n := h.calls.Load(); n != 0 {
		t.Errorf("the game server was called %d times", n)
	}
	r := d.call(http.MethodGet, "/v1/sessions/"+string(sessionA)+"/socket", "", "")
	if r.status != http.StatusUpgradeRequired {
		t.Errorf("without an upgrade: got %d, want 426", r.status)
	}
	r = d.call(http.MethodGet, "/v1/sessions/nothing/socket", "", "")
	if r.status != http.StatusBadRequest {
		t.Errorf("no session's name: got %d, want 400", r.status)
	}
}

func TestSocketWithoutToken(t *testing.T) {
	d, _ := socketDoor(t, nil)
	player := d.socket(t, sessionA)
	begun := time.Now()
	_, err := hear(t, player)
	if took := time.Since(begun); err == nil || took > socketTokenTime+time.Second {
		t.Errorf("got %v after %s, want the end after %s", err, took, socketTokenTime)
	}
}

func TestSocketLimits(t *testing.T) {
	d, h := socketDoor(t, func(c *Config) { c.Limits.Sockets = 2; c.Limits.Socket = Rate{PerSecond: 0.001, Burst: 3} })
	dial := func() int {
		conn, resp, err := websocket.Dial(t.Context(), d.http.URL+"/v1/sessions/"+string(sessionA)+"/socket", nil) //nolint:bodyclose // in memory
		if err == nil {
			t.Cleanup(func() { _ = conn.CloseNow() })
			say(t, conn, tokenOf(sessionA))
			<-h.token
			<-h.came
		}
		if resp == nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	for i, want := range []int{101, 101, http.StatusServiceUnavailable, http.StatusTooManyRequests} {
		if got := dial(); got != want {
			t.Errorf("connection %d: got %d, want %d", i, got, want)
		}
	}
}

// A player who sends more than anybody would reaches the game server at the
// bounded rate.
func TestSocketFlood(t *testing.T) {
	d, h := socketDoor(t, nil)
	player := d.socket(t, sessionA)
	say(t, player, tokenOf(sessionA))
	<-h.token
	server := <-h.came
	var got atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, _, err := server.Read(context.WithoutCancel(t.Context())); err != nil {
				return
			}
			got.Add(1)
		}
	}()
	begun := time.Now()
	for range 10 * socketRate {
		say(t, player, []byte("x"))
	}
	_ = player.Close(websocket.StatusNormalClosure, "")
	select {
	case <-ended: // all that was passed on was read
	case <-time.After(time.Minute):
		t.Error("the game server's connection outlives the player's by a minute")
	}
	most := (int64(time.Since(begun)/time.Second) + 2) * socketRate
	if n := got.Load(); n == 0 || n > most {
		t.Errorf("got %d messages, want at most %d", n, most)
	}
	_ = server.CloseNow()
}

func TestSocketEndsWithTheDoor(t *testing.T) {
	d, h := socketDoor(t, nil)
	player := d.socket(t, sessionA)
	say(t, player, tokenOf(sessionA))
	<-h.token
	server := <-h.came
	d.open.close()
	if _, err := hear(t, player); websocket.CloseStatus(err) != websocket.StatusTryAgainLater {
		t.Errorf("player: got %v, want try again later", err)
	}
	if _, err := hear(t, server); err == nil || websocket.CloseStatus(err) == websocket.StatusNormalClosure {
		t.Errorf("server: got %v, want a connection that is lost", err)
	}
}

func TestAssignmentSaysWhereBrowsersConnect(t *testing.T) {
	d, _ := socketDoor(t, nil)
	placed := seated("ada")
	d.world.place = func(context.Context, throng.Ticket, time.Duration) (throng.Placement, error) { return placed, nil }
	ask := func() string {
		r := d.call(http.MethodPost, "/v1/matchmake", d.token("ada", RolePlayer), `{"ticket":"t","place":"arena","party":["ada"]}`)
		return r.body
	}
	if got := ask(); strings.Contains(got, "webtransport") || strings.Contains(got, "websocket") {
		t.Errorf("a server without browsers: got %s", got)
	}
	placed.Assignment.Session.Web = throng.WebAddress{
		URL: "https://192.0.2.1:7001/play", Certificates: [][32]byte{{1}, {2}}, WebSocket: "ws://10.0.0.1:7002/play",
	}
	want := `"server":{"ip":"192.0.2.1","port":7000,"websocket":"/v1/sessions/` + string(sessionA) + `/socket","webtransport":{` +
		`"certificate_sha256":["AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="],` +
		`"url":"https://192.0.2.1:7001/play"}}`
	if got := ask(); !strings.Contains(got, want) {
		t.Errorf("got %s, want %s in it", got, want)
	}
}
