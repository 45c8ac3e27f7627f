package consumer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/throng-gg/throng"
)

// herd is the processes that consume, and what happened to them.
type herd struct {
	member member // but for its name and seed
	seed   uint64

	mu    sync.Mutex
	count map[string]int // guarded by mu; by what happened
}

// lacks is a kind of end that there was none of; "": none.
func (h *herd) lacks() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, what := range []string{"killed", "died", "renamed", "hung"} {
		if h.count[what] == 0 {
			return what
		}
	}
	return ""
}

func (h *herd) note(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count == nil {
		h.count = map[string]int{}
	}
	h.count[what]++
}

// process is one of them.
type process struct {
	herd   *herd
	pid    int
	errors bytes.Buffer  // what it said; to be read once it has ended
	works  chan struct{} // closed when it has partitions, or has ended
	ended  chan error
}

func (h *herd) start(name string, seed uint64) (*process, error) {
	m := h.member
	m.Name, m.Seed = name, seed
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	p := &process{herd: h, works: make(chan struct{}), ended: make(chan error, 1)}
	cmd := exec.Command(os.Args[0], "consume", string(text)) //nolint:noctx // it is ended by hand
	cmd.Stderr = &p.errors
	says, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	h.note("started")
	p.pid = cmd.Process.Pid
	go func() {
		_, _ = says.Read(make([]byte, 1)) // or it has ended
		close(p.works)
		p.ended <- p.judge(cmd.Wait())
	}()
	return p, nil
}

// judge says whether a process ended as it may.
func (p *process) judge(err error) error {
	var exit *exec.ExitError
	if err == nil || !errors.As(err, &exit) {
		return err
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	switch {
	case ok && status.Signaled() && status.Signal() == syscall.SIGKILL:
		return nil
	case ok && status.ExitStatus() == exitFenced:
		p.herd.note("fenced")
		return nil
	}
	return fmt.Errorf("a consumer ended by itself: %w\n%s", err, p.errors.String())
}

func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(p.pid, s) } // it may have ended

// keep keeps one process running until ending ends, and kills it until killing does.
func (h *herd) keep(killing, ending context.Context, slot uint64) error {
	rng := rand.New(rand.NewPCG(h.seed, 10+slot)) //nolint:gosec // it is played again from its seed
	name := fmt.Sprint("m", slot)
	for n := 0; ; n++ {
		seed := uint64(0)
		if killing.Err() == nil && rng.IntN(3) > 0 {
			seed = 1 + rng.Uint64N(1<<40)
		}
		p, err := h.start(name, seed)
		if err != nil {
			return err
		}
		wait := killEvery + time.Duration(rng.Int64N(int64(killEvery/4)))
		if n == 0 {
			wait += time.Duration(slot) * killEvery / 2
		}
		over, err := h.end(killing, ending, p, endWith{name, wait, rng.IntN(4) == 0})
		if over || err != nil {
			return err
		}
		switch rng.IntN(4) {
		case 0:
			h.note("renamed")
			name = fmt.Sprintf("m%d-%d", slot, n)
		case 1: // others take its partitions meanwhile
			h.note("late")
			select {
			case <-killing.Done():
			case <-time.After(killSilent + time.Second):
			}
		}
	}
}

// endWith is how a process is to end.
type endWith struct {
	name string
	wait time.Duration
	hang bool
}

// end waits until a process has ended, by itself or as it is to.
func (h *herd) end(killing, ending context.Context, p *process, with endWith) (over bool, err error) {
	var kill <-chan time.Time
	stop, works := killing.Done(), p.works
	for {
		select {
		case <-works:
			works = nil
			if stop != nil {
				kill = time.After(with.wait)
			}
		case err := <-p.ended:
			h.note("died")
			return false, err
		case <-ending.Done():
			p.signal(syscall.SIGTERM)
			return true, p.gone()
		case <-stop:
			kill, stop = nil, nil
		case <-kill:
			if with.hang {
				h.note("hung")
				return false, h.hang(p, with.name)
			}
			h.note("killed")
			p.signal(syscall.SIGKILL)
			return false, p.gone()
		}
	}
}

// gone waits until it is, and helps.
func (p *process) gone() error {
	select {
	case err := <-p.ended:
		return err
	case <-time.After(30 * time.Second):
		p.signal(syscall.SIGKILL)
		return errors.Join(<-p.ended, throng.Errorf(throng.Internal, "a consumer that was told to end did not"))
	}
}

// hang stops a process in whatever it does, lets another one take its name, and then
// lets it go on, with all that it believes to have.
func (h *herd) hang(p *process, name string) error {
	p.signal(syscall.SIGSTOP)
	other, err := h.start(name, 0)
	if err != nil {
		return err
	}
	select {
	case <-other.works:
	case <-time.After(20 * time.Second): // the hanging one has a file
	}
	p.signal(syscall.SIGCONT)
	select {
	case more := <-p.ended:
		err = errors.Join(err, more)
	case <-time.After(killEvery / 2):
		p.signal(syscall.SIGKILL)
		err = errors.Join(err, p.gone())
	}
	other.signal(syscall.SIGKILL)
	return errors.Join(err, other.gone())
}
