package consumer

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// Defaults of a Config.
const (
	DefaultWindow = 1 << 19 // events
	mostBatch     = 20_000  // events of one commit
)

// Config is what a Consumer is made of.
type Config struct {
	Group  string
	Store  Store
	Parker Parker
	// New makes a shard's Keeper, which knows nothing yet.
	New func(Shard) Keeper
	// Window is how many events of a shard are known by their IDs; 0: DefaultWindow.
	Window  int
	Now     func() time.Time
	Logger  *slog.Logger
	Metrics prometheus.Registerer // nil: not registered
}

// Consumer applies the partitions that this process has. It starts nothing.
type Consumer struct {
	cfg     Config
	metrics *metrics

	mu     sync.Mutex
	shards map[Shard]*shard // guarded by mu; one is used by one caller at a time
}

// shard is a partition as it is in memory. keeper is nil until it was loaded,
// and after a failure.
type shard struct {
	id     Shard
	keeper Keeper
	window *window
	number uint64
}

// New makes a consumer.
func New(cfg Config) (*Consumer, error) {
	switch {
	case cfg.Store == nil || cfg.Parker == nil || cfg.New == nil || cfg.Now == nil || cfg.Logger == nil:
		return nil, throng.Errorf(throng.Invalid, "consumer: a needed part of its configuration is missing")
	case cfg.Group == "" || strings.Trim(cfg.Group, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return nil, throng.AtField(throng.Invalid, "group", "%q is no group: a-z, 0-9 and - are allowed", cfg.Group)
	}
	if cfg.Window == 0 {
		cfg.Window = DefaultWindow
	}
	m, err := newMetrics(cfg.Metrics, cfg.Group)
	if err != nil {
		return nil, err
	}
	return &Consumer{cfg: cfg, metrics: m, shards: map[Shard]*shard{}}, nil
}

var _ Sink = (*Consumer)(nil)

// Handle applies a batch; see Sink.
func (c *Consumer) Handle(ctx context.Context, s throng.Stream, partition int32, batch []throng.EventRecord) error {
	for len(batch) > 0 {
		n := min(len(batch), mostBatch)
		if err := c.step(ctx, c.shard(s, partition), batch[:n]); err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

// Idle lets a shard do what is due without events; see Sink.
func (c *Consumer) Idle(ctx context.Context, s throng.Stream, partition int32) error {
	return c.step(ctx, c.shard(s, partition), nil)
}

// Lost forgets a partition; see Sink.
func (c *Consumer) Lost(s throng.Stream, partition int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.shards, Shard{c.cfg.Group, s, partition})
}

func (c *Consumer) shard(s throng.Stream, partition int32) *shard {
	id := Shard{c.cfg.Group, s, partition}
	c.mu.Lock()
	defer c.mu.Unlock()
	sh := c.shards[id]
	if sh == nil {
		sh = &shard{id: id}
		c.shards[id] = sh
	}
	return sh
}

// step takes a shard from one commit to the next. After an error nothing is
// believed that is not in the store.
func (c *Consumer) step(ctx context.Context, s *shard, batch []throng.EventRecord) error {
	err := c.apply(ctx, s, batch)
	if err != nil {
		s.keeper, s.window = nil, nil
		c.metrics.failures.Inc()
		return fmt.Errorf("%s of %s, partition %d: %w", s.id.Group, s.id.Stream, s.id.Partition, err)
	}
	if err := s.keeper.Act(ctx, s.number); err != nil { // what is to be done stands in the rows
		c.metrics.failures.Inc()
		c.cfg.Logger.WarnContext(ctx, "what events ask for was not done, it is tried again", "group", s.id.Group, "err", err)
	}
	return nil
}

func (c *Consumer) load(ctx context.Context, s *shard) error {
	keeper := c.cfg.New(s.id)
	mark, pages, err := c.cfg.Store.Load(ctx, s.id, keeper.Restore)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	s.keeper, s.number, s.window = keeper, mark.Number, newWindow(c.cfg.Window, mark, pages)
	return nil
}

func (c *Consumer) apply(ctx context.Context, s *shard, batch []throng.EventRecord) error {
	begun := time.Now()
	if s.keeper == nil {
		if err := c.load(ctx, s); err != nil {
			return err
		}
	}
	page, applied, err := c.applyNew(ctx, s, batch)
	if err != nil {
		return err
	}
	now := c.cfg.Now()
	rows := s.keeper.Changes(now)
	if len(rows) == 0 && len(page.IDs) == 0 {
		return nil
	}
	commit := Commit{Page: page, Rows: rows}
	commit.Forget = s.window.add(page)
	commit.Mark = Mark{Number: page.Number, Floor: s.window.floor, Next: s.window.next}
	if err := c.cfg.Store.Commit(ctx, s.id, commit); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	s.number = page.Number
	c.metrics.applied.Add(float64(applied))
	c.metrics.seconds.Observe(time.Since(begun).Seconds())
	if len(batch) > 0 {
		c.metrics.lag.WithLabelValues(string(s.id.Stream)).Set(max(now.Sub(batch[len(batch)-1].Time).Seconds(), 0))
	}
	return nil
}

// applyNew applies what is not known of a batch, and parks what cannot be
// applied. That is not marked: it may come again when it can be.
func (c *Consumer) applyNew(ctx context.Context, s *shard, batch []throng.EventRecord) (p Page, applied int, err error) {
	p = Page{Number: s.number + 1, IDs: make([]uint64, 0, len(batch))}
	fresh := make(map[uint64]struct{}, len(batch))
	for i := range batch {
		e := &batch[i]
		if e.Offset < s.window.floor {
			continue
		}
		id := idOf(e.ID)
		_, again := fresh[id]
		if again || s.window.knows(id) {
			c.metrics.duplicates.Inc()
			if e.Offset < s.window.next {
				continue // it stands in the window with this offset
			}
		} else if reason := tryApply(s.keeper, e); reason != nil {
			if err := c.cfg.Parker.Park(ctx, s.id.Group, *e, reason.Error()); err != nil {
				return p, applied, fmt.Errorf("park %s: %w", e.ID, err)
			}
			c.metrics.parked.Inc()
			c.cfg.Logger.WarnContext(ctx, "event was parked", "group", s.id.Group, "event", string(e.ID), "type", string(e.Type), "err", reason)
			continue
		} else {
			applied++
		}
		fresh[id] = struct{}{}
		if len(p.IDs) == 0 || e.Offset < p.Floor {
			p.Floor = e.Offset
		}
		p.Next = max(p.Next, e.Offset+1)
		p.IDs = append(p.IDs, id)
	}
	return p, applied, nil
}

// tryApply is Apply of an event that may be anything.
func tryApply(k Keeper, e *throng.EventRecord) error {
	if e.ID == "" || e.Type == "" || e.Time.IsZero() {
		return throng.Errorf(throng.Invalid, "the event has no ID, type or time")
	}
	return k.Apply(e)
}
