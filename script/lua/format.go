package lua

import (
	"fmt"
	"math"
	"strings"
)

// strFormat is string.format: as C's printf, with at most two digits of width
// and of precision.
func strFormat(c Call) []Value {
	f := c.Text(0)
	var b strings.Builder
	arg := 0
	for i := 0; i < len(f); i++ {
		if f[i] != '%' {
			b.WriteByte(f[i])
			continue
		}
		i++
		if i < len(f) && f[i] == '%' {
			b.WriteByte('%')
			continue
		}
		from := i
		i = directive(c, f, i)
		arg++
		c.T.m.charge(5)
		b.WriteString(formatOne(c, arg, f[from:i], f[i]))
		if b.Len() > MaxString {
			c.T.Throw("string is longer than %d bytes", MaxString)
		}
	}
	c.T.m.charge(len(f) / 8)
	return c.String(b.String())
}

// directive returns where the letter of the directive at i is.
func directive(c Call, f string, i int) int {
	digits := func(from int) int {
		at := from
		for at < len(f) && isDigit(f[at]) {
			at++
		}
		if at-from > 2 {
			c.T.Throw("invalid format (width or precision too long)")
		}
		return at
	}
	at := i
	for at < len(f) && at-i < 5 && strings.IndexByte("-+ #0", f[at]) >= 0 {
		at++
	}
	at = digits(at)
	if at < len(f) && f[at] == '.' {
		at = digits(at + 1)
	}
	if at >= len(f) {
		c.T.Throw("invalid format (ends in a directive)")
	}
	return at
}

func formatOne(c Call, arg int, flags string, letter byte) string {
	switch letter {
	case 'd', 'i', 'u':
		return fmt.Sprintf("%"+flags+"d", c.Int(arg))
	case 'c':
		return string([]byte{byte(c.Int(arg))})
	case 'x', 'X', 'o':
		return fmt.Sprintf("%"+flags+string(letter), max(c.Int(arg), 0))
	case 'e', 'E', 'f', 'g', 'G':
		n := c.Number(arg)
		c.T.m.charge(20)
		if len(flags) > 2 || math.Abs(n) > 1e17 {
			c.T.m.charge(300) // hundreds of digits, at worst
		}
		if math.IsInf(n, 0) || math.IsNaN(n) {
			return formatText(strings.TrimLeft(flags, "+ #0"), formatNumber(n))
		}
		if letter|0x20 == 'g' && !strings.Contains(flags, ".") {
			return fmt.Sprintf("%"+flags+".6"+string(letter), n)
		}
		return fmt.Sprintf("%"+flags+string(letter), n)
	case 'q':
		return quote(c, c.Text(arg))
	case 's':
		s := c.T.display(c.Any(arg))
		c.T.m.work(len(s))
		if flags == "" {
			return s
		}
		return formatText(strings.TrimLeft(flags, "+ #0"), s)
	}
	c.T.Throw("invalid option '%%%c' to 'format'", letter)
	return ""
}

// formatText pads and cuts by bytes, as C does.
func formatText(flags, s string) string {
	left := strings.HasPrefix(flags, "-")
	width, precision := 0, -1
	for i, part := range strings.SplitN(strings.TrimLeft(flags, "-+ #0"), ".", 2) {
		n := 0
		for _, d := range []byte(part) {
			n = n*10 + int(d-'0')
		}
		if i == 0 {
			width = n
		} else {
			precision = n
		}
	}
	out := s
	if precision >= 0 {
		out = out[:min(len(out), precision)]
	}
	pad := strings.Repeat(" ", max(width-len(out), 0))
	if left {
		return out + pad
	}
	return pad + out
}

func quote(c Call, s string) string {
	var b strings.Builder
	c.T.m.charge(len(s) / 4)
	b.WriteByte('"')
	for i := range len(s) {
		switch s[i] {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteByte(s[i])
		case '\n':
			b.WriteString("\\\n")
		case '\r':
			b.WriteString("\\r")
		case 0:
			b.WriteString("\\000")
		default:
			b.WriteByte(s[i])
		}
	}
	b.WriteByte('"')
	return b.String()
}
