package presence

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

const (
	sweepEvery = time.Second // a shard each
	againFirst = time.Second // before a log is followed anew, doubled up to
	againMost  = 30 * time.Second
	// awayAfter is when the log says that a region was not heard.
	awayAfter = 10 * time.Second
)

// Config is what a Presence is made of. Zero numbers mean the defaults.
type Config struct {
	Own throng.RegionID
	// Logs are those of all regions, the own one's too; at most throng.MaxRegions.
	Logs     map[throng.RegionID]Log
	Registry Registry
	Settings Settings // nil: what regions tell of settings is passed over
	Most     int      // players of each table; see NewTable
	Now      func() time.Time
	Logger   *slog.Logger
	Metrics  prometheus.Registerer // nil: not registered
}

// Presence follows all regions.
type Presence struct {
	cfg     Config
	metrics *metrics
	others  *Table // what other regions say
	own     *Table // what the own one says: which players may have a seat here
	begun   time.Time

	mu    sync.Mutex
	heard map[throng.RegionID]time.Time // guarded by mu; as of when a region's copy is whole

	evict    evictions
	settings chan setting // full: who tells of one waits
}

// New makes a Presence that knows nothing until Run. Invalid: something is missing.
func New(cfg Config) (*Presence, error) {
	if cfg.Registry == nil || cfg.Logger == nil || cfg.Logs[cfg.Own] == nil || len(cfg.Logs) > throng.MaxRegions {
		return nil, throng.Errorf(throng.Invalid, "presence: a needed part of its configuration is missing, or there are more than %d regions", throng.MaxRegions)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	p := &Presence{cfg: cfg, begun: cfg.Now(), heard: map[throng.RegionID]time.Time{}, evict: newEvictions(), settings: make(chan setting, mostSettings)}
	var others []throng.RegionID
	for id := range cfg.Logs {
		if id != cfg.Own {
			others = append(others, id)
		}
	}
	p.others, p.own = NewTable(others, cfg.Most), NewTable([]throng.RegionID{cfg.Own}, cfg.Most)
	var err error
	p.metrics, err = newMetrics(cfg.Metrics, p)
	return p, err
}

// Highest returns the highest epoch under which another region knows the player; 0:
// none does.
func (p *Presence) Highest(player throng.PlayerID) throng.Epoch {
	return p.others.Epoch(player, p.cfg.Now())
}

// Elsewhere returns where other regions say that the player is, and as of when: the
// region's copy is not newer than that. PresenceNone: they know nothing of him.
func (p *Presence) Elsewhere(player throng.PlayerID) (at throng.Presence, asOf time.Time) {
	at = p.others.At(player, p.cfg.Now())
	return at, p.asOf(at.Session.Region())
}

// asOf is the moment as of which a region's copy is whole; before there is one, the
// moment at which the process began.
func (p *Presence) asOf(r throng.RegionID) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, ok := p.heard[r]; ok {
		return at
	}
	return p.begun
}

// Run follows the regions until ctx ends, each apart from the others.
func (p *Presence) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for id, log := range p.cfg.Logs {
		all.Go(func() { p.follow(ctx, id, log) })
	}
	all.Go(func() { p.sweep(ctx) })
	all.Go(func() { p.evictAll(ctx) })
	if p.cfg.Settings != nil {
		all.Go(func() { p.applySettings(ctx) })
	}
	all.Wait()
	return nil
}

// follow reads a region's log.
func (p *Presence) follow(ctx context.Context, id throng.RegionID, log Log) {
	take := func(batch []throng.EventRecord, strange int) { p.take(ctx, id, batch, strange) }
	heard := func(at time.Time) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.heard[id] = at
	}
	for pause := againFirst; ctx.Err() == nil; pause = min(2*pause, againMost) {
		begun := p.cfg.Now()
		err := log.Tail(ctx, throng.StreamPresence, begun.Add(-KeepTime), take, heard)
		if ctx.Err() != nil {
			return
		}
		if p.cfg.Now().Sub(begun) > againMost {
			pause = againFirst
		}
		p.cfg.Logger.WarnContext(ctx, "presence of a region is followed anew", "region", string(id), "after", pause, "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// take applies what a region says of its own sessions. It waits while too many seats
// are to be evicted.
func (p *Presence) take(ctx context.Context, id throng.RegionID, batch []throng.EventRecord, strange int) {
	counts := map[Verdict]int{Strange: strange}
	table := p.others
	if id == p.cfg.Own {
		table = p.own
	}
	for _, e := range batch {
		if isSetting(e.Event) {
			if p.cfg.Settings != nil {
				p.setting(ctx, setting{id, e.Event})
			}
			continue
		}
		c, err := ChangeOf(e.Event)
		if err != nil || c.Session.Region() != id {
			counts[Strange]++
			continue
		}
		now := p.cfg.Now()
		verdict := table.Apply(c, now)
		counts[verdict]++
		if verdict == Applied && p.older(c.Player, now) {
			p.evict.add(ctx, c.Player)
		}
	}
	for verdict, n := range counts {
		p.metrics.changes.WithLabelValues(string(id), verdict.String()).Add(float64(n))
	}
}

// older says whether the player may have a seat here that is older than what another
// region says of him. While the own region's log is not heard, everybody may.
func (p *Presence) older(player throng.PlayerID, now time.Time) bool {
	highest := p.others.Epoch(player, now)
	if highest == 0 {
		return false
	}
	own := p.own.At(player, now)
	if own.State == throng.PresencePlaying {
		return own.Epoch < highest
	}
	return now.Sub(p.asOf(p.cfg.Own)) > awayAfter
}

// sweep forgets what is over, and says which regions are away.
func (p *Presence) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	away := map[throng.RegionID]bool{}
	for shard := uint8(0); ; shard++ { // and round again
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := p.cfg.Now()
		p.others.Sweep(shard, now)
		p.own.Sweep(shard, now)
		for id := range p.cfg.Logs {
			switch age := now.Sub(p.asOf(id)); {
			case age > awayAfter && !away[id]:
				away[id] = true
				p.cfg.Logger.WarnContext(ctx, "presence of a region is not heard", "region", string(id), "age", age.Round(time.Second))
			case age <= awayAfter && away[id]:
				away[id] = false
				p.cfg.Logger.InfoContext(ctx, "presence of a region is heard again", "region", string(id))
			}
		}
	}
}

// regions are those that are followed, by ID.
func (p *Presence) regions() []throng.RegionID {
	var all []throng.RegionID
	for id := range p.cfg.Logs {
		all = append(all, id)
	}
	slices.Sort(all)
	return all
}
