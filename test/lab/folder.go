package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// prefix is how the folders of labs are called. Paths in them stay short: sockets
// have at most 107 bytes.
const prefix = "throng-lab-"

// makeDir makes a folder that is ours while this process lives, and removes those
// of processes that were killed.
func makeDir() (dir string, release func(), err error) {
	sweep()
	if dir, err = os.MkdirTemp("", prefix); err != nil {
		return "", nil, fmt.Errorf("make a lab's folder: %w", err)
	}
	lock, err := claim(dir)
	if err != nil {
		_ = os.RemoveAll(dir) // it is empty
		return "", nil, err
	}
	return dir, func() {
		_ = os.RemoveAll(dir) // what is left goes with the next sweep
		lock.Close()
	}, nil
}

// claim locks a folder for this process.
func claim(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock a lab's folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("lock a lab's folder: %w", err)
	}
	return lock, nil
}

// sweep removes the folders that nobody holds.
func sweep() {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "lock")); err != nil {
			continue // it is being made
		}
		lock, err := claim(dir)
		if err != nil {
			continue // it lives
		}
		_ = os.RemoveAll(dir) // another may sweep as well
		lock.Close()
	}
}
