package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/place"
	"github.com/throng-gg/throng/script"
	"github.com/throng-gg/throng/trace"
	"github.com/throng-gg/throng/wire"
)

// gameserverCmd is one game server. Its orchestrator tells it who it is, or the
// region's door does, once Agones has allocated it.
type gameserverCmd struct {
	Addr        string        `required:"" env:"THRONG_ADDR" help:"URL of the region's door, or of several, separated by commas." placeholder:"URL,..."`
	Server      string        `env:"THRONG_SERVER" help:"ID of this server." placeholder:"ID"`
	ServerToken string        `env:"THRONG_SERVER_TOKEN" help:"Its credential." placeholder:"TOKEN"`
	UDP         string        `default:"127.0.0.1:0" env:"THRONG_UDP" help:"Where players connect; port 0 takes a free one." placeholder:"HOST:PORT"`
	PublicUDP   string        `env:"THRONG_PUBLIC_UDP" help:"The same as players see it, when that differs. Under Agones the GameServer says it." placeholder:"HOST:PORT"`
	Web         string        `default:"127.0.0.1:0" env:"THRONG_WEB" help:"Where browsers connect: UDP for WebTransport and TCP for WebSockets; off: nowhere." placeholder:"HOST:PORT"`
	PublicWeb   string        `env:"THRONG_PUBLIC_WEB" help:"The same as browsers see it, when that differs. Under Agones the GameServer says it." placeholder:"HOST:PORT"`
	Tied        bool          `env:"THRONG_TIED" help:"End when standard input ends, that is with whoever started it."`
	EmptyAfter  time.Duration `default:"60s" env:"THRONG_EMPTY_AFTER" help:"End a session that nobody was in for so long."`
	KeepSeat    time.Duration `default:"30s" env:"THRONG_KEEP_SEAT" help:"Keep the seat of a player whose connection was lost for so long."`
	SaveEvery   time.Duration `default:"3m" env:"THRONG_SAVE_EVERY" help:"How often it is looked at whether a player's profile has changed and is to be saved."`
	Grace       time.Duration `default:"60s" env:"THRONG_GRACE" help:"From SIGTERM to the end: meanwhile players are moved to other sessions. 0s: it ends at once, as at a second SIGTERM or SIGINT."`
	Spool       string        `env:"THRONG_SPOOL" type:"path" help:"Folder of the machine for events while Kafka is away: up to 64 MiB for each game server; without it they are kept in memory, some thousands." placeholder:"DIR"`
	kafkaFlags
	cacheFlags
	MemoryMost int `default:"240" env:"THRONG_MEMORY_MOST" help:"End a session whose process holds more, MiB; 0: never. A script holds 64, which takes up to three times as much." placeholder:"MIB"`
	agonesFlags
	callFlags
	traceFlags
	logFlags
}

// Validate checks what the values say together.
func (c *gameserverCmd) Validate() error {
	switch {
	case c.MemoryMost < 0:
		return throng.AtField(throng.Invalid, "--memory-most", "%d is not allowed, it must be 0 (any) or more MiB", c.MemoryMost)
	case c.Grace < 0:
		return throng.AtField(throng.Invalid, "--grace", "%s is not allowed, it must be 0s or more", c.Grace)
	case c.Agones && (c.Server != "" || c.ServerToken != ""):
		return throng.AtField(throng.Invalid, "--server", "and --server-token are told by the door under --agones")
	case !c.Agones && (c.Server == "" || c.ServerToken == ""):
		return throng.AtField(throng.Invalid, "--server", "and --server-token are needed (THRONG_SERVER, THRONG_SERVER_TOKEN), or --agones")
	}
	return c.kafkaFlags.Validate()
}

// Run hosts one session and ends.
func (c *gameserverCmd) Run(e *env) error {
	logger := c.logger(e)
	life, stop := newLifetime(e, c.Grace, logger)
	defer stop()
	ctx, cancel := context.WithCancelCause(life.now)
	defer cancel(nil)
	if c.Tied {
		go func() {
			_, err := io.Copy(io.Discard, e.in)
			cancel(fmt.Errorf("whoever started this server is gone: %w", errors.Join(err, io.EOF)))
		}()
	}
	if c.Agones {
		return c.underAgones(ctx, life, logger)
	}
	ways, err := c.ways(logger)
	if err != nil {
		return err
	}
	return ways.serve(ctx, func() error {
		who := identity{server: c.Server, token: c.ServerToken, doors: c.Addr}
		return c.serve(ctx, who, surroundings{ways: ways, life: life, logger: logger})
	})
}

// underAgones is a game server's life as a GameServer.
func (c *gameserverCmd) underAgones(ctx context.Context, life *lifetime, logger *slog.Logger) error {
	if _, err := doorURLs(c.Addr); err != nil {
		return err
	}
	a, err := c.sidecar(logger)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var sidecar sync.WaitGroup
	sidecar.Go(func() { a.run(running) })
	defer sidecar.Wait()
	defer stop()
	defer a.over(ctx)
	game, web, err := a.addresses(ctx)
	if err != nil {
		return err
	}
	c.PublicUDP, c.PublicWeb = game.String(), web.String()
	if !web.IsValid() {
		c.Web, c.PublicWeb = "off", ""
	}
	ways, err := c.ways(logger)
	if err != nil {
		return err
	}
	return ways.serve(ctx, func() error {
		idle, stop := context.WithCancel(ctx)
		defer stop()
		defer context.AfterFunc(life.soon, stop)() //nolint:contextcheck // the process's own, beside its end at once
		claim, err := c.wait(idle, a, logger)
		switch {
		case err != nil && (idle.Err() != nil || errors.Is(err, errNotWanted)):
			logger.InfoContext(ctx, "ended before it had a session", "reason", err)
			return nil
		case err != nil:
			return err
		}
		who := identity{server: string(claim.Server), token: claim.Token, doors: doorsOf(c.Addr, claim)}
		return c.serve(ctx, who, surroundings{ways: ways, life: life, display: a, logger: logger})
	})
}

// wait says that the server is ready and returns who it is, once it is allocated.
func (c *gameserverCmd) wait(ctx context.Context, a *allocation, logger *slog.Logger) (throng.ServerClaim, error) {
	if err := a.allocated(ctx); err != nil {
		return throng.ServerClaim{}, err
	}
	over, err := c.http(logger)
	if err != nil {
		return throng.ServerClaim{}, err
	}
	return c.claim(ctx, c.Addr, over, logger)
}

// identity is who a game server is, and where it speaks.
type identity struct{ server, token, doors string }

// surroundings is what a game server lives in.
type surroundings struct {
	ways    *ways
	life    *lifetime
	display *allocation // nil: it is not under Agones
	events  *events     // nil: nothing is published
	logger  *slog.Logger
}

// serve hosts one session, and publishes what happens in it.
func (c *gameserverCmd) serve(ctx context.Context, who identity, in surroundings) (err error) {
	in.logger = in.logger.With("server", who.server)
	in.events, err = newEvents(eventsConfig{url: c.Kafka, spool: c.Spool, region: throng.ServerID(who.server).Region(), logger: in.logger})
	if err != nil {
		return err
	}
	telling, tellNoMore := context.WithCancel(context.WithoutCancel(ctx))
	told := make(chan error, 1)
	go func() { told <- in.events.run(telling) }()
	err = c.host(ctx, who, in)
	tellNoMore()
	return errors.Join(err, <-told)
}

func (c *gameserverCmd) host(ctx context.Context, who identity, in surroundings) error {
	server, tracer, err := c.server(who, in)
	if err != nil {
		return err
	}
	defer context.AfterFunc(in.life.soon, func() { //nolint:contextcheck // the same
		if in.life.grace > 0 {
			server.Leave("its machine or its process has to end", in.life.left())
		}
	})()
	return traced(ctx, tracer, server.Run)
}

func (c *gameserverCmd) server(who identity, in surroundings) (*gameserver.Server, *trace.Tracer, error) {
	id, err := throng.ParseServerID("THRONG_SERVER", who.server)
	if err != nil {
		return nil, nil, err
	}
	doors, err := doorURLs(who.doors)
	if err != nil {
		return nil, nil, err
	}
	over, err := c.http(in.logger)
	if err != nil {
		return nil, nil, err
	}
	door, err := client.NewServer(client.ServerConfig{Addr: strings.Join(doors, ","), Server: id, Token: who.token, HTTP: over})
	if err != nil {
		return nil, nil, err
	}
	var entropy throng.Entropy
	rand.Read(entropy[:])
	tracer, err := c.tracer("throng gameserver", id.Region(), who.server, in.logger, nil)
	if err != nil {
		return nil, nil, err
	}
	fetched, err := c.packages(door, in.logger)
	if err != nil {
		return nil, nil, err
	}
	cfg := gameserver.Config{
		ID:          id,
		Incarnation: throng.MakeIncarnation(entropy),
		Control:     client.Control[gameserver.Directives]{Server: door},
		Registry:    door,
		Packages:    fetched,
		Transport:   in.ways.joined,
		Logs:        door,
		Handoffs:    door,
		Drains:      door,
		Profiles:    door,
		Ledger:      door,
		Load:        loadPlace,
		BootClock:   bootClock,
		EmptyAfter:  c.EmptyAfter,
		KeepSeat:    c.KeepSeat,
		MemoryMost:  int64(c.MemoryMost) << 20,
		SaveEvery:   c.SaveEvery,
		Token:       reconnectTokens(in.ways.joined.Address()),
		Logger:      in.logger,
		Metrics:     prometheus.NewRegistry(),
	}
	if tracer != nil {
		cfg.Arrivals = tracer
	}
	if in.events != nil {
		cfg.Events = in.events
	}
	if in.display != nil {
		cfg.Display = in.display
	}
	server, err := gameserver.New(cfg)
	return server, tracer, err
}

// bootClock counts also while the machine sleeps.
func bootClock() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return time.Duration(time.Now().UnixNano())
	}
	return time.Duration(t.Nano())
}

// loadPlace compiles a place's script for a session.
func loadPlace(cfg gameserver.LoadConfig) (gameserver.Place, error) {
	manifest, err := place.ParseManifest(cfg.Files[place.ManifestFile])
	if err != nil {
		return gameserver.Place{}, err
	}
	logger := cfg.Logger
	vm, err := script.New(script.Config{
		Files:    cfg.Files,
		Entry:    path.Clean(manifest.Entry),
		World:    scriptWorld{cfg.World},
		Seed:     seedOf(cfg.Handover.Session),
		Capacity: cfg.Handover.Capacity,
		Signals:  manifest.Signals, SetAttribute: cfg.SetAttribute,
		Handoff: func(call uint64, h script.Handoff) { cfg.Handoff(call, gameserver.HandoffAsk(h)) },
		Store:   cfg.Store,
		Send:    cfg.Send,
		Publish: cfg.Publish,
		Ready:   cfg.Ready,
		Log: func(level throng.LogLevel, line string) {
			logger.Info("script", "line", line)
			cfg.Log(level, line)
		},
	})
	if err != nil {
		return gameserver.Place{}, err
	}
	return gameserver.Place{Script: &scripted{vm: vm, cfg: cfg}, TickRate: manifest.TickRate, Signals: manifest.Signals}, nil
}

// seedOf makes a session's randomness its own, and the same when it is replayed.
func seedOf(s throng.SessionID) uint64 {
	key := wire.SessionKey([32]byte{}, s)
	var seed uint64
	for _, b := range key[:8] {
		seed = seed<<8 | uint64(b)
	}
	return seed
}

// scriptWorld is the world as scripts know it.
type scriptWorld struct{ *gameserver.World }

// Define makes an entity kind.
func (w scriptWorld) Define(name string, fields []script.Field) (int, error) {
	out := make([]wire.Field, len(fields))
	for i, f := range fields {
		out[i] = wire.Field{Name: f.Name, Kind: wire.FieldKind(f.Kind), Min: f.Min, Max: f.Max, Precision: f.Precision, Owner: f.Owner, Within: f.Within}
	}
	return w.World.Define(name, out)
}

// Gait says how entities of a kind move.
func (w scriptWorld) Gait(kind int, g script.Gait) error { return w.World.Gait(kind, wire.Gait(g)) }

// scripted is a script as the session loop knows it: errors that the session
// survives are logged, the others end it.
type scripted struct {
	vm  *script.VM
	cfg gameserver.LoadConfig
}

func (s *scripted) survive(err error) error {
	if err == nil || script.Fatal(err) {
		return err
	}
	s.cfg.ScriptError(err)
	return nil
}

// Start runs the place's start callback.
func (s *scripted) Start() error { return s.survive(s.vm.Start()) }

// Join tells the script of a player.
func (s *scripted) Join(p throng.PlayerID, from throng.Origin, brought ...throng.Attribute) error {
	return s.survive(s.vm.JoinFrom(p, from, brought...))
}

// Leave tells the script that a player left.
func (s *scripted) Leave(p throng.PlayerID) error { return s.survive(s.vm.Leave(p)) }

// Input brings a player's newest input.
func (s *scripted) Input(p throng.PlayerID, in gameserver.Input) error {
	return s.survive(s.vm.Input(p, script.Input(in)))
}

// Message brings what a player's client sent.
func (s *scripted) Message(p throng.PlayerID, m throng.Message) error {
	return s.survive(s.vm.Message(p, m))
}

// Tick runs one simulation step.
func (s *scripted) Tick(dt float64) error { return s.survive(s.vm.Tick(dt)) }

// Handed tells the script what became of a handoff.
func (s *scripted) Handed(call uint64, result error) error {
	return s.survive(s.vm.Handed(call, result))
}

// Drain tells the script that its players are to move.
func (s *scripted) Drain(left time.Duration) (waits bool, err error) {
	waits, err = s.vm.Drain(left)
	return waits, s.survive(err)
}

// Loaded tells the script of a player's profile.
func (s *scripted) Loaded(p throng.PlayerID, profile throng.Profile, result error) error {
	return s.survive(s.vm.Loaded(p, profile, result))
}

// Document is what is to be saved of a player.
func (s *scripted) Document(p throng.PlayerID) ([]byte, error) {
	doc, err := s.vm.Document(p)
	return doc, s.survive(err)
}

// Saved tells the script what became of a save.
func (s *scripted) Saved(call uint64, result error) error { return s.survive(s.vm.Saved(call, result)) }

// Posted tells the script what became of a transfer.
func (s *scripted) Posted(call uint64, r throng.Receipt, result error) error {
	return s.survive(s.vm.Posted(call, r, result))
}

// Held tells the script what a player owns.
func (s *scripted) Held(call uint64, h throng.Holding, result error) error {
	return s.survive(s.vm.Held(call, h, result))
}
