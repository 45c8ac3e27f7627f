package lua

import (
	"fmt"

	"github.com/yuin/gopher-lua/ast"
)

// isOpen says whether an expression can have any number of values.
func isOpen(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		return !e.AdjustRet
	case *ast.Comma3Expr:
		return !e.AdjustRet
	}
	return false
}

// open2 puts want values of an open expression into registers from reg on;
// -1: all, as open results.
func (c *compiler) open2(e ast.Expr, want, reg int) {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		c.call(e, want, reg)
	case *ast.Comma3Expr:
		c.vararg(e)
		if want < 0 {
			c.emit(instr{op: opVarargOpen})
			return
		}
		c.emit(instr{op: opVararg, a: uint8(reg), b: int32(want)})
		c.f.p.regs = max(c.f.p.regs, reg+want)
	}
}

func (c *compiler) vararg(e ast.Expr) {
	c.at(e)
	if !c.f.p.vararg {
		c.fail("'...' is outside a function with '...'")
	}
}

// list puts expressions into consecutive registers from the first free one.
// open: the last one's values are the open results.
func (c *compiler) list(exprs []ast.Expr) (n int, open bool) {
	for i, e := range exprs {
		if i == len(exprs)-1 && isOpen(e) {
			c.open2(e, -1, c.f.free)
			return i, true
		}
		c.toReg(e, c.reserve(1))
	}
	return len(exprs), false
}

// toLocal assigns to a variable; what reads the variable while its own
// register is written goes through another one.
func (c *compiler) toLocal(e ast.Expr, reg int) {
	switch e.(type) {
	case *ast.LogicalOpExpr, *ast.TableExpr:
		tmp := c.reserve(1)
		c.toReg(e, tmp)
		c.emit(instr{op: opMove, a: uint8(reg), b: int32(tmp)})
	default:
		c.toReg(e, reg)
	}
}

// toAny returns a register that holds the value.
func (c *compiler) toAny(e ast.Expr) int {
	if id, ok := e.(*ast.IdentExpr); ok {
		if i := c.f.local(id.Value); i >= 0 {
			return c.f.locals[i].reg
		}
	}
	reg := c.reserve(1)
	c.toReg(e, reg)
	return reg
}

// toRK returns a register or a constant.
func (c *compiler) toRK(e ast.Expr) int32 {
	if k, ok := c.literal(e); ok {
		return ^c.constant(k)
	}
	return int32(c.toAny(e))
}

func (c *compiler) literal(e ast.Expr) (constant, bool) {
	switch e := e.(type) {
	case *ast.StringExpr:
		if len(e.Value) > MaxString {
			c.fail("the string is too long")
		}
		return constant{s: e.Value, isText: true}, true
	case *ast.NumberExpr:
		c.at(e)
		n, ok := parseNumber(e.Value)
		if !ok {
			c.fail("malformed number %q", e.Value)
		}
		return constant{n: n}, true
	case *ast.UnaryMinusOpExpr:
		if n, ok := e.Expr.(*ast.NumberExpr); ok {
			if k, ok := c.literal(n); ok && k.n != 0 {
				return constant{n: -k.n}, true
			}
		}
	}
	return constant{}, false
}

// toReg puts one value into a register. The register may be that of a local
// variable: operands are read before it is written.
func (c *compiler) toReg(e ast.Expr, reg int) {
	c.deeper()
	free := c.f.free
	defer func() { c.depth--; c.f.free = free }()
	c.at(e)
	if k, ok := c.literal(e); ok {
		c.emit(instr{op: opConst, a: uint8(reg), b: c.constant(k)})
		return
	}
	switch e := e.(type) {
	case *ast.NilExpr:
		c.emit(instr{op: opNil, a: uint8(reg)})
	case *ast.TrueExpr:
		c.emit(instr{op: opBool, a: uint8(reg), b: 1})
	case *ast.FalseExpr:
		c.emit(instr{op: opBool, a: uint8(reg)})
	case *ast.IdentExpr:
		c.name(e, reg)
	case *ast.AttrGetExpr:
		c.index(e, reg)
	case *ast.TableExpr:
		c.table(e, reg)
	case *ast.FunctionExpr:
		c.closure(e, reg, fmt.Sprintf("function at line %d", e.Line()))
	case *ast.FuncCallExpr:
		c.call(e, 1, reg)
	case *ast.Comma3Expr:
		c.vararg(e)
		c.emit(instr{op: opVararg, a: uint8(reg), b: 1})
	case *ast.LogicalOpExpr:
		c.logical(e, reg)
	case *ast.RelationalOpExpr, *ast.UnaryNotOpExpr:
		no := c.jump(e, whenFalse)
		c.emit(instr{op: opBool, a: uint8(reg), b: 1, c: 1})
		c.patch(no)
		c.emit(instr{op: opBool, a: uint8(reg)})
	default:
		c.operator(e, reg)
	}
}

func (c *compiler) operator(e ast.Expr, reg int) {
	switch e := e.(type) {
	case *ast.StringConcatOpExpr:
		c.concat(e, reg)
	case *ast.ArithmeticOpExpr:
		x := c.toRK(e.Lhs)
		y := c.toRK(e.Rhs)
		c.at(e)
		op := map[string]opcode{"+": opAdd, "-": opSub, "*": opMul, "/": opDiv, "%": opMod, "^": opPow}[e.Operator]
		c.emit(instr{op: op, a: uint8(reg), b: x, c: y})
	case *ast.UnaryMinusOpExpr:
		c.emit(instr{op: opMinus, a: uint8(reg), b: c.toRK(e.Expr)})
	case *ast.UnaryLenOpExpr:
		c.emit(instr{op: opLen, a: uint8(reg), b: c.toRK(e.Expr)})
	default:
		c.fail("an expression that is not known")
	}
}

func (c *compiler) name(e *ast.IdentExpr, reg int) {
	if i := c.f.local(e.Value); i >= 0 {
		if from := c.f.locals[i].reg; from != reg {
			c.emit(instr{op: opMove, a: uint8(reg), b: int32(from)})
		}
		return
	}
	if i := c.f.upvalue(e.Value); i >= 0 {
		c.emit(instr{op: opGetUp, a: uint8(reg), b: int32(i)})
		return
	}
	c.emit(instr{op: opGetGlobal, a: uint8(reg), b: c.textConst(e.Value)})
}

func (c *compiler) index(e *ast.AttrGetExpr, reg int) {
	object := c.toAny(e.Object)
	if k, ok := e.Key.(*ast.StringExpr); ok {
		c.at(k)
		c.emit(instr{op: opField, a: uint8(reg), b: int32(object), c: c.textConst(k.Value)})
		return
	}
	key := c.toRK(e.Key)
	c.at(e)
	c.emit(instr{op: opIndex, a: uint8(reg), b: int32(object), c: key})
}

func (c *compiler) closure(e *ast.FunctionExpr, reg int, name string) {
	line := c.line
	f := c.open(e.ParList, name)
	c.block(e.Stmts)
	if last := e.LastLine(); last > 0 {
		c.line = last
	}
	c.close()
	c.line = line
	c.f.p.protos = append(c.f.p.protos, f.p)
	c.emit(instr{op: opClosure, a: uint8(reg), b: int32(len(c.f.p.protos) - 1)})
}

// table fills a new table; elements go in by 50.
func (c *compiler) table(e *ast.TableExpr, reg int) {
	base := c.reserve(1)
	at := c.emit(instr{op: opTable, a: uint8(base)})
	count, waiting := 0, 0
	for i, f := range e.Fields {
		if f.Key != nil {
			free := c.f.free
			c.at(f.Key)
			if k, ok := f.Key.(*ast.StringExpr); ok {
				key := c.textConst(k.Value)
				c.emit(instr{op: opSetField, a: uint8(base), b: key, c: c.toRK(f.Value)})
			} else {
				key := c.toRK(f.Key)
				c.emit(instr{op: opSetIndex, a: uint8(base), b: key, c: c.toRK(f.Value)})
			}
			c.f.free = free
			continue
		}
		if i == len(e.Fields)-1 && isOpen(f.Value) {
			c.open2(f.Value, -1, c.f.free)
			c.emit(instr{op: opAppendOpen, a: uint8(base), b: int32(waiting), c: int32(count)})
			waiting = 0
			break
		}
		c.toReg(f.Value, c.reserve(1))
		waiting++
		if waiting == 50 {
			c.emit(instr{op: opAppend, a: uint8(base), b: int32(waiting), c: int32(count)})
			count, waiting = count+waiting, 0
			c.f.free = base + 1
		}
	}
	if waiting > 0 {
		c.emit(instr{op: opAppend, a: uint8(base), b: int32(waiting), c: int32(count)})
	}
	c.f.p.code[at].b = int32(min(count+waiting, 1000))
	c.emit(instr{op: opMove, a: uint8(reg), b: int32(base)})
}

func (c *compiler) concat(e *ast.StringConcatOpExpr, reg int) {
	base := c.f.free
	n := 0
	var rest ast.Expr = e
	for { // a .. (b .. (c .. d)): one instruction for all, 100 at a time
		n++
		next, ok := rest.(*ast.StringConcatOpExpr)
		if !ok || n == 100 {
			c.toReg(rest, c.reserve(1))
			break
		}
		c.toReg(next.Lhs, c.reserve(1))
		rest = next.Rhs
	}
	c.at(e)
	c.emit(instr{op: opConcat, a: uint8(reg), b: int32(base), c: int32(base + n - 1)})
}

// place puts the function and its arguments into registers for a call.
func (c *compiler) place(e *ast.FuncCallExpr) (base, n int, open bool) {
	base = c.reserve(1)
	if e.Func != nil {
		c.toReg(e.Func, base)
		n, open = c.list(e.Args)
	} else {
		c.reserve(1)
		object := base + 1
		if id, ok := e.Receiver.(*ast.IdentExpr); ok && c.f.local(id.Value) >= 0 {
			object = c.toAny(e.Receiver)
		} else {
			c.toReg(e.Receiver, object)
		}
		c.at(e)
		c.emit(instr{op: opSelf, a: uint8(base), b: int32(object), c: c.textConst(e.Method)})
		n, open = c.list(e.Args)
		n++
	}
	c.at(e)
	return base, n, open
}

func (c *compiler) call(e *ast.FuncCallExpr, want, reg int) {
	c.deeper()
	free := c.f.free
	defer func() { c.depth--; c.f.free = free }()
	base, n, open := c.place(e)
	op := opCall
	if open {
		op = opCallOpen
	}
	c.emit(instr{op: op, a: uint8(base), b: int32(n), c: int32(want), d: int32(reg)})
	c.f.p.regs = max(c.f.p.regs, reg+want)
}

func (c *compiler) tail(e *ast.FuncCallExpr) {
	base, n, open := c.place(e)
	op := opTail
	if open {
		op = opTailOpen
	}
	c.emit(instr{op: op, a: uint8(base), b: int32(n)})
	c.emit(instr{op: opReturnOpen, a: uint8(base)})
}

// logical keeps the value that decides.
func (c *compiler) logical(e *ast.LogicalOpExpr, reg int) {
	c.toReg(e.Lhs, reg)
	when := whenFalse
	if e.Operator == "or" {
		when = whenTrue
	}
	end := c.emit(instr{op: opTest, a: uint8(when), b: int32(reg)})
	c.toReg(e.Rhs, reg)
	c.patch([]int{end})
}

// jump compiles a condition; the jumps that it returns are taken when its
// truth is when, and are yet to be patched.
func (c *compiler) jump(e ast.Expr, when truth) []int {
	c.deeper()
	free := c.f.free
	defer func() { c.depth--; c.f.free = free }()
	c.at(e)
	switch e := e.(type) {
	case *ast.TrueExpr:
		if when == whenFalse {
			return nil
		}
	case *ast.UnaryNotOpExpr:
		return c.jump(e.Expr, 1-when)
	case *ast.LogicalOpExpr:
		if (e.Operator == "and") == (when == whenFalse) { // either side decides
			return append(c.jump(e.Lhs, when), c.jump(e.Rhs, when)...)
		}
		over := c.jump(e.Lhs, 1-when)
		jumps := c.jump(e.Rhs, when)
		c.patch(over)
		return jumps
	case *ast.RelationalOpExpr:
		return []int{c.compare(e, when)}
	}
	return []int{c.emit(instr{op: opTest, a: uint8(when), b: int32(c.toAny(e))})}
}

func (c *compiler) compare(e *ast.RelationalOpExpr, when truth) int {
	x := c.toRK(e.Lhs)
	y := c.toRK(e.Rhs)
	c.at(e)
	in := instr{a: uint8(when), b: x, c: y}
	switch e.Operator {
	case "==":
		in.op = opEqual
	case "~=":
		in.op, in.a = opEqual, 1-in.a
	case "<":
		in.op = opLess
	case "<=":
		in.op = opLessEqual
	case ">":
		in.op, in.b, in.c = opLess, y, x
	default:
		in.op, in.b, in.c = opLessEqual, y, x
	}
	return c.emit(in)
}
