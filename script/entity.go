package script

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/throng-gg/throng/script/lua"
)

// entityBytes is what an entity holds in Go, here and in the World, without its
// fields.
const entityBytes = 300

// entity is an entity as scripts see it. It has the script's own values, and
// the World what players see of them.
type entity struct {
	vm      *VM
	kind    *kind
	id      uint32
	owner   *player
	values  []lua.Value // by field; never a table or function
	removed bool
}

// reset sets the fields to what a new entity has.
func (e *entity) reset() {
	e.values = make([]lua.Value, len(e.kind.fields))
	for i, f := range e.kind.fields {
		switch f.Kind {
		case FieldNumber, FieldInteger:
			e.values[i] = lua.Number(f.Min)
		case FieldBool:
			e.values[i] = lua.Bool(false)
		case FieldString:
			e.values[i] = e.vm.m.Intern("")
		}
	}
}

// fill sets fields from a table; when one is wrong the entity is removed.
func (e *entity) fill(t *lua.Thread, values *lua.Table) {
	done := false
	defer func() {
		if !done {
			e.remove()
		}
	}()
	for k, v := values.Next(lua.Value{}); !k.IsNil(); k, v = values.Next(k) {
		e.Set(t, k, v)
	}
	done = true
}

// Get returns a field.
func (e *entity) Get(t *lua.Thread, key lua.Value) lua.Value {
	name, _ := key.Text()
	if i, ok := e.kind.index[name]; ok {
		return e.value(i)
	}
	switch name {
	case "id":
		return lua.Number(float64(e.id))
	case "kind":
		return e.kind.value
	case "owner":
		if e.owner == nil || e.owner.left {
			return lua.Value{}
		}
		return lua.Of(e.owner.value)
	case "removed":
		return lua.Bool(e.removed)
	case "remove":
		return e.vm.removeFunc
	}
	t.Throw("kind '%s' has no field '%.40s'", e.kind.name, words(key))
	return lua.Value{}
}

// value is a field now, or within world.rewind as it was then.
func (e *entity) value(i int) lua.Value {
	if e.vm.rewound == 0 {
		return e.values[i]
	}
	v, ok := e.vm.cfg.World.Past(e.id, i, e.vm.rewound)
	switch {
	case !ok || e.kind.fields[i].Kind == FieldString:
		return e.values[i]
	case e.kind.fields[i].Kind == FieldBool:
		return lua.Bool(v != 0)
	}
	return lua.Number(v)
}

// Set assigns a field and tells the World.
func (e *entity) Set(t *lua.Thread, key, v lua.Value) {
	name, _ := key.Text()
	i, ok := e.kind.index[name]
	if !ok {
		t.Throw("kind '%s' has no field '%.40s' that can be set", e.kind.name, words(key))
	}
	if e.removed {
		t.Throw("%s was removed", e)
	}
	if e.vm.rewound > 0 {
		t.Throw("%s: what was cannot be changed in world.rewind", e)
	}
	t.Charge(2)
	f := &e.kind.fields[i]
	var err error
	switch f.Kind {
	case FieldNumber, FieldInteger:
		n, ok := v.Number()
		if !ok || math.IsNaN(n) {
			e.wrong(t, f, "a number", v)
		}
		n = max(f.Min, min(n, f.Max))
		if f.Kind == FieldInteger {
			n = math.Round(n)
		}
		err = e.number(i, n, lua.Number(n))
	case FieldBool:
		b, ok := v.Bool()
		if !ok {
			e.wrong(t, f, "true or false", v)
		}
		n := 0.0
		if b {
			n = 1
		}
		err = e.number(i, n, v)
	case FieldString:
		s, ok := v.Text()
		if !ok {
			e.wrong(t, f, "a string", v)
		}
		if old, _ := e.values[i].Text(); old != s {
			s = cut(s, int(f.Max))
			e.values[i] = t.Machine().String(s)
			err = e.vm.cfg.World.SetString(e.id, i, s)
		}
	}
	if err != nil {
		t.Throw("%s.%s: %.200s", e, f.Name, err.Error())
	}
}

// number sets a field that the World holds as a number, if it changes.
func (e *entity) number(i int, n float64, v lua.Value) error {
	if e.values[i] == v {
		return nil
	}
	e.values[i] = v
	return e.vm.cfg.World.SetNumber(e.id, i, n)
}

func (e *entity) wrong(t *lua.Thread, f *Field, want string, got lua.Value) {
	words := got.Type()
	if _, ok := got.Number(); ok {
		words = "not a number" // of the right type it can only be NaN
		if f.Kind != FieldNumber && f.Kind != FieldInteger {
			words = "a number"
		}
	}
	t.Throw("field '%s' of '%s' must be %s, got %s", f.Name, e.kind.name, want, words)
}

// String is what tostring says.
func (e *entity) String() string { return e.kind.name + " " + strconv.FormatUint(uint64(e.id), 10) }

func (e *entity) remove() {
	if e.removed {
		return
	}
	e.removed = true
	e.vm.cfg.World.Remove(e.id)
	if u := e.vm.entities[e.id]; u != nil {
		e.vm.alive.Set(lua.Of(u), lua.Value{})
		delete(e.vm.entities, e.id)
	}
}

// removeEntity is entity:remove.
func removeEntity(c lua.Call) []lua.Value {
	e, ok := c.Arg(0).Object().(*entity)
	if !ok {
		c.Fail(0, "an entity expected: call it as entity:remove()")
	}
	c.T.Charge(20)
	e.remove()
	return nil
}

// cut shortens s to at most size bytes, between two characters, and makes it
// UTF-8. The result does not keep s.
func cut(s string, size int) string {
	out := strings.ToValidUTF8(s[:min(len(s), 4*maxFieldBytes)], "?")
	if len(out) > size {
		end := size
		for end > 0 && !utf8.RuneStart(out[end]) {
			end--
		}
		out = out[:end]
	}
	return strings.Clone(out)
}
