package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/cmd/command"
	"github.com/throng-gg/throng/cmd/host"
	"github.com/throng-gg/throng/examples"
	"github.com/throng-gg/throng/place"
	"github.com/throng-gg/throng/process"
)

// devCmd is the whole platform on one machine.
type devCmd struct {
	fileFlags
	groundFlags
	serverLimits
	command.CallFlags // of its game servers, and of other regions' doors
	regionsFlags

	Gateway string `help:"Run a gateway, too, that players connect to in place of game servers." placeholder:"IP:PORT"`

	args []string // that it was called with
}

// serverLimits bound each game server, where this machine permits it.
type serverLimits struct {
	ServerMemory int     `default:"256" help:"Memory of one game server, MiB; 0: unlimited." placeholder:"MIB"`
	ServerCPU    float64 `default:"1" help:"Processors that one game server may use; 0: unlimited." placeholder:"N"`
	// ServerCommand is split at spaces.
	ServerCommand string `help:"Program of an engine of your own, with its arguments, in place of throng-gameserver; see docs/engines.md." placeholder:"COMMAND"`
}

// command is what game servers are started with.
func (l serverLimits) command() ([]string, error) {
	if own := strings.Fields(l.ServerCommand); len(own) > 0 {
		return own, nil
	}
	exe, err := gameServer()
	return []string{exe}, err
}

// Validate checks what the values say together.
func (c *devCmd) Validate() error {
	return errors.Join(c.groundFlags.Validate(), c.serverLimits.Validate(), c.check(c.groundFlags, c.Gateway))
}

// Validate checks what the values say.
func (l serverLimits) Validate() error {
	if l.ServerMemory < 0 {
		return throng.AtField(throng.Invalid, "--server-memory", "%d is not allowed, it must be 0 (unlimited) or more MiB", l.ServerMemory)
	}
	if !(l.ServerCPU >= 0) {
		return throng.AtField(throng.Invalid, "--server-cpu", "%g is not allowed, it must be 0 (unlimited) or more processors", l.ServerCPU)
	}
	return nil
}

// Run starts the platform and ends all that it started when e.ctx ends.
func (c *devCmd) Run(e *env) error {
	if c.Regions > 1 {
		return c.side(e)
	}
	g, err := c.open(e, c.folder)
	if err != nil {
		return err
	}
	return errors.Join(c.serve(e, g), g.close())
}

// devCache bounds the packages that its game servers share, MiB.
const devCache = 1024

// backend starts game servers as children that end with this process.
func (c *devCmd) backend(g *ground) (*process.Backend, error) {
	program, err := c.command()
	if err != nil {
		return nil, err
	}
	return process.New(process.Config{
		Command:     program,
		Env:         serverEnv(g, func() []string { return []string{g.url} }, slices.Concat(c.Env(), host.CacheEnv(filepath.Join(c.Data, "cache"), devCache), spoolEnv(c.Data), []string{"THRONG_GRACE=0s"})...),
		Max:         c.Max,
		LogDir:      filepath.Join(c.Data, "logs"),
		Tied:        true,
		MemoryBytes: int64(c.ServerMemory) << 20,
		CPUs:        c.ServerCPU,
		Logger:      g.logger.With("part", "process"),
		Metrics:     g.metrics,
	})
}

// ownLog starts a broker of its own when none is named, and lets events be consumed here.
func (c *devCmd) ownLog(ctx context.Context, g *ground) (closeLog func(), err error) {
	if g.flags.Consumers == "" {
		g.flags.Consumers = filepath.Join(c.Data, "consumers")
	}
	if g.flags.Kafka != "" {
		return func() {}, nil
	}
	b, err := ownBroker(ctx, c.Data, c.KafkaPort, g.logger)
	if err != nil {
		return nil, err
	}
	g.flags.Kafka = b.Address()
	return b.Close, nil
}

// serve runs the platform. The game servers end before the control plane does, so
// that what their players own is kept; none is started meanwhile.
func (c *devCmd) serve(e *env, g *ground) error {
	begun := time.Now()
	closeLog, err := c.ownLog(e.ctx, g)
	if err != nil {
		return err
	}
	defer closeLog()
	backend, err := c.backend(g)
	if err != nil {
		return err
	}
	st, err := newStores(e.ctx, g, 0)
	if err != nil {
		return err
	}
	edge, err := c.edge(e, g)
	if err != nil {
		return err
	}
	plane, err := c.plane(e.ctx, g, st, backend)
	if err != nil {
		return err
	}
	servers, stopServers := context.WithCancel(context.WithoutCancel(e.ctx))
	defer stopServers()
	ended := make(chan error, 1)
	go func() { ended <- backend.Run(servers) }()

	running, stop := context.WithCancel(context.WithoutCancel(e.ctx))
	defer stop()
	group, ctx := errgroup.WithContext(running)
	group.Go(func() error { return plane.run(ctx) })
	group.Go(func() error { return edge.run(ctx, g) })
	group.Go(func() error {
		if err := plane.awaitReady(ctx); err != nil {
			return nil //nolint:nilerr // stopped before it was ready; whoever stopped it has the reason
		}
		fmt.Fprintf(e.out, "throng is ready at %s after %s (Ctrl-C ends it)\n", g.url, time.Since(begun).Round(time.Millisecond))
		return nil
	})
	select {
	case <-e.ctx.Done():
	case <-ctx.Done(): // it failed
	}
	stopServers()
	err = <-ended
	stop()
	return errors.Join(group.Wait(), err)
}

// plane makes the control plane, with the examples published.
func (c *devCmd) plane(ctx context.Context, g *ground, st stores, backend *process.Backend) (*control, error) {
	over, err := c.HTTP(g.logger)
	if err != nil {
		return nil, err
	}
	peers, err := c.newPeers(g, func(id throng.RegionID) *http.Client { return slowly(over, c.Apart[string(id)]) })
	if err != nil {
		return nil, err
	}
	kafkas, err := c.kafkas(g.flags)
	if err != nil {
		return nil, err
	}
	plane, err := newControl(controlConfig{ground: g, stores: st, hosts: hosts{backend: backend, shared: true}, dev: true, public: g.url, peers: peers, kafkas: kafkas})
	if err != nil {
		return nil, err
	}
	return plane, publishExamples(ctx, plane.publisher(), g.logger)
}

// serverEnv is what a game server's process is told. It reaches the region at the
// doors.
func serverEnv(g *ground, doors func() []string, more ...string) func(throng.ServerID) ([]string, error) {
	return func(id throng.ServerID) ([]string, error) {
		token, err := g.secrets.EnrollToken(id)
		if err != nil {
			return nil, err
		}
		env := []string{
			"THRONG_ADDR=" + strings.Join(doors(), ","), "THRONG_SERVER=" + string(id), "THRONG_SERVER_TOKEN=" + token,
			"THRONG_KEEP_SEAT=" + g.flags.KeepSeat.String(), "THRONG_LOG_LEVEL=" + g.flags.LogLevel.String(),
		}
		return slices.Concat(env, kafkaEnv(g.flags.Kafka), g.flags.Env(), more), nil
	}
}

// publishExamples publishes the places that come with Throng, each once: a
// place that is there already stays as it is.
func publishExamples(ctx context.Context, catalog publisher, logger *slog.Logger) error {
	entries, err := fs.ReadDir(examples.Places, "places")
	if err != nil {
		return fmt.Errorf("read example places: %w", err)
	}
	for _, entry := range entries {
		id := throng.PlaceID(entry.Name())
		if _, err := catalog.Release(ctx, id); throng.KindOf(err) != throng.NotFound {
			continue
		}
		folder, err := fs.Sub(examples.Places, "places/"+entry.Name())
		if err != nil {
			return fmt.Errorf("read example place %s: %w", id, err)
		}
		files, err := place.ReadDir(folder)
		if err != nil {
			return fmt.Errorf("read example place %s: %w", id, err)
		}
		var upload bytes.Buffer
		if err := place.WriteUpload(&upload, files); err != nil {
			return fmt.Errorf("pack example place %s: %w", id, err)
		}
		release, err := catalog.Publish(ctx, throng.Editor{All: true}, id, &upload, throng.Publication{})
		if err != nil {
			return fmt.Errorf("publish example place %s: %w", id, err)
		}
		logger.InfoContext(ctx, "example place published", "place", string(id), "version", int(release.Version))
	}
	return nil
}
