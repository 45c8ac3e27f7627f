package lua

import "slices"

// Call is what a builtin is called with.
type Call struct {
	T    *Thread
	Args []Value
	Fn   *Function
}

// Return makes a builtin's results.
func (c Call) Return(vs ...Value) []Value {
	c.T.rbuf = append(c.T.rbuf[:0], vs...)
	return c.T.rbuf
}

// Call runs fn from Go and returns its results, which are good until the
// thread runs again.
func (t *Thread) Call(fn Value, args ...Value) []Value {
	if f, ok := fn.ref.(*Function); ok && f.native != nil && (f.special == plain || f.special == specialNext) {
		t.m.charge(2)
		return f.native(Call{t, args, f})
	}
	t.start, t.startArgs = fn, args
	t.run(len(t.frames))
	return t.multi
}

// call1 runs fn from Go for its first result.
func (t *Thread) call1(fn Value, args ...Value) Value {
	if res := t.Call(fn, args...); len(res) > 0 {
		return res[0]
	}
	return Value{}
}

// run goes on until only floor frames are left, or until a yield.
func (t *Thread) run(floor int) {
	if t.m.nest >= maxNest {
		t.start = Value{}
		t.Throw("more than %d builtins, metamethods or coroutines run inside each other", maxNest)
	}
	t.m.nest++
	t.runs++
	for !t.guarded(floor) {
		t.m.charge(1)
	}
	t.runs--
	t.m.nest--
}

// guarded is run up to the next error that a guard catches.
func (t *Thread) guarded(floor int) (done bool) {
	runs, nest := t.runs, t.m.nest
	defer func() {
		if t.m.flying == nil || t.m.dead != nil || !t.hasGuard(floor) {
			return // no error, or not for us: it flies on
		}
		_ = recover()
		t.runs, t.m.nest = runs, nest
		done = t.catch(floor)
	}()
	if fn := t.start; fn.ref != nil {
		args := t.startArgs
		t.start, t.startArgs = Value{}, nil
		if t.invoke(fn, args, 0, -1, floor) {
			return true
		}
	}
	t.exec(floor)
	return true
}

func (t *Thread) hasGuard(floor int) bool {
	for _, fr := range slices.Backward(t.frames[min(floor, len(t.frames)):]) {
		if fr.fn == nil {
			return true
		}
	}
	return false
}

// catch ends the innermost guarded call with the error that flies. It says
// whether the run is over.
func (t *Thread) catch(floor int) (done bool) {
	e := t.m.flying
	t.m.flying = nil
	t.m.cur = t
	for t.frames[len(t.frames)-1].fn != nil {
		t.pop()
	}
	guard := t.frames[len(t.frames)-1]
	guard.failed = true
	if guard.handler.ref != nil {
		t.start, t.startArgs = guard.handler, []Value{e.value}
		guard.handler = Value{}
		return false
	}
	return t.deliver(0, -1, []Value{e.value}, floor)
}

// native runs a builtin, which may run Lua in its turn.
func (t *Thread) native(f *Function, args []Value) []Value {
	top := t.top
	t.top, t.held = max(top, t.held), 0
	res := f.native(Call{t, args, f})
	t.top = top
	return res
}

// enter pushes a Lua function.
func (t *Thread) enter(f *Function, args []Value, ret, want int) {
	p := f.proto
	var extra []Value
	if p.vararg && len(args) > p.params {
		extra = t.extra(args[p.params:])
	}
	fr := t.push(f, p.regs)
	fr.ret, fr.want, fr.extra = ret, want, extra
	t.held = 0
	n := copy(fr.regs[:p.params], args)
	clear(fr.regs[n:p.params])
}

func (t *Thread) extra(args []Value) []Value {
	t.m.charge(1 + len(args)/4)
	t.m.alloc(len(args) * valueSize)
	return append([]Value(nil), args...)
}

// gather puts args and the open results side by side, in registers that are
// free until the next push; native keeps them for longer.
func (t *Thread) gather(args []Value) []Value {
	if len(t.multi) == 0 {
		return args
	}
	n := len(args) + len(t.multi)
	t.m.charge(n / 4)
	var all []Value
	if t.top+n <= len(t.seg) {
		all = t.seg[t.top : t.top+n : t.top+n]
		t.held = t.top + n
	} else {
		t.m.alloc(n * valueSize)
		all = make([]Value, n)
	}
	copy(all, args)
	copy(all[len(args):], t.multi)
	return all
}

// setMulti makes res the open results.
func (t *Thread) setMulti(res []Value) {
	if len(res) > 8 {
		t.m.charge(len(res) / 4)
		if len(res) > cap(t.multi) {
			t.m.alloc(len(res) * valueSize)
		}
	}
	t.multi = append(t.multi[:0], res...)
}

// prefix puts v in front of res, as open results.
func (t *Thread) prefix(v Value, res []Value) []Value {
	n := len(res)
	if n+1 > cap(t.multi) {
		t.m.alloc((n + 1) * valueSize)
		t.multi = append(t.multi[:0:0], make([]Value, n+1)...)
	}
	t.m.charge(n / 4)
	multi := t.multi[:n+1]
	copy(multi[1:], res) // may be the same memory
	multi[0] = v
	t.multi = multi
	return multi
}

// deliver hands results to the innermost frame, through guards that end by
// them. It says whether the run is over, the results being open then.
func (t *Thread) deliver(ret, want int, res []Value, floor int) (done bool) {
	to, count, out := ret, want, res
	for {
		if len(t.frames) <= floor {
			t.setMulti(out)
			return true
		}
		fr := t.frames[len(t.frames)-1]
		if fr.fn != nil {
			if count < 0 {
				t.setMulti(out)
			} else {
				n := copy(fr.regs[to:to+count], out)
				clear(fr.regs[to+n : to+count])
			}
			return false
		}
		out = t.prefix(Bool(!fr.failed), out)
		to, count = fr.ret, fr.want
		t.pop()
	}
}

// leave ends a frame with its results.
func (t *Thread) leave(fr *frame, res []Value, floor int) (done bool) {
	ret, want := fr.ret, fr.want
	t.pop()
	return t.deliver(ret, want, res, floor)
}

// invoke calls anything: a Lua function gets a frame, a builtin runs at once.
// It says whether the run is over or yields.
func (t *Thread) invoke(fn Value, args []Value, ret, want, floor int) (done bool) {
	f, ok := fn.ref.(*Function)
	if !ok {
		h, ok := t.m.handler(fn, evCall).ref.(*Function)
		if !ok {
			t.Throw("attempt to call a %s value%s", fn.Type(), t.callee())
		}
		f = h
		args = append([]Value{fn}, args...) // __call takes the object first
	}
	if f.proto != nil {
		t.enter(f, args, ret, want)
		return false
	}
	t.m.charge(2)
	switch f.special {
	case plain, specialNext:
		return t.deliver(ret, want, t.native(f, args), floor)
	case specialYield:
		if t.resumer == nil {
			t.Throw("attempt to yield outside a coroutine")
		}
		if t.runs != 1 {
			t.Throw("attempt to yield inside a builtin or metamethod")
		}
		t.setMulti(args)
		t.yielded, t.resumeRet, t.resumeWant = true, ret, want
		return true
	case specialPcall:
		if len(args) == 0 {
			t.Throw("bad argument #1 to 'pcall' (value expected)")
		}
		t.guard(Value{}, ret, want)
		return t.invoke(args[0], args[1:], 0, -1, floor)
	case specialXpcall:
		if len(args) < 2 {
			t.Throw("bad argument #2 to 'xpcall' (value expected)")
		}
		t.guard(args[1], ret, want)
		return t.invoke(args[0], args[2:], 0, -1, floor)
	}
	return false
}

func (t *Thread) guard(handler Value, ret, want int) {
	fr := t.push(nil, 0)
	fr.ret, fr.want, fr.handler, fr.failed = ret, want, handler, false
}
