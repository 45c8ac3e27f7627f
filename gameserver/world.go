package gameserver

import (
	"cmp"
	"math"
	"slices"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

// World is a session's entities as integers, so that the server and its clients
// see the same, and what they were in the last wire.History ticks. It belongs
// to the loop.
type World struct {
	schema   wire.Schema
	rules    []Rule    // by kind
	entities []*entity // in the order of their IDs
	last     uint32    // ID, counted from 1 and never used again
	owned    map[throng.PlayerID][]*entity

	now    throng.Tick // of the newest Commit; 0: none
	grid   grid        // of now
	tokens []wire.Token
	view   wire.View // of View
	out    [][]byte  // payloads of the last Replica.Payloads, reused
}

// NewWorld returns an empty world.
func NewWorld() *World { return &World{owned: map[throng.PlayerID][]*entity{}} }

// Define makes an entity kind and returns its index. Invalid: see
// wire.Schema.Define, or the first tick is over.
func (w *World) Define(name string, fields []wire.Field) (int, error) {
	if w.now != 0 {
		return 0, throng.AtField(throng.Invalid, "kind "+wire.CutText(name, wire.MaxName), "must be defined at the start")
	}
	kind, err := w.schema.Define(name, fields)
	if err == nil {
		w.rules = append(w.rules, plainRule(w.schema.Kind(kind)))
	}
	return kind, err
}

// Spawn makes an entity; its fields are at their minimum or empty. Full: there
// are wire.MaxEntities already. Invalid: no such kind, or an owner of more than
// 64 bytes.
func (w *World) Spawn(kind int, owner throng.PlayerID) (uint32, error) {
	if kind < 0 || kind >= w.schema.Len() {
		return 0, throng.Errorf(throng.Invalid, "there is no kind %d", kind)
	}
	if len(w.entities) >= wire.MaxEntities || w.last == math.MaxUint32-1 {
		return 0, throng.Errorf(throng.Full, "there are %d entities already", len(w.entities))
	}
	if len(owner) > wire.MaxText {
		return 0, throng.Errorf(throng.Invalid, "the owner has %d bytes, at most %d are allowed", len(owner), wire.MaxText)
	}
	values, texts := w.schema.Kind(kind).Sizes()
	w.last++
	e := &entity{
		id: w.last, kind: kind, owner: owner,
		values: make([]uint32, values), texts: make([]string, texts),
		past: wire.Values{Numbers: make([]uint32, values*wire.History), Texts: make([]string, texts*wire.History)},
	}
	w.entities = append(w.entities, e)
	if owner != "" {
		w.owned[owner] = append(w.owned[owner], e)
	}
	return w.last, nil
}

// Remove ends an entity. Unknown ones are no error.
func (w *World) Remove(id uint32) {
	i, found := w.find(id)
	if !found {
		return
	}
	e := w.entities[i]
	e.removed = true
	w.entities = slices.Delete(w.entities, i, i+1)
	if e.owner == "" {
		return
	}
	left := slices.DeleteFunc(w.owned[e.owner], func(o *entity) bool { return o == e })
	if w.owned[e.owner] = left; len(left) == 0 {
		delete(w.owned, e.owner)
	}
}

// SetNumber sets a number, integer or bool (0 is false), clamped to its range.
// NotFound: no such entity. Invalid: no such number, or v is NaN.
func (w *World) SetNumber(id uint32, field int, v float64) error {
	i, found := w.find(id)
	if !found {
		return noEntity(id)
	}
	if math.IsNaN(v) {
		return throng.Errorf(throng.Invalid, "field %d of entity %d is set to something that is not a number", field, id)
	}
	e := w.entities[i]
	index, value, ok := w.schema.Kind(e.kind).Quantise(field, v)
	if !ok {
		return throng.Errorf(throng.Invalid, "kind %s has no number with index %d", w.schema.Kind(e.kind).Name(), field)
	}
	e.values[index] = value
	return nil
}

// SetString sets a string, cut at its limit. NotFound: no such entity. Invalid:
// no such string.
func (w *World) SetString(id uint32, field int, v string) error {
	i, found := w.find(id)
	if !found {
		return noEntity(id)
	}
	e := w.entities[i]
	index, most, ok := w.schema.Kind(e.kind).TextSlot(field)
	if !ok {
		return throng.Errorf(throng.Invalid, "kind %s has no string with index %d", w.schema.Kind(e.kind).Name(), field)
	}
	e.texts[index] = wire.CutText(v, most)
	return nil
}

// Number is what clients see of a number, integer or bool; 0 if there is none.
func (w *World) Number(id uint32, field int) float64 {
	e, k := w.entity(id)
	if k == nil {
		return 0
	}
	return k.Number(e, field)
}

// Text is what clients see of a string, "" if there is none.
func (w *World) Text(id uint32, field int) string {
	e, k := w.entity(id)
	if k == nil {
		return ""
	}
	return k.Text(e, field)
}

// Len is the number of entities.
func (w *World) Len() int { return len(w.entities) }

func (w *World) entity(id uint32) (wire.Entity, *wire.Kind) {
	i, found := w.find(id)
	if !found {
		return wire.Entity{}, nil
	}
	e := w.entities[i]
	return e.wire(), w.schema.Kind(e.kind)
}

func (e *entity) wire() wire.Entity {
	return wire.Entity{ID: e.id, Kind: e.kind, Owner: e.owner, Values: e.values, Texts: e.texts}
}

// placeOf is where a player's entity is, as of the newest Commit; false: it is gone.
func (w *World) placeOf(p throng.PlayerID, id uint32) (x, y float64, there bool) {
	if i, found := w.find(id); found && w.entities[i].owner == p {
		return w.entities[i].x, w.entities[i].y, true
	}
	return 0, 0, false
}

// firstOf is where a player's first entity with a place is; entity 0: he has none.
func (w *World) firstOf(p throng.PlayerID) (x, y float64, entity uint32) {
	for _, e := range w.entities {
		if e.owner == p && w.rules[e.kind].placed && e.born != 0 {
			return e.x, e.y, e.id
		}
	}
	return 0, 0, 0
}

func (w *World) find(id uint32) (int, bool) {
	return slices.BinarySearchFunc(w.entities, id, func(e *entity, id uint32) int { return cmp.Compare(e.id, id) })
}

func noEntity(id uint32) error { return throng.Errorf(throng.NotFound, "there is no entity %d", id) }

// Schema is the kinds that were defined.
func (w *World) Schema() *wire.Schema { return &w.schema }
