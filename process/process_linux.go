package process

import (
	"errors"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// sysProcAttr puts the process into a group of its own, so that Ctrl-C reaches
// only us, and into a session of its own when it is to outlive us.
func sysProcAttr(cfg Config, c *cage) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: cfg.Tied, Setsid: !cfg.Tied}
	if fd, ok := c.birthplace(); ok {
		attr.UseCgroupFD = true
		attr.CgroupFD = fd
	}
	return attr
}

// awaitExit blocks until a child is over and leaves it to be reaped, so that its
// number stays its own until nobody can signal it any more.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// preferToKill makes the kernel end a game server before us when the machine
// runs out of memory. Raising the score is permitted to everybody.
func preferToKill(pid int) error {
	return os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte("500"), 0)
}
