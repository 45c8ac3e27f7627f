package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/bolt"
	"github.com/throng-gg/throng/consumer"
	"github.com/throng-gg/throng/consumer/analytics"
	"github.com/throng-gg/throng/consumer/anticheat"
	"github.com/throng-gg/throng/consumer/economy"
	"github.com/throng-gg/throng/disk"
	"github.com/throng-gg/throng/kafka"
	"github.com/throng-gg/throng/ledger"
)

const (
	consumersFile = "consumers.db" // in the folder of consumers
	numbersFolder = "numbers"      // in it: Parquet files and days of the economy

	consumeAgain = 10 * time.Second // after a failure

	gatherTime = 10 * time.Second // of samples, where each commit is paid
	gatherMost = 100_000          // some 100 MB
)

// consumerFlags say what is made of events.
type consumerFlags struct {
	Consumers       string        `help:"Folder of the consumers of events (analytics, anti-cheat, economy), which this process then runs. With --dynamo any number of replicas have it, and share the work; else one of a region, and always the same folder. throng dev has them in --data." type:"path" placeholder:"DIR"`
	Numbers         string        `env:"THRONG_NUMBERS" help:"Bucket for the consumers' Parquet files and days of the economy: a URL as in --places. Without it, below numbers/ in the bucket of --places; without that, in the folder numbers of --consumers." placeholder:"URL"`
	NumbersEvery    time.Duration `default:"5m" help:"How often what was counted goes into files."`
	AnticheatRules  string        `help:"File of rules in place of those that come with Throng (YAML: docs/numbers.md)." type:"path" placeholder:"FILE"`
	AnticheatReport bool          `help:"Ban nobody and put nobody out: throng bans says who it would be."`
}

// Validate checks what the values say.
func (f consumerFlags) Validate() error {
	if f.NumbersEvery < time.Second || f.NumbersEvery > time.Hour {
		return throng.AtField(throng.Invalid, "--numbers-every", "%s makes no sense, 1s to 1h are allowed", f.NumbersEvery)
	}
	return nil
}

// rules reads them.
func (f consumerFlags) rules() ([]anticheat.Rule, error) {
	if f.AnticheatRules == "" {
		return anticheat.DefaultRules(), nil
	}
	data, err := os.ReadFile(f.AnticheatRules)
	if err != nil {
		return nil, throng.AtField(throng.Invalid, "--anticheat-rules", "cannot be read: %w", err)
	}
	return anticheat.ParseRules(f.AnticheatRules, data)
}

// consumers applies the region's events.
type consumers struct {
	shards consumer.Store
	shared bool                    // several processes have them
	close  func() error            // of shards
	groups map[string]*kafka.Group // by name
	logger *slog.Logger
}

// newConsumers connects them; nil: this process has none. It starts nothing.
func newConsumers(c *control) (*consumers, error) {
	flags := c.cfg.flags.consumerFlags
	switch {
	case flags.Consumers == "":
		return nil, nil //nolint:nilnil // it consumes nothing
	case c.events == nil:
		return nil, throng.AtField(throng.Invalid, "--consumers", "goes with --kafka, where the events are")
	}
	rules, err := flags.rules()
	if err != nil {
		return nil, err
	}
	out, known := &consumers{groups: map[string]*kafka.Group{}, logger: c.cfg.logger.With("part", "consumer")}, &known{control: c}
	if err := out.open(c); err != nil {
		return nil, fmt.Errorf("--consumers: %w", err)
	}
	files := c.cfg.places.numbers
	if files == nil {
		files = disk.Files{Dir: filepath.Join(flags.Consumers, numbersFolder)}
	}
	logger := out.logger
	for _, group := range []struct {
		name    string
		streams []throng.Stream
		keeper  func(consumer.Shard) consumer.Keeper
	}{
		{"analytics", []throng.Stream{throng.StreamPlay, throng.StreamPlace, throng.StreamEconomy, throng.StreamPresence}, func(s consumer.Shard) consumer.Keeper {
			return analytics.New(analytics.Config{Shard: s, Files: files, Board: c.cfg.stores.board, FileEvery: flags.NumbersEvery, Now: time.Now})
		}},
		{"anticheat", []throng.Stream{throng.StreamMotion, throng.StreamEconomy}, func(consumer.Shard) consumer.Keeper {
			return anticheat.New(anticheat.Config{
				Rules: rules, Limits: known, Bans: c.cfg.stores.bans, Orders: c.registry, Report: flags.AnticheatReport,
				Flagged: func(b throng.Ban) {
					logger.Warn("player was flagged", "player", string(b.Player), "rule", b.Rule, "evidence", b.Evidence, "banned", !b.Report)
				},
			})
		}},
		{"economy", []throng.Stream{throng.StreamEconomy}, func(s consumer.Shard) consumer.Keeper {
			return economy.New(economy.Config{
				Shard: s, Catalogs: known, Files: files, FileEvery: flags.NumbersEvery, Now: time.Now,
				Newer: func(name string) {
					logger.Warn("a day's file was not written: the one that is there is of a later commit, of another process, or of another store of shards", "file", name)
				},
				Flagged: func(f economy.Flag) {
					logger.Warn("a transfer does not fit", "kind", f.Kind, "player", string(f.Player), "transfer", string(f.Transfer), "evidence", f.Evidence)
				},
			})
		}},
	} {
		sink, err := consumer.New(consumer.Config{
			Group: group.name, Store: out.shards, Parker: c.events.Log, New: group.keeper, Now: time.Now, Logger: logger, Metrics: c.cfg.metrics,
		})
		if err != nil {
			return nil, errors.Join(err, out.close())
		}
		member, err := c.events.Log.Group(out.member(c.cfg.region.ID, kafka.GroupConfig{Group: group.name, Streams: group.streams, Handler: sink}))
		if err != nil {
			return nil, errors.Join(err, out.close())
		}
		out.groups[group.name] = member
	}
	return out, nil
}

// member says how this process is a member of a group.
func (c *consumers) member(region throng.RegionID, cfg kafka.GroupConfig) kafka.GroupConfig {
	switch {
	case !c.shared: // it alone has the shards
		cfg.Member = string(region) + "-" + cfg.Group
	case cfg.Group == "anticheat": // whose rows change with every sample, and are paid by the byte
		cfg.Gather, cfg.Batch = gatherTime, gatherMost
	}
	return cfg
}

// open opens what keeps shards: DynamoDB, which all control planes have in common, or
// a file of this one's.
func (c *consumers) open(of *control) error {
	if own := of.cfg.stores.own; own != nil && own.shards != nil {
		c.shards, c.shared, c.close = own.shards, true, func() error { return nil }
		return nil
	}
	dir := of.cfg.flags.Consumers
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return throng.Errorf(throng.Invalid, "cannot be used: %w", err)
	}
	file, err := bolt.Open(bolt.Config{Path: filepath.Join(dir, consumersFile)})
	if err != nil {
		return err
	}
	c.shards, c.close = file.Shards(), file.Close
	return nil
}

// run consumes until ctx ends. Nil: nothing is consumed. A group that fails begins
// anew after a while: players are matched without it.
func (c *consumers) run(ctx context.Context) error {
	if c == nil {
		return nil
	}
	var running sync.WaitGroup
	for name, g := range c.groups {
		running.Go(func() {
			for ctx.Err() == nil {
				err := g.Run(ctx)
				if ctx.Err() != nil {
					return
				}
				c.logger.ErrorContext(ctx, "consumer failed, it begins anew", "group", name, "after", consumeAgain, "err", err)
				select {
				case <-ctx.Done():
				case <-time.After(consumeAgain):
				}
			}
		})
	}
	running.Wait()
	return c.close()
}

const (
	knownTime  = 30 * time.Second // how old what is known of a place or a game may be
	knownAsk   = time.Second      // for which it is asked
	mostKnown  = 10_000
	askAgainIn = 5 * time.Second // what was not known
)

// known is what consumers know of places and catalogs: asked once in a while.
type known struct {
	control *control

	mu       sync.Mutex
	speeds   map[throng.PlaceID]fact[float64]       // guarded by mu
	catalogs map[throng.GameID]fact[ledger.Catalog] // guarded by mu
}

type fact[T any] struct {
	value T
	ok    bool
	until time.Time
}

// recall asks for a fact when it is too old.
func recall[K comparable, T any](k *known, facts *map[K]fact[T], key K, ask func(context.Context) (T, bool)) (T, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, there := (*facts)[key]
	if there && time.Now().Before(f.until) {
		return f.value, f.ok
	}
	if *facts == nil || len(*facts) >= mostKnown {
		*facts = map[K]fact[T]{}
	}
	ctx, cancel := context.WithTimeout(context.Background(), knownAsk)
	defer cancel()
	f.value, f.ok = ask(ctx)
	f.until = time.Now().Add(askAgainIn)
	if f.ok {
		f.until = time.Now().Add(knownTime)
	}
	(*facts)[key] = f
	return f.value, f.ok
}

// Speed is what a place's manifest says; see anticheat.Limits.
func (k *known) Speed(place throng.PlaceID) (float64, bool) {
	return recall(k, &k.speeds, place, func(ctx context.Context) (float64, bool) {
		r, err := k.control.catalog.Release(ctx, place)
		return float64(r.MaxSpeed), err == nil && r.MaxSpeed > 0
	})
}

// Catalog is a game's; see economy.Catalogs.
func (k *known) Catalog(game throng.GameID) (ledger.Catalog, bool) {
	if k.control.own == nil {
		return ledger.Catalog{}, false
	}
	return recall(k, &k.catalogs, game, func(ctx context.Context) (ledger.Catalog, bool) {
		c, err := k.control.own.ledger.Catalog(ctx, game)
		return c, err == nil
	})
}

// Most is how much of an item one can have; see anticheat.Limits.
func (k *known) Most(game throng.GameID, item throng.ItemID) (int64, bool) {
	c, ok := k.Catalog(game)
	good, sold := c.Goods[item]
	return good.Most, ok && sold && good.Kind != ledger.UniqueOne
}
