package lua

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"
)

// Bounds of a source file.
const (
	MaxSource = 256 << 10 // bytes
	maxDepth  = 300       // expressions and blocks inside each other
	maxLocals = 180       // of one function
	maxRegs   = 250       // of one function
	maxUps    = 120       // of one function
)

// Compile turns a source file into a function. Errors are *SyntaxError.
func Compile(file string, source []byte) (p *Proto, err error) {
	if len(source) > MaxSource {
		return nil, &SyntaxError{File: file, Line: 1, Message: fmt.Sprintf("the file has more than %d bytes", MaxSource)}
	}
	c := &compiler{file: file}
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, c.failure(r)
		}
	}()
	stmts, err := parse.Parse(bytes.NewReader(source), file)
	if err != nil {
		return nil, syntaxError(file, source, err)
	}
	f := c.open(nil, "the file")
	f.p.vararg = true
	c.block(stmts)
	c.close()
	return f.p, nil
}

func syntaxError(file string, source []byte, err error) error {
	out := &SyntaxError{File: file, Line: 1, Message: err.Error()}
	if at, ok := errors.AsType[*parse.Error](err); ok {
		out.Line, out.Message = at.Pos.Line, at.Message
		if at.Token != "" {
			out.Message += fmt.Sprintf(" near %q", at.Token)
		}
		if at.Pos.Line < 1 { // at the end of the file
			out.Line = bytes.Count(bytes.TrimRight(source, "\r\n\t "), []byte("\n")) + 1
			out.Message += " at the end of the file"
		}
	}
	return out
}

// compiler builds the functions of one file.
type compiler struct {
	file  string
	f     *function // the innermost
	line  int       // that new instructions get
	depth int
}

// function is a function while it is compiled.
type function struct {
	parent *function
	p      *Proto
	locals []local // that are visible
	free   int     // first register that holds nothing
	scope  *scope
	ups    map[string]int
	consts map[constant]int
}

type local struct {
	name string
	reg  int
	info int // in Proto.locals
}

// scope is one block of a function.
type scope struct {
	parent   *scope
	first    int // locals that were visible before
	captured bool
	loop     bool
	breaks   []int
	labels   map[string]label
	gotos    []jumpTo
}

type label struct{ pc, locals int }

type jumpTo struct {
	name             string
	pc, locals, line int
}

func (c *compiler) fail(format string, args ...any) {
	panic(&SyntaxError{File: c.file, Line: max(c.line, 1), Message: fmt.Sprintf(format, args...)})
}

func (c *compiler) failure(r any) error {
	if e, ok := r.(*SyntaxError); ok {
		return e
	}
	return &SyntaxError{File: c.file, Line: max(c.line, 1), Message: fmt.Sprintf("the compiler failed: %v", r)}
}

// deeper bounds recursion over the source; the caller undoes it.
func (c *compiler) deeper() {
	c.depth++
	if c.depth > maxDepth {
		c.fail("more than %d levels inside each other", maxDepth)
	}
}

func (c *compiler) at(n ast.PositionHolder) {
	if line := n.Line(); line > 0 {
		c.line = line
	}
}

func (c *compiler) open(params *ast.ParList, name string) *function {
	f := &function{
		parent: c.f,
		p:      &Proto{file: c.file, name: name},
		ups:    make(map[string]int),
		consts: make(map[constant]int),
	}
	c.f = f
	c.enter()
	if params != nil {
		f.p.params, f.p.vararg = len(params.Names), params.HasVargs
		for _, n := range params.Names {
			c.declare(n, c.reserve(1))
		}
	}
	return f
}

// close ends the innermost function.
func (c *compiler) close() {
	f := c.f
	c.emit(instr{op: opReturn})
	c.leave()
	if len(f.p.ups) > maxUps {
		c.fail("the function uses more than %d variables of functions around it", maxUps)
	}
	c.f = f.parent
}

func (c *compiler) enter() *scope {
	c.f.scope = &scope{parent: c.f.scope, first: len(c.f.locals)}
	return c.f.scope
}

// leave ends a scope; its registers are free again.
func (c *compiler) leave() {
	f, s := c.f, c.f.scope
	reg := f.regOf(s.first)
	for _, l := range f.locals[s.first:] {
		f.p.locals[l.info].to = len(f.p.code)
	}
	f.locals, f.scope = f.locals[:s.first], s.parent
	for _, g := range s.gotos {
		g.locals = min(g.locals, s.first)
		if s.parent == nil {
			c.line = g.line
			c.fail("no label '%s' is visible to goto", g.name)
		}
		s.parent.gotos = append(s.parent.gotos, g)
	}
	f.free = reg
}

// regOf is the register where the locals from n on begin.
func (f *function) regOf(n int) int {
	if n < len(f.locals) {
		return f.locals[n].reg
	}
	return f.free
}

func (c *compiler) reserve(n int) int {
	reg := c.f.free
	c.f.free += n
	if c.f.free > maxRegs {
		c.fail("the function or expression needs more than %d registers", maxRegs)
	}
	c.f.p.regs = max(c.f.p.regs, c.f.free)
	return reg
}

func (c *compiler) declare(name string, reg int) {
	f := c.f
	if len(f.locals) >= maxLocals {
		c.fail("the function has more than %d local variables", maxLocals)
	}
	f.p.locals = append(f.p.locals, localInfo{name: name, reg: reg, from: len(f.p.code)})
	f.locals = append(f.locals, local{name, reg, len(f.p.locals) - 1})
}

func (c *compiler) emit(in instr) int {
	p := c.f.p
	p.code = append(p.code, in)
	p.lines = append(p.lines, int32(c.line))
	return len(p.code) - 1
}

func (c *compiler) here() int { return len(c.f.p.code) }

// patch lets jumps go to where the code stands now.
func (c *compiler) patch(jumps []int) {
	for _, pc := range jumps {
		c.f.p.code[pc].d = int32(c.here())
	}
}

func (c *compiler) constant(k constant) int32 {
	i, ok := c.f.consts[k]
	if !ok {
		i = len(c.f.p.text)
		c.f.p.text = append(c.f.p.text, k)
		c.f.consts[k] = i
	}
	return int32(i)
}

func (c *compiler) textConst(s string) int32 { return c.constant(constant{s: s, isText: true}) }

// local finds the register of a visible local variable, or -1.
func (f *function) local(name string) int {
	for i, l := range slices.Backward(f.locals) {
		if l.name == name {
			return i
		}
	}
	return -1
}

// upvalue finds or makes an upvalue of f, or returns -1 for a global.
func (f *function) upvalue(name string) int {
	if i, ok := f.ups[name]; ok {
		return i
	}
	if f.parent == nil {
		return -1
	}
	d := upDesc{name: name}
	if i := f.parent.local(name); i >= 0 {
		d.local, d.index = true, f.parent.locals[i].reg
		for s := f.parent.scope; s != nil; s = s.parent {
			if s.first <= i {
				s.captured = true
				break
			}
		}
	} else if d.index = f.parent.upvalue(name); d.index < 0 {
		return -1
	}
	f.p.ups = append(f.p.ups, d)
	f.ups[name] = len(f.p.ups) - 1
	return len(f.p.ups) - 1
}
