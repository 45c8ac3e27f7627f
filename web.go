package throng

import (
	"net/netip"
	"net/url"
	"slices"
)

// Bounds of a WebAddress.
const (
	MaxCertificates = 4
	maxWebURL       = 256 // bytes
)

// WebAddress is where browsers connect to a game server. Who holds one does not
// change what is in it.
type WebAddress struct {
	// URL is where WebTransport begins, like https://192.0.2.1:7001/play; empty:
	// nowhere.
	URL string
	// Certificates are the SHA-256 of the certificates that the server shows now
	// or within a day, at most MaxCertificates. Browsers compare them.
	Certificates [][32]byte
	// WebSocket is the game server's own port, like ws://192.0.2.1:7002/play,
	// to which the door relays; empty: it has none.
	WebSocket string
}

// IsZero says whether browsers cannot connect at all.
func (w WebAddress) IsZero() bool { return w.URL == "" && w.WebSocket == "" }

// Equal says whether both are the same.
func (w WebAddress) Equal(o WebAddress) bool {
	return w.URL == o.URL && w.WebSocket == o.WebSocket && slices.Equal(w.Certificates, o.Certificates)
}

// Check says what is wrong with an address that came from elsewhere. Invalid: a
// URL that is none, or certificates without a URL. The door connects to
// WebSocket, so it must be an IP address and a port, not a name.
func (w WebAddress) Check(field string) error {
	if err := checkWebURL(field+".url", "https", w.URL); err != nil {
		return err
	}
	if n := len(w.Certificates); n > MaxCertificates || n > 0 && w.URL == "" {
		return AtField(Invalid, field+".certificate_sha256", "are %d, a URL has at most %d", n, MaxCertificates)
	}
	if err := checkWebURL(field+".websocket", "ws", w.WebSocket); err != nil || w.WebSocket == "" {
		return err
	}
	u, err := url.Parse(w.WebSocket)
	if err != nil {
		return AtField(Invalid, field+".websocket", "is no URL")
	}
	if addr, err := netip.ParseAddrPort(u.Host); err != nil || addr.Port() == 0 || addr.Addr().IsUnspecified() {
		return AtField(Invalid, field+".websocket", "%q is not an IP address and a port", clip(u.Host))
	}
	return nil
}

// checkWebURL takes scheme://host:port/path and nothing else; empty is fine.
func checkWebURL(field, scheme, s string) error {
	if s == "" {
		return nil
	}
	if len(s) > maxWebURL {
		return AtField(Invalid, field, "has %d bytes, at most %d are allowed", len(s), maxWebURL)
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != scheme || u.Hostname() == "" || u.Port() == "" ||
		u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return AtField(Invalid, field, "%q is not like %s://192.0.2.1:7001/play", clip(s), scheme)
	}
	return nil
}
