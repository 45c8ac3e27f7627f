package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

const (
	watchLook   = 200 * time.Millisecond // between two looks at the folder
	watchSettle = 100 * time.Millisecond // without a change before it is published
	watchRetry  = time.Second            // after an error that is not the folder's
	watchErrors = time.Second            // how long the log is looked at after a visit
)

// watchEvent is what --watch tells: one line, or one JSON object.
type watchEvent struct {
	Time    time.Time `json:"time"`
	Event   string    `json:"event"` // published, unchanged, refused, failed, tried, broken, log
	Place   string    `json:"place,omitempty"`
	Version int       `json:"version,omitempty"` // that is live
	Package string    `json:"package,omitempty"`
	Session string    `json:"session,omitempty"`
	TookMS  int64     `json:"took_ms,omitempty"` // since the change was seen
	Text    string    `json:"text,omitempty"`    // what is wrong, or the line of the log
}

// watcher publishes a folder again and again.
type watcher struct {
	cmd *publishCmd
	e   *env

	live    gen.Release // zero until something is known to be live
	stopTry func()      // ends the visit under way and waits for it
	away    bool        // the last error was not the folder's

	mu sync.Mutex // of e.out
}

// watch publishes at every change until e.ctx ends, which is no error.
func (c *publishCmd) watch(e *env) error {
	if _, err := c.url(); err != nil {
		return err
	}
	if c.Key != "" && c.Token == "" && !c.NoTry {
		fmt.Fprintln(e.err, "throng: an API key is not good for playing: new versions are not tried (--token tries them)")
		c.NoTry = true
	}
	w := &watcher{cmd: c, e: e, stopTry: func() {}}
	defer func() { w.stopTry() }()
	folder := changes{dir: c.Dir}
	for {
		noticed, changed := folder.look(time.Now())
		wait := watchLook
		switch {
		case changed:
			done, err := w.publish(noticed)
			if err != nil {
				return err
			}
			if !done {
				folder.forget()
				wait = watchRetry
			}
		case folder.moving():
			wait = watchSettle / 2
		}
		select {
		case <-e.ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// publish publishes what is in the folder and has it tried. Not done: try again
// later. An error is one that trying again does not help against.
func (w *watcher) publish(noticed time.Time) (done bool, err error) {
	release, err := w.cmd.publish(w.e)
	took := time.Since(noticed)
	switch {
	case w.e.ctx.Err() != nil:
		return true, nil
	case throng.KindOf(err) == throng.Denied && err != nil:
		return true, err
	case throng.KindOf(err) == throng.Invalid && err != nil:
		w.away = false
		w.tell(watchEvent{Event: "refused", Place: w.live.Place, Version: w.live.Version, Text: err.Error()})
		return true, nil
	case err != nil:
		if !w.away {
			w.tell(watchEvent{Event: "failed", Place: w.live.Place, Version: w.live.Version, Text: err.Error()})
		}
		w.away = true
		return false, nil
	}
	w.away = false
	known := w.live
	w.live = release
	event := watchEvent{
		Event: "published", Place: release.Place, Version: release.Version, Package: release.Package, TookMS: took.Milliseconds(),
	}
	if known.Version == release.Version && known.Place == release.Place {
		event.Event = "unchanged"
		w.tell(event)
		return true, nil
	}
	w.tell(event)
	if !w.cmd.NoTry {
		w.try(release, noticed)
	}
	return true, nil
}

// try has the version tried; a visit to an older one ends.
func (w *watcher) try(release gen.Release, noticed time.Time) {
	w.stopTry()
	ctx, cancel := context.WithCancel(w.e.ctx)
	done := make(chan struct{})
	w.stopTry = func() {
		cancel()
		<-done
	}
	go func() {
		defer close(done)
		w.visit(ctx, release, noticed)
	}()
}

// visit sends a player in, tells how long it took or what went wrong, and shows
// the errors that the version wrote to its log.
func (w *watcher) visit(ctx context.Context, release gen.Release, noticed time.Time) {
	got, err := w.cmd.try(ctx, w.e, release)
	event := watchEvent{Place: release.Place, Version: release.Version, Session: string(got.session)}
	switch {
	case ctx.Err() != nil:
		return // a newer version is there, or nobody watches any more
	case err != nil:
		event.Event, event.Text = "broken", err.Error()
	case int(got.version) != release.Version:
		event.Event, event.Text = "broken", fmt.Sprintf("version %d is live instead: somebody else publishes this place", got.version)
	default:
		event.Event, event.TookMS = "tried", got.at.Sub(noticed).Milliseconds()
	}
	w.tell(event)
	w.errors(ctx, release)
}

// errors shows what went wrong in a version's sessions so far. What cannot be
// read is not shown: throng logs says why.
func (w *watcher) errors(ctx context.Context, release gen.Release) {
	door, err := w.cmd.creator(w.e)
	if err != nil {
		return
	}
	tail := &logTail{door: door, place: throng.PlaceID(release.Place)}
	show := func(line gen.LogLine) error {
		if line.Version == release.Version && line.Level == throng.LogError.String() {
			w.tell(watchEvent{Event: "log", Place: release.Place, Version: release.Version, Session: line.Session, Text: line.Text})
		}
		return nil
	}
	until := time.Now().Add(watchErrors)
	for time.Now().Before(until) {
		if tail.drain(ctx, show) != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(logPace):
		}
	}
}

// tell writes one event.
func (w *watcher) tell(event watchEvent) {
	event.Time = time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cmd.JSON {
		_ = json.NewEncoder(w.e.out).Encode(event) // who reads is gone: nobody to tell
		return
	}
	fmt.Fprintf(w.e.out, "%s  %s\n", event.Time.Format("15:04:05"), strings.ReplaceAll(event.words(), "\n", "\n          "))
}

// words says an event to people.
func (ev watchEvent) words() string {
	stays := "nothing is live yet"
	if ev.Version > 0 {
		stays = fmt.Sprintf("%s version %d stays live", ev.Place, ev.Version)
	}
	took := time.Duration(ev.TookMS) * time.Millisecond
	switch ev.Event {
	case "published":
		return fmt.Sprintf("%s version %d is live after %s", ev.Place, ev.Version, took)
	case "unchanged":
		return fmt.Sprintf("nothing changed: %s", stays)
	case "refused":
		return fmt.Sprintf("%s\n%s", ev.Text, stays)
	case "failed":
		return fmt.Sprintf("%s\n%s; trying on", ev.Text, stays)
	case "tried":
		return fmt.Sprintf("%s version %d runs: a player was in after %s (%s)", ev.Place, ev.Version, took, ev.Session)
	case "broken":
		why := strings.TrimSuffix(ev.Text, "; use a new ticket")
		if why, said := strings.CutPrefix(why, fmt.Sprintf("version %d ", ev.Version)); said {
			return fmt.Sprintf("%s version %d %s", ev.Place, ev.Version, why)
		}
		return fmt.Sprintf("%s version %d does not run: %s", ev.Place, ev.Version, why)
	}
	return "  " + ev.Text
}
