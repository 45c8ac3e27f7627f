package script

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/script/lua"
)

// dataState is what a script can know of a player's data.
//
//	loading ──▶ ready ──a newer session has it──▶ lost
//	   ├──▶ unavailable ──▶ ready
//	   └──▶ read only ──▶ ready
type dataState uint8

const (
	dataUnavailable dataState = iota
	dataLoading
	dataReady
	dataReadOnly
	dataLost
)

// there says whether the script has data.
func (s dataState) there() bool { return s == dataReady || s == dataReadOnly }

// String returns the state's name in scripts.
func (s dataState) String() string {
	switch s {
	case dataUnavailable:
		return "unavailable"
	case dataLoading:
		return "loading"
	case dataReady:
		return "ready"
	case dataReadOnly:
		return "read_only"
	case dataLost:
		return "lost"
	}
	return "unknown"
}

// dataWords is why there is no data.
func (p *player) dataWords() string {
	switch p.dataState {
	case dataLoading:
		return "is not loaded yet"
	case dataLost:
		return "belongs to a newer session of the player"
	case dataUnavailable, dataReady, dataReadOnly:
	}
	return "is unavailable"
}

// Loaded tells the script that a player's profile was loaded, or why it could
// not be: Denied when a newer session of his has it, also later. Of one who is
// not in it is dropped.
func (vm *VM) Loaded(id throng.PlayerID, profile throng.Profile, result error) error {
	p := vm.players[id]
	if vm.failed != nil || p == nil {
		return vm.failed
	}
	state := dataReady
	switch {
	case throng.KindOf(result) == throng.Denied:
		state = dataLost
	case result != nil:
		state = dataUnavailable
	case profile.Copy:
		state = dataReadOnly
	}
	if state == p.dataState {
		return nil
	}
	if state.there() {
		var fault error
		vm.m.Budget("data", vm.cfg.StepsAtStart)
		err := vm.m.Do(func(*lua.Thread) {
			var data *lua.Table
			if data, fault = vm.dataOf(profile.Document); fault == nil {
				p.inputValue.Held = lua.Of(data)
			}
		})
		switch {
		case err != nil:
			return vm.ran("data", err)
		case fault != nil:
			vm.log.line(throng.LogError, "data of "+string(id)+": "+fault.Error())
			state = dataUnavailable
		}
	}
	p.dataState = state
	return vm.fire(eventData, vm.cfg.StepsPerEvent, lua.Of(p.value))
}

// Document is a player's data as JSON; nil when there is none to save. An Error
// of KindScript says what in it cannot be saved; it is logged.
func (vm *VM) Document(id throng.PlayerID) ([]byte, error) {
	p := vm.players[id]
	if vm.failed != nil || p == nil {
		return nil, vm.failed
	}
	return vm.document(p)
}

func (vm *VM) document(p *player) (doc []byte, err error) {
	if p.dataState != dataReady {
		return nil, nil
	}
	vm.m.Budget("data", vm.cfg.StepsAtStart)
	err = vm.ran("data", vm.m.Do(func(t *lua.Thread) { doc = encode(t, p.inputValue.Held.Table()) }))
	return doc, err
}

// keep saves the data of a player who left.
func (vm *VM) keep(p *player) {
	if doc, err := vm.document(p); err == nil && doc != nil {
		vm.cfg.Store.Save(0, p.id, doc)
	}
}

// Saved tells the script what became of player:save.
func (vm *VM) Saved(id uint64, result error) error {
	if asked := vm.calls.open[id]; asked.player != nil && throng.KindOf(result) == throng.Denied {
		if err := vm.Loaded(asked.player.id, throng.Profile{}, result); Fatal(err) {
			return err
		}
	}
	return vm.answer(id, "save", result, nil)
}

// save is player:save.
func (vm *VM) save(c lua.Call) []lua.Value {
	p, ok := c.Arg(0).Object().(*player)
	if !ok {
		c.Fail(0, "a player expected: call it as player:save()")
	}
	c.T.Charge(50)
	if !p.dataState.there() || p.left {
		words := p.dataWords()
		if p.left {
			words = "was saved when he left"
		}
		c.T.Throw("data of %s %s", p.id, words)
	}
	doc := encode(c.T, p.inputValue.Held.Table())
	vm.cfg.Store.Save(vm.begin(c, 1, maxSaves, call{what: "save", player: p}), p.id, doc)
	return nil
}

// setData is player.data = v.
func (p *player) setData(t *lua.Thread, v lua.Value) {
	switch {
	case !p.dataState.there():
		t.Throw("data of %s %s", p.id, p.dataWords())
	case v.Table() == nil:
		t.Throw("player.data must be a table, got %s", v.Type())
	}
	p.inputValue.Held = v
}

// dataOf makes a document's table.
func (vm *VM) dataOf(doc []byte) (*lua.Table, error) {
	if len(doc) == 0 {
		return vm.m.NewTable(), nil
	}
	if err := throng.CheckDocument("document", doc); err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(doc, &fields); err != nil {
		return nil, throng.AtField(throng.Invalid, "document", "is not JSON: %w", err)
	}
	return vm.valueOf(fields).Table(), nil
}

// valueOf is a value of a document, for scripts.
func (vm *VM) valueOf(v any) lua.Value {
	switch v := v.(type) {
	case bool:
		return lua.Bool(v)
	case float64:
		return lua.Number(v)
	case string:
		return vm.m.String(v)
	case []any:
		list := vm.m.NewTable()
		for i, e := range v {
			list.Set(lua.Number(float64(i+1)), vm.valueOf(e))
		}
		return lua.Of(list)
	case map[string]any:
		table := vm.m.NewTable()
		for _, key := range slices.Sorted(maps.Keys(v)) {
			table.Set(vm.m.String(key), vm.valueOf(v[key]))
		}
		return lua.Of(table)
	}
	return lua.Value{}
}
