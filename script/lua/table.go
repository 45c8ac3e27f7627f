package lua

import (
	"math"
	"math/bits"
)

// Table is a Lua table: an array for 1..n and a map that remembers the order
// of insertion, so that iteration is the same in every run.
type Table struct {
	m       *Machine
	arr     []Value // keys 1..len; the last one is never nil
	entries []entry // the map; deleted ones keep their key and have no value
	index   []int32 // open addressing into entries, from 1; nil while they are few
	meta    *Table
	id      uint64
	mark    uint32
	locked  bool // read-only for scripts
}

type entry struct{ key, val Value }

// Sizes for the count of memory, in bytes.
const (
	tableSize = 144
	valueSize = 24
	entrySize = 48
	fewKeys   = 8 // up to here a map is searched from end to end
)

// NewTable makes an empty table.
func (m *Machine) NewTable() *Table {
	m.alloc(tableSize)
	m.lastID++
	return &Table{m: m, id: m.lastID}
}

// Lock makes the table read-only for scripts.
func (tb *Table) Lock() { tb.locked = true }

// Len is the number of elements of the array part: what # says.
func (tb *Table) Len() int { return len(tb.arr) }

// At returns element i, from 1.
func (tb *Table) At(i int) Value { return tb.getNum(float64(i)) }

// Append adds an element at the end.
func (tb *Table) Append(v Value) { tb.setNum(float64(len(tb.arr)+1), v) }

// Field returns the value at a string key.
func (tb *Table) Field(name string) Value { return tb.getStr(tb.m.intern(name)) }

// SetField assigns a value to a string key.
func (tb *Table) SetField(name string, v Value) { tb.set(Of(tb.m.intern(name)), v) }

// Set assigns a value to a key that is neither nil nor NaN; nil deletes.
func (tb *Table) Set(key, v Value) { tb.set(key, v) }

// Get returns the value at a key.
func (tb *Table) Get(key Value) Value { return tb.get(key) }

// Next returns the key and value after key; nil starts, and nil ends.
func (tb *Table) Next(key Value) (k, v Value) {
	i := 0
	switch n, _ := key.Number(); {
	case key.ref == nil:
	case key.isNumber() && n >= 1 && n <= float64(len(tb.arr)) && n == math.Trunc(n):
		i = int(n)
	default:
		j := tb.find(key)
		if j < 0 && !key.isNumber() {
			tb.m.cur.Throw("invalid key to 'next'")
		}
		i = len(tb.arr) + j + 1 // a number that is gone was the last of the array
	}
	from := i
	for ; i < len(tb.arr); i++ {
		if tb.arr[i].ref != nil {
			tb.m.charge((i - from) / 4)
			return Number(float64(i + 1)), tb.arr[i]
		}
	}
	for j := i - len(tb.arr); j < len(tb.entries); j++ {
		if e := &tb.entries[j]; e.val.ref != nil {
			tb.m.charge((j + len(tb.arr) - from) / 4)
			return e.key, e.val
		}
	}
	tb.m.charge((len(tb.arr) + len(tb.entries) - from) / 4)
	return Value{}, Value{}
}

func (tb *Table) get(key Value) Value {
	switch k := key.ref.(type) {
	case *String:
		return tb.getStr(k)
	case numberTag:
		return tb.getNum(key.num)
	case nil:
		return Value{}
	}
	if i := tb.find(key); i >= 0 {
		return tb.entries[i].val
	}
	return Value{}
}

func (tb *Table) getNum(n float64) Value {
	if i := int(n); uint(i-1) < uint(len(tb.arr)) && float64(i) == n {
		return tb.arr[i-1]
	}
	if len(tb.entries) == 0 {
		return Value{}
	}
	if i := tb.find(Number(n)); i >= 0 {
		return tb.entries[i].val
	}
	return Value{}
}

func (tb *Table) getStr(k *String) Value {
	if i := tb.findStr(k); i >= 0 {
		return tb.entries[i].val
	}
	return Value{}
}

// getHint is getStr with the place where the key was found last time: tables
// that are made alike have their keys at the same places.
func (tb *Table) getHint(k *String, hint *int32) Value {
	if i := int(*hint); i < len(tb.entries) {
		if s, ok := tb.entries[i].key.ref.(*String); ok && s == k {
			return tb.entries[i].val
		}
	}
	i := tb.findStr(k)
	if i < 0 {
		return Value{}
	}
	*hint = int32(i)
	return tb.entries[i].val
}

// setHint is setHash for strings, with a hint.
func (tb *Table) setHint(k, v Value, hint *int32) {
	if i := int(*hint); i < len(tb.entries) {
		if s, ok := tb.entries[i].key.ref.(*String); ok && s == k.ref.(*String) {
			tb.entries[i].val = v
			return
		}
	}
	tb.setHash(k, v)
	if i := tb.findStr(k.ref.(*String)); i >= 0 {
		*hint = int32(i)
	}
}

// set assigns without metamethods. The key is neither nil nor NaN.
func (tb *Table) set(key, v Value) {
	if key.isNumber() {
		tb.setNum(key.num, v)
		return
	}
	tb.setHash(key, v)
}

func (tb *Table) setNum(n float64, v Value) {
	i, size := int(n), len(tb.arr)
	switch {
	case float64(i) != n || i < 1 || i > size+1:
		tb.setHash(Number(n), v)
	case i <= size:
		tb.arr[i-1] = v
		if v.ref == nil && i == size {
			tb.shrink()
		}
	case v.ref != nil:
		tb.push(v)
		tb.migrate()
	}
}

// migrate moves what now follows the array from the map into it. So the map
// never holds the key after the array's last, and # is right.
func (tb *Table) migrate() {
	for len(tb.entries) > 0 {
		j := tb.find(Number(float64(len(tb.arr) + 1)))
		if j < 0 || tb.entries[j].val.ref == nil {
			return
		}
		tb.m.charge(1)
		tb.push(tb.entries[j].val)
		tb.entries[j].val = Value{}
	}
}

func (tb *Table) push(v Value) {
	if len(tb.arr) == cap(tb.arr) {
		tb.grow(max(4, len(tb.arr)+len(tb.arr)/2+1))
	}
	tb.arr = append(tb.arr, v)
}

func (tb *Table) grow(size int) {
	tb.m.alloc(size * valueSize)
	tb.m.charge(len(tb.arr) / 8)
	arr := make([]Value, len(tb.arr), size)
	copy(arr, tb.arr)
	tb.arr = arr
}

// shrink drops the nils at the end: each was paid for when it was set.
func (tb *Table) shrink() {
	n := len(tb.arr)
	for n > 0 && tb.arr[n-1].ref == nil {
		n--
	}
	tb.arr = tb.arr[:n]
}

func (tb *Table) setHash(key, v Value) {
	if i := tb.find(key); i >= 0 {
		tb.entries[i].val = v
		return
	}
	if v.ref == nil {
		return
	}
	if len(tb.entries) == cap(tb.entries) {
		tb.rehash()
	}
	tb.entries = append(tb.entries, entry{key, v})
	if tb.index != nil {
		tb.link(len(tb.entries))
	}
}

// rehash makes room for more entries and forgets deleted ones.
func (tb *Table) rehash() {
	live := 0
	for i := range tb.entries {
		if tb.entries[i].val.ref != nil {
			live++
		}
	}
	size := max(4, live+live/2+1)
	slots := 0
	if size > fewKeys {
		slots = 1 << bits.Len(uint(size+size/2))
	}
	tb.m.alloc(size*entrySize + slots*4)
	tb.m.charge(len(tb.entries) / 2)
	entries := make([]entry, 0, size)
	for i := range tb.entries {
		if tb.entries[i].val.ref != nil {
			entries = append(entries, tb.entries[i])
		}
	}
	tb.entries, tb.index = entries, nil
	if slots > 0 {
		tb.index = make([]int32, slots)
		for i := range entries {
			tb.link(i + 1)
		}
	}
}

// link puts entry i, from 1, into the index.
func (tb *Table) link(i int) {
	mask := uint64(len(tb.index) - 1)
	h := tb.m.hash(tb.entries[i-1].key)
	for tb.index[h&mask] != 0 {
		h++
	}
	tb.index[h&mask] = int32(i)
}

// find returns the entry of a key, or -1.
func (tb *Table) find(key Value) int {
	if k, ok := key.ref.(*String); ok {
		return tb.findStr(k)
	}
	if tb.index == nil {
		for i := range tb.entries {
			if k := &tb.entries[i].key; k.num == key.num && k.ref == key.ref {
				return i
			}
		}
		return -1
	}
	mask := uint64(len(tb.index) - 1)
	for h := tb.m.hash(key); ; h++ {
		i := tb.index[h&mask]
		if i == 0 {
			return -1
		}
		if k := &tb.entries[i-1].key; k.num == key.num && k.ref == key.ref {
			return int(i - 1)
		}
	}
}

func (tb *Table) findStr(key *String) int {
	if tb.index == nil {
		for i := range tb.entries {
			if k, ok := tb.entries[i].key.ref.(*String); ok &&
				(k == key || k.hash == key.hash && k.s == key.s) {
				return i
			}
		}
		return -1
	}
	mask := uint64(len(tb.index) - 1)
	for h := key.hash; ; h++ {
		i := tb.index[h&mask]
		if i == 0 {
			return -1
		}
		if k, ok := tb.entries[i-1].key.ref.(*String); ok &&
			(k == key || k.hash == key.hash && k.s == key.s) {
			return int(i - 1)
		}
	}
}
