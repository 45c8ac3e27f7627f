package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/throng-gg/throng"
)

// Store is a data folder that this process has for itself, or shares with others
// that know that they do. It is place.Records and place.Packages.
type Store struct {
	dir    string
	lock   *os.File
	shared bool

	mu      sync.Mutex
	records map[throng.PlaceID]known // guarded by mu; as they are on disk, or were when they were last looked at
	names   listing                  // guarded by mu; of a shared folder
}

const (
	lockFile    = "LOCK"
	swapFile    = "WRITE"
	placesDir   = "places"
	packagesDir = "packages"
	tmpSuffix   = ".tmp"
)

// Open opens a data folder for this process alone, and makes it when there is
// none. Unavailable: another process has it. Internal: it can't be written, or a
// record in it is damaged. Each error is one line that names the folder.
func Open(dir string) (*Store, error) { return openAs(dir, unix.LOCK_EX) }

// OpenShared is Open for one of several processes that share the folder, on one
// machine or on a volume whose file locks work (NFS 4 does). What one of them
// stored, the others read at once: each read looks whether the file is another
// one. Unavailable: a process has the folder for itself.
func OpenShared(dir string) (*Store, error) { return openAs(dir, unix.LOCK_SH) }

func openAs(dir string, how int) (*Store, error) {
	s, err := open(dir, how)
	if err != nil {
		return nil, fmt.Errorf("data folder %s: %w", dir, plain(err))
	}
	return s, nil
}

func open(dir string, how int) (*Store, error) {
	for _, d := range []string{dir, filepath.Join(dir, placesDir), filepath.Join(dir, packagesDir)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, fmt.Errorf("can't be made: %w", err)
		}
	}
	lock, err := takeLock(filepath.Join(dir, lockFile), how)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, lock: lock, shared: how == unix.LOCK_SH, records: make(map[throng.PlaceID]known)}
	if err := errors.Join(s.sweep(), s.load()); err != nil {
		_ = lock.Close() // nothing was written to it since
		return nil, err
	}
	return s, nil
}

// plain takes the path out of a system error: the text names the folder already.
func plain(err error) error {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return throng.Errorf(throng.Internal, "can't be used: %s: %w", filepath.Base(path.Path), path.Err)
	}
	return err
}

// takeLock holds the lock file until it is closed. The file stays: removing it
// would let two processes hold locks on two files of the same name.
func takeLock(name string, how int) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		pid := holder(f)
		_ = f.Close() // nothing was written to it
		return nil, throng.Errorf(throng.Unavailable, "is in use by another process (pid %s)", pid)
	}
	switch {
	case err != nil:
	case how == unix.LOCK_SH:
		err = f.Truncate(0) // it is nobody's own
	default:
		err = writePid(f)
	}
	if err != nil {
		return nil, fmt.Errorf("can't be locked: %w", errors.Join(err, f.Close()))
	}
	return f, nil
}

func writePid(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func holder(f *os.File) string {
	var b [20]byte
	n, _ := f.ReadAt(b[:], 0) // an empty one is unknown
	if pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n]))); err == nil {
		return strconv.Itoa(pid)
	}
	return "unknown"
}

// Close lets others open the folder. The store is not used after it.
func (s *Store) Close() error { return s.lock.Close() }

// leftover is how old a half written file is in a shared folder before nobody is
// writing it any more.
const leftover = time.Hour

// sweep removes what a crash left half written.
func (s *Store) sweep() error {
	for _, pattern := range []string{
		filepath.Join(placesDir, "*"+tmpSuffix), filepath.Join(packagesDir, "*", "*"+tmpSuffix),
	} {
		left, err := filepath.Glob(filepath.Join(s.dir, pattern))
		if err != nil {
			return err
		}
		for _, name := range left {
			if info, err := os.Stat(name); s.shared && (err != nil || time.Since(info.ModTime()) < leftover) {
				continue
			}
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}
