package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/throng-gg/throng"
)

// remembered is a server that may outlive us, as it is in StateDir. Boot and
// Start name one process for ever; its number alone does not.
type remembered struct {
	Server throng.ServerID `json:"server"`
	PID    int             `json:"pid"`
	Boot   string          `json:"boot"`
	Start  string          `json:"start"` // clock ticks since the boot
	Groups []group         `json:"groups,omitempty"`
}

func (b *Backend) stateName(id throng.ServerID) string {
	return filepath.Join(b.cfg.StateDir, string(id)+".json")
}

// remember writes down a server that may outlive us.
func (b *Backend) remember(id throng.ServerID, r *running) error {
	if b.cfg.Tied || b.cfg.StateDir == "" {
		return nil
	}
	boot, start, err := birth(r.pid())
	if err != nil {
		return fmt.Errorf("remember server: %w", err)
	}
	state := remembered{Server: id, PID: r.pid(), Boot: boot, Start: start}
	if r.cage != nil {
		state.Groups = r.cage.groups
	}
	content, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("remember server: %w", err)
	}
	if err := os.MkdirAll(b.cfg.StateDir, 0o755); err != nil {
		return fmt.Errorf("remember server: %w", err)
	}
	tmp := b.stateName(id) + ".tmp"
	if err := os.WriteFile(tmp, content, 0o644); err != nil {
		return fmt.Errorf("remember server: %w", err)
	}
	return os.Rename(tmp, b.stateName(id))
}

func (b *Backend) forget(id throng.ServerID) {
	if b.cfg.Tied || b.cfg.StateDir == "" {
		return
	}
	if err := os.Remove(b.stateName(id)); err != nil {
		b.cfg.Logger.Warn("server that is over not forgotten", "server", id, "err", err)
	}
}

// adopt finds the servers that outlived the Backend before this one. Those that
// did not are told as exits.
func (b *Backend) adopt() {
	if b.cfg.Tied || b.cfg.StateDir == "" {
		return
	}
	files, _ := filepath.Glob(b.stateName("srv_*")) // the pattern is good
	for _, file := range files {
		state, err := readState(file)
		if err != nil {
			b.cfg.Logger.Warn("server of an earlier process not found again", "part", filepath.Base(file), "err", err)
			continue
		}
		c, r := newChild(state.Server, nil), &running{cage: &cage{groups: state.Groups}}
		if r.handle, err = find(state); err != nil {
			b.bury(c, r, "it ended while nobody watched")
			continue
		}
		b.cfg.Logger.Info("server of an earlier process found again", "server", c.id)
		b.children[c.id] = c
		b.adopted[c] = r
	}
}

func readState(file string) (remembered, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return remembered{}, err
	}
	var state remembered
	if err := json.Unmarshal(content, &state); err != nil {
		return remembered{}, err
	}
	if string(state.Server)+".json" != filepath.Base(file) || state.PID <= 1 {
		return remembered{}, errors.New("it is of another server")
	}
	return state, nil
}

// birth names a process: the machine's boot, and the time of its start (field 22
// of proc_pid_stat(5); the second one may have spaces and brackets).
func birth(pid int) (boot, start string, err error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", "", err
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", "", err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return "", "", errors.New("/proc/PID/stat is too short")
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return "", "", errors.New("the process is over")
	}
	return strings.TrimSpace(string(id)), fields[19], nil
}

// find holds on to a process that is not our child.
func find(state remembered) (handle, error) {
	fd, err := unix.PidfdOpen(state.PID, 0)
	if err != nil {
		return nil, err
	}
	// Asked after the descriptor is held: it can't become another process now.
	boot, start, err := birth(state.PID)
	if err == nil && (boot != state.Boot || start != state.Start) {
		err = errors.New("another process has its number")
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return &found{fd: fd, number: state.PID}, nil
}

// found is a process of an earlier Backend. Its parent is gone, so somebody else
// reaps it, and nobody tells its exit status.
type found struct {
	number int

	mu sync.Mutex
	fd int // of pidfd_open(2); guarded by mu; negative when it is over
}

func (f *found) pid() int { return f.number }

func (f *found) signal(sig syscall.Signal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fd >= 0 {
		_ = unix.PidfdSendSignal(f.fd, sig, nil, 0) // gone: nothing to signal
	}
}

func (f *found) wait() string {
	f.mu.Lock()
	poll := []unix.PollFd{{Fd: int32(f.fd), Events: unix.POLLIN}}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		_ = unix.Close(f.fd) // nothing was written to it
		f.fd = -1
	}()
	for {
		n, err := unix.Poll(poll, -1)
		if n > 0 {
			return "exit status unknown: an earlier process had started it"
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return "unknown: " + err.Error()
		}
	}
}
