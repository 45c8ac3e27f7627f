package script

import "github.com/throng-gg/throng"

// FieldKind is the type of a replicated field.
type FieldKind uint8

// The kinds of fields.
const (
	FieldNumber FieldKind = iota + 1 // quantised by Min, Max and Precision
	FieldInteger
	FieldBool
	FieldString // up to Max bytes, at most 64
)

// Field is one replicated field of an entity kind.
type Field struct {
	Name      string
	Kind      FieldKind
	Min, Max  float64
	Precision float64
}

// World is where a script's entities live: the session's replicated state.
// Entity IDs count from 1 and are not reused within 10 s.
type World interface {
	// Define makes an entity kind, at start only. Invalid: bad ranges, more
	// than 32 fields or 32 kinds.
	Define(name string, fields []Field) (kind int, err error)
	// Spawn makes an entity; its fields are at their minimum or empty. Full:
	// there are 4,096 already.
	Spawn(kind int, owner throng.PlayerID) (entity uint32, err error)
	// Remove ends an entity. Unknown ones are no error.
	Remove(entity uint32)
	// SetNumber sets a number, integer or bool (0 or 1), clamped to its range.
	SetNumber(entity uint32, field int, v float64) error
	// SetString sets a string, cut at its limit.
	SetString(entity uint32, field int, v string) error
}
