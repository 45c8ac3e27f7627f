package script

import (
	"cmp"
	"slices"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/script/lua"
)

// Message tells the script what a player's client sent. Of one who is not in it is
// dropped.
func (vm *VM) Message(id throng.PlayerID, m throng.Message) error {
	p := vm.players[id]
	if vm.failed != nil || p == nil || len(vm.handlers[eventMessage]) == 0 {
		return vm.failed
	}
	var name, fields lua.Value
	vm.m.Budget(eventMessage.String(), vm.cfg.StepsPerEvent)
	err := vm.m.Do(func(*lua.Thread) {
		name = vm.m.String(m.Name)
		table := vm.m.NewTable()
		for _, f := range m.Fields {
			switch v := f.Value.(type) {
			case bool:
				table.SetField(f.Name, lua.Bool(v))
			case float64:
				table.SetField(f.Name, lua.Number(v))
			case string:
				table.SetField(f.Name, vm.m.String(v))
			}
		}
		fields = lua.Of(table)
	})
	if err != nil {
		return vm.ran(eventMessage.String(), err)
	}
	return vm.fire(eventMessage, vm.cfg.StepsPerEvent, lua.Of(p.value), name, fields)
}

// sendTo is player:send.
func (vm *VM) sendTo(c lua.Call) []lua.Value {
	p, ok := c.Arg(0).Object().(*player)
	if !ok {
		c.Fail(0, "a player expected: call it as player:send(name, fields)")
	}
	m := message(c, 1)
	return c.Return(lua.Bool(!p.left && vm.cfg.Send(p.id, m)))
}

// sendAll is players.send.
func (vm *VM) sendAll(c lua.Call) []lua.Value {
	m := message(c, 0)
	told := 0
	for _, p := range vm.order {
		c.T.Charge(sendSteps)
		if vm.cfg.Send(p.id, m) {
			told++
		}
	}
	return c.Return(lua.Number(float64(told)))
}

// sendSteps is what it costs a script to send one message, beside its bytes.
const sendSteps = 50

// message is arguments i, the name, and i+1, the fields.
func message(c lua.Call, i int) throng.Message {
	m := throng.Message{Name: c.Text(i)}
	c.T.Charge(sendSteps)
	if !c.Arg(i + 1).IsNil() {
		m.Fields = fields(c, i+1)
	}
	if err := m.Check(); err != nil {
		c.Fail(i, "%s", err.Error())
	}
	c.T.Charge(m.Size() / 8)
	return m
}

// fields is argument i, a table.
func fields(c lua.Call, i int) (out []throng.MessageField) {
	table := c.Table(i)
	for k, v := table.Next(lua.Value{}); !k.IsNil(); k, v = table.Next(k) {
		name, ok := k.Text()
		if !ok {
			c.Fail(i, "a message's fields have names")
		}
		if len(out) == throng.MaxMessageFields {
			c.Fail(i, "a message has at most %d fields", throng.MaxMessageFields)
		}
		f := throng.MessageField{Name: name}
		if n, ok := v.Number(); ok {
			f.Value = n
		} else if b, ok := v.Bool(); ok {
			f.Value = b
		} else if s, ok := v.Text(); ok {
			f.Value = s
		} else {
			c.Fail(i, "field '%.32s' is a %s: a message has booleans, numbers and strings", name, v.Type())
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b throng.MessageField) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
