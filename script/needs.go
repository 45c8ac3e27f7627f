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

	Owner  bool    // only the entity's owner sees it
	Within float64 // who is this near sees it; 0: whoever sees the entity
}

// World is where a script's entities live: the session's replicated state.
// Entity IDs count from 1 and are not reused within 10 s.
type World interface {
	Kinds
	// Spawn makes an entity; its fields are at their minimum or empty. Full:
	// there are 4,096 already.
	Spawn(kind int, owner throng.PlayerID) (entity uint32, err error)
	// Remove ends an entity. Unknown ones are no error.
	Remove(entity uint32)
	Values
	Sight
}

// Kinds are the kinds of a World's entities.
type Kinds interface {
	// Define makes an entity kind, at start only. Invalid: bad ranges, more
	// than 32 fields or 32 kinds.
	Define(name string, fields []Field) (kind int, err error)
	// Gait says how entities of a kind move, for clients that show a player's own
	// before the server does. At start only. Invalid: the kind lacks the fields.
	Gait(kind int, g Gait) error
}

// Gait is how entities of a kind move and stand in the way; see wire.Gait.
type Gait struct {
	Speed  float64 // a second at full input; 0: not said
	Radius float64 // of the circle that solid entities stop; 0: none do
	Turns  bool    // the field angle is where it goes
	Solid  bool    // it stops others
}

// Values are the fields of a World's entities.
type Values interface {
	// SetNumber sets a number, integer or bool (0 or 1), clamped to its range.
	SetNumber(entity uint32, field int, v float64) error
	// SetString sets a string, cut at its limit.
	SetString(entity uint32, field int, v string) error
}

// Sight is who sees what of a World, and what they saw.
type Sight interface {
	// Rule says how far entities of a kind are seen, 0: everywhere, and how much
	// they weigh when there is not room for all, 0: 1. At start only. Invalid: a
	// distance of a kind without numbers x and y.
	Rule(kind int, seen, weight float64) error
	// Past is a number, integer or bool as it was so many ticks ago, at most 31;
	// false: the entity was not there, or it has no such field.
	Past(entity uint32, field, ticks int) (float64, bool)
}

// Store keeps what players own when they leave: their profile, and what the
// ledger says. Its methods do not wait; the VM is told what came of a call after
// its method has returned. VM.Loaded tells of a profile, once for every player
// who joins, and whenever that changes.
type Store interface {
	// Save keeps a player's document; VM.Saved is told. call 0: he left, and
	// nobody waits for the answer.
	Save(call uint64, p throng.PlayerID, document []byte)
	// Post posts a transfer; VM.Posted is told. Its members' epochs are the
	// Store's to fill in, and its ID when it has none.
	Post(call uint64, t throng.Transfer)
	// Balance reads what a player owns; VM.Held is told.
	Balance(call uint64, p throng.PlayerID)
}
