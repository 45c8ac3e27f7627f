package netcode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/throng-gg/throng"
)

// TokenConfig is everything that is in a connect token. The same TokenConfig
// gives the same bytes.
type TokenConfig struct {
	// Key seals the private part; servers that take the token know it.
	Key [KeySize]byte
	// ProtocolID: zero means Throng's.
	ProtocolID uint64
	// Create and Expire are Unix seconds. A server takes the token while its
	// clock is before Expire; a client tries for Expire - Create.
	Create, Expire uint64
	// Nonce must never be used twice with one Key, except for the same token.
	Nonce [NonceSize]byte
	// ClientID is refused while it is connected. Two joins of one player want
	// two of them, or the second waits until the first has timed out.
	ClientID uint64
	// TimeoutSeconds of silence end the connection. Zero means
	// DefaultTimeoutSeconds, negative means never.
	TimeoutSeconds int32
	// Servers are tried in turn by the client; 1 to MaxServers.
	Servers []netip.AddrPort
	// ClientToServer and ServerToClient seal the packets; fresh for every token.
	ClientToServer, ServerToClient [KeySize]byte
	// UserData is handed to the server's application, unseen by the client.
	UserData [UserDataSize]byte

	// Gateways are what the client connects to in place of Servers, which only
	// the server itself reads then; 0 to MaxServers. Route, of MakeRoute, tells
	// them where to, and is marked with MarkKey; see route.go.
	Gateways []netip.AddrPort
	Route    []byte
	MarkKey  [KeySize]byte
}

// MakeToken returns a connect token of TokenSize bytes. It is a secret: who has
// it can connect. Invalid: the addresses or times make no sense.
func MakeToken(c TokenConfig) ([]byte, error) {
	if err := checkAddresses("servers", c.Servers); err != nil {
		return nil, err
	}
	shown := c.Servers
	if len(c.Gateways) > 0 {
		if err := checkAddresses("gateways", c.Gateways); err != nil {
			return nil, err
		}
		shown = c.Gateways
	}
	if c.Create > c.Expire {
		return nil, throng.AtField(throng.Invalid, "expire", "is %d s before the token is made", c.Create-c.Expire)
	}
	protocol, timeout := c.ProtocolID, c.TimeoutSeconds
	if protocol == 0 {
		protocol = ProtocolID
	}
	if timeout == 0 {
		timeout = DefaultTimeoutSeconds
	}
	private := privateToken{
		clientID: c.ClientID, timeout: timeout, servers: c.Servers,
		clientToServer: c.ClientToServer, serverToClient: c.ServerToClient, userData: c.UserData,
	}
	sealed, err := private.seal(c, protocol)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, TokenSize)
	out = append(out, version...)
	out = binary.LittleEndian.AppendUint64(out, protocol)
	out = binary.LittleEndian.AppendUint64(out, c.Create)
	out = binary.LittleEndian.AppendUint64(out, c.Expire)
	out = append(out, c.Nonce[:]...)
	out = append(out, sealed...)
	out = binary.LittleEndian.AppendUint32(out, uint32(timeout))
	out = appendAddresses(out, shown)
	out = append(out, c.ClientToServer[:]...)
	out = append(out, c.ServerToClient[:]...)
	return out[:TokenSize], nil
}

func checkAddresses(field string, all []netip.AddrPort) error {
	if len(all) < 1 || len(all) > MaxServers {
		return throng.AtField(throng.Invalid, field, "%d addresses, 1 to %d are allowed", len(all), MaxServers)
	}
	for _, s := range all {
		if !s.IsValid() || s.Addr().IsUnspecified() || s.Addr().Zone() != "" || s.Port() == 0 {
			return throng.AtField(throng.Invalid, field, "%s is no address that a client can reach", s)
		}
	}
	return nil
}

// Token is what a client can read of its connect token.
type Token struct {
	ProtocolID     uint64
	Create, Expire uint64 // Unix seconds
	TimeoutSeconds int32  // zero or negative: never
	Servers        []netip.AddrPort

	nonce                          [NonceSize]byte
	private                        [privateSize]byte
	clientToServer, serverToClient [KeySize]byte
}

// ParseToken reads a connect token as a client does. Invalid: it is none.
func ParseToken(b []byte) (*Token, error) {
	if len(b) != TokenSize {
		return nil, throng.Errorf(throng.Invalid, "a connect token has %d bytes, this one %d", TokenSize, len(b))
	}
	if !bytes.HasPrefix(b, []byte(version)) {
		return nil, throng.Errorf(throng.Invalid, "the connect token is not of netcode 1.02")
	}
	t := &Token{
		ProtocolID: binary.LittleEndian.Uint64(b[13:]),
		Create:     binary.LittleEndian.Uint64(b[21:]),
		Expire:     binary.LittleEndian.Uint64(b[29:]),
		nonce:      [NonceSize]byte(b[37:]),
		private:    [privateSize]byte(b[publicHeadSize:]),
	}
	if t.Create > t.Expire {
		return nil, throng.Errorf(throng.Invalid, "the connect token expires before it was made")
	}
	rest := b[publicHeadSize+privateSize:]
	t.TimeoutSeconds = int32(binary.LittleEndian.Uint32(rest))
	servers, rest, err := parseAddresses(nil, rest[4:])
	if err != nil {
		return nil, throng.Errorf(throng.Invalid, "read connect token: %w", err)
	}
	if len(rest) < 2*KeySize {
		return nil, throng.Errorf(throng.Invalid, "read connect token: %w", errShort)
	}
	t.Servers = servers
	t.clientToServer, t.serverToClient = [KeySize]byte(rest), [KeySize]byte(rest[KeySize:])
	return t, nil
}

// privateToken is the part that only servers read.
type privateToken struct {
	clientID                       uint64
	timeout                        int32 // s; zero or negative: never
	servers                        []netip.AddrPort
	clientToServer, serverToClient [KeySize]byte
	userData                       [UserDataSize]byte
}

// tokenData is what a private token's seal covers besides its content.
func tokenData(protocol, expire uint64) []byte {
	out := append(make([]byte, 0, versionSize+16), version...)
	out = binary.LittleEndian.AppendUint64(out, protocol)
	return binary.LittleEndian.AppendUint64(out, expire)
}

func (t *privateToken) seal(c TokenConfig, protocol uint64) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(c.Key[:])
	if err != nil {
		return nil, throng.Errorf(throng.Internal, "seal connect token: %w", err)
	}
	plain := t.append(make([]byte, 0, privateSize))
	used, plain := len(plain), plain[:privateSize-tagSize]
	if len(c.Route) == 0 {
		return aead.Seal(plain[:0], c.Nonce[:], plain, tokenData(protocol, c.Expire)), nil
	}
	if used > routedAt {
		return nil, throng.AtField(throng.Invalid, "servers", "with a route there is no room for %d", len(c.Servers))
	}
	// Sealed twice under one nonce; the first never leaves this function.
	sealed := aead.Seal(make([]byte, 0, privateSize), c.Nonce[:], plain, tokenData(protocol, c.Expire))
	if err := c.mark(plain, sealed, protocol); err != nil {
		return nil, err
	}
	return aead.Seal(plain[:0], c.Nonce[:], plain, tokenData(protocol, c.Expire)), nil
}

func (t *privateToken) append(dst []byte) []byte {
	out := binary.LittleEndian.AppendUint64(dst, t.clientID)
	out = binary.LittleEndian.AppendUint32(out, uint32(t.timeout))
	out = appendAddresses(out, t.servers)
	out = append(out, t.clientToServer[:]...)
	out = append(out, t.serverToClient[:]...)
	return append(out, t.userData[:]...)
}

var errPrivateSize = errors.New("the private part has another size")

// parse fills t from the opened bytes. It keeps the memory of t.servers.
func (t *privateToken) parse(b []byte) error {
	if len(b) != privateSize-tagSize {
		return errPrivateSize
	}
	t.clientID = binary.LittleEndian.Uint64(b)
	t.timeout = int32(binary.LittleEndian.Uint32(b[8:]))
	servers, rest, err := parseAddresses(t.servers[:0], b[12:])
	if err != nil {
		return err
	}
	if len(rest) < 2*KeySize+UserDataSize {
		return errShort
	}
	t.servers = servers
	t.clientToServer, t.serverToClient = [KeySize]byte(rest), [KeySize]byte(rest[KeySize:])
	t.userData = [UserDataSize]byte(rest[2*KeySize:])
	return nil
}

// OpenedToken is what a server reads of a connect token that it holds for good.
type OpenedToken struct {
	// UserData is what the token's maker put in.
	UserData [UserDataSize]byte
	// MAC names the token: no two have the same.
	MAC [16]byte
	// Expire is its end in Unix seconds.
	Expire uint64
}

// OpenToken checks a connect token that came another way than by a request
// packet: over a connection that is encrypted already and proves the address.
// protocol zero means Throng's; now is the clock that tokens expire by. Whether
// the token was used before is for the caller to know, by its MAC. Invalid: it
// is no connect token of this protocol. Denied: it expired, or is sealed with
// another key.
func OpenToken(token []byte, key [KeySize]byte, protocol uint64, now time.Time) (OpenedToken, error) {
	if len(token) != TokenSize {
		return OpenedToken{}, throng.Errorf(throng.Invalid, "a connect token has %d bytes, this one %d", TokenSize, len(token))
	}
	want := protocol
	if want == 0 {
		want = ProtocolID
	}
	if !bytes.HasPrefix(token, []byte(version)) || binary.LittleEndian.Uint64(token[versionSize:]) != want {
		return OpenedToken{}, throng.Errorf(throng.Invalid, "the connect token is of another protocol")
	}
	out := OpenedToken{Expire: binary.LittleEndian.Uint64(token[29:])}
	if out.Expire <= uint64(max(now.Unix(), 0)) {
		return OpenedToken{}, throng.Errorf(throng.Denied, "the connect token expired")
	}
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return OpenedToken{}, throng.Errorf(throng.Internal, "use token key: %w", err)
	}
	sealed := token[publicHeadSize : publicHeadSize+privateSize]
	plain, err := aead.Open(make([]byte, 0, privateSize), token[37:publicHeadSize], sealed, tokenData(want, out.Expire))
	if err != nil {
		return OpenedToken{}, throng.Errorf(throng.Denied, "the connect token is sealed with another key")
	}
	var private privateToken
	if err := private.parse(plain); err != nil {
		return OpenedToken{}, throng.Errorf(throng.Invalid, "read connect token: %w", err)
	}
	out.UserData = private.userData
	out.MAC = [16]byte(sealed[privateSize-tagSize:])
	return out, nil
}
