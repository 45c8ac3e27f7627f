package command

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// WatchPause is how often files are looked at, at most.
const WatchPause = time.Second

// Watched is something that is made of files, made anew when they change. While
// they cannot be read, or are half replaced, the last one stays.
type Watched[T any] struct {
	What   string   // for the log
	Files  []string // empty names are left out
	Logger *slog.Logger
	Load   func() (T, error)

	mu     sync.Mutex
	looked time.Time
	stamp  string // of what made value
	value  T
	made   bool
	said   string // the last complaint, which is not repeated
}

// Get returns the newest good one. An error: there never was one.
func (w *Watched[T]) Get() (T, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.made && time.Since(w.looked) < WatchPause {
		return w.value, nil
	}
	w.looked = time.Now()
	stamp := w.look()
	if w.made && stamp == w.stamp {
		return w.value, nil
	}
	value, err := w.Load()
	switch {
	case err == nil:
		w.value, w.stamp, w.made, w.said = value, stamp, true, ""
	case !w.made:
		return w.value, err
	case err.Error() != w.said:
		w.said = err.Error()
		w.Logger.Error("files were not read, the old ones stay", "what", w.What, "err", err)
	}
	return w.value, nil
}

func (w *Watched[T]) look() string {
	var stamp strings.Builder
	for _, name := range w.Files {
		if name == "" {
			continue
		}
		if info, err := os.Stat(name); err == nil {
			fmt.Fprintf(&stamp, "%s %d %d\n", name, info.Size(), info.ModTime().UnixNano())
		}
	}
	return stamp.String()
}
