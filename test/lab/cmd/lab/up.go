package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	upTime   = 3 * time.Minute // for a lab to be ready
	downTime = time.Minute     // for a lab to be gone
)

type upCmd struct{ options }

// Run starts a process that keeps the lab, and waits until it is ready.
func (u *upCmd) Run(e *env) error {
	if s, err := load(e.name); err != nil || s != nil {
		if err == nil {
			_, err = fmt.Fprint(e.out, "it runs already: ", s.usage())
		}
		return err
	}
	remove(e.name)
	keeper, log, err := u.start(e)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- keeper.Wait() }()
	limit, tick := time.NewTimer(upTime), time.NewTicker(50*time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			said, _ := os.ReadFile(log) // there may be nothing
			return fmt.Errorf("the lab ended: %w\n%s", err, bytes.TrimSpace(said))
		case <-limit.C:
			return errors.Join(fmt.Errorf("the lab isn't ready; see %s", log), keeper.Process.Signal(syscall.SIGTERM))
		case <-e.ctx.Done():
			return errors.Join(e.ctx.Err(), keeper.Process.Signal(syscall.SIGTERM))
		case <-tick.C:
		}
		if s, err := load(e.name); err != nil || s != nil {
			if err == nil {
				_, err = fmt.Fprint(e.out, s.usage())
			}
			return err
		}
	}
}

// start starts this program as the lab's keeper. It outlives this process.
func (u *upCmd) start(e *env) (keeper *exec.Cmd, log string, err error) {
	if log, err = file(e.name, ".log"); err != nil {
		return nil, "", err
	}
	out, err := os.Create(log)
	if err != nil {
		return nil, "", fmt.Errorf("start the lab: %w", err)
	}
	defer func() { _ = out.Close() }() // the keeper has its own
	self, err := os.Executable()
	if err != nil {
		return nil, "", fmt.Errorf("start the lab: %w", err)
	}
	args := []string{"--name", e.name, "run", "--fake-nodes", strconv.Itoa(u.FakeNodes)}
	if u.Control {
		args = append(args, "--control")
	}
	for _, tar := range u.Image {
		args = append(args, "--image", tar)
	}
	// It keeps nothing of who called this, such as a lock that is an open file.
	if err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return nil, "", fmt.Errorf("start the lab: %w", err)
	}
	keeper = exec.Command(self, args...) //nolint:gosec,noctx // it outlives this command; down ends it
	keeper.Stdout, keeper.Stderr = out, out
	keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := keeper.Start(); err != nil {
		return nil, "", fmt.Errorf("start the lab: %w", err)
	}
	return keeper, log, nil
}

type downCmd struct{}

// Run ends a lab and waits until it is gone.
func (downCmd) Run(e *env) error {
	s, err := load(e.name)
	if err != nil {
		return err
	}
	if s == nil {
		_, err := fmt.Fprintln(e.out, "no lab runs")
		return err
	}
	if err := syscall.Kill(s.PID, syscall.SIGTERM); err != nil {
		return fmt.Errorf("end the lab: %w", err)
	}
	limit, tick := time.NewTimer(downTime), time.NewTicker(50*time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for {
		select {
		case <-limit.C:
			return fmt.Errorf("the lab, process %d, doesn't end", s.PID)
		case <-tick.C:
		}
		if s, err = load(e.name); err != nil || s == nil {
			return err
		}
	}
}

type importCmd struct {
	Image []string `arg:"" help:"Archives of images." type:"existingfile"`
}

// Run imports images.
func (i *importCmd) Run(e *env) error {
	s, err := load(e.name)
	if err != nil {
		return err
	}
	if s == nil || s.IP == "" {
		return errors.New("no lab with a node runs")
	}
	for _, tar := range i.Image {
		cmd := exec.CommandContext(e.ctx, "ctr", "-a", s.Dir+"/containerd.sock", "-n", "k8s.io", "images", "import", tar) //nolint:gosec // a person's own file
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("import %s: %w: %s", tar, err, out)
		}
	}
	return nil
}
