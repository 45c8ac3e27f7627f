package process

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/throng-gg/throng"
)

const (
	maxLog  = 5 << 20 // bytes of one file; a server has two
	maxLogs = 200     // servers that are over whose logs are kept
)

// logs are what game servers print. A process writes to its file itself, so
// that it can outlive us; the file is bounded from outside.
type logs struct {
	dir string // empty: none
}

func (l logs) name(id throng.ServerID) string { return filepath.Join(l.dir, string(id)+".log") }

// open makes a server's log, and drops the oldest ones of servers that are over.
func (l logs) open(id throng.ServerID, alive func(throng.ServerID) bool) (*os.File, error) {
	if l.dir == "" {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return nil, err
	}
	if err := l.prune(alive); err != nil {
		return nil, err
	}
	return os.OpenFile(l.name(id), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
}

// bound moves a log that grew too long to the .old one, without its beginning.
// The process appends, so it goes on at the start of the emptied file; lines
// written in that moment are lost.
func (l logs) bound(id throng.ServerID) error {
	if l.dir == "" {
		return nil
	}
	f, err := os.OpenFile(l.name(id), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // what was written is in old
	info, err := f.Stat()
	if err != nil || info.Size() <= maxLog {
		return err
	}
	old, err := os.Create(strings.TrimSuffix(l.name(id), ".log") + ".old.log")
	if err != nil {
		return errors.Join(err, f.Truncate(0))
	}
	_, err = io.Copy(old, io.NewSectionReader(f, info.Size()-maxLog, maxLog))
	return errors.Join(err, old.Close(), f.Truncate(0))
}

// prune keeps the newest logs of servers that are over.
func (l logs) prune(alive func(throng.ServerID) bool) error {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return err
	}
	if len(entries) <= maxLogs {
		return nil
	}
	type log struct {
		name string
		time int64
	}
	var over []log
	for _, e := range entries {
		id, _, ok := strings.Cut(e.Name(), ".")
		info, err := e.Info()
		if ok && err == nil && strings.HasPrefix(id, "srv_") && !alive(throng.ServerID(id)) {
			over = append(over, log{e.Name(), info.ModTime().UnixNano()})
		}
	}
	slices.SortFunc(over, func(a, b log) int { return cmp.Compare(b.time, a.time) })
	for i := maxLogs; i < len(over); i++ {
		if err := os.Remove(filepath.Join(l.dir, over[i].name)); err != nil {
			return fmt.Errorf("remove old log: %w", err)
		}
	}
	return nil
}
