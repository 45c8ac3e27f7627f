package wire

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
)

// testSchema has one field of every shape that is coded differently.
func testSchema(t interface{ Fatal(...any) }) *Schema {
	s := &Schema{}
	define := func(name string, fields ...Field) {
		if _, err := s.Define(name, fields); err != nil {
			t.Fatal(err)
		}
	}
	define("avatar",
		Field{Name: "x", Kind: FieldNumber, Min: 0, Max: 64, Precision: 1. / 64},
		Field{Name: "y", Kind: FieldNumber, Min: 0, Max: 64, Precision: 1. / 64},
		Field{Name: "angle", Kind: FieldNumber, Min: -180, Max: 180, Precision: 360. / 256},
		Field{Name: "alive", Kind: FieldBool},
		Field{Name: "health", Kind: FieldInteger, Min: 0, Max: 10},
		Field{Name: "name", Kind: FieldString, Max: 20},
	)
	define("flag",
		Field{Name: "wide", Kind: FieldNumber, Min: -1e6, Max: 1e6, Precision: 0.001},
		Field{Name: "score", Kind: FieldInteger, Min: -1 << 31, Max: 1<<31 - 1},
		Field{Name: "pair", Kind: FieldInteger, Min: 4, Max: 5},
		Field{Name: "text", Kind: FieldString},
	)
	define("mark")
	return s
}

// movingSchema has kinds that walk and stand in the way.
func movingSchema(t interface{ Fatal(...any) }) *Schema {
	s := &Schema{}
	place := []Field{{Name: "x", Kind: FieldNumber, Max: 64, Precision: 1. / 64}, {Name: "y", Kind: FieldNumber, Max: 64, Precision: 1. / 64}}
	angle := Field{Name: "angle", Kind: FieldNumber, Min: -math.Pi, Max: math.Pi, Precision: 1. / 32}
	side := func(name string) Field { return Field{Name: name, Kind: FieldNumber, Max: 8, Precision: 1. / 8} }
	for i, k := range []struct {
		name   string
		fields []Field
		gait   Gait
	}{
		{"walker", append(slices.Clone(place), angle), Gait{Speed: 6, Radius: 0.5, Turns: true}},
		{"pillar", append(slices.Clone(place), side("radius")), Gait{Solid: true}},
		{"wall", append(slices.Clone(place), side("width"), side("height")), Gait{Solid: true}},
		{"cart", slices.Clone(place), Gait{Speed: 2.5}},
	} {
		if _, err := s.Define(k.name, k.fields); err != nil {
			t.Fatal(err)
		}
		if err := s.SetGait(i, k.gait); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestGaits(t *testing.T) {
	s := movingSchema(t)
	got, err := ParseSchema(AppendSchema(nil, s))
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.Len() {
		if got, want := got.Kind(i).Gait(), s.Kind(i).Gait(); got != want {
			t.Errorf("kind %d: got %+v, want %+v", i, got, want)
		}
	}
	if got.Hash() != s.Hash() || got.bytes != s.bytes {
		t.Errorf("%d bytes with the hash %x came back, want %d with %x", got.bytes, got.Hash(), s.bytes, s.Hash())
	}
	const walker, pillar, cart = 0, 1, 3
	for _, c := range []struct {
		kind int
		gait Gait
		want string
	}{
		{9, Gait{}, "no kind 9"},
		{walker, Gait{Speed: -1}, "speed -1"},
		{walker, Gait{Speed: math.NaN()}, "speed NaN"},
		{walker, Gait{Speed: math.Inf(1)}, "speed +Inf"},
		{walker, Gait{Speed: 1, Radius: -1}, "radius -1"},
		{walker, Gait{Radius: 1}, "without a speed"},
		{walker, Gait{Solid: true}, "no number width"},
		{pillar, Gait{Speed: 1, Turns: true}, "no number angle"},
		{cart, Gait{Solid: true}, "no number width"},
	} {
		if err := s.SetGait(c.kind, c.gait); throng.KindOf(err) != throng.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("kind %d, %+v: got %v, want Invalid with %q", c.kind, c.gait, err, c.want)
		}
	}
	// A walk without a speed can come from a network only.
	b := AppendSchema(nil, s)
	at := bytes.Index(b, appendDouble(nil, 2.5))
	copy(b[at:], appendDouble(nil, 0))
	if _, err := ParseSchema(b); throng.KindOf(err) != throng.Invalid {
		t.Errorf("a walk without a speed: got %v, want Invalid", err)
	}
}

func TestTurns(t *testing.T) {
	angle := Field{Kind: FieldNumber, Min: -math.Pi, Max: math.Pi, Precision: 1. / 32}
	degrees := Field{Kind: FieldNumber, Min: 0, Max: 359, Precision: 1}
	other := Field{Kind: FieldNumber, Min: 0, Max: 64, Precision: 1. / 64}
	if got := [3]float64{angle.Turn(), degrees.Turn(), other.Turn()}; got != [3]float64{2 * math.Pi, 360, 0} {
		t.Errorf("got %v", got)
	}
}

func TestSchemaComesBack(t *testing.T) {
	want := testSchema(t)
	got, err := ParseSchema(AppendSchema(nil, want))
	if err != nil {
		t.Fatal(err)
	}
	if got.Hash() != want.Hash() || got.Len() != want.Len() {
		t.Fatal("the schema that came back has another hash")
	}
	for i := range want.Len() {
		if g, w := fmt.Sprint(got.Kind(i)), fmt.Sprint(want.Kind(i)); g != w {
			t.Errorf("kind %d: got %s, want %s", i, g, w)
		}
	}
	k := want.Kind(0)
	if got, want := k.Bits(), 13+13+9+1+4+7+20*8; got != want {
		t.Errorf("an avatar takes %d bits, want %d", got, want)
	}
	other := testSchema(t)
	if _, err := other.Define("more", nil); err != nil {
		t.Fatal(err)
	}
	if other.Hash() == want.Hash() {
		t.Error("another schema has the same hash")
	}
}

func TestQuantise(t *testing.T) {
	s := testSchema(t)
	cases := []struct {
		kind, field int
		set         float64
		want        float64
	}{
		{0, 0, 1.5, 1.5},
		{0, 0, 1.505, 1.5},
		{0, 0, -3, 0},
		{0, 0, math.Inf(1), 64},
		{0, 0, math.Inf(-1), 0},
		{0, 2, 180, 180},
		{0, 2, -180, -180},
		{0, 3, 7, 1},
		{0, 3, 0, 0},
		{0, 4, 3.4, 3},
		{0, 4, 99, 10},
		{1, 0, 1e6, 1e6},
		{1, 1, -1 << 31, -1 << 31},
		{1, 1, 1<<31 - 1, 1<<31 - 1},
		{1, 2, 4.6, 5},
	}
	for _, c := range cases {
		k := s.Kind(c.kind)
		values, texts := k.Sizes()
		e := Entity{Values: make([]uint32, values), Texts: make([]string, texts)}
		index, v, ok := k.Quantise(c.field, c.set)
		if !ok {
			t.Fatalf("%+v: no such field", c)
		}
		e.Values[index] = v
		if got := k.Number(e, c.field); got != c.want {
			t.Errorf("%s set to %v: got %v, want %v", k.At(c.field).Name, c.set, got, c.want)
		}
	}
	k := s.Kind(0)
	for _, field := range []int{-1, 5, 6} {
		if _, _, ok := k.Quantise(field, 1); ok {
			t.Errorf("field %d took a number", field)
		}
	}
	if _, _, ok := k.TextSlot(0); ok {
		t.Error("a number took a string")
	}
}

func TestDefineRefuses(t *testing.T) {
	number := Field{Name: "n", Kind: FieldNumber, Min: 0, Max: 1, Precision: 0.1}
	with := func(change func(*Field)) []Field {
		f := number
		change(&f)
		return []Field{f}
	}
	cases := map[string][]Field{
		"no name":           with(func(f *Field) { f.Name = "" }),
		"long name":         with(func(f *Field) { f.Name = strings.Repeat("n", MaxName+1) }),
		"twice":             {number, number},
		"no type":           with(func(f *Field) { f.Kind = 0 }),
		"unknown type":      with(func(f *Field) { f.Kind = 9 }),
		"empty range":       with(func(f *Field) { f.Max = 0 }),
		"not a number":      with(func(f *Field) { f.Min = math.NaN() }),
		"no precision":      with(func(f *Field) { f.Precision = 0 }),
		"bad precision":     with(func(f *Field) { f.Precision = math.NaN() }),
		"too precise":       with(func(f *Field) { f.Precision = 1e-12 }),
		"endless":           with(func(f *Field) { f.Max = math.Inf(1) }),
		"not whole":         with(func(f *Field) { f.Kind = FieldInteger; f.Max = 1.5 }),
		"too many integers": with(func(f *Field) { f.Kind = FieldInteger; f.Max = 1 << 32 }),
		"long string":       with(func(f *Field) { f.Kind = FieldString; f.Max = MaxText + 1 }),
		"bad string":        with(func(f *Field) { f.Kind = FieldString; f.Max = math.NaN() }),
	}
	var many, texts []Field
	for i := range MaxFields + 1 {
		many = append(many, Field{Name: fmt.Sprint(i), Kind: FieldBool})
		texts = append(texts, Field{Name: fmt.Sprint(i), Kind: FieldString})
	}
	cases["too many fields"], cases["too long for a payload"] = many, texts[:MaxFields]
	for what, fields := range cases {
		s := testSchema(t)
		before := s.Hash()
		if _, err := s.Define("kind", fields); throng.KindOf(err) != throng.Invalid {
			t.Errorf("%s: got %v, want Invalid", what, err)
		}
		if s.Hash() != before {
			t.Errorf("%s: the schema changed all the same", what)
		}
	}
	s := &Schema{}
	for i := range MaxKinds {
		if _, err := s.Define(fmt.Sprint(i), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Define("more", nil); throng.KindOf(err) != throng.Invalid {
		t.Errorf("kind 33: got %v, want Invalid", err)
	}
}

func TestSchemaIsBoundedByTheWelcome(t *testing.T) {
	s := &Schema{}
	var err error
	for k := 0; k < MaxKinds && err == nil; k++ {
		var fields []Field
		for i := range MaxFields {
			fields = append(fields, Field{Name: fmt.Sprintf("%032d", i), Kind: FieldNumber, Max: 1, Precision: 0.1})
		}
		_, err = s.Define(fmt.Sprint(k), fields)
	}
	if throng.KindOf(err) != throng.Invalid {
		t.Fatalf("got %v, want Invalid", err)
	}
	long := strings.Repeat("p", 64)
	w := Welcome{Protocol: Protocol, Player: throng.PlayerID(long), Session: throng.SessionID(long), Place: throng.PlaceID(long), Schema: s}
	if b := AppendWelcome(nil, w); len(b) > MaxMessage {
		t.Errorf("the longest welcome has %d bytes", len(b))
	}
}

func FuzzParseSchema(f *testing.F) {
	f.Add(AppendSchema(nil, testSchema(f)))
	f.Add([]byte{0})
	f.Add([]byte{1, 1, 'k', 255, 1, 'f', 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSchema(b)
		if err != nil {
			return
		}
		again, err := ParseSchema(AppendSchema(nil, s))
		if err != nil || again.Hash() != s.Hash() {
			t.Fatalf("it does not come back: %v", err)
		}
	})
}
