package lua

import (
	"math"
	"strconv"
	"strings"
)

// maxUnpack is how many values a builtin can return.
const maxUnpack = 8000

func (m *Machine) openBase() {
	g := m.globals
	g.SetField("_G", Of(g))
	g.SetField("_VERSION", m.Intern("Lua 5.1"))
	m.Define(g, "assert", baseAssert)
	m.Define(g, "error", baseError)
	m.Define(g, "getmetatable", baseGetMetatable)
	m.Define(g, "print", basePrint)
	m.Define(g, "rawequal", baseRawEqual)
	m.Define(g, "rawget", baseRawGet)
	m.Define(g, "rawset", baseRawSet)
	m.Define(g, "require", baseRequire)
	m.Define(g, "select", baseSelect)
	m.Define(g, "setmetatable", baseSetMetatable)
	m.Define(g, "tonumber", baseToNumber)
	m.Define(g, "tostring", baseToString)
	m.Define(g, "type", baseType)
	m.Define(g, "unpack", baseUnpack)
	m.Define(g, "next", baseNext)
	next := g.Field("next")
	next.Function().special = specialNext
	m.Define(g, "pairs", func(c Call) []Value { return c.Return(next, Of(c.Table(0)), Value{}) })
	step := m.NewFunction("ipairs", baseIpairsStep)
	m.Pin(step)
	m.Define(g, "ipairs", func(c Call) []Value { return c.Return(step, Of(c.Table(0)), Number(0)) })
	m.Define(g, "pcall", nil)
	g.Field("pcall").Function().special = specialPcall
	m.Define(g, "xpcall", nil)
	g.Field("xpcall").Function().special = specialXpcall
}

func baseAssert(c Call) []Value {
	if v := c.Any(0); v.truthy() {
		return c.Args
	}
	if len(c.Args) > 1 {
		c.T.throwAt(-1, c.Args[1])
	}
	c.T.Throw("assertion failed!")
	return nil
}

func baseError(c Call) []Value {
	c.T.throwAt(max(c.IntOr(1, 1), 0)-1, c.Arg(0))
	return nil
}

func baseGetMetatable(c Call) []Value {
	tb, ok := c.Any(0).ref.(*Table)
	if !ok || tb.meta == nil {
		return c.Return(Value{})
	}
	if v := tb.meta.getStr(c.T.m.events[evMetatable]); v.ref != nil {
		return c.Return(v)
	}
	return c.Return(Of(tb.meta))
}

func baseSetMetatable(c Call) []Value {
	tb := c.Table(0)
	if c.Arg(1).ref != nil || len(c.Args) < 2 {
		c.Table(1)
	}
	if tb.locked {
		c.T.Throw("attempt to change a read-only table")
	}
	if tb.meta != nil && tb.meta.getStr(c.T.m.events[evMetatable]).ref != nil {
		c.T.Throw("attempt to change a protected metatable")
	}
	tb.meta = c.Arg(1).Table()
	return c.Return(c.Args[0])
}

func baseNext(c Call) []Value {
	k, v := c.Table(0).Next(c.Arg(1))
	if k.ref == nil {
		return c.Return(k)
	}
	return c.Return(k, v)
}

func baseIpairsStep(c Call) []Value {
	i := c.Args[1].num + 1
	v := c.Args[0].ref.(*Table).getNum(i)
	if v.ref == nil {
		return c.Return(v)
	}
	return c.Return(Number(i), v)
}

func basePrint(c Call) []Value {
	var b strings.Builder
	for i, v := range c.Args {
		if i > 0 {
			b.WriteByte('\t')
		}
		s := c.T.display(v)
		b.WriteString(s[:min(len(s), 4096)])
		if b.Len() > 4096 {
			break
		}
	}
	c.T.m.charge(20 + b.Len()/8)
	c.T.m.cfg.Print(b.String())
	return nil
}

func baseRawEqual(c Call) []Value {
	c.Any(1)
	x, _ := c.Args[0].Text()
	c.T.m.work(len(x))
	return c.Return(Bool(equalRaw(c.Args[0], c.Args[1])))
}

func baseRawGet(c Call) []Value { return c.Return(c.Table(0).get(c.Arg(1))) }

func baseRawSet(c Call) []Value {
	c.T.rawSet(c.Table(0), c.Arg(1), c.Arg(2))
	return c.Return(c.Args[0])
}

func baseSelect(c Call) []Value {
	if s, ok := c.Any(0).Text(); ok && s == "#" {
		return c.Return(Number(float64(len(c.Args) - 1)))
	}
	i, n := c.Int(0), len(c.Args)-1
	if i < 0 {
		i = n + i + 1
	}
	if i < 1 {
		c.Fail(0, "index out of range")
	}
	c.T.m.charge(max(n-i, 0) / 8)
	return c.Args[min(i, len(c.Args)):]
}

func baseToNumber(c Call) []Value {
	base := c.IntOr(1, 10)
	v := c.Any(0)
	if base == 10 {
		c.T.m.charge(10)
		if n, ok := toNumber(v); ok {
			return c.Return(Number(n))
		}
		return c.Return(Value{})
	}
	if base < 2 || base > 36 {
		c.Fail(1, "base out of range")
	}
	s := strings.Trim(c.Text(0), " \t\r\n\f\v")
	if len(s) < 100 {
		s = strings.ToLower(s)
		if base == 16 {
			s = strings.TrimPrefix(s, "0x")
		}
		if n, err := strconv.ParseInt(s, base, 64); err == nil && !strings.Contains(s, "_") {
			return c.Return(Number(float64(n)))
		}
	}
	return c.Return(Value{})
}

func baseToString(c Call) []Value {
	if _, ok := c.Any(0).ref.(*String); ok {
		return c.Args[:1]
	}
	c.T.m.charge(5)
	return c.String(c.T.display(c.Args[0]))
}

// display is tostring.
func (t *Thread) display(v Value) string {
	h := t.m.handler(v, evToString)
	if h.ref == nil {
		return v.display()
	}
	s, ok := text(t.call1(h, v))
	if !ok {
		t.Throw("__tostring must return a string")
	}
	return s
}

func baseType(c Call) []Value { return c.Return(c.T.m.Intern(c.Any(0).Type())) }

func baseUnpack(c Call) []Value {
	tb := c.Table(0)
	from, to := c.IntOr(1, 1), c.IntOr(2, len(tb.arr))
	if from > to {
		return nil
	}
	if to-from >= maxUnpack {
		c.T.Throw("too many results to unpack: at most %d", maxUnpack)
	}
	c.T.m.charge((to - from) / 2)
	out := c.T.rbuf[:0]
	for i := from; i <= to; i++ {
		out = append(out, tb.getNum(float64(i)))
	}
	c.T.rbuf = out
	return out
}

// moduleRuns marks a module whose file is running.
const moduleRuns = math.MaxFloat64

func baseRequire(c Call) []Value {
	m := c.T.m
	name := c.Text(0)
	p := m.cfg.Module(name)
	if p == nil {
		c.T.Throw("no file '%.100s' in the package to require", name)
	}
	v, ok := m.modules[p]
	if ok {
		if v.num == moduleRuns {
			c.T.Throw("'%.100s' requires itself", name)
		}
		return c.Return(v)
	}
	m.charge(100)
	m.modules[p] = Number(moduleRuns)
	v = c.T.call1(m.Load(p))
	if v.ref == nil {
		v = Bool(true)
	}
	m.modules[p] = v
	return c.Return(v)
}
