package webtransport

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"
)

const (
	playPath = "/play"
	// reasonHeader says "code: words" of a refusal; browsers keep it from pages.
	reasonHeader = "Throng-Reason"
	// handshakeTime is for a client to show its token, from its first packet.
	handshakeTime = 3 * time.Second
	// headerSize is over what a token takes in a URL, 2,731 bytes.
	headerSize = 8 << 10
	// lingerTime lets the last datagrams arrive before the end of their session,
	// which overtakes them in a browser.
	lingerTime = 100 * time.Millisecond
	// partTime is for the client to close what was ended.
	partTime = 250 * time.Millisecond
)

// visit is one QUIC connection.
type visit struct {
	conn    *quic.Conn // set before any request is served
	settled func()     // it is a client now, or over: gives its place among the pending back
	asked   atomic.Bool
}

type visitKey struct{}

func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

// quicConfig bounds what a client can make the server keep: nobody reads the
// streams that it opens, so they are few and small.
func quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:             handshakeTime,
		MaxIdleTimeout:                   silence,
		InitialStreamReceiveWindow:       16 << 10,
		MaxStreamReceiveWindow:           16 << 10,
		InitialConnectionReceiveWindow:   64 << 10,
		MaxConnectionReceiveWindow:       64 << 10,
		MaxIncomingStreams:               4,
		MaxIncomingUniStreams:            8, // three are HTTP/3's own
		DisablePathMTUDiscovery:          true,
		EnableDatagrams:                  true,
		EnableStreamResetPartialDelivery: true,
	}
}

// buildQUIC makes the server for WebTransport; it starts when it listens.
func (t *Transport) buildQUIC() {
	t.quic = &quic.Transport{
		Conn: t.udp,
		// Each address is proven before a handshake begins, by a Retry, which costs a round
		// trip: else three times the first packet would go to whom it names as its sender.
		VerifySourceAddress: func(net.Addr) bool { return true },
		ConnContext:         t.welcome,
	}
	t.web = &webtransport.Server{
		H3: &http3.Server{
			Handler:        http.HandlerFunc(t.serveRequest),
			MaxHeaderBytes: headerSize,
		},
		// Safari wants to be told that there may be streams.
		Config:            &webtransport.Config{MaxIncomingStreams: 1, MaxIncomingUniStreams: 1, MaxIncomingData: 1 << 10},
		ReorderingTimeout: handshakeTime,
		// The token is the credential: no cookie goes along, and any page may
		// have one.
		CheckOrigin: func(*http.Request) bool { return true },
	}
}

// welcome is asked before a connection costs anything but its first packet.
func (t *Transport) welcome(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	from := addrPort(info.RemoteAddr)
	if why := t.gate.enter(from.Addr(), time.Now()); why != refusedNone {
		t.metrics.refuse(why)
		return nil, errors.New(why.text())
	}
	v := &visit{settled: sync.OnceFunc(t.gate.leave)}
	context.AfterFunc(ctx, v.settled)
	return context.WithValue(ctx, visitKey{}, v), nil
}

// serveQUIC takes connections until the listener is closed, and waits for those
// that it took.
func (t *Transport) serveQUIC(ctx context.Context) error {
	tlsConfig := http3.ConfigureTLSConfig(&tls.Config{
		MinVersion:             tls.VersionTLS13,
		GetCertificate:         t.certificates.get,
		SessionTicketsDisabled: true, // each connection is a player's only one
	})
	listener, err := t.quic.ListenEarly(tlsConfig, quicConfig())
	switch {
	case err != nil && t.over():
		return nil
	case err != nil:
		return err
	}
	t.mu.Lock()
	t.listener = listener
	ended := t.ended
	t.mu.Unlock()
	if ended {
		return listener.Close()
	}
	var visits sync.WaitGroup
	defer visits.Wait()
	for {
		conn, err := listener.Accept(ctx)
		if errors.Is(err, quic.ErrServerClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		visits.Go(func() { t.visit(conn) }) //nolint:contextcheck // it ends with its connection
	}
}

// visit serves one connection until it is over.
func (t *Transport) visit(conn *quic.Conn) {
	v := visitOf(conn.Context())
	v.conn = conn
	late := time.AfterFunc(handshakeTime, func() {
		if !v.asked.Load() {
			t.metrics.refuse(refusedTime)
			_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), refusedTime.text())
		}
	})
	defer late.Stop()
	// Its error is that the connection is over, or never began to be one.
	_ = t.web.ServeQUICConn(conn)
	_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
}

// serveRequest takes a connection's one request.
func (t *Transport) serveRequest(w http.ResponseWriter, r *http.Request) {
	v := visitOf(r.Context())
	why := refusedNone
	if r.Method != http.MethodConnect || r.URL.Path != playPath || v.asked.Swap(true) {
		why = refusedRequest
	} else {
		why = t.serveSession(w, r, v) //nolint:contextcheck // it ends with its session
	}
	if why == refusedNone {
		return
	}
	t.metrics.refuse(why)
	w.Header().Set(reasonHeader, why.kind().String()+": "+why.text())
	w.WriteHeader(why.status())
	// Whoever is refused gets the answer and goes; who stays is sent away.
	time.AfterFunc(partTime, func() {
		_ = v.conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), why.text())
	})
}

func (t *Transport) serveSession(w http.ResponseWriter, r *http.Request, v *visit) refusal {
	token, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(r.URL.Query().Get("token"), "="))
	if err != nil {
		return refusedToken
	}
	opened, why := t.admit(token)
	if why != refusedNone {
		return why
	}
	session, err := t.web.Upgrade(w, r)
	if err != nil {
		t.release(opened)
		return refusedRequest
	}
	v.settled()
	l := &datagrams{session: session, conn: v.conn}
	if why := t.play(session.Context(), newPeer(l, wayDatagrams), opened, addrPort(v.conn.RemoteAddr())); why != refusedNone {
		t.release(opened)
		t.metrics.refuse(why)
		_ = session.CloseWithError(webtransport.SessionErrorCode(closeRefused), why.kind().String()+": "+why.text())
		l.part()
	}
	return refusedNone
}

// Codes of a session's end.
const (
	closeEnded   = 0
	closeRefused = 1
)

// datagrams is a client that came by WebTransport.
type datagrams struct {
	session *webtransport.Session
	conn    *quic.Conn
	bye     bool // the client said it; the reader's
}

func (d *datagrams) read(ctx context.Context) ([]byte, error) {
	payload, err := d.session.ReceiveDatagram(ctx)
	if err != nil {
		err = ended(d.session, err)
		d.bye = goodbye(err)
	}
	return payload, err
}

// ended says why a session ended, of which reading found out.
func ended(session *webtransport.Session, found error) error {
	soon := time.NewTimer(lingerTime)
	defer soon.Stop()
	select {
	case <-session.Context().Done():
		// The session knows best, and tells who wants a stream.
		if _, err := session.OpenUniStream(); err != nil {
			return err
		}
	case <-soon.C:
	}
	return found
}

func (d *datagrams) write(_ context.Context, payload []byte) error {
	return d.session.SendDatagram(payload)
}

func (d *datagrams) end() {
	linger := time.NewTimer(lingerTime)
	defer linger.Stop()
	select {
	case <-d.session.Context().Done():
	case <-linger.C:
	}
	_ = d.session.CloseWithError(closeEnded, "the server ended the connection")
}

func (d *datagrams) cut() {
	_ = d.conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
}

// part closes the connection when the client did, or soon. One that said
// goodbye waits for it.
func (d *datagrams) part() {
	if d.bye {
		d.cut()
		return
	}
	wait := time.NewTimer(partTime)
	defer wait.Stop()
	select {
	case <-d.conn.Context().Done():
	case <-wait.C:
	}
	d.cut()
}

// addrPort is a network's address as ours.
func addrPort(a net.Addr) netip.AddrPort {
	if udp, ok := a.(*net.UDPAddr); ok {
		p := udp.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}
