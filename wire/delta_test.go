package wire

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/throng-gg/throng"
)

// same says how two views differ, "" if they do not.
func same(got, want *View, n int) string {
	if got.Len() != n {
		return fmt.Sprintf("%d entities, want %d", got.Len(), n)
	}
	for i := range n {
		if g, w := got.At(i), want.At(i); !reflect.DeepEqual(g, w) {
			return fmt.Sprintf("entity %d is %+v, want %+v", i, g, w)
		}
	}
	return ""
}

// drift makes the next view of a world: some entities move on, some jump, some
// change slowly, go or come.
type drift struct {
	schema *Schema
	r      *rand.Rand
	last   uint32
}

func (d *drift) next(from *View, spawn int) *View {
	to := &View{}
	to.Reset(from.Tick + 1)
	for i := range from.Len() {
		was := from.At(i)
		if d.r.IntN(50) == 0 {
			continue
		}
		k := d.schema.Kind(was.Kind)
		is := to.Add(k, was)
		copy(is.Values, was.Values)
		copy(is.Texts, was.Texts)
		d.change(k, is, was.ID)
	}
	for range spawn {
		d.last += 1 + uint32(d.r.IntN(2))*uint32(d.r.IntN(100))
		e := Entity{ID: d.last, Kind: d.r.IntN(d.schema.Len())}
		if d.r.IntN(2) == 0 {
			e.Owner = throng.PlayerID(fmt.Sprintf("player.%d", d.r.IntN(9)))
		}
		k := d.schema.Kind(e.Kind)
		in := to.Add(k, e)
		for i := range k.slots {
			if d.r.IntN(2) == 0 {
				d.set(&k.slots[i], in, d.r.Uint32())
			}
		}
	}
	return to
}

func (d *drift) change(k *Kind, e Entity, id uint32) {
	for j := range k.slots {
		s := &k.slots[j]
		switch d.r.IntN(12) {
		case 0:
			d.set(s, e, d.r.Uint32())
		case 1, 2, 3, 4, 5:
			if s.kind == FieldNumber {
				e.Values[s.index] = uint32(min(uint64(e.Values[s.index])+uint64(id%40), uint64(s.top)))
			}
		}
	}
}

func (d *drift) set(s *slot, e Entity, v uint32) {
	if s.kind == FieldString {
		e.Texts[s.index] = CutText(fmt.Sprintf("%d ünd mehr %d", v, v), int(s.top))
		return
	}
	e.Values[s.index] = uint32(uint64(v) % (uint64(s.top) + 1))
}

func TestDeltasComeBack(t *testing.T) {
	s := testSchema(t)
	rapid.Check(t, func(t *rapid.T) {
		d := &drift{schema: s, r: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))}
		views := []*View{{}}
		for range rapid.IntRange(2, 40).Draw(t, "ticks") {
			views = append(views, d.next(views[len(views)-1], rapid.IntRange(0, 60).Draw(t, "spawn")))
		}
		pick := func(what string, from, to int) (int, Prefix) {
			i := rapid.IntRange(from, to).Draw(t, what)
			if i == 0 {
				return i, Prefix{}
			}
			return i, Prefix{views[i], rapid.IntRange(0, views[i].Len()).Draw(t, what+" seen")}
		}
		last := len(views) - 1
		b, base := pick("base", max(0, last-31), last-1)
		_, older := pick("older", 0, max(0, b-1))
		enc, dec := NewEncoder(s), NewDecoder(s)
		var delta Delta
		for range 2 { // memory that was used before changes nothing
			enc.Encode(&delta, views[last], base, older)
		}
		got := decode(t, dec, &delta, base, older)
		if diff := same(got, views[last], delta.Seen.N); diff != "" {
			t.Fatal(diff)
		}
		if got.Hash() != views[last].HashThrough(delta.Seen.N) {
			t.Fatal("the same view has another hash")
		}
		if delta.Through == 0 && delta.Seen.N != views[last].Len() {
			t.Fatalf("%d of %d entities are called all", delta.Seen.N, views[last].Len())
		}
	})
}

// decode is what a client does that saw base and older.
func decode(t interface{ Fatalf(string, ...any) }, dec *Decoder, d *Delta, base, older Prefix) *View {
	cut := func(p Prefix) *View {
		if p.View == nil {
			return nil
		}
		v := *p.View
		v.records = v.records[:p.N]
		return &v
	}
	head := Snapshot{Tick: d.Seen.View.Tick, Parts: uint8(len(d.Bodies)), Base: base.Tick(), Older: older.Tick(), About: About{Through: d.Through}}
	var bodies [][]byte
	for _, b := range d.Bodies {
		if len(b) > MaxBody {
			t.Fatalf("a body has %d bytes, at most %d fit", len(b), MaxBody)
		}
		bodies = append(bodies, b)
	}
	got := &View{}
	if err := dec.Apply(got, head, cut(base), cut(older), bodies...); err != nil {
		t.Fatalf("apply: %v", err)
	}
	return got
}

func TestABigWorldIsSeenPieceByPiece(t *testing.T) {
	s := testSchema(t)
	d := &drift{schema: s, r: rand.New(rand.NewPCG(1, 2))}
	world := d.next(&View{}, MaxEntities)
	enc, dec := NewEncoder(s), NewDecoder(s)
	var delta Delta
	base := Prefix{}
	for steps := 1; ; steps++ {
		from := base.N
		enc.Encode(&delta, world, base, Prefix{})
		if len(delta.Bodies) > catchUpParts {
			t.Fatalf("step %d has %d parts, want at most %d", steps, len(delta.Bodies), catchUpParts)
		}
		if diff := same(decode(t, dec, &delta, base, Prefix{}), world, delta.Seen.N); diff != "" {
			t.Fatalf("step %d: %s", steps, diff)
		}
		if delta.Through == 0 {
			break
		}
		if delta.Seen.N <= from {
			t.Fatalf("step %d shows %d entities after %d", steps, delta.Seen.N, from)
		}
		next := *world
		next.Tick++
		world, base = &next, Prefix{world, delta.Seen.N}
	}
}

func TestWhatDoesNotFitIsCut(t *testing.T) {
	s := testSchema(t)
	d := &drift{schema: s, r: rand.New(rand.NewPCG(3, 4))}
	was := d.next(&View{}, MaxEntities)
	is := &View{}
	is.Reset(2)
	for i := range was.Len() {
		e := was.At(i)
		k := s.Kind(e.Kind)
		in := is.Add(k, e)
		for j := range k.slots {
			d.set(&k.slots[j], in, d.r.Uint32())
		}
	}
	var delta Delta
	base := Prefix{was, was.Len()}
	NewEncoder(s).Encode(&delta, is, base, Prefix{})
	if len(delta.Bodies) != MaxParts || delta.Through == 0 || delta.Seen.N == 0 || delta.Seen.N == is.Len() {
		t.Fatalf("%d parts, through %d, %d of %d seen", len(delta.Bodies), delta.Through, delta.Seen.N, is.Len())
	}
	if diff := same(decode(t, NewDecoder(s), &delta, base, Prefix{}), is, delta.Seen.N); diff != "" {
		t.Fatal(diff)
	}
}

// What moves in a line is expected and takes no room.
func TestLinesAreExpected(t *testing.T) {
	s := testSchema(t)
	at := func(tick throng.Tick) *View {
		v := &View{}
		v.Reset(tick)
		for id := range uint32(50) {
			e := v.Add(s.Kind(0), Entity{ID: id + 1})
			e.Values[0], e.Values[1] = 100+11*uint32(tick), 3000-uint32(tick)*id
		}
		return v
	}
	now, base, older := at(20), at(15), at(10)
	var delta Delta
	NewEncoder(s).Encode(&delta, now, Prefix{base, 50}, Prefix{older, 50})
	if got := len(delta.Bodies[0]); got != 1 {
		t.Errorf("50 entities on their way take %d bytes, want 1", got)
	}
	NewEncoder(s).Encode(&delta, now, Prefix{base, 50}, Prefix{})
	if got := len(delta.Bodies[0]); got < 100 {
		t.Errorf("50 entities take %d bytes without an older view: they do not move", got)
	}
}

func TestHashFindsEveryChange(t *testing.T) {
	s := testSchema(t)
	rapid.Check(t, func(t *rapid.T) {
		d := &drift{schema: s, r: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))}
		v := d.next(&View{}, rapid.IntRange(1, 30).Draw(t, "entities"))
		want := v.Hash()
		differs := func(what string) {
			if v.Hash() == want {
				t.Fatalf("%s does not change the hash", what)
			}
		}
		for i := range v.values {
			bit := uint32(1) << rapid.IntRange(0, 31).Draw(t, "bit")
			v.values[i] ^= bit
			differs("a value")
			v.values[i] ^= bit
		}
		for i, was := range v.texts {
			v.texts[i] = was + "\x00"
			differs("a text")
			v.texts[i] = was
		}
		for i := range v.records {
			was := v.records[i]
			v.records[i].id ^= 1 << 20
			differs("an ID")
			v.records[i] = was
			v.records[i].kind ^= 1
			differs("a kind")
			v.records[i] = was
			v.records[i].owner += "x"
			differs("an owner")
			v.records[i] = was
		}
		d.r.Shuffle(len(v.records), func(i, j int) { v.records[i], v.records[j] = v.records[j], v.records[i] })
		if v.Hash() != want {
			t.Fatal("the order changes the hash")
		}
		v.records = v.records[1:]
		differs("a lost entity")
	})
}

func TestTrendRoundsTheSameWayEverywhere(t *testing.T) {
	cases := []struct {
		ahead, behind           int64
		base, older, top, wants uint32
	}{
		{4, 4, 100, 90, 1000, 110},
		{1, 2, 100, 99, 1000, 101}, // 100.5
		{1, 2, 99, 100, 1000, 99},  // 98.5
		{1, 3, 99, 101, 1000, 98},  // 98.33
		{31, 1, 100, 0, 1000, 1000},
		{31, 1, 0, 100, 1000, 0},
		{30, 1, 1<<32 - 1, 0, 1<<32 - 1, 1<<32 - 1},
	}
	for _, c := range cases {
		if got := (trend{c.ahead, c.behind}).at(c.base, c.older, c.top); got != c.wants {
			t.Errorf("%+v: got %d", c, got)
		}
	}
}

func FuzzApply(f *testing.F) {
	s := testSchema(f)
	d := &drift{schema: s, r: rand.New(rand.NewPCG(5, 6))}
	views := []*View{{}}
	for range 8 {
		views = append(views, d.next(views[len(views)-1], 12))
	}
	var delta Delta
	enc := NewEncoder(s)
	base, older := Prefix{views[6], views[6].Len()}, Prefix{views[4], views[4].Len()}
	enc.Encode(&delta, views[8], base, older)
	f.Add(delta.Bodies[0], uint32(0))
	enc.Encode(&delta, views[8], Prefix{}, Prefix{})
	f.Add(delta.Bodies[0], uint32(40))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, uint32(0))
	dec := NewDecoder(s)
	f.Fuzz(func(t *testing.T, body []byte, through uint32) {
		for _, from := range []*View{nil, views[6]} {
			head := Snapshot{Tick: 8, Parts: 1, About: About{Through: through}}
			var before *View
			if from != nil {
				head.Base, head.Older, before = 6, 4, views[4]
			}
			got := &View{}
			if err := dec.Apply(got, head, from, before, body, body); err != nil {
				continue
			}
			// What was accepted is a world that a server could have sent.
			if got.Len() > MaxEntities {
				t.Fatalf("%d entities", got.Len())
			}
			for i := range got.Len() {
				k := s.Kind(got.At(i).Kind)
				for j := range k.slots {
					sl := &k.slots[j]
					if sl.kind == FieldString && len(got.At(i).Texts[sl.index]) > int(sl.top) ||
						sl.kind != FieldString && got.At(i).Values[sl.index] > sl.top {
						t.Fatalf("entity %+v is out of range", got.At(i))
					}
				}
				if i > 0 && got.At(i).ID <= got.At(i-1).ID {
					t.Fatal("IDs do not go up")
				}
			}
		}
	})
}
