package lua

import (
	"strings"
)

func (m *Machine) openString() {
	lib := m.Library("string")
	m.strings = lib
	m.Define(lib, "byte", strByte)
	m.Define(lib, "char", strChar)
	m.Define(lib, "find", strFind)
	m.Define(lib, "format", strFormat)
	m.Define(lib, "gmatch", strGmatch)
	m.Define(lib, "gsub", strGsub)
	m.Define(lib, "len", func(c Call) []Value { return c.Return(Number(float64(len(c.Text(0))))) })
	m.Define(lib, "lower", func(c Call) []Value { return c.String(mapBytes(c, lower)) })
	m.Define(lib, "match", strMatch)
	m.Define(lib, "rep", strRep)
	m.Define(lib, "reverse", strReverse)
	m.Define(lib, "sub", strSub)
	m.Define(lib, "upper", func(c Call) []Value { return c.String(mapBytes(c, upper)) })
	lib.Lock()
}

func lower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

func upper(b byte) byte {
	if b >= 'a' && b <= 'z' {
		return b - ('a' - 'A')
	}
	return b
}

func mapBytes(c Call, fn func(byte) byte) string {
	out := []byte(c.Text(0))
	c.T.m.charge(len(out) / 8)
	for i, b := range out {
		out[i] = fn(b)
	}
	return string(out)
}

// span turns Lua positions, from 1 and from the end, into s[from:to].
func span(size, i, j int) (from, to int) {
	from, to = i, j
	if from < 0 {
		from = max(size+from+1, 1)
	}
	if from == 0 {
		from = 1
	}
	if to < 0 {
		to = size + to + 1
	}
	to = min(to, size)
	if from > to {
		return 0, 0
	}
	return from - 1, to
}

func strSub(c Call) []Value {
	s := c.Text(0)
	from, to := span(len(s), c.Int(1), c.IntOr(2, -1))
	if from == 0 && to == len(s) {
		return c.String(s)
	}
	return c.String(strings.Clone(s[from:to])) // else it would keep all of s
}

func strByte(c Call) []Value {
	s := c.Text(0)
	i := c.IntOr(1, 1)
	from, to := span(len(s), i, c.IntOr(2, i))
	if to-from > maxUnpack {
		c.T.Throw("too many results of 'byte': at most %d", maxUnpack)
	}
	c.T.m.charge((to - from) / 2)
	out := c.T.rbuf[:0]
	for _, b := range []byte(s[from:to]) {
		out = append(out, Number(float64(b)))
	}
	c.T.rbuf = out
	return out
}

func strChar(c Call) []Value {
	out := make([]byte, len(c.Args))
	c.T.m.charge(len(out) / 4)
	for i := range out {
		n := c.Int(i)
		if n < 0 || n > 255 {
			c.Fail(i, "invalid value")
		}
		out[i] = byte(n)
	}
	return c.String(string(out))
}

func strRep(c Call) []Value {
	s, n := c.Text(0), c.Int(1)
	if n <= 0 || s == "" {
		return c.String("")
	}
	if n > MaxString/len(s) {
		c.T.Throw("string is longer than %d bytes", MaxString)
	}
	c.T.m.work(n * len(s))
	return c.String(strings.Repeat(s, n))
}

func strReverse(c Call) []Value {
	s := c.Text(0)
	c.T.m.charge(len(s) / 8)
	out := make([]byte, len(s))
	for i := range len(s) {
		out[len(s)-1-i] = s[i]
	}
	return c.String(string(out))
}

// start is where a search begins: argument i, from 1 or from the end.
func (c Call) start(i, size int) (from int, ok bool) {
	from = c.IntOr(i, 1)
	if from < 0 {
		from = max(size+from+1, 1)
	}
	from = max(from, 1) - 1
	return from, from <= size
}

func strFind(c Call) []Value {
	s, p := c.Text(0), c.Text(1)
	from, ok := c.start(2, len(s))
	if !ok {
		return c.Return(Value{})
	}
	if v := c.Arg(3); v.truthy() || !strings.ContainsAny(p, "^$*+?.([%-") {
		c.T.m.charge((len(s) - from + len(p)) / 8)
		i := strings.Index(s[from:], p)
		if i < 0 {
			return c.Return(Value{})
		}
		return c.Return(Number(float64(from+i+1)), Number(float64(from+i+len(p))))
	}
	m := newMatcher(c, s, p)
	at, end := m.search(from)
	if end < 0 {
		return c.Return(Value{})
	}
	out := append(c.T.rbuf[:0], Number(float64(at+1)), Number(float64(end)))
	c.T.rbuf = m.captures(out)
	return c.T.rbuf
}

func strMatch(c Call) []Value {
	s := c.Text(0)
	m := newMatcher(c, s, c.Text(1))
	from, ok := c.start(2, len(s))
	if !ok {
		return c.Return(Value{})
	}
	at, end := m.search(from)
	if end < 0 {
		return c.Return(Value{})
	}
	return m.results(at, end)
}

func strGmatch(c Call) []Value {
	s := c.Text(0)
	m := newMatcher(c, s, c.Text(1))
	m.anchored = false // as in Lua: here ^ is a character
	pos := 0
	step := c.T.m.NewFunction("gmatch", func(c Call) []Value {
		m.t = c.T
		if pos > len(s) {
			return c.Return(Value{})
		}
		at, end := m.search(pos)
		switch {
		case end < 0:
			pos = len(s) + 1
			return c.Return(Value{})
		case end == at:
			pos = end + 1
		default:
			pos = end
		}
		return m.results(at, end)
	}, c.Arg(0), c.Arg(1))
	return c.Return(step)
}

func strGsub(c Call) []Value {
	s := c.Text(0)
	m := newMatcher(c, s, c.Text(1))
	repl := c.Arg(2)
	if _, ok := text(repl); !ok && repl.Table() == nil && repl.Function() == nil {
		c.wrongType(2, "string, table or function")
	}
	most := c.IntOr(3, len(s)+1)
	var out []byte
	pos, count := 0, 0
	for count < most {
		m.level = 0
		end := m.match(pos, 0)
		if end >= 0 {
			count++
			out = append(out, m.replacement(repl, pos, end)...)
		}
		switch {
		case end > pos:
			pos = end
		case pos < len(s):
			out = append(out, s[pos])
			pos++
		default:
			pos++
		}
		if len(out) > MaxString {
			c.T.Throw("string is longer than %d bytes", MaxString)
		}
		if pos > len(s) || m.anchored {
			break
		}
	}
	if pos < len(s) {
		out = append(out, s[pos:]...)
	}
	return c.Return(c.T.m.String(string(out)), Number(float64(count)))
}

// replacement is what gsub puts in place of s[at:end].
func (m *matcher) replacement(repl Value, at, end int) string {
	var v Value
	switch r := repl.ref.(type) {
	case *Table:
		v = m.t.index(repl, m.capture(0, at, end))
	case *Function:
		v = m.t.call1(repl, append([]Value(nil), m.results(at, end)...)...)
	case *String:
		return m.expand(r.s, at, end)
	default:
		return formatNumber(repl.num)
	}
	if !v.truthy() {
		return m.s[at:end]
	}
	out, ok := text(v)
	if !ok {
		m.t.Throw("invalid replacement value (a %s)", v.Type())
	}
	m.t.m.work(len(out))
	return out
}

// expand fills the captures into gsub's replacement string.
func (m *matcher) expand(repl string, at, end int) string {
	m.t.m.charge(1 + len(repl)/8)
	if strings.IndexByte(repl, '%') < 0 {
		return repl
	}
	var b strings.Builder
	for i := 0; i < len(repl); i++ {
		switch {
		case repl[i] != '%':
			b.WriteByte(repl[i])
			continue
		case i+1 == len(repl):
			m.t.Throw("invalid use of '%%' in replacement string")
		}
		i++ // the character after %
		switch d := repl[i]; {
		case d == '0':
			b.WriteString(m.s[at:end])
		case d >= '1' && d <= '9':
			s, _ := text(m.capture(int(d-'1'), at, end))
			b.WriteString(s)
		default:
			b.WriteByte(d)
		}
		if b.Len() > MaxString {
			m.t.Throw("string is longer than %d bytes", MaxString)
		}
	}
	m.t.m.work(b.Len())
	return b.String()
}
