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

// folder is a lab's, while its process lives.
type folder struct {
	path string
	lock *os.File
}

// makeDir makes a folder, and removes those of processes that were killed.
func makeDir() (*folder, error) {
	sweep()
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, fmt.Errorf("make a lab's folder: %w", err)
	}
	f, err := claim(dir)
	if err != nil {
		_ = os.RemoveAll(dir) // it is empty
		return nil, err
	}
	return f, nil
}

// claim takes a folder for this process.
func claim(dir string) (*folder, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock a lab's folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close() // it was not written to
		return nil, fmt.Errorf("lock a lab's folder: %w", err)
	}
	return &folder{path: dir, lock: lock}, nil
}

// name is the folder's, and of the control groups of a node's pods.
func (f *folder) name() string { return filepath.Base(f.path) }

// remove removes the folder and the control groups of its name. The processes in
// them are over. What can't be removed is tried again by the next sweep.
func (f *folder) remove() {
	removeGroups(f.name())
	_ = os.RemoveAll(f.path)
	_ = f.lock.Close() // it was not written to
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
		if f, err := claim(dir); err == nil { // or it lives
			f.remove()
		}
	}
}
