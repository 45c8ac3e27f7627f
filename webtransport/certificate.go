package webtransport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

// Browsers take a certificate by its hash if it is P-256 and good for at most 14
// days in all.
const (
	certificateTime = 13 * 24 * time.Hour // in all
	backdate        = time.Hour           // for clocks that are behind
	rotateTime      = 24 * time.Hour      // that each is shown
)

// certificate is one with its name.
type certificate struct {
	tls   tls.Certificate
	hash  [32]byte
	until time.Time
}

// certificates are two: the one that is shown, and the one that is shown next.
// Players are told of both, so that who was told up to a day before a rotation
// still gets in.
type certificates struct {
	host netip.Addr

	mu      sync.Mutex // guards what follows
	shown   certificate
	next    certificate
	rotated time.Time // when shown began to be
}

// newCertificates makes the first two.
func newCertificates(host netip.Addr, now time.Time) (*certificates, error) {
	c := &certificates{host: host}
	shown, err := makeCertificate(host, now)
	if err != nil {
		return nil, err
	}
	c.next = shown
	return c, c.turn(now)
}

// turn shows what was next, and makes another.
func (c *certificates) turn(now time.Time) error {
	next, err := makeCertificate(c.host, now)
	if err != nil {
		return err
	}
	c.shown, c.next, c.rotated = c.next, next, now
	return nil
}

// rotate turns once a day, and says whether it did. A machine that slept for so
// long that the next one is about to end gets two new ones.
func (c *certificates) rotate(now time.Time) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.rotated) < rotateTime && now.After(c.rotated.Add(-backdate)) {
		return false, nil
	}
	old := c.next.until.Sub(now) < rotateTime+backdate || c.next.until.Sub(now) > certificateTime
	if err := c.turn(now); err != nil {
		return false, err
	}
	if old {
		return true, c.turn(now)
	}
	return true, nil
}

// get is for tls.Config.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	shown := c.shown.tls
	return &shown, nil
}

// hashes are what players are told.
func (c *certificates) hashes() [][32]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return [][32]byte{c.shown.hash, c.next.hash}
}

func makeCertificate(host netip.Addr, now time.Time) (certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certificate{}, throng.Errorf(throng.Internal, "make certificate key: %w", err)
	}
	var serial [8]byte
	rand.Read(serial[:])
	made := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial[:]),
		Subject:      pkix.Name{CommonName: "throng game server"},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(certificateTime - backdate),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses:  []net.IP{host.AsSlice()},
	}
	der, err := x509.CreateCertificate(rand.Reader, made, made, key.Public(), key)
	if err != nil {
		return certificate{}, throng.Errorf(throng.Internal, "make certificate: %w", err)
	}
	return certificate{
		tls:   tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		hash:  sha256.Sum256(der),
		until: made.NotAfter,
	}, nil
}
