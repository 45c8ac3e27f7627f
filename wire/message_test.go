package wire

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/throng-gg/throng"
)

func someInput() Input {
	in := Input{Sequence: 70000, Ack: 1234, Welcomed: true, Sent: 54321, Count: 4}
	in.Moves = [MaxMoves]Move{{X: 127, Y: -127, Buttons: 1}, {X: 127, Y: -127, Buttons: 1}, {}, {X: 3, Buttons: 1 << 31}}
	return in
}

func someSnapshots() []Snapshot {
	return []Snapshot{
		{Tick: 1, Parts: 1, Body: []byte{1, 2}},
		{Tick: 1000, Parts: 1, Base: 997, Older: 969, About: About{Input: 65535, HasEcho: true, Sent: 40000, Hold: 17}, Body: []byte{}},
		{Tick: 1 << 31, Part: 0, Parts: 16, About: About{Through: 1<<32 - 1, HasEcho: true, Sent: 1, Hold: 255, HasHash: true, Hash: 1<<64 - 2}, Body: []byte{9}},
		{Tick: 1<<32 - 1, Part: 15, Parts: 16, Base: 1<<32 - 32, Body: []byte{255}},
	}
}

func TestInputComesBack(t *testing.T) {
	want := someInput()
	b := AppendInput([]byte{}, want)
	got, err := ParseInput(b)
	if err != nil || got != want {
		t.Fatalf("got %+v, %v\nwant %+v", got, err, want)
	}
	if _, err := ParseInput(b[:len(b)-1]); throng.KindOf(err) != throng.Invalid {
		t.Errorf("cut short: got %v, want Invalid", err)
	}
	full := Input{Count: MaxMoves}
	for i := range full.Moves {
		full.Moves[i] = Move{X: int8(i), Y: 127, Buttons: 1<<32 - 1}
	}
	if n := len(AppendInput(nil, full)); n > 66 {
		t.Errorf("the longest input has %d bytes", n)
	}
}

func TestMoveIsQuantised(t *testing.T) {
	for v, want := range map[float64]int8{0: 0, 1: 127, -1: -127, 9: 127, math.Inf(-1): -127, 0.5: 64, 0.001: 0} {
		if got := MakeMove(v, 0, 0).X; got != want {
			t.Errorf("%v: got %d, want %d", v, got, want)
		}
	}
	if got := MakeMove(math.NaN(), math.NaN(), 0); got != (Move{}) {
		t.Errorf("NaN: got %+v", got)
	}
	if x, y := (Move{X: 127, Y: -127}).Axes(); x != 1 || y != -1 {
		t.Errorf("got %v, %v, want 1, -1", x, y)
	}
}

func TestSnapshotComesBack(t *testing.T) {
	for _, want := range someSnapshots() {
		b := AppendSnapshot(nil, want)
		if head := len(b) - len(want.Body); head > snapshotHeaderMax {
			t.Errorf("a header has %d bytes, want at most %d", head, snapshotHeaderMax)
		}
		got, err := ParseSnapshot(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
	}
}

func TestByeComesBack(t *testing.T) {
	for _, want := range []Bye{{ByeEnded, ""}, {ByeEvicted, "a newer join took the seat"}, {99, "ü"}} {
		got, err := ParseBye(AppendBye(nil, want))
		if err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	if ByeDraining.String() != "draining" || ByeCode(99).String() != "unknown" {
		t.Error("codes have the wrong words")
	}
}

func TestCutText(t *testing.T) {
	cases := []struct {
		in   string
		n    int
		want string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "abc"},
		{"aü", 2, "a"},
		{"aü", 3, "aü"},
		{"€€", 5, "€"},
		{"\xff", 9, "\uFFFD"},
		{"\xff", 2, ""},
		{"", 0, ""},
		{strings.Repeat("€", 999), 64, strings.Repeat("€", 21)},
	}
	for _, c := range cases {
		if got := CutText(c.in, c.n); got != c.want {
			t.Errorf("%q at %d: got %q, want %q", c.in, c.n, got, c.want)
		}
	}
}

func FuzzCutText(f *testing.F) {
	f.Add("aü€\xff", 3)
	f.Fuzz(func(t *testing.T, s string, n int) {
		if n < 0 || n > 300 {
			return
		}
		if got := CutText(s, n); len(got) > n || !utf8.ValidString(got) || len(s) <= n && utf8.ValidString(s) && got != s {
			t.Fatalf("got %q", got)
		}
	})
}

func TestWelcomeComesBackInParts(t *testing.T) {
	s := testSchema(t)
	for i := range 20 {
		var fields []Field
		for j := range 8 {
			fields = append(fields, Field{Name: strings.Repeat("f", 1+j), Kind: FieldNumber, Max: 1, Precision: 0.1})
		}
		if _, err := s.Define(strings.Repeat("k", 1+i), fields); err != nil {
			t.Fatal(err)
		}
	}
	want := Welcome{Protocol: Protocol, TickRate: 30, Capacity: 200, Player: "ada", Session: "ses_local_x", Place: "arena", Version: 7, Schema: s}
	payloads := SplitWelcome(want)
	if len(payloads) < 2 {
		t.Fatalf("got %d parts, want several", len(payloads))
	}
	var data [][]byte
	var sum uint32
	for i, payload := range payloads {
		if len(payload) > MaxPayload {
			t.Errorf("part %d has %d bytes", i, len(payload))
		}
		p, err := ParseWelcomePart(payload)
		if err != nil || int(p.Part) != i || int(p.Parts) != len(payloads) {
			t.Fatalf("part %d: got %+v, %v", i, p, err)
		}
		data, sum = append(data, p.Data), p.Sum
	}
	got, err := JoinWelcome(sum, data)
	if err != nil {
		t.Fatal(err)
	}
	if got.Schema.Hash() != s.Hash() {
		t.Error("the schema is another")
	}
	got.Schema = s
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	data[0] = bytes.Clone(data[0])
	data[0][5] ^= 1
	if _, err := JoinWelcome(sum, data); throng.KindOf(err) != throng.Invalid {
		t.Errorf("changed: got %v, want Invalid", err)
	}
	future := AppendWelcome(nil, Welcome{Protocol: Protocol + 1, Schema: &Schema{}})
	if _, err := ParseWelcome(future); throng.KindOf(err) != throng.Unsupported {
		t.Errorf("another protocol: got %v, want Unsupported", err)
	}
}

func FuzzParseMessages(f *testing.F) {
	for _, s := range someSnapshots() {
		f.Add(AppendSnapshot(nil, s))
	}
	f.Add(AppendInput(nil, someInput()))
	f.Add(AppendBye(nil, Bye{ByeKicked, "enough"}))
	f.Add(AppendReconnect(nil, someReconnect()))
	f.Add(SplitWelcome(Welcome{Protocol: Protocol, Schema: testSchema(f)})[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		if in, err := ParseInput(b); err == nil {
			if again, err := ParseInput(AppendInput(nil, in)); err != nil || again != in {
				t.Fatalf("input %+v came back as %+v, %v", in, again, err)
			}
		}
		if s, err := ParseSnapshot(b); err == nil {
			if again, err := ParseSnapshot(AppendSnapshot(nil, s)); err != nil || !reflect.DeepEqual(again, s) {
				t.Fatalf("snapshot %+v came back as %+v, %v", s, again, err)
			}
		}
		if bye, err := ParseBye(b); err == nil {
			if again, err := ParseBye(AppendBye(nil, bye)); err != nil || again != bye {
				t.Fatalf("bye %+v came back as %+v, %v", bye, again, err)
			}
		}
		if r, err := ParseReconnect(b); err == nil && !bytes.Equal(AppendReconnect(nil, r), b) {
			t.Fatalf("reconnect %+v came back otherwise", r)
		}
		if p, err := ParseHandoffPart(b); err == nil && !bytes.Equal(AppendHandoffPart(nil, p), b) {
			t.Fatalf("handoff %+v came back otherwise", p)
		}
		if p, err := ParseWelcomePart(b); err == nil {
			if !bytes.Equal(AppendWelcomePart(nil, p), b) {
				t.Fatalf("welcome %+v came back otherwise", p)
			}
			if w, err := ParseWelcome(p.Data); err == nil && len(AppendWelcome(nil, w)) > maxWelcome+1000 {
				t.Fatalf("a welcome grew")
			}
		}
	})
}
