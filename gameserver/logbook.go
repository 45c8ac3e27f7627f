package gameserver

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

const (
	bookBytes  = 256 << 10              // that wait for the control plane; full: the oldest lines are dropped
	batchBytes = 60 << 10               // of one call, as JSON; the door takes 64 KiB
	batchLines = 1000                   // of one call
	batchTime  = 500 * time.Millisecond // between two calls
	batchCall  = 2 * time.Second        // one call
	flushTime  = time.Second            // for what is left when the session is over
	logBackoff = 5 * time.Second        // at most, while the door is away
)

// logbook is a session's log on its way to the control plane. Its lines are
// kept until the control plane took them, or newer ones need the room.
type logbook struct {
	logs    Logs
	hand    throng.Handover
	life    throng.Incarnation
	clock   *regionClock
	dropped prometheus.Counter
	logger  *slog.Logger
	// wake holds one: there is something to send.
	wake chan struct{}

	mu    sync.Mutex       // guards what follows
	lines []throng.LogLine // not taken yet, oldest first
	costs []int            // of lines, as JSON
	bytes int              // sum of costs
	first uint64           // number of lines[0]
}

func newLogbook(s *Server, hand throng.Handover, logger *slog.Logger) *logbook {
	return &logbook{
		logs: s.cfg.Logs, hand: hand, life: s.cfg.Incarnation, clock: newRegionClock(hand.Now),
		dropped: s.metrics.logDropped, logger: logger, wake: make(chan struct{}, 1), first: 1,
	}
}

// add writes one line. It does not wait.
func (b *logbook) add(level throng.LogLevel, text string) {
	if b.logs == nil {
		return
	}
	line := throng.LogLine{Time: b.clock.now(), Level: level, Text: logText(text)}
	cost := logCost(line.Text)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, line)
	b.costs = append(b.costs, cost)
	b.bytes += cost
	for b.bytes > bookBytes {
		b.shift(1)
		b.dropped.Inc()
	}
	select {
	case b.wake <- struct{}{}:
	default: // it is awake
	}
}

// end writes why the session is over.
func (b *logbook) end(e throng.Ending) {
	level := throng.LogInfo
	if e.Failed {
		level = throng.LogError
	}
	b.add(level, "session ended: "+e.Reason)
}

// shift forgets the oldest lines.
func (b *logbook) shift(n int) {
	for i := range n {
		b.bytes -= b.costs[i]
		b.lines[i] = throng.LogLine{}
	}
	b.lines, b.costs = b.lines[n:], b.costs[n:]
	b.first += uint64(n)
}

// run sends until ctx ends, and then what is left.
func (b *logbook) run(ctx context.Context) {
	if b.logs == nil {
		return
	}
	pause := batchTime
	for {
		select {
		case <-ctx.Done():
			b.flush(ctx)
			return
		case <-b.wake:
		}
		err := b.sendAll(ctx)
		switch {
		case err == nil:
			pause = batchTime
		case ctx.Err() == nil:
			b.logger.DebugContext(ctx, "log not delivered", "err", err)
			pause = min(2*pause, logBackoff)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// flush makes a last try.
func (b *logbook) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	if err := b.sendAll(ctx); err != nil {
		b.mu.Lock()
		left := len(b.lines)
		b.mu.Unlock()
		b.dropped.Add(float64(left))
		b.logger.WarnContext(ctx, "end of the log not delivered", "lines", left, "err", err)
	}
}

// sendAll sends all there is, a batch at a time. An error means that the rest
// waits, and that it will be sent again.
func (b *logbook) sendAll(ctx context.Context) error {
	for {
		batch := b.batch()
		if len(batch.Lines) == 0 {
			return nil
		}
		once, cancel := context.WithTimeout(ctx, batchCall)
		err := b.logs.Log(once, batch)
		cancel()
		if err != nil && !final(err) {
			b.again()
			return err
		}
		if err != nil {
			b.dropped.Add(float64(len(batch.Lines)))
			b.logger.WarnContext(ctx, "log refused", "lines", len(batch.Lines), "err", err)
		}
		b.taken(batch)
	}
}

// again keeps the sender awake although no line was added.
func (b *logbook) again() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// batch is what to send next: a copy.
func (b *logbook) batch() throng.LogBatch {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, bytes := 0, 0
	for n < len(b.lines) && n < batchLines && bytes+b.costs[n] <= batchBytes {
		bytes += b.costs[n]
		n++
	}
	return throng.LogBatch{
		Session: b.hand.Session, Incarnation: b.life, First: b.first,
		Lines: append([]throng.LogLine(nil), b.lines[:n]...),
	}
}

// taken forgets what was delivered; some of it may have been dropped meanwhile.
func (b *logbook) taken(batch throng.LogBatch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if next := batch.First + uint64(len(batch.Lines)); next > b.first {
		b.shift(int(next - b.first))
	}
}

// logText is a text as one line within its bound.
func logText(text string) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text[:min(len(text), 2*throng.MaxLogText)], "?"))
	if len(clean) <= throng.MaxLogText {
		return clean
	}
	const sign = "…"
	return strings.ToValidUTF8(clean[:throng.MaxLogText-len(sign)], "") + sign
}

// logCost is how many bytes of JSON a line takes at most.
func logCost(text string) int {
	cost := 100
	for i := range len(text) {
		switch text[i] {
		case '"', '\\', '\t':
			cost += 2
		case '<', '>', '&', 0xe2: // the last begins what JavaScript takes for a line's end
			cost += 6
		default:
			cost++
		}
	}
	return cost
}
