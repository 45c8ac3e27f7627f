package wire

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire/netcode"
)

// someToken is a connect token whose bytes follow from seed.
func someToken(tb testing.TB, seed byte, servers string) []byte {
	tb.Helper()
	c := netcode.TokenConfig{Create: 1767225600, Expire: 1767225660}
	for s := range strings.FieldsSeq(servers) {
		c.Servers = append(c.Servers, netip.MustParseAddrPort(s))
	}
	for i := range c.Key {
		c.Key[i], c.ClientToServer[i], c.ServerToClient[i] = seed, seed+byte(i), seed^byte(i)
	}
	c.Nonce[seed%netcode.NonceSize] = seed
	token, err := netcode.MakeToken(c)
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

func someReconnect() Reconnect {
	r := Reconnect{Protocol: netcode.ProtocolID, Create: 1767225630, Expire: 1767225691, Timeout: -5}
	for i := range r.Sealed {
		r.Sealed[i] = byte(i * 7)
	}
	for i := range r.ClientToServer {
		r.ClientToServer[i], r.ServerToClient[i] = byte(i), byte(255-i)
	}
	r.Nonce[23] = 1
	return r
}

func TestReconnectComesBack(t *testing.T) {
	want := someReconnect()
	b := AppendReconnect(nil, want)
	got, err := ParseReconnect(b)
	if err != nil || got != want {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	spoilt := map[string][]byte{"cut short": b[:len(b)-1], "longer": append(bytes.Clone(b), 0)}
	spoilt["expires before it was made"] = bytes.Clone(b)
	binary.LittleEndian.PutUint64(spoilt["expires before it was made"][17:], want.Create-1)
	for name, payload := range spoilt {
		if _, err := ParseReconnect(payload); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("%s: got %v, want Invalid", name, err)
		}
	}
}

// What the server made is what the client connects with, whatever addresses it
// came by.
func TestReconnectMakesTheTokenAgain(t *testing.T) {
	for _, servers := range []string{
		"127.0.0.1:7777", "[2001:db8::7]:40000 192.0.2.1:1", strings.Repeat("[2001:db8::7]:40000 ", netcode.MaxServers),
	} {
		made := someToken(t, 7, servers)
		r, err := ReconnectOf(made)
		if err != nil {
			t.Fatalf("%s: %v", servers, err)
		}
		if got, err := r.Token(made); err != nil || !bytes.Equal(got, made) {
			t.Errorf("%s: %v, or the token came back otherwise", servers, err)
		}
		again, err := r.Token(someToken(t, 9, "10.0.0.1:5 10.0.0.2:6"))
		if err != nil {
			t.Fatal(err)
		}
		token, err := netcode.ParseToken(again)
		if err != nil {
			t.Fatal(err)
		}
		if len(token.Servers) != 2 || token.Servers[1].String() != "10.0.0.2:6" || token.Expire != r.Expire || token.TimeoutSeconds != netcode.DefaultTimeoutSeconds {
			t.Errorf("got %+v, want the addresses that the client came by and the rest of the new token", token)
		}
	}
}

func TestReconnectRefusesWhatIsNoToken(t *testing.T) {
	good := someToken(t, 1, "127.0.0.1:7777")
	change := func(at int, b byte) []byte {
		bad := bytes.Clone(good)
		bad[at] = b
		return bad
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "cut short": good[:2047], "another version": change(11, '3'),
		"no address": change(tokenAddresses, 0), "33 addresses": change(tokenAddresses, 33), "an address of type 3": change(tokenAddresses+4, 3),
	} {
		if _, err := (Reconnect{}).Token(bad); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("Token of %s: got %v, want Invalid", name, err)
		}
		if _, err := ReconnectOf(bad); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("ReconnectOf %s: got %v, want Invalid", name, err)
		}
	}
}

func FuzzReconnectToken(f *testing.F) {
	f.Add(someToken(f, 1, "127.0.0.1:7777"))
	f.Add(someToken(f, 2, strings.Repeat("[2001:db8::7]:40000 ", netcode.MaxServers)))
	f.Fuzz(func(t *testing.T, first []byte) {
		token, err := someReconnect().Token(first)
		if err != nil {
			return
		}
		r, err := ReconnectOf(token)
		if err != nil || r != someReconnect() {
			t.Fatalf("got %+v, %v", r, err)
		}
		if _, err := netcode.ParseToken(token); err != nil {
			t.Fatal(err)
		}
	})
}
