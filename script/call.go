package script

import (
	"strings"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/script/lua"
)

// Bounds of what a script waits for.
const (
	maxHandoffs = 32
	maxSaves    = 64
	maxPosts    = 64 // transfers and balances
)

// call is something that a script asked for and that is answered in a later
// step.
type call struct {
	what   string    // "handoff"
	fn     lua.Value // nil: the answer is not wanted
	player *player   // of a save
}

// calls is what a script waits for.
type calls struct {
	open  map[uint64]call
	count map[string]int
	last  uint64
}

func newCalls() calls { return calls{open: make(map[uint64]call), count: make(map[string]int)} }

// begin names a call, of which there are at most so many. Argument i is its
// callback, or nothing.
func (vm *VM) begin(c lua.Call, i, most int, asked call) uint64 {
	if !c.Arg(i).IsNil() {
		asked.fn = lua.Of(c.Function(i))
	}
	if vm.calls.count[asked.what] >= most {
		c.T.Throw("%d calls of '%s' are under way, which is the most", most, c.Fn.Name())
	}
	vm.calls.last++
	vm.calls.count[asked.what]++
	vm.calls.open[vm.calls.last] = asked
	if !asked.fn.IsNil() {
		vm.alive.Set(lua.Number(float64(vm.calls.last)), asked.fn)
	}
	return vm.calls.last
}

// answer gives a call's callback what came of it: true and what build makes, or
// false, the reason and its code. A call that is not known is nothing new.
func (vm *VM) answer(id uint64, what string, result error, build func(*lua.Thread) lua.Value) error {
	asked, ok := vm.calls.open[id]
	if vm.failed != nil || !ok || asked.what != what {
		return vm.failed
	}
	delete(vm.calls.open, id)
	vm.calls.count[what]--
	if asked.fn.IsNil() {
		return nil
	}
	defer vm.alive.Set(lua.Number(float64(id)), lua.Value{})
	vm.m.Budget(what, vm.cfg.StepsPerEvent)
	return vm.ran(what, vm.m.Do(func(t *lua.Thread) {
		switch {
		case result != nil:
			words := result.Error()
			t.Call(asked.fn, lua.Bool(false), vm.m.String(strings.ToValidUTF8(words[:min(len(words), 300)], "")),
				vm.m.Intern(throng.KindOf(result).String()))
		case build != nil:
			t.Call(asked.fn, lua.Bool(true), build(t))
		default:
			t.Call(asked.fn, lua.Bool(true))
		}
	}))
}

// ran takes what the machine says of a call, logs it, and ends the place if it
// is fatal.
func (vm *VM) ran(event string, err error) error {
	if err == nil {
		return nil
	}
	return vm.failedAt(event, err)
}

func (vm *VM) failedAt(event string, err error) *Error {
	e := failure(event, err)
	vm.log.failed(e, vm.time)
	if e.Kind != KindScript {
		vm.failed = e
	}
	return e
}
