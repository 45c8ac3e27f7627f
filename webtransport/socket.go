package webtransport

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/throng-gg/throng/wire/netcode"
)

// socketBuffer is how much the kernel keeps for a slow client, twice this with
// its own accounts: a second of snapshots. More would only be old.
const socketBuffer = 16 << 10

// errText ends a link that brought a message that is not binary.
var errText = errors.New("not a binary message")

// buildSocket makes the HTTP server for WebSockets; it starts when it serves.
func (t *Transport) buildSocket() {
	t.http = &http.Server{
		Handler:           http.HandlerFunc(t.serveSocket),
		ReadHeaderTimeout: handshakeTime,
		IdleTimeout:       handshakeTime,
		MaxHeaderBytes:    headerSize,
		ErrorLog:          slog.NewLogLogger(t.log.Handler(), slog.LevelDebug),
	}
	t.http.SetKeepAlivesEnabled(false) // one request each
}

// serveSockets takes connections until the listener is closed.
func (t *Transport) serveSockets() error {
	err := t.http.Serve(&guarded{Listener: t.tcp, t: t})
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// guarded lets connections in as far as the gate does.
type guarded struct {
	net.Listener
	t *Transport
}

// Accept closes who may not begin a handshake and waits for the next.
func (g *guarded) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
		if why := g.t.gate.enter(from.Addr(), time.Now()); why != refusedNone {
			g.t.metrics.refuse(why)
			_ = conn.Close() // there is no way to say why at this cost
			continue
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetWriteBuffer(socketBuffer) // else it is the kernel's default
		}
		return &pending{Conn: conn, settled: sync.OnceFunc(g.t.gate.leave)}, nil
	}
}

// pending is a connection that holds a place among the pending until it is a
// client or over.
type pending struct {
	net.Conn
	settled func()
}

// Close gives the place back.
func (p *pending) Close() error {
	p.settled()
	return p.Conn.Close()
}

// caught keeps the connection that a handshake takes over.
type caught struct {
	http.ResponseWriter
	conn *pending
}

// Hijack is net/http's.
func (c *caught) Hijack() (conn net.Conn, rw *bufio.ReadWriter, err error) {
	conn, rw, err = http.NewResponseController(c.ResponseWriter).Hijack()
	if p, ok := conn.(*pending); ok {
		c.conn = p
	}
	return conn, rw, err
}

// serveSocket takes a connection's one request.
func (t *Transport) serveSocket(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != playPath {
		t.metrics.refuse(refusedRequest)
		w.Header().Set("Connection", "close")
		http.Error(w, refusedRequest.text(), http.StatusNotFound)
		return
	}
	if !t.begin() {
		http.Error(w, refusedUnlistening.text(), http.StatusServiceUnavailable)
		return
	}
	defer t.handlers.Done()
	c := &caught{ResponseWriter: w}
	// The token is the credential: no cookie goes along, and any page may have
	// one.
	conn, err := websocket.Accept(c, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		t.metrics.refuse(refusedRequest)
		return // it answered
	}
	l := &socket{conn: conn, buffer: make([]byte, MaxPayload+2)}
	defer l.cut()
	t.sockets.Store(l, struct{}{})
	defer t.sockets.Delete(l)
	if t.over() {
		return // whoever cuts all did not see this one
	}
	opened, why := t.token(r.Context(), conn)
	if why == refusedNone {
		if c.conn != nil {
			c.conn.settled()
		}
		conn.SetReadLimit(MaxPayload)
		from, _ := netip.ParseAddrPort(r.RemoteAddr)
		if why = t.play(context.WithoutCancel(r.Context()), newPeer(l, waySocket), opened, netip.AddrPortFrom(from.Addr().Unmap(), from.Port())); why != refusedNone {
			t.release(opened)
		}
	}
	if why != refusedNone {
		t.metrics.refuse(why)
		l.refuse(why)
	}
}

// begin says whether a handler may start; who may calls handlers.Done.
func (t *Transport) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return false
	}
	t.handlers.Add(1)
	return true
}

func (t *Transport) over() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended
}

// token waits for the first message and admits it.
func (t *Transport) token(parent context.Context, conn *websocket.Conn) (netcode.OpenedToken, refusal) {
	ctx, cancel := context.WithTimeout(parent, handshakeTime)
	defer cancel()
	conn.SetReadLimit(netcode.TokenSize)
	kind, token, err := conn.Read(ctx)
	switch {
	case err != nil:
		return netcode.OpenedToken{}, refusedTime
	case kind != websocket.MessageBinary:
		return netcode.OpenedToken{}, refusedToken
	}
	return t.admit(token)
}

// socket is a client that came by WebSocket.
type socket struct {
	conn   *websocket.Conn
	buffer []byte // the reader's; so long that a message over the limit meets it
}

// read takes one binary message. It and write are given a context that never
// ends, since another would cost a registration each time; cut ends them.
func (s *socket) read(ctx context.Context) ([]byte, error) {
	kind, r, err := s.conn.Reader(ctx)
	if err != nil {
		return nil, err
	}
	if kind != websocket.MessageBinary {
		_ = s.conn.Close(websocket.StatusUnsupportedData, "messages are binary")
		return nil, errText
	}
	n, err := io.ReadFull(r, s.buffer)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil
	}
	return s.buffer[:n], err
}

func (s *socket) write(ctx context.Context, payload []byte) error {
	return s.conn.Write(ctx, websocket.MessageBinary, payload)
}

func (s *socket) end() {
	_ = s.conn.Close(websocket.StatusNormalClosure, "the server ended the connection")
}

// part has nothing to wait for: end did.
func (s *socket) part() {}

func (s *socket) refuse(why refusal) {
	code := websocket.StatusPolicyViolation
	if why.status() == http.StatusServiceUnavailable {
		code = websocket.StatusTryAgainLater
	}
	late := time.AfterFunc(farewellTime, s.cut)
	defer late.Stop()
	_ = s.conn.Close(code, why.kind().String()+": "+why.text())
}

func (s *socket) cut() { _ = s.conn.CloseNow() }
