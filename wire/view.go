package wire

import (
	"cmp"
	"slices"

	"github.com/throng-gg/throng"
)

// View is a world at one tick as integers: entities in the order of their IDs. The
// zero View is empty. It keeps its memory when it is reset.
type View struct {
	Tick    throng.Tick
	records []record
	values  []uint32
	texts   []string
}

type record struct {
	id     uint32
	value  uint32 // where its values begin
	text   uint32 // where its texts begin
	values uint8
	texts  uint8
	kind   uint8
	age    uint8 // ticks ago that it was told, at most History
	owner  throng.PlayerID
}

// Entity is one entity of a view. Values and Texts belong to the view.
type Entity struct {
	ID     uint32
	Kind   int
	Owner  throng.PlayerID // empty: nobody's
	Values []uint32        // of number, integer and bool fields, in order
	Texts  []string        // of string fields, in order
}

// Reset empties the view and names its tick.
func (v *View) Reset(t throng.Tick) {
	v.Tick = t
	v.records, v.values = v.records[:0], v.values[:0]
	clear(v.texts)
	v.texts = v.texts[:0]
}

// Add appends an entity, its fields at 0 and empty, for the caller to fill in
// before the next Add. IDs must go up.
func (v *View) Add(k *Kind, e Entity) Entity {
	r := record{
		id: e.ID, kind: uint8(e.Kind), owner: e.Owner,
		value: uint32(len(v.values)), values: uint8(k.values),
		text: uint32(len(v.texts)), texts: uint8(k.texts),
	}
	v.records = append(v.records, r)
	v.values = extend(v.values, k.values)
	v.texts = extend(v.texts, k.texts)
	return v.At(len(v.records) - 1)
}

func extend[T any](s []T, n int) []T {
	if n == 0 {
		return s
	}
	out := slices.Grow(s, n)[:len(s)+n]
	clear(out[len(s):])
	return out
}

// Len is the number of entities.
func (v *View) Len() int { return len(v.records) }

// At returns the i-th entity, below Len.
func (v *View) At(i int) Entity {
	r := &v.records[i]
	return Entity{
		ID: r.id, Kind: int(r.kind), Owner: r.owner,
		Values: v.values[r.value : r.value+uint32(r.values)],
		Texts:  v.texts[r.text : r.text+uint32(r.texts)],
	}
}

// Age is how many ticks before Tick the i-th entity was as it says, at most
// History. An entity that did not change since has an age, too.
func (v *View) Age(i int) int { return int(v.records[i].age) }

// SetAge says that the i-th entity was told so many ticks before Tick.
func (v *View) SetAge(i, age int) { v.records[i].age = uint8(age) }

// Search returns the index of the entity with an ID.
func (v *View) Search(id uint32) (int, bool) {
	return slices.BinarySearchFunc(v.records, id, func(r record, id uint32) int { return cmp.Compare(r.id, id) })
}

// Find returns the entity with an ID.
func (v *View) Find(id uint32) (Entity, bool) {
	i, found := v.Search(id)
	if !found {
		return Entity{}, false
	}
	return v.At(i), true
}

// Copy makes the view a copy of another one.
func (v *View) Copy(from *View) {
	v.Tick = from.Tick
	v.records = append(v.records[:0], from.records...)
	v.values = append(v.values[:0], from.values...)
	v.texts = append(v.texts[:0], from.texts...)
}
