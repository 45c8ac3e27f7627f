package wire

import (
	"cmp"
	"hash/fnv"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/throng-gg/throng"
)

// Bounds of a schema.
const (
	MaxKinds       = 32
	MaxFields      = 32   // of one kind
	MaxName        = 32   // bytes
	MaxText        = 64   // bytes of a string field
	MaxEntities    = 4096 // of one world
	maxEntityBytes = 1000 // fields of one kind, so that an entity fits one payload
	maxSchemaBytes = 8192 // so that a schema fits one welcome
)

// FieldKind is the type of a replicated field.
type FieldKind uint8

// The kinds of fields.
const (
	FieldNumber  FieldKind = iota + 1 // steps of Precision from Min to Max
	FieldInteger                      // whole, from Min to Max
	FieldBool
	FieldString // up to Max bytes, at most MaxText; 0 means MaxText
)

// Field is one replicated field of an entity kind. Numbers and integers have
// at most 2^32 values between Min and Max.
type Field struct {
	Name      string
	Kind      FieldKind
	Min, Max  float64
	Precision float64 // of numbers only

	// Who sees it; others see Min, false or "". The owner of an entity sees all.
	Owner  bool    // nobody else
	Within float64 // who is this near; 0: whoever sees the entity
}

// Variant is which of an entity's fields a player sees: how many of the kind's
// distances (see Kind.Distances) he is within, and VariantOwner if it is his.
type Variant uint8

// VariantOwner sees all fields.
const VariantOwner Variant = 1 << 2

const (
	variantBits  = 3
	maxDistances = 3

	audienceOwner = 4
)

// Kind is a kind of entities. The one with index k is Schema.Kind(k).
type Kind struct {
	name   string
	fields []Field
	slots  []slot
	values int // fields that are integers on the wire
	texts  int // fields that are strings
	bits   int // of all fields, at most

	distances []float64 // of fields, the longest first
	owned     bool      // the owner alone sees some
	gait      Gait
	// Who sees each value and each text; see Audience.
	valueAudience, textAudience []uint8
}

// slot is where and how a field is kept.
type slot struct {
	kind  FieldKind
	index uint8  // among the kind's values, or its texts
	width uint8  // bits of a value
	top   uint32 // highest value; of a text: most bytes
	near  uint8  // seen by who is within so many distances
	owner bool   // seen by the owner alone
}

// seen says whether a player sees the field.
func (s *slot) seen(v Variant) bool {
	return v&VariantOwner != 0 || !s.owner && uint8(v) >= s.near
}

// Schema is the kinds of entities of one session, fixed before its first tick.
// Methods that read may be called from anywhere once it is.
type Schema struct {
	kinds []Kind
	bytes int
}

// Define adds a kind and returns its index. Invalid: more than 32 kinds or
// fields, a name that is empty, too long or taken, a bad range, or fields that
// do not fit one payload together.
func (s *Schema) Define(name string, fields []Field) (int, error) {
	if len(s.kinds) == MaxKinds {
		return 0, throng.Errorf(throng.Invalid, "kind %q is one too many: there can be %d", name, MaxKinds)
	}
	if err := checkWord("kind", name); err != nil {
		return 0, err
	}
	for i := range s.kinds {
		if s.kinds[i].name == name {
			return 0, throng.AtField(throng.Invalid, "kind "+name, "is defined already")
		}
	}
	if len(fields) > MaxFields {
		return 0, throng.AtField(throng.Invalid, "kind "+name, "has %d fields, at most %d are allowed", len(fields), MaxFields)
	}
	k := Kind{name: name}
	for _, f := range fields {
		if err := k.add(f); err != nil {
			return 0, err
		}
	}
	if len(k.distances) > maxDistances {
		return 0, throng.AtField(throng.Invalid, "kind "+name, "has fields with %d distances, at most %d are allowed", len(k.distances), maxDistances)
	}
	for i, f := range fields {
		s := &k.slots[i]
		s.near = uint8(slices.Index(k.distances, f.Within) + 1)
		audience := s.near
		if s.owner {
			k.owned, audience = true, audienceOwner
		}
		if s.kind == FieldString {
			k.textAudience = append(k.textAudience, audience)
		} else {
			k.valueAudience = append(k.valueAudience, audience)
		}
	}
	if k.bits > maxEntityBytes*8 {
		return 0, throng.AtField(throng.Invalid, "kind "+name, "takes up to %d bytes, at most %d are allowed", k.bits/8, maxEntityBytes)
	}
	size := len(appendKind(nil, &k))
	if s.bytes+size > maxSchemaBytes {
		return 0, throng.AtField(throng.Invalid, "kind "+name, "makes the schema longer than %d bytes", maxSchemaBytes)
	}
	s.bytes += size
	s.kinds = append(s.kinds, k)
	return len(s.kinds) - 1, nil
}

func (k *Kind) add(f Field) error {
	where := "field " + k.name + "." + f.Name
	if err := checkWord(where, f.Name); err != nil {
		return err
	}
	if _, taken := k.Field(f.Name); taken {
		return throng.AtField(throng.Invalid, where, "is defined already")
	}
	top, err := f.top(where)
	if err != nil {
		return err
	}
	if !(f.Within >= 0) || math.IsInf(f.Within, 0) {
		return throng.AtField(throng.Invalid, where, "is seen within %v, which is no distance", f.Within)
	}
	if f.Within > 0 && !slices.Contains(k.distances, f.Within) {
		k.distances = append(k.distances, f.Within)
		slices.SortFunc(k.distances, func(a, b float64) int { return cmp.Compare(b, a) })
	}
	at := slot{kind: f.Kind, top: top, owner: f.Owner}
	if f.Kind == FieldString {
		at.index = uint8(k.texts)
		k.texts++
		k.bits += 7 + 8*int(top)
	} else {
		at.index, at.width = uint8(k.values), width(top)
		k.values++
		k.bits += int(at.width)
	}
	k.fields, k.slots = append(k.fields, f), append(k.slots, at)
	return nil
}

// top is the highest integer that the field takes; of a string, its length.
func (f Field) top(where string) (uint32, error) {
	switch f.Kind {
	case FieldNumber:
		if !(f.Precision > 0) || math.IsInf(f.Precision, 0) {
			return 0, throng.AtField(throng.Invalid, where, "has precision %v, which is not above 0", f.Precision)
		}
		return f.steps(where)
	case FieldInteger:
		if f.Min != math.Trunc(f.Min) || f.Max != math.Trunc(f.Max) {
			return 0, throng.AtField(throng.Invalid, where, "goes from %v to %v, which are not whole", f.Min, f.Max)
		}
		return f.steps(where)
	case FieldBool:
		return 1, nil
	case FieldString:
		if f.Max == 0 {
			return MaxText, nil
		}
		if !(f.Max >= 1 && f.Max <= MaxText) || f.Max != math.Trunc(f.Max) {
			return 0, throng.AtField(throng.Invalid, where, "has at most %v bytes, which is not 1 to %d", f.Max, MaxText)
		}
		return uint32(f.Max), nil
	}
	return 0, throng.AtField(throng.Invalid, where, "has the unknown type %d", f.Kind)
}

func (f Field) steps(where string) (uint32, error) {
	const largest = 1 << 53
	if !(f.Min >= -largest && f.Max <= largest && f.Min < f.Max) {
		return 0, throng.AtField(throng.Invalid, where, "goes from %v to %v", f.Min, f.Max)
	}
	// A billionth forgives what division of decimal fractions adds.
	steps := math.Ceil((f.Max-f.Min)/f.step() - 1e-9)
	if steps > math.MaxUint32 {
		return 0, throng.AtField(throng.Invalid, where, "has %.0f steps, at most %d are allowed", steps, uint32(math.MaxUint32))
	}
	return uint32(max(steps, 1)), nil
}

func (f Field) step() float64 {
	if f.Kind == FieldNumber {
		return f.Precision
	}
	return 1
}

func checkWord(where, s string) error {
	if s == "" || len(s) > MaxName || !utf8.ValidString(s) {
		return throng.AtField(throng.Invalid, CutText(where, 80), "%q is not a name of 1 to %d bytes", CutText(s, 40), MaxName)
	}
	return nil
}

func width(top uint32) uint8 {
	n := uint8(0)
	for v := top; v > 0; v >>= 1 {
		n++
	}
	return n
}

// Len is the number of kinds.
func (s *Schema) Len() int { return len(s.kinds) }

// Kind returns the kind with index k, below Len.
func (s *Schema) Kind(k int) *Kind { return &s.kinds[k] }

// Hash is the same for the same kinds and fields in the same order, and the same
// tables of the range coder.
func (s *Schema) Hash() uint64 {
	h := fnv.New64a()
	h.Write(AppendSchema(nil, s))
	return h.Sum64()
}

// Name is what the place calls the kind.
func (k *Kind) Name() string { return k.name }

// Len is the number of fields.
func (k *Kind) Len() int { return len(k.fields) }

// At returns the field with index i, below Len.
func (k *Kind) At(i int) Field { return k.fields[i] }

// Field returns the index of the field called name.
func (k *Kind) Field(name string) (int, bool) {
	for i := range k.fields {
		if k.fields[i].Name == name {
			return i, true
		}
	}
	return 0, false
}

// Bits is what all fields of an entity take at most, written in full.
func (k *Kind) Bits() int { return k.bits }

// Widths is how many bits each value has, in order.
func (k *Kind) Widths() []int {
	widths := make([]int, k.values)
	for _, s := range k.slots {
		if s.kind != FieldString {
			widths[s.index] = int(s.width)
		}
	}
	return widths
}

// Sizes is how many values and texts an entity of the kind has.
func (k *Kind) Sizes() (values, texts int) { return k.values, k.texts }

// Distances is within which fields of the kind are seen, the longest first; at most 3.
func (k *Kind) Distances() []float64 { return k.distances }

// Seen says whether a player sees the field with index i.
func (k *Kind) Seen(i int, v Variant) bool { return k.slots[i].seen(v) }

// Audience is who sees the i-th value: 0 everybody, 1 to 3 who is within so many
// distances, 4 the owner alone.
func (k *Kind) Audience(i int) int { return int(k.valueAudience[i]) }

// TextAudience is who sees the i-th text.
func (k *Kind) TextAudience(i int) int { return int(k.textAudience[i]) }

// Mask empties what a player does not see.
func (k *Kind) Mask(v Values, sees Variant) {
	if len(k.distances) == 0 && !k.owned {
		return
	}
	for i := range k.slots {
		s := &k.slots[i]
		switch {
		case s.seen(sees):
		case s.kind == FieldString:
			v.Texts[s.index] = ""
		default:
			v.Numbers[s.index] = 0
		}
	}
}
