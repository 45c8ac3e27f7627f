package redis

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// Config is how a Store is made.
type Config struct {
	// URL says where Redis or Valkey is: redis://user:password@host:port/0, or
	// rediss:// for TLS, with several hosts, separated by commas, for a Cluster.
	// Required. It is never logged.
	URL string
	// Region whose sessions are kept. Required.
	Region throng.RegionID
	// Prefix of all keys, so that several regions can share one Redis in tests.
	// Empty: "throng:".
	Prefix string
	// Quarantine is how long nothing is granted after a generation began. Zero:
	// throng.TokenTime. All processes on one Redis need the same.
	Quarantine time.Duration
	// FeedSize is how many changes are remembered. Zero: 65,536.
	FeedSize int
	// Timeout bounds each wait for Redis. Zero: 2 s.
	Timeout time.Duration
	// Now is this machine's clock, which may differ from Redis's by up to 1 s.
	// Nil: time.Now.
	Now func() time.Time
	// Fault, for tests, is called around each operation; an error is what the
	// caller gets. Nil: none.
	Fault session.Fault
	// Logger; nil: nothing is logged.
	Logger *slog.Logger
	// Metrics; nil: not registered.
	Metrics prometheus.Registerer

	// clock, for this package's tests, is the time that scripts go by. Scripts
	// that are loaded without it go by Redis's clock and cannot be told another.
	clock func() time.Time
	// shelf, for this package's tests, shares generations between stores.
	shelf *shelf
}

// Store is a session.Store on Redis 7 or Valkey 8, alone or a Cluster. It is
// safe for concurrent use, by any number of processes.
type Store struct {
	config  Config
	hot     *link // what joins wait for
	bulk    *link // heartbeats, reports, sweeps, the feed
	log     *slog.Logger
	metrics *metrics
	names   names

	shelf  *shelf
	loaded [throng.Shards]atomic.Pointer[family] // of the generation that the shard is known to be in
	revive sync.Mutex                            // one revival at a time in this process

	clock  clock
	stamps stamps
	prune  [throng.Shards]atomic.Int32 // bucket of players to look through, from 1; 0: none
	holds  lines
	seats  lines

	restores [throng.Shards]restores

	watch watch
}

var _ session.Store = (*Store)(nil)

// New makes a Store. It connects when it is first used, so Redis may come later.
func New(c Config) (*Store, error) {
	options, err := parseURL(c.URL)
	if err != nil {
		return nil, err
	}
	if _, err := throng.ParseRegionID("Region", string(c.Region)); err != nil {
		return nil, err
	}
	if c.Quarantine < 0 || c.FeedSize < 0 || c.Timeout < 0 {
		return nil, throng.AtField(throng.Invalid, "Quarantine", "or another size is negative")
	}
	if strings.ContainsAny(c.Prefix, "{}") {
		return nil, throng.AtField(throng.Invalid, "Prefix", "contains a brace")
	}
	c.Prefix = orElse(c.Prefix, "throng:")
	c.Quarantine = orElse(c.Quarantine, throng.TokenTime)
	c.FeedSize = orElse(c.FeedSize, 1<<16)
	c.Timeout = orElse(c.Timeout, 2*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.shelf == nil {
		c.shelf = newShelf(c.Quarantine, "nil")
	}
	st := &Store{config: c, log: c.Logger, shelf: c.shelf, names: newNames(c.Prefix, c.Region)}
	st.hot, st.bulk = newLink(options, c.Timeout), newLink(options, c.Timeout)
	st.holds.of, st.seats.of = map[throng.SessionID]*line{}, map[throng.SessionID]*line{}
	st.watch.init(c.FeedSize, c.Now())
	st.metrics, err = newMetrics(c.Metrics)
	return st, err
}

func orElse[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}

// Run feeds Changes, from the first call of it, until ctx ends. Then it closes
// the connections.
func (st *Store) Run(ctx context.Context) error {
	defer st.Close()
	select {
	case <-ctx.Done():
		return nil
	case <-st.watch.wanted:
	}
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	poll := st.poll
	for {
		if err := poll(ctx); err != nil && ctx.Err() == nil {
			st.watch.failed(st, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			poll = st.poll
		case <-st.watch.nudge:
			poll = st.pollNudged
		}
	}
}

// Close closes the connections: what is under way ends with an error.
func (st *Store) Close() {
	st.hot.close()
	st.bulk.close()
}

// need is when an operation is served.
type need uint8

const (
	always need = iota // also while the shard is not stamped
	live               // while it is stamped
	grants             // and out of quarantine
)

// around runs one operation between its faults.
func (st *Store) around(ctx context.Context, op string, run func() error) (err error) {
	begun := time.Now()
	defer func() { st.metrics.done(op, begun, err) }()
	if err := ctx.Err(); err != nil {
		return throng.Errorf(throng.Unavailable, "not begun: %w", err)
	}
	if err := st.fault(op, session.BeforePersist); err != nil {
		return err
	}
	if err := run(); err != nil {
		return err
	}
	return st.fault(op, session.AfterPersist)
}

func (st *Store) fault(op string, at session.Point) error {
	if st.config.Fault == nil {
		return nil
	}
	return st.config.Fault(op, at)
}
