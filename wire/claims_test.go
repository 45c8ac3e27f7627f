package wire

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
)

func longestClaims() Claims {
	return Claims{
		Session: throng.SessionID(strings.Repeat("z", maxSessionName)),
		Player:  throng.PlayerID(strings.Repeat("p", 64)),
		Epoch:   1<<64 - 1, Expires: 1<<63 - 1, Version: maxVersion, PartySize: 255,
		Key: throng.TicketKey{Caller: throng.PlayerID(strings.Repeat("c", 64)), Ticket: throng.TicketID(strings.Repeat(":", 64))},
	}
}

func someClaims() Claims {
	return Claims{
		Session: throng.MakeSessionID("eu-west", 0x7f, throng.Entropy{1, 2, 3}), Player: "ada",
		Epoch: 0x1234567890ab, Expires: 1767225600123, Version: 7, PartySize: 3,
		Key: throng.TicketKey{Caller: "ada", Ticket: "tkt_1"},
	}
}

func reconnectClaims() Claims {
	c := longestClaims()
	c.Reconnect = true
	return c
}

func TestClaimsFitInTheWorstCase(t *testing.T) {
	other := someClaims()
	other.Key.Caller = "bo"
	for _, want := range []Claims{longestClaims(), reconnectClaims(), someClaims(), other} {
		b, err := AppendClaims(nil, want)
		if err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		if len(b) != ClaimsSize {
			t.Fatalf("got %d bytes, want %d", len(b), ClaimsSize)
		}
		got, err := ParseClaims(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v\nwant %+v", got, err, want)
		}
	}
}

// TestClaimsCarryAttributes: what fits is carried, the first ones first, and the
// longest names leave room for two short ones.
func TestClaimsCarryAttributes(t *testing.T) {
	some := []throng.Attribute{{Name: "language", Category: "en"}, {Name: "skill", Number: -1220.5}}
	long := make([]throng.Attribute, throng.MaxSignals)
	for i := range long {
		long[i] = throng.Attribute{Name: fmt.Sprintf("n%023d", i), Category: strings.Repeat("c", throng.MaxCategory)}
	}
	for _, c := range []struct {
		name string
		in   Claims
		give []throng.Attribute
		want int
	}{
		{"some", someClaims(), some, 2},
		{"long ones", someClaims(), long, 3},
		{"long names", longestClaims(), []throng.Attribute{{Name: "lang", Category: "en"}, {Name: "mode", Number: 3}}, 2},
		{"no room for the first", longestClaims(), append(long[:1:1], throng.Attribute{Name: "lang", Category: "en"}), 1},
	} {
		c.in.Attributes = c.give
		b, err := AppendClaims(nil, c.in)
		if err != nil || len(b) != ClaimsSize {
			t.Fatalf("%s: got %d bytes, %v", c.name, len(b), err)
		}
		got, err := ParseClaims(b)
		if err != nil || len(got.Attributes) != c.want {
			t.Fatalf("%s: got %+v, %v, want %d attributes", c.name, got.Attributes, err, c.want)
		}
		if c.want == len(c.give) && !reflect.DeepEqual(got.Attributes, c.give) {
			t.Errorf("%s: got %+v, want %+v", c.name, got.Attributes, c.give)
		}
	}
	for _, bad := range []throng.Attribute{{Name: "Skill"}, {Name: "x", Number: 2e15}, {Name: "x", Category: "é"}} {
		c := someClaims()
		c.Attributes = []throng.Attribute{bad}
		if _, err := AppendClaims(nil, c); throng.KindOf(err) != throng.Invalid {
			t.Errorf("%+v: got %v, want Invalid", bad, err)
		}
	}
}

func TestClaimsRefuseWhatIsOutOfBounds(t *testing.T) {
	cases := map[string]func(*Claims){
		"session":    func(c *Claims) { c.Session += "z" },
		"player":     func(c *Claims) { c.Player += "p" },
		"caller":     func(c *Claims) { c.Key.Caller += "c" },
		"ticket":     func(c *Claims) { c.Key.Ticket += "t" },
		"version":    func(c *Claims) { c.Version++ },
		"party_size": func(c *Claims) { c.PartySize = 0 },
	}
	for field, spoil := range cases {
		c := longestClaims()
		spoil(&c)
		if b, err := AppendClaims(nil, c); b != nil || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("%s: got %v, want an error at the field", field, err)
		}
	}
	empty := someClaims()
	empty.Key.Ticket = ""
	if _, err := AppendClaims(nil, empty); throng.KindOf(err) != throng.Invalid {
		t.Errorf("empty ticket: got %v, want Invalid", err)
	}
}

func TestPartyKeyIsTheTickets(t *testing.T) {
	a, b := someClaims(), someClaims()
	b.Player, b.Epoch = "bo", 9
	if a.PartyKey() != b.PartyKey() {
		t.Error("two members of a party have two keys")
	}
	b.Key = throng.TicketKey{Caller: "adat", Ticket: "kt_1"}
	if a.PartyKey() == b.PartyKey() {
		t.Error("two parties have one key")
	}
}

func FuzzParseClaims(f *testing.F) {
	playing := someClaims()
	playing.Attributes = []throng.Attribute{{Name: "language", Category: "en"}, {Name: "skill", Number: 7}}
	for _, c := range []Claims{longestClaims(), someClaims(), reconnectClaims(), playing} {
		b, err := AppendClaims(nil, c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseClaims(b)
		if err != nil {
			return
		}
		again, err := AppendClaims(nil, c)
		if err != nil {
			t.Fatalf("parsed %+v cannot be written: %v", c, err)
		}
		back, err := ParseClaims(again)
		if err != nil || !reflect.DeepEqual(back, c) {
			t.Fatalf("got %+v, %v, want %+v", back, err, c)
		}
	})
}

func TestKeysAreTheSameForTheSame(t *testing.T) {
	master := [32]byte{1, 2, 3}
	s := SessionKey(master, "ses_local_a")
	if s != SessionKey(master, "ses_local_a") {
		t.Error("a session has two keys")
	}
	if s == SessionKey(master, "ses_local_b") || s == SessionKey([32]byte{1}, "ses_local_a") {
		t.Error("two sessions have one key")
	}
	up, down, nonce := ConnKeys(s, [24]byte{5}, "ada", nil)
	up2, down2, nonce2 := ConnKeys(s, [24]byte{5}, "ada", nil)
	if up != up2 || down != down2 || nonce != nonce2 {
		t.Error("a grant has two tokens")
	}
	if up == down || bytes.Equal(up[:24], nonce[:]) {
		t.Error("one key serves two ends")
	}
	for what, other := range map[string]func() ([32]byte, [32]byte, [24]byte){
		"player": func() ([32]byte, [32]byte, [24]byte) { return ConnKeys(s, [24]byte{5}, "bo", nil) },
		"grant":  func() ([32]byte, [32]byte, [24]byte) { return ConnKeys(s, [24]byte{6}, "ada", nil) },
		"route":  func() ([32]byte, [32]byte, [24]byte) { return ConnKeys(s, [24]byte{5}, "ada", []byte("route")) },
	} {
		if a, b, c := other(); a == up || b == down || c == nonce {
			t.Errorf("another %s has the same keys", what)
		}
	}
}
