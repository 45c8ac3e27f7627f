package dns

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/dchest/siphash"
)

// Sizes of cookies in bytes (RFC 9018).
const (
	clientCookie = 8
	serverCookie = 16
)

// For how long a cookie is good, after and before the time in it.
const (
	cookieAge   = time.Hour
	cookieAhead = 5 * time.Minute
)

// cookies makes and checks server cookies: whoever brings one has received an
// answer at his address. They are those of RFC 9018:
//
//	offset  bytes
//	     0      1  1, the version
//	     1      3  0
//	     4      4  seconds since 1970, big-endian
//	     8      8  SipHash-2-4 of client cookie, the above, address
type cookies struct{ k0, k1 uint64 }

func newCookies() cookies {
	var key [16]byte
	rand.Read(key[:])
	return cookies{binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:])}
}

// bake makes a server cookie; client has 8 bytes.
func (c cookies) bake(client []byte, to netip.Addr, now time.Time) []byte {
	b := make([]byte, serverCookie)
	b[0] = 1
	binary.BigEndian.PutUint32(b[4:], uint32(now.Unix())) //nolint:gosec // serial arithmetic, as the standard wants
	copy(b[8:], c.sign(client, b[:8], to))
	return b
}

// good says whether a server cookie was made here for that client, lately.
func (c cookies) good(client, server []byte, from netip.Addr, now time.Time) bool {
	if len(server) != serverCookie || server[0] != 1 {
		return false
	}
	age := time.Duration(int32(uint32(now.Unix())-binary.BigEndian.Uint32(server[4:]))) * time.Second //nolint:gosec // the same
	return age <= cookieAge && age >= -cookieAhead && subtle.ConstantTimeCompare(c.sign(client, server[:8], from), server[8:]) == 1
}

func (c cookies) sign(client, head []byte, addr netip.Addr) []byte {
	b := make([]byte, 0, clientCookie+8+16)
	b = append(append(b, client...), head...)
	b = append(b, addr.AsSlice()...)
	return binary.LittleEndian.AppendUint64(nil, siphash.Hash(c.k0, c.k1, b))
}
