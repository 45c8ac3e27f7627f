package netcode

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

var update = flag.Bool("update", false, "rewrite testdata")

func newAEAD(tb testing.TB, key [KeySize]byte) cipher.AEAD {
	tb.Helper()
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		tb.Fatal(err)
	}
	return aead
}

// goldenToken is what testdata/token.txt describes.
func goldenToken() TokenConfig {
	c := TokenConfig{
		Key: [KeySize]byte(count(0x10, KeySize)), ProtocolID: 0x1122334455667788,
		Create: 1_800_000_000, Expire: 1_800_000_008, Nonce: [NonceSize]byte(count(0x40, NonceSize)),
		ClientID: 0x0123456789abcdef, TimeoutSeconds: 5,
		Servers: []netip.AddrPort{
			netip.MustParseAddrPort("192.0.2.17:40000"), netip.MustParseAddrPort("[2001:db8::1:2]:50000"),
		},
		ClientToServer: [KeySize]byte(count(0x60, KeySize)), ServerToClient: [KeySize]byte(count(0x80, KeySize)),
	}
	copy(c.UserData[:], count(0, UserDataSize))
	return c
}

func count(from byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = from + byte(i)
	}
	return b
}

// checkGolden compares named bytes with a file of lines "name hexadecimal".
func checkGolden(t *testing.T, file, title string, pairs ...any) {
	t.Helper()
	var got bytes.Buffer
	fmt.Fprintf(&got, "# %s\n", title)
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&got, "%s %x\n", pairs[i], pairs[i+1])
	}
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s differs:\n got %s\nwant %s", path, got.Bytes(), want)
	}
}

func TestGoldenToken(t *testing.T) {
	c := goldenToken()
	token := makeToken(t, c)
	private := privateToken{
		clientID: c.ClientID, timeout: c.TimeoutSeconds, servers: c.Servers,
		clientToServer: c.ClientToServer, serverToClient: c.ServerToClient, userData: c.UserData,
	}
	checkGolden(t, "token.txt", "A connect token: created 1800000000, expires 1800000008, client 0123456789abcdef, time-out 5 s, "+
		"servers 192.0.2.17:40000 and [2001:db8::1:2]:50000, user data 00 to ff.",
		"protocol", binary.BigEndian.AppendUint64(nil, c.ProtocolID), "key", c.Key[:], "nonce", c.Nonce[:], "client_to_server", c.ClientToServer[:],
		"server_to_client", c.ServerToClient[:], "private", private.append(nil), "token", token)

	parsed, err := ParseToken(token)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(parsed.Servers) != fmt.Sprint(c.Servers) || parsed.Create != c.Create || parsed.Expire != c.Expire ||
		parsed.TimeoutSeconds != 5 || parsed.clientToServer != c.ClientToServer || parsed.serverToClient != c.ServerToClient {
		t.Errorf("ParseToken: got %+v", parsed)
	}
	var back privateToken
	if err := back.parse(private.append(nil)[:0:0]); err == nil {
		t.Error("parse of nothing: got no error")
	}
	aead, _ := chacha20poly1305.NewX(c.Key[:])
	plain, err := aead.Open(nil, c.Nonce[:], parsed.private[:], tokenData(c.ProtocolID, c.Expire))
	if err != nil {
		t.Fatal(err)
	}
	if err := back.parse(plain); err != nil || fmt.Sprint(back) != fmt.Sprint(private) {
		t.Errorf("private part: got %v, %v, want %v", back, err, private)
	}
	if again := makeToken(t, c); !bytes.Equal(again, token) {
		t.Error("the same config gave another token")
	}
}

func TestGoldenPackets(t *testing.T) {
	c := goldenToken()
	token, err := ParseToken(makeToken(t, c))
	if err != nil {
		t.Fatal(err)
	}
	down, up := newAEAD(t, c.ServerToClient), newAEAD(t, c.ClientToServer)
	codec := makeCodec(c.ProtocolID)
	secret := [KeySize]byte(count(0xa0, KeySize))
	challenge := codec.sealChallenge(newAEAD(t, secret), 3, c.ClientID, &c.UserData)
	body := challenge.append(nil)
	proof := codec.sealProof(nil, newAEAD(t, secret), 4, 258, path{client: netip.MustParseAddrPort("198.51.100.7:60000")})
	packet := func(aead cipher.AEAD, kind Type, number uint64, body []byte) []byte {
		return codec.seal(nil, aead, header{kind: kind, number: number}, body)
	}
	checkGolden(t, "packets.txt", "Packets under the keys of token.txt; the number is each packet's own.",
		"challenge_key", secret[:],
		"request", appendRequest(nil, token),
		"denied_8000000000000000", packet(down, TypeDenied, globalSequence, nil),
		"challenge_body", body,
		"challenge_8000000000000001", packet(down, TypeChallenge, globalSequence+1, body),
		"response_0", packet(up, TypeResponse, 0, body),
		"keepalive_2_of_64_0", packet(down, TypeKeepAlive, 0, keepAlive{slot: 2, slots: 64}.append(nil)),
		"payload_hello_1000", packet(up, TypePayload, 1000, []byte("hello")),
		"payload_1200_ffffffffffffffff", packet(up, TypePayload, 1<<64-1, count(7, MaxPayload)),
		"disconnect_65536", packet(up, TypeDisconnect, 65536, nil),
		"proof_body", proof,
		"proof_70000", packet(down, TypeProof, 70000, proof),
		"rebind_slot_2_258", codec.seal(nil, up, header{kind: TypeRebind, number: 258, slot: 2}, append(proof[:proofBodySize:proofBodySize], make([]byte, 8)...)))
}
