package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/throng-gg/throng"
)

var update = flag.Bool("update", false, "rewrite testdata")

// golden holds a message and its bytes, for clients in other languages too.
type golden struct {
	About string
	Value any    `json:",omitempty"`
	Hex   string // of the bytes
}

// checkGolden compares all of a file's cases. A file that changes is another
// Protocol.
func checkGolden(t *testing.T, file string, cases []golden) {
	t.Helper()
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	enc.SetIndent("", " ")
	if err := enc.Encode(cases); err != nil {
		t.Fatal(err)
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
		t.Errorf("%s is not what is made now:\n%s", path, got.Bytes())
	}
}

func TestGoldenClaims(t *testing.T) {
	var cases []golden
	for _, c := range []Claims{longestClaims(), someClaims(), reconnectClaims()} {
		b, err := AppendClaims(nil, c)
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, golden{About: "claims", Value: c, Hex: hex.EncodeToString(b)})
	}
	master := [32]byte{0: 1, 31: 2}
	key := SessionKey(master, "ses_local_7f0123456789abcdef")
	up, down, nonce := ConnKeys(key, [24]byte{0: 3, 23: 4}, "ada", nil)
	for _, k := range []struct {
		about string
		bytes []byte
	}{
		{"session key of master 0100...02 and ses_local_7f0123456789abcdef", key[:]},
		{"client to server with it, nonce 0300...04 and player ada", up[:]},
		{"server to client", down[:]},
		{"token nonce", nonce[:]},
	} {
		cases = append(cases, golden{About: k.about, Hex: hex.EncodeToString(k.bytes)})
	}
	party := someClaims().PartyKey()
	cases = append(cases, golden{About: "party key of caller ada, ticket tkt_1", Hex: hex.EncodeToString(party[:])})
	checkGolden(t, "claims.json", cases)
}

func TestGoldenMessages(t *testing.T) {
	var cases []golden
	cases = append(cases, golden{"input", someInput(), hex.EncodeToString(AppendInput(nil, someInput()))})
	one := Input{Sequence: 1, Count: 1}
	cases = append(cases, golden{"input, the first", one, hex.EncodeToString(AppendInput(nil, one))})
	for _, s := range someSnapshots() {
		cases = append(cases, golden{"snapshot", plainSnapshot{s, hex.EncodeToString(s.Body)}, hex.EncodeToString(AppendSnapshot(nil, s))})
	}
	bye := Bye{ByeEvicted, "a newer join took the seat, € 1"}
	cases = append(cases, golden{"bye", bye, hex.EncodeToString(AppendBye(nil, bye))})
	w := Welcome{Protocol: Protocol, TickRate: 30, Capacity: 50, Player: "ada", Session: "ses_local_7f", Place: "arena", Version: 3, Schema: &Schema{}}
	cases = append(cases, golden{"welcome without kinds", w, hex.EncodeToString(AppendWelcome(nil, w))})
	w.Schema = testSchema(t)
	cases = append(cases, golden{"welcome with kinds", nil, hex.EncodeToString(AppendWelcome(nil, w))})
	w.Schema = movingSchema(t)
	cases = append(cases, golden{"welcome with kinds that move", nil, hex.EncodeToString(AppendWelcome(nil, w))})
	message, err := AppendPlace(nil, somePlaceMessage())
	if err != nil {
		t.Fatal(err)
	}
	cases = append(cases, golden{"a place's message", somePlaceMessage(), hex.EncodeToString(message)})
	checkGolden(t, "messages.json", cases)
}

// The message, the token that a client came with, and the one that it makes of
// both to come back.
func TestGoldenReconnect(t *testing.T) {
	var cases []golden
	for _, servers := range []string{"127.0.0.1:7777", "[2001:db8::7]:40000 192.0.2.1:65535"} {
		r := someReconnect()
		first := someToken(t, 9, servers)
		again, err := r.Token(first)
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases,
			golden{"reconnect", plainReconnect{
				r.Protocol, r.Create, r.Expire, r.Timeout,
				hex.EncodeToString(r.Nonce[:]), hex.EncodeToString(r.Sealed[:]),
				hex.EncodeToString(r.ClientToServer[:]), hex.EncodeToString(r.ServerToClient[:]),
			}, hex.EncodeToString(AppendReconnect(nil, r))},
			golden{"token that the client came with, for " + servers, nil, hex.EncodeToString(first)},
			golden{"token that it comes back with", nil, hex.EncodeToString(again)},
		)
	}
	checkGolden(t, "reconnect.json", cases)
}

// A handoff, and what it says.
func TestGoldenHandoff(t *testing.T) {
	h := someHandoff(t)
	message, err := AppendHandoff(nil, h)
	if err != nil {
		t.Fatal(err)
	}
	cases := []golden{{About: "message", Hex: hex.EncodeToString(message)}}
	said := plainHandoff{
		string(h.Session), string(h.Place), int(h.Version), string(h.Key.Caller), string(h.Key.Ticket), h.Code, h.Web.URL, nil, h.Socket,
	}
	for _, c := range h.Web.Certificates {
		said.Certificates = append(said.Certificates, hex.EncodeToString(c[:]))
	}
	cases = append(cases, golden{"what it says, and the token", said, hex.EncodeToString(h.Token)})
	checkGolden(t, "handoff.json", cases)
}

// plainHandoff is a handoff as other languages read it.
type plainHandoff struct {
	Session, Place            string
	Version                   int
	Caller, Ticket, Code, URL string
	Certificates              []string
	Socket                    bool
}

// plainReconnect says bytes in hexadecimal.
type plainReconnect struct {
	Protocol, Create, Expire                      uint64 `json:",string"`
	Timeout                                       int32
	Nonce, Sealed, ClientToServer, ServerToClient string
}

// plainSnapshot says in hexadecimal what JSON's readers would round or take for text.
type plainSnapshot struct {
	Snapshot
	Body string
}

// plain is a view as other languages can read it.
type plain struct {
	Tick     throng.Tick
	Hash     string
	Entities []Entity
}

func plainView(v *View) plain {
	p := plain{Tick: v.Tick, Hash: fmt.Sprintf("%016x", v.Hash())}
	for i := range v.Len() {
		p.Entities = append(p.Entities, v.At(i))
	}
	return p
}

// Snapshots of a world of all kinds of fields, with rules of who sees them, that a
// client acknowledges late and not all of, and what it sees after each.
func TestGoldenDelta(t *testing.T) {
	s := ruledSchema(t)
	cases := []golden{{"schema", nil, hex.EncodeToString(AppendSchema(nil, s))}}
	runTeller(t, newTeller(s, 4), NewDecoder(s), telling{60, 1, 2, 3, 8}, func(snap Snapshot, v *View) {
		cases = append(cases, golden{"snapshot", plainView(v), hex.EncodeToString(AppendSnapshot(nil, snap))})
	})
	if len(cases) < 30 {
		t.Fatalf("got %d snapshots", len(cases))
	}
	checkGolden(t, "delta.json", cases)
}
