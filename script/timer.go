package script

import (
	"cmp"
	"slices"

	"github.com/throng-gg/throng/script/lua"
)

// Bounds of timers.
const (
	maxTimers  = 256
	maxSeconds = 86_400
	// onTime is how much earlier a timer may be called, in seconds: time is a sum
	// of ticks and not exact.
	onTime = 1e-6
)

// timer calls a function once, or again and again.
type timer struct {
	id    uint64
	due   float64 // simulated seconds
	again bool
	every float64
	fn    lua.Value
}

func (vm *VM) openTimer() {
	lib := vm.m.Library("timer")
	vm.m.Define(lib, "after", func(c lua.Call) []lua.Value { return vm.addTimer(c, false) })
	vm.m.Define(lib, "every", func(c lua.Call) []lua.Value { return vm.addTimer(c, true) })
	vm.m.Define(lib, "cancel", func(c lua.Call) []lua.Value {
		id := uint64(max(c.Int(0), 0))
		c.T.Charge(5 + len(vm.timers)/8)
		return c.Return(lua.Bool(vm.dropTimer(id)))
	})
	lib.Lock()
}

// addTimer is timer.after and timer.every.
func (vm *VM) addTimer(c lua.Call, again bool) []lua.Value {
	seconds := c.Number(0)
	if !(seconds >= 0 && seconds <= maxSeconds) {
		c.Fail(0, "seconds are 0 to %d", maxSeconds)
	}
	fn := lua.Of(c.Function(1))
	if len(vm.timers) >= maxTimers {
		c.T.Throw("%d timers are set, which is the most", maxTimers)
	}
	c.T.Charge(20 + len(vm.timers)/8)
	vm.lastTimer++
	vm.alive.Set(timerKey(vm.lastTimer), fn)
	vm.setTimer(timer{id: vm.lastTimer, due: vm.time + seconds, again: again, every: seconds, fn: fn})
	return c.Return(lua.Number(float64(vm.lastTimer)))
}

// timerKey is where a timer's function is kept alive. Calls have the numbers
// from 1 on.
func timerKey(id uint64) lua.Value { return lua.Number(-float64(id)) }

// setTimer keeps timers in the order in which they are due, and of those due at
// once in the order in which they were set.
func (vm *VM) setTimer(t timer) {
	i, _ := slices.BinarySearchFunc(vm.timers, t, func(a, b timer) int {
		return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.id, b.id))
	})
	vm.timers = slices.Insert(vm.timers, i, t)
}

// dropTimer forgets a timer; false: it is not set.
func (vm *VM) dropTimer(id uint64) bool {
	i := slices.IndexFunc(vm.timers, func(t timer) bool { return t.id == id })
	if i < 0 {
		return false
	}
	vm.timers = slices.Delete(vm.timers, i, i+1)
	vm.alive.Set(timerKey(id), lua.Value{})
	return true
}

// dueTimers are those to call in this tick, each once. Those that they set wait
// for the next.
func (vm *VM) dueTimers() []timer {
	n := 0
	for n < len(vm.timers) && vm.timers[n].due <= vm.time+onTime {
		n++
	}
	return slices.Clone(vm.timers[:n])
}

// begins says whether a timer that was due still is to be called: none before it
// has cancelled it. It is over then, or set again.
func (vm *VM) begins(t timer) bool {
	i := slices.IndexFunc(vm.timers, func(o timer) bool { return o.id == t.id })
	if i < 0 {
		return false
	}
	if !t.again {
		return vm.dropTimer(t.id)
	}
	vm.timers = slices.Delete(vm.timers, i, i+1)
	next := t
	next.due = max(t.due+t.every, vm.time)
	vm.setTimer(next)
	return true
}
