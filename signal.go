package throng

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a place's own signals.
const (
	MaxSignals      = 8    // of a place
	MaxSignalName   = 24   // characters
	MaxCategory     = 32   // characters of a category
	MaxCategories   = 12   // that are counted of one session and signal; the others count as unknown
	MaxAttributes   = 4096 // bytes of SessionAttributes; all that is valid fits
	maxSignalNumber = 1e15 // either way
	maxCount        = 1000 // players in one category
)

// SignalKind is what the values of a signal are.
type SignalKind uint8

// The kinds of signals.
const (
	SignalNumber   SignalKind = iota + 1 // near is alike
	SignalCategory                       // the same is alike
)

// String returns the word that manifests use.
func (k SignalKind) String() string {
	switch k {
	case SignalNumber:
		return "number"
	case SignalCategory:
		return "category"
	}
	return "unknown"
}

// MarshalText writes the word that manifests use.
func (k SignalKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText is MarshalText's reverse.
func (k *SignalKind) UnmarshalText(text []byte) error {
	for _, known := range []SignalKind{SignalNumber, SignalCategory} {
		if known.String() == string(text) {
			*k = known
			return nil
		}
	}
	return AtField(Invalid, "kind", "%q is not number or category", clip(string(text)))
}

// Wish is what a party brings to one of the place's own signals. Signals to
// which it brings nothing count for nothing.
type Wish struct {
	Signal   Signal  `json:"signal"`
	Number   float64 `json:"number,omitempty"`
	Category string  `json:"category,omitempty"`
}

// Signal is one of a place's own: something that players bring and sessions
// have, and that counts when a session is chosen.
type Signal struct {
	Name string     `json:"name"`
	Kind SignalKind `json:"kind"`
	// Range is the difference from which on two numbers are not alike at all:
	// the signal is 1 - min(|session - player|, Range)/Range. Over 0; of numbers
	// only.
	Range  float64 `json:"range,omitempty"`
	Weight float64 `json:"weight"` // 0 to 100
}

// FindSignal returns the signal of a name.
func FindSignal(signals []Signal, name string) (Signal, bool) {
	i := slices.IndexFunc(signals, func(s Signal) bool { return s.Name == name })
	if i < 0 {
		return Signal{}, false
	}
	return signals[i], true
}

// ParseSignalName checks a signal's name: 1 to MaxSignalName of [a-z0-9_], from
// a letter on.
func ParseSignalName(field, s string) (string, error) {
	if len(s) == 0 || len(s) > MaxSignalName {
		return "", AtField(Invalid, field, "must have 1 to %d characters, has %d", MaxSignalName, len(s))
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || i > 0 && (c == '_' || c >= '0' && c <= '9') {
			continue
		}
		return "", AtField(Invalid, field, "%q is not like skill_level: a-z, then 0-9 and _ too", clip(s))
	}
	return s, nil
}

// ParseCategory checks a category: 1 to MaxCategory of [A-Za-z0-9_.:-].
func ParseCategory(field, s string) (string, error) {
	if len(s) > MaxCategory {
		return "", AtField(Invalid, field, "has %d characters, a category has at most %d", len(s), MaxCategory)
	}
	_, err := ParseTicketID(field, s)
	return s, err
}

// ParseSignalNumber checks a number: finite, at most 1e15 either way.
func ParseSignalNumber(field string, v float64) (float64, error) {
	if math.IsNaN(v) || math.Abs(v) > maxSignalNumber {
		return 0, AtField(Invalid, field, "is not a number within -1e15 and 1e15")
	}
	return v, nil
}

// Attribute is a player's value of one signal, or what a script says of its
// session: a category if Category is not empty, or a number.
type Attribute struct {
	Name     string  `json:"name"`
	Number   float64 `json:"number,omitempty"`
	Category string  `json:"category,omitempty"`
}

// MakeAttribute takes a JSON value: a number, or a category. Whether it is one of
// a signal is not checked. False: it can be none.
func MakeAttribute(name string, value any) (Attribute, bool) {
	switch v := value.(type) {
	case float64:
		return Attribute{Name: name, Number: v}, true
	case string:
		return Attribute{Name: name, Category: v}, v != ""
	}
	return Attribute{}, false
}

// Kind is the kind of signal that the attribute is a value of.
func (a Attribute) Kind() SignalKind {
	if a.Category != "" {
		return SignalCategory
	}
	return SignalNumber
}

// Check says whether the attribute is a valid value of one of the signals.
// Invalid: no such signal, or not of its kind.
func (a Attribute) Check(field string, signals []Signal) error {
	s, ok := FindSignal(signals, a.Name)
	if !ok {
		return AtField(Invalid, field, "is no signal of this place; %s", signalNames(signals))
	}
	if s.Kind != a.Kind() {
		return AtField(Invalid, field, "is not a %s, which signal %s is", s.Kind, s.Name)
	}
	var err error
	if s.Kind == SignalNumber {
		_, err = ParseSignalNumber(field, a.Number)
	} else {
		_, err = ParseCategory(field, a.Category)
	}
	return err
}

func signalNames(signals []Signal) string {
	if len(signals) == 0 {
		return "it has none"
	}
	names := make([]string, len(signals))
	for i, s := range signals {
		names[i] = s.Name
	}
	return "it has " + strings.Join(names, ", ")
}

// SessionAttributes is what a session says of its place's signals: JSON in one
// canonical form, so that equal ones are equal strings; empty: nothing. A value
// is a number, a category, or how many of the session's players are in which
// category, "" for those of whom it is not known:
//
//	{"language":{"":2,"de":1,"en":4},"mode":"ranked","skill":1220.5}
type SessionAttributes string

// MarshalJSON writes the attributes as the object that they are.
func (a SessionAttributes) MarshalJSON() ([]byte, error) {
	if a == "" {
		return []byte("{}"), nil
	}
	return []byte(a), nil
}

// UnmarshalJSON is ParseSessionAttributes.
func (a *SessionAttributes) UnmarshalJSON(text []byte) (err error) {
	*a, err = ParseSessionAttributes("attributes", text)
	return err
}

// SessionAttribute is one value of SessionAttributes.
type SessionAttribute struct {
	Attribute
	// Counts is how many players are in which category, "" for unknown; nil: the
	// session has one value as a whole.
	Counts map[string]int
}

// MakeSessionAttributes writes valid attributes in their canonical form.
func MakeSessionAttributes(list []SessionAttribute) SessionAttributes {
	if len(list) == 0 {
		return ""
	}
	list = slices.SortedFunc(slices.Values(list), func(a, b SessionAttribute) int { return strings.Compare(a.Name, b.Name) })
	b := []byte{'{'}
	for i, a := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), a.Name...), `":`...)
		switch {
		case a.Counts != nil:
			b = appendCounts(b, a.Counts)
		case a.Category != "":
			b = append(append(append(b, '"'), a.Category...), '"')
		default:
			b = strconv.AppendFloat(b, a.Number, 'g', -1, 64)
		}
	}
	return SessionAttributes(append(b, '}'))
}

func appendCounts(b []byte, counts map[string]int) []byte {
	b = append(b, '{')
	for i, category := range slices.Sorted(maps.Keys(counts)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), category...), `":`...)
		b = strconv.AppendInt(b, int64(counts[category]), 10)
	}
	return append(b, '}')
}

// ParseSessionAttributes reads JSON in any form, also none, and makes it
// canonical. Invalid: the text after field says what is wrong.
func ParseSessionAttributes(field string, text []byte) (SessionAttributes, error) {
	list, err := parseSessionAttributes(field, text)
	if err != nil {
		return "", err
	}
	return MakeSessionAttributes(list), nil
}

// Check says whether the attributes are valid and canonical.
func (a SessionAttributes) Check(field string) error {
	if a == "" {
		return nil
	}
	list, err := parseSessionAttributes(field, []byte(a))
	if err == nil && MakeSessionAttributes(list) != a {
		err = AtField(Invalid, field, "are not in their canonical form")
	}
	return err
}

// List returns the attributes by name. Of text that is not valid it returns
// none.
func (a SessionAttributes) List() []SessionAttribute {
	if a == "" {
		return nil
	}
	list, err := parseSessionAttributes("", []byte(a))
	if err != nil {
		return nil
	}
	return list
}

func parseSessionAttributes(field string, text []byte) ([]SessionAttribute, error) {
	if len(text) == 0 {
		return nil, nil
	}
	if len(text) > MaxAttributes {
		return nil, AtField(Invalid, field, "have %d bytes, at most %d are allowed", len(text), MaxAttributes)
	}
	var values map[string]json.RawMessage
	if err := decode(text, &values); err != nil {
		return nil, AtField(Invalid, field, "are not an object with names and values")
	}
	if len(values) > MaxSignals {
		return nil, AtField(Invalid, field, "are %d, at most %d are allowed", len(values), MaxSignals)
	}
	list := make([]SessionAttribute, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		at := field + "." + clip(name)
		if _, err := ParseSignalName(at, name); err != nil {
			return nil, err
		}
		a, err := parseSessionAttribute(at, values[name])
		if err != nil {
			return nil, err
		}
		a.Name = name
		list = append(list, a)
	}
	return list, nil
}

func parseSessionAttribute(field string, text []byte) (a SessionAttribute, err error) {
	var value any
	if err := decode(text, &value); err != nil {
		return a, AtField(Invalid, field, "is not valid")
	}
	switch v := value.(type) {
	case float64:
		a.Number, err = ParseSignalNumber(field, v)
		return a, err
	case string:
		a.Category, err = ParseCategory(field, v)
		return a, err
	case map[string]any:
		a.Counts, err = parseCounts(field, v)
		return a, err
	}
	return a, AtField(Invalid, field, "is not a number, a category, or an object of categories and counts")
}

func parseCounts(field string, counts map[string]any) (map[string]int, error) {
	out := make(map[string]int, len(counts))
	for category, n := range counts {
		at := field + "." + clip(category)
		if category != "" {
			if _, err := ParseCategory(at, category); err != nil {
				return nil, err
			}
		}
		v, ok := n.(float64)
		if !ok || v != math.Trunc(v) || v < 0 || v > maxCount {
			return nil, AtField(Invalid, at, "is not a number of players, 0 to %d", maxCount)
		}
		out[category] = int(v)
	}
	known := len(out)
	if _, ok := out[""]; ok {
		known--
	}
	if known > MaxCategories {
		return nil, AtField(Invalid, field, "has %d categories, at most %d are allowed", known, MaxCategories)
	}
	return out, nil
}

// decode reads exactly one JSON value.
func decode(text []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}
