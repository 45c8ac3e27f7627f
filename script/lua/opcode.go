package lua

// opcode is what an instruction does. Operands: R is a register of the frame,
// K a constant, RK a register or, negative, a constant.
type opcode uint8

const (
	opMove       opcode = iota // Ra = Rb
	opConst                    // Ra = Kb
	opNil                      // Ra ... Ra+b = nil
	opBool                     // Ra = b; skip one when c is 1
	opGetUp                    // Ra = upvalue b
	opSetUp                    // upvalue b = RKc
	opGetGlobal                // Ra = global Kb
	opSetGlobal                // global Kb = RKc
	opIndex                    // Ra = Rb[RKc]
	opField                    // Ra = Rb[Kc], a string
	opSetIndex                 // Ra[RKb] = RKc
	opSetField                 // Ra[Kb] = RKc, a string
	opTable                    // Ra = {} with room for b elements
	opAppend                   // Ra[c+1 ... c+b] = Ra+1 ... Ra+b
	opAppendOpen               // the same, and then all open results
	opSelf                     // Ra+1 = Rb; Ra = Rb[Kc]
	opAdd                      // Ra = RKb + RKc
	opSub
	opMul
	opDiv
	opMod
	opPow
	opMinus      // Ra = -RKb
	opNot        // Ra = not RKb
	opLen        // Ra = #RKb
	opConcat     // Ra = Rb .. ... .. Rc
	opJump       // to d; closes upvalues from register a-1 when a > 0
	opClose      // closes upvalues from register a
	opTest       // to d when the truth of Rb is a
	opEqual      // to d when RKb == RKc is a
	opLess       // to d when RKb < RKc is a
	opLessEqual  // to d when RKb <= RKc is a
	opCall       // Rd ... = Ra(b arguments), c results; -1: all, open
	opCallOpen   // the same with the open results as further arguments
	opTail       // return Ra(b arguments)
	opTailOpen   // the same with the open results as further arguments
	opReturn     // return Ra ... Ra+b-1
	opReturnOpen // the same, and then all open results
	opForPrep    // numeric for: checks Ra, Ra+1, Ra+2, then to d
	opForLoop    // numeric for: steps Ra and goes on at d
	opForCall    // generic for: Ra+3 ... c variables = Ra(Ra+1, Ra+2)
	opForTest    // generic for: to d unless Ra+3 is nil
	opClosure    // Ra = function b
	opVararg     // Ra ... = b of the extra arguments
	opVarargOpen // all extra arguments, open
)

// instr is one instruction. Jump targets are absolute. Where names are looked
// up, d is the hint where the name was found last time.
type instr struct {
	op      opcode
	a       uint8
	b, c, d int32
}

// Proto is a compiled function. A file's outermost function is one, too.
type Proto struct {
	file   string
	name   string
	code   []instr
	lines  []int32 // of each instruction
	text   []constant
	consts []Value // text, made for one machine by link
	protos []*Proto
	ups    []upDesc
	locals []localInfo // for words
	params int
	regs   int
	vararg bool
}

type constant struct {
	s      string
	n      float64
	isText bool
}

// upDesc says where a closure finds an upvalue when it is made.
type upDesc struct {
	index int  // register of the enclosing function, or one of its upvalues
	local bool // a register
	name  string
}

type localInfo struct {
	name     string
	reg      int
	from, to int // instructions
}

// link makes the constants of p in m. A proto belongs to one machine then.
func (m *Machine) link(p *Proto) {
	if p.consts != nil || len(p.text) == 0 && len(p.protos) == 0 {
		return
	}
	p.consts = make([]Value, len(p.text))
	for i, c := range p.text {
		p.consts[i] = Number(c.n)
		if c.isText {
			p.consts[i] = Of(m.intern(c.s))
		}
	}
	for _, inner := range p.protos {
		m.link(inner)
	}
}

// Load makes the function of a compiled file. A proto is loaded once, in one
// machine.
func (m *Machine) Load(p *Proto) Value {
	m.link(p)
	m.lastID++
	return Value{ref: &Function{proto: p, id: m.lastID}}
}
