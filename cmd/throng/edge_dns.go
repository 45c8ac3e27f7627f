package main

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/cmd/command"
	"github.com/throng-gg/throng/edge/dns"
)

// edgeDNSCmd answers for one name.
type edgeDNSCmd struct {
	Listen      string        `default:"0.0.0.0:53" help:"Where queries come in, by UDP and TCP. On a machine of several addresses: the one that resolvers ask." placeholder:"IP:PORT"`
	Name        string        `required:"" help:"What is answered for, like play.example.com; its zone has an NS record for it that names these servers." placeholder:"NAME"`
	NS          []string      `name:"ns" required:"" help:"Names of the servers that answer for it, separated by commas. None is below --name." placeholder:"NAME,..."`
	Mailbox     string        `help:"Mail address of who looks after it, as a name; hostmaster.NAME without." placeholder:"NAME"`
	Table       string        `required:"" type:"path" help:"File (JSON) with the regions and the latencies that networks have to them. It is read again when it changes." placeholder:"FILE"`
	HTTP        string        `name:"http" default:"127.0.0.1:7821" help:"Where GET /metrics and /readyz are answered; empty: nowhere." placeholder:"HOST:PORT"`
	PerNetwork  int           `default:"200" help:"How many queries a second are answered to a /24 of IPv4 or a /56 of IPv6 whose senders have not proven where they are."`
	PerProven   int           `default:"5000" help:"The same of those who have, by TCP or a cookie."`
	Connections int           `default:"1024" help:"Most connections by TCP, an eighth of them from one such network."`
	Poll        time.Duration `default:"5s" help:"How often regions are asked whether they are ready."`
	PollWait    time.Duration `default:"2s" help:"How long their answer may take."`
	DownAfter   int           `default:"3" help:"After so many bad answers in a row players are sent elsewhere."`
	UpAfter     int           `default:"2" help:"After so many good ones they are sent there again."`
	command.LogFlags
}

// Run answers until e.ctx ends.
func (c *edgeDNSCmd) Run(e *env) error {
	logger := c.Logger(e.err).With("part", "dns")
	listen, err := command.AddressOf("--listen", c.Listen)
	if err != nil {
		return err
	}
	table, stamp, err := readTable(c.Table)
	if err != nil {
		return err
	}
	metrics := newMetrics()
	s, err := dns.New(e.ctx, dns.Config{
		Listen: listen, Name: c.Name, NS: c.NS, Mailbox: c.Mailbox, Table: table,
		PerNetwork: c.PerNetwork, PerProven: c.PerProven, Connections: c.Connections,
		Poll: c.Poll, PollWait: c.PollWait, DownAfter: c.DownAfter, UpAfter: c.UpAfter,
		Logger: logger, Metrics: metrics,
	})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(e.ctx)
	group.Go(func() error { return s.Run(ctx) })
	group.Go(func() error {
		keepTable(ctx, s, c.Table, stamp, logger)
		return nil
	})
	if c.HTTP != "" {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
		mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
		group.Go(func() error { return serveHTTP(ctx, "--http", c.HTTP, mux) })
	}
	fmt.Fprintf(e.out, "throng dns at %s\n", s.Address())
	return group.Wait()
}

// tableStamp tells one state of a file from another.
type tableStamp struct {
	file fs.FileInfo // nil: it was not there
}

func (s tableStamp) same(as tableStamp) bool {
	if s.file == nil || as.file == nil {
		return s.file == as.file
	}
	return os.SameFile(s.file, as.file) && s.file.Size() == as.file.Size() && s.file.ModTime().Equal(as.file.ModTime())
}

// readTable reads a table and what state its file was in.
func readTable(name string) (*dns.Table, tableStamp, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, tableStamp{}, throng.AtField(throng.Invalid, "--table", "%w", err)
	}
	stamp := tableStamp{info}
	if info.Size() > dns.MaxTable {
		return nil, stamp, throng.AtField(throng.Invalid, "--table", "%s has %d bytes, at most %d are allowed", name, info.Size(), dns.MaxTable)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, stamp, throng.AtField(throng.Invalid, "--table", "%w", err)
	}
	table, err := dns.ParseTable(text)
	if err != nil {
		return nil, stamp, throng.AtField(throng.KindOf(err), "--table", "%s: %w", name, err)
	}
	return table, stamp, nil
}

// tableLook is how often it is looked whether the table changed.
const tableLook = 2 * time.Second

// keepTable gives the server the table anew when its file changes, until ctx ends.
func keepTable(ctx context.Context, s *dns.Server, name string, last tableStamp, logger *slog.Logger) {
	ticker := time.NewTicker(tableLook)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now, _ := os.Stat(name) // what is wrong with it is said below
		if last.same(tableStamp{now}) {
			continue
		}
		table, stamp, err := readTable(name)
		last = stamp
		if err != nil {
			logger.ErrorContext(ctx, "table of latencies was not read, the old one stays", "err", err)
			continue
		}
		s.SetTable(table)
		logger.InfoContext(ctx, "table of latencies is new")
	}
}
