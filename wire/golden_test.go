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
	up, down, nonce := ConnKeys(key, [24]byte{0: 3, 23: 4}, "ada")
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
	back := someInput()
	back.Reconnect = 2
	cases = append(cases, golden{"input that has reconnect token 2", back, hex.EncodeToString(AppendInput(nil, back))})
	for _, s := range someSnapshots() {
		cases = append(cases, golden{"snapshot", plainSnapshot{s, fmt.Sprintf("%016x", s.About.Hash), hex.EncodeToString(s.Body)}, hex.EncodeToString(AppendSnapshot(nil, s))})
	}
	bye := Bye{ByeEvicted, "a newer join took the seat, € 1"}
	cases = append(cases, golden{"bye", bye, hex.EncodeToString(AppendBye(nil, bye))})
	w := Welcome{Protocol: 1, TickRate: 30, Capacity: 50, Player: "ada", Session: "ses_local_7f", Place: "arena", Version: 3, Schema: &Schema{}}
	cases = append(cases, golden{"welcome without kinds", w, hex.EncodeToString(SplitWelcome(w)[0])})
	w.Schema = testSchema(t)
	cases = append(cases, golden{"welcome with the kinds of delta.json", nil, hex.EncodeToString(SplitWelcome(w)[0])})
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
				r.Number, r.Protocol, r.Create, r.Expire, r.Timeout,
				hex.EncodeToString(r.Nonce[:]), hex.EncodeToString(r.Sealed[:]),
				hex.EncodeToString(r.ClientToServer[:]), hex.EncodeToString(r.ServerToClient[:]),
			}, hex.EncodeToString(AppendReconnect(nil, r))},
			golden{"token that the client came with, for " + servers, nil, hex.EncodeToString(first)},
			golden{"token that it comes back with", nil, hex.EncodeToString(again)},
		)
	}
	checkGolden(t, "reconnect.json", cases)
}

// A handoff's payloads, and what they say.
func TestGoldenHandoff(t *testing.T) {
	h := someHandoff(t)
	payloads, err := SplitHandoff(h)
	if err != nil {
		t.Fatal(err)
	}
	var cases []golden
	for _, p := range payloads {
		cases = append(cases, golden{About: "payload", Hex: hex.EncodeToString(p)})
	}
	said := plainHandoff{
		string(h.Session), string(h.Place), int(h.Version), string(h.Key.Caller), string(h.Key.Ticket), h.Code, h.Web.URL, nil, h.Socket,
	}
	for _, c := range h.Web.Certificates {
		said.Certificates = append(said.Certificates, hex.EncodeToString(c[:]))
	}
	cases = append(cases, golden{"what they say, and the token", said, hex.EncodeToString(h.Token)})
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
	Number                                        uint8
	Protocol, Create, Expire                      uint64 `json:",string"`
	Timeout                                       int32
	Nonce, Sealed, ClientToServer, ServerToClient string
}

// plainSnapshot says in hexadecimal what JSON's readers would round or take for text.
type plainSnapshot struct {
	Snapshot
	Hash string // About.Hash
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

// The views of ticks 1, 3 and 6, and what turns nothing, the view of 3, and the
// views of 1 and 3 together into the one of 6.
func TestGoldenDelta(t *testing.T) {
	s := testSchema(t)
	made := map[throng.Tick]*View{}
	for _, tick := range []throng.Tick{1, 3, 6} {
		v := &View{}
		v.Reset(tick)
		for id := uint32(1); id <= 12; id++ {
			if id == 4 && tick == 6 || id > 9 && tick < 6 {
				continue
			}
			e := Entity{ID: id*id + 1, Kind: int(id % 3)}
			if id%2 == 0 {
				e.Owner = throng.PlayerID(fmt.Sprintf("plr_%d", id))
			}
			in := v.Add(s.Kind(e.Kind), e)
			for i, slot := range s.Kind(e.Kind).slots {
				switch {
				case slot.kind == FieldString:
					in.Texts[slot.index] = []string{"", "grün", "red"}[(int(tick)/3+int(id))%3]
				case slot.width > 4:
					in.Values[slot.index] = (uint32(tick)*id*uint32(i+1) + id) << (uint(id) % 5) % slot.top
				default:
					in.Values[slot.index] = (uint32(tick) + id) % (slot.top + 1)
				}
			}
		}
		made[tick] = v
	}
	enc := NewEncoder(s)
	var delta Delta
	all := func(tick throng.Tick) Prefix { return Prefix{made[tick], made[tick].Len()} }
	cases := []golden{{"schema", nil, hex.EncodeToString(AppendSchema(nil, s))}}
	add := func(about string, now throng.Tick, base, older Prefix) {
		enc.Encode(&delta, made[now], base, older)
		decoded := decode(t, NewDecoder(s), &delta, base, older)
		if diff := same(decoded, made[now], made[now].Len()); diff != "" {
			t.Errorf("%s: %s", about, diff)
		}
		cases = append(cases, golden{about, plainView(made[now]), hex.EncodeToString(delta.Bodies[0])})
	}
	add("tick 1 from nothing", 1, Prefix{}, Prefix{})
	add("tick 3 from base 1", 3, all(1), Prefix{})
	add("tick 6 from nothing", 6, Prefix{}, Prefix{})
	add("tick 6 from base 3", 6, all(3), Prefix{})
	add("tick 6 from base 3, older 1", 6, all(3), all(1))
	checkGolden(t, "delta.json", cases)
}
