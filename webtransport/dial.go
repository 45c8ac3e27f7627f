package webtransport

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net"
	"net/http"
	neturl "net/url"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/throng-gg/throng"
)

// browserTime is the longest that a certificate may be good to be taken by its
// hash.
const browserTime = 14 * 24 * time.Hour

// Dial connects by WebTransport, as a browser does: url is a WebAddress's URL,
// and the server must show a certificate that one of the hashes names. The
// token is used once its bearer has sent something. When Dial returns the server
// took it; then Run must be called. receive gets each payload; it may Send and
// Close.
//
// Invalid: the URL or the token. Denied: the token expired, was used, or is for
// another session. Full: the server is. Unavailable: it does not answer, or shows
// another certificate; the token is as good as before. If ctx ends first its
// error is returned.
func Dial(ctx context.Context, url string, hashes [][32]byte, token []byte, receive func([]byte)) (*Conn, error) {
	if receive == nil {
		return nil, throng.AtField(throng.Invalid, "receive", "is not set")
	}
	at, err := neturl.Parse(url)
	if err != nil || at.Scheme != "https" || at.Port() == "" {
		return nil, throng.AtField(throng.Invalid, "url", "is not like https://192.0.2.1:7001/play")
	}
	conn, err := quic.DialAddrEarly(ctx, at.Host, trusting(hashes), &quic.Config{
		HandshakeIdleTimeout: silence, MaxIdleTimeout: silence, DisablePathMTUDiscovery: true,
		EnableDatagrams: true, EnableStreamResetPartialDelivery: true,
	})
	if err != nil {
		return nil, unreached(ctx, url, err)
	}
	at.RawQuery = "token=" + base64.RawURLEncoding.EncodeToString(token)
	session, err := request(ctx, conn, at.String())
	if err == nil {
		return newConn(&visitor{session: session, conn: conn}, receive), nil
	}
	shown := conn.Context().Err() == nil // after the handshake: the token was sent
	_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case throng.KindOf(err) != throng.Internal:
		return nil, err
	case shown:
		return nil, throng.Errorf(throng.Unavailable, "connect to %s: no answer to the token: %w", url, err)
	}
	return nil, unreached(ctx, url, err)
}

// trusting compares certificates with the hashes instead of who signed them, as
// browsers do.
func trusting(hashes [][32]byte) *tls.Config {
	return &tls.Config{
		MinVersion:            tls.VersionTLS13,
		NextProtos:            []string{http3.NextProtoH3},
		InsecureSkipVerify:    true,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error { return trust(raw, hashes, time.Now()) },
	}
}

func unreached(ctx context.Context, url string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return throng.Errorf(throng.Unavailable, "connect to %s: %w", url, err)
}

// request opens the session. An error of a kind is the server's answer.
func request(ctx context.Context, conn *quic.Conn, url string) (*webtransport.Session, error) {
	var t webtransport.Transport
	client, err := t.NewClientConn(conn)
	if err != nil {
		return nil, err
	}
	response, session, err := client.Dial(ctx, url, nil) //nolint:bodyclose // it is the session
	if err != nil && response != nil && response.Header.Get(reasonHeader) != "" {
		return nil, refusedError(response.Header.Get(reasonHeader))
	}
	return session, err
}

// trust is a browser's rule for a certificate that it is given the hash of.
func trust(raw [][]byte, hashes [][32]byte, now time.Time) error {
	if len(raw) == 0 {
		return throng.Errorf(throng.Denied, "the server shows no certificate")
	}
	c, err := x509.ParseCertificate(raw[0])
	if err != nil {
		return throng.Errorf(throng.Denied, "read the server's certificate: %w", err)
	}
	key, p256 := c.PublicKey.(*ecdsa.PublicKey)
	switch {
	case !slices.Contains(hashes, sha256.Sum256(raw[0])):
		return throng.Errorf(throng.Denied, "the server's certificate is none of %d that are known", len(hashes))
	case !p256 || key.Curve != elliptic.P256():
		return throng.Errorf(throng.Denied, "the server's certificate is not P-256")
	case now.Before(c.NotBefore) || now.After(c.NotAfter) || c.NotAfter.Sub(c.NotBefore) > browserTime:
		return throng.Errorf(throng.Denied, "the server's certificate is good from %s to %s", c.NotBefore, c.NotAfter)
	}
	return nil
}

// visitor is a client's side of a WebTransport session.
type visitor struct {
	session *webtransport.Session
	conn    *quic.Conn
}

func (v *visitor) read(context.Context) ([]byte, error) {
	payload, err := v.session.ReceiveDatagram(v.session.Context()) //nolint:contextcheck // it ends with its session
	if err != nil {
		err = ended(v.session, err)
	}
	return payload, err
}

func (v *visitor) write(_ context.Context, payload []byte) error {
	return v.session.SendDatagram(payload)
}

func (v *visitor) end() { _ = v.session.CloseWithError(closeEnded, "") }

// part waits for the server to close the connection.
func (v *visitor) part() {
	wait := time.NewTimer(partTime)
	defer wait.Stop()
	select {
	case <-v.conn.Context().Done():
	case <-wait.C:
	}
}

func (v *visitor) cut() {
	_ = v.conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
}

// DialSocket connects by WebSocket, to a game server (ws://host:port/play) or
// through a door (…/v1/sessions/{id}/socket; http and https are taken for ws and
// wss). It returns when the token was sent: that the server did not take it shows
// in Run's error. Otherwise it is as Dial.
func DialSocket(ctx context.Context, url string, token []byte, receive func([]byte)) (*Conn, error) {
	if receive == nil {
		return nil, throng.AtField(throng.Invalid, "receive", "is not set")
	}
	dialing, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	conn, response, err := websocket.Dial(dialing, url, &websocket.DialOptions{ //nolint:bodyclose // it is in memory or hijacked
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dialSmall}},
	})
	if err == nil {
		conn.SetReadLimit(MaxPayload)
		err = conn.Write(dialing, websocket.MessageBinary, token)
		if err != nil {
			_ = conn.CloseNow()
		}
	}
	switch {
	case ctx.Err() != nil:
		if conn != nil {
			_ = conn.CloseNow()
		}
		return nil, ctx.Err()
	case err != nil && response != nil && response.StatusCode == http.StatusNotFound:
		return nil, throng.Errorf(throng.NotFound, "connect to %s: %w", url, err)
	case err != nil:
		return nil, throng.Errorf(throng.Unavailable, "connect to %s: %w", url, err)
	}
	return newConn(&socket{conn: conn, buffer: make([]byte, MaxPayload+2)}, receive), nil
}

// dialSmall keeps the kernel from storing old snapshots.
func dialSmall(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(socketBuffer) // else it is the kernel's default
	}
	return conn, err
}

// refusedError makes the server's refusal again ("denied: words").
func refusedError(reason string) error {
	code, words, _ := strings.Cut(reason, ": ")
	return throng.Errorf(throng.ParseKind(code), "the server refused: %s", words)
}
