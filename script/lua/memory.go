package lua

// Memory is counted, not measured: used grows by what is made, and when it
// reaches recount, everything that the script can still reach is added up
// anew. So the same script dies at the same line in every run, and Go's own
// collector stays as it is. Go never holds much more than the limit and what
// is made between two counts (a quarter of it).

// alloc counts n bytes that are about to be made.
func (m *Machine) alloc(n int) {
	m.used += int64(n)
	if m.used > m.recount {
		m.count(int64(n))
	}
}

// count adds up what is live; next is about to be made.
func (m *Machine) count(next int64) {
	m.used = m.live() + next
	if m.used > m.cfg.Memory {
		m.die(KindMemory, "the script holds more than %d bytes of memory", m.cfg.Memory)
	}
	m.recount = m.used + m.cfg.Memory/4
}

// tracer adds up each object once.
type tracer struct {
	epoch uint32
	bytes int64
	todo  []any
}

func (m *Machine) live() int64 {
	m.epoch++
	tr := &tracer{epoch: m.epoch}
	tr.object(m.globals)
	tr.object(m.strings)
	tr.object(m.main)
	for t := m.cur; t != nil; t = t.resumer {
		tr.object(t)
	}
	for _, s := range m.interned {
		tr.object(s)
	}
	for _, v := range m.modules {
		tr.value(v)
	}
	tr.values(m.pins)
	if m.flying != nil {
		tr.value(m.flying.value)
	}
	for len(tr.todo) > 0 {
		o := tr.todo[len(tr.todo)-1]
		tr.todo = tr.todo[:len(tr.todo)-1]
		tr.children(o)
	}
	return tr.bytes
}

func (tr *tracer) value(v Value) {
	if v.ref != nil {
		tr.object(v.ref)
	}
}

func (tr *tracer) values(vs []Value) {
	for i := range vs {
		tr.value(vs[i])
	}
}

// object marks an object and counts its own bytes.
func (tr *tracer) object(ref any) {
	var size int
	var mark *uint32
	switch o := ref.(type) {
	case *String:
		mark, size = &o.mark, 64+len(o.s)
	case *Table:
		if o == nil {
			return
		}
		mark = &o.mark
		size = tableSize + cap(o.arr)*valueSize + cap(o.entries)*entrySize + len(o.index)*4
	case *Function:
		mark, size = &o.mark, 96+(len(o.held)+len(o.up))*valueSize
	case *Thread:
		mark, size = &o.mark, o.size+(cap(o.multi)+cap(o.rbuf))*valueSize
	case *Userdata:
		mark, size = &o.mark, userdataSize+o.size
	case *upvalue:
		mark, size = &o.mark, upvalueSize
	default:
		return
	}
	if *mark == tr.epoch {
		return
	}
	*mark = tr.epoch
	tr.bytes += int64(size)
	if _, ok := ref.(*String); !ok {
		tr.todo = append(tr.todo, ref)
	}
}

func (tr *tracer) children(ref any) {
	switch o := ref.(type) {
	case *Table:
		tr.object(o.meta)
		tr.values(o.arr)
		for i := range o.entries {
			tr.value(o.entries[i].key) // also of deleted ones: Go holds them too
			tr.value(o.entries[i].val)
		}
	case *Function:
		tr.values(o.held)
		for _, up := range o.up {
			tr.object(up)
		}
	case *upvalue:
		tr.value(*o.p)
	case *Userdata:
		tr.value(o.Held)
	case *Thread:
		tr.thread(o)
	}
}

func (tr *tracer) thread(t *Thread) {
	tr.value(t.body)
	tr.values(t.startArgs)
	tr.values(t.multi)
	tr.values(t.rbuf)
	tr.values(t.seg[:t.top])
	for _, fr := range t.frames {
		if fr.fn != nil {
			tr.object(fr.fn)
		}
		tr.value(fr.handler)
		tr.values(fr.regs)
		tr.values(fr.extra)
	}
}
