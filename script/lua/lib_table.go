package lua

import (
	"slices"
	"strings"
)

func (m *Machine) openTable() {
	lib := m.Library("table")
	m.Define(lib, "concat", tableConcat)
	m.Define(lib, "insert", tableInsert)
	m.Define(lib, "maxn", tableMaxN)
	m.Define(lib, "remove", tableRemove)
	m.Define(lib, "sort", tableSort)
	lib.SetField("unpack", m.globals.Field("unpack"))
	lib.Lock()
}

func tableConcat(c Call) []Value {
	tb := c.Table(0)
	sep := ""
	if c.Arg(1).ref != nil {
		sep = c.Text(1)
	}
	from, to := c.IntOr(2, 1), c.IntOr(3, len(tb.arr))
	var b strings.Builder
	for i := from; i <= to; i++ {
		c.T.m.charge(1)
		s, ok := text(tb.getNum(float64(i)))
		if !ok {
			c.T.Throw("invalid value (%s) at index %d in table for 'concat'", tb.getNum(float64(i)).Type(), i)
		}
		if b.Len()+len(s)+len(sep) > MaxString {
			c.T.Throw("string is longer than %d bytes", MaxString)
		}
		c.T.m.work(len(s) + len(sep))
		b.WriteString(s)
		if i < to {
			b.WriteString(sep)
		}
	}
	return c.String(b.String())
}

// writable is argument 0, a table that scripts may change.
func (c Call) writable() *Table {
	tb := c.Table(0)
	if tb.locked {
		c.T.Throw("attempt to change a read-only table")
	}
	return tb
}

func tableInsert(c Call) []Value {
	tb := c.writable()
	n := len(tb.arr)
	switch len(c.Args) {
	case 2:
		tb.setNum(float64(n+1), c.Args[1])
	case 3:
		at := c.Int(1)
		if at < 1 || at > n+1 {
			c.Fail(1, "position out of bounds")
		}
		v := c.Args[2]
		if at == n+1 || v.ref == nil && n == 0 {
			tb.setNum(float64(at), v)
			break
		}
		c.T.m.charge((n - at) / 8)
		tb.push(tb.arr[n-1])
		copy(tb.arr[at:], tb.arr[at-1:n])
		tb.arr[at-1] = v
		tb.migrate()
	default:
		c.T.Throw("wrong number of arguments to 'insert'")
	}
	return nil
}

func tableRemove(c Call) []Value {
	tb := c.writable()
	n := len(tb.arr)
	at := c.IntOr(1, n)
	if n == 0 && (at == 0 || at == 1) || at == n+1 {
		return c.Return(Value{})
	}
	if at < 1 || at > n {
		c.Fail(1, "position out of bounds")
	}
	v := tb.arr[at-1]
	c.T.m.charge((n - at) / 8)
	copy(tb.arr[at-1:], tb.arr[at:])
	tb.arr[n-1] = Value{}
	tb.shrink()
	return c.Return(v)
}

func tableMaxN(c Call) []Value {
	tb := c.Table(0)
	most := float64(len(tb.arr))
	c.T.m.charge(len(tb.entries) / 4)
	for _, e := range tb.entries {
		if e.key.isNumber() && e.val.ref != nil {
			most = max(most, e.key.num)
		}
	}
	return c.Return(Number(most))
}

// tableSort sorts stably, so that the result does not depend on the algorithm.
// It works on a copy: the comparison may do with the table what it likes.
func tableSort(c Call) []Value {
	tb := c.writable()
	c.T.m.charge(len(tb.arr) / 4)
	c.T.m.alloc(len(tb.arr) * valueSize)
	vs := slices.Clone(tb.arr)
	less := func(x, y Value) bool {
		c.T.m.charge(1)
		return c.T.lessThan(x, y)
	}
	if c.Arg(1).ref != nil {
		fn := Of(c.Function(1))
		args := make([]Value, 2)
		less = func(x, y Value) bool {
			args[0], args[1] = x, y
			r := c.T.call1(fn, args...)
			return r.truthy()
		}
	}
	slices.SortStableFunc(vs, func(x, y Value) int {
		if less(x, y) {
			return -1
		}
		c.T.m.charge(1)
		return 0
	})
	if len(vs) <= len(tb.arr) {
		copy(tb.arr, vs)
		tb.shrink()
	}
	return nil
}
