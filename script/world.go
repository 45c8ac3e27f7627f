package script

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/script/lua"
)

// Bounds of what scripts define.
const (
	maxFields     = 32
	maxNameBytes  = 32
	maxFieldBytes = 64
)

// kind is a kind of entities.
type kind struct {
	name   string
	value  lua.Value // the name, for scripts
	id     int
	fields []Field
	index  map[string]int
}

// Get returns a kind's field.
func (k *kind) Get(t *lua.Thread, key lua.Value) lua.Value {
	if name, _ := key.Text(); name == "name" {
		return k.value
	}
	t.Throw("a kind has no field '%.40s'", words(key))
	return lua.Value{}
}

// Set always throws.
func (k *kind) Set(t *lua.Thread, _, _ lua.Value) { t.Throw("a kind cannot be changed") }

// String is what tostring says.
func (k *kind) String() string { return "kind " + k.name }

func (vm *VM) openWorld() {
	lib := vm.m.Library("world")
	vm.removeFunc = vm.m.NewFunction("remove", removeEntity)
	vm.m.Pin(vm.removeFunc)
	vm.m.Define(lib, "kind", vm.defineKind)
	vm.m.Define(lib, "spawn", vm.spawn)
	vm.m.Define(lib, "get", func(c lua.Call) []lua.Value {
		id := c.Int(0)
		if e := vm.entities[uint32(max(0, min(id, math.MaxUint32)))]; e != nil {
			return c.Return(lua.Of(e))
		}
		return c.Return(lua.Value{})
	})
	vm.m.Define(lib, "count", func(c lua.Call) []lua.Value {
		return c.Return(lua.Number(float64(len(vm.entities))))
	})
	lib.Lock()
}

// defineKind is world.kind.
func (vm *VM) defineKind(c lua.Call) []lua.Value {
	c.T.Charge(100)
	k := &kind{name: c.Text(0), index: make(map[string]int)}
	if !isName(k.name) {
		c.Fail(0, "a kind's name is like 'red_ball', up to %d characters", maxNameBytes)
	}
	if vm.kinds[k.name] != nil {
		c.T.Throw("kind '%s' is there already", k.name)
	}
	if vm.started {
		c.T.Throw("kinds are defined before the first join")
	}
	k.fields = fieldsOf(c, c.Table(1))
	for i, f := range k.fields {
		k.index[f.Name] = i
	}
	id, err := vm.cfg.World.Define(k.name, k.fields)
	if err != nil {
		c.T.Throw("kind '%s': %.200s", k.name, err.Error())
	}
	k.id, k.value = id, vm.m.Intern(k.name)
	vm.kinds[k.name] = k
	return c.Return(lua.Of(vm.m.NewUserdata(k)))
}

// fieldsOf reads the fields of a kind, sorted by name.
func fieldsOf(c lua.Call, tb *lua.Table) []Field {
	specs := make(map[string]*lua.Table)
	for k, v := tb.Next(lua.Value{}); !k.IsNil(); k, v = tb.Next(k) {
		name, ok := k.Text()
		if !ok || !isName(name) {
			c.T.Throw("field '%.40s': a field's name is like 'move_x', up to %d characters", words(k), maxNameBytes)
		}
		switch name {
		case "id", "kind", "owner", "remove", "removed":
			c.T.Throw("field '%s': the name is taken, every entity has it", name)
		}
		if v.Table() == nil {
			c.T.Throw("field '%s': a table like {type = \"bool\"} is expected, got %s", name, v.Type())
		}
		specs[name] = v.Table()
		if len(specs) > maxFields {
			c.T.Throw("a kind has at most %d fields", maxFields)
		}
	}
	var fields []Field
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		fields = append(fields, fieldOf(c, name, specs[name]))
	}
	return fields
}

func fieldOf(c lua.Call, name string, spec *lua.Table) Field {
	f := Field{Name: name}
	var needs []string
	switch word, _ := spec.Field("type").Text(); word {
	case "number":
		f.Kind, needs = FieldNumber, []string{"min", "max", "precision"}
	case "integer":
		f.Kind, needs = FieldInteger, []string{"min", "max"}
	case "bool":
		f.Kind, f.Max = FieldBool, 1
	case "string":
		f.Kind, needs = FieldString, []string{"max"}
	default:
		c.T.Throw("field '%s': type is \"number\", \"integer\", \"bool\" or \"string\"", name)
	}
	for k, v := spec.Next(lua.Value{}); !k.IsNil(); k, v = spec.Next(k) {
		key, _ := k.Text()
		if key == "type" {
			continue
		}
		n, ok := v.Number()
		if !slices.Contains(needs, key) || !ok || math.IsNaN(n) || math.IsInf(n, 0) {
			c.T.Throw("field '%s': '%.40s' is not known, or not a finite number", name, words(k))
		}
		switch key {
		case "min":
			f.Min = n
		case "max":
			f.Max = n
		case "precision":
			f.Precision = n
		}
	}
	for _, key := range needs {
		if spec.Field(key).IsNil() {
			c.T.Throw("field '%s': a field of this type needs %s", name, strings.Join(needs, ", "))
		}
	}
	checkRange(c, f)
	return f
}

func checkRange(c lua.Call, f Field) {
	switch f.Kind {
	case FieldNumber:
		if f.Precision <= 0 {
			c.T.Throw("field '%s': precision must be above 0", f.Name)
		}
	case FieldInteger:
		if f.Min != math.Trunc(f.Min) || f.Max != math.Trunc(f.Max) {
			c.T.Throw("field '%s': min and max of an integer must be whole", f.Name)
		}
	case FieldString:
		if f.Max < 1 || f.Max > maxFieldBytes || f.Max != math.Trunc(f.Max) {
			c.T.Throw("field '%s': max of a string is 1 to %d bytes", f.Name, maxFieldBytes)
		}
		return
	case FieldBool:
		return
	}
	if f.Min >= f.Max {
		c.T.Throw("field '%s': min must be below max", f.Name)
	}
}

func isName(s string) bool {
	if s == "" || len(s) > maxNameBytes || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// spawn is world.spawn.
func (vm *VM) spawn(c lua.Call) []lua.Value {
	c.T.Charge(30)
	k, ok := c.Arg(0).Object().(*kind)
	if !ok {
		c.Fail(0, "a kind expected, as world.kind returns it")
	}
	e := &entity{vm: vm, kind: k}
	var values *lua.Table
	if !c.Arg(1).IsNil() {
		values = c.Table(1)
	}
	var owner throng.PlayerID
	if !c.Arg(2).IsNil() {
		p, ok := c.Arg(2).Object().(*player)
		if !ok {
			c.Fail(2, "a player expected")
		}
		if p.left {
			c.Fail(2, "the player left")
		}
		e.owner, owner = p, p.id
	}
	id, err := vm.cfg.World.Spawn(k.id, owner)
	if err != nil {
		c.T.Throw("spawn '%s': %.200s", k.name, err.Error())
	}
	e.id = id
	e.reset()
	u := vm.m.NewUserdata(e)
	vm.entities[id] = u
	vm.alive.Set(lua.Of(u), lua.Bool(true))
	if values != nil {
		e.fill(c.T, values)
	}
	return c.Return(lua.Of(u))
}
