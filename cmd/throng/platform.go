package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/cmd/command"
	"github.com/throng-gg/throng/consumer/analytics"
	"github.com/throng-gg/throng/edge/shed"
	"github.com/throng-gg/throng/fleet"
	"github.com/throng-gg/throng/friend"
	"github.com/throng-gg/throng/joinlog"
	"github.com/throng-gg/throng/match"
	"github.com/throng-gg/throng/party"
	"github.com/throng-gg/throng/place"
	"github.com/throng-gg/throng/placelog"
	"github.com/throng-gg/throng/play"
	"github.com/throng-gg/throng/replica"
	"github.com/throng-gg/throng/session"
	"github.com/throng-gg/throng/trace"
)

// controlConfig is what a control plane is made of.
type controlConfig struct {
	*ground
	hosts
	stores   stores
	dev      bool                       // serve dev tokens, and let creators take places that nobody owns
	public   string                     // URL of the door as game servers and other replicas reach it
	http     *http.Client               // calls other replicas; nil: the default
	peers    *elsewhere                 // the other regions; nil: there are none
	kafkas   map[throng.RegionID]string // of the other regions; none: players are not looked for there
	warmMost int                        // most idle servers kept ready by this replica; 0: always as many as --warm
	// stopWait is how long the door stays open, and says that it is not ready,
	// before the parts stop.
	stopWait time.Duration
}

// control is a region's control plane: door, matchmaker, registry, orchestrator
// and the catalog of places, in one process. There may be several of it, see
// replicas.go.
type control struct {
	cfg      controlConfig
	replicas *replica.Replicas // nil: there is one process
	catalog  *place.Catalog
	logs     commonLog
	joins    *joinlog.Log  // nil: joins are not recorded
	tracer   *trace.Tracer // nil: joins are not traced
	registry *session.Registry
	parties  *party.Parties
	friends  *friend.Book
	fleet    *fleet.Orchestrator
	drains   drainStore
	own      *own    // nil: what players own is not kept
	events   *events // nil: nothing is published
	// consumers apply events; nil: another process does, or nobody.
	consumers *consumers
	homes     *homes  // where what players own is written; nil: here
	copied    *copied // what is written elsewhere; nil: nothing is copied
	abroad    *abroad // where players of other regions are; nil: it is not known
	match     *match.Matchmaker
	door      *api.API
	server    *http.Server
	stopping  atomic.Bool
}

// newControl connects the parts. It starts nothing.
func newControl(cfg controlConfig) (*control, error) {
	c := &control{cfg: cfg}
	for _, build := range []func() error{c.buildReplicas, c.buildEvents, c.buildCatalog, c.buildRegistry, c.buildSocial, c.buildAbroad, c.buildOwn, c.buildHome, c.buildMatch, c.buildDoor, c.buildConsumers} {
		if err := build(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *control) buildEvents() (err error) {
	c.events, err = newEvents(command.EventsConfig{
		URL: c.cfg.flags.Kafka, Spool: filepath.Join(c.cfg.flags.Data, spoolFolder), Region: c.cfg.region.ID, Logger: c.cfg.logger, Metrics: c.cfg.metrics,
	})
	return err
}

func (c *control) buildConsumers() (err error) {
	c.consumers, err = newConsumers(c)
	return err
}

func (c *control) buildCatalog() (err error) {
	c.catalog, err = place.New(place.Config{
		Records:      c.cfg.places.records,
		Packages:     c.cfg.places.packages,
		CheckScripts: checkFiles,
		Now:          time.Now,
		Logger:       c.cfg.logger.With("part", "place"),
		Metrics:      c.cfg.metrics,
	})
	if err != nil {
		return err
	}
	c.logs.replicas = c.replicas
	if c.logs.Log, err = placelog.New(placelog.Config{Metrics: c.cfg.metrics}); err != nil {
		return err
	}
	if c.cfg.flags.ExplainMemory == 0 {
		return nil
	}
	joins := joinlog.Config{Bytes: c.cfg.flags.ExplainMemory << 20, Logger: c.cfg.logger.With("part", "joinlog"), Metrics: c.cfg.metrics}
	if mib := c.cfg.flags.ExplainDisk; mib > 0 {
		joins.Dir, joins.DiskBytes = c.joinFolder(), mib<<20
	}
	if c.replicas != nil {
		joins.Peers = c.replicas
	}
	c.joins, err = joinlog.New(joins)
	return err
}

// buildRegistry makes the registry and the orchestrator, which need each other:
// the registry's orders go out over the orchestrator's connections.
func (c *control) buildRegistry() (err error) {
	courier := &courier{}
	c.registry, err = session.New(session.Config{
		Store:     c.cfg.stores.registry,
		Region:    c.cfg.region,
		Courier:   courier,
		Codes:     c.cfg.secrets,
		Key:       c.cfg.secrets.newKey,
		Over:      c.events.ended,
		Left:      c.events.tellGone,
		Elsewhere: func(p throng.PlayerID) throng.Epoch { return c.abroad.highest(p) },
		Parallel:  c.cfg.stores.parallel,
		Logger:    c.cfg.logger.With("part", "session"),
		Metrics:   c.cfg.metrics,
	})
	if err != nil {
		return err
	}
	c.fleet, err = fleet.New(fleet.Config{
		Region:    c.cfg.region,
		Backend:   c.cfg.backend,
		Registry:  c.registry,
		Keys:      c.cfg.secrets,
		Peers:     c.peers(),
		Stock:     c.cfg.flags.Warm,
		StockMost: c.cfg.warmMost,
		Max:       c.cfg.flags.Max,
		AtOnce:    c.cfg.atOnce,
		Shared:    c.cfg.shared,
		Buries:    c.cfg.buries,
		Patience:  c.cfg.patience,
		Logger:    c.cfg.logger.With("part", "fleet"),
		Metrics:   c.cfg.metrics,
	})
	courier.fleet = c.fleet
	c.drains = c.cfg.places.drains
	return err
}

func (c *control) buildAbroad() (err error) {
	c.abroad, err = newAbroad(c, c.cfg.kafkas)
	return err
}

// buildSocial makes what knows of players' companions.
func (c *control) buildSocial() (err error) {
	c.parties, err = party.New(party.Config{
		Store:   c.cfg.stores.parties,
		Region:  c.cfg.region.ID,
		Logger:  c.cfg.logger.With("part", "party"),
		Metrics: c.cfg.metrics,
	})
	if err != nil {
		return err
	}
	cfg := friend.Config{Store: c.cfg.stores.friends, Presences: c.registry, Region: c.cfg.region.ID}
	if len(c.cfg.kafkas) > 0 && c.events != nil { // there are others to tell
		cfg.Tell = c.events.Publish
	}
	c.friends, err = friend.New(cfg)
	return err
}

func (c *control) buildMatch() (err error) {
	c.tracer, err = c.cfg.flags.Tracer("throng control", c.cfg.region.ID, processName(), c.cfg.logger, c.cfg.metrics)
	if err != nil {
		return err
	}
	var all rememberers
	if c.joins != nil {
		all = append(all, c.joins)
	}
	if c.tracer != nil {
		all = append(all, c.tracer)
	}
	if c.events != nil {
		all = append(all, c.events)
	}
	var joins match.Joins // nil when nobody remembers
	if len(all) > 0 {
		joins = all
	}
	c.match, err = match.New(match.Config{
		Region:   c.cfg.region,
		Registry: c.registry,
		Sessions: c.registry,
		Fleet:    c.fleet,
		Servers:  c.fleet,
		Places:   c.catalog,
		Friends:  c.friends,
		Origins:  c.registry,
		Log:      c.logs,
		LineKeys: c.cfg.secrets,
		Joins:    joins,
		Process:  processName(),
		Logger:   c.cfg.logger.With("part", "match"),
		Metrics:  c.cfg.metrics,
	})
	return err
}

func (c *control) buildDoor() error {
	cfg, err := c.doorConfig()
	if err != nil {
		return err
	}
	if c.door, err = api.New(cfg); err != nil {
		return err
	}
	c.server = c.door.Server()
	c.server.TLSConfig = c.cfg.tls
	return nil
}

// doorConfig connects the door with the parts behind it.
func (c *control) doorConfig() (api.Config, error) {
	page, err := play.Handler()
	if err != nil {
		return api.Config{}, err
	}
	var devTokens api.DevTokens
	if c.cfg.dev {
		devTokens = c.cfg.secrets
	}
	var joins api.Joins
	if c.joins != nil {
		joins = c.joins
	}
	out := api.Config{
		Region:              c.cfg.region.ID,
		Regions:             c.regions,
		Auth:                c.cfg.auth,
		APIKeys:             c.cfg.keys,
		DevTokens:           devTokens,
		Unowned:             c.cfg.dev,
		MachineCertificates: c.cfg.flags.ClientCA != "",
		Matchmaker:          c.match,
		Tickets:             c.registry,
		Registry:            shared{c.registry, c.match, c.cfg.flags.PlaceEvents},
		Handoffs:            c.match,
		Origins:             c.registry,
		Directory:           c.registry,
		Whereabouts:         whereabouts{c},
		Places:              c.publisher(),
		Releases:            c.catalog,
		Owners:              c.catalog,
		Fleet:               attacher{c.fleet},
		Fleets:              operators{c},
		JoinTokens:          c.cfg.secrets,
		Gateways:            c.cfg.secrets.gateways,
		Codes:               c.cfg.secrets,
		Parties:             c.parties,
		Companions:          c.parties,
		Friends:             c.friends,
		Privacy:             c.friends,
		// Bots and tests bring whom they like.
		AllowRawParties: c.cfg.dev,
		Nodes:           c.cfg.nodes,
		Claims:          c.cfg.claims,
		Logs:            c.logs,
		Joins:           joins,
		Replicas:        c.hears(),
		Summaries:       summaries{c},
		URL:             c.cfg.flags.URL,
		Doors:           c.doors,
		Numbers:         analytics.Numbers{Board: c.cfg.stores.board},
		Bans:            c.cfg.stores.bans,
		Page:            page,
		Gatherer:        c.cfg.metrics,
		Ready:           c.ready,
		Late:            shed.Goroutines,
		Logger:          c.cfg.logger,
		Metrics:         c.cfg.metrics,
	}
	c.openMore(&out)
	return out, nil
}

// openMore connects what not every region has.
func (c *control) openMore(out *api.Config) {
	if c.cfg.peers != nil {
		out.Elsewhere = c.cfg.peers
	}
	c.openOwned(out)
}

// publisher is the catalog of places as creators reach it.
func (c *control) publisher() publisher {
	p := publisher{Catalog: c.catalog}
	if c.own != nil {
		p.ledger = c.own.ledger
	}
	return p
}

// hears is what takes the other replicas' calls.
func (c *control) hears() api.Replicas {
	if c.replicas == nil {
		return nil
	}
	return neighbor{c}
}

// ready says what is missing before joins go through this replica.
func (c *control) ready() error {
	if c.stopping.Load() {
		return throng.Errorf(throng.Unavailable, "it is stopping")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := c.registry.Now(ctx); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	if !c.fleet.Ready() {
		return throng.Errorf(throng.Unavailable, "fleet: warm game servers are still starting")
	}
	return nil
}

// run serves until ctx ends. Then it says that it is not ready, closes the door
// and stops the parts: game servers and clients go on at the next replica.
func (c *control) run(ctx context.Context) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		c.stopping.Store(true)
		time.AfterFunc(c.cfg.stopWait, stop)
	})()
	return c.serve(serving)
}

// serve runs the parts. What they are stored in goes last.
func (c *control) serve(ctx context.Context) error {
	storesCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- c.cfg.stores.run(storesCtx) }()
	told := make(chan error, 1)
	go func() { told <- c.events.run(storesCtx) }()
	err := c.runParts(ctx)
	stop()
	err = errors.Join(err, <-told)
	if c.own != nil {
		err = errors.Join(err, c.own.store.close())
	}
	return errors.Join(err, <-ended)
}

func (c *control) runParts(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.cfg.auth.Run(ctx) })
	group.Go(func() error { return c.cfg.places.run(ctx) })
	group.Go(func() error { return c.hangUps(ctx) })
	if c.replicas != nil {
		group.Go(func() error { return c.replicas.Run(ctx) })
	}
	group.Go(func() error { return c.registry.Run(ctx) })
	group.Go(func() error { return c.events.tellEnded(ctx, c.registry.Session) })
	group.Go(func() error { return c.consumers.run(ctx) })
	group.Go(func() error { return c.abroad.run(ctx) })
	group.Go(func() error { return c.homes.run(ctx) })
	group.Go(func() error { return c.copied.run(ctx) })
	if c.tracer != nil {
		group.Go(func() error { return c.tracer.Run(ctx) })
	}
	if c.joins != nil {
		group.Go(func() error { return c.joins.Run(ctx) })
	}
	if c.own != nil && c.own.relay != nil {
		group.Go(func() error {
			c.copied.known(ctx) // its copies say under which term it was written
			return c.own.relay.Run(ctx)
		})
	}
	group.Go(func() error { return c.fleet.Run(ctx) })
	group.Go(func() error { return c.watchDrains(ctx) })
	group.Go(func() error { return c.match.Run(ctx) })
	if c.cfg.peers != nil {
		group.Go(func() error { return c.cfg.peers.Run(ctx) })
	}
	group.Go(func() error { return c.parties.Run(ctx) })
	group.Go(func() error { return c.door.Run(ctx) })
	group.Go(func() error {
		if err := c.listen(); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("door: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := c.server.Shutdown(closing); err != nil {
			return c.server.Close()
		}
		return nil
	})
	return group.Wait()
}

func (c *control) listen() error {
	if c.cfg.tls != nil {
		return c.server.ServeTLS(c.cfg.listener, "", "")
	}
	return c.server.Serve(c.cfg.listener)
}

// hangUps reads the region's secrets anew at SIGHUP; it is done every few
// seconds anyway.
func (c *control) hangUps(ctx context.Context) error {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGHUP)
	defer signal.Stop(told)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-told:
			if err := c.cfg.secrets.Reload(); err != nil {
				c.cfg.logger.ErrorContext(ctx, "secrets were not read, the old ones stay", "err", err)
			}
		}
	}
}

// awaitReady returns when joins go through.
func (c *control) awaitReady(ctx context.Context) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if c.ready() == nil { //nolint:contextcheck // the same question as the door's, with its own bound
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// processName tells this process's records from others'.
func processName() string {
	var entropy throng.Entropy
	rand.Read(entropy[:])
	return string(throng.MakeIncarnation(entropy))
}

// newMetrics is a registry with what every Go process tells of itself.
func newMetrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// courier breaks the circle between registry and orchestrator: it is given its
// fleet before either runs.
type courier struct{ fleet *fleet.Orchestrator }

// Deliver sends an order to its server at once, if it is connected.
func (c *courier) Deliver(s throng.SessionID, server throng.ServerID, o throng.Order) {
	c.fleet.Deliver(s, server, o)
}

// attacher hands the door's control connections to the orchestrator.
type attacher struct{ fleet *fleet.Orchestrator }

// Attach registers a server's connection.
func (a attacher) Attach(hello throng.Hello, link api.Link) (detach func(left bool), err error) {
	return a.fleet.Attach(hello, link)
}
