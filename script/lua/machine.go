package lua

import (
	"fmt"
	"hash/maphash"
	"math"
	"math/rand/v2"
)

// Config is what a Machine needs. Zero numbers mean the defaults.
type Config struct {
	Memory int64             // bytes that the script may hold; default 64 MiB, at least 1 MiB
	Depth  int               // nested calls of Lua functions; default 1,000
	Seed   uint64            // of math.random
	Print  func(line string) // where print writes; nil: nowhere
	// Module returns the file that require(name) means, nil when there is none.
	Module func(name string) *Proto
}

// Machine runs the scripts of one session.
type Machine struct {
	cfg Config

	// Owned by the caller of Call.
	steps   int    // left of the budget
	allowed int    // the budget
	what    string // what it is for, in words
	dead    *Error // why every later call fails
	flying  *thrown
	nest    int // Go frames that run Lua
	main    *Thread
	cur     *Thread // the one that runs

	used    int64 // bytes: live at the last count, and all made since
	recount int64 // when used gets here, count what is live
	epoch   uint32

	globals  *Table
	strings  *Table // the string library: where strings find their methods
	events   [eventCount]*String
	interned map[string]*String
	modules  map[*Proto]Value
	pins     []Value
	seed     maphash.Seed
	mix      uint64
	lastID   uint64
	random   *rand.Rand
}

// maxNest bounds how deep builtins, metamethods and coroutines run Lua inside
// each other, as each takes Go's stack.
const maxNest = 150

// New makes a machine with the libraries in its globals.
func New(cfg Config) *Machine {
	if cfg.Memory <= 0 {
		cfg.Memory = 64 << 20
	}
	cfg.Memory = max(cfg.Memory, 1<<20)
	if cfg.Depth <= 0 {
		cfg.Depth = 1000
	}
	if cfg.Print == nil {
		cfg.Print = func(string) {}
	}
	if cfg.Module == nil {
		cfg.Module = func(string) *Proto { return nil }
	}
	m := &Machine{
		cfg:      cfg,
		steps:    math.MaxInt,
		interned: make(map[string]*String),
		modules:  make(map[*Proto]Value),
		seed:     maphash.MakeSeed(),
		mix:      rand.Uint64(), //nolint:gosec // spreads table slots; no result depends on it
		random:   rand.New(rand.NewPCG(cfg.Seed, 0x7468726f6e67)),
		recount:  cfg.Memory,
	}
	for e := range eventCount {
		m.events[e] = m.intern(e.String())
	}
	m.main = m.newThread(1024)
	m.cur = m.main
	m.globals = m.NewTable()
	m.openBase()
	m.openCoroutine()
	m.openMath()
	m.openString()
	m.openTable()
	return m
}

// Globals is the table of global variables.
func (m *Machine) Globals() *Table { return m.globals }

// Pin keeps v alive for as long as the machine.
func (m *Machine) Pin(v Value) { m.pins = append(m.pins, v) }

// Dead is why the machine takes no calls any more; nil while it does.
func (m *Machine) Dead() error {
	if m.dead == nil {
		return nil
	}
	return m.dead
}

// StepsUsed is what the calls since Budget cost.
func (m *Machine) StepsUsed() int { return m.allowed - max(m.steps, 0) }

// MemoryUsed is at most what the script holds, in bytes as the machine counts.
func (m *Machine) MemoryUsed() int64 { return m.used }

// Budget gives the calls that follow steps to share. what names them in words:
// "tick".
func (m *Machine) Budget(what string, steps int) { m.what, m.allowed, m.steps = what, steps, steps }

// Call runs fn on the budget. Errors are *Error; after one that is not
// KindScript the machine is dead and every call returns it again. Call is not
// for use inside builtins; Thread.Call is.
func (m *Machine) Call(fn Value, args ...Value) error {
	return m.Do(func(t *Thread) { t.Call(fn, args...) })
}

// Do runs Go code on the budget, as Call runs a script.
func (m *Machine) Do(fn func(t *Thread)) (err error) {
	if m.dead != nil {
		return m.dead
	}
	defer func() {
		if r := recover(); r != nil {
			err = m.failure(r)
		}
		m.rest()
	}()
	fn(m.main)
	return nil
}

// rest forgets everything of the last call.
func (m *Machine) rest() {
	m.flying, m.nest, m.cur = nil, 0, m.main
	m.main.unwind()
	m.main.status = statusRunning
	m.main.forget()
}

// Charge takes n steps for the work of a builtin.
func (t *Thread) Charge(n int) { t.m.charge(n) }

func (m *Machine) charge(n int) {
	m.steps -= n
	if m.steps < 0 {
		m.overrun()
	}
}

// work charges for n bytes that are read or written.
func (m *Machine) work(n int) { m.charge(n / 32) }

func (m *Machine) overrun() {
	m.die(KindSteps, "%s used more than %d steps", m.what, m.allowed)
}

// String makes a string value. Longer than MaxString is a script error.
func (m *Machine) String(s string) Value {
	if len(s) > MaxString {
		m.cur.Throw("string is longer than %d bytes", MaxString)
	}
	m.alloc(64 + len(s))
	m.work(len(s))
	return Value{ref: &String{s: s, hash: maphash.String(m.seed, s)}}
}

// intern makes the one string of names and constants.
func (m *Machine) intern(s string) *String {
	if v, ok := m.interned[s]; ok {
		return v
	}
	v := &String{s: s, hash: maphash.String(m.seed, s)}
	m.interned[s] = v
	return v
}

// Intern makes the string of a name that Go code looks up often.
func (m *Machine) Intern(s string) Value { return Of(m.intern(s)) }

// NewUserdata makes a value of a Go object, which holds so many bytes itself.
func (m *Machine) NewUserdata(o Object, size int) *Userdata {
	m.alloc(userdataSize + size)
	m.lastID++
	return &Userdata{Object: o, id: m.lastID, size: size}
}

// NewFunction makes a builtin. held are the values that fn keeps alive.
func (m *Machine) NewFunction(name string, fn Native, held ...Value) Value {
	m.alloc(96 + len(held)*valueSize)
	m.lastID++
	return Value{ref: &Function{name: name, native: fn, held: held, id: m.lastID}}
}

// Define puts a builtin into a table of builtins.
func (m *Machine) Define(tb *Table, name string, fn Native) {
	tb.SetField(name, m.NewFunction(name, fn))
}

// Library makes a global table for builtins; Lock it once it is full.
func (m *Machine) Library(name string) *Table {
	tb := m.NewTable()
	m.globals.SetField(name, Of(tb))
	return tb
}

// hash spreads keys over table slots. No result depends on it.
func (m *Machine) hash(key Value) uint64 {
	var x uint64
	switch k := key.ref.(type) {
	case *String:
		return k.hash
	case numberTag:
		if key.num != 0 { // both zeros are one key
			x = math.Float64bits(key.num)
		}
	case boolTag:
		x = uint64(key.num) + 1
	case *Table:
		x = k.id
	case *Function:
		x = k.id
	case *Thread:
		x = k.id
	case *Userdata:
		x = k.id
	}
	x = (x ^ m.mix) * 0x9e3779b97f4a7c15
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}

// event is what a metatable can handle.
type event int

const (
	evIndex event = iota
	evNewIndex
	evCall
	evAdd
	evSub
	evMul
	evDiv
	evMod
	evPow
	evUnm
	evConcat
	evLen
	evEq
	evLt
	evLe
	evToString
	evMetatable
	eventCount
)

// String returns the event's key in a metatable.
func (e event) String() string {
	names := [...]string{
		"__index", "__newindex", "__call", "__add", "__sub", "__mul", "__div", "__mod", "__pow",
		"__unm", "__concat", "__len", "__eq", "__lt", "__le", "__tostring", "__metatable",
	}
	if e >= 0 && int(e) < len(names) {
		return names[e]
	}
	return fmt.Sprintf("event %d", int(e))
}

// handler returns what v's metatable has for e; nil when nothing.
func (m *Machine) handler(v Value, e event) Value {
	if tb, ok := v.ref.(*Table); ok && tb.meta != nil {
		return tb.meta.getStr(m.events[e])
	}
	return Value{}
}
