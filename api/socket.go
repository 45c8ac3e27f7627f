package api

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/throng-gg/throng"
)

const (
	socketToken   = 2048 // bytes of a join token
	socketMessage = 1200 // bytes a message, either way
	// socketBuffer is how much the kernel keeps for who reads too little, twice
	// this with its own accounts; more snapshots would only be old.
	socketBuffer = 16 << 10
	// socketRate is how many messages a second are taken from a player. The rest
	// is dropped.
	socketRate = 200

	socketTokenTime = 3 * time.Second  // for the join token to come, and for the game server to answer
	socketIdleTime  = 15 * time.Second // of silence from either side
	socketStuckTime = 5 * time.Second  // for one message to be passed on
	socketEndTime   = time.Second      // for the other side to hear of the end
)

// sessionSocket relays a player's messages to a session's game server. Nothing
// is looked up or connected to for who has no token of the session.
func (a *API) sessionSocket(w http.ResponseWriter, r *http.Request) {
	id, err := throng.ParseSessionID("id", r.PathValue("id"))
	if err == nil {
		err = isWebSocket(r)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	// The join token is the credential: no cookie goes along, and any page may
	// have one.
	player, err := websocket.Accept(narrow{w}, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return // it answered
	}
	ctx, left := a.open.enter(r.Context())
	defer left()
	defer player.CloseNow() //nolint:errcheck // closed properly already, or past caring
	server, err := a.bridge(ctx, player, id)
	if err != nil {
		a.metrics.refused.WithLabelValues("socket").Inc()
		hangUp(player, refusalOf(err))
		return
	}
	defer server.CloseNow() //nolint:errcheck // likewise
	relay{player: player, server: server}.run(ctx)
}

// bridge takes the join token and connects to the session's game server.
func (a *API) bridge(ctx context.Context, player *websocket.Conn, id throng.SessionID) (*websocket.Conn, error) {
	waiting, cancel := context.WithTimeout(ctx, socketTokenTime)
	defer cancel()
	player.SetReadLimit(socketToken)
	kind, token, err := player.Read(waiting)
	switch {
	case err != nil:
		return nil, throng.Errorf(throng.Denied, "no join token came in time")
	case kind != websocket.MessageBinary || len(token) != socketToken:
		return nil, throng.Errorf(throng.Invalid, "this is no join token")
	}
	if err := a.cfg.JoinTokens.CheckJoinToken(id, token); err != nil {
		return nil, err
	}
	player.SetReadLimit(socketMessage)
	calling, cancel := context.WithTimeout(ctx, socketTokenTime)
	defer cancel()
	s, err := a.cfg.Directory.Session(calling, id)
	switch {
	case err != nil:
		return nil, err
	case s.State == throng.SessionEnded:
		return nil, throng.Errorf(throng.NotFound, "the session has ended")
	case s.Web.WebSocket == "":
		return nil, throng.Errorf(throng.Unsupported, "the session takes no browsers")
	}
	server, resp, err := websocket.Dial(calling, s.Web.WebSocket, &websocket.DialOptions{HTTPClient: a.sockets.client}) //nolint:bodyclose // it is in memory or hijacked
	if err != nil {
		status := "no answer"
		if resp != nil {
			status = resp.Status
		}
		a.log.InfoContext(ctx, "game server not reached", "session", id, "server", s.Server, "reason", status, "err", err)
		return nil, throng.Errorf(throng.Unavailable, "the game server is not reached")
	}
	server.SetReadLimit(socketMessage)
	if err := server.Write(calling, websocket.MessageBinary, token); err != nil {
		_ = server.CloseNow()
		return nil, throng.Errorf(throng.Unavailable, "the game server is not reached")
	}
	return server, nil
}

// sockets bounds the relays.
type sockets struct {
	*gate
	client *http.Client // to game servers; it follows nobody elsewhere
}

func newSockets(most int) *sockets {
	var d net.Dialer
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := d.DialContext(ctx, network, address)
		if err == nil {
			keepLittle(conn)
		}
		return conn, err
	}
	return &sockets{gate: newGate(most), client: &http.Client{
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// narrow is a ResponseWriter whose connection keeps little for a slow reader.
type narrow struct{ http.ResponseWriter }

// Hijack is net/http's.
func (n narrow) Hijack() (conn net.Conn, rw *bufio.ReadWriter, err error) {
	conn, rw, err = http.NewResponseController(n.ResponseWriter).Hijack()
	if err == nil {
		keepLittle(conn)
	}
	return conn, rw, err
}

func keepLittle(conn net.Conn) {
	inner := conn
	if over, ok := inner.(interface{ NetConn() net.Conn }); ok { // TLS
		inner = over.NetConn()
	}
	if tcp, ok := inner.(*net.TCPConn); ok {
		_ = errors.Join(tcp.SetReadBuffer(socketBuffer), tcp.SetWriteBuffer(socketBuffer)) // else they are the kernel's defaults
	}
}

// relay passes messages on between a player and a game server.
type relay struct {
	player, server *websocket.Conn
}

// lane is one direction. Its times are Unix nanoseconds.
type lane struct {
	heard   atomic.Int64
	passing atomic.Int64 // since when a message is passed on; zero: none is
}

// run blocks until either side ends, falls silent or takes nothing, or ctx ends;
// then it has told the other.
func (r relay) run(ctx context.Context) {
	var up, down lane
	now := time.Now().UnixNano()
	up.heard.Store(now)
	down.heard.Store(now)
	ended := make(chan ending, 2)
	var group sync.WaitGroup
	// What passes ends with its connection; a context would cost a registration
	// a message.
	passing := context.WithoutCancel(ctx)
	group.Go(func() { ended <- ending{r.server, up.pass(passing, r.player, r.server, socketRate)} })
	group.Go(func() { ended <- ending{r.player, down.pass(passing, r.server, r.player, 0)} })
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for over := false; !over; {
		select {
		case e := <-ended:
			hangUp(e.other, e.why)
			over = true
		case <-ctx.Done():
			hangUp(r.player, websocket.CloseError{Code: websocket.StatusTryAgainLater, Reason: "unavailable: the door closes"})
			over = true
		case now := <-tick.C:
			over = up.dead(now) || down.dead(now)
		}
	}
	_ = r.player.CloseNow()
	_ = r.server.CloseNow()
	group.Wait()
}

// ending is the end of one direction, and who is to be told.
type ending struct {
	other *websocket.Conn
	why   error
}

func (l *lane) dead(now time.Time) bool {
	passing := l.passing.Load()
	return l.heard.Load() < now.Add(-socketIdleTime).UnixNano() ||
		passing != 0 && passing < now.Add(-socketStuckTime).UnixNano()
}

// pass passes messages on, at most so many a second, zero: all.
func (l *lane) pass(ctx context.Context, from, to *websocket.Conn, rate int) error {
	buffer := make([]byte, socketMessage+2) // a message over the limit meets it
	var since time.Time
	taken := 0
	for {
		kind, reader, err := from.Reader(ctx)
		if err != nil {
			return err
		}
		n, err := io.ReadFull(reader, buffer)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		now := time.Now()
		if now.Sub(since) >= time.Second {
			since, taken = now, 0
		}
		if taken++; kind != websocket.MessageBinary || rate > 0 && taken > rate {
			continue
		}
		l.heard.Store(now.UnixNano())
		l.passing.Store(now.UnixNano())
		err = to.Write(ctx, websocket.MessageBinary, buffer[:n])
		l.passing.Store(0)
		if err != nil {
			return err
		}
	}
}

// refusalOf says an error in a WebSocket's last words.
func refusalOf(err error) websocket.CloseError {
	p := problemOf(err)
	code := websocket.StatusPolicyViolation
	if p.Status >= http.StatusInternalServerError {
		code = websocket.StatusTryAgainLater
	}
	reason := p.Code + ": " + p.Detail
	// Protocol: a reason has up to 123 bytes.
	return websocket.CloseError{Code: code, Reason: strings.ToValidUTF8(reason[:min(len(reason), 123)], "")}
}

// hangUp ends a connection as the other one ended: in the same words, or, when
// that was just gone, without a word, so that nobody takes it for a goodbye.
func hangUp(conn *websocket.Conn, why error) {
	said, ok := errors.AsType[websocket.CloseError](why)
	if !ok || said.Code == websocket.StatusGoingAway || said.Code == websocket.StatusNoStatusRcvd {
		_ = conn.CloseNow()
		return
	}
	late := time.AfterFunc(socketEndTime, func() { _ = conn.CloseNow() })
	defer late.Stop()
	_ = conn.Close(said.Code, said.Reason)
}
