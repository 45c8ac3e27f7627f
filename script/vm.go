package script

import (
	"slices"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/script/lua"
)

// Input is what a player wants, sanitized: MoveX and MoveY in [-1,1].
type Input struct {
	MoveX, MoveY float64
	Buttons      uint32
	Lag          int // ticks that what the player saw then was old
}

// event is what scripts can hear of.
type event uint8

const (
	eventStart event = iota
	eventJoin
	eventLeave
	eventInput
	eventTick
	eventDrain
	eventData
	eventMessage
	eventCount
)

// String returns the event's name in scripts.
func (e event) String() string {
	switch e {
	case eventStart:
		return "start"
	case eventJoin:
		return "join"
	case eventLeave:
		return "leave"
	case eventInput:
		return "input"
	case eventTick:
		return "tick"
	case eventDrain:
		return "drain"
	case eventData:
		return "data"
	case eventMessage:
		return "message"
	case eventCount:
	}
	return "unknown"
}

// maxHandlers bounds the handlers of one event.
const maxHandlers = 16

// VM is one running place. Its methods are called by one goroutine. Those that
// run scripts return *Error: the first one of the event, after all its handlers
// ran; Fatal says whether it ends the session.
type VM struct {
	rewound int // ticks, in world.rewind; 0: it is now
	cfg     Config
	m       *lua.Machine
	entry   *lua.Proto
	log     *logger
	place   *lua.Table
	failed  error // fatal, returned by every call

	handlers [eventCount][]lua.Value
	started  bool // kinds are defined before

	tick throng.Tick
	time float64 // simulated seconds

	kinds    map[string]*kind
	entities map[uint32]*lua.Userdata
	players  map[throng.PlayerID]*player
	order    []*player  // who is in, first come first
	alive    *lua.Table // keeps players, entities and callbacks from being forgotten

	calls     calls   // that are not answered yet
	timers    []timer // in the order in which they are due; at most maxTimers
	lastTimer uint64

	removeFunc lua.Value            // entity:remove, the same for all
	saveFunc   lua.Value            // player:save, the same for all
	sendFunc   lua.Value            // player:send
	methods    map[string]lua.Value // of spaces
	removeBody lua.Value            // body:remove
	spaces     int                  // that were made; at most maxSpaces
	nothing    *lua.Table           // player.attributes of those who brought nothing
}

// New compiles a package's scripts and runs nothing. It returns Invalid as
// Check does.
func New(cfg Config) (*VM, error) {
	protos, err := compile(cfg.Files, cfg.Entry)
	if err != nil {
		return nil, err
	}
	vm := &VM{
		cfg:      cfg.withDefaults(),
		entry:    protos[cfg.Entry],
		kinds:    make(map[string]*kind),
		entities: make(map[uint32]*lua.Userdata),
		players:  make(map[throng.PlayerID]*player),
		calls:    newCalls(),
	}
	vm.log = newLogger(vm.cfg.Log)
	vm.m = lua.New(lua.Config{
		Memory: vm.cfg.MemoryBytes,
		Seed:   cfg.Seed,
		Print:  vm.log.print,
		Module: func(name string) *lua.Proto {
			if p := protos[name]; p != nil {
				return p
			}
			return protos[name+".lua"]
		},
	})
	vm.alive = vm.m.NewTable()
	vm.m.Pin(lua.Of(vm.alive))
	vm.openPlace()
	vm.openWorld()
	vm.openPlayers()
	vm.openHandoff()
	vm.openLedger()
	vm.openTimer()
	vm.openEvents()
	vm.openPhysics()
	return vm, nil
}

// Usage is what the script costs.
type Usage struct {
	Steps  int   // of the last event
	Memory int64 // bytes, at most
}

// Usage says what the script costs.
func (vm *VM) Usage() Usage {
	return Usage{Steps: vm.m.StepsUsed(), Memory: vm.m.MemoryUsed()}
}

// Start runs the entry file and then the start handlers. An entry file that
// fails is fatal.
func (vm *VM) Start() error {
	if vm.failed != nil {
		return vm.failed
	}
	vm.m.Budget("start", vm.cfg.StepsAtStart)
	if err := vm.m.Call(vm.m.Load(vm.entry)); err != nil {
		e := failure("start", err)
		if e.Kind == KindScript {
			e.Kind = KindStart
		}
		vm.failed = e
		vm.log.failed(e, vm.time)
		return e
	}
	err := vm.fire(eventStart, vm.cfg.StepsAtStart)
	vm.started = true
	return err
}

// Join tells the script that a player is in, with what he brought to the place's
// signals. One who is in already is nothing new.
func (vm *VM) Join(id throng.PlayerID, brought ...throng.Attribute) error {
	return vm.JoinFrom(id, throng.Origin{}, brought...)
}

// Leave tells the script that a player is gone. One who is not in is nothing
// new.
func (vm *VM) Leave(id throng.PlayerID) error {
	p := vm.players[id]
	if vm.failed != nil || p == nil {
		return vm.failed
	}
	p.left = true
	delete(vm.players, id)
	vm.order = slices.DeleteFunc(vm.order, func(o *player) bool { return o == p })
	err := vm.fire(eventLeave, vm.cfg.StepsPerEvent, lua.Of(p.value))
	if vm.failed == nil {
		vm.keep(p)
	}
	vm.alive.Set(lua.Of(p.value), lua.Value{})
	if p.attributes != vm.nothing {
		vm.alive.Set(lua.Of(p.attributes), lua.Value{})
	}
	return err
}

// Input brings a player's newest input. Of one who is not in it is dropped.
func (vm *VM) Input(id throng.PlayerID, in Input) error {
	p := vm.players[id]
	if vm.failed != nil || p == nil {
		return vm.failed
	}
	p.input.Input = in
	if len(vm.handlers[eventInput]) == 0 {
		return nil
	}
	return vm.fire(eventInput, vm.cfg.StepsPerEvent, lua.Of(p.value), lua.Of(p.inputValue))
}

// Tick runs one simulation step of dt seconds.
func (vm *VM) Tick(dt float64) error {
	if vm.failed != nil {
		return vm.failed
	}
	vm.tick++
	vm.time += dt
	vm.log.advance(dt)
	vm.place.SetField("tick", lua.Number(float64(vm.tick)))
	vm.place.SetField("time", lua.Number(vm.time))
	vm.m.Budget(eventTick.String(), vm.cfg.StepsPerTick)
	var first *Error
	for _, t := range vm.dueTimers() {
		if vm.begins(t) && !vm.call("timer", t.fn, nil, &first) {
			return vm.failed
		}
	}
	return vm.all(eventTick, []lua.Value{lua.Number(dt)}, first)
}

// fire runs the handlers of an event, on one budget.
func (vm *VM) fire(e event, steps int, args ...lua.Value) error {
	vm.m.Budget(e.String(), steps)
	return vm.all(e, args, nil)
}

// all runs the handlers of an event. It returns the first error of them, or the
// one before.
func (vm *VM) all(e event, args []lua.Value, before *Error) error {
	first := before
	for _, fn := range vm.handlers[e] {
		if !vm.call(e.String(), fn, args, &first) {
			return vm.failed
		}
	}
	if first == nil {
		return nil
	}
	return first
}

// call runs one handler and keeps the first error. False: the place is over.
func (vm *VM) call(event string, fn lua.Value, args []lua.Value, first **Error) bool {
	err := vm.m.Call(fn, args...)
	if err == nil {
		return true
	}
	e := vm.failedAt(event, err)
	if *first == nil {
		*first = e
	}
	return e.Kind == KindScript
}

func (vm *VM) openPlace() {
	vm.place = vm.m.Library("place")
	vm.place.SetField("tick", lua.Number(0))
	vm.place.SetField("time", lua.Number(0))
	vm.place.SetField("capacity", lua.Number(float64(vm.cfg.Capacity)))
	vm.m.Define(vm.place, "on", vm.on)
	vm.openSignals()
	vm.place.Lock()
}

// on is place.on.
func (vm *VM) on(c lua.Call) []lua.Value {
	name := c.Text(0)
	for e := range eventCount {
		if e.String() != name {
			continue
		}
		if len(vm.handlers[e]) >= maxHandlers {
			c.T.Throw("'%s' has %d handlers already", name, maxHandlers)
		}
		fn := lua.Of(c.Function(1))
		vm.m.Pin(fn)
		vm.handlers[e] = append(vm.handlers[e], fn)
		return nil
	}
	c.Fail(0, "no event '%.40s': there are start, join, leave, data, input, message, tick and drain", name)
	return nil
}
