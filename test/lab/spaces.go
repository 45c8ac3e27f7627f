package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Addresses of nodes: 198.18.N.1 is the machine's end of the wire, 198.18.N.2 the
// node's. The range is for benchmarks, so nobody's network is there.
const (
	wireNet    = "198.18."
	wirePrefix = "thronglab" // of the machine's interface, before N
)

// spaces is a network, a view of the file system and a set of processes of its
// own. All of it goes with the process that holds it.
type spaces struct {
	holder *Process // the first process; what it outlives nothing outlives
	files  []space
	number int // N
}

// space is one namespace.
type space struct {
	kind int
	file *os.File
}

// newSpaces makes namespaces, and the wire from the machine to them.
func newSpaces(ctx context.Context, dir string) (*spaces, error) {
	pause, err := program("pause")
	if err != nil {
		return nil, err
	}
	s := &spaces{holder: &Process{
		Name: "holder", binary: pause, dir: dir,
		spaces: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET,
	}}
	if err := s.holder.Start(); err != nil {
		return nil, err
	}
	for file, kind := range map[string]int{"mnt": unix.CLONE_NEWNS, "net": unix.CLONE_NEWNET, "pid": unix.CLONE_NEWPID} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", s.holder.PID(), file))
		if err != nil {
			s.end()
			return nil, fmt.Errorf("open a namespace: %w", err)
		}
		s.files = append(s.files, space{kind, f})
	}
	if err := s.furnish(ctx, dir); err != nil {
		s.end()
		return nil, fmt.Errorf("furnish a node's namespaces: %w", err)
	}
	return s, nil
}

// enter moves the calling thread, which is locked and ends with its goroutine,
// into the namespaces; of the processes' only its children are moved.
func (s *spaces) enter() error {
	// A thread that shares its root with others can't change it.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("enter a namespace: %w", err)
	}
	for _, f := range s.files {
		if err := unix.Setns(int(f.file.Fd()), f.kind); err != nil { //nolint:gosec // a file descriptor is small
			return fmt.Errorf("enter a namespace: %w", err)
		}
	}
	return nil
}

// inside calls do in a thread in the namespaces.
func (s *spaces) inside(do func() error) error {
	done := make(chan error, 1)
	onThread(func() {
		err := s.enter()
		if err == nil {
			err = do()
		}
		done <- err
	})
	return <-done
}

// onThread starts a goroutine with a thread of its own, which ends with it. The
// main thread never ends, so it is not used.
func onThread(do func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != os.Getpid() {
			do()
			return
		}
		other := make(chan struct{})
		onThread(func() {
			close(other)
			do()
		})
		<-other
		runtime.UnlockOSThread()
	}()
}

// run runs a command in the namespaces and returns what it said.
func (s *spaces) run(ctx context.Context, command ...string) (string, error) {
	var out []byte
	err := s.inside(func() error {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // a test's own command
		cmd.WaitDelay = time.Second
		var err error
		out, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, out)
	}
	return string(out), nil
}

// furnish gives the namespaces what programs expect, and hides from them what the
// machine's own programs use.
func (s *spaces) furnish(ctx context.Context, dir string) error {
	err := s.inside(func() error {
		// What is mounted in here stays in here, and comes to the pods.
		if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("unshare mounts: %w", err)
		}
		for _, name := range []string{"/var/lib", "/var/log"} {
			ours := filepath.Join(dir, "root", name)
			if err := os.MkdirAll(ours, 0o755); err != nil { //nolint:gosec // as it is on the machine
				return err
			}
			if err := unix.Mount(ours, name, "", unix.MS_BIND, ""); err != nil {
				return fmt.Errorf("mount %s: %w", name, err)
			}
		}
		if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("mount /run: %w", err)
		}
		if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
			return fmt.Errorf("share mounts: %w", err)
		}
		return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o600)
	})
	if err != nil {
		return err
	}
	if _, err := s.run(ctx, "mount", "-t", "proc", "proc", "/proc"); err != nil {
		return err
	}
	return s.wire(ctx)
}

// wire connects the node's network with the machine's.
func (s *spaces) wire(ctx context.Context) error {
	made := errors.New("no number from 0 to 255 is free")
	for s.number = range 256 {
		if made = ip(ctx, "link", "add", s.device(), "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(s.holder.PID())); made == nil {
			break
		}
		if !strings.Contains(made.Error(), "File exists") {
			break
		}
	}
	if made != nil {
		return made
	}
	if err := ip(ctx, "addr", "add", s.machine()+"/24", "dev", s.device()); err != nil {
		return err
	}
	if err := ip(ctx, "link", "set", s.device(), "up"); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"addr", "add", s.node() + "/24", "dev", "eth0"},
		{"link", "set", "eth0", "up"},
		{"route", "add", "default", "via", s.machine()},
	} {
		if _, err := s.run(ctx, append([]string{"ip"}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

func ip(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput() //nolint:gosec // a test's own command
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (s *spaces) device() string  { return wirePrefix + strconv.Itoa(s.number) }
func (s *spaces) machine() string { return wireNet + strconv.Itoa(s.number) + ".1" }
func (s *spaces) node() string    { return wireNet + strconv.Itoa(s.number) + ".2" }

// end ends every process in the namespaces; mounts and networks go with them.
func (s *spaces) end() {
	s.holder.Kill()
	for _, f := range s.files {
		_ = f.file.Close() // it was not written to
	}
	s.files = nil
}
