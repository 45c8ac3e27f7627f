package copies

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
	"github.com/throng-gg/throng/ledger"
)

const (
	mostWaiting  = 10_000   // of a partition. Full: the oldest counts as lost
	mostBytes    = 32 << 20 // of them
	retryAtOnce  = 200      // of one turn
	waitingFirst = 50 * time.Millisecond
	waitingMost  = time.Second // between two tries of one
)

// part is what waits of one partition of a region's log. It is as the store has it, or
// forgotten.
type part struct {
	follower *follower
	id       consumer.Shard
	number   uint64 // of its last commit

	waiting map[string]*waiting // by key
	bytes   int
	count   atomic.Int64 // of waiting, for metrics
}

// waiting is a transfer that another one has to come before.
type waiting struct {
	*copied
	next  time.Time // when it is tried again
	pause time.Duration
}

func newPart(f *follower, partition int32) *part {
	return &part{
		follower: f, id: consumer.Shard{Group: Group(f.region), Stream: throng.StreamCopies, Partition: partition},
		waiting: map[string]*waiting{},
	}
}

// load reads what waited when the partition was another's, or the process began.
func (p *part) load(ctx context.Context) error {
	mark, _, err := p.follower.copies.cfg.Store.Load(ctx, p.id, func(row consumer.Row) error {
		c, err := parseRow(row)
		if err == nil {
			p.add(c, time.Time{})
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("load what waits: %w", err)
	}
	p.number = mark.Number
	p.count.Store(int64(len(p.waiting)))
	return nil
}

// parseRow reads a posting as it is stored: its event's key and data.
func parseRow(row consumer.Row) (*copied, error) {
	term, posting, err := ledger.ParseCopy(throng.Event{Type: throng.EventLedgerCopied, Key: row.Key, Data: row.Value})
	if err != nil {
		return nil, throng.Errorf(throng.Internal, "a stored copy of %.200q cannot be read: %w", row.Key, err)
	}
	return &copied{row.Key, row.Value, term, posting}, nil
}

func (p *part) add(c *copied, now time.Time) {
	if p.waiting[c.key] == nil {
		p.bytes += len(c.data)
		p.waiting[c.key] = &waiting{c, now.Add(waitingFirst), waitingFirst}
	}
}

func (p *part) remove(key string) {
	if w := p.waiting[key]; w != nil {
		p.bytes -= len(w.data)
		delete(p.waiting, key)
	}
}

// settle makes durable what is to be remembered of results, and tells of them.
func (p *part) settle(ctx context.Context, results []result) error {
	now := p.follower.copies.cfg.Now()
	rows := map[string][]byte{} // nil: it waits no more
	var gone []result
	for _, r := range results {
		switch {
		case r.outcome == waits:
			if p.waiting[r.copied.key] == nil {
				rows[r.copied.key] = r.copied.data
			}
			p.add(r.copied, now)
			continue
		case r.copied != nil && p.waiting[r.copied.key] != nil:
			rows[r.copied.key] = nil
			p.remove(r.copied.key)
		}
		switch r.outcome {
		case lost:
			gone = append(gone, r)
		case applied:
			p.nudge(r, now)
		}
	}
	for _, w := range p.tooMany() {
		rows[w.key] = nil
		p.remove(w.key)
		gone = append(gone, result{kindPosting, lost, w.copied, throng.Errorf(throng.Full, "more than %d wait for what does not come", mostWaiting)})
	}
	if err := p.follower.copies.keepLost(ctx, gone); err != nil {
		return err
	}
	if err := p.commit(ctx, rows); err != nil {
		return err
	}
	p.count.Store(int64(len(p.waiting)))
	p.follower.tell(ctx, results, gone)
	return nil
}

// commit writes what changed of what waits.
func (p *part) commit(ctx context.Context, rows map[string][]byte) error {
	if len(rows) == 0 {
		return nil
	}
	c := consumer.Commit{Mark: consumer.Mark{Number: p.number + 1}}
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		c.Rows = append(c.Rows, consumer.Row{Key: key, Value: rows[key]})
	}
	if err := p.follower.copies.cfg.Store.Commit(ctx, p.id, c); err != nil {
		return fmt.Errorf("keep what waits: %w", err)
	}
	p.number++
	return nil
}

// tooMany are the oldest of those that do not fit.
func (p *part) tooMany() (list []*waiting) {
	if len(p.waiting) <= mostWaiting && p.bytes <= mostBytes {
		return nil
	}
	all := p.oldest()
	count, bytes := len(all), p.bytes
	for _, w := range all {
		if count <= mostWaiting && bytes <= mostBytes {
			break
		}
		list = append(list, w)
		count, bytes = count-1, bytes-len(w.data)
	}
	return list
}

// oldest are all that wait, by when they were posted.
func (p *part) oldest() []*waiting {
	return slices.SortedFunc(maps.Values(p.waiting), func(a, b *waiting) int {
		return cmp.Or(a.posting.Record.At.Compare(b.posting.Record.At), cmp.Compare(a.key, b.key))
	})
}

// nudge has those tried soon that may have waited for a transfer.
func (p *part) nudge(r result, now time.Time) {
	if r.copied == nil || len(p.waiting) == 0 {
		return
	}
	moved := map[throng.ItemID]bool{}
	for _, l := range r.copied.posting.Record.Lines {
		if ledger.IsUnique(l.Item) {
			moved[l.Item] = true
		}
	}
	id := r.copied.posting.Record.Transfer.ID
	for _, w := range p.waiting {
		record := w.posting.Record
		if record.Transfer.Refunds == id || slices.ContainsFunc(record.Lines, func(l ledger.Line) bool { return moved[l.Item] }) {
			w.next, w.pause = now, waitingFirst
		}
	}
}

// retry tries those whose time has come, until none of them gets through.
func (p *part) retry(ctx context.Context) error {
	for tried := 0; tried < retryAtOnce; {
		now := p.follower.copies.cfg.Now()
		var results []result
		through := false
		for _, w := range p.oldest() {
			if w.next.After(now) {
				continue
			}
			if tried++; tried > retryAtOnce {
				break
			}
			r, err := p.follower.applyPosting(ctx, w.copied)
			if err != nil {
				return err
			}
			if r.outcome == waits {
				w.pause = min(2*w.pause, waitingMost)
				w.next = now.Add(w.pause)
				continue
			}
			through = true
			results = append(results, r)
		}
		if !through {
			return nil
		}
		if err := p.settle(ctx, results); err != nil {
			return err
		}
	}
	return nil
}

// tell counts results and logs what people should know.
func (f *follower) tell(ctx context.Context, results, gone []result) {
	logger := f.copies.cfg.Logger.With("region", string(f.region))
	said := map[string]int{}
	for _, r := range results {
		f.copies.metrics.applied.WithLabelValues(r.kind, r.outcome).Inc()
		if r.outcome == strange || r.outcome == conflict {
			if said[r.outcome]++; said[r.outcome] == 1 {
				logger.WarnContext(ctx, "what a region wrote is not copied", "kind", r.kind, "outcome", r.outcome, "err", r.why)
			}
		}
	}
	for outcome, n := range said {
		if n > 1 {
			logger.WarnContext(ctx, "what a region wrote is not copied, and more of it", "outcome", outcome, "more", n-1)
		}
	}
	for _, r := range gone {
		f.copies.metrics.lost.Inc()
		t, record := r.copied.posting.Record.Transfer, r.copied.posting.Record
		logger.WarnContext(ctx, "a transfer is lost: it was posted by a region that is the home no more", "term", r.copied.term,
			"game", string(r.copied.posting.Game), "player", string(t.First.Player), "transfer", string(t.ID), "kind", string(t.Kind), "second", string(t.Second.Player),
			"at", record.At, "session", string(record.Session), "lines", words(record.Lines), "err", r.why)
	}
}

// words says lines to people.
func words(lines []ledger.Line) string {
	parts := make([]string, 0, len(lines))
	for _, l := range lines {
		if l.Account.IsHouse() {
			continue
		}
		parts = append(parts, fmt.Sprintf("%s %+d %s", l.Account, l.Change, l.Item))
	}
	return strings.Join(parts, ", ")
}
