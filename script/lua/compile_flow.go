package lua

import "github.com/yuin/gopher-lua/ast"

// truth is which outcome of a condition jumps.
type truth uint8

const (
	whenFalse truth = iota
	whenTrue
)

// loop opens the scope of a loop's body.
func (c *compiler) loop() *scope {
	s := c.enter()
	s.loop = true
	return s
}

func (c *compiler) while(s *ast.WhileStmt) {
	start := c.here()
	exits := c.jump(s.Condition, whenFalse)
	body := c.loop()
	c.block(s.Stmts)
	c.back(body, start)
	c.leave()
	c.patch(exits)
	c.patch(body.breaks)
}

// back jumps to the start of a loop.
func (c *compiler) back(body *scope, start int) {
	in := instr{op: opJump, d: int32(start)}
	if body.captured {
		in.a = uint8(c.f.regOf(body.first) + 1)
	}
	c.emit(in)
}

func (c *compiler) repeat(s *ast.RepeatStmt) {
	start := c.here()
	outer := c.loop() // breaks leave here; the condition sees the body's variables
	body := c.enter()
	c.block(s.Stmts)
	again := c.jump(s.Condition, whenFalse)
	c.closeScope(body)
	exit := c.emit(instr{op: opJump})
	c.patch(again)
	c.back(body, start)
	c.leave()
	c.leave()
	c.patch([]int{exit})
	c.patch(outer.breaks)
}

func (c *compiler) branch(s *ast.IfStmt) {
	var ends []int
	for {
		c.at(s)
		no := c.jump(s.Condition, whenFalse)
		c.scoped(s.Then)
		if len(s.Else) == 0 {
			c.patch(no)
			break
		}
		ends = append(ends, c.emit(instr{op: opJump}))
		c.patch(no)
		next, ok := s.Else[0].(*ast.IfStmt)
		if !ok || len(s.Else) > 1 {
			c.scoped(s.Else)
			break
		}
		s = next // a chain of elseif is a loop, not recursion
	}
	c.patch(ends)
}

func (c *compiler) numberFor(s *ast.NumberForStmt) {
	free := c.f.free
	base := c.reserve(3)
	c.toReg(s.Init, base)
	c.toReg(s.Limit, base+1)
	if s.Step != nil {
		c.toReg(s.Step, base+2)
	} else {
		c.emit(instr{op: opConst, a: uint8(base + 2), b: c.constant(constant{n: 1})})
	}
	c.at(s)
	prep := c.emit(instr{op: opForPrep, a: uint8(base)})
	start := c.here()
	body := c.loop()
	c.declare(s.Name, c.reserve(1))
	c.block(s.Stmts)
	c.closeScope(body)
	c.leave()
	c.at(s)
	c.patch([]int{prep})
	c.emit(instr{op: opForLoop, a: uint8(base), d: int32(start)})
	c.patch(body.breaks)
	c.f.free = free
}

func (c *compiler) genericFor(s *ast.GenericForStmt) {
	free := c.f.free
	base := free
	c.fill(s.Exprs, 3)
	c.f.p.regs = max(c.f.p.regs, base+5) // key and value, also when one is not named
	c.at(s)
	prep := c.emit(instr{op: opJump})
	start := c.here()
	body := c.loop()
	reg := c.reserve(len(s.Names))
	for i, n := range s.Names {
		c.declare(n, reg+i)
	}
	c.block(s.Stmts)
	c.closeScope(body)
	c.leave()
	c.at(s)
	c.patch([]int{prep})
	c.emit(instr{op: opForCall, a: uint8(base), c: int32(len(s.Names))})
	c.emit(instr{op: opForTest, a: uint8(base), d: int32(start)})
	c.patch(body.breaks)
	c.f.free = free
}

func (c *compiler) breaks() {
	for s := c.f.scope; s != nil; s = s.parent {
		if s.loop {
			pc := c.emit(instr{op: opJump, a: uint8(c.f.regOf(s.first) + 1)})
			s.breaks = append(s.breaks, pc)
			return
		}
	}
	c.fail("break is not inside a loop")
}

func (c *compiler) jumps(s *ast.GotoStmt) {
	pc := c.emit(instr{op: opJump})
	for sc := c.f.scope; sc != nil; sc = sc.parent {
		if l, ok := sc.labels[s.Label]; ok {
			c.land(pc, l)
			return
		}
	}
	sc := c.f.scope
	sc.gotos = append(sc.gotos, jumpTo{s.Label, pc, len(c.f.locals), c.line})
}

// land sends the jump at pc to a label, leaving the variables made after it.
func (c *compiler) land(pc int, l label) {
	in := &c.f.p.code[pc]
	in.d, in.a = int32(l.pc), uint8(c.f.regOf(l.locals)+1)
}

// label defines a label here; at the end of its block, the block's variables
// are over already.
func (c *compiler) label(name string, last bool) { //nolint:revive // says what follows the label
	s := c.f.scope
	if _, ok := s.labels[name]; ok {
		c.fail("label '%s' is there already", name)
	}
	l := label{c.here(), len(c.f.locals)}
	if last {
		l.locals = s.first
	}
	if s.labels == nil {
		s.labels = make(map[string]label)
	}
	s.labels[name] = l
	rest := s.gotos[:0]
	for _, g := range s.gotos {
		switch {
		case g.name != name:
			rest = append(rest, g)
		case g.locals < l.locals:
			c.line = g.line
			c.fail("goto '%s' jumps into the scope of local '%s'", name, c.f.locals[g.locals].name)
		default:
			c.land(g.pc, l)
		}
	}
	s.gotos = rest
}
