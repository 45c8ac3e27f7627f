package event

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/throng-gg/throng"
)

const (
	queueMost   = 4096      // events that the lane has not looked at; full: telemetry is dropped
	queueStrict = 64 << 10  // the same for events of economy
	memoryMost  = 2048      // events in memory that are not published; more go to files
	memoryBytes = 2 << 20   // the same, of their data
	batchMost   = 500       // events of one call
	batchBytes  = 512 << 10 // of one call
	retryFirst  = 250 * time.Millisecond
	retryMost   = 5 * time.Second
	flushTime   = time.Second
)

// lane is events of one kind on their way: those in memory are older than those in
// files, so that their order stays.
type lane struct {
	p      *Publisher
	name   string
	logger *slog.Logger
	spool  *spool        // nil: there are no files
	wake   chan struct{} // holds one: the queue has something
	sent   chan error    // holds one: what became of the call

	waiting atomic.Int64 // events that are not published
	dropped atomic.Int64 // since the start

	mu    sync.Mutex
	queue []throng.Event // guarded by mu

	// Owned by run.
	spare    []throng.Event // the other queue, so that none is made anew
	memory   []throng.Event
	bytes    int            // of memory's data
	batch    []throng.Event // is being published; nil: nothing is
	spooled  bool           // batch comes from files
	alone    int            // so many events are published one by one
	away     bool           // the last call failed
	kept     int64          // events that went to files since it failed
	lost     int64          // that were dropped since
	pause    time.Duration  // before the next try; 0: the last one worked
	unspools throttle
}

func newLane(p *Publisher, name string) (*lane, error) {
	l := &lane{p: p, name: name, logger: p.cfg.Logger.With("lane", name), wake: make(chan struct{}, 1), sent: make(chan error, 1)}
	if p.folder == "" {
		return l, nil
	}
	var err error
	l.spool, err = openSpool(filepath.Join(p.folder, name))
	return l, err
}

// strict says that its events are never dropped for others.
func (l *lane) strict() bool { return l.name == laneNames[economy] }

// add puts an event into the queue. It does not wait for anything but the moment in
// which the queue is taken over.
func (l *lane) add(e throng.Event) {
	most := queueMost
	if l.strict() {
		most = queueStrict
	}
	l.mu.Lock()
	full := len(l.queue) >= most
	if !full {
		l.queue = append(l.queue, e)
	}
	l.mu.Unlock()
	if full {
		l.drop(e.Stream, "queue", 1)
		return
	}
	l.waiting.Add(1)
	select {
	case l.wake <- struct{}{}:
	default: // it is awake
	}
}

// drop counts events that nobody will see.
func (l *lane) drop(s throng.Stream, why string, n int) {
	if n == 0 {
		return
	}
	l.dropped.Add(int64(n))
	l.p.metrics.dropped.WithLabelValues(string(s), why).Add(float64(n))
}

// run moves events until ctx ends.
func (l *lane) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	armed := false
	arm := func(d time.Duration) {
		if !armed {
			armed = true
			timer.Reset(d)
		}
	}
	for {
		select {
		case <-ctx.Done():
			l.end(ctx)
			return
		case <-l.wake:
			l.take()
			if l.pause == 0 {
				arm(l.p.cfg.Linger)
			}
		case err := <-l.sent:
			l.published(err)
			if next := l.pause; next > 0 {
				arm(next)
			} else if l.left() {
				arm(0)
			}
		case <-timer.C:
			armed = false
			l.send(ctx)
		}
		l.tell()
	}
}

// left says that there is something to publish.
func (l *lane) left() bool { return len(l.memory) > 0 || l.spool != nil && !l.spool.empty() }

func (l *lane) tell() {
	l.p.metrics.waiting.WithLabelValues(l.name).Set(float64(l.waiting.Load()))
	if l.spool != nil {
		l.p.metrics.spool.WithLabelValues(l.name).Set(float64(l.spool.bytes))
	}
}

// take empties the queue, into memory or files.
func (l *lane) take() {
	l.mu.Lock()
	l.queue, l.spare = l.spare[:0], l.queue
	l.mu.Unlock()
	toFiles := l.spare[:0]
	for _, e := range l.spare {
		if !json.Valid(e.Data) {
			l.waiting.Add(-1)
			l.p.refused(e, throng.AtField(throng.Invalid, "data", "is not JSON"))
			l.dropped.Add(1)
			continue
		}
		if l.fits(e) && len(toFiles) == 0 {
			l.memory = append(l.memory, e)
			l.bytes += len(e.Data)
			continue
		}
		toFiles = append(toFiles, e)
	}
	l.toFiles(toFiles)
	clear(l.spare)
}

// fits says that an event stays in memory.
func (l *lane) fits(e throng.Event) bool {
	if l.spool == nil {
		return l.strict() || len(l.memory) < 2*memoryMost && l.bytes+len(e.Data) <= 2*memoryBytes
	}
	return l.spool.empty() && len(l.memory) < memoryMost && l.bytes+len(e.Data) <= memoryBytes
}

// toFiles writes events to the end of the files, and drops what is too old.
func (l *lane) toFiles(list []throng.Event) {
	if len(list) == 0 {
		return
	}
	if l.spool == nil {
		l.gone(list, "memory")
		return
	}
	wrote, err := l.spool.append(list)
	l.kept += int64(wrote)
	if err != nil {
		if l.unspools.ok(10 * time.Second) {
			l.logger.Error("events cannot be kept on disk", "err", err)
		}
		l.gone(list[wrote:], "disk")
	}
	if l.strict() {
		return
	}
	for _, s := range l.spool.shrink(l.p.cfg.SpoolBytes) {
		l.waiting.Add(-1)
		l.lost++
		l.drop(s, "spool", 1)
	}
}

// gone drops events that there is no room for.
func (l *lane) gone(list []throng.Event, why string) {
	for _, e := range list {
		l.waiting.Add(-1)
		l.lost++
		l.drop(e.Stream, why, 1)
	}
}

// send begins to publish the oldest events, unless some are being published.
func (l *lane) send(ctx context.Context) {
	if l.batch != nil || !l.left() {
		return
	}
	most := batchMost
	if l.alone > 0 {
		most = 1
	}
	if l.spooled = len(l.memory) == 0; l.spooled {
		var broken int
		l.batch, broken = l.spool.read(most)
		l.waiting.Add(int64(-broken))
		l.drop("", "damaged", broken)
	} else {
		n, bytes := 0, 0
		for n < len(l.memory) && n < most && (n == 0 || bytes+len(l.memory[n].Data) <= batchBytes) {
			bytes += len(l.memory[n].Data)
			n++
		}
		l.batch = append([]throng.Event(nil), l.memory[:n]...)
	}
	if len(l.batch) == 0 {
		l.batch = nil
		return
	}
	batch, calling := l.batch, context.WithoutCancel(ctx)
	go func() {
		once, cancel := context.WithTimeout(calling, l.p.cfg.CallTime)
		defer cancel()
		l.sent <- l.p.cfg.Log.Publish(once, batch)
	}()
}

// published takes what became of a call.
func (l *lane) published(err error) {
	n := len(l.batch)
	switch {
	case err == nil || throng.KindOf(err) == throng.Invalid && n == 1:
		if err != nil {
			l.p.refused(l.batch[0], err)
			l.dropped.Add(1)
		}
		l.alone = max(l.alone-n, 0)
		l.waiting.Add(int64(-n))
		l.forget(n)
		l.pause = 0
		if l.away && !l.left() {
			l.away = false
			l.p.metrics.away.WithLabelValues(l.name).Set(0)
			l.logger.Info("events are published again", "kept", l.kept, "dropped", l.lost)
			l.kept, l.lost = 0, 0
		}
	case throng.KindOf(err) == throng.Invalid:
		l.alone = n
	default:
		if !l.away {
			l.away = true
			l.p.metrics.away.WithLabelValues(l.name).Set(1)
			l.logger.Warn("the log is away: events are kept on disk", "limit_mib", l.p.cfg.SpoolBytes>>20, "err", err)
		}
		l.pause = min(max(2*l.pause, retryFirst), retryMost)
	}
	if l.batch = nil; l.spool != nil {
		l.spool.again()
	}
}

// forget lets go of the oldest events, which are published.
func (l *lane) forget(n int) {
	if l.spooled {
		l.spool.done()
		return
	}
	for _, e := range l.memory[:n] {
		l.bytes -= len(e.Data)
	}
	rest := copy(l.memory, l.memory[n:])
	clear(l.memory[rest:])
	l.memory = l.memory[:rest]
}

// end publishes what it can within flushTime, and leaves the rest in files.
func (l *lane) end(ctx context.Context) {
	late := time.After(flushTime)
	l.take()
	for l.pause = 0; l.pause == 0 && (l.batch != nil || l.left()); {
		l.send(ctx)
		if l.batch == nil {
			continue
		}
		select {
		case err := <-l.sent:
			l.published(err)
			l.take()
		case <-late:
			l.pause = retryFirst // the call may still get through: then they are published twice
		}
	}
	left := l.memory
	l.memory, l.bytes = nil, 0
	if len(left) > 0 && l.spool != nil {
		// They are older than what is in the files already.
		if err := l.spool.prepend(left); err == nil {
			left = nil
		}
	}
	l.gone(left, "end")
	if n := l.waiting.Load(); n > 0 || len(left) > 0 {
		l.logger.WarnContext(ctx, "events are not published yet", "kept", n, "dropped", len(left))
	}
}
