package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones"
	"github.com/throng-gg/throng/agones/autoscale"
	"github.com/throng-gg/throng/cmd/command"
)

// autoscalerFlags say where Agones' FleetAutoscalers are answered.
type autoscalerFlags struct {
	AutoscalerAddr string `help:"Where Agones' FleetAutoscalers are answered: POST /autoscale/CLUSTER/FLEET. Without it they are not." placeholder:"HOST:PORT"`
	AutoscalerCert string `type:"path" help:"Certificate of that port, with those above it (PEM); the webhook's caBundle must know who signed it. Without it the port is plain." placeholder:"FILE"`
	AutoscalerKey  string `type:"path" help:"Its key (PEM). Both are read again when they change." placeholder:"FILE"`
}

const (
	certificateCheck = 10 * time.Second   // between two looks at the certificate's end
	certificateSoon  = 7 * 24 * time.Hour // before which it is said that it ends
	certificateSay   = time.Hour          // between two such lines
)

// autoscalerConfig is what answers are made of.
type autoscalerConfig struct {
	autoscale.Config
	flags autoscalerFlags
	hosts hosts
}

// autoscaler is the port that Agones' FleetAutoscalers ask.
type autoscaler struct {
	webhook  *autoscale.Webhook
	listener net.Listener
	server   *http.Server
	files    *command.Watched[*tls.Certificate] // nil: plain
	logger   *slog.Logger
	expires  prometheus.Gauge
	url      string

	said    time.Time // owned by run; when the log had a line about the certificate's end
	expired bool      // owned by run; what it said
}

// newAutoscaler opens the port; nil: the flags want none.
func newAutoscaler(e *env, c autoscalerConfig) (*autoscaler, error) {
	f := c.flags
	switch {
	case f.AutoscalerAddr == "" && f.AutoscalerCert == "" && f.AutoscalerKey == "":
		return nil, nil //nolint:nilnil // there is none
	case f.AutoscalerAddr == "":
		return nil, throng.AtField(throng.Invalid, "--autoscaler-addr", "is needed with a certificate")
	case (f.AutoscalerCert == "") != (f.AutoscalerKey == ""):
		return nil, throng.AtField(throng.Invalid, "--autoscaler-cert", "and --autoscaler-key are needed both")
	}
	a := &autoscaler{logger: c.Logger, url: "http://", expires: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "throng_autoscale_certificate_expires_seconds",
		Help: "When the certificate that FleetAutoscalers see is over, in seconds since 1970; 0: the port is plain.",
	})}
	if err := c.Metrics.Register(a.expires); err != nil {
		return nil, throng.Errorf(throng.Exists, "register metrics of the autoscaler: %w", err)
	}
	if f.AutoscalerCert != "" {
		a.url = "https://"
		a.files = &command.Watched[*tls.Certificate]{Files: []string{f.AutoscalerCert, f.AutoscalerKey}, Logger: c.Logger, Load: f.load}
		if _, err := a.files.Get(); err != nil {
			return nil, err
		}
	}
	var err error
	if c.Clusters = c.hosts.sites; c.Clusters == nil {
		c.Clusters = noClusters{}
	}
	c.Fleets = c.hosts.fleets
	if c.Autoscalers, err = autoscalers(c.hosts.servers); err != nil {
		return nil, err
	}
	if a.webhook, err = autoscale.New(c.Config); err != nil {
		return nil, err
	}
	if a.listener, err = (&net.ListenConfig{}).Listen(e.ctx, "tcp", f.AutoscalerAddr); err != nil {
		return nil, fmt.Errorf("--autoscaler-addr: %w", err)
	}
	a.url += a.listener.Addr().String()
	a.server = &http.Server{
		Handler:           a.webhook,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(c.Logger.Handler(), slog.LevelDebug), // strangers' handshakes
	}
	if a.files != nil {
		a.server.TLSConfig = &tls.Config{
			MinVersion:     tls.VersionTLS12, // Agones' client speaks 1.3; older ones of Go may not
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.files.Get() },
		}
	}
	return a, nil
}

func (f autoscalerFlags) load() (*tls.Certificate, error) {
	certificate, err := tls.LoadX509KeyPair(f.AutoscalerCert, f.AutoscalerKey)
	if err != nil {
		return nil, fmt.Errorf("--autoscaler-cert: %w", err)
	}
	if certificate.Leaf == nil {
		if certificate.Leaf, err = x509.ParseCertificate(certificate.Certificate[0]); err != nil {
			return nil, fmt.Errorf("--autoscaler-cert: %w", err)
		}
	}
	return &certificate, nil
}

// run answers until ctx ends. There may be no autoscaler.
func (a *autoscaler) run(ctx context.Context) error {
	if a == nil {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.webhook.Run(ctx) })
	group.Go(func() error { return a.watchCertificate(ctx) })
	group.Go(func() error {
		var err error
		if a.files != nil {
			err = a.server.ServeTLS(a.listener, "", "")
		} else {
			err = a.server.Serve(a.listener)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("--autoscaler-addr: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return a.server.Close()
	})
	return group.Wait()
}

// close gives the port back of one that was not run.
func (a *autoscaler) close() {
	if a != nil {
		_ = a.listener.Close() // nobody was told of it
	}
}

// watchCertificate says when the certificate is over, or will be soon. Agones
// says nothing of it: the webhook just seems to be away.
func (a *autoscaler) watchCertificate(ctx context.Context) error {
	if a.files == nil {
		return nil
	}
	tick := time.NewTicker(certificateCheck)
	defer tick.Stop()
	for {
		a.checkCertificate(ctx, time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (a *autoscaler) checkCertificate(ctx context.Context, now time.Time) {
	certificate, err := a.files.Get()
	if err != nil {
		return // there always was one
	}
	end := certificate.Leaf.NotAfter
	a.expires.Set(float64(end.Unix()))
	expired := now.After(end)
	if end.Sub(now) > certificateSoon || expired == a.expired && now.Sub(a.said) < certificateSay {
		return
	}
	a.said, a.expired = now, expired
	if expired {
		a.logger.ErrorContext(ctx, "the autoscaler's certificate has expired: Agones does not ask any more, and falls back to its Buffers", "expired", end)
		return
	}
	a.logger.WarnContext(ctx, "the autoscaler's certificate expires soon", "expires", end)
}

// serversOf returns the clusters' API servers by name.
func serversOf(clusters []agones.ClusterConfig) map[string]*rest.Config {
	servers := map[string]*rest.Config{}
	for _, c := range clusters {
		servers[c.Name] = c.Server
	}
	return servers
}

// autoscalers reads and patches the clusters' FleetAutoscalers.
func autoscalers(servers map[string]*rest.Config) (autoscale.Objects, error) {
	type caller struct {
		base   string
		client *http.Client
	}
	callers := map[string]caller{}
	for name, cfg := range servers {
		base, _, err := rest.DefaultServerUrlFor(cfg)
		if err != nil {
			return autoscale.Objects{}, throng.AtField(throng.Invalid, "--clusters", "cluster %s: %w", name, err)
		}
		client, err := rest.HTTPClientFor(cfg)
		if err != nil {
			return autoscale.Objects{}, throng.AtField(throng.Invalid, "--clusters", "cluster %s: %w", name, err)
		}
		callers[name] = caller{base.String(), client}
	}
	return autoscale.Objects{API: func(cluster string) (string, *http.Client, error) {
		c, ok := callers[cluster]
		if !ok {
			return "", nil, throng.Errorf(throng.NotFound, "there is no cluster %s", cluster)
		}
		return c.base, c.client, nil
	}}, nil
}

// noClusters is the clusters of a region whose game servers run on nodes.
type noClusters struct{}

// Clusters returns none.
func (noClusters) Clusters() []throng.Cluster { return nil }

// Sites returns none.
func (noClusters) Sites() []throng.ServerSite { return nil }
