package lua

import (
	"fmt"
	"slices"
	"strings"
)

// Kind says what stopped a script.
type Kind uint8

const (
	// KindScript is an error of the script; the machine goes on.
	KindScript Kind = iota + 1
	// KindSteps is a call that used up its steps; the machine is dead.
	KindSteps
	// KindMemory is a script that holds too much memory; the machine is dead.
	KindMemory
	// KindInternal is a bug of ours; the machine is dead.
	KindInternal
)

// String returns the word for logs.
func (k Kind) String() string {
	switch k {
	case KindScript:
		return "script"
	case KindSteps:
		return "steps"
	case KindMemory:
		return "memory"
	case KindInternal:
		return "internal"
	}
	return "unknown"
}

// Error is why a call into a script failed.
type Error struct {
	Kind    Kind
	File    string // where it happened; empty when nowhere
	Line    int
	Message string   // without the place
	Stack   []string // "scripts/main.lua:12 in step", innermost first; at most 20
}

// Error returns "scripts/main.lua:12: words".
func (e *Error) Error() string {
	if e.File == "" {
		return e.Message
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
}

// SyntaxError is a file that does not compile.
type SyntaxError struct {
	File    string
	Line    int
	Message string
}

// Error returns "scripts/main.lua:12: words".
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message) }

// thrown is a script's error on its way to a pcall or out of the machine.
type thrown struct {
	value Value
	file  string // where it was thrown; empty when nowhere
	line  int
	trace []string // of coroutines that it left
}

// fatal is why the machine died, on its way out. Nothing of the script sees it.
type fatal struct{ err *Error }

// Throw raises a script error that says where the script is.
func (t *Thread) Throw(format string, args ...any) {
	t.throwAt(0, t.m.throwText(format, args...))
}

// throwAt raises v; a text gets the place of the Lua function that is up
// functions out from the innermost.
func (t *Thread) throwAt(up int, v Value) {
	e := &thrown{value: v}
	if e.file, e.line = t.where(up); e.file != "" {
		if s, ok := v.ref.(*String); ok && up >= 0 {
			e.value = t.m.throwText("%s:%d: %s", e.file, e.line, s.s)
		}
	}
	t.m.throw(e)
}

func (m *Machine) throw(e *thrown) {
	m.charge(50)
	m.flying = e
	panic(e)
}

func (m *Machine) throwText(format string, args ...any) Value {
	text := fmt.Sprintf(format, args...)
	return m.String(text[:min(len(text), MaxString)])
}

// where names the line that a Lua function of the thread stands at; up counts
// from the innermost.
func (t *Thread) where(up int) (file string, line int) {
	left := up
	for _, fr := range slices.Backward(t.frames) {
		if fr.fn == nil {
			continue
		}
		if left <= 0 {
			p := fr.fn.proto
			return p.file, int(p.lines[max(fr.pc-1, 0)])
		}
		left--
	}
	return "", 0
}

// trace lists the Lua functions of the thread, innermost first, at most 20.
func (t *Thread) trace() []string {
	var lines []string
	for _, fr := range slices.Backward(t.frames) {
		if fr.fn == nil {
			continue
		}
		if len(lines) == 20 {
			break
		}
		p := fr.fn.proto
		lines = append(lines, fmt.Sprintf("%s:%d in %s", p.file, p.lines[max(fr.pc-1, 0)], p.name))
	}
	return lines
}

// die ends the machine for good and leaves it by panic.
func (m *Machine) die(k Kind, format string, args ...any) {
	err := &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
	for t := m.cur; t != nil; t = t.resumer {
		if err.File == "" {
			err.File, err.Line = t.where(0)
		}
		err.Stack = append(err.Stack, t.trace()...)
	}
	err.Stack = err.Stack[:min(len(err.Stack), 20)]
	m.dead = err
	panic(&fatal{err})
}

// failure turns what flew out of a call into its error.
func (m *Machine) failure(r any) *Error {
	switch e := r.(type) {
	case *fatal:
		return e.err
	case *thrown:
		err := &Error{Kind: KindScript, File: e.file, Line: e.line, Stack: append(e.trace, m.main.trace()...)}
		err.Stack = err.Stack[:min(len(err.Stack), 20)]
		err.Message = e.value.display()
		if _, ok := e.value.Text(); !ok {
			err.Message = "error value is " + err.Message
		}
		if e.file != "" {
			err.Message = strings.TrimPrefix(err.Message, fmt.Sprintf("%s:%d: ", e.file, e.line))
		}
		return err
	}
	m.dead = &Error{Kind: KindInternal, Message: fmt.Sprintf("the script machine failed: %v", r)}
	if len(m.main.frames) > 0 {
		m.dead.File, m.dead.Line = m.main.where(0)
	}
	return m.dead
}
