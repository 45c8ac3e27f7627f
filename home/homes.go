package home

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

const (
	// lookEvery is how often the own store and the other regions are looked at.
	lookEvery = 500 * time.Millisecond
	lookTime  = 5 * time.Second
	// settleTime is how long after its start a home waits at most for the other regions
	// to say whether it still is.
	settleTime = 5 * time.Second
	// drainTime is how long what is being written is waited for when a region is fenced.
	drainTime = 10 * time.Second
	again     = time.Second // when who was told that nothing can be written may ask again
)

// Config is what Homes are made of.
type Config struct {
	Own     throng.Region
	First   throng.RegionID // the home until an operator promotes another
	Store   Store
	Regions Regions
	Copies  Copies // nil: nothing is copied, so nobody can be promoted but by force
	Local   Owned  // the own stores
	Logger  *slog.Logger
	Metrics prometheus.Registerer // nil: not registered
}

// Homes knows which region profiles and ledger are written in, and writes there.
type Homes struct {
	cfg     Config
	metrics *metrics
	begun   time.Time
	one     chan struct{} // held by a promotion

	mu      sync.Mutex
	now     throng.Home // guarded by mu, as the rest; zero: not known yet
	settled bool        // the others were heard, or waited for
	writing int         // calls that write here
	idle    chan struct{}
}

// New makes Homes. Until Run nothing can be written. Invalid: something is missing.
func New(cfg Config) (*Homes, error) {
	if cfg.First == "" || cfg.Own.ID == "" || cfg.Store == nil || cfg.Regions == nil || cfg.Local == nil || cfg.Logger == nil {
		return nil, throng.Errorf(throng.Invalid, "home: a needed part of its configuration is missing")
	}
	h := &Homes{cfg: cfg, begun: time.Now(), one: make(chan struct{}, 1)}
	var err error
	h.metrics, err = newMetrics(cfg.Metrics, h)
	return h, err
}

// Now is who is home, as far as it is known; zero: it is not.
func (h *Homes) Now() throng.Home {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

// Run learns who is home until ctx ends.
func (h *Homes) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for failing := false; ; {
		err := h.look(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			h.cfg.Logger.WarnContext(ctx, "who is home is not known for certain", "err", err)
		}
		failing = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// look looks at the store and at what the others say.
func (h *Homes) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	stored, err := h.cfg.Store.Home(ctx)
	if err != nil {
		return err
	}
	if stored.Term == 0 {
		stored = throng.Home{Region: h.cfg.First, Term: throng.FirstTerm}
		if err := h.cfg.Store.SetHome(ctx, stored); err != nil {
			return err // another control plane did, which is seen the next time
		}
	}
	h.adopt(ctx, stored)
	all := true
	for _, s := range h.cfg.Regions.Known() {
		all = all && h.cfg.Regions.Heard(s.Region)
		if err := h.Learn(ctx, s.Home); err != nil {
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.settled && (all || time.Since(h.begun) > settleTime) {
		h.settled = true
		h.cfg.Logger.InfoContext(ctx, "home of profiles and ledger", "region", h.now.Region, "term", h.now.Term>>8, "all_heard", all)
	}
	return nil
}

// Learn takes in who another region says is home. When it returned nil nothing is
// written here under an older term any more. Unavailable: it is not for certain.
func (h *Homes) Learn(ctx context.Context, said throng.Home) error {
	// That it is the home itself is for an operator to say: a copy may not be whole yet.
	if said.Region == h.cfg.Own.ID || !said.Over(h.Now()) {
		return nil
	}
	idle := h.adopt(ctx, said) // at once, whether or not it can be stored
	if err := h.cfg.Store.SetHome(ctx, said); err != nil && throng.KindOf(err) != throng.Conflict {
		return err
	}
	over := time.NewTimer(drainTime)
	defer over.Stop()
	select {
	case <-idle:
		return nil
	case <-over.C:
	case <-ctx.Done():
	}
	return throng.RetryLater(throng.Unavailable, again, "something is still written here")
}

// adopt makes it what counts here, if its term is higher, and returns what is closed
// once nothing is written under an older one.
func (h *Homes) adopt(ctx context.Context, said throng.Home) (idle <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.idle == nil {
		h.idle = make(chan struct{})
		close(h.idle)
	}
	if !said.Over(h.now) {
		return h.idle
	}
	if h.now.Term != 0 {
		level := slog.LevelInfo
		if h.now.Region == h.cfg.Own.ID {
			level = slog.LevelWarn
		}
		h.cfg.Logger.Log(ctx, level, "another region is the home of profiles and ledger", "region", said.Region, "term", said.Term>>8, "before", h.now.Region)
	}
	h.now = said
	return h.idle
}

// enter lets a call write here; done ends it. Unavailable: this is not the home, or
// not for certain.
func (h *Homes) enter() (done func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.now.Term == 0 || h.now.Region == h.cfg.Own.ID && !h.settled:
		return nil, throng.RetryLater(throng.Unavailable, again, "region %s does not know yet whether it is the home of what players own", h.cfg.Own.ID)
	case h.now.Region != h.cfg.Own.ID:
		return nil, throng.RetryLater(throng.Unavailable, again, "what players own is written in region %s, not in %s", h.now.Region, h.cfg.Own.ID)
	}
	if h.writing++; h.writing == 1 {
		h.idle = make(chan struct{})
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.writing--; h.writing == 0 {
			close(h.idle)
		}
	}, nil
}

// State is what this region knows of the home.
func (h *Homes) State(ctx context.Context) (throng.HomeState, error) {
	h.mu.Lock()
	out := throng.HomeState{Home: h.now, Own: h.cfg.Own.ID, Writes: h.settled && h.now.Region == h.cfg.Own.ID}
	h.mu.Unlock()
	for _, s := range h.cfg.Regions.Known() {
		peer := throng.HomePeer{Region: s.Region, Heard: h.cfg.Regions.Heard(s.Region), Home: s.Home, Behind: -1}
		if h.cfg.Copies != nil {
			if behind, known := h.cfg.Copies.Behind(s.Region); known {
				peer.Behind = behind
			}
		}
		out.Regions = append(out.Regions, peer)
	}
	losses, err := h.Losses(ctx)
	out.Losses = len(losses)
	return out, err
}

// Losses are transfers that an earlier home wrote and this region never got.
func (h *Homes) Losses(ctx context.Context) ([]throng.HomeLoss, error) {
	if h.cfg.Copies == nil {
		return nil, nil
	}
	return h.cfg.Copies.Losses(ctx)
}
