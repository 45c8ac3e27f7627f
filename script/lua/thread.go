package lua

// Native is a builtin. The slice that it returns is read before anything else
// runs; Call.Return makes one without allocation.
type Native func(c Call) []Value

// Function is a Lua closure or a builtin.
type Function struct {
	proto   *Proto // nil: a builtin
	up      []*upvalue
	native  Native
	held    []Value // values that native keeps alive
	name    string
	special special
	id      uint64
	mark    uint32
}

// Name is what a builtin was defined as.
func (f *Function) Name() string { return f.name }

// special are the builtins that the machine does itself, as they change frames.
type special uint8

const (
	plain special = iota
	specialPcall
	specialXpcall
	specialYield
	specialNext // plain, but for loops know it
)

// upvalue is a variable that closures share. While its function runs it is the
// function's register; then it has its own value.
type upvalue struct {
	p    *Value
	own  Value
	reg  int
	mark uint32
}

const upvalueSize = 64

type status uint8

const (
	statusSuspended status = iota
	statusRunning
	statusNormal // resumed another one
	statusDead
)

// Thread is a coroutine, or the machine's main line. Builtins get the one that
// calls them.
type Thread struct {
	m       *Machine
	frames  []*frame
	seg     []Value // where registers are; never moves, replaced when it is full
	top     int     // of seg
	held    int     // of seg: arguments lie above top, up to here
	spare   []Value // a segment to use again
	size    int     // bytes, as counted
	multi   []Value // the open results
	rbuf    []Value // results of builtins
	runs    int     // Go calls of run; a yield needs exactly one
	status  status
	resumer *Thread // nil for the main thread

	// A function that the next run begins with.
	start     Value
	startArgs []Value

	body       Value // of a coroutine
	started    bool
	yielded    bool
	resumeRet  int
	resumeWant int

	id   uint64
	mark uint32
}

// frame is a running Lua function, or a guard: what pcall left to catch errors.
type frame struct {
	fn      *Function // nil: a guard
	regs    []Value
	extra   []Value    // arguments for '...'
	open    []*upvalue // that still are registers
	pc      int
	ret     int // caller's register for results
	want    int // results; -1: all, open
	top     int // of the segment before
	oldSeg  []Value
	handler Value // of a guard of xpcall
	failed  bool  // of a guard: an error was caught
}

func (m *Machine) newThread(registers int) *Thread {
	size := 512 + registers*valueSize
	m.alloc(size)
	m.lastID++
	return &Thread{m: m, seg: make([]Value, registers), size: size, id: m.lastID}
}

// Machine is the machine of the thread.
func (t *Thread) Machine() *Machine { return t.m }

// push adds a frame with n registers.
func (t *Thread) push(fn *Function, n int) *frame {
	i := len(t.frames)
	if i >= t.m.cfg.Depth {
		t.Throw("stack overflow: more than %d calls inside each other", t.m.cfg.Depth)
	}
	var fr *frame // one from before, if there is
	if i < cap(t.frames) {
		fr = t.frames[:i+1][i]
	}
	if fr == nil {
		t.m.alloc(200)
		t.size += 200
		fr = new(frame)
	}
	fr.fn, fr.pc, fr.top = fn, 0, t.top
	fr.regs = t.window(fr, n)
	t.frames = append(t.frames, fr) // only now, as a count of memory looks at frames
	return fr
}

// window takes n registers from the segment, or from a new one.
func (t *Thread) window(fr *frame, n int) []Value {
	if t.top+n > len(t.seg) {
		fr.oldSeg = t.seg
		if len(t.spare) >= n {
			t.seg, t.spare = t.spare, nil
		} else {
			size := max(2*len(t.seg), 2*n)
			t.m.alloc(size * valueSize)
			t.size += size * valueSize
			t.seg = make([]Value, size)
		}
		t.top = 0
	}
	regs := t.seg[t.top : t.top+n : t.top+n]
	t.top += n
	return regs
}

// pop removes the innermost frame. Its registers can be read until the next push.
func (t *Thread) pop() {
	fr := t.frames[len(t.frames)-1]
	if len(fr.open) > 0 {
		fr.close(0)
	}
	if fr.oldSeg != nil {
		if len(t.seg) > len(t.spare) {
			t.spare = t.seg
		}
		t.seg, fr.oldSeg = fr.oldSeg, nil
	}
	t.top = fr.top
	fr.extra = nil
	if fr.fn == nil {
		fr.handler = Value{}
	}
	t.frames = t.frames[:len(t.frames)-1]
}

// unwind removes all frames.
func (t *Thread) unwind() {
	for len(t.frames) > 0 {
		t.pop()
	}
	t.runs, t.yielded = 0, false
	t.start, t.startArgs = Value{}, nil
}

// forget lets Go collect what registers and buffers last held.
func (t *Thread) forget() {
	clear(t.seg)
	clear(t.multi[:cap(t.multi)])
	clear(t.rbuf[:cap(t.rbuf)])
	t.multi, t.rbuf = t.multi[:0], t.rbuf[:0]
	if t.spare != nil {
		t.size -= len(t.spare) * valueSize
		t.spare = nil
	}
}

// close gives the variables from register reg on values of their own.
func (fr *frame) close(reg int) {
	rest := fr.open[:0]
	for _, up := range fr.open {
		if up.reg < reg {
			rest = append(rest, up)
			continue
		}
		up.own = *up.p
		up.p = &up.own
	}
	clear(fr.open[len(rest):])
	fr.open = rest
}

// upvalue finds or makes the shared variable of a register.
func (t *Thread) upvalue(fr *frame, reg int) *upvalue {
	for _, up := range fr.open {
		if up.reg == reg {
			return up
		}
	}
	t.m.alloc(upvalueSize)
	up := &upvalue{p: &fr.regs[reg], reg: reg}
	fr.open = append(fr.open, up)
	return up
}

// closure makes a function of proto p inside the frame.
func (t *Thread) closure(fr *frame, p *Proto) Value {
	m := t.m
	m.alloc(96 + len(p.ups)*valueSize)
	m.charge(2 + len(p.ups))
	m.lastID++
	fn := &Function{proto: p, up: make([]*upvalue, len(p.ups)), id: m.lastID}
	for i, d := range p.ups {
		if d.local {
			fn.up[i] = t.upvalue(fr, d.index)
		} else {
			fn.up[i] = fr.fn.up[d.index]
		}
	}
	return Value{ref: fn}
}
