package wire

import (
	"testing"

	"github.com/throng-gg/throng"
)

// forge writes one body by hand.
func forge(write func(w *bitWriter)) []byte {
	var w bitWriter
	write(&w)
	w.bits(0, 32)
	return w.finish()
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
	base := &View{}
	base.Reset(1)
	for id := uint32(1); id <= 3; id++ {
		base.Add(s.Kind(0), Entity{ID: id * 10}).Values[0] = 999
	}
	end := func(w *bitWriter) { w.bits(0, 1); w.count(0) }
	add := func(id uint32) func(w *bitWriter) {
		return func(w *bitWriter) { end(w); w.bits(1, 1); w.bits(id, 32); w.bits(0, 5+1+10+4+7) }
	}
	cases := map[string]struct {
		through uint32
		bodies  [][]byte
	}{
		"a difference above the range": {0, [][]byte{forge(func(w *bitWriter) { w.bits(0b11, 2); w.bits(2<<1, 3); w.bits(0, 2) })}},
		"a value above the range":      {0, [][]byte{forge(func(w *bitWriter) { w.bits(0b11, 2); w.bits(0b111, 3); w.bits(1001, 10); w.bits(0, 2) })}},
		"a small value above it":       {0, [][]byte{forge(func(w *bitWriter) { w.bits(0b101, 3); w.bits(11, 4); w.bits(0, 1) })}},
		"a long text":                  {0, [][]byte{forge(func(w *bitWriter) { w.bits(0b1001, 4); w.text("12345") })}},
		"a gap past the end":           {0, [][]byte{forge(func(w *bitWriter) { w.bits(0, 1); w.count(3); w.bits(0b111, 3) })}},
		"a change after an add":        {0, [][]byte{forge(add(40)), forge(func(w *bitWriter) { w.bits(0b1, 4) })}},
		"a change backwards":           {0, [][]byte{forge(func(w *bitWriter) { w.bits(0, 1); w.count(2); w.bits(0, 3) }), forge(func(w *bitWriter) { w.bits(0b1, 4) })}},
		"a removal taken back":         {0, [][]byte{forge(func(w *bitWriter) { w.bits(0b1, 4) }), forge(func(w *bitWriter) { w.bits(0b101, 3); w.bits(5, 4); w.bits(0, 1) })}},
		"a change beyond the view":     {5, [][]byte{forge(func(w *bitWriter) { w.bits(0b1, 4) })}},
		"an add beyond the view":       {39, [][]byte{forge(add(40))}},
		"an entity twice":              {0, [][]byte{forge(add(20))}},
		"a value of an add": {0, [][]byte{forge(func(w *bitWriter) {
			end(w)
			w.bits(1, 1)
			w.bits(40, 32)
			w.bits(0, 5+1)
			w.bits(1001, 10)
			w.bits(0, 4+7)
		})}},
		"a kind that is not there": {0, [][]byte{forge(func(w *bitWriter) { end(w); w.bits(1, 1); w.bits(40, 32); w.bits(1, 5); w.bits(0, 1+10+4+7) })}},
		"an end that is missing":   {0, [][]byte{{0b11}}},
		"nothing":                  {0, [][]byte{{}}},
	}
	dec := NewDecoder(s)
	apply := func(through uint32, bodies ...[]byte) error {
		return dec.Apply(&View{}, Snapshot{Tick: 2, Base: 1, About: About{Through: through}}, base, nil, bodies...)
	}
	for what, c := range cases {
		if err := apply(c.through, c.bodies...); throng.KindOf(err) != throng.Invalid {
			t.Errorf("%s: got %v, want Invalid", what, err)
		}
	}
	for what, body := range map[string][]byte{"no change": forge(func(*bitWriter) {}), "an add": forge(add(40)), "an add between": forge(add(15))} {
		if err := apply(0, body); err != nil {
			t.Errorf("%s: got %v, want none", what, err)
		}
	}
	many := forge(func(w *bitWriter) {
		end(w)
		for i := range uint32(MaxEntities) {
			w.bits(1, 1)
			if i == 0 {
				w.bits(40, 32)
			} else {
				w.count(0)
			}
			w.bits(0, 5+1+10+4+7)
		}
	})
	if err := apply(0, many); throng.KindOf(err) != throng.Invalid {
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
