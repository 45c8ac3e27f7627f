package lua

func (m *Machine) openCoroutine() {
	lib := m.Library("coroutine")
	m.Define(lib, "create", coCreate)
	m.Define(lib, "resume", coResume)
	m.Define(lib, "running", coRunning)
	m.Define(lib, "status", coStatus)
	m.Define(lib, "wrap", coWrap)
	yield := m.NewFunction("yield", nil)
	yield.Function().special = specialYield
	lib.SetField("yield", yield)
	lib.Lock()
}

func (c Call) thread(i int) *Thread {
	t, ok := c.Arg(i).ref.(*Thread)
	if !ok {
		c.badArg(i, "coroutine expected, got "+c.Arg(i).Type())
	}
	return t
}

func coCreate(c Call) []Value {
	t := c.T.m.newThread(32)
	c.T.m.charge(30)
	t.body = Of(c.Function(0))
	return c.Return(Of(t))
}

func coResume(c Call) []Value {
	co := c.thread(0)
	res, failed := c.T.resume(co, c.Args[1:])
	if failed != nil {
		return c.Return(Bool(false), failed.value)
	}
	c.T.rbuf = append(append(c.T.rbuf[:0], Bool(true)), res...)
	return c.T.rbuf
}

func coWrap(c Call) []Value {
	t := c.T.m.newThread(32)
	c.T.m.charge(30)
	t.body = Of(c.Function(0))
	fn := c.T.m.NewFunction("wrap", func(c Call) []Value {
		res, failed := c.T.resume(t, c.Args)
		if failed != nil {
			c.T.m.throw(failed)
		}
		return res
	}, Of(t))
	return c.Return(fn)
}

func coRunning(c Call) []Value {
	if c.T.resumer == nil {
		return c.Return(Value{})
	}
	return c.Return(Of(c.T))
}

func coStatus(c Call) []Value {
	word := "dead"
	switch c.thread(0).status {
	case statusSuspended:
		word = "suspended"
	case statusRunning:
		word = "running"
	case statusNormal:
		word = "normal"
	case statusDead:
	}
	return c.Return(c.T.m.Intern(word))
}

// resume runs a coroutine until it yields, ends or fails. The results are good
// until it runs again.
func (t *Thread) resume(co *Thread, args []Value) (res []Value, failed *thrown) {
	m := t.m
	if co.status != statusSuspended {
		return nil, &thrown{value: m.Intern("cannot resume a coroutine that is not suspended")}
	}
	if m.nest >= maxNest {
		t.Throw("more than %d builtins, metamethods or coroutines run inside each other", maxNest)
	}
	m.charge(5)
	nest, over := m.nest, false
	co.resumer, co.status, t.status, m.cur = t, statusRunning, statusNormal, co
	defer func() {
		if !over {
			if m.flying == nil || m.dead != nil {
				return // not an error of the script
			}
			_ = recover()
			failed = m.flying
			m.flying = nil
			failed.trace = append(failed.trace, co.trace()...)
			failed.trace = failed.trace[:min(len(failed.trace), 20)]
			m.nest = nest
			co.end()
		}
		t.status, m.cur = statusRunning, t
	}()
	co.begin(args)
	over = true
	if co.yielded {
		co.status = statusSuspended
	} else {
		co.end()
	}
	return co.multi, nil
}

// begin starts the coroutine, or goes on after its yield.
func (t *Thread) begin(args []Value) {
	if !t.started {
		t.started = true
		t.start, t.startArgs = t.body, args
		t.run(0)
		return
	}
	t.yielded = false
	if !t.deliver(t.resumeRet, t.resumeWant, args, 0) {
		t.run(0)
	}
}

// end gives a coroutine's memory back; its last results stay.
func (t *Thread) end() {
	t.unwind()
	t.status, t.body = statusDead, Value{}
	t.frames, t.seg, t.spare, t.rbuf = nil, nil, nil, nil
	t.size = 512
	t.top = 0
}
