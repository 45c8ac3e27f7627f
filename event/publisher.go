package event

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/throng-gg/throng"
)

// DefaultSpool is how many bytes of events are kept on disk by default.
const DefaultSpool = 64 << 20

// Config is what a Publisher is made of. Zero numbers mean the defaults.
type Config struct {
	Log    Log
	Region throng.RegionID // of events that say none
	// Dir is the folder of the files of all publishers of a machine; empty: there
	// are none, and only what memory takes is kept.
	Dir        string
	SpoolBytes int64         // that the files of this one may take; default 64 MiB
	Linger     time.Duration // for which an event waits for others; default 50 ms
	CallTime   time.Duration // for one call of Log; default 5 s

	Logger  *slog.Logger
	Metrics prometheus.Registerer // nil: not registered
}

// Publisher takes events.
type Publisher struct {
	cfg     Config
	metrics *metrics
	lanes   [2]*lane // telemetry, economy
	folder  string   // of this process, in Config.Dir; empty: none
	lock    *os.File // on folder; nil: none
	// complained limits what is said of events that are refused.
	complained throttle
}

// New makes a publisher, and its folder. It starts nothing.
func New(cfg Config) (*Publisher, error) {
	if cfg.Log == nil || cfg.Logger == nil {
		return nil, throng.Errorf(throng.Invalid, "events: a needed part of their configuration is missing")
	}
	if cfg.SpoolBytes <= 0 {
		cfg.SpoolBytes = DefaultSpool
	}
	if cfg.Linger <= 0 {
		cfg.Linger = 50 * time.Millisecond
	}
	if cfg.CallTime <= 0 {
		cfg.CallTime = 5 * time.Second
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	p := &Publisher{cfg: cfg, metrics: m}
	if cfg.Dir != "" {
		for range 5 { // one that looks for what others left may have been faster
			if p.folder, p.lock, err = ownFolder(cfg.Dir); err == nil {
				break
			}
		}
		if err != nil {
			return nil, err
		}
	}
	for i, name := range laneNames {
		if p.lanes[i], err = newLane(p, name); err != nil {
			return nil, errors.Join(err, p.leave())
		}
	}
	return p, nil
}

// The lanes.
const (
	telemetry = 0
	economy   = 1
)

var laneNames = [...]string{telemetry: "telemetry", economy: "economy"} //nolint:gochecknoglobals // a constant table

// Publish takes an event. It does not wait. One that is not allowed, or for which
// there is no room, is dropped and counted.
func (p *Publisher) Publish(e throng.Event) {
	if e.Region == "" {
		e.Region = p.cfg.Region
	}
	if err := e.Check(); err != nil {
		p.refused(e, err)
		return
	}
	of := telemetry
	if e.Stream == throng.StreamEconomy {
		of = economy
	}
	p.lanes[of].add(e)
}

// refused counts an event that is none, and says so now and then.
func (p *Publisher) refused(e throng.Event, err error) {
	p.metrics.dropped.WithLabelValues(string(e.Stream), "invalid").Inc()
	if p.complained.ok(time.Second) {
		p.cfg.Logger.Error("event is not allowed", "type", string(e.Type), "err", err)
	}
}

// Run publishes until ctx ends, and then what it can in a second; the rest stays
// in files.
func (p *Publisher) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range p.lanes {
		group.Go(func() error { l.run(ctx); return nil })
	}
	if p.folder != "" {
		group.Go(func() error { p.adopt(ctx); return nil })
	}
	_ = group.Wait() // none fails
	return p.leave()
}

// leave gives the folder back; what is in it is for others.
func (p *Publisher) leave() error {
	if p.lock == nil {
		return nil
	}
	empty := true
	for _, l := range p.lanes {
		if l == nil || l.spool == nil {
			continue
		}
		empty = empty && l.spool.empty()
		l.spool.close()
	}
	if empty {
		_ = os.RemoveAll(p.folder) // otherwise the next process does
	}
	return p.lock.Close()
}

// Counts is how many events wait, and how many were dropped since the start.
type Counts struct{ Waiting, Dropped int64 }

// Counts tells it.
func (p *Publisher) Counts() (c Counts) {
	for _, l := range p.lanes {
		c.Waiting += l.waiting.Load()
		c.Dropped += l.dropped.Load()
	}
	return c
}

// Queued is how many of them nobody has looked at.
func (p *Publisher) Queued() (n int) {
	for _, l := range p.lanes {
		l.mu.Lock()
		n += len(l.queue)
		l.mu.Unlock()
	}
	return n
}

// throttle says yes once in a while.
type throttle struct {
	mu   sync.Mutex
	next time.Time // guarded by mu
}

func (t *throttle) ok(every time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if now.Before(t.next) {
		return false
	}
	t.next = now.Add(every)
	return true
}

// ownFolder makes one for this process and locks it.
func ownFolder(dir string) (string, *os.File, error) {
	folder := filepath.Join(dir, strconv.Itoa(os.Getpid())+"-"+strconv.FormatInt(time.Now().UnixNano(), 36))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", nil, throng.Errorf(throng.Unavailable, "folder for events: %w", err)
	}
	lock, err := lockFolder(folder)
	if err != nil {
		return "", nil, throng.Errorf(throng.Unavailable, "folder for events: %w", err)
	}
	return folder, lock, nil
}
