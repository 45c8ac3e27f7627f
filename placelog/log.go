package placelog

import (
	"container/list"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// lineCost is what a line takes beside its text, bytes.
const lineCost = 120

// Config bounds a Log. Zero numbers mean the defaults.
type Config struct {
	Lines      int // remembered of one place; default 2,000
	PlaceBytes int // remembered of one place; default 1 MiB
	Places     int // remembered; default 1,000
	Bytes      int // remembered of all places; default 64 MiB
	Sources    int // game servers whose repeated batches are known; default 10,000

	Metrics prometheus.Registerer // nil: not registered
}

// Log is the logs of all places. It is safe for use by many goroutines.
type Log struct {
	cfg     Config
	metrics *metrics

	mu      sync.Mutex // guards what follows
	last    uint64     // number of the newest line of all
	bytes   int        // of all lines
	books   map[throng.PlaceID]*book
	order   *list.List // of *book, the one that wrote last first
	waiters map[throng.PlaceID]*waiter
	sources *sources
}

// book is one place's log.
type book struct {
	place throng.PlaceID
	at    *list.Element
	lines []entry // oldest first
	bytes int
}

type entry struct {
	number uint64
	line   throng.LogLine
}

func (e entry) cost() int { return len(e.line.Text) + lineCost }

// waiter is those who wait for a place's next line.
type waiter struct {
	wake  chan struct{} // closed at the next line
	count int
}

// New makes an empty log.
func New(cfg Config) (*Log, error) {
	l := &Log{
		cfg: Config{
			Lines:      orDefault(cfg.Lines, 2000),
			PlaceBytes: orDefault(cfg.PlaceBytes, 1<<20),
			Places:     orDefault(cfg.Places, 1000),
			Bytes:      orDefault(cfg.Bytes, 64<<20),
			Sources:    orDefault(cfg.Sources, 10_000),
		},
		// Later than all numbers of an earlier life, whose cursors so mean "all".
		last:    uint64(max(time.Now().UnixMicro(), 1)),
		books:   make(map[throng.PlaceID]*book),
		order:   list.New(),
		waiters: make(map[throng.PlaceID]*waiter),
	}
	l.sources = newSources(l.cfg.Sources)
	var err error
	if l.metrics, err = newMetrics(cfg.Metrics); err != nil {
		return nil, fmt.Errorf("place logs: %w", err)
	}
	return l, nil
}

func orDefault(n, fallback int) int {
	if n <= 0 {
		return fallback
	}
	return n
}

// Add writes lines to a place's log. Text is cut at throng.MaxLogText bytes.
func (l *Log) Add(place throng.PlaceID, lines ...throng.LogLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(place, lines)
}

// Receive writes what a game server sent of its session, each line once, and
// says where lines are missing.
func (l *Log) Receive(place throng.PlaceID, version throng.Version, b throng.LogBatch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	skip, missing := l.sources.take(b.Incarnation, b.First, len(b.Lines))
	lines := make([]throng.LogLine, 0, len(b.Lines)-skip+1)
	for _, line := range b.Lines[skip:] {
		line.Session, line.Version = b.Session, version
		if missing > 0 {
			lines = append(lines, throng.LogLine{
				Time: line.Time, Session: b.Session, Version: version, Level: throng.LogInfo,
				Text: fmt.Sprintf("(%d lines dropped: the game server could not deliver them in time)", missing),
			})
			missing = 0
		}
		lines = append(lines, line)
	}
	l.add(place, lines)
}

func (l *Log) add(place throng.PlaceID, lines []throng.LogLine) {
	if len(lines) == 0 {
		return
	}
	b := l.open(place)
	for _, line := range lines {
		l.last++
		line.Text = cut(line.Text)
		e := entry{l.last, line}
		b.lines = append(b.lines, e)
		b.bytes += e.cost()
		l.bytes += e.cost()
		for len(b.lines) > l.cfg.Lines || b.bytes > l.cfg.PlaceBytes && len(b.lines) > 1 {
			l.dropOldest(b)
		}
	}
	l.metrics.lines.Add(float64(len(lines)))
	for l.order.Len() > l.cfg.Places || l.bytes > l.cfg.Bytes && l.order.Len() > 1 {
		l.forget(l.order.Back())
	}
	if w := l.waiters[place]; w != nil {
		close(w.wake)
		delete(l.waiters, place)
	}
}

// open returns a place's book, a new one if need be, as the one that wrote last.
func (l *Log) open(place throng.PlaceID) *book {
	b := l.books[place]
	if b == nil {
		b = &book{place: place}
		b.at = l.order.PushFront(b)
		l.books[place] = b
	}
	l.order.MoveToFront(b.at)
	return b
}

func (l *Log) dropOldest(b *book) {
	cost := b.lines[0].cost()
	b.lines[0] = entry{}
	b.lines = b.lines[1:]
	b.bytes -= cost
	l.bytes -= cost
	l.metrics.forgotten.Inc()
}

func (l *Log) forget(at *list.Element) {
	b, _ := l.order.Remove(at).(*book)
	delete(l.books, b.place)
	l.bytes -= b.bytes
	l.metrics.forgotten.Add(float64(len(b.lines)))
}

// Read returns the lines after a cursor, oldest first. Without any it waits, up
// to q.Wait or until ctx ends; no line in time is no error.
func (l *Log) Read(ctx context.Context, place throng.PlaceID, q throng.LogQuery) throng.LogPage {
	timer := time.NewTimer(max(q.Wait, 0))
	defer timer.Stop()
	for {
		page, wake := l.read(place, q)
		if len(page.Lines) > 0 || q.Wait <= 0 {
			l.leave(place, wake)
			return page
		}
		select {
		case <-wake.wake:
		case <-timer.C:
			l.leave(place, wake)
			return page
		case <-ctx.Done():
			l.leave(place, wake)
			return page
		}
	}
}

// read returns what there is, and what to wait for; who does not wait to the
// end must leave.
func (l *Log) read(place throng.PlaceID, q throng.LogQuery) (throng.LogPage, *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.waiters[place]
	if w == nil {
		w = &waiter{wake: make(chan struct{})}
		l.waiters[place] = w
	}
	w.count++
	page := throng.LogPage{Next: l.last}
	b := l.books[place]
	if b == nil {
		return page, w
	}
	limit := orDefault(q.Limit, 200)
	for _, e := range b.after(q.After, l.last) {
		if q.Session != "" && e.line.Session != q.Session {
			continue
		}
		if len(page.Lines) == limit {
			break
		}
		page.Lines = append(page.Lines, e.line)
		page.Next = e.number
	}
	if len(page.Lines) < limit {
		page.Next = l.last
	}
	return page, w
}

// after is the lines that a cursor has not seen. One that is ahead of all lines
// is of no life of ours.
func (b *book) after(cursor, last uint64) []entry {
	if cursor > last {
		return b.lines
	}
	from := len(b.lines)
	for from > 0 && b.lines[from-1].number > cursor {
		from--
	}
	return b.lines[from:]
}

func (l *Log) leave(place throng.PlaceID, w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.count--
	if w.count == 0 && l.waiters[place] == w {
		delete(l.waiters, place)
	}
}

func cut(text string) string {
	if len(text) <= throng.MaxLogText {
		return text
	}
	const sign = "…"
	return strings.ToValidUTF8(text[:throng.MaxLogText-len(sign)], "") + sign
}
