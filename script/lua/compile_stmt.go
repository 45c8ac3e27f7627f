package lua

import (
	"slices"

	"github.com/yuin/gopher-lua/ast"
)

// block compiles statements into the current scope.
func (c *compiler) block(stmts []ast.Stmt) {
	for i, s := range stmts {
		c.at(s)
		if l, ok := s.(*ast.LabelStmt); ok {
			c.label(l.Name, onlyLabels(stmts[i+1:]))
			continue
		}
		c.stmt(s)
	}
}

func onlyLabels(stmts []ast.Stmt) bool {
	for _, s := range stmts {
		if _, ok := s.(*ast.LabelStmt); !ok {
			return false
		}
	}
	return true
}

// scoped compiles statements in a scope of their own.
func (c *compiler) scoped(stmts []ast.Stmt) {
	s := c.enter()
	c.block(stmts)
	c.closeScope(s)
	c.leave()
}

// closeScope lets closures keep the variables of a scope that ends here.
func (c *compiler) closeScope(s *scope) {
	if s.captured {
		c.emit(instr{op: opClose, a: uint8(c.f.regOf(s.first))})
	}
}

func (c *compiler) stmt(s ast.Stmt) {
	c.deeper()
	defer func() { c.depth-- }()
	switch s := s.(type) {
	case *ast.LocalAssignStmt:
		c.localStmt(s)
	case *ast.AssignStmt:
		c.assign(s)
	case *ast.FuncCallStmt:
		c.call(s.Expr.(*ast.FuncCallExpr), 0, c.f.free)
	case *ast.DoBlockStmt:
		c.scoped(s.Stmts)
	case *ast.WhileStmt:
		c.while(s)
	case *ast.RepeatStmt:
		c.repeat(s)
	case *ast.IfStmt:
		c.branch(s)
	case *ast.NumberForStmt:
		c.numberFor(s)
	case *ast.GenericForStmt:
		c.genericFor(s)
	case *ast.FuncDefStmt:
		c.funcDef(s)
	case *ast.ReturnStmt:
		c.returns(s)
	case *ast.BreakStmt:
		c.breaks()
	case *ast.GotoStmt:
		c.jumps(s)
	default:
		c.fail("a statement that is not known")
	}
}

func (c *compiler) localStmt(s *ast.LocalAssignStmt) {
	f := c.f
	if len(s.Names) == 1 && len(s.Exprs) == 1 {
		if fn, ok := s.Exprs[0].(*ast.FunctionExpr); ok { // sees itself
			reg := c.reserve(1)
			c.declare(s.Names[0], reg)
			c.closure(fn, reg, s.Names[0])
			return
		}
	}
	base := f.free
	c.fill(s.Exprs, len(s.Names))
	for i, n := range s.Names {
		c.declare(n, base+i)
	}
}

// fill puts the values of expressions into the next want registers.
func (c *compiler) fill(exprs []ast.Expr, want int) {
	base := c.f.free
	for i, e := range exprs {
		left := want - i
		switch {
		case left <= 0: // too many: evaluate and forget
			c.toReg(e, c.reserve(1))
			c.f.free = base + want
		case i == len(exprs)-1 && isOpen(e):
			reg := c.f.free
			c.open2(e, left, reg)
			c.f.free = reg
			c.reserve(left)
			return
		default:
			c.toReg(e, c.reserve(1))
		}
	}
	if left := want - len(exprs); left > 0 {
		reg := c.reserve(left)
		c.emit(instr{op: opNil, a: uint8(reg), b: int32(left - 1)})
	}
}

// target is the left side of an assignment with its parts in registers.
type target struct {
	kind     opcode // opMove, opSetUp, opSetGlobal, opSetIndex or opSetField
	reg, key int32
}

func (c *compiler) assign(s *ast.AssignStmt) {
	free := c.f.free
	defer func() { c.f.free = free }()
	if len(s.Lhs) == 1 && len(s.Rhs) == 1 {
		t := c.target(s.Lhs[0])
		if t.kind == opMove {
			c.toLocal(s.Rhs[0], int(t.reg))
			return
		}
		c.store(t, c.toRK(s.Rhs[0]))
		return
	}
	targets := make([]target, len(s.Lhs))
	for i, l := range s.Lhs {
		targets[i] = c.target(l)
		c.hold(&targets[i])
	}
	base := c.f.free
	c.fill(s.Rhs, len(s.Lhs))
	for i, t := range slices.Backward(targets) {
		c.at(s.Lhs[i])
		c.store(t, int32(base+i))
	}
}

// hold copies the parts of a target that another assignment could change.
func (c *compiler) hold(t *target) {
	if t.kind != opSetIndex && t.kind != opSetField {
		return
	}
	if int(t.reg) < c.f.regOf(len(c.f.locals)) {
		t.reg = c.copied(t.reg)
	}
	if t.kind == opSetIndex && t.key >= 0 {
		t.key = c.copied(t.key)
	}
}

func (c *compiler) copied(reg int32) int32 {
	to := c.reserve(1)
	c.emit(instr{op: opMove, a: uint8(to), b: reg})
	return int32(to)
}

func (c *compiler) target(e ast.Expr) target {
	c.at(e)
	switch e := e.(type) {
	case *ast.IdentExpr:
		if i := c.f.local(e.Value); i >= 0 {
			return target{kind: opMove, reg: int32(c.f.locals[i].reg)}
		}
		if i := c.f.upvalue(e.Value); i >= 0 {
			return target{kind: opSetUp, reg: int32(i)}
		}
		return target{kind: opSetGlobal, reg: c.textConst(e.Value)}
	case *ast.AttrGetExpr:
		t := target{kind: opSetIndex, reg: int32(c.toAny(e.Object))}
		if k, ok := e.Key.(*ast.StringExpr); ok {
			t.kind, t.key = opSetField, c.textConst(k.Value)
			return t
		}
		t.key = c.toRK(e.Key)
		return t
	}
	c.fail("cannot assign to this expression")
	return target{}
}

func (c *compiler) store(t target, rk int32) {
	switch t.kind { //nolint:exhaustive // what target makes
	case opMove:
		c.emit(instr{op: opMove, a: uint8(t.reg), b: rk})
	case opSetUp, opSetGlobal:
		c.emit(instr{op: t.kind, b: t.reg, c: rk})
	default:
		c.emit(instr{op: t.kind, a: uint8(t.reg), b: t.key, c: rk})
	}
}

func (c *compiler) funcDef(s *ast.FuncDefStmt) {
	free := c.f.free
	defer func() { c.f.free = free }()
	if s.Name.Receiver != nil {
		s.Func.ParList.Names = append([]string{"self"}, s.Func.ParList.Names...)
		object := c.toAny(s.Name.Receiver)
		reg := c.reserve(1)
		c.closure(s.Func, reg, describe(s.Name.Receiver)+":"+s.Name.Method)
		c.emit(instr{op: opSetField, a: uint8(object), b: c.textConst(s.Name.Method), c: int32(reg)})
		return
	}
	t := c.target(s.Name.Func)
	reg := c.reserve(1)
	c.closure(s.Func, reg, describe(s.Name.Func))
	c.store(t, int32(reg))
}

func (c *compiler) returns(s *ast.ReturnStmt) {
	f := c.f
	free := f.free
	defer func() { f.free = free }()
	if len(s.Exprs) == 1 {
		switch e := s.Exprs[0].(type) {
		case *ast.FuncCallExpr:
			if !e.AdjustRet {
				c.tail(e)
				return
			}
		case *ast.IdentExpr:
			if i := f.local(e.Value); i >= 0 {
				c.emit(instr{op: opReturn, a: uint8(f.locals[i].reg), b: 1})
				return
			}
		}
	}
	base := f.free
	n, open := c.list(s.Exprs)
	op := opReturn
	if open {
		op = opReturnOpen
	}
	c.emit(instr{op: op, a: uint8(base), b: int32(n)})
}

// describe names a function for stack traces.
func describe(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.IdentExpr:
		return e.Value
	case *ast.AttrGetExpr:
		if k, ok := e.Key.(*ast.StringExpr); ok && len(k.Value) < 40 {
			return describe(e.Object) + "." + k.Value
		}
	}
	return "?"
}
