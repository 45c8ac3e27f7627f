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
	in := Input{Sequence: 70000, Ack: 1234, Came: 1<<30 | 5, Sent: 54321, Count: 4}
	in.Moves = [MaxMoves]Move{{X: 127, Y: -127, Buttons: 1}, {X: 127, Y: -127, Buttons: 1}, {}, {X: 3, Buttons: 1 << 31}}
	return in
}

func someSnapshots() []Snapshot {
	return []Snapshot{
		{Tick: 1, Young: true, Body: []byte{1, 2}},
		{Tick: 1000, Input: 255, HasEcho: true, Sent: 40000, Hold: 17, Body: []byte{}},
		{Tick: 1 << 31, Young: true, Since: 31, HasEcho: true, Sent: 1, Hold: 255, HasHash: true, Hash: 1<<32 - 2, Body: []byte{9}},
		{Tick: 1<<32 - 1, HasHash: true, Hash: 7, Body: []byte{255}},
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
	if n := len(AppendInput(nil, full)); n > 70 {
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
		got, err := ParseSnapshot(b, want.Tick-100)
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

func TestWelcomeComesBack(t *testing.T) {
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
	b := AppendWelcome(nil, want)
	if len(b) > MaxMessage {
		t.Fatalf("got %d bytes", len(b))
	}
	got, err := ParseWelcome(b)
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
	if _, err := ParseWelcome(b[:len(b)-1]); throng.KindOf(err) != throng.Invalid {
		t.Errorf("cut short: got %v, want Invalid", err)
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
	f.Add(AppendWelcome(nil, Welcome{Protocol: Protocol, Schema: testSchema(f)}))
	f.Add([]byte{7, 2, 'h', 'i', 2, 1, 'a', 1, 1, 'b', 3, 1, 0, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		if in, err := ParseInput(b); err == nil {
			if again, err := ParseInput(AppendInput(nil, in)); err != nil || again != in {
				t.Fatalf("input %+v came back as %+v, %v", in, again, err)
			}
		}
		if s, err := ParseSnapshot(b, 4711); err == nil {
			if again, err := ParseSnapshot(AppendSnapshot(nil, s), 4711); err != nil || !reflect.DeepEqual(again, s) {
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
		if m, err := ParsePlace(b); err == nil {
			if again, err := AppendPlace(nil, m); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("%+v came back otherwise, %v", m, err)
			}
		}
		if w, err := ParseWelcome(b); err == nil && len(AppendWelcome(nil, w)) > MaxMessage+1000 {
			t.Fatalf("a welcome grew")
		}
	})
}

func TestPlaceMessagesComeBack(t *testing.T) {
	for _, want := range []throng.Message{{Name: "hit"}, somePlaceMessage()} {
		b, err := AppendPlace(nil, want)
		if err != nil || len(b) != want.Size() {
			t.Fatalf("got %d bytes, %v, want %d", len(b), err, want.Size())
		}
		got, err := ParsePlace(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
		for n := range b {
			if _, err := ParsePlace(b[:n]); throng.KindOf(err) != throng.Invalid || err == nil {
				t.Fatalf("cut at %d: got %v, want Invalid", n, err)
			}
		}
	}
}

func somePlaceMessage() throng.Message {
	return throng.Message{Name: "score", Fields: []throng.MessageField{
		{Name: "by", Value: "grün"}, {Name: "final", Value: false}, {Name: "points", Value: -2.5}, {Name: "won", Value: true},
	}}
}

func TestPlaceMessagesAreBounded(t *testing.T) {
	field := func(value any) throng.Message {
		return throng.Message{Name: "x", Fields: []throng.MessageField{{Name: "a", Value: value}}}
	}
	long := strings.Repeat("a", throng.MaxMessageText)
	for name, m := range map[string]throng.Message{
		"no name": {}, "a long name": {Name: strings.Repeat("n", throng.MaxMessageName+1)},
		"an integer": field(1), "no value": field(nil), "no number": field(math.NaN()), "too large": field(math.Inf(1)), "a long string": field(long + "a"),
		"a field twice": {Name: "x", Fields: []throng.MessageField{{Name: "a", Value: true}, {Name: "a", Value: true}}},
		"1,026 bytes":   {Name: "x", Fields: []throng.MessageField{{Name: "a", Value: long}, {Name: "b", Value: long}}},
		"17 fields":     {Name: "x", Fields: make([]throng.MessageField, throng.MaxMessageFields+1)},
	} {
		if _, err := AppendPlace(nil, m); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("%s: got %v, want Invalid", name, err)
		}
	}
}
