package event_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/event"
)

// fakeLog is a log that can be away, or full of poison.
type fakeLog struct {
	mu    sync.Mutex
	away  bool
	stuck bool // calls end with their context
	bad   throng.EventID
	got   []throng.Event
	calls int
}

func (f *fakeLog) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// Publish takes events.
func (f *fakeLog) Publish(ctx context.Context, list []throng.Event) error {
	f.mu.Lock()
	f.calls++
	away, stuck := f.away, f.stuck
	f.mu.Unlock()
	if stuck {
		<-ctx.Done()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if away || stuck {
		return throng.Errorf(throng.Unavailable, "away")
	}
	for _, e := range list {
		if e.ID == f.bad {
			return throng.Errorf(throng.Invalid, "bad")
		}
	}
	f.got = append(f.got, list...)
	return nil
}

func (f *fakeLog) events() []throng.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]throng.Event(nil), f.got...)
}

func made(n int, s throng.Stream, size int) throng.Event {
	return throng.Event{
		ID: throng.EventID(fmt.Sprintf("%s-%d", s, n)), Type: "test.v1", Stream: s, Key: "k", Time: time.Now(),
		Data: json.RawMessage(`{"pad":"` + strings.Repeat("x", size) + `"}`),
	}
}

type rig struct {
	*event.Publisher
	stop func()
}

func start(t *testing.T, cfg event.Config) rig {
	t.Helper()
	cfg.Region, cfg.Logger, cfg.Linger = "eu", slog.New(slog.DiscardHandler), time.Millisecond
	if cfg.CallTime == 0 {
		cfg.CallTime = 20 * time.Millisecond
	}
	p, err := event.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return rig{p, stop}
}

func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(time.Minute); !ok(); <-tick.C {
		if time.Now().After(until) {
			t.Fatalf("never: %s", what)
		}
	}
}

// ordered says what is missing, double or out of order of n events of a stream.
func ordered(list []throng.Event, s throng.Stream, n int) error {
	next := 0
	for _, e := range list {
		if e.Stream != s {
			continue
		}
		if want := throng.EventID(fmt.Sprintf("%s-%d", s, next)); e.ID != want {
			return fmt.Errorf("%s where %s should be", e.ID, want)
		}
		if e.Region != "eu" {
			return fmt.Errorf("%s is of region %q", e.ID, e.Region)
		}
		next++
	}
	if next != n {
		return fmt.Errorf("%d events, want %d", next, n)
	}
	return nil
}

// TestAwayAndBack: while the log is away events go to disk; when it is back all of
// them come, in order.
func TestAwayAndBack(t *testing.T) {
	t.Parallel()
	log, dir := &fakeLog{}, t.TempDir()
	p := start(t, event.Config{Log: log, Dir: dir})
	const n = 5000
	for i := range n {
		if i == 2000 {
			log.set(func() { log.away = true })
		}
		p.Publish(made(i, throng.StreamPlay, 100))
		p.Publish(made(i, throng.StreamEconomy, 100))
		if i%500 == 499 { // the queue has room again
			wait(t, "an empty queue", func() bool { return p.Queued() == 0 })
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*", "*.events"))
	if err != nil || len(files) < 2 {
		t.Errorf("%d files, %v", len(files), err)
	}
	log.set(func() { log.away = false })
	wait(t, "all events", func() bool { return p.Counts().Waiting == 0 })
	for _, s := range []throng.Stream{throng.StreamPlay, throng.StreamEconomy} {
		if err := ordered(log.events(), s, n); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	if c := p.Counts(); c.Dropped != 0 {
		t.Errorf("%d dropped", c.Dropped)
	}
	p.stop()
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%s stays", left[0].Name())
	}
}

// TestOldestGo: beyond its bound the files lose the oldest telemetry, and what is
// lost is counted; nothing of the economy is.
func TestOldestGo(t *testing.T) {
	t.Parallel()
	log := &fakeLog{away: true}
	p := start(t, event.Config{Log: log, Dir: t.TempDir(), SpoolBytes: 2 << 20})
	const n = 4000
	for i := range n {
		p.Publish(made(i, throng.StreamMotion, 1000))
		p.Publish(made(i, throng.StreamEconomy, 1000))
		if i%500 == 499 {
			wait(t, "an empty queue", func() bool { return p.Queued() == 0 })
		}
	}
	log.set(func() { log.away = false })
	wait(t, "all that is left", func() bool { return p.Counts().Waiting == 0 })
	list := log.events()
	if err := ordered(list, throng.StreamEconomy, n); err != nil {
		t.Error(err)
	}
	motion, last := 0, throng.EventID("")
	for _, e := range list {
		if e.Stream == throng.StreamMotion {
			motion, last = motion+1, e.ID
		}
	}
	c := p.Counts()
	if c.Dropped < n/8 || int64(motion)+c.Dropped != n {
		t.Errorf("%d came and %d were dropped of %d", motion, c.Dropped, n)
	}
	if want := throng.EventID(fmt.Sprintf("%s-%d", throng.StreamMotion, n-1)); last != want {
		t.Errorf("the newest that came is %s, want %s", last, want)
	}
}

// TestLeftBehind: what a process could not publish is published by the next one.
func TestLeftBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	away := &fakeLog{away: true}
	first := start(t, event.Config{Log: away, Dir: dir})
	for i := range 3000 {
		first.Publish(made(i, throng.StreamPlay, 100))
		if i%500 == 499 {
			wait(t, "an empty queue", func() bool { return first.Queued() == 0 })
		}
	}
	first.stop()
	log := &fakeLog{}
	start(t, event.Config{Log: log, Dir: dir})
	wait(t, "all events", func() bool { return len(log.events()) >= 3000 })
	if err := ordered(log.events(), throng.StreamPlay, 3000); err != nil {
		t.Error(err)
	}
	wait(t, "its folder gone", func() bool { list, _ := os.ReadDir(dir); return len(list) == 1 })
}

// TestPoison: an event that the log never takes does not hold the others up.
func TestPoison(t *testing.T) {
	t.Parallel()
	log := &fakeLog{bad: "play-7"}
	p := start(t, event.Config{Log: log, Dir: t.TempDir()})
	for i := range 20 {
		p.Publish(made(i, throng.StreamPlay, 10))
	}
	broken := made(99, throng.StreamPlay, 10)
	broken.Data = json.RawMessage(`{"a":`)
	p.Publish(broken)
	p.Publish(throng.Event{})
	wait(t, "the others", func() bool { return len(log.events()) == 19 && p.Counts().Waiting == 0 })
	if c := p.Counts(); c.Dropped != 2 {
		t.Errorf("%d dropped, want 2", c.Dropped)
	}
}

// TestDamaged: a file that was cut costs no more than what is missing.
func TestDamaged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, event.Config{Log: &fakeLog{away: true}, Dir: dir})
	for i := range 3000 {
		first.Publish(made(i, throng.StreamPlay, 100))
		if i%500 == 499 {
			wait(t, "an empty queue", func() bool { return first.Queued() == 0 })
		}
	}
	first.stop()
	files, err := filepath.Glob(filepath.Join(dir, "*", "telemetry", "*.events"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	last := files[len(files)-1]
	info, err := os.Stat(last)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(last, info.Size()-10); err != nil {
		t.Fatal(err)
	}
	log := &fakeLog{}
	start(t, event.Config{Log: log, Dir: dir})
	wait(t, "all but the last", func() bool { return len(log.events()) >= 2999 })
	if err := ordered(log.events(), throng.StreamPlay, 2999); err != nil {
		t.Error(err)
	}
}

// TestNeverWaits: a log that hangs costs its callers nothing.
func TestNeverWaits(t *testing.T) {
	t.Parallel()
	p := start(t, event.Config{Log: &fakeLog{stuck: true}, CallTime: time.Hour, Dir: t.TempDir()})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 20_000 {
			p.Publish(made(i, throng.StreamMotion, 10))
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("Publish waits")
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if _, err := event.New(event.Config{}); throng.KindOf(err) != throng.Invalid {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := event.New(event.Config{Log: &fakeLog{}, Dir: file, Logger: slog.New(slog.DiscardHandler)})
	if throng.KindOf(err) != throng.Unavailable || errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// BenchmarkPublish is what an event costs the tick's goroutine, whatever the log does.
func BenchmarkPublish(b *testing.B) {
	for name, log := range map[string]*fakeLog{"log=there": {}, "log=away": {away: true}, "log=stuck": {stuck: true}, "queue=full": {away: true}} {
		paced := name != "queue=full"
		b.Run(name, func(b *testing.B) {
			p, err := event.New(event.Config{Log: drained{log}, Region: "eu", Dir: b.TempDir(), Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			ended := make(chan error, 1)
			go func() { ended <- p.Run(ctx) }()
			e := made(0, throng.StreamMotion, 150)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				p.Publish(e)
				if paced && i%1000 == 999 {
					b.StopTimer()
					wait(b, "an empty queue", func() bool { return p.Queued() == 0 })
					b.StartTimer()
				}
			}
			cancel()
			if err := <-ended; err != nil {
				b.Error(err)
			}
			b.ReportMetric(float64(p.Counts().Dropped)/float64(b.N), "dropped/op")
		})
	}
}

// drained keeps nothing.
type drained struct{ *fakeLog }

func (d drained) Publish(ctx context.Context, list []throng.Event) error {
	err := d.fakeLog.Publish(ctx, list)
	d.set(func() { d.got = nil })
	return err
}
