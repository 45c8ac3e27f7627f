package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/cmd/command"
	"github.com/throng-gg/throng/edge/gateway"
	"github.com/throng-gg/throng/wire/netcode"
)

// edgeCmd is what stands between players and a region. None of it needs the
// region's secrets.
type edgeCmd struct {
	Gateway edgeGatewayCmd `cmd:"" help:"The address that players see: passes their datagrams to game servers, whose addresses stay hidden, and drops the rest."`
	Beacon  edgeBeaconCmd  `cmd:"" help:"Says back what clients send, over UDP and HTTP, so that they can measure how far the region is."`
	DNS     edgeDNSCmd     `cmd:"" name:"dns" help:"Answers for one name with the addresses of the region that is nearest to who asks, of those that are ready."`
	Keys    edgeKeysCmd    `cmd:"" help:"Print what gateways need of a region's secrets, for --keys. Again after a rotation."`
}

// gatewaysFlags say what stands before game servers.
type gatewaysFlags struct {
	Gateways []string `help:"Gateways (throng edge gateway) that players connect to, in place of game servers, whose addresses they are not told: IP:PORT of each as players reach it, separated by commas. In browsers they go through the door." placeholder:"IP:PORT,..."`
}

// addresses are where players reach the gateways.
func (f gatewaysFlags) addresses() ([]netip.AddrPort, error) {
	if len(f.Gateways) > netcode.MaxServers {
		return nil, throng.AtField(throng.Invalid, "--gateways", "has %d addresses, at most %d fit into a token", len(f.Gateways), netcode.MaxServers)
	}
	var out []netip.AddrPort
	for _, s := range f.Gateways {
		a, err := netip.ParseAddrPort(s)
		if err != nil || a.Addr().IsUnspecified() || a.Port() == 0 || a.Addr().Zone() != "" {
			return nil, throng.AtField(throng.Invalid, "--gateways", "%q is not an address that players reach, like 203.0.113.7:7800", s)
		}
		out = append(out, a)
	}
	return out, nil
}

// edgeGatewayCmd is one gateway.
type edgeGatewayCmd struct {
	Listen    string        `default:"0.0.0.0:7800" help:"Where players' datagrams come in." placeholder:"IP:PORT"`
	Inner     string        `default:"0.0.0.0" help:"IP from which game servers are spoken to." placeholder:"IP"`
	Keys      string        `required:"" type:"path" help:"File that throng edge keys printed. It is read again when it changes." placeholder:"FILE"`
	HTTP      string        `name:"http" default:"127.0.0.1:7801" help:"Where GET /metrics and /readyz are answered; empty: nowhere." placeholder:"HOST:PORT"`
	Workers   int           `default:"0" help:"Processors that it uses; 0: all, or with --realtime all but one."`
	Flows     int           `default:"200000" help:"Most players at once."`
	PerFlow   int           `default:"500" help:"Most datagrams of one player in a second."`
	PerToken  int           `default:"20" help:"How often one token may be shown in a second."`
	PerSource int           `default:"500" help:"How many tokens may be shown in a second from one IPv4 address or /64 of IPv6, to each processor."`
	XDP       string        `name:"xdp" help:"Network interface that players' datagrams come in at: a program in the kernel then drops garbage there, where it costs least. It needs CAP_BPF and CAP_NET_ADMIN; without them a warning is logged and the gateway drops all itself." placeholder:"INTERFACE"`
	Realtime  bool          `help:"Run before all else of the machine, and look for datagrams all the time while some come, so that they wait for nobody: each worker then takes most of a core. For machines that do little else. It needs CAP_SYS_NICE; without it a warning is logged."`
	Drain     time.Duration `default:"5s" help:"From SIGTERM to the end: meanwhile players are let go, one after the other, and go on through another gateway."`
	command.LogFlags
}

// Run serves until e.ctx ends, and then drains.
func (c *edgeGatewayCmd) Run(e *env) error {
	logger := c.Logger(e.err)
	listen, err := command.AddressOf("--listen", c.Listen)
	if err != nil {
		return err
	}
	inner, err := netip.ParseAddr(c.Inner)
	if err != nil {
		return throng.AtField(throng.Invalid, "--inner", "%q is not an IP address", c.Inner)
	}
	if c.Drain < 0 {
		return throng.AtField(throng.Invalid, "--drain", "%s is not allowed, it must be 0s or more", c.Drain)
	}
	keys, err := readGatewayKeys(c.Keys)
	if err != nil {
		return err
	}
	metrics := newMetrics()
	g, err := gateway.New(e.ctx, gateway.Config{
		Listen: listen, Inner: inner, Keys: keys, Workers: c.Workers, Flows: c.Flows,
		PerFlow: c.PerFlow, PerToken: c.PerToken, PerSource: c.PerSource, XDP: c.XDP, Realtime: c.Realtime,
		Logger: logger.With("part", "gateway"), Metrics: metrics,
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(e.ctx))
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer stop()
		return g.Run(ctx)
	})
	group.Go(func() error {
		return keepKeys(ctx, g, keys, logger, func() (gatewayKeys, error) { return readGatewayKeys(c.Keys) })
	})
	if c.HTTP != "" {
		group.Go(func() error { return c.answer(ctx, e.ctx, metrics) })
	}
	fmt.Fprintf(e.out, "throng gateway at %s\n", g.Address())
	defer context.AfterFunc(e.ctx, func() { g.Drain(c.Drain) })()
	return group.Wait()
}

// answer serves metrics until ctx ends; it is not ready once it drains.
func (c *edgeGatewayCmd) answer(ctx, serving context.Context, metrics *prometheus.Registry) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if serving.Err() != nil {
			http.Error(w, "it drains", http.StatusServiceUnavailable)
		}
	})
	return serveHTTP(ctx, "--http", c.HTTP, mux)
}

// serveHTTP answers until ctx ends.
func serveHTTP(ctx context.Context, flag, addr string, handler http.Handler) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err == nil {
		err = serveOn(ctx, listener, handler)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return nil
}

// serveOn answers until ctx ends, and closes the listener.
func serveOn(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// gatewayKeys open routes, by number.
type gatewayKeys = map[uint8][netcode.KeySize]byte

// keysLook is how often it is looked whether the keys changed.
const keysLook = 2 * time.Second

// keepKeys gives a gateway new keys when there are any.
func keepKeys(ctx context.Context, g *gateway.Gateway, last gatewayKeys, logger *slog.Logger, read func() (gatewayKeys, error)) error {
	ticker := time.NewTicker(keysLook)
	defer ticker.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		next, err := read()
		switch {
		case err != nil:
			if !failed {
				logger.ErrorContext(ctx, "gateway keys were not read, the old ones stay", "err", err)
			}
			failed = true
			continue
		case !maps.Equal(next, last):
			if err := g.SetKeys(next); err != nil {
				return err
			}
			last = next
			logger.InfoContext(ctx, "gateway has new keys", "keys", len(next))
		}
		failed = false
	}
}

// readGatewayKeys reads what edge keys prints: a number and 32 bytes in hex a line.
func readGatewayKeys(name string) (gatewayKeys, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, throng.AtField(throng.KindOf(err), "--keys", "%w", err)
	}
	keys := gatewayKeys{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		number, digits, _ := strings.Cut(line, " ")
		i, err := strconv.ParseUint(number, 10, 8)
		key, bad := hex.DecodeString(strings.TrimSpace(digits))
		if err != nil || bad != nil || len(key) != netcode.KeySize {
			return nil, throng.AtField(throng.Invalid, "--keys", "%s:%d is not a number from 0 to 255 and 64 hexadecimal digits", name, n)
		}
		keys[uint8(i)] = [netcode.KeySize]byte(key)
	}
	if err := lines.Err(); err != nil {
		return nil, throng.AtField(throng.Invalid, "--keys", "%s: %w", name, err)
	}
	if len(keys) == 0 {
		return nil, throng.AtField(throng.Invalid, "--keys", "%s holds no key", name)
	}
	return keys, nil
}

// edgeKeysCmd prints keys.
type edgeKeysCmd struct{ ringFlags }

// Run prints the keys of all secrets in the ring.
func (c *edgeKeysCmd) Run(e *env) error {
	s, err := c.secrets()
	if err != nil {
		return err
	}
	keys := s.gatewayKeys()
	for _, number := range slices.Sorted(maps.Keys(keys)) {
		key := keys[number]
		fmt.Fprintf(e.out, "%d %s\n", number, hex.EncodeToString(key[:]))
	}
	return nil
}
