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
	entities []*entity // in the order of their IDs
	last     uint32    // ID, counted from 1 and never used again

	past   [wire.History]wire.View // by tick modulo wire.History
	now    throng.Tick             // of the newest of past; 0: none
	hashes hashes                  // of that one

	encoder *wire.Encoder // nil before the first Commit
	deltas  []cachedDelta // of now, used first
	used    int
	out     [][]byte // payloads of the last Replica.Payloads, reused
}

type entity struct {
	id     uint32
	kind   int
	owner  throng.PlayerID
	values []uint32
	texts  []string
}

// NewWorld returns an empty world.
func NewWorld() *World { return &World{} }

// Define makes an entity kind and returns its index. Invalid: see
// wire.Schema.Define, or the first tick is over.
func (w *World) Define(name string, fields []wire.Field) (int, error) {
	if w.now != 0 || len(w.entities) > 0 {
		return 0, throng.AtField(throng.Invalid, "kind "+wire.CutText(name, wire.MaxName), "must be defined at the start")
	}
	return w.schema.Define(name, fields)
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
	w.entities = append(w.entities, &entity{
		id: w.last, kind: kind, owner: owner, values: make([]uint32, values), texts: make([]string, texts),
	})
	return w.last, nil
}

// Remove ends an entity. Unknown ones are no error.
func (w *World) Remove(id uint32) {
	if i, found := w.find(id); found {
		w.entities = slices.Delete(w.entities, i, i+1)
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

func (w *World) find(id uint32) (int, bool) {
	return slices.BinarySearchFunc(w.entities, id, func(e *entity, id uint32) int { return cmp.Compare(e.id, id) })
}

func noEntity(id uint32) error { return throng.Errorf(throng.NotFound, "there is no entity %d", id) }

// Schema is the kinds that were defined.
func (w *World) Schema() *wire.Schema { return &w.schema }
