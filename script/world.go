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
	maxRewind     = 31 // ticks
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
	vm.m.Define(lib, "rewind", vm.rewind)
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
	vm.rule(c, k, id)
	k.id, k.value = id, vm.m.Intern(k.name)
	vm.kinds[k.name] = k
	return c.Return(lua.Of(vm.m.NewUserdata(k, 0)))
}

// rule reads how a kind is seen, and how it moves.
func (vm *VM) rule(c lua.Call, k *kind, id int) {
	ruled := slices.ContainsFunc(k.fields, func(f Field) bool { return f.Within > 0 })
	var seen, weight float64
	var gait Gait
	if !c.Arg(2).IsNil() {
		tb := c.Table(2)
		for key, v := tb.Next(lua.Value{}); !key.IsNil(); key, v = tb.Next(key) {
			name, _ := key.Text()
			n, isNumber := v.Number()
			is, isBool := v.Bool()
			good := isNumber && n > 0 && !math.IsInf(n, 0)
			switch {
			case name == "seen" && good:
				seen, ruled = n, true
			case name == "weight" && good:
				weight, ruled = n, true
			case name == "speed" && good:
				gait.Speed = n
			case name == "radius" && good:
				gait.Radius = n
			case name == "turns" && isBool:
				gait.Turns = is
			case name == "solid" && isBool:
				gait.Solid = is
			default:
				c.Fail(2, "a table like {seen = 30, weight = 2, speed = 6, radius = 0.5, turns = true, solid = false} expected, numbers above 0")
			}
		}
	}
	if gait != (Gait{}) {
		if err := vm.cfg.World.Gait(id, gait); err != nil {
			c.T.Throw("kind '%s': %.200s", k.name, err.Error())
		}
	}
	if !ruled {
		return
	}
	if err := vm.cfg.World.Rule(id, seen, weight); err != nil {
		c.T.Throw("kind '%s': %.200s", k.name, err.Error())
	}
}

// rewind is world.rewind.
func (vm *VM) rewind(c lua.Call) []lua.Value {
	var ticks int
	if p, ok := c.Arg(0).Object().(*player); ok {
		ticks = p.input.Lag
	} else {
		ticks = c.Int(0)
	}
	fn := c.Arg(1)
	if c.Function(1) == nil || vm.rewound > 0 {
		c.T.Throw("world.rewind cannot be called within itself")
	}
	c.T.Charge(20)
	vm.rewound = max(0, min(ticks, maxRewind))
	defer func() { vm.rewound = 0 }()
	return c.T.Call(fn)
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
		if own, ok := v.Bool(); ok && key == "owner" {
			f.Owner = own
			continue
		}
		n, ok := v.Number()
		if key == "within" && ok && n > 0 && !math.IsInf(n, 0) {
			f.Within = n
			continue
		}
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
	u := vm.m.NewUserdata(e, entityBytes+24*len(k.fields))
	vm.entities[id] = u
	vm.alive.Set(lua.Of(u), lua.Bool(true))
	if values != nil {
		e.fill(c.T, values)
	}
	return c.Return(lua.Of(u))
}
