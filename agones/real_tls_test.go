package agones_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/throng-gg/throng/agones"
	standin "github.com/throng-gg/throng/test/agones"
)

// allocatorConfig trusts the service's CA and shows a client's certificate.
func allocatorConfig(t *testing.T, a standin.Address) *agones.AllocatorConfig {
	t.Helper()
	pair, err := tls.X509KeyPair(a.Cert, a.Key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(a.CA) {
		t.Fatal("the allocator's CA has no certificate")
	}
	return &agones.AllocatorConfig{URL: a.URL, TLS: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}}
}
