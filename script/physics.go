package script

import (
	"math"

	"github.com/throng-gg/throng/script/lua"
	"github.com/throng-gg/throng/script/physics"
)

// Bounds of physics.
const (
	maxSpaces = 8
	maxRows   = 256
	// Bytes that a space and a body hold in Go.
	spaceBytes = 1024
	bodyBytes  = 400
)

// space is a physics.Space as scripts see it.
type space struct {
	vm    *VM
	in    *physics.Space
	value *lua.Userdata // holds a table of its bodies
}

// body is a physics.Body as scripts see it. What it holds is the script's data.
type body struct {
	space *space
	in    *physics.Body
	group lua.Value
	value *lua.Userdata
}

func (vm *VM) openPhysics() {
	lib := vm.m.Library("physics")
	vm.m.Define(lib, "space", vm.newSpace)
	lib.Lock()
	vm.methods = make(map[string]lua.Value)
	for name, fn := range map[string]func(*space, lua.Call) []lua.Value{
		"circle": (*space).circle, "box": (*space).box, "grid": (*space).grid, "count": (*space).count,
		"overlap_circle": (*space).overlapCircle, "overlap_box": (*space).overlapBox,
		"raycast": (*space).raycast, "move": (*space).move,
	} {
		method := vm.m.NewFunction(name, func(c lua.Call) []lua.Value {
			s, ok := c.Arg(0).Object().(*space)
			if !ok {
				c.Fail(0, "a space expected: call it as space:%s()", name)
			}
			s.in.Charge = c.T.Charge
			return fn(s, c)
		})
		vm.m.Pin(method)
		vm.methods[name] = method
	}
	vm.removeBody = vm.m.NewFunction("remove", func(c lua.Call) []lua.Value {
		b, ok := c.Arg(0).Object().(*body)
		if !ok {
			c.Fail(0, "a body expected: call it as body:remove()")
		}
		c.T.Charge(30)
		b.space.in.Remove(b.in)
		b.space.value.Held.Table().Set(lua.Of(b.value), lua.Value{})
		return nil
	})
	vm.m.Pin(vm.removeBody)
}

// newSpace is physics.space.
func (vm *VM) newSpace(c lua.Call) []lua.Value {
	if vm.spaces >= maxSpaces {
		c.T.Throw("there are %d spaces already, which is the most", maxSpaces)
	}
	size := 2.0
	if !c.Arg(0).IsNil() {
		size = c.Number(0)
	}
	in, err := physics.NewSpace(size)
	if err != nil {
		c.Fail(0, "%s", err.Error())
	}
	c.T.Charge(50)
	vm.spaces++
	s := &space{vm: vm, in: in}
	s.value = vm.m.NewUserdata(s, spaceBytes)
	s.value.Held = lua.Of(vm.m.NewTable())
	return c.Return(lua.Of(s.value))
}

// Get returns a space's method.
func (s *space) Get(t *lua.Thread, key lua.Value) lua.Value {
	name, _ := key.Text()
	if fn, ok := s.vm.methods[name]; ok {
		return fn
	}
	t.Throw("a space has no field '%.40s'", words(key))
	return lua.Value{}
}

// Set always throws.
func (s *space) Set(t *lua.Thread, _, _ lua.Value) { t.Throw("a space cannot be changed so") }

// String is what tostring says.
func (s *space) String() string { return "space" }

// Get returns a body's field.
func (b *body) Get(t *lua.Thread, key lua.Value) lua.Value {
	x, y := b.in.Place()
	r, w, h := b.in.Size()
	switch name, _ := key.Text(); name {
	case "x":
		return lua.Number(x)
	case "y":
		return lua.Number(y)
	case "radius":
		return lua.Number(r)
	case "width":
		return lua.Number(w)
	case "height":
		return lua.Number(h)
	case "solid":
		return lua.Bool(b.in.Solid)
	case "group":
		return b.group
	case "data":
		return b.value.Held
	case "removed":
		return lua.Bool(b.in.Removed())
	case "remove":
		return b.space.vm.removeBody
	}
	t.Throw("a body has no field '%.40s'; what is the script's own goes into body.data", words(key))
	return lua.Value{}
}

// Set assigns a body's field.
func (b *body) Set(t *lua.Thread, key, v lua.Value) {
	name, _ := key.Text()
	if b.in.Removed() {
		t.Throw("the body was removed")
	}
	n, isNumber := v.Number()
	yes, isBool := v.Bool()
	x, y := b.in.Place()
	switch {
	case name == "data":
		b.value.Held = v
	case name == "solid" && isBool:
		b.in.Solid = yes
	case name == "x" && isNumber:
		b.put(t, n, y)
	case name == "y" && isNumber:
		b.put(t, x, n)
	default:
		t.Throw("body.%.40s cannot be set to a %s: x, y (numbers), solid (true or false) and data can", words(key), v.Type())
	}
}

func (b *body) put(t *lua.Thread, x, y float64) {
	b.space.in.Charge = t.Charge
	if err := b.space.in.Put(b.in, x, y); err != nil {
		t.Throw("%s", err.Error())
	}
}

// String is what tostring says.
func (b *body) String() string { return "body" }

// add makes a value of a new body, with the options of argument i.
func (s *space) add(c lua.Call, i int, in *physics.Body, err error) *body {
	if err != nil {
		c.T.Throw("%s", err.Error())
	}
	b := &body{space: s, in: in}
	done := false
	defer func() {
		if !done {
			s.in.Remove(in)
		}
	}()
	c.T.Charge(40)
	b.value = s.vm.m.NewUserdata(b, bodyBytes)
	if !c.Arg(i).IsNil() {
		b.options(c, c.Table(i))
	}
	in.Data = b
	s.value.Held.Table().Set(lua.Of(b.value), lua.Bool(true))
	done = true
	return b
}

func (b *body) options(c lua.Call, table *lua.Table) {
	for k, v := table.Next(lua.Value{}); !k.IsNil(); k, v = table.Next(k) {
		key := words(k)
		yes, isBool := v.Bool()
		text, isText := v.Text()
		switch {
		case key == "solid" && isBool:
			b.in.Solid = yes
		case key == "group" && isText && len(text) <= maxFieldBytes:
			b.in.Group, b.group = text, v
		case key == "data":
			b.value.Held = v
		default:
			c.T.Throw("'%.40s' is not one of solid (true or false), group (up to %d bytes) and data", key, maxFieldBytes)
		}
	}
}

func (s *space) circle(c lua.Call) []lua.Value {
	in, err := s.in.Circle(c.Number(1), c.Number(2), c.Number(3))
	return c.Return(lua.Of(s.add(c, 4, in, err).value))
}

func (s *space) box(c lua.Call) []lua.Value {
	in, err := s.in.Box(c.Number(1), c.Number(2), c.Number(3), c.Number(4))
	return c.Return(lua.Of(s.add(c, 5, in, err).value))
}

// grid adds a solid box for every run of # in rows of text.
func (s *space) grid(c lua.Call) []lua.Value {
	left, top, size, rows := c.Number(1), c.Number(2), c.Number(3), c.Table(4)
	if rows.Len() > maxRows {
		c.Fail(4, "a grid has at most %d rows", maxRows)
	}
	made := 0
	for row := range rows.Len() {
		text, ok := rows.At(row + 1).Text()
		if !ok || len(text) > maxRows {
			c.Fail(4, "row %d is no string of at most %d characters", row+1, maxRows)
		}
		c.T.Charge(len(text) / 4)
		for from := 0; from < len(text); from++ {
			if text[from] != '#' {
				continue
			}
			to := from
			for to < len(text) && text[to] == '#' {
				to++
			}
			n := float64(to - from)
			in, err := s.in.Box(left+float64((float64(from)+n/2)*size), top+float64((float64(row)+0.5)*size), n*size, size)
			if err == nil {
				in.Solid = true
			}
			s.add(c, 5, in, err)
			made++
			from = to
		}
	}
	return c.Return(lua.Number(float64(made)))
}

func (s *space) count(c lua.Call) []lua.Value { return c.Return(lua.Number(float64(s.in.Len()))) }

// filter is argument i, which may be left out.
func filter(c lua.Call, i int) physics.Filter {
	var f physics.Filter
	if c.Arg(i).IsNil() {
		return f
	}
	table := c.Table(i)
	for k, v := table.Next(lua.Value{}); !k.IsNil(); k, v = table.Next(k) {
		key := words(k)
		yes, isBool := v.Bool()
		text, isText := v.Text()
		skip, isBody := v.Object().(*body)
		switch {
		case key == "group" && isText:
			f.Group = text
		case key == "solid" && isBool:
			f.Solid = yes
		case key == "skip" && isBody:
			f.Skip = skip.in
		default:
			c.T.Throw("'%.40s' is not one of group (a string), solid (true or false) and skip (a body)", key)
		}
	}
	return f
}

// placeOf is arguments i and i+1, within bounds.
func placeOf(c lua.Call, i int) (x, y float64) {
	x, y = c.Number(i), c.Number(i+1)
	for j, v := range []float64{x, y} {
		if !(math.Abs(v) <= physics.MaxCoord) {
			c.Fail(i+j, "%v is no place within %v", v, physics.MaxCoord)
		}
	}
	return x, y
}

func (s *space) list(c lua.Call, found []*physics.Body) []lua.Value {
	list := s.vm.m.NewTable()
	c.T.Charge(2 * len(found))
	for _, in := range found {
		list.Append(lua.Of(in.Data.(*body).value))
	}
	return c.Return(lua.Of(list))
}

func (s *space) overlapCircle(c lua.Call) []lua.Value {
	x, y := placeOf(c, 1)
	r := c.Number(3)
	if !(r >= 0 && r <= physics.MaxCoord) {
		c.Fail(3, "%v is no radius", r)
	}
	return s.list(c, s.in.OverlapCircle(x, y, r, filter(c, 4)))
}

func (s *space) overlapBox(c lua.Call) []lua.Value {
	x, y := placeOf(c, 1)
	w, h := c.Number(3), c.Number(4)
	if !(w >= 0 && w <= physics.MaxCoord && h >= 0 && h <= physics.MaxCoord) {
		c.Fail(3, "%v by %v is no box", w, h)
	}
	return s.list(c, s.in.OverlapBox(x, y, w, h, filter(c, 5)))
}

// met is a hit's body, or nil.
func met(h physics.Hit) lua.Value {
	if h.Body == nil {
		return lua.Value{}
	}
	return lua.Of(h.Body.Data.(*body).value)
}

func (s *space) raycast(c lua.Call) []lua.Value {
	x1, y1 := placeOf(c, 1)
	x2, y2 := placeOf(c, 3)
	h := s.in.Raycast(x1, y1, x2, y2, filter(c, 5))
	return c.Return(met(h), lua.Number(h.X), lua.Number(h.Y), lua.Number(h.NX), lua.Number(h.NY))
}

func (s *space) move(c lua.Call) []lua.Value {
	b, ok := c.Arg(1).Object().(*body)
	if !ok || b.space != s || b.in.Removed() {
		c.Fail(1, "a body of this space expected")
	}
	dx, dy := placeOf(c, 2)
	h := s.in.Move(b.in, dx, dy, filter(c, 4))
	return c.Return(lua.Number(h.X), lua.Number(h.Y), met(h), lua.Number(h.NX), lua.Number(h.NY))
}
