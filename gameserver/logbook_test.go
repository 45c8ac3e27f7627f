package gameserver

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

// logsFake is a control plane that takes logs, with faults to switch on.
type logsFake struct {
	mu      sync.Mutex
	err     error
	calls   []time.Time
	batches []throng.LogBatch
}

func (f *logsFake) Log(_ context.Context, b throng.LogBatch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, time.Now())
	if f.err != nil {
		return f.err
	}
	f.batches = append(f.batches, b)
	return nil
}

func (f *logsFake) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// texts is what was taken, each line with its number.
func (f *logsFake) texts() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, b := range f.batches {
		for i, line := range b.Lines {
			out = append(out, fmt.Sprintf("%d %s %s", b.First+uint64(i), line.Level, line.Text))
		}
	}
	return out
}

// openBook is a logbook that runs until stop is called.
func openBook(t *testing.T, logs Logs) (book *logbook, stop func()) {
	t.Helper()
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{cfg: Config{Logs: logs, Incarnation: "life"}, metrics: m}
	book = newLogbook(s, throng.Handover{Session: "ses", Now: time.Now()}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		book.run(ctx)
	}()
	return book, func() {
		cancel()
		<-done
	}
}

func TestLogbookSendsAtOnceAndThenInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &logsFake{}
		book, stop := openBook(t, f)
		begun := time.Now()
		book.add(throng.LogInfo, "started")
		synctest.Wait()
		for i := range 10 {
			book.add(throng.LogPrint, fmt.Sprintf("line %d", i))
			time.Sleep(100 * time.Millisecond) //nolint:forbidigo // fake time
		}
		synctest.Wait()
		if got := f.texts(); len(got) != 11 || got[0] != "1 info started" || got[10] != "11 print line 9" {
			t.Errorf("got %q, want the eleven lines in order", got)
		}
		synctest.Wait()
		if len(f.calls) > 4 || f.calls[0].Sub(begun) != 0 {
			t.Errorf("got calls at %v, want the first at once and then two a second", f.calls)
		}
		book.add(throng.LogError, "the end")
		stop() // does not wait for the next half second
		if got := f.texts(); got[len(got)-1] != "12 error the end" {
			t.Errorf("got %q at last, want the end", got[len(got)-1])
		}
		if b := f.batches[0]; b.Session != "ses" || b.Incarnation != "life" || b.Lines[0].Time.IsZero() {
			t.Errorf("got %+v, want it to name session and incarnation, and the time", b)
		}
	})
}

func TestLogbookKeepsTheNewestWhileTheDoorIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &logsFake{err: throng.Errorf(throng.Unavailable, "away")}
		book, stop := openBook(t, f)
		defer stop()
		long := strings.Repeat("x", 900) + " "
		for i := range 1000 { // a megabyte
			book.add(throng.LogPrint, long+fmt.Sprint(i))
			if i%100 == 0 {
				time.Sleep(time.Second) //nolint:forbidigo // fake time
			}
		}
		synctest.Wait()
		if book.bytes > bookBytes {
			t.Errorf("keeps %d bytes, want at most %d", book.bytes, bookBytes)
		}
		if n := len(f.calls); n > 12 {
			t.Errorf("called the door %d times in 10 s, want it left in peace", n)
		}
		f.set(nil)
		time.Sleep(2 * logBackoff) //nolint:forbidigo // fake time
		synctest.Wait()
		got := f.texts()
		if len(got) < 200 || len(got) > 300 || !strings.HasSuffix(got[len(got)-1], " 999") || !strings.HasPrefix(got[len(got)-1], "1000 ") {
			t.Errorf("got %d lines up to %q, want the newest 256 KiB with their numbers", len(got), got[len(got)-1][:20])
		}
		for _, b := range f.batches {
			text, err := json.Marshal(b.Lines)
			if err != nil || len(text) > 64<<10 {
				t.Errorf("a batch of %d bytes, %v; the door takes 64 KiB", len(text), err)
			}
		}
	})
}

func TestLogbookDropsWhatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &logsFake{err: throng.Errorf(throng.Invalid, "no")}
		book, stop := openBook(t, f)
		book.add(throng.LogPrint, "bad")
		synctest.Wait()
		f.set(nil)
		book.add(throng.LogPrint, "good")
		stop()
		if got := strings.Join(f.texts(), ","); got != "2 print good" {
			t.Errorf("got %q, want the second line only", got)
		}
	})
}

func TestLogbookEndsAlthoughTheDoorIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &logsFake{err: throng.Errorf(throng.Unavailable, "away")}
		book, stop := openBook(t, f)
		book.add(throng.LogPrint, "x")
		begun := time.Now()
		stop()
		if took := time.Since(begun); took > flushTime {
			t.Errorf("took %s, want at most %s", took, flushTime)
		}
	})
}

func TestLogTextIsOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"a\nb\x00\u009bc\td\xff":   "a b  c\td?",
		strings.Repeat("ä", 600):   strings.Repeat("ä", 510) + "…",
		strings.Repeat("\n", 5000): strings.Repeat(" ", 1021) + "…",
	} {
		if got := logText(in); got != want || len(got) > throng.MaxLogText {
			t.Errorf("got %d bytes %q, want %q", len(got), got, want)
		}
	}
	for _, text := range []string{"plain", `"\<>&` + "\t\u2028\u2029ä😀", logText(strings.Repeat("<", 2000))} {
		line, err := json.Marshal(text)
		if err != nil || len(line) > logCost(text) {
			t.Errorf("%q: %d bytes of JSON, counted %d", text[:5], len(line), logCost(text))
		}
	}
}
