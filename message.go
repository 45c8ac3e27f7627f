package throng

import (
	"cmp"
	"math"
	"slices"
)

// Bounds of a Message.
const (
	MaxMessageName   = 32   // bytes of its name, and of a field's
	MaxMessageFields = 16   // that it has
	MaxMessageText   = 512  // bytes of a string
	MaxMessageSize   = 1000 // bytes in all, see Message.Size

	MessageRate  = 30 // messages that a client may send, a second
	MessageBurst = 60 // and that it may have saved up
)

// Message is what a place's script and a player's client tell each other beside
// the world and its inputs: in order, each once.
type Message struct {
	Name   string
	Fields []MessageField // in the order of their names
}

// MessageField is one value of a message.
type MessageField struct {
	Name  string
	Value any // bool, float64 (finite) or string
}

// Get is the value of a field; nil: there is none.
func (m Message) Get(name string) any {
	i, found := slices.BinarySearchFunc(m.Fields, name, func(f MessageField, name string) int { return cmp.Compare(f.Name, name) })
	if !found {
		return nil
	}
	return m.Fields[i].Value
}

// Size is what the message takes of MaxMessageSize: 3 bytes and its name, and for
// each field 2, its name, and 8 for a number or 2 and its bytes for a string.
func (m Message) Size() int {
	size := 3 + len(m.Name)
	for _, f := range m.Fields {
		size += 2 + len(f.Name)
		switch v := f.Value.(type) {
		case float64:
			size += 8
		case string:
			size += 2 + len(v)
		}
	}
	return size
}

// Check says what is wrong with a message: Invalid.
func (m Message) Check() error {
	if len(m.Name) < 1 || len(m.Name) > MaxMessageName {
		return AtField(Invalid, "name", "has %d bytes, 1 to %d are allowed", len(m.Name), MaxMessageName)
	}
	if len(m.Fields) > MaxMessageFields {
		return AtField(Invalid, "fields", "are %d, at most %d are allowed", len(m.Fields), MaxMessageFields)
	}
	before := ""
	for _, f := range m.Fields {
		if len(f.Name) < 1 || len(f.Name) > MaxMessageName {
			return AtField(Invalid, "fields", "one's name has %d bytes, 1 to %d are allowed", len(f.Name), MaxMessageName)
		}
		if f.Name <= before {
			return AtField(Invalid, "fields", "%q is there twice, or out of order", f.Name)
		}
		before = f.Name
		switch v := f.Value.(type) {
		case bool:
		case float64:
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return AtField(Invalid, "fields", "%s is no finite number", f.Name)
			}
		case string:
			if len(v) > MaxMessageText {
				return AtField(Invalid, "fields", "%s has %d bytes, at most %d are allowed", f.Name, len(v), MaxMessageText)
			}
		default:
			return AtField(Invalid, "fields", "%s is no bool, number or string", f.Name)
		}
	}
	if size := m.Size(); size > MaxMessageSize {
		return AtField(Invalid, "message "+m.Name, "takes %d bytes, at most %d are allowed", size, MaxMessageSize)
	}
	return nil
}
