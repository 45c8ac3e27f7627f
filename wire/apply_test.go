package wire

import (
	"testing"

	"github.com/throng-gg/throng"
)

// forged is a body by hand.
func forged(write func(b *Body)) []byte {
	b := &Body{}
	b.Begin(nil, 0, 0)
	write(b)
	return b.End()
}

func TestBodiesThatNoServerMakesAreRefused(t *testing.T) {
	s := &Schema{}
	if _, err := s.Define("thing", []Field{
		{Name: "wide", Kind: FieldInteger, Max: 1000},
		{Name: "few", Kind: FieldInteger, Max: 10},
		{Name: "text", Kind: FieldString, Max: 4},
	}); err != nil {
		t.Fatal(err)
	}
	k := s.Kind(0)
	thing := func(wide, few uint32, text string) []Token {
		return k.AppendFresh(nil, 0, "", Values{Numbers: []uint32{wide, few}, Texts: []string{text}})
	}
	good := forged(func(b *Body) { b.Add(7, 0, thing(1, 2, "x")) })
	cases := map[string][]byte{
		"a value above the range":  forged(func(b *Body) { b.Add(7, 0, thing(1001, 2, "x")) }),
		"a small value above it":   forged(func(b *Body) { b.Add(7, 0, thing(1, 11, "x")) }),
		"a long text":              forged(func(b *Body) { b.Add(7, 0, thing(1, 2, "12345")) }),
		"a kind that is not there": forged(func(b *Body) { b.Add(7, 1, thing(1, 2, "x")) }),
		"the ID 0":                 forged(func(b *Body) { b.Add(0, 0, thing(1, 2, "x")) }),
		"an ID above all":          forged(func(b *Body) { b.Add(1<<32-1, 0, thing(1, 2, "x")); b.Add(0, 0, thing(1, 2, "x")) }),
		"more after the end":       append(append([]byte{}, good...), 1, 2, 3, 4, 5, 6),
	}
	for what, body := range cases {
		dec := NewDecoder(s)
		err := dec.Apply(Snapshot{Tick: 5, Young: true, Body: body})
		if throng.KindOf(err) != throng.Invalid {
			t.Errorf("%s: got %v, want Invalid", what, err)
		}
		if dec.Tick() != 0 || dec.Came() != 0 {
			t.Errorf("%s: the copy is at tick %d", what, dec.Tick())
		}
	}
	dec := NewDecoder(s)
	if err := dec.Apply(Snapshot{Tick: 5, Young: true, Body: good}); err != nil {
		t.Fatal(err)
	}
	b := &Body{}
	b.Begin(nil, 0b10, 3)
	if err := dec.Apply(Snapshot{Tick: 8, Young: true, Since: 3, Body: b.End()}); throng.KindOf(err) != throng.Invalid {
		t.Errorf("a tick that never came: got %v, want Invalid", err)
	}
	if err := dec.Apply(Snapshot{Tick: 5, Young: true, Body: good}); err != nil {
		t.Errorf("after that, all anew: %v", err)
	}
	if err := dec.Apply(Snapshot{Tick: 5, Young: true, Body: good}); throng.KindOf(err) != throng.Invalid {
		t.Errorf("the same tick again: got %v, want Invalid", err)
	}
	many := forged(func(b *Body) {
		for id := range uint32(maxCopies + 1) {
			b.Add(id+1, 0, thing(1, 2, ""))
		}
	})
	if err := dec.Apply(Snapshot{Tick: 9, Young: true, Body: many}); throng.KindOf(err) != throng.Invalid {
		t.Errorf("too many entities: got %v, want Invalid", err)
	}
}

func TestAViewForgetsWhatItHeld(t *testing.T) {
	s := testSchema(t)
	var v View
	for range 2 {
		e := v.Add(s.Kind(0), Entity{ID: 1})
		for _, value := range e.Values {
			if value != 0 {
				t.Fatalf("a new entity has %v", e.Values)
			}
		}
		for _, text := range e.Texts {
			if text != "" {
				t.Fatalf("a new entity has %q", e.Texts)
			}
		}
		e.Values[0], e.Texts[0] = 5, "x"
		if found, ok := v.Find(1); !ok || found.Values[0] != 5 {
			t.Fatalf("got %+v, %v", found, ok)
		}
		if _, ok := v.Find(2); ok {
			t.Fatal("found what is not there")
		}
		v.Reset(2)
	}
}

// A decoder takes any bytes: it refuses them or keeps a world within its bounds,
// and the next whole snapshot brings it back.
func FuzzDecoder(f *testing.F) {
	s := ruledSchema(f)
	f.Add(uint64(1), uint16(3), []byte{1, 2, 3})
	f.Add(uint64(2), uint16(40), []byte{255, 0, 255, 0, 7})
	f.Add(uint64(3), uint16(9), []byte{})
	f.Fuzz(func(t *testing.T, seed uint64, at uint16, spoil []byte) {
		dec, d := NewDecoder(s), newTeller(s, seed)
		n := 0
		var last Snapshot
		runTeller(t, d, dec, telling{12, 1, 2, 3, 6}, func(snap Snapshot, _ *View) {
			n++
			last = snap
		})
		if n == 0 {
			return
		}
		bad := append([]byte{}, last.Body...)
		for i, b := range spoil {
			if len(bad) > 0 {
				bad[(int(at)+i)%len(bad)] ^= b
			}
		}
		raw := Snapshot{Tick: last.Tick + 1 + throng.Tick(at%40), Body: append(bad, spoil...)}
		for _, snap := range []Snapshot{raw, {Tick: raw.Tick + 1, Young: true, Since: uint8(at % 32), Body: spoil}} {
			if err := dec.Apply(snap); err == nil {
				var v View
				dec.Fill(&v)
				dec.Hash()
				if v.Len() > maxCopies {
					t.Fatalf("%d entities", v.Len())
				}
			}
		}
		whole := newTeller(s, seed)
		whole.live(5)
		whole.tick = raw.Tick + 9
		snap := whole.snapshot(raw.Tick+10, 0)
		if err := dec.Apply(snap); err != nil || dec.Hash() != snap.Hash {
			t.Fatalf("a whole snapshot after it: %v", err)
		}
	})
}
