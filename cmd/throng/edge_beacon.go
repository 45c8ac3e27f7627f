package main

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/cmd/command"
	"github.com/throng-gg/throng/edge/beacon"
	"github.com/throng-gg/throng/edge/beacon/probe"
)

// beaconsFlags say where players reach the region, and measure how far it is.
type beaconsFlags struct {
	URL    string   `name:"url" help:"URL of the door as players reach it, like https://eu.example.com: those of other regions are told it." placeholder:"URL"`
	Beacon []string `help:"URL of a beacon (throng edge beacon) by which players measure how far this region is, up to 8: udp://HOST:PORT, and http://HOST/beacon or https://HOST/beacon where UDP does not get through. GET /v1/regions says them." placeholder:"URL"`
}

// checkBeacons says which of the URLs is wrong.
func (f beaconsFlags) checkBeacons() error {
	if _, err := command.DoorURL(f.URL); f.URL != "" && (err != nil || !strings.Contains(f.URL, "://") || len(f.URL) > throng.MaxDoorURL) {
		return throng.AtField(throng.Invalid, "--url", "%q is not allowed, it must be a URL like https://eu.example.com", clipText(f.URL))
	}
	if len(f.Beacon) > throng.MaxBeacons {
		return throng.AtField(throng.Invalid, "--beacon", "has %d URLs, at most %d are allowed", len(f.Beacon), throng.MaxBeacons)
	}
	for i, s := range f.Beacon {
		if err := probe.CheckURL(s); err != nil {
			return throng.AtField(throng.Invalid, "--beacon", "%w", err)
		}
		if slices.Contains(f.Beacon[:i], s) {
			return throng.AtField(throng.Invalid, "--beacon", "%q is there twice", s)
		}
	}
	return nil
}

// edgeBeaconCmd runs a beacon, or asks one.
type edgeBeaconCmd struct {
	Listen    string `default:"0.0.0.0:7810" help:"Where probes come in, by UDP." placeholder:"IP:PORT"`
	HTTP      string `name:"http" default:"0.0.0.0:7810" help:"Where GET /beacon is answered for clients whose UDP is blocked; empty: nowhere." placeholder:"HOST:PORT"`
	Metrics   string `help:"Where GET /metrics is answered; empty: nowhere." placeholder:"HOST:PORT"`
	PerSource int    `default:"50" help:"How many probes a second are answered to one IPv4 address or /64 of IPv6."`
	Probe     string `help:"Do not run one: measure how far this one is." placeholder:"IP:PORT"`
	command.LogFlags
}

// Run answers until e.ctx ends.
func (c *edgeBeaconCmd) Run(e *env) error {
	if c.Probe != "" {
		return c.probe(e)
	}
	listen, err := command.AddressOf("--listen", c.Listen)
	if err != nil {
		return err
	}
	metrics := newMetrics()
	b, err := beacon.New(beacon.Config{Listen: listen, PerSource: c.PerSource, Metrics: metrics})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(e.ctx)
	group.Go(func() error { return b.Run(ctx) })
	if c.HTTP != "" {
		group.Go(func() error { return serveHTTP(ctx, "--http", c.HTTP, beacon.Handler(0)) })
	}
	if c.Metrics != "" {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
		group.Go(func() error { return serveHTTP(ctx, "--metrics", c.Metrics, mux) })
	}
	fmt.Fprintf(e.out, "throng beacon at %s\n", b.Address())
	return group.Wait()
}

// probeWait bounds a probe.
const probeWait = time.Second

func (c *edgeBeaconCmd) probe(e *env) error {
	at, err := netip.ParseAddrPort(c.Probe)
	if err != nil {
		return throng.AtField(throng.Invalid, "--probe", "%q is not an address like 203.0.113.5:7810", c.Probe)
	}
	l, err := probe.UDP(e.ctx, at.String(), probeWait)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.out, "%s: median %s, jitter %s, %d of %d answered\n", at, l.Median, l.Jitter, l.Answered, probe.Probes)
	return err
}
