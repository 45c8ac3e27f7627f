package lua

import (
	"math"
	"strconv"
	"strings"
)

// MaxString is the longest string in bytes. Longer results are script errors.
const MaxString = 1 << 20

// Value is one Lua value. The zero Value is nil.
type Value struct { //nolint:recvcheck // the machine looks at operands in place; a copy is 24 bytes
	ref any     // nil, numberTag, boolTag, *String, *Table, *Function, *Thread or *Userdata
	num float64 // of a number; 1 or 0 of a boolean; else 0
}

type (
	numberTag struct{}
	boolTag   struct{}
)

// String is an immutable string of a machine.
type String struct {
	s    string
	hash uint64
	mark uint32
}

// Object is the Go side of a userdata. Its methods may throw on t.
type Object interface {
	// Get returns a field.
	Get(t *Thread, key Value) Value
	// Set assigns a field.
	Set(t *Thread, key, v Value)
	// String is what tostring says.
	String() string
}

// Userdata is a Go object that scripts hold.
type Userdata struct {
	Object Object
	// Held is a value that the object keeps alive.
	Held Value
	size int // bytes of Object
	id   uint64
	mark uint32
}

const userdataSize = 96

// Number makes a number.
func Number(n float64) Value { return Value{ref: numberTag{}, num: n} }

// Bool makes a boolean.
func Bool(b bool) Value { //nolint:revive // a conversion, not a mode
	v := Value{ref: boolTag{}}
	if b {
		v.num = 1
	}
	return v
}

// Of makes the value of a table, function, thread, userdata or string.
func Of[T *Table | *Function | *Thread | *Userdata | *String](p T) Value { return Value{ref: any(p)} }

// IsNil says whether v is nil.
func (v Value) IsNil() bool { return v.ref == nil }

// Number returns v's number; false when v is none.
func (v Value) Number() (float64, bool) {
	_, ok := v.ref.(numberTag)
	return v.num, ok
}

// Bool returns v's boolean; false when v is none.
func (v Value) Bool() (value, ok bool) {
	_, ok = v.ref.(boolTag)
	return v.num != 0, ok
}

// Text returns v's string; false when v is none.
func (v Value) Text() (string, bool) {
	s, ok := v.ref.(*String)
	if !ok {
		return "", false
	}
	return s.s, true
}

// Table returns v's table; nil when v is none.
func (v Value) Table() *Table {
	t, _ := v.ref.(*Table)
	return t
}

// Function returns v's function; nil when v is none.
func (v Value) Function() *Function {
	f, _ := v.ref.(*Function)
	return f
}

// Object returns the Go side of v's userdata; nil when v is none.
func (v Value) Object() Object {
	if u, ok := v.ref.(*Userdata); ok {
		return u.Object
	}
	return nil
}

// Type is what type(v) says.
func (v Value) Type() string {
	switch v.ref.(type) {
	case nil:
		return "nil"
	case numberTag:
		return "number"
	case boolTag:
		return "boolean"
	case *String:
		return "string"
	case *Table:
		return "table"
	case *Function:
		return "function"
	case *Thread:
		return "thread"
	}
	return "userdata"
}

func (v *Value) isNumber() bool {
	_, ok := v.ref.(numberTag)
	return ok
}

func (v *Value) truthy() bool {
	if _, ok := v.ref.(boolTag); ok {
		return v.num != 0
	}
	return v.ref != nil
}

// display is tostring without metamethods. Nothing has an address: objects
// show the number that they got when they were made.
func (v Value) display() string {
	switch o := v.ref.(type) {
	case nil:
		return "nil"
	case numberTag:
		return formatNumber(v.num)
	case boolTag:
		return strconv.FormatBool(v.num != 0)
	case *String:
		return o.s
	case *Table:
		return "table: " + strconv.FormatUint(o.id, 10)
	case *Function:
		if o.proto == nil {
			return "builtin: " + o.name
		}
		return "function: " + strconv.FormatUint(o.id, 10)
	case *Thread:
		return "thread: " + strconv.FormatUint(o.id, 10)
	case *Userdata:
		return o.Object.String()
	}
	return "?"
}

// equalRaw is == without metamethods.
func equalRaw(a, b Value) bool {
	if x, ok := a.ref.(*String); ok {
		y, ok := b.ref.(*String)
		return ok && (x == y || x.hash == y.hash && x.s == y.s)
	}
	return a.num == b.num && a.ref == b.ref
}

// formatNumber is C's %.14g.
func formatNumber(n float64) string {
	switch {
	case n == 0 && math.Signbit(n):
		return "-0"
	case math.Abs(n) < 1e15 && n == math.Trunc(n):
		return strconv.FormatInt(int64(n), 10)
	case math.IsInf(n, 1):
		return "inf"
	case math.IsInf(n, -1):
		return "-inf"
	case math.IsNaN(n):
		return "nan"
	}
	return strconv.FormatFloat(n, 'g', 14, 64)
}

// parseNumber reads a number as Lua writes it, up to 200 characters long.
func parseNumber(text string) (float64, bool) {
	if len(text) > 200 {
		return 0, false
	}
	s := strings.Trim(text, " \t\n\r\f\v")
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 || digits == "" {
		return 0, false
	}
	if len(digits) > 2 && (digits[:2] == "0x" || digits[:2] == "0X") {
		n, err := strconv.ParseUint(digits[2:], 16, 64)
		if s[0] == '-' {
			return -float64(n), err == nil
		}
		return float64(n), err == nil
	}
	if strings.Trim(digits, "0123456789.eE+-") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(n, 0) { // too large is infinite
		return 0, false
	}
	return n, true
}

// toNumber is the number that arithmetic sees in v.
func toNumber(v Value) (float64, bool) {
	if v.isNumber() {
		return v.num, true
	}
	if s, ok := v.ref.(*String); ok {
		return parseNumber(s.s)
	}
	return 0, false
}
