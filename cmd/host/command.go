package host

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/cmd/command"
	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/trace"
)

// Command is one game server's command line. Its orchestrator tells it who it is,
// or the region's door does, once Agones has allocated it.
type Command struct {
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
	command.KafkaFlags
	cacheFlags
	MemoryMost int `default:"240" env:"THRONG_MEMORY_MOST" help:"End a session whose process holds more, MiB; 0: never. A script holds 64, which takes up to three times as much." placeholder:"MIB"`
	agonesFlags
	command.CallFlags
	command.TraceFlags
	command.LogFlags
}

// Validate checks what the values say together.
func (c *Command) Validate() error {
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
	return c.KafkaFlags.Validate()
}

// Run hosts one session and ends. in is standard input, which Tied reads; logs go
// to out.
func (c *Command) Run(ctx context.Context, in io.Reader, out io.Writer) error {
	logger := c.Logger(out)
	life, stop := newLifetime(ctx, c.Grace, logger)
	defer stop()
	ctx, cancel := context.WithCancelCause(life.now) //nolint:contextcheck // life's end is ctx's, and the signals'
	defer cancel(nil)
	if c.Tied {
		go func() {
			_, err := io.Copy(io.Discard, in)
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
func (c *Command) underAgones(ctx context.Context, life *lifetime, logger *slog.Logger) error {
	if _, err := command.DoorURLs(c.Addr); err != nil {
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
		err = c.serve(ctx, who, surroundings{ways: ways, life: life, display: a, logger: logger})
		if err == nil {
			a.buried(idle)
		}
		return err
	})
}

// wait says that the server is ready and returns who it is, once it is allocated.
func (c *Command) wait(ctx context.Context, a *allocation, logger *slog.Logger) (throng.ServerClaim, error) {
	if err := a.allocated(ctx); err != nil {
		return throng.ServerClaim{}, err
	}
	over, err := c.HTTP(logger)
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
	display *allocation     // nil: it is not under Agones
	events  *command.Events // nil: nothing is published
	logger  *slog.Logger
}

// serve hosts one session, and publishes what happens in it.
func (c *Command) serve(ctx context.Context, who identity, in surroundings) (err error) {
	in.logger = in.logger.With("server", who.server)
	in.events, err = command.NewEvents(command.EventsConfig{URL: c.Kafka, Spool: c.Spool, Region: throng.ServerID(who.server).Region(), Logger: in.logger})
	if err != nil {
		return err
	}
	telling, tellNoMore := context.WithCancel(context.WithoutCancel(ctx))
	told := make(chan error, 1)
	go func() { told <- in.events.Run(telling) }()
	err = c.host(ctx, who, in)
	tellNoMore()
	return errors.Join(err, <-told)
}

func (c *Command) host(ctx context.Context, who identity, in surroundings) error {
	server, tracer, err := c.server(who, in)
	if err != nil {
		return err
	}
	defer context.AfterFunc(in.life.soon, func() { //nolint:contextcheck // the same
		if in.life.grace > 0 {
			server.Leave("its machine or its process has to end", in.life.left())
		}
	})()
	return command.Traced(ctx, tracer, server.Run)
}

func (c *Command) server(who identity, in surroundings) (*gameserver.Server, *trace.Tracer, error) {
	id, err := throng.ParseServerID("THRONG_SERVER", who.server)
	if err != nil {
		return nil, nil, err
	}
	doors, err := command.DoorURLs(who.doors)
	if err != nil {
		return nil, nil, err
	}
	over, err := c.HTTP(in.logger)
	if err != nil {
		return nil, nil, err
	}
	door, err := client.NewServer(client.ServerConfig{Addr: strings.Join(doors, ","), Server: id, Token: who.token, HTTP: over})
	if err != nil {
		return nil, nil, err
	}
	var entropy throng.Entropy
	rand.Read(entropy[:])
	tracer, err := c.Tracer("throng gameserver", id.Region(), who.server, in.logger, nil)
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
	// Raw, as it never waits: another call wakes a thread of the runtime's in each step.
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		return time.Duration(time.Now().UnixNano())
	}
	return time.Duration(t.Nano())
}
