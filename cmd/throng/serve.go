package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/autoscale"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/cmd/command"
	"github.com/throng-gg/throng/cmd/host"
	"github.com/throng-gg/throng/disk"
	"github.com/throng-gg/throng/fleet"
	"github.com/throng-gg/throng/process"
)

// serveCmd runs one part of a region.
type serveCmd struct {
	Control serveControlCmd `cmd:"" help:"The control plane: door, matchmaker, registry and orchestrator. Game servers run on nodes and go on when it restarts."`
	Node    serveNodeCmd    `cmd:"" help:"A machine that runs game servers as children of its own."`
}

// nodeTokenFile is where the control plane leaves the credential of nodes.
const nodeTokenFile = "node.token"

// serveControlCmd is a region's control plane. DATA/node.token is what its
// first node needs.
type serveControlCmd struct {
	fileFlags
	groundFlags
	command.CallFlags // of other replicas, and of other regions' doors
	peersFlags
	autoscalerFlags
	Clusters string        `help:"File that says on which Kubernetes clusters with Agones game servers run (YAML: docs/operations.md). Without it they run on nodes." placeholder:"FILE" type:"path"`
	Public   string        `help:"URL of the door as game servers and other replicas reach it; by default as it listens." placeholder:"URL"`
	WarmMost int           `default:"0" help:"Most idle game servers kept ready by each replica while many sessions are opened; 0: a quarter of --max. --warm is the least."`
	Dev      bool          `help:"Hand out access tokens to whoever asks (POST /v1/dev/token)."`
	StopWait time.Duration `default:"0s" help:"How long the door stays open once it is told to stop and says that it is not ready, for balancers to notice; up to 8s."`
}

// stopWaitMost leaves time to stop within ten seconds.
const stopWaitMost = 8 * time.Second

// Validate checks what the values say together.
func (c *serveControlCmd) Validate() error {
	if c.StopWait < 0 || c.StopWait > stopWaitMost {
		return throng.AtField(throng.Invalid, "--stop-wait", "%s is not allowed, 0s to %s are", c.StopWait, stopWaitMost)
	}
	if c.WarmMost < 0 || c.WarmMost > c.Max {
		return throng.AtField(throng.Invalid, "--warm-most", "%d idle servers make no sense, 0 to %d (--max) are allowed", c.WarmMost, c.Max)
	}
	if c.Public != "" {
		if _, err := command.DoorURL(c.Public); err != nil {
			return throng.AtField(throng.Invalid, "--public", "%q is not allowed, it must be a URL like http://10.0.0.7:7700", c.Public)
		}
	}
	if err := c.groundFlags.Validate(); err != nil {
		return err
	}
	_, err := c.others(throng.RegionID(c.Region))
	return err
}

// Run serves until e.ctx ends. Game servers go on.
func (c *serveControlCmd) Run(e *env) error {
	relaxCollector()
	g, err := c.open(e, c.folder)
	if err != nil {
		return err
	}
	st, err := newStores(e.ctx, g, throng.TokenTime)
	if err == nil {
		err = c.serve(e, g, st)
	}
	return errors.Join(err, g.close())
}

// warmMost is the ceiling of the stock.
func (c *serveControlCmd) warmMost() int {
	if c.WarmMost == 0 {
		return max(c.Max/4, c.Warm)
	}
	return c.WarmMost
}

func (c *serveControlCmd) serve(e *env, g *ground, st stores) error {
	url := g.url
	if c.Public != "" {
		var err error
		if url, err = command.DoorURL(c.Public); err != nil {
			return err
		}
	}
	over, err := c.HTTP(g.logger)
	if err != nil {
		return err
	}
	peers, err := c.newPeers(g, func(throng.RegionID) *http.Client { return over })
	if err != nil {
		return err
	}
	kafkas, err := c.kafkas(g.flags)
	if err != nil {
		return err
	}
	var plane *control
	h, err := c.hosts(g, url, func() *control { return plane })
	if err != nil {
		return err
	}
	plane, err = newControl(controlConfig{
		ground: g, stores: st, hosts: h, dev: c.Dev, public: url, http: over, stopWait: c.StopWait,
		warmMost: c.warmMost(), peers: peers, kafkas: kafkas,
	})
	if err != nil {
		return err
	}
	scaler, err := newAutoscaler(e, autoscalerConfig{flags: c.autoscalerFlags, hosts: h, Config: autoscale.Config{
		Demand:  plane.fleet,
		Logger:  g.logger.With("part", "autoscale"),
		Metrics: g.metrics,
	}})
	if err != nil {
		return err
	}
	if err := publishExamples(e.ctx, plane.publisher(), g.logger); err != nil {
		scaler.close()
		return err
	}
	fmt.Fprintf(e.out, "throng control listens at %s\n", url)
	if scaler != nil {
		fmt.Fprintf(e.out, "FleetAutoscalers are answered at %s\n", scaler.url)
	}
	group, ctx := errgroup.WithContext(e.ctx)
	group.Go(func() error { return scaler.run(ctx) })
	group.Go(func() error { return tendCollector(ctx) })
	running, stop := context.WithCancel(context.WithoutCancel(e.ctx))
	defer stop()
	group.Go(func() error { return h.run(running) })
	group.Go(func() error {
		defer stop() // nodes stay connected as long as the plane runs
		return plane.run(ctx)
	})
	return group.Wait()
}

// hosts is what game servers run on.
type hosts struct {
	backend fleet.Backend
	nodes   api.NodeHandler // nil: no nodes
	claims  api.Claims      // nil: no clusters
	atOnce  int             // most allocations under way; 0: the fleet's default
	shared  bool            // all on this machine
	buries  bool            // a server that is over is released, as its end is heard late
	// patience is how long an opening waits when there are no more game servers.
	patience time.Duration
	sites    autoscale.Clusters              // where servers run; nil: on nodes
	fleets   []autoscale.Fleet               // of the clusters
	servers  map[string]*rest.Config         // their API servers, by name of the cluster
	run      func(ctx context.Context) error // nil: somebody else runs it
}

// hosts makes what game servers run on: clusters, or nodes. public is the door's
// URL; plane is asked once it runs.
func (c *serveControlCmd) hosts(g *ground, public string, plane func() *control) (hosts, error) {
	doors := func() []string { doors, _ := plane().doors(); return doors }
	if c.Clusters != "" {
		return clusterHosts(c.Clusters, public, g, doors)
	}
	if err := renewNodeToken(c.Data, g.region, g.secrets); err != nil {
		return hosts{}, err
	}
	nodes, err := process.NewNodes(process.NodesConfig{
		Env: serverEnv(g, doors),
		// A node that cannot be reached costs no session whose server can.
		Heard:   func(ids []throng.ServerID) []throng.ServerID { return plane().heard(ids) },
		Logger:  g.logger.With("part", "process"),
		Metrics: g.metrics,
	})
	if err != nil {
		return hosts{}, err
	}
	return hosts{backend: nodes, nodes: nodes, run: func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return keepNodeToken(ctx, g) })
		group.Go(func() error { return nodes.Run(ctx) })
		return group.Wait()
	}}, nil
}

// nodeTokenCheck is how often the node's credential is looked at.
const nodeTokenCheck = 5 * time.Second

// keepNodeToken keeps the credential of the region's first node fresh until ctx
// ends. What cannot be written now is tried again.
func keepNodeToken(ctx context.Context, g *ground) error {
	tick := time.NewTicker(nodeTokenCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := renewNodeToken(g.flags.Data, g.region, g.secrets); err != nil {
			g.logger.WarnContext(ctx, "the node's credential was not renewed", "part", "auth", "err", err)
		}
	}
}

// renewNodeToken leaves the credential of the region's first node, which reads
// it whenever it connects: a new one for the same node when the secret that
// signs is another, or half of its time is over. Further nodes get theirs from
// throng token.
func renewNodeToken(folder string, region throng.Region, keys *secrets) error {
	path := filepath.Join(folder, nodeTokenFile)
	text, err := os.ReadFile(path)
	old := strings.TrimSpace(string(text))
	if err == nil && keys.Fresh(old) {
		return nil
	}
	var token string
	write := disk.WriteNew // another replica may be first, with another node's name
	if id, bad := nodeOf(old); err == nil && bad == nil {
		token, err = keys.NodeToken(id)
		write = disk.Replace // a node may be reading
	} else {
		token, err = newNodeToken(region, keys)
	}
	if err != nil {
		return err
	}
	if err := write(path, []byte(token+"\n"), 0o600); err != nil {
		return fmt.Errorf("leave the node's credential: %w", err)
	}
	return nil
}

// newNodeToken makes the credential of a new node, which carries its ID.
func newNodeToken(region throng.Region, keys *secrets) (string, error) {
	var entropy throng.Entropy
	rand.Read(entropy[:])
	return keys.NodeToken(throng.MakeNodeID(region.ID, entropy))
}

// serveNodeCmd is a machine that runs game servers.
type serveNodeCmd struct {
	fileFlags
	Addr      string `default:"http://127.0.0.1:7700" env:"THRONG_ADDR" help:"URL of the region's door; of all its doors, separated by commas, where the control plane has replicas." placeholder:"URL,..."`
	Token     string `env:"THRONG_NODE_TOKEN" help:"The node's credential." xor:"token" secret:""`
	TokenFile string `help:"File with the node's credential: DATA/node.token of the control plane." type:"path" xor:"token"`
	Data      string `default:"./node-data" type:"path" help:"Folder for the game servers' logs, and for what is running, so that a node started again finds it."`
	Max       int    `default:"64" help:"Most game servers at once on this machine."`
	// Grace is that of its game servers.
	Grace      time.Duration `default:"0s" help:"From SIGTERM to the end of its game servers: meanwhile their players are moved to other nodes. 0s: they end at once."`
	CacheLimit int           `default:"2048" help:"Most that packages of places under DATA/packages take, which its game servers share." placeholder:"MIB"`
	serverLimits
	command.CallFlags // also of its game servers
	command.LogFlags
}

// Validate checks what the values say together.
func (c *serveNodeCmd) Validate() error {
	if c.Max < 1 {
		return throng.AtField(throng.Invalid, "--max", "%d servers make no sense, 1 or more are allowed", c.Max)
	}
	if c.CacheLimit < 1 {
		return throng.AtField(throng.Invalid, "--cache-limit", "%d is not allowed, 1 MiB or more is", c.CacheLimit)
	}
	if c.Grace < 0 {
		return throng.AtField(throng.Invalid, "--grace", "%s is not allowed, it must be 0s or more", c.Grace)
	}
	_, err := command.DoorURLs(c.Addr)
	return errors.Join(err, c.serverLimits.Validate())
}

// Run keeps game servers until e.ctx ends; then it ends them.
func (c *serveNodeCmd) Run(e *env) error {
	logger := c.Logger(e.err)
	doors, err := command.DoorURLs(c.Addr)
	if err != nil {
		return err
	}
	token, err := c.token()
	if err != nil {
		return err
	}
	id, err := nodeOf(token)
	if err != nil {
		return err
	}
	program, err := c.command()
	if err != nil {
		return err
	}
	over, err := c.HTTP(logger)
	if err != nil {
		return err
	}
	backend, err := process.New(process.Config{
		Command: program,
		Env: func(throng.ServerID) ([]string, error) {
			return slices.Concat(c.Env(), host.CacheEnv(filepath.Join(c.Data, "packages"), c.CacheLimit), spoolEnv(c.Data), []string{"THRONG_GRACE=" + c.Grace.String()}), nil
		},
		Grace:       c.Grace,
		Max:         c.Max,
		LogDir:      filepath.Join(c.Data, "logs"),
		StateDir:    filepath.Join(c.Data, "servers"),
		MemoryBytes: int64(c.ServerMemory) << 20,
		CPUs:        c.ServerCPU,
		Logger:      logger.With("part", "process"),
	})
	if err != nil {
		return err
	}
	node, err := process.NewNode(process.NodeConfig{Host: backend, Addrs: doors, Token: c.token, ID: id, Client: over, Logger: logger})
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "throng node serves %s with up to %d game servers\n", strings.Join(doors, ", "), c.Max)
	backendCtx, stop := context.WithCancel(context.WithoutCancel(e.ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- backend.Run(backendCtx) }()
	err = node.Run(e.ctx)
	stop()
	return errors.Join(err, <-ended)
}

// nodeOf reads which node a credential is for. Whether it is good is for the
// door to say.
func nodeOf(token string) (throng.NodeID, error) {
	var claims jwt.RegisteredClaims
	if _, _, err := jwt.NewParser().ParseUnverified(token, &claims); err != nil {
		return "", throng.AtField(throng.Invalid, "--token-file", "is not a node's credential: %w", err)
	}
	return throng.ParseNodeID("--token-file", claims.Subject)
}

func (c *serveNodeCmd) token() (string, error) {
	if c.TokenFile == "" {
		if c.Token == "" {
			return "", throng.AtField(throng.Invalid, "--token-file", "is needed: DATA/%s of the control plane", nodeTokenFile)
		}
		return c.Token, nil
	}
	text, err := os.ReadFile(c.TokenFile)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
