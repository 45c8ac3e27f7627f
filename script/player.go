package script

import (
	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/script/lua"
)

// player is a player as scripts see him.
type player struct {
	id         throng.PlayerID
	name       lua.Value
	value      *lua.Userdata // holds state
	input      *input
	inputValue *lua.Userdata // holds data
	dataState  dataState
	attributes *lua.Table // read-only
	save       lua.Value  // player:save
	send       lua.Value  // as save
	left       bool
}

// input is a player's newest input; there is one a player.
type input struct {
	Input
	pressed lua.Value
}

func (vm *VM) newPlayer(id throng.PlayerID, brought []throng.Attribute) *player {
	in := &input{}
	p := &player{id: id, name: vm.m.String(string(id)), input: in}
	p.value = vm.m.NewUserdata(p, 256)
	p.value.Held = lua.Of(vm.m.NewTable())
	p.inputValue = vm.m.NewUserdata(in, 64)
	in.pressed = vm.m.NewFunction("pressed", in.isPressed)
	p.save, p.send = vm.saveFunc, vm.sendFunc
	if vm.cfg.Store != nil {
		p.dataState = dataLoading
	}
	p.attributes = vm.attributesOf(brought)
	vm.players[id] = p
	vm.order = append(vm.order, p)
	vm.alive.Set(lua.Of(p.value), lua.Of(p.inputValue))
	if p.attributes != vm.nothing {
		vm.alive.Set(lua.Of(p.attributes), lua.Bool(true))
	}
	return p
}

// Get returns a player's field.
func (p *player) Get(t *lua.Thread, key lua.Value) lua.Value {
	switch name, _ := key.Text(); name {
	case "id", "name":
		return p.name
	case "state":
		return p.value.Held
	case "input":
		return lua.Of(p.inputValue)
	case "attributes":
		return lua.Of(p.attributes)
	case "data":
		return p.inputValue.Held
	case "data_state":
		return t.Machine().Intern(p.dataState.String())
	case "save":
		return p.save
	case "send":
		return p.send
	case "left":
		return lua.Bool(p.left)
	}
	t.Throw("a player has no field '%.40s'; what is the script's own goes into player.state", words(key))
	return lua.Value{}
}

// Set assigns data; everything else throws.
func (p *player) Set(t *lua.Thread, key, v lua.Value) {
	if name, _ := key.Text(); name == "data" {
		p.setData(t, v)
		return
	}
	t.Throw("player.%.40s cannot be set; what is the script's own goes into player.state", words(key))
}

// String is what tostring says.
func (p *player) String() string { return "player " + string(p.id) }

// Get returns an input's field.
func (in *input) Get(t *lua.Thread, key lua.Value) lua.Value {
	switch name, _ := key.Text(); name {
	case "move_x":
		return lua.Number(in.MoveX)
	case "move_y":
		return lua.Number(in.MoveY)
	case "pressed":
		return in.pressed
	}
	t.Throw("an input has no field '%.40s'", words(key))
	return lua.Value{}
}

// Set always throws.
func (in *input) Set(t *lua.Thread, _, _ lua.Value) { t.Throw("an input cannot be changed") }

// String is what tostring says.
func (in *input) String() string { return "input" }

// isPressed is input.pressed; input:pressed works as well.
func (in *input) isPressed(c lua.Call) []lua.Value {
	i := 0
	if c.Arg(0).Object() != nil {
		i = 1
	}
	button := c.Int(i)
	if button < 1 || button > 32 {
		c.Fail(i, "buttons are 1 to 32")
	}
	return c.Return(lua.Bool(in.Buttons&(1<<(button-1)) != 0))
}

func (vm *VM) openPlayers() {
	lib := vm.m.Library("players")
	vm.saveFunc = vm.m.NewFunction("save", vm.save)
	vm.m.Pin(vm.saveFunc)
	vm.sendFunc = vm.m.NewFunction("send", vm.sendTo)
	vm.m.Pin(vm.sendFunc)
	vm.m.Define(lib, "send", vm.sendAll)
	vm.m.Define(lib, "all", func(c lua.Call) []lua.Value {
		list := vm.m.NewTable()
		c.T.Charge(len(vm.order) / 2)
		for _, p := range vm.order {
			list.Append(lua.Of(p.value))
		}
		return c.Return(lua.Of(list))
	})
	vm.m.Define(lib, "get", func(c lua.Call) []lua.Value {
		if p := vm.players[throng.PlayerID(c.Text(0))]; p != nil {
			return c.Return(lua.Of(p.value))
		}
		return c.Return(lua.Value{})
	})
	vm.m.Define(lib, "count", func(c lua.Call) []lua.Value {
		return c.Return(lua.Number(float64(len(vm.order))))
	})
	lib.Lock()
}

// words is a key in words.
func words(key lua.Value) string {
	if s, ok := key.Text(); ok {
		return s
	}
	return "(" + key.Type() + ")"
}
