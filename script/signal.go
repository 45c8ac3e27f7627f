package script

import (
	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/script/lua"
)

// openSignals makes what scripts see of the place's own signals. place is not
// locked yet.
func (vm *VM) openSignals() {
	vm.m.Define(vm.place, "set_attribute", vm.setAttribute)
	vm.nothing = vm.m.NewTable()
	vm.nothing.Lock()
	vm.m.Pin(lua.Of(vm.nothing))
}

// setAttribute is place.set_attribute.
func (vm *VM) setAttribute(c lua.Call) []lua.Value {
	c.T.Charge(20)
	s, ok := throng.FindSignal(vm.cfg.Signals, c.Text(0))
	if !ok {
		c.Fail(0, "place.yaml has no signal of that name")
	}
	v := c.Any(1)
	a := throng.Attribute{Name: s.Name}
	switch {
	case v.IsNil():
		vm.cfg.SetAttribute(s.Name, nil)
		return nil
	case s.Kind == throng.SignalNumber:
		n, ok := v.Number()
		if !ok {
			c.Fail(1, "signal '%s' is a number", s.Name)
		}
		a.Number = n
	default:
		text, ok := v.Text()
		if !ok {
			c.Fail(1, "signal '%s' is a category, which is a string", s.Name)
		}
		a.Category = text
		if _, err := throng.ParseCategory("a category", text); err != nil {
			c.Fail(1, "%s", err.Error())
		}
	}
	if err := a.Check("signal '"+s.Name+"'", vm.cfg.Signals); err != nil {
		c.Fail(1, "%s", err.Error())
	}
	vm.cfg.SetAttribute(s.Name, &a)
	return nil
}

// attributesOf is player.attributes: what he brought to signals of this place.
func (vm *VM) attributesOf(brought []throng.Attribute) *lua.Table {
	table := vm.nothing
	for _, a := range brought {
		if a.Check("", vm.cfg.Signals) != nil {
			continue // of another version of the place
		}
		if table == vm.nothing {
			table = vm.m.NewTable()
		}
		if a.Kind() == throng.SignalNumber {
			table.SetField(a.Name, lua.Number(a.Number))
		} else {
			table.SetField(a.Name, vm.m.String(a.Category))
		}
	}
	table.Lock()
	return table
}
