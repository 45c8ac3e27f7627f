package client

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

// stage is the server's side, by hand.
type stage struct {
	t      testing.TB
	schema *wire.Schema
	now    time.Time
	client *World
}

func newStage(tb testing.TB) *stage {
	tb.Helper()
	s := &stage{t: tb, schema: &wire.Schema{}, now: time.UnixMilli(1e12), client: NewWorld()}
	if _, err := s.schema.Define("ball", []wire.Field{
		{Name: "x", Kind: wire.FieldNumber, Max: 100, Precision: 0.01},
		{Name: "label", Kind: wire.FieldString},
	}); err != nil {
		tb.Fatal(err)
	}
	return s
}

func (s *stage) welcome() [][]byte {
	return [][]byte{wire.AppendWelcome(nil, wire.Welcome{Protocol: wire.Protocol, TickRate: 30, Capacity: 9, Player: "ada", Schema: s.schema})}
}

func ballAt(tick throng.Tick, id int) wire.Values {
	return wire.Values{
		Numbers: []uint32{(uint32(tick)*100 + uint32(id)) % 10000},
		Texts:   []string{fmt.Sprintf("ball number %d at %d", id, tick/10)},
	}
}

// snapshot tells a world of n balls to a client that has them of base, told anew
// then; 0: to one that has nothing.
func (s *stage) snapshot(tick, base throng.Tick, n int) wire.Snapshot {
	out := wire.Snapshot{Tick: tick, Young: true, Input: uint8(tick), HasHash: true}
	k, b, h := s.schema.Kind(0), &wire.Body{}, wire.Hash{}
	told := wire.Samples{}
	if base != 0 {
		out.Since = uint8(tick - base)
		told = wire.Samples{Told: 1 << (tick - base), Fresh: 1 << (tick - base)}
	}
	b.Begin(nil, told.Told, out.Since)
	for id := range n {
		owner := throng.PlayerID("")
		if id == 1 {
			owner = "ada"
		}
		is := ballAt(tick, id)
		if base == 0 {
			b.Add(uint32(id+1), 0, k.AppendFresh(nil, 0, owner, is))
		} else {
			p := &wire.Past{Bases: told.Bases(told.Told), At: [3]wire.Values{ballAt(base, id)}}
			b.Change(&told, k.AppendChange(nil, 0, is, p))
		}
		h.Entity(wire.Entity{ID: uint32(id + 1), Owner: owner, Values: is.Numbers, Texts: is.Texts})
	}
	out.Hash, out.Body = h.Sum(), b.End()
	return out
}

func payload(s wire.Snapshot) []byte { return wire.AppendSnapshot(nil, s) }

// receive returns the last update.
func (s *stage) receive(payloads ...[]byte) Update {
	s.t.Helper()
	var last Update
	for _, p := range payloads {
		u, err := s.client.Receive(p, s.now)
		if err != nil {
			s.t.Fatal(err)
		}
		last = u
	}
	return last
}

func (s *stage) ack() throng.Tick {
	s.t.Helper()
	in, err := wire.ParseInput(s.client.Input(0, 0, 0, s.now))
	if err != nil {
		s.t.Fatal(err)
	}
	return in.Ack
}

func TestWorldComesAfterTheWelcome(t *testing.T) {
	s := newStage(t)
	first := payload(s.snapshot(1, 0, 3))
	if u := s.receive(first); u != (Update{}) {
		t.Errorf("a snapshot before the welcome: got %+v", u)
	}
	if u := s.receive(s.welcome()...); !u.Welcomed {
		t.Errorf("got %+v, want the welcome", u)
	}
	if u := s.receive(s.welcome()...); u != (Update{}) {
		t.Errorf("the second welcome: got %+v", u)
	}
	if u := s.receive(first); u.Tick != 1 || u.Verified != 1 {
		t.Errorf("got %+v, want tick 1 verified", u)
	}
	if u := s.receive(first); u != (Update{}) {
		t.Errorf("the same again: got %+v", u)
	}
	own, ok := s.client.Own()
	if !ok || own.ID() != 2 || own.Kind() != "ball" {
		t.Fatalf("own entity: got %+v, %v", own, ok)
	}
	x, _ := own.Field("x")
	label, _ := own.Field("label")
	if own.Number(x) != 1.01 || own.Text(label) != "ball number 1 at 0" || own.Number(label) != 0 || own.Text(9) != "" {
		t.Errorf("got %v, %q", own.Number(x), own.Text(label))
	}
	n := 0
	for range s.client.Entities {
		n++
		break
	}
	if n != 1 || s.client.Len() != 3 {
		t.Errorf("got %d of %d", n, s.client.Len())
	}
}

func TestAMismatchAsksForAllAnew(t *testing.T) {
	s := newStage(t)
	s.receive(s.welcome()...)
	s.receive(payload(s.snapshot(1, 0, 5)))
	if got := s.ack(); got != 1 {
		t.Fatalf("got ack %d, want 1", got)
	}
	quiet := s.snapshot(2, 1, 5)
	quiet.HasHash = false
	if u := s.receive(payload(quiet)); u.Tick != 2 || u.Verified != 0 {
		t.Errorf("without a hash: got %+v", u)
	}
	wrong := s.snapshot(3, 1, 5)
	wrong.Hash ^= 1 << 20
	if u := s.receive(payload(wrong)); u != (Update{Mismatch: true}) {
		t.Errorf("got %+v, want a mismatch", u)
	}
	if got := s.ack(); got != 0 {
		t.Errorf("got ack %d, want 0", got)
	}
	if s.client.Tick() != 2 || s.client.Len() != 5 {
		t.Errorf("tick %d with %d entities is shown, want 2 with 5", s.client.Tick(), s.client.Len())
	}
	if u := s.receive(payload(s.snapshot(4, 1, 5))); u != (Update{}) {
		t.Errorf("on what was given up: got %+v", u)
	}
	if u := s.receive(payload(s.snapshot(5, 0, 5))); u.Tick != 5 || u.Verified != 1 {
		t.Errorf("got %+v, want tick 5 and only this one counted", u)
	}
	if got := s.ack(); got != 5 {
		t.Errorf("got ack %d, want 5", got)
	}
	if u := s.receive(payload(s.snapshot(4, 0, 5))); u != (Update{}) {
		t.Errorf("tick 4 after tick 5: got %+v", u)
	}
}

func TestInputsRepeatWhatTheServerMayNotHave(t *testing.T) {
	s := newStage(t)
	s.receive(s.welcome()...)
	counts := []uint8{1, 2, 3, 4, 5, 6, 7, 8, 8, 8}
	for i, want := range counts {
		in, err := wire.ParseInput(s.client.Input(float64(i)/127, 0, uint32(i), s.now))
		if err != nil {
			t.Fatal(err)
		}
		if in.Count != want || in.Sequence != uint32(i+1) {
			t.Fatalf("input %d: got %+v, want %d moves", i, in, want)
		}
		for j := range in.Count {
			if m := in.Moves[in.Count-1-j]; m.Buttons != uint32(i)-uint32(j) || m.X != int8(i)-int8(j) {
				t.Fatalf("input %d: move %d before the newest is %+v", i, j, m)
			}
		}
	}
	s.receive(payload(s.snapshot(9, 0, 1))) // says that input 9 was applied
	if s.client.Applied() != 9 {
		t.Errorf("got input %d applied, want 9", s.client.Applied())
	}
	if in, err := wire.ParseInput(s.client.Input(0, 0, 0, s.now)); err != nil || in.Count != 2 {
		t.Errorf("got %d moves, %v, want 2", in.Count, err)
	}
	never := s.snapshot(10, 0, 1)
	never.Input = 200 // was never made
	s.receive(payload(never))
	if s.client.Applied() != 9 {
		t.Errorf("got input %d applied, want 9", s.client.Applied())
	}
}

func TestByeAndStrangersAreTold(t *testing.T) {
	s := newStage(t)
	if u := s.receive(wire.AppendBye(nil, wire.Bye{Code: wire.ByeFull, Text: "full"})); u.Bye.Code != wire.ByeFull {
		t.Errorf("got %+v", u)
	}
	for _, payload := range [][]byte{nil, {}, {0}, {200, 1, 2}, s.client.Input(1, 0, 0, s.now)} {
		if u := s.receive(payload); u != (Update{}) {
			t.Errorf("%v: got %+v", payload, u)
		}
	}
	future := wire.AppendWelcome(nil, wire.Welcome{Protocol: wire.Protocol + 1, Schema: s.schema})
	if _, err := s.client.Receive(future, s.now); throng.KindOf(err) != throng.Unsupported {
		t.Errorf("another protocol: got %v, want Unsupported", err)
	}
}

// What comes from the network never breaks a client, and it finds its way back.
func FuzzReceive(f *testing.F) {
	seeds := newStage(f)
	for _, p := range seeds.welcome() {
		f.Add(p, p)
	}
	f.Add(payload(seeds.snapshot(5, 4, 5)), payload(seeds.snapshot(7, 0, 40)))
	f.Add(payload(seeds.snapshot(6, 4, 5)), payload(seeds.snapshot(8, 6, 5)))
	f.Add(wire.AppendBye(nil, wire.Bye{Code: 1}), []byte{2})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		s := newStage(t)
		for _, warm := range []bool{false, true} {
			if warm {
				s.receive(s.welcome()...)
				s.receive(payload(s.snapshot(4, 0, 5)))
			}
			for _, p := range [][]byte{a, b, bytes.Clone(a)} {
				// An error is as good as anything else.
				_, _ = s.client.Receive(p, s.now)
			}
			if s.client.Len() > 2*wire.MaxEntities {
				t.Fatalf("%d entities", s.client.Len())
			}
			if len(s.client.Input(1, 1, 1, s.now)) > 70 {
				t.Fatal("a long input")
			}
		}
		if _, ok := s.client.Welcome(); !ok || s.client.welcome.Schema.Hash() != s.schema.Hash() {
			return // a forged welcome; there is no forging past the transport
		}
		if tick := s.client.tick + 1; tick != 0 {
			if u := s.receive(payload(s.snapshot(tick, 0, 3))); u.Tick != tick {
				t.Fatalf("got %+v, want tick %d", u, tick)
			}
		}
	})
}
