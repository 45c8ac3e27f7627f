package lua

import (
	"fmt"
	"math"
)

// Arg is argument i, from 0; nil beyond the last.
func (c Call) Arg(i int) Value {
	if i < len(c.Args) {
		return c.Args[i]
	}
	return Value{}
}

func (c Call) badArg(i int, words string) {
	c.T.Throw("bad argument #%d to '%s' (%s)", i+1, c.Fn.name, words)
}

// Fail throws an error about argument i, from 0.
func (c Call) Fail(i int, format string, args ...any) { c.badArg(i, fmt.Sprintf(format, args...)) }

func (c Call) wrongType(i int, want string) {
	got := "no value"
	if i < len(c.Args) {
		got = c.Args[i].Type()
	}
	c.badArg(i, want+" expected, got "+got)
}

// Table is argument i, or an error.
func (c Call) Table(i int) *Table {
	tb, ok := c.Arg(i).ref.(*Table)
	if !ok {
		c.wrongType(i, "table")
	}
	return tb
}

// Function is argument i, or an error.
func (c Call) Function(i int) *Function {
	f, ok := c.Arg(i).ref.(*Function)
	if !ok {
		c.wrongType(i, "function")
	}
	return f
}

// Number is argument i, or an error.
func (c Call) Number(i int) float64 {
	n, ok := toNumber(c.Arg(i))
	if !ok {
		c.wrongType(i, "number")
	}
	return n
}

// Int is argument i cut to an integer, or an error. It lies within 2^53.
func (c Call) Int(i int) int {
	n := c.Number(i)
	if math.IsNaN(n) {
		c.badArg(i, "the number is not a number")
	}
	return int(max(-1<<53, min(n, 1<<53)))
}

// IntOr is argument i cut to an integer, or other when it is absent.
func (c Call) IntOr(i, other int) int {
	if c.Arg(i).ref == nil {
		return other
	}
	return c.Int(i)
}

// Text is argument i as a string, or an error; numbers are strings, too.
func (c Call) Text(i int) string {
	s, ok := text(c.Arg(i))
	if !ok {
		c.wrongType(i, "string")
	}
	return s
}

// Any is argument i, or an error when it is absent.
func (c Call) Any(i int) Value {
	if i >= len(c.Args) {
		c.badArg(i, "value expected")
	}
	return c.Args[i]
}

// String makes a builtin's only result a string.
func (c Call) String(s string) []Value { return c.Return(c.T.m.String(s)) }
