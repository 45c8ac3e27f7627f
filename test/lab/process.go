package lab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// stopTime is how long a process may take to end when it is asked to.
const stopTime = 20 * time.Second

// Process is one program of a lab. It can be ended and started again, with the
// same arguments and the same files.
type Process struct {
	Name string

	binary string
	args   []string
	dir    string       // its working folder and home
	enter  func() error // moves the calling thread to where the process is to live; nil: here
	spaces uintptr      // namespaces that are made with it: CLONE_NEW...

	mu  sync.Mutex
	now *running // nil before the first Start
}

// running is one life of a Process.
type running struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when cmd is over
}

// Start starts the process if it isn't running. It doesn't wait until it serves.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alive() {
		return nil
	}
	log, err := os.OpenFile(p.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	defer func() { _ = log.Close() }()       // the process has its own
	cmd := exec.Command(p.binary, p.args...) //nolint:gosec,noctx // a test's own program, ended by Stop or Kill
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + p.dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: p.spaces}
	if p.enter != nil {
		// It ends with the holder of its namespaces; where it is it can't see us,
		// and takes us for dead.
		cmd.SysProcAttr.Pdeathsig = 0
	}
	r := &running{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error, 1)
	onThread(func() { p.live(r, started) })
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.now = r
	return nil
}

// live starts the process and waits for its end, on a thread of its own: the
// kernel sends Pdeathsig when the thread ends that started it.
func (p *Process) live(r *running, started chan<- error) {
	if p.enter != nil {
		if err := p.enter(); err != nil {
			started <- err
			return
		}
	}
	err := r.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	_ = r.cmd.Wait() // how it ended stands in its log
	close(r.ended)
}

func (p *Process) log() string { return filepath.Join(p.dir, p.Name+".log") }

func (p *Process) alive() bool {
	if p.now == nil {
		return false
	}
	select {
	case <-p.now.ended:
		return false
	default:
		return true
	}
}

// Ended is closed when the process, as it runs now, is over. It is nil before the
// first Start.
func (p *Process) Ended() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now == nil {
		return nil
	}
	return p.now.ended
}

// PID is the process's number, 0 if it doesn't run.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.alive() {
		return 0
	}
	return p.now.cmd.Process.Pid
}

// Stop asks the process to end and waits until it has.
func (p *Process) Stop() {
	p.Resume() // one that is paused doesn't hear it
	p.signal(syscall.SIGTERM)
	select {
	case <-p.Ended():
	case <-time.After(stopTime):
		p.Kill()
	}
}

// Kill ends the process at once, as a crash does.
func (p *Process) Kill() {
	if p.PID() == 0 {
		return
	}
	p.signal(syscall.SIGKILL)
	<-p.Ended()
}

// Pause stops the process without ending it (kill -STOP): its connections stay
// open, and nothing answers once it returns.
func (p *Process) Pause() {
	p.signal(syscall.SIGSTOP)
	for end := time.Now().Add(pauseTime); !stopped(p.PID()) && time.Now().Before(end); {
		<-time.After(time.Millisecond)
	}
}

const pauseTime = 5 * time.Second

// stopped says whether all threads of a process are stopped, or gone.
func stopped(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // the pattern is a good one
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if _, state, _ := bytes.Cut(text, []byte(") ")); !bytes.HasPrefix(state, []byte("T")) {
			return false
		}
	}
	return true
}

// Resume is Pause's reverse.
func (p *Process) Resume() { p.signal(syscall.SIGCONT) }

func (p *Process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alive() {
		_ = p.now.cmd.Process.Signal(s) // it may be over already
	}
}

// tail is the end of what the process said, if it ever ran.
func (p *Process) tail(lines int) string {
	said, err := os.ReadFile(p.log())
	if err != nil {
		return ""
	}
	all := bytes.Split(bytes.TrimSpace(said), []byte("\n"))
	end := bytes.Join(all[max(0, len(all)-lines):], []byte("\n"))
	return fmt.Sprintf("== the end of %s's log\n%s\n", p.Name, end)
}
