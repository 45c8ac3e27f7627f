package copies

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
	"github.com/throng-gg/throng/ledger"
)

const (
	againFirst = time.Second // before a log is followed anew, doubled up to
	againMost  = 30 * time.Second
)

// Config is what Copies is made of.
type Config struct {
	Own throng.RegionID
	// Logs are the other regions'; at most throng.MaxRegions.
	Logs     map[throng.RegionID]Log
	Judge    Judge
	Profiles Profiles
	Ledger   Ledger
	Store    consumer.Store // of what waits and what is lost; of all control planes of the region
	Now      func() time.Time
	Logger   *slog.Logger
	Metrics  prometheus.Registerer // nil: not registered
}

// Copies follows the other regions.
type Copies struct {
	cfg       Config
	metrics   *metrics
	begun     time.Time
	followers map[throng.RegionID]*follower

	mu    sync.Mutex
	heard map[throng.RegionID]reached // guarded by mu
}

// reached is as of when a region's copy is whole.
type reached struct {
	at         time.Time
	partitions int
}

// New makes Copies. It starts nothing. Invalid: something is missing.
func New(cfg Config) (*Copies, error) {
	switch {
	case cfg.Judge == nil || cfg.Profiles == nil || cfg.Ledger == nil || cfg.Store == nil || cfg.Logger == nil || cfg.Own == "":
		return nil, throng.Errorf(throng.Invalid, "copies: a needed part of their configuration is missing")
	case cfg.Logs[cfg.Own] != nil || len(cfg.Logs) > throng.MaxRegions:
		return nil, throng.Errorf(throng.Invalid, "copies: the own region is followed, or there are more than %d", throng.MaxRegions)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Copies{cfg: cfg, begun: cfg.Now(), followers: map[throng.RegionID]*follower{}, heard: map[throng.RegionID]reached{}}
	for id := range cfg.Logs {
		c.followers[id] = &follower{copies: c, region: id, parts: map[int32]*part{}}
	}
	var err error
	c.metrics, err = newMetrics(cfg.Metrics, c)
	return c, err
}

// Group is the name under which a region follows the others.
func Group(own throng.RegionID) string { return "copies-" + string(own) }

// CaughtUp says how old the copy of what a region wrote is at most, but for transfers
// that wait (Waiting). known false: it was not read to its end since the process began.
func (c *Copies) CaughtUp(region throng.RegionID) (behind time.Duration, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, known := c.heard[region]
	if !known {
		return 0, false
	}
	return max(c.cfg.Now().Sub(r.at), 0), true
}

// Waiting are the transfers of a region that wait in the store for what has to come
// before them, whichever process of the region has their partition.
func (c *Copies) Waiting(ctx context.Context, region throng.RegionID) ([]ledger.Posting, error) {
	c.mu.Lock()
	partitions := c.heard[region].partitions
	c.mu.Unlock()
	var list []ledger.Posting
	for p := range partitions {
		id := consumer.Shard{Group: Group(region), Stream: throng.StreamCopies, Partition: int32(p)}
		_, _, err := c.cfg.Store.Load(ctx, id, func(row consumer.Row) error {
			w, err := parseRow(row)
			if err == nil {
				list = append(list, w.posting)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("what waits of region %s: %w", region, err)
		}
	}
	return list, nil
}

// age is how old a region's copy is at most; before that is known, for how long it is
// not.
func (c *Copies) age(region throng.RegionID) time.Duration {
	if behind, known := c.CaughtUp(region); known {
		return behind
	}
	return c.cfg.Now().Sub(c.begun)
}

// Run follows the regions until ctx ends, each apart from the others.
func (c *Copies) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for id, log := range c.cfg.Logs {
		all.Go(func() {
			c.again(ctx, id, func(ctx context.Context) error {
				return log.Follow(ctx, Group(c.cfg.Own), throng.StreamCopies, c.followers[id])
			})
		})
		all.Go(func() {
			c.again(ctx, id, func(ctx context.Context) error {
				return log.Reached(ctx, Group(c.cfg.Own), throng.StreamCopies, func(at time.Time, partitions int) {
					c.mu.Lock()
					defer c.mu.Unlock()
					c.heard[id] = reached{at, partitions}
				})
			})
		})
	}
	all.Wait()
	return nil
}

// again runs what follows a region until ctx ends.
func (c *Copies) again(ctx context.Context, id throng.RegionID, follow func(context.Context) error) {
	for pause := againFirst; ctx.Err() == nil; pause = min(2*pause, againMost) {
		begun := c.cfg.Now()
		err := follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if c.cfg.Now().Sub(begun) > againMost {
			pause = againFirst
		}
		c.cfg.Logger.WarnContext(ctx, "copies of a region are followed anew", "region", string(id), "after", pause, "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// regions are those that are followed, by ID.
func (c *Copies) regions() []throng.RegionID {
	var all []throng.RegionID
	for id := range c.cfg.Logs {
		all = append(all, id)
	}
	slices.Sort(all)
	return all
}
