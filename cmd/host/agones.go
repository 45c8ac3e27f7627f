package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/sdk"
	"github.com/throng-gg/throng/client"
)

const (
	// serverLabel is the label by which an allocation names a server.
	serverLabel = "throng.dev/server"
	// Names of a GameServer's ports. A port of both protocols becomes two.
	gamePort = "game"
	webPort  = "web"

	firstSight  = time.Minute      // for the sidecar to say where the server runs
	claimTime   = 5 * time.Minute  // from allocated to claimed
	claimFirst  = time.Second      // between two tries
	claimMost   = 5 * time.Second  // after many
	farewell    = 10 * time.Second // for the sidecar to hear that the server is over
	buryTime    = 5 * time.Second  // for the control plane to delete the GameServer first
	maxPodToken = 16 << 10         // bytes
)

// agonesFlags say how a game server lives under Agones.
type agonesFlags struct {
	Agones     bool   `env:"THRONG_AGONES" help:"Run as a GameServer of Agones: its sidecar says when this server is allocated, and the region's door who it is. --server and --server-token are not given then."`
	AgonesPort uint16 `default:"9358" env:"AGONES_SDK_HTTP_PORT" help:"Port of the sidecar's REST API, on the loopback interface."`
	TokenFile  string `default:"/var/run/secrets/throng/token" env:"THRONG_TOKEN_FILE" help:"With --agones: file with the pod's service account token, audience throng." type:"path"`
}

// allocation is a game server's life as a GameServer: the sidecar's word on it,
// and what the sidecar is told.
type allocation struct {
	client *sdk.Client
	board  *sdk.Board
	logger *slog.Logger

	mu     sync.Mutex
	now    sdk.GameServer // guarded by mu
	seen   bool           // guarded by mu
	change chan struct{}  // guarded by mu; closed, and made anew, when now changed
}

// sidecar is how the server speaks to Agones; it begins when it is run.
func (f agonesFlags) sidecar(logger *slog.Logger) (*allocation, error) {
	logger = logger.With("part", "agones")
	c, err := sdk.New(sdk.Config{Addr: "http://127.0.0.1:" + strconv.Itoa(int(f.AgonesPort)), Logger: logger})
	if err != nil {
		return nil, err
	}
	return &allocation{client: c, board: sdk.NewBoard(c, 0), logger: logger, change: make(chan struct{})}, nil
}

// run follows the GameServer, gives signs of life and shows what the server does,
// until ctx ends.
func (a *allocation) run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { _ = a.client.Watch(ctx, a.see) }) // ends with ctx only, as the others
	all.Go(func() {
		g, err := a.await(ctx, func(sdk.GameServer) bool { return true })
		if err == nil {
			_ = a.client.Keep(ctx, g.HealthEvery())
		}
	})
	all.Go(func() { _ = a.board.Run(ctx) })
	all.Wait()
}

func (a *allocation) see(g sdk.GameServer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now, a.seen = g, true
	close(a.change)
	a.change = make(chan struct{})
}

// await returns the GameServer once it is so.
func (a *allocation) await(ctx context.Context, is func(sdk.GameServer) bool) (sdk.GameServer, error) {
	for {
		a.mu.Lock()
		g, ok, change := a.now, a.seen, a.change
		a.mu.Unlock()
		if ok && is(g) {
			return g, nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return sdk.GameServer{}, ctx.Err()
		}
	}
}

// addresses waits until the sidecar says where players reach the server.
func (a *allocation) addresses(ctx context.Context) (game, web netip.AddrPort, err error) {
	ctx, cancel := context.WithTimeout(ctx, firstSight)
	defer cancel()
	g, err := a.await(ctx, func(g sdk.GameServer) bool { return len(g.Status.Ports) > 0 || g.Status.State.Over() })
	if err != nil {
		return game, web, throng.Errorf(throng.Unavailable, "the sidecar does not say where this server runs: %w", err)
	}
	return placesOf(g)
}

// placesOf reads a GameServer's addresses. A server without a port for the web is
// none for browsers.
func placesOf(g sdk.GameServer) (game, web netip.AddrPort, err error) {
	ip, err := g.IP()
	if err != nil {
		return game, web, err
	}
	port := g.Port(gamePort, "default")
	if port == 0 {
		return game, web, throng.Errorf(throng.Invalid, "GameServer %s has no port named %s", g.Meta.Name, gamePort)
	}
	udp, tcp := g.Port(webPort+"-udp", webPort), g.Port(webPort+"-tcp", webPort)
	switch {
	case udp != tcp:
		return game, web, throng.Errorf(throng.Invalid,
			"GameServer %s has port %d for UDP and %d for TCP of %s: make it one port of protocol TCPUDP", g.Meta.Name, udp, tcp, webPort)
	case udp != 0:
		web = netip.AddrPortFrom(ip, udp)
	}
	return netip.AddrPortFrom(ip, port), web, nil
}

// errNotWanted ends a server that was never allocated, in order.
var errNotWanted = errors.New("the GameServer is over before it was allocated")

// allocated says that the server is ready, and waits, for days if need be, until
// it is allocated.
func (a *allocation) allocated(ctx context.Context) error {
	for {
		err := a.client.Ready(ctx)
		if err == nil {
			break
		}
		a.logger.WarnContext(ctx, "not said ready, trying again", "err", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(claimFirst):
		}
	}
	g, err := a.await(ctx, func(g sdk.GameServer) bool {
		return g.Status.State.Over() || g.Status.State == sdk.Allocated && g.Meta.Labels[serverLabel] != ""
	})
	switch {
	case err != nil:
		return err
	case g.Status.State.Over():
		return fmt.Errorf("%w: it is %s", errNotWanted, g.Status.State)
	}
	a.logger.InfoContext(ctx, "allocated", "server", g.Meta.Labels[serverLabel], "gameserver", g.Meta.Name)
	return nil
}

// claim asks the door which server this is, until it knows. Denied: it is none
// (any more). Unavailable: there was no answer for five minutes.
func (f agonesFlags) claim(ctx context.Context, addr string, over *http.Client, logger *slog.Logger) (throng.ServerClaim, error) {
	ctx, cancel := context.WithTimeout(ctx, claimTime)
	defer cancel()
	pause, last := claimFirst, error(nil)
	for {
		claim, err := f.claimOnce(ctx, addr, over)
		switch {
		case err == nil:
			return claim, nil
		case throng.KindOf(err) == throng.Denied, throng.KindOf(err) == throng.Unsupported:
			return throng.ServerClaim{}, fmt.Errorf("claim this server: %w", err)
		case ctx.Err() == nil:
			last = err
		}
		logger.WarnContext(ctx, "not claimed yet, asking again", "err", err)
		wait := max(throng.RetryAfterOf(err), pause)
		select {
		case <-ctx.Done():
			return throng.ServerClaim{}, throng.Errorf(throng.Unavailable, "this server was not claimed within %s: %w",
				claimTime, cmp.Or(last, ctx.Err()))
		case <-time.After(wait + rand.N(wait/4)):
			pause = min(2*pause, claimMost)
		}
	}
}

func (f agonesFlags) claimOnce(ctx context.Context, addr string, over *http.Client) (throng.ServerClaim, error) {
	text, err := os.ReadFile(f.TokenFile) // each time: the kubelet replaces it
	switch {
	case err != nil:
		return throng.ServerClaim{}, throng.Errorf(throng.Unavailable, "--token-file: %w", err)
	case len(text) > maxPodToken:
		return throng.ServerClaim{}, throng.AtField(throng.Invalid, "--token-file", "has %d bytes, which is no token", len(text))
	}
	return client.ClaimServer(ctx, client.ClaimConfig{Addr: addr, Token: strings.TrimSpace(string(text)), HTTP: over})
}

// Hosts shows people what the server does.
func (a *allocation) Hosts(h throng.Handover) {
	a.board.Label("throng-session", string(h.Session))
	a.board.Label("throng-place", string(h.Place))
	a.board.Label("throng-version", strconv.Itoa(int(h.Version)))
}

// Players shows people who plays here.
func (a *allocation) Players(list []throng.PlayerID, seats int) {
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = string(p)
	}
	a.board.Players(names, seats)
}

// buried waits until the GameServer is being deleted, as the control plane does with one
// whose session has ended. That is one write less for the cluster than what over says.
func (a *allocation) buried(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, buryTime)
	defer cancel()
	_, _ = a.await(ctx, leaving) // over looks whether it is
}

// leaving says that a GameServer is being deleted.
func leaving(g sdk.GameServer) bool { return g.Meta.Deleted != 0 }

// over tells the sidecar that the server is, unless it knows; it is never ready again. Where it
// does not hear, the end of the process says so.
func (a *allocation) over(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	a.mu.Lock()
	knows := leaving(a.now)
	a.mu.Unlock()
	if knows {
		return
	}
	for {
		err := a.client.Shutdown(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			a.logger.WarnContext(ctx, "the sidecar did not hear that this server is over", "err", err)
			return
		case <-time.After(claimFirst / 2):
		}
	}
}

// doorsOf is where a claimed server reaches its region: what it was told, the
// first of which is where somebody waits for it, then where it asked, which is
// known to work.
func doorsOf(addr string, claim throng.ServerClaim) string {
	all := slices.Clone(claim.Doors)
	for door := range strings.SplitSeq(addr, ",") {
		if !slices.Contains(all, door) {
			all = append(all, door)
		}
	}
	return strings.Join(all, ",")
}
