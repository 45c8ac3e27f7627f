package script

import (
	"slices"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/script/lua"
)

// maxNames bounds the names of a script's own events.
const maxNames = 64

// bus carries events between parts of a script.
type bus struct {
	handlers map[string][]lua.Value
	kept     *lua.Table // keeps them from being forgotten
}

func (vm *VM) openEvents() {
	b := &bus{handlers: make(map[string][]lua.Value), kept: vm.m.NewTable()}
	vm.m.Pin(lua.Of(b.kept))
	lib := vm.m.Library("events")
	vm.m.Define(lib, "on", b.on)
	vm.m.Define(lib, "off", b.off)
	vm.m.Define(lib, "emit", b.emit)
	vm.m.Define(lib, "publish", vm.publish)
	lib.Lock()
}

// name is argument 0.
func (b *bus) name(c lua.Call) string {
	name := c.Text(0)
	if len(name) > maxFieldBytes || name == "" {
		c.Fail(0, "an event's name has 1 to %d bytes", maxFieldBytes)
	}
	return name
}

// on is events.on.
func (b *bus) on(c lua.Call) []lua.Value {
	name, fn := b.name(c), lua.Of(c.Function(1))
	list, known := b.handlers[name]
	switch {
	case len(list) >= maxHandlers:
		c.T.Throw("'%s' has %d handlers already", name, maxHandlers)
	case !known && len(b.handlers) >= maxNames:
		c.T.Throw("there are %d events already, which is the most", maxNames)
	}
	c.T.Charge(20)
	b.set(c.T.Machine(), name, append(slices.Clone(list), fn)) // an emit that runs goes on with its own
	return nil
}

// off is events.off.
func (b *bus) off(c lua.Call) []lua.Value {
	name, fn := b.name(c), lua.Of(c.Function(1))
	c.T.Charge(20)
	list := b.handlers[name]
	i := slices.Index(list, fn)
	if i >= 0 {
		b.set(c.T.Machine(), name, slices.Delete(slices.Clone(list), i, i+1))
	}
	return c.Return(lua.Bool(i >= 0))
}

func (b *bus) set(m *lua.Machine, name string, list []lua.Value) {
	key := m.String(name)
	if len(list) == 0 {
		delete(b.handlers, name)
		b.kept.Set(key, lua.Value{})
		return
	}
	kept := m.NewTable()
	for _, fn := range list {
		kept.Append(fn)
	}
	b.handlers[name] = list
	b.kept.Set(key, lua.Of(kept))
}

// emit is events.emit: it calls all who listen now, and says how many they are.
func (b *bus) emit(c lua.Call) []lua.Value {
	name := b.name(c)
	args := slices.Clone(c.Args[1:])
	list := b.handlers[name]
	c.T.Charge(5 + len(args)/4)
	for _, fn := range list {
		c.T.Call(fn, args...)
	}
	return c.Return(lua.Number(float64(len(list))))
}

// publish is events.publish: it tells those outside of the session.
func (vm *VM) publish(c lua.Call) []lua.Value {
	m := message(c, 0)
	if err := throng.EventType(throng.EventPlace + m.Name).Check(); err != nil {
		c.Fail(0, "'%s' is no name: a-z, 0-9, dot, dash and underscore are allowed", m.Name)
	}
	return c.Return(lua.Bool(vm.cfg.Publish(m)))
}
