package process

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/throng-gg/throng"
)

// child is one allocated game server.
//
//	claimed ──▶ started ──▶ over
//	   └──── failed ─────────▲
type child struct {
	id  throng.ServerID
	env []string

	started chan struct{} // closed when the start was tried; err is set before
	err     error
	over    chan struct{} // closed when the process is reaped and its exit queued

	stopOnce sync.Once
	stop     chan struct{} // closed by end; grace is set before
	grace    time.Duration

	complain sync.Once // one line a server about its log
}

func newChild(id throng.ServerID, env []string) *child {
	return &child{
		id: id, env: env,
		started: make(chan struct{}), over: make(chan struct{}), stop: make(chan struct{}),
	}
}

// end asks the process to end, and has it killed after grace. Repeated: nothing.
func (c *child) end(grace time.Duration) {
	c.stopOnce.Do(func() {
		c.grace = grace
		close(c.stop)
	})
}

// handle is a process that can be waited for and signalled; a signal never hits
// another process, also when this one is over.
type handle interface {
	// wait blocks until the process is over, and says how it ended. Called once.
	wait() string
	signal(sig syscall.Signal)
	pid() int
}

// running is what belongs to a process while it runs.
type running struct {
	handle
	cage *cage    // nil: without limits
	tie  *os.File // our end of a tied server's standard input
}

// host starts a child and stays with it until it is over.
func (b *Backend) host(c *child) {
	r, err := b.start(c)
	if err != nil {
		b.cfg.Logger.Error("game server not started", "server", c.id, "err", err)
		b.failed(c, err)
		return
	}
	b.metrics.starts.WithLabelValues("ok").Inc()
	b.attend(c, r)
}

// failed takes a child back that was never started.
func (b *Backend) failed(c *child, err error) {
	b.metrics.starts.WithLabelValues(throng.KindOf(err).String()).Inc()
	b.mu.Lock()
	delete(b.children, c.id)
	b.mu.Unlock()
	c.err = err
	close(c.started)
	close(c.over)
}

// attend stays with a process until it is over, and ends it when told.
func (b *Backend) attend(c *child, r *running) {
	close(c.started)
	b.metrics.alive.Inc()
	reasons := make(chan string, 1)
	var group sync.WaitGroup
	group.Go(func() { reasons <- r.wait() })
	reason := awaitEnd(c, r, reasons)
	group.Wait()
	b.metrics.alive.Dec()
	b.metrics.exits.Inc()
	b.bury(c, r, reason)
}

func awaitEnd(c *child, r *running, reasons <-chan string) string {
	select {
	case reason := <-reasons:
		return reason
	case <-c.stop:
	}
	r.signal(syscall.SIGTERM)
	patience := time.NewTimer(c.grace)
	defer patience.Stop()
	select {
	case reason := <-reasons:
		return reason
	case <-patience.C:
	}
	r.signal(syscall.SIGKILL)
	return <-reasons
}

// bury gives back what the process had, and tells its end.
func (b *Backend) bury(c *child, r *running, reason string) {
	if r.cage.outOfMemory() {
		reason += fmt.Sprintf(" (it used up its memory limit of %d MiB)", b.cfg.MemoryBytes>>20)
	}
	if r.tie != nil {
		_ = r.tie.Close() // its reader is gone
	}
	b.forget(c.id)
	b.cfg.Logger.Info("game server over", "server", c.id, "reason", reason)
	left := r.cage.remove()
	b.mu.Lock()
	delete(b.children, c.id)
	b.over.Add(c.id, "")
	if left != nil {
		b.graves[r.cage] = 0
	}
	b.mu.Unlock()
	b.exits.Tell(throng.ServerExit{Server: c.id, Reason: reason})
	close(c.over)
}

// start makes the process. What it needs is made before and taken back if it
// fails.
func (b *Backend) start(c *child) (r *running, err error) {
	env, err := b.environment(c)
	if err != nil {
		return nil, err
	}
	var mine, its []*os.File
	defer func() {
		for _, f := range its {
			_ = f.Close() // the process has its own
		}
		if err != nil {
			for _, f := range mine {
				_ = f.Close() // nothing was written to it
			}
		}
	}()
	out, err := b.logs.open(c.id, b.alive)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	its = append(its, out)
	in, tie, err := b.input()
	if err != nil {
		return nil, err
	}
	its = append(its, in)
	if tie != nil {
		mine = append(mine, tie)
	}
	cage, err := b.limits.open(c.id)
	if err != nil {
		return nil, fmt.Errorf("set limits: %w", err)
	}
	proc, err := os.StartProcess(b.program, b.cfg.Command, &os.ProcAttr{
		Env:   env,
		Files: []*os.File{in, out, out},
		Sys:   sysProcAttr(b.cfg, cage),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start: %w", err), cage.remove())
	}
	r = &running{handle: newHandle(proc), cage: cage, tie: tie}
	if err := b.settle(c, r); err != nil {
		r.signal(syscall.SIGKILL)
		r.wait()
		return nil, errors.Join(err, cage.remove())
	}
	return r, nil
}

// settle does what needs the process to be there.
func (b *Backend) settle(c *child, r *running) error {
	if err := r.cage.enter(r.pid()); err != nil {
		return fmt.Errorf("set limits: %w", err)
	}
	if err := preferToKill(r.pid()); err != nil {
		b.cfg.Logger.Debug("game server's OOM score not raised", "server", c.id, "err", err)
	}
	return b.remember(c.id, r)
}

// environment is all that the process gets.
func (b *Backend) environment(c *child) ([]string, error) {
	var env []string
	if b.cfg.Env != nil {
		var err error
		if env, err = b.cfg.Env(c.id); err != nil {
			return nil, fmt.Errorf("make environment: %w", err)
		}
	}
	env = slices.Concat(env, c.env)
	if b.cfg.Tied {
		env = append(env, "THRONG_TIED=1")
	}
	return env, nil
}

// input is a standard input: one that ends with us when tied, an empty one else.
func (b *Backend) input() (in, tie *os.File, err error) {
	if b.cfg.Tied {
		in, tie, err = os.Pipe()
	} else {
		in, err = os.Open(os.DevNull)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("make standard input: %w", err)
	}
	return in, tie, nil
}

func (b *Backend) alive(id throng.ServerID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.children[id] != nil
}

// ours is a process that we started, and are the only ones to reap.
type ours struct {
	proc *os.Process

	mu   sync.Mutex
	over bool // guarded by mu; it may be reaped: its number may be another's
}

func newHandle(proc *os.Process) *ours { return &ours{proc: proc} }

func (o *ours) pid() int { return o.proc.Pid }

// signal goes to the process and all of its group.
func (o *ours) signal(sig syscall.Signal) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.over {
		_ = syscall.Kill(-o.proc.Pid, sig) // gone: nothing to signal
	}
}

func (o *ours) wait() string {
	awaitExit(o.proc.Pid)
	o.mu.Lock()
	_ = syscall.Kill(-o.proc.Pid, syscall.SIGKILL) // what it started, if any is left
	o.over = true
	o.mu.Unlock()
	state, err := o.proc.Wait()
	if err != nil {
		return "unknown: " + err.Error()
	}
	return state.String()
}
