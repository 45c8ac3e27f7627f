//go:build !linux

package process

import (
	"log/slog"
	"syscall"

	"github.com/throng-gg/throng"
)

func sysProcAttr(cfg Config, _ *cage) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: cfg.Tied, Setsid: !cfg.Tied}
}

func awaitExit(int) {}

func preferToKill(int) error { return nil }

// limits are not made on this system.
type limits struct{}

type cage struct{}

func newLimits(log *slog.Logger, memory int64, cpus float64) *limits {
	if memory > 0 || cpus > 0 {
		log.Warn(noLimits, "reason", "only Linux has them")
	}
	return &limits{}
}

func (*limits) open(throng.ServerID) (*cage, error) { return nil, nil }

func (*limits) close() {}

func (*cage) enter(int) error { return nil }

func (*cage) outOfMemory() bool { return false }

func (*cage) remove() error { return nil }

func (*Backend) adopt() {}

func (*Backend) remember(throng.ServerID, *running) error { return nil }

func (*Backend) forget(throng.ServerID) {}
