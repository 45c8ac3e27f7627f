package webtransport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/gameserver"
)

var loopback = netip.MustParseAddr("127.0.0.1")

func shown(t *testing.T, c *certificates) []byte {
	t.Helper()
	cert, err := c.get(nil)
	if err != nil {
		t.Fatal(err)
	}
	return cert.Certificate[0]
}

func TestCertificatesAreWhatBrowsersTake(t *testing.T) {
	now := time.Now()
	c, err := newCertificates(loopback, now)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(shown(t, c))
	if err != nil {
		t.Fatal(err)
	}
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		t.Errorf("key: got %T, want P-256", cert.PublicKey)
	}
	if life := cert.NotAfter.Sub(cert.NotBefore); life > 13*24*time.Hour {
		t.Errorf("good for %s, want 13 days at most", life)
	}
	if early := now.Sub(cert.NotBefore); early < time.Hour-time.Minute {
		t.Errorf("good from %s before now, want an hour", early)
	}
	if err := trust([][]byte{shown(t, c)}, c.hashes(), now); err != nil {
		t.Errorf("by its hash: got %v, want trusted", err)
	}
}

// Whatever the hour, who was told the hashes within the last day gets in.
func TestRotation(t *testing.T) {
	start := time.Now()
	c, err := newCertificates(loopback, start)
	if err != nil {
		t.Fatal(err)
	}
	type told struct {
		at     time.Time
		hashes [][32]byte
	}
	var history []told
	turns := 0
	seen := [][]byte{shown(t, c)}
	for now := start; now.Before(start.Add(20 * 24 * time.Hour)); now = now.Add(time.Hour) {
		turned, err := c.rotate(now)
		if err != nil {
			t.Fatal(err)
		}
		if turned {
			turns++
			if slices.ContainsFunc(seen, func(old []byte) bool { return string(old) == string(shown(t, c)) }) {
				t.Fatalf("a certificate is shown again after %s", now.Sub(start))
			}
			seen = append(seen, shown(t, c))
		}
		history = append(history, told{now, c.hashes()})
		for _, old := range history {
			if now.Sub(old.at) < rotateTime {
				if err := trust([][]byte{shown(t, c)}, old.hashes, now); err != nil {
					t.Fatalf("told %s ago, at %s: %v", now.Sub(old.at), now.Sub(start), err)
				}
			}
		}
	}
	if turns != 19 {
		t.Errorf("got %d rotations in 20 days, want 19", turns)
	}
}

// A machine that slept for a month has good certificates when it wakes, and so
// has one whose clock was put back.
func TestRotationAfterSleep(t *testing.T) {
	for name, jump := range map[string]time.Duration{
		"a day": 30 * time.Hour, "12 days": 12 * 24 * time.Hour, "a month": 30 * 24 * time.Hour, "back a month": -30 * 24 * time.Hour,
	} {
		now := time.Now()
		c, err := newCertificates(loopback, now)
		if err != nil {
			t.Fatal(err)
		}
		now = now.Add(jump)
		if turned, err := c.rotate(now); err != nil || !turned {
			t.Fatalf("%s: got %v, %v, want rotated", name, turned, err)
		}
		for _, at := range []time.Time{now, now.Add(rotateTime)} {
			if err := trust([][]byte{shown(t, c)}, c.hashes(), at); err != nil {
				t.Errorf("%s: got %v, want a good certificate", name, err)
			}
		}
		if turned, _ := c.rotate(now.Add(time.Minute)); turned {
			t.Errorf("%s: rotated again a minute later", name)
		}
	}
}

func TestTrust(t *testing.T) {
	now := time.Now()
	c, err := newCertificates(loopback, now)
	if err != nil {
		t.Fatal(err)
	}
	other, err := newCertificates(loopback, now)
	if err != nil {
		t.Fatal(err)
	}
	raw := [][]byte{shown(t, c)}
	for name, err := range map[string]error{
		"no certificate": trust(nil, c.hashes(), now),
		"no hash":        trust(raw, nil, now),
		"wrong hash":     trust(raw, other.hashes(), now),
		"garbage":        trust([][]byte{{1, 2, 3}}, c.hashes(), now),
		"too early":      trust(raw, c.hashes(), now.Add(-2*time.Hour)),
		"too late":       trust(raw, c.hashes(), now.Add(13*24*time.Hour)),
	} {
		if throng.KindOf(err) != throng.Denied || err == nil {
			t.Errorf("%s: got %v, want denied", name, err)
		}
	}
}

// Players who hold yesterday's hashes get in after a rotation, and those who are
// in stay.
func TestRotationWhileServing(t *testing.T) {
	r := listen(t, 4)
	before := r.WebAddress()
	first := dialer(byDatagrams).join(t, r, tokenFor(t, 1))
	id := r.next(t).Conn
	if turned, err := r.certificates.rotate(time.Now().Add(rotateTime + time.Second)); err != nil || !turned {
		t.Fatalf("got %v, %v, want rotated", turned, err)
	}
	after := r.WebAddress()
	if before.Certificates[1] != after.Certificates[0] || before.Certificates[0] == after.Certificates[0] {
		t.Errorf("hashes: got %x, then %x", before.Certificates, after.Certificates)
	}
	for i, hashes := range [][][32]byte{before.Certificates, after.Certificates} {
		c, err := Dial(t.Context(), before.URL, hashes, tokenFor(t, 10+i), func([]byte) {})
		if err != nil {
			t.Fatalf("dial %d: %v", i, err)
		}
		if e := r.next(t); e.Kind != gameserver.EventConnected {
			t.Errorf("dial %d: got %+v", i, e)
		}
		_ = c.Close()
		r.next(t)
	}
	_, err := Dial(t.Context(), before.URL, before.Certificates[:1], tokenFor(t, 20), func([]byte) {})
	if throng.KindOf(err) != throng.Unavailable || err == nil {
		t.Errorf("with the old hash alone: got %v, want unavailable", err)
	}
	r.Send(id, []byte("still here"))
	if got := <-first.got; got != "still here" {
		t.Errorf("who was in: got %q", got)
	}
}
