package client

import (
	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

// Entity is one thing in the world. It is good until the next Receive.
type Entity struct {
	entity wire.Entity
	kind   *wire.Kind
}

// Entities gives all entities of the newest snapshot in the order of their IDs.
func (w *World) Entities(yield func(Entity) bool) {
	for i := range w.Len() {
		if !yield(w.entity(i)) {
			return
		}
	}
}

// Own is the first entity that belongs to this player; false when there is none.
func (w *World) Own() (Entity, bool) {
	for i := range w.Len() {
		if e := w.entity(i); e.entity.Owner == w.welcome.Player {
			return e, true
		}
	}
	return Entity{}, false
}

// Len is the number of entities of the newest snapshot.
func (w *World) Len() int {
	return w.shown.Len()
}

func (w *World) entity(i int) Entity {
	e := w.shown.At(i)
	return Entity{entity: e, kind: w.welcome.Schema.Kind(e.Kind)}
}

// ID counts from 1 and is never used again in a session.
func (e Entity) ID() uint32 { return e.entity.ID }

// Owner is the player whose entity it is; empty: nobody's.
func (e Entity) Owner() throng.PlayerID { return e.entity.Owner }

// Kind is the name that the place gave to entities of this kind.
func (e Entity) Kind() string { return e.kind.Name() }

// Field returns the index of a field by its name.
func (e Entity) Field(name string) (int, bool) { return e.kind.Field(name) }

// Number is a number, an integer, or a bool as 0 or 1; 0 if there is none.
func (e Entity) Number(field int) float64 { return e.kind.Number(e.entity, field) }

// Text is a string; "" if there is none.
func (e Entity) Text(field int) string { return e.kind.Text(e.entity, field) }

// View is the newest of each entity as integers, empty before the first snapshot. It
// is good until the next Receive.
func (w *World) View() *wire.View { return &w.shown }
