package script

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/script/lua"
)

// encoder writes a table as JSON, the same bytes for the same content.
type encoder struct {
	t    *lua.Thread
	out  []byte
	path []string // to what is written, for errors
}

// encode writes a table as a profile's document. What cannot be kept throws,
// with where it is. The work is charged.
func encode(t *lua.Thread, table *lua.Table) []byte {
	e := &encoder{t: t}
	if table.Len() > 0 {
		e.refuse("is a list; its keys must be strings")
	}
	e.fields(table)
	return e.out
}

func (e *encoder) refuse(format string, args ...any) {
	at := strings.Join(e.path[max(0, len(e.path)-8):], "")
	if len(e.path) > 8 {
		at = "..." + at
	}
	e.t.Throw("player.data%.100s %s", at, fmt.Sprintf(format, args...))
}

func (e *encoder) value(v lua.Value) {
	e.t.Charge(1)
	if len(e.out) > throng.ProfileBytes {
		e.path = nil
		e.refuse("has more than %d bytes as JSON", throng.ProfileBytes)
	}
	if n, ok := v.Number(); ok {
		e.number(n)
		return
	}
	if b, ok := v.Bool(); ok {
		e.out = strconv.AppendBool(e.out, b)
		return
	}
	if s, ok := v.Text(); ok {
		e.text(s)
		return
	}
	table := v.Table()
	switch {
	case table == nil:
		e.refuse("is a %s, which cannot be kept", v.Type())
	case len(e.path) >= throng.ProfileDepth:
		e.refuse("is more than %d tables deep", throng.ProfileDepth)
	case table.Len() > 0:
		e.list(table)
	default:
		e.fields(table)
	}
}

func (e *encoder) number(n float64) {
	switch {
	case math.IsNaN(n) || math.IsInf(n, 0):
		e.refuse("is %v, which cannot be kept", n)
	case n == math.Trunc(n) && math.Abs(n) <= 1<<53:
		e.out = strconv.AppendInt(e.out, int64(n), 10)
	default:
		e.out = strconv.AppendFloat(e.out, n, 'g', -1, 64)
	}
}

// text writes a string as JSON does.
func (e *encoder) text(s string) {
	e.t.Charge(len(s) / 32)
	if !utf8.ValidString(s) {
		e.refuse("is not UTF-8")
	}
	if len(s) > throng.ProfileBytes {
		e.refuse("has more than %d bytes", throng.ProfileBytes)
	}
	const hex = "0123456789abcdef"
	e.out = append(e.out, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			e.out = append(e.out, '\\', c)
		case c == '\n':
			e.out = append(e.out, '\\', 'n')
		case c < ' ':
			e.out = append(e.out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			e.out = append(e.out, c)
		}
	}
	e.out = append(e.out, '"')
}

// list writes a table of 1 to n.
func (e *encoder) list(table *lua.Table) {
	e.out = append(e.out, '[')
	count := 0
	for k, v := table.Next(lua.Value{}); !k.IsNil(); k, v = table.Next(k) {
		count++
		if n, _ := k.Number(); n != float64(count) {
			e.refuse("has keys beside 1 to %d: a list has none, and no holes", table.Len())
		}
		if count > 1 {
			e.out = append(e.out, ',')
		}
		e.inside("["+strconv.Itoa(count)+"]", v)
	}
	e.out = append(e.out, ']')
}

// fields writes a table with names, sorted.
func (e *encoder) fields(table *lua.Table) {
	type field struct {
		name string
		v    lua.Value
	}
	var all []field
	size := len(e.out)
	for k, v := table.Next(lua.Value{}); !k.IsNil(); k, v = table.Next(k) {
		e.t.Charge(2)
		name, ok := k.Text()
		if !ok {
			e.refuse("has a key that is a %s; keys are strings, or 1 to n", k.Type())
		}
		if size += len(name) + 4; size > throng.ProfileBytes {
			e.refuse("is more than fits %d bytes of JSON", throng.ProfileBytes)
		}
		all = append(all, field{name, v})
	}
	slices.SortFunc(all, func(a, b field) int { return strings.Compare(a.name, b.name) })
	e.out = append(e.out, '{')
	for i, f := range all {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		e.text(f.name)
		e.out = append(e.out, ':')
		e.inside("."+f.name, f.v)
	}
	e.out = append(e.out, '}')
}

func (e *encoder) inside(step string, v lua.Value) {
	e.path = append(e.path, step)
	e.value(v)
	e.path = e.path[:len(e.path)-1]
}
