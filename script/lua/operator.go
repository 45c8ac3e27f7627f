package lua

import (
	"fmt"
	"math"
	"strings"
)

// index is v[key] with metamethods.
func (t *Thread) index(v, key Value) Value {
	object := v
	for range 100 {
		var h Value
		switch o := object.ref.(type) {
		case *Table:
			if r := o.get(key); r.ref != nil || o.meta == nil {
				return r
			}
			if h = o.meta.getStr(t.m.events[evIndex]); h.ref == nil {
				return Value{}
			}
		case *Userdata:
			return o.Object.Get(t, key)
		case *String:
			return t.m.strings.get(key)
		default:
			t.Throw("attempt to index a %s value%s", object.Type(), t.operand(object, key))
		}
		if _, ok := h.ref.(*Function); ok {
			return t.call1(h, object, key)
		}
		t.m.charge(1)
		object = h
	}
	t.Throw("__index is a loop")
	return Value{}
}

// setIndex is v[key] = value with metamethods.
func (t *Thread) setIndex(v, key, value Value) {
	object := v
	for range 100 {
		var h Value
		switch o := object.ref.(type) {
		case *Table:
			if o.meta != nil && o.get(key).ref == nil {
				h = o.meta.getStr(t.m.events[evNewIndex])
			}
			if h.ref == nil {
				t.rawSet(o, key, value)
				return
			}
		case *Userdata:
			o.Object.Set(t, key, value)
			return
		default:
			t.Throw("attempt to index a %s value%s", object.Type(), t.operand(object, key))
		}
		if _, ok := h.ref.(*Function); ok {
			t.Call(h, object, key, value)
			return
		}
		t.m.charge(1)
		object = h
	}
	t.Throw("__newindex is a loop")
}

// rawSet assigns without metamethods.
func (t *Thread) rawSet(tb *Table, key, value Value) {
	if tb.locked {
		t.Throw("attempt to change a read-only table")
	}
	if key.ref == nil {
		t.Throw("table index is nil")
	}
	if math.IsNaN(key.num) {
		t.Throw("table index is NaN")
	}
	tb.set(key, value)
}

// arith is x op y for what is not two numbers.
func (t *Thread) arith(e event, x, y Value) Value {
	h := t.m.handler(x, e)
	if h.ref == nil {
		h = t.m.handler(y, e)
	}
	if h.ref != nil {
		return t.call1(h, x, y)
	}
	t.m.charge(20)
	a, ok := toNumber(x)
	if !ok {
		t.Throw("attempt to do arithmetic on a %s value%s", x.Type(), t.operand(x, Value{}))
	}
	b, ok := toNumber(y)
	if !ok {
		t.Throw("attempt to do arithmetic on a %s value%s", y.Type(), t.operand(y, Value{}))
	}
	return Number(t.compute(e, a, b))
}

func (t *Thread) compute(e event, a, b float64) float64 {
	switch e { //nolint:exhaustive // the other events are not arithmetic
	case evAdd:
		return a + b
	case evSub:
		return a - b
	case evMul:
		return a * b
	case evDiv:
		return a / b
	case evMod:
		return t.modulo(a, b)
	case evPow:
		return math.Pow(a, b)
	}
	return -a
}

// modulo is a - floor(a/b)*b, exact.
func (t *Thread) modulo(a, b float64) float64 {
	if b > 0 && a >= 0 && a < 1<<53 && b < 1<<53 {
		if x, y := int64(a), int64(b); float64(x) == a && float64(y) == b {
			return float64(x % y)
		}
	}
	r := t.remainder(a, b)
	if r != 0 && (r < 0) != (b < 0) {
		r += b
	}
	return r
}

// remainder is math.Mod, which takes a step for every bit or so between a and b.
func (t *Thread) remainder(a, b float64) float64 {
	if q := math.Abs(a / b); q > 1<<10 {
		_, bits := math.Frexp(min(q, math.MaxFloat64))
		if q > math.MaxFloat64 {
			bits = 2100
		}
		t.m.charge(bits)
	}
	return math.Mod(a, b)
}

// equal is == with metamethods.
func (t *Thread) equal(x, y Value) bool {
	if a, ok := x.ref.(*String); ok {
		b, ok := y.ref.(*String)
		if !ok || a == b || a.hash != b.hash || len(a.s) != len(b.s) {
			return ok && a == b
		}
		t.m.work(len(a.s))
		return a.s == b.s
	}
	if equalRaw(x, y) {
		return true
	}
	a, ok := x.ref.(*Table)
	if !ok || a.meta == nil {
		return false
	}
	h := t.m.handler(x, evEq)
	if h.ref == nil || !equalRaw(h, t.m.handler(y, evEq)) {
		return false
	}
	r := t.call1(h, x, y)
	return r.truthy()
}

// less is x < y for what is not two numbers; e is evLt or evLe.
func (t *Thread) less(e event, x, y Value) bool {
	if a, ok := x.ref.(*String); ok {
		if b, ok := y.ref.(*String); ok {
			t.m.work(min(len(a.s), len(b.s)))
			c := strings.Compare(a.s, b.s)
			return c < 0 || c == 0 && e == evLe
		}
	}
	h := t.m.handler(x, e)
	if h.ref == nil {
		h = t.m.handler(y, e)
	}
	if h.ref != nil {
		r := t.call1(h, x, y)
		return r.truthy()
	}
	if e == evLe { // as in Lua 5.1: not (y < x)
		if h := t.m.handler(x, evLt); h.ref != nil {
			r := t.call1(h, y, x)
			return !r.truthy()
		}
	}
	if x.Type() == y.Type() {
		t.Throw("attempt to compare two %s values", x.Type())
	}
	t.Throw("attempt to compare %s with %s", x.Type(), y.Type())
	return false
}

// lessThan is x < y.
func (t *Thread) lessThan(x, y Value) bool {
	if x.isNumber() && y.isNumber() {
		return x.num < y.num
	}
	return t.less(evLt, x, y)
}

// length is #v for what is neither a plain table nor a string.
func (t *Thread) length(v Value) Value {
	if s, ok := v.ref.(*String); ok {
		return Number(float64(len(s.s)))
	}
	if h := t.m.handler(v, evLen); h.ref != nil {
		return t.call1(h, v)
	}
	tb, ok := v.ref.(*Table)
	if !ok {
		t.Throw("attempt to get the length of a %s value%s", v.Type(), t.operand(v, Value{}))
	}
	return Number(float64(len(tb.arr)))
}

// text is the string that .. sees in v.
func text(v Value) (string, bool) {
	switch s := v.ref.(type) {
	case *String:
		return s.s, true
	case numberTag:
		return formatNumber(v.num), true
	}
	return "", false
}

// concat is vs[0] .. vs[1] ..., from the right.
func (t *Thread) concat(vs []Value) Value {
	size, plainText := 0, true
	for i := range vs {
		switch s := vs[i].ref.(type) {
		case *String:
			size += len(s.s)
		case numberTag:
			size += 16
			t.m.charge(4)
		default:
			plainText = false
		}
	}
	if plainText {
		return t.join(vs, size)
	}
	r := vs[len(vs)-1]
	for i := len(vs) - 2; i >= 0; i-- {
		r = t.concat2(vs[i], r)
	}
	return r
}

func (t *Thread) concat2(x, y Value) Value {
	_, xok := text(x)
	_, yok := text(y)
	if xok && yok {
		return t.join([]Value{x, y}, 0)
	}
	h := t.m.handler(x, evConcat)
	if h.ref == nil {
		h = t.m.handler(y, evConcat)
	}
	if h.ref != nil {
		return t.call1(h, x, y)
	}
	bad := x
	if xok {
		bad = y
	}
	t.Throw("attempt to concatenate a %s value%s", bad.Type(), t.operand(bad, Value{}))
	return Value{}
}

// join makes one string of strings and numbers; size is about how long.
func (t *Thread) join(vs []Value, size int) Value {
	if size > MaxString+16*len(vs) {
		t.Throw("string is longer than %d bytes", MaxString)
	}
	t.m.charge(len(vs))
	t.m.work(min(size, MaxString))
	var b strings.Builder
	b.Grow(min(size, MaxString))
	for i := range vs {
		s, _ := text(vs[i])
		if b.Len()+len(s) > MaxString {
			t.Throw("string is longer than %d bytes", MaxString)
		}
		b.WriteString(s)
	}
	return t.m.String(b.String())
}

// callee says what the script calls the value that it tried to call.
func (t *Thread) callee() string {
	fr, in, ok := t.instruction()
	if !ok {
		return ""
	}
	return fr.nameOf(int(in.a))
}

// operand says what the script calls v, an operand of the instruction that
// runs; else with which key it was indexed.
func (t *Thread) operand(v, key Value) string {
	if fr, in, ok := t.instruction(); ok {
		for _, reg := range in.operands() {
			if reg >= 0 && int(reg) < len(fr.regs) && equalRaw(fr.regs[reg], v) {
				if name := fr.nameOf(int(reg)); name != "" {
					return name
				}
			}
		}
	}
	if k, ok := key.Text(); ok {
		return fmt.Sprintf(" (field '%.40s')", k)
	}
	return ""
}

// operands are the registers that an instruction can fail on; negative: none.
func (in *instr) operands() []int32 {
	switch in.op { //nolint:exhaustive // others do not fail on an operand
	case opSetIndex, opSetField:
		return []int32{int32(in.a)}
	case opIndex, opField, opSelf, opMinus, opLen:
		return []int32{in.b}
	case opAdd, opSub, opMul, opDiv, opMod, opPow, opConcat:
		return []int32{in.b, in.c}
	}
	return nil
}

func (t *Thread) instruction() (*frame, instr, bool) {
	if len(t.frames) == 0 {
		return nil, instr{}, false
	}
	fr := t.frames[len(t.frames)-1]
	if fr.fn == nil || fr.pc == 0 {
		return nil, instr{}, false
	}
	return fr, fr.fn.proto.code[fr.pc-1], true
}

func (fr *frame) localName(reg int) string {
	for _, l := range fr.fn.proto.locals {
		if l.reg == reg && l.from < fr.pc && fr.pc <= l.to {
			return fmt.Sprintf(" (local '%s')", l.name)
		}
	}
	return ""
}

// nameOf says what the script calls the value in a register: a local variable,
// or where the value was just taken from.
func (fr *frame) nameOf(reg int) string {
	p := fr.fn.proto
	if name := fr.localName(reg); name != "" {
		return name
	}
	for pc := fr.pc - 2; pc >= max(0, fr.pc-30); pc-- {
		in := p.code[pc]
		if int(in.a) != reg {
			continue
		}
		switch in.op { //nolint:exhaustive // others name nothing
		case opMove:
			return fr.localName(int(in.b))
		case opGetGlobal:
			return fmt.Sprintf(" (global '%.40s')", p.text[in.b].s)
		case opField:
			return fmt.Sprintf(" (field '%.40s')", p.text[in.c].s)
		case opSelf:
			return fmt.Sprintf(" (method '%.40s')", p.text[in.c].s)
		case opGetUp:
			return fmt.Sprintf(" (local '%s')", p.ups[in.b].name)
		}
		return ""
	}
	return ""
}
