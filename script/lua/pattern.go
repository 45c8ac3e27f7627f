package lua

import "strings"

// Bounds of Lua patterns. Every position that is tried costs a step, so a
// pattern that backtracks for ever ends with the budget.
const (
	maxCaptures   = 32
	maxMatchDepth = 200
)

// Lengths of captures that are not substrings.
const (
	captureOpen     = -1
	capturePosition = -2
)

// matcher matches one pattern against one string.
type matcher struct {
	t        *Thread
	s, p     string
	anchored bool
	level    int // captures so far
	depth    int
	caps     [maxCaptures]struct{ at, size int }
}

func newMatcher(c Call, s, p string) *matcher {
	c.T.m.charge(5 + len(p)/8)
	m := &matcher{t: c.T, s: s, p: p}
	if strings.HasPrefix(p, "^") && c.Fn.name != "gmatch" {
		m.anchored, m.p = true, p[1:]
	}
	return m
}

// search finds the first match from a position on; end is -1 when there is none.
func (m *matcher) search(from int) (at, end int) {
	for at = from; at <= len(m.s); at++ {
		m.level, m.depth = 0, 0
		if end = m.match(at, 0); end >= 0 || m.anchored {
			return at, end
		}
	}
	return at, -1
}

// match matches the pattern from p on at s, and returns where the match ends,
// or -1.
func (m *matcher) match(from, pattern int) int {
	m.depth++
	if m.depth > maxMatchDepth {
		m.depth = 0
		m.t.Throw("pattern is too complex")
	}
	defer func() { m.depth-- }()
	s, p := from, pattern
	for p < len(m.p) {
		m.t.m.charge(1)
		switch c := m.p[p]; {
		case c == '(' && m.at(p+1) == ')':
			return m.openCapture(s, p+2, capturePosition)
		case c == '(':
			return m.openCapture(s, p+1, captureOpen)
		case c == ')':
			return m.closeCapture(s, p+1)
		case c == '$' && p+1 == len(m.p):
			if s == len(m.s) {
				return s
			}
			return -1
		case c == '%' && strings.IndexByte("bf0123456789", m.at(p+1)) >= 0:
			if s, p = m.escape(s, p); s < 0 {
				return -1
			}
			continue
		}
		next := m.classEnd(p)
		if suffix := m.at(next); suffix != 0 && strings.IndexByte("?*+-", suffix) >= 0 {
			return m.repeated(s, p, next)
		}
		if !m.single(s, p, next) {
			return -1
		}
		s, p = s+1, next
	}
	return s
}

// at is the pattern's character at p, 0 beyond its end.
func (m *matcher) at(p int) byte {
	if p < len(m.p) {
		return m.p[p]
	}
	return 0
}

// repeated matches the class p[p:next] with its suffix, and what follows.
func (m *matcher) repeated(s, p, next int) int {
	switch m.p[next] {
	case '*':
		return m.most(s, p, next, 0)
	case '+':
		return m.most(s, p, next, 1)
	case '-':
		return m.least(s, p, next)
	}
	if m.single(s, p, next) {
		if end := m.match(s+1, next+1); end >= 0 {
			return end
		}
	}
	return m.match(s, next+1)
}

// escape matches %b, %f and back references.
func (m *matcher) escape(s, p int) (nextS, nextP int) {
	switch m.p[p+1] {
	case 'b':
		if p+3 >= len(m.p) {
			m.t.Throw("pattern has %%b without two characters")
		}
		return m.balance(s, m.p[p+2], m.p[p+3]), p + 4
	case 'f':
		if p+2 >= len(m.p) || m.p[p+2] != '[' {
			m.t.Throw("missing '[' after %%f in pattern")
		}
		next := m.classEnd(p + 2)
		var before, after byte
		if s > 0 {
			before = m.s[s-1]
		}
		if s < len(m.s) {
			after = m.s[s]
		}
		if m.inSet(before, p+2, next) || !m.inSet(after, p+2, next) {
			return -1, 0
		}
		return s, next
	}
	i := int(m.p[p+1]) - '1'
	if i < 0 || i >= m.level || m.caps[i].size == captureOpen {
		m.t.Throw("invalid capture index %%%c in pattern", m.p[p+1])
	}
	if m.caps[i].size == capturePosition {
		return -1, 0
	}
	captured := m.s[m.caps[i].at : m.caps[i].at+m.caps[i].size]
	m.t.m.work(len(captured))
	if !strings.HasPrefix(m.s[s:], captured) {
		return -1, 0
	}
	return s + len(captured), p + 2
}

func (m *matcher) balance(s int, open, closing byte) int {
	if s >= len(m.s) || m.s[s] != open {
		return -1
	}
	depth := 1
	for i := s + 1; i < len(m.s); i++ {
		m.t.m.charge(1)
		switch m.s[i] {
		case closing:
			depth--
			if depth == 0 {
				return i + 1
			}
		case open:
			depth++
		}
	}
	return -1
}

// most matches as many as it can, at least min, then the rest.
func (m *matcher) most(s, p, next, least int) int {
	n := 0
	for m.single(s+n, p, next) {
		m.t.m.charge(1)
		n++
	}
	for ; n >= least; n-- {
		if end := m.match(s+n, next+1); end >= 0 {
			return end
		}
	}
	return -1
}

// least matches as few as it can.
func (m *matcher) least(from, p, next int) int {
	for s := from; ; s++ {
		if end := m.match(s, next+1); end >= 0 {
			return end
		}
		if !m.single(s, p, next) {
			return -1
		}
	}
}

func (m *matcher) openCapture(s, p, kind int) int {
	if m.level >= maxCaptures {
		m.t.Throw("pattern has more than %d captures", maxCaptures)
	}
	m.caps[m.level].at, m.caps[m.level].size = s, kind
	m.level++
	end := m.match(s, p)
	if end < 0 {
		m.level--
	}
	return end
}

func (m *matcher) closeCapture(s, p int) int {
	i := m.level - 1
	for i >= 0 && m.caps[i].size != captureOpen {
		i--
	}
	if i < 0 {
		m.t.Throw("pattern closes a capture that is not open")
	}
	m.caps[i].size = s - m.caps[i].at
	end := m.match(s, p)
	if end < 0 {
		m.caps[i].size = captureOpen
	}
	return end
}

// classEnd is where the single-character class at p ends.
func (m *matcher) classEnd(p int) int {
	switch m.p[p] {
	case '%':
		if p+1 >= len(m.p) {
			m.t.Throw("malformed pattern (ends with '%%')")
		}
		return p + 2
	case '[':
		i := p + 1
		if i < len(m.p) && m.p[i] == '^' {
			i++
		}
		for first := true; ; first = false {
			if i >= len(m.p) {
				m.t.Throw("malformed pattern (missing ']')")
			}
			c := m.p[i]
			i++
			if c == '%' {
				i++
			} else if c == ']' && !first {
				m.t.m.charge((i - p) / 8)
				return i
			}
		}
	}
	return p + 1
}

// single says whether the character at s is in the class p[p:next].
func (m *matcher) single(s, p, next int) bool {
	if s >= len(m.s) {
		return false
	}
	c := m.s[s]
	switch m.p[p] {
	case '.':
		return true
	case '%':
		return inClass(c, m.p[p+1])
	case '[':
		m.t.m.charge((next - p) / 8)
		return m.inSet(c, p, next)
	}
	return m.p[p] == c
}

// inSet says whether c is in the set p[p:next], which begins with [.
func (m *matcher) inSet(c byte, p, next int) bool {
	i, end, found := p+1, next-1, true
	if m.p[i] == '^' {
		i, found = i+1, false
	}
	for ; i < end; i++ {
		switch {
		case m.p[i] == '%' && i+1 < end:
			i++
			if inClass(c, m.p[i]) {
				return found
			}
		case i+2 < end && m.p[i+1] == '-':
			if m.p[i] <= c && c <= m.p[i+2] {
				return found
			}
			i += 2
		case m.p[i] == c:
			return found
		}
	}
	return !found
}

func inClass(c, class byte) bool {
	var in bool
	switch lower(class) {
	case 'a':
		in = isLetter(c)
	case 'c':
		in = c < 32 || c == 127
	case 'd':
		in = isDigit(c)
	case 'l':
		in = c >= 'a' && c <= 'z'
	case 'p':
		in = c > 32 && c < 127 && !isLetter(c) && !isDigit(c)
	case 's':
		in = c == ' ' || c >= 9 && c <= 13
	case 'u':
		in = c >= 'A' && c <= 'Z'
	case 'w':
		in = isLetter(c) || isDigit(c)
	case 'x':
		in = isDigit(c) || lower(c) >= 'a' && lower(c) <= 'f'
	case 'z':
		in = c == 0
	default:
		return c == class
	}
	return in != (class >= 'A' && class <= 'Z')
}

func isLetter(c byte) bool { return lower(c) >= 'a' && lower(c) <= 'z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// capture is capture i of the match s[at:end]; without captures the first one
// is the match.
func (m *matcher) capture(i, at, end int) Value {
	if i >= m.level {
		if i > 0 {
			m.t.Throw("invalid capture index %%%d", i+1)
		}
		return m.t.m.String(strings.Clone(m.s[at:end]))
	}
	c := m.caps[i]
	switch c.size {
	case capturePosition:
		return Number(float64(c.at + 1))
	case captureOpen:
		m.t.Throw("pattern has a capture that is not closed")
	}
	return m.t.m.String(strings.Clone(m.s[c.at : c.at+c.size]))
}

// captures appends all captures.
func (m *matcher) captures(out []Value) []Value {
	all := out
	for i := range m.level {
		all = append(all, m.capture(i, 0, 0))
	}
	return all
}

// results are all captures, or the match when there are none.
func (m *matcher) results(at, end int) []Value {
	if m.level == 0 {
		m.t.rbuf = append(m.t.rbuf[:0], m.capture(0, at, end))
	} else {
		m.t.rbuf = m.captures(m.t.rbuf[:0])
	}
	return m.t.rbuf
}
