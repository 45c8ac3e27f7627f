package joinlog

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

const (
	maxFound  = 16              // records of one ticket that are told
	flushTime = time.Second     // after which what was written is in the files
	catchUp   = 2 * time.Second // for what was recorded before a question
	askTime   = 2 * time.Second // for the other processes
)

// Config bounds a Log. Zero numbers mean the defaults.
type Config struct {
	Records int           // remembered; 100,000
	Bytes   int           // remembered; 64 MiB
	Age     time.Duration // remembered for so long; 1 h
	Queue   int           // records on their way; 8,192; full: they are dropped

	Dir       string // folder of the files; empty: none
	DiskBytes int64  // of the files; 64 MiB

	Peers   Peers                 // nil: there are no other processes
	Logger  *slog.Logger          // nil: says nothing
	Metrics prometheus.Registerer // nil: not registered
}

// Log remembers the joins of this process. It is safe for use by many
// goroutines.
type Log struct {
	cfg     Config
	logger  *slog.Logger
	metrics *metrics

	queue chan item // full: records are dropped, questions wait

	mu    sync.Mutex // guards the shelf
	shelf shelf

	ring *ring // owned by Run; nil: there is none, or it failed
}

// item is a record, or a question whether all before it are taken in.
type item struct {
	record throng.JoinRecord
	done   chan<- struct{} // instead of a record
}

// New makes a log and reads back what its files have.
func New(cfg Config) (*Log, error) {
	cfg.Records = cmp.Or(cfg.Records, 100_000)
	cfg.Bytes = cmp.Or(cfg.Bytes, 64<<20)
	cfg.Age = cmp.Or(cfg.Age, time.Hour)
	cfg.Queue = cmp.Or(cfg.Queue, 8192)
	cfg.DiskBytes = cmp.Or(cfg.DiskBytes, 64<<20)
	if cfg.Records < 0 || cfg.Bytes < 0 || cfg.Age < 0 || cfg.Queue < 0 || cfg.DiskBytes < 0 {
		return nil, throng.Errorf(throng.Invalid, "what is remembered of joins cannot be less than nothing")
	}
	l := &Log{
		cfg:    cfg,
		logger: cfg.Logger,
		queue:  make(chan item, cfg.Queue),
		shelf: shelf{
			records: cfg.Records, most: cfg.Bytes, age: cfg.Age, byName: make(map[throng.TicketID][]uint64),
		},
	}
	if l.logger == nil {
		l.logger = slog.New(slog.DiscardHandler)
	}
	var err error
	if l.metrics, err = newMetrics(cfg.Metrics); err != nil || cfg.Dir == "" {
		return l, err
	}
	l.ring, err = openRing(cfg.Dir, cfg.DiskBytes, l.readBack)
	return l, err
}

// readBack takes a line of an earlier life; one that is no record is left out.
func (l *Log) readBack(line []byte) {
	var r throng.JoinRecord
	if json.Unmarshal(line, &r) != nil || r.Ticket == "" {
		return
	}
	l.put(r)
}

// Record takes a record. It does not wait.
func (l *Log) Record(r throng.JoinRecord) {
	select {
	case l.queue <- item{record: r}:
	default:
		l.metrics.dropped.Inc()
	}
}

// Run takes records in until ctx ends, and then those that are there already.
func (l *Log) Run(ctx context.Context) error {
	tick := time.NewTicker(flushTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			for range len(l.queue) {
				l.take(<-l.queue)
			}
			if l.ring != nil {
				return l.ring.close()
			}
			return nil
		case i := <-l.queue:
			l.take(i)
		case now := <-tick.C:
			l.mu.Lock()
			l.metrics.forgotten.Add(float64(l.shelf.trim(now)))
			l.metrics.bytes.Set(float64(l.shelf.bytes))
			l.mu.Unlock()
			l.keep(func(r *ring) error { return r.flush() })
		}
	}
}

func (l *Log) take(i item) {
	if i.done != nil {
		close(i.done)
		return
	}
	l.put(i.record)
	l.metrics.records.Inc()
	l.keep(func(r *ring) error {
		text, err := json.Marshal(i.record)
		if err != nil {
			return err
		}
		return r.write(text)
	})
}

func (l *Log) put(r throng.JoinRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.metrics.forgotten.Add(float64(l.shelf.add(entryOf(r), time.Now())))
}

// keep writes to the files. After an error there are none any more: joins go on.
func (l *Log) keep(write func(*ring) error) {
	if l.ring == nil {
		return
	}
	if err := write(l.ring); err != nil {
		l.logger.Error("joins are not written to files any more", "err", err)
		_ = l.ring.file.Close()
		l.ring = nil
	}
}

// Joins returns what this process remembers of a ticket, the oldest record
// first, at most the newest 16; caller empty: of any caller. What was recorded
// before is among it.
func (l *Log) Joins(ctx context.Context, ticket throng.TicketID, caller throng.PlayerID) ([]throng.JoinRecord, error) {
	l.settle(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shelf.find(ticket, caller), nil
}

// Find is Joins, and the same of the other processes. An error of theirs counts
// only when nothing is found.
func (l *Log) Find(ctx context.Context, ticket throng.TicketID, caller throng.PlayerID) ([]throng.JoinRecord, error) {
	list, err := l.Joins(ctx, ticket, caller)
	if err != nil || l.cfg.Peers == nil {
		return list, err
	}
	asking, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	others, err := l.cfg.Peers.Joins(asking, ticket, caller)
	list = append(list, others...)
	slices.SortStableFunc(list, func(a, b throng.JoinRecord) int { return a.At.Compare(b.At) })
	if len(list) > 0 {
		return list[max(len(list)-maxFound, 0):], nil
	}
	return nil, err
}

// settle waits until what is in the queue now is taken in, if Run runs.
func (l *Log) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	done := make(chan struct{})
	select {
	case l.queue <- item{done: done}:
	case <-ctx.Done():
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}
