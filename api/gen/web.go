package gen

import (
	"strings"

	"github.com/throng-gg/throng"
)

// WebAddressOf turns where browsers connect; nil when they cannot.
func WebAddressOf(w throng.WebAddress) *WebAddress {
	if w.IsZero() {
		return nil
	}
	return &WebAddress{URL: w.URL, CertificateSha256: hashesOf(w.Certificates), Websocket: w.WebSocket}
}

// WebTransportOf is the part of it that players are told; nil when there is
// none.
func WebTransportOf(w throng.WebAddress) *WebTransport {
	if w.URL == "" {
		return nil
	}
	return &WebTransport{URL: w.URL, CertificateSha256: hashesOf(w.Certificates)}
}

func hashesOf(certificates [][32]byte) [][]byte {
	out := make([][]byte, len(certificates))
	for i := range certificates {
		out[i] = certificates[i][:]
	}
	return out
}

// Root returns what a player was told, of a door whose WebSockets begin with
// door.
func (e Endpoint) Root(door string) (throng.WebAddress, error) {
	var out throng.WebAddress
	if e.Webtransport != nil {
		f := fields{prefix: "server."}
		out = f.web("webtransport", &WebAddress{URL: e.Webtransport.URL, CertificateSha256: e.Webtransport.CertificateSha256})
		if f.err != nil {
			return throng.WebAddress{}, f.err
		}
	}
	switch {
	case strings.HasPrefix(e.Websocket, "http"): // of another region's door
		out.WebSocket = "ws" + strings.TrimPrefix(e.Websocket, "http")
	case e.Websocket != "":
		out.WebSocket = door + e.Websocket
	}
	return out, nil
}

func (f *fields) web(name string, w *WebAddress) throng.WebAddress {
	if w == nil {
		return throng.WebAddress{}
	}
	f.atMost(name+".certificate_sha256", len(w.CertificateSha256), throng.MaxCertificates)
	if f.err != nil {
		return throng.WebAddress{}
	}
	out := throng.WebAddress{URL: w.URL, WebSocket: w.Websocket}
	for _, hash := range w.CertificateSha256 {
		if len(hash) != 32 {
			f.fail(throng.AtField(throng.Invalid, f.prefix+name+".certificate_sha256", "has %d bytes, a SHA-256 has 32", len(hash)))
			return throng.WebAddress{}
		}
		out.Certificates = append(out.Certificates, [32]byte(hash))
	}
	if err := out.Check(f.prefix + name); err != nil {
		f.fail(err)
		return throng.WebAddress{}
	}
	return out
}
