package lua

import "math"

func rk(regs, consts []Value, i int32) *Value {
	if i < 0 {
		return &consts[^i]
	}
	return &regs[i]
}

func (v *Value) setNumber(n float64) {
	v.ref = numberTag{}
	v.num = n
}

func asInt(b bool) uint8 { //nolint:revive // a conversion, not a mode
	if b {
		return 1
	}
	return 0
}

// exec runs the innermost frame and those that it calls, until only floor
// frames are left or the thread yields.
//
//nolint:funlen,gocognit,gocyclo // one switch is the machine; a call an instruction would double its cost
func (t *Thread) exec(floor int) {
	m := t.m
frames:
	for {
		fr := t.frames[len(t.frames)-1]
		p := fr.fn.proto
		code, ks, regs := p.code, p.consts, fr.regs
		pc := fr.pc
		for {
			in := &code[pc]
			pc++
			fr.pc = pc
			m.steps--
			if m.steps < 0 {
				m.overrun()
			}
			switch in.op {
			case opMove:
				regs[in.a] = regs[in.b]
			case opConst:
				regs[in.a] = ks[in.b]
			case opNil:
				clear(regs[in.a : int32(in.a)+in.b+1])
			case opBool:
				regs[in.a] = Value{ref: boolTag{}, num: float64(in.b)}
				pc += int(in.c)
			case opGetUp:
				regs[in.a] = *fr.fn.up[in.b].p
			case opSetUp:
				*fr.fn.up[in.b].p = *rk(regs, ks, in.c)
			case opGetGlobal:
				v := m.globals.getHint(ks[in.b].ref.(*String), &in.d)
				if v.ref == nil && m.globals.meta != nil {
					v = t.index(Of(m.globals), ks[in.b])
				}
				regs[in.a] = v
			case opSetGlobal:
				if m.globals.meta != nil {
					t.setIndex(Of(m.globals), ks[in.b], *rk(regs, ks, in.c))
					continue
				}
				m.globals.setHint(ks[in.b], *rk(regs, ks, in.c), &in.d)
			case opIndex:
				key := rk(regs, ks, in.c)
				if tb, ok := regs[in.b].ref.(*Table); ok {
					if v := tb.get(*key); v.ref != nil || tb.meta == nil {
						regs[in.a] = v
						continue
					}
				}
				regs[in.a] = t.index(regs[in.b], *key)
			case opField:
				if tb, ok := regs[in.b].ref.(*Table); ok {
					if v := tb.getHint(ks[in.c].ref.(*String), &in.d); v.ref != nil || tb.meta == nil {
						regs[in.a] = v
						continue
					}
				}
				regs[in.a] = t.index(regs[in.b], ks[in.c])
			case opSetIndex:
				key := rk(regs, ks, in.b)
				if tb, ok := regs[in.a].ref.(*Table); ok && tb.meta == nil && !tb.locked {
					if i := int(key.num) - 1; i >= 0 && i < len(tb.arr)-1 && key.isNumber() && float64(i+1) == key.num {
						tb.arr[i] = *rk(regs, ks, in.c)
						continue
					}
				}
				t.setIndex(regs[in.a], *key, *rk(regs, ks, in.c))
			case opSetField:
				if tb, ok := regs[in.a].ref.(*Table); ok && tb.meta == nil && !tb.locked {
					tb.setHint(ks[in.b], *rk(regs, ks, in.c), &in.d)
					continue
				}
				t.setIndex(regs[in.a], ks[in.b], *rk(regs, ks, in.c))
			case opTable:
				m.charge(3)
				tb := m.NewTable()
				if in.b > 0 {
					tb.grow(int(in.b))
				}
				regs[in.a] = Value{ref: tb}
			case opAppend:
				t.append(regs, in)
			case opAppendOpen:
				t.append(regs, in)
				m.charge(len(t.multi) / 2)
				tb := regs[in.a].Table()
				for i, v := range t.multi {
					tb.setNum(float64(int(in.b+in.c)+i+1), v)
				}
			case opSelf:
				object := regs[in.b]
				regs[int(in.a)+1] = object
				if tb, ok := object.ref.(*Table); ok {
					if v := tb.getHint(ks[in.c].ref.(*String), &in.d); v.ref != nil {
						regs[in.a] = v
						continue
					}
				}
				regs[in.a] = t.index(object, ks[in.c])
			case opAdd:
				x, y := rk(regs, ks, in.b), rk(regs, ks, in.c)
				if x.isNumber() && y.isNumber() {
					regs[in.a].setNumber(x.num + y.num)
					continue
				}
				regs[in.a] = t.arith(evAdd, *x, *y)
			case opSub:
				x, y := rk(regs, ks, in.b), rk(regs, ks, in.c)
				if x.isNumber() && y.isNumber() {
					regs[in.a].setNumber(x.num - y.num)
					continue
				}
				regs[in.a] = t.arith(evSub, *x, *y)
			case opMul:
				x, y := rk(regs, ks, in.b), rk(regs, ks, in.c)
				if x.isNumber() && y.isNumber() {
					regs[in.a].setNumber(x.num * y.num)
					continue
				}
				regs[in.a] = t.arith(evMul, *x, *y)
			case opDiv:
				x, y := rk(regs, ks, in.b), rk(regs, ks, in.c)
				if x.isNumber() && y.isNumber() {
					regs[in.a].setNumber(x.num / y.num)
					continue
				}
				regs[in.a] = t.arith(evDiv, *x, *y)
			case opMod:
				x, y := rk(regs, ks, in.b), rk(regs, ks, in.c)
				if x.isNumber() && y.isNumber() {
					regs[in.a].setNumber(t.modulo(x.num, y.num))
					continue
				}
				regs[in.a] = t.arith(evMod, *x, *y)
			case opPow:
				x, y := rk(regs, ks, in.b), rk(regs, ks, in.c)
				if x.isNumber() && y.isNumber() {
					if y.num == 2 {
						regs[in.a].setNumber(x.num * x.num)
						continue
					}
					m.charge(10)
					regs[in.a].setNumber(math.Pow(x.num, y.num))
					continue
				}
				regs[in.a] = t.arith(evPow, *x, *y)
			case opMinus:
				x := rk(regs, ks, in.b)
				if x.isNumber() {
					regs[in.a].setNumber(-x.num)
					continue
				}
				regs[in.a] = t.arith(evUnm, *x, *x)
			case opNot:
				regs[in.a] = Value{ref: boolTag{}, num: float64(1 - asInt(rk(regs, ks, in.b).truthy()))}
			case opLen:
				x := rk(regs, ks, in.b)
				if tb, ok := x.ref.(*Table); ok && tb.meta == nil {
					regs[in.a].setNumber(float64(len(tb.arr)))
					continue
				}
				regs[in.a] = t.length(*x)
			case opConcat:
				regs[in.a] = t.concat(regs[in.b : in.c+1])
			case opJump:
				if in.a > 0 && len(fr.open) > 0 {
					fr.close(int(in.a) - 1)
				}
				pc = int(in.d)
			case opClose:
				fr.close(int(in.a))
			case opTest:
				if asInt(regs[in.b].truthy()) == in.a {
					pc = int(in.d)
				}
			case opEqual:
				x, y := rk(regs, ks, in.b), rk(regs, ks, in.c)
				var eq bool
				if x.isNumber() {
					eq = x.num == y.num && y.isNumber()
				} else {
					eq = t.equal(*x, *y)
				}
				if asInt(eq) == in.a {
					pc = int(in.d)
				}
			case opLess:
				x, y := rk(regs, ks, in.b), rk(regs, ks, in.c)
				var less bool
				if x.isNumber() && y.isNumber() {
					less = x.num < y.num
				} else {
					less = t.less(evLt, *x, *y)
				}
				if asInt(less) == in.a {
					pc = int(in.d)
				}
			case opLessEqual:
				x, y := rk(regs, ks, in.b), rk(regs, ks, in.c)
				var less bool
				if x.isNumber() && y.isNumber() {
					less = x.num <= y.num
				} else {
					less = t.less(evLe, *x, *y)
				}
				if asInt(less) == in.a {
					pc = int(in.d)
				}
			case opCall, opCallOpen:
				args := regs[int(in.a)+1 : int(in.a)+1+int(in.b) : int(in.a)+1+int(in.b)]
				if in.op == opCallOpen {
					args = t.gather(args)
				}
				f, ok := regs[in.a].ref.(*Function)
				switch {
				case ok && f.proto != nil:
					t.enter(f, args, int(in.d), int(in.c))
					continue frames
				case ok && f.special == plain && in.c >= 0:
					m.charge(2)
					res := t.native(f, args)
					to := regs[in.d : in.d+in.c]
					clear(to[copy(to, res):])
				default:
					if t.invoke(regs[in.a], args, int(in.d), int(in.c), floor) {
						return
					}
					continue frames
				}
			case opTail, opTailOpen:
				args := regs[int(in.a)+1 : int(in.a)+1+int(in.b)]
				if in.op == opTailOpen {
					args = t.gather(args)
				}
				if f, ok := regs[in.a].ref.(*Function); ok && f.proto != nil {
					ret, want := fr.ret, fr.want
					t.pop()
					t.enter(f, args, ret, want)
					continue frames
				}
				if t.invoke(regs[in.a], args, 0, -1, floor) {
					return
				}
				continue frames
			case opReturn:
				if t.leave(fr, regs[in.a:int32(in.a)+in.b], floor) {
					return
				}
				continue frames
			case opReturnOpen:
				res := t.multi
				if in.b > 0 {
					res = t.gather(regs[in.a : int32(in.a)+in.b])
				}
				if t.leave(fr, res, floor) {
					return
				}
				continue frames
			case opForPrep:
				t.forPrep(regs[in.a : int(in.a)+3])
				pc = int(in.d)
			case opForLoop:
				i := regs[in.a].num + regs[int(in.a)+2].num
				regs[in.a].num = i
				limit := regs[int(in.a)+1].num
				if step := regs[int(in.a)+2].num; step > 0 && i <= limit || step < 0 && i >= limit {
					regs[int(in.a)+3].setNumber(i)
					pc = int(in.d)
				}
			case opForCall:
				a := int(in.a)
				f, ok := regs[a].ref.(*Function)
				if ok && f.special == specialNext {
					if tb, ok := regs[a+1].ref.(*Table); ok {
						regs[a+3], regs[a+4] = tb.Next(regs[a+2])
						if in.c > 2 {
							clear(regs[a+5 : a+3+int(in.c)])
						}
						continue
					}
				}
				if t.invoke(regs[a], regs[a+1:a+3:a+3], a+3, int(in.c), floor) {
					return
				}
				continue frames
			case opForTest:
				if v := &regs[int(in.a)+3]; v.ref != nil {
					regs[int(in.a)+2] = *v
					pc = int(in.d)
				}
			case opClosure:
				regs[in.a] = t.closure(fr, p.protos[in.b])
			case opVararg:
				m.charge(int(in.b) / 4)
				to := regs[in.a : int32(in.a)+in.b]
				clear(to[copy(to, fr.extra):])
			case opVarargOpen:
				t.setMulti(fr.extra)
			}
		}
	}
}

// append adds registers to a table under construction.
func (t *Thread) append(regs []Value, in *instr) {
	tb := regs[in.a].Table()
	t.m.charge(int(in.b) / 2)
	for i := range in.b {
		tb.setNum(float64(in.c+i+1), regs[int32(in.a)+1+i])
	}
}

// forPrep checks a numeric for and steps back once.
func (t *Thread) forPrep(r []Value) {
	words := [...]string{"initial value", "limit", "step"}
	for i := range r {
		n, ok := toNumber(r[i])
		if !ok {
			t.Throw("the %s of 'for' is a %s value, not a number", words[i], r[i].Type())
		}
		r[i] = Number(n)
	}
	if r[2].num == 0 {
		t.Throw("the step of 'for' is 0")
	}
	r[0].num -= r[2].num
}
