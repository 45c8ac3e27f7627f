package agones

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/throng-gg/throng/test/agones/allocation"
	"github.com/throng-gg/throng/test/agones/control"
	kinds "github.com/throng-gg/throng/test/agones/object"
	"github.com/throng-gg/throng/test/agones/sidecar"
)

// Standin is a running stand-in. Its methods are safe for concurrent use.
type Standin struct {
	// Faults are what goes wrong with allocations.
	allocation.Faults

	opts    Options
	cfg     *rest.Config
	clients *kinds.Clients
	kube    kubernetes.Interface
	dynamic dynamic.Interface
	ca      *authority
	servers cache.SharedIndexInformer
	plays   *control.Plays
	playing sidecars
	events  record.EventBroadcaster
	port    int // of the extensions

	ctx    context.Context //nolint:containedctx // the parts' life, from Start to Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu         sync.Mutex
	controller *control.Controller
	parts      map[string]*part // those that run
	allocator  string           // address of the allocator service
}

// part is one of Agones' processes.
type part struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// Start installs Agones' stand-in on the API server of cfg and runs it until
// ctx ends or Close.
func Start(ctx context.Context, cfg *rest.Config, opts Options) (*Standin, error) {
	s := &Standin{opts: opts.withDefaults(), parts: map[string]*part{}, plays: control.NewPlays()}
	s.playing.running = map[string]*sidecar.Server{}
	s.cfg = rest.CopyConfig(cfg)
	s.cfg.QPS = -1 // no limit of our own
	s.ctx, s.cancel = context.WithCancel(klog.NewContext(ctx, logr.FromSlogHandler(s.opts.Log.Handler())))
	if err := s.start(); err != nil { //nolint:contextcheck // the parts live until Close
		s.Close()
		return nil, fmt.Errorf("start Agones' stand-in: %w", err)
	}
	return s, nil
}

func (s *Standin) start() error {
	var err error
	if s.ca, err = newAuthority(); err != nil {
		return err
	}
	if s.clients, err = kinds.NewClients(s.cfg); err != nil {
		return err
	}
	if s.kube, err = kubernetes.NewForConfig(s.cfg); err != nil {
		return err
	}
	if s.dynamic, err = dynamic.NewForConfig(s.cfg); err != nil {
		return err
	}
	s.events = record.NewBroadcaster(record.WithContext(s.ctx))
	if !s.opts.Quiet {
		s.events.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: s.kube.CoreV1().Events("")})
	}
	s.servers = s.clients.GameServers.Informer("", nil)
	if _, err := s.servers.AddEventHandler(s.playing.handler()); err != nil {
		return err
	}
	// A controller may come and go while the informer runs: its index must be there before.
	if s.controller, err = s.newController(); err != nil {
		return err
	}
	if err := s.runExtensions(); err != nil {
		return err
	}
	if err := s.install(s.ctx); err != nil {
		return err
	}
	s.wg.Go(func() { s.servers.RunWithContext(s.ctx) })
	if !cache.WaitForCacheSync(s.ctx.Done(), s.servers.HasSynced) {
		return errors.New("game servers can't be listed")
	}
	if err := s.StartController(); err != nil {
		return err
	}
	return s.StartAllocator()
}

// Close stops everything. What was installed stays installed.
func (s *Standin) Close() {
	s.cancel()
	s.plays.Stop() // their sidecars end with them
	s.wg.Wait()
	if s.events != nil {
		s.events.Shutdown()
	}
}

func (s *Standin) recorder(component string) record.EventRecorder {
	return s.events.NewRecorder(kinds.NewScheme(), corev1.EventSource{Component: component})
}

func (s *Standin) newController() (*control.Controller, error) {
	return control.New(control.Config{
		Clients: s.clients, Kube: s.kube, Events: s.recorder, Log: s.opts.Log,
		Ports: s.opts.Ports, Nodes: s.opts.Nodes, Pods: s.opts.Pods,
		SDKImage: s.opts.SDKImage, SDKArgs: []string{"sidecar"},
		Lag: s.opts.Lag, Ready: s.opts.Ready, Straight: s.opts.Straight,
		Play: s.opts.Play, Plays: s.plays, Sidecar: s.sidecar, ExitLag: s.opts.ExitLag,
		WebhookTimeout: s.opts.WebhookTimeout,
	}, s.servers)
}

func (s *Standin) newAllocator() *allocation.Allocator {
	return allocation.New(allocation.Config{
		Servers: s.clients.GameServers, Store: s.servers.GetIndexer(), Wait: s.opts.BatchWait,
		Events: s.recorder("GameServerAllocation-Allocator"), Faults: &s.Faults, Log: s.opts.Log,
	})
}

// run starts a part; it fails if the part runs already.
func (s *Standin) run(name string, f func(ctx context.Context)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.parts[name]; ok {
		return fmt.Errorf("the %s runs already", name)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	p := &part{cancel: cancel, done: make(chan struct{})}
	s.parts[name] = p
	s.wg.Go(func() {
		defer close(p.done)
		f(ctx)
	})
	return nil
}

// stop ends a part and waits for it.
func (s *Standin) stop(name string) {
	s.mu.Lock()
	p := s.parts[name]
	delete(s.parts, name)
	s.mu.Unlock()
	if p != nil {
		p.cancel()
		<-p.done
	}
}

// StartController runs the controller again and waits until it works.
func (s *Standin) StartController() error {
	c, err := s.newController()
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.controller = c
	s.mu.Unlock()
	working, ended := make(chan struct{}), make(chan struct{})
	if err := s.run("controller", func(ctx context.Context) {
		defer close(ended)
		if err := c.Run(ctx, func() { close(working) }); err != nil && ctx.Err() == nil {
			s.opts.Log.ErrorContext(ctx, "controller", "err", err)
		}
	}); err != nil {
		return err
	}
	select {
	case <-working:
		return nil
	case <-ended:
		return errors.New("the controller ended before it worked")
	}
}

// StopController ends the controller: allocation goes on, new servers stay in PortAllocation.
func (s *Standin) StopController() { s.stop("controller") }

// Exit ends the process of a pretended server, as kill does. It stays what it
// is, and can be allocated, for Options.ExitLag.
func (s *Standin) Exit(namespace, name string, code int) error {
	s.mu.Lock()
	c := s.controller
	s.mu.Unlock()
	return c.Exit(namespace, name, code)
}

// StopExtensions ends the webhooks and the allocation API and waits until the
// API server answers 503 for it.
func (s *Standin) StopExtensions(ctx context.Context) error {
	s.stop("extensions")
	if err := s.removeService(ctx); err != nil {
		return err
	}
	return s.until(ctx, "/apis/allocation.agones.dev/v1", func(err error) bool { return err != nil })
}

// StartExtensions runs them again and waits until the API server finds them.
func (s *Standin) StartExtensions(ctx context.Context) error {
	if err := s.runExtensions(); err != nil { //nolint:contextcheck // they live until Close
		return err
	}
	if err := s.installService(ctx); err != nil {
		return err
	}
	return s.served(ctx)
}

// runExtensions serves the allocation API and the webhooks.
func (s *Standin) runExtensions() error {
	a := s.newAllocator()
	mux := http.NewServeMux()
	mux.Handle("/mutate", admitter(mutate))
	mux.Handle("/validate", admitter(validate))
	mux.Handle("/", a.KubeHandler())
	dns := service + "." + s.opts.System + ".svc"
	conf, err := s.ca.serverTLS(dns, "localhost", s.opts.Host)
	if err != nil {
		return err
	}
	bind := s.opts.Host
	if !s.loopback() {
		bind = "" // the address may be another one inside
	}
	l, err := net.Listen("tcp", hostPort(bind, s.port)) //nolint:noctx // nothing to wait for
	if err != nil {
		return err
	}
	s.port = l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // we listen on TCP
	return s.run("extensions", func(ctx context.Context) {
		var wg sync.WaitGroup
		wg.Go(func() { a.Run(ctx) })
		serve(ctx, l, mux, conf)
		wg.Wait()
	})
}

// Address tells where the allocator service listens and what a client needs.
type Address struct {
	URL  string // https://127.0.0.1:port
	CA   []byte // PEM, of the server's certificate
	Cert []byte // PEM, of a client that may allocate
	Key  []byte
}

// Allocator returns the allocator service's address.
func (s *Standin) Allocator() (Address, error) {
	cert, key, err := s.ca.issue("client")
	if err != nil {
		return Address{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	scheme := "https://"
	if s.opts.Allocator == Plain {
		scheme = "http://"
	}
	return Address{URL: scheme + s.allocator, CA: s.ca.pem, Cert: cert, Key: key}, nil
}

// StartAllocator runs the allocator service (again, at the same address).
func (s *Standin) StartAllocator() error {
	a := s.newAllocator()
	s.mu.Lock()
	addr := s.allocator
	s.mu.Unlock()
	if addr == "" {
		addr = hostPort(s.opts.Host, s.opts.AllocatorPort)
	}
	var conf *tls.Config
	if s.opts.Allocator != Plain {
		var err error
		if conf, err = s.ca.serverTLS("localhost", s.opts.Host); err != nil {
			return err
		}
		if s.opts.Allocator == MTLS {
			conf.ClientAuth = tls.RequireAndVerifyClientCert
			conf.ClientCAs = x509.NewCertPool()
			conf.ClientCAs.AddCert(s.ca.cert)
		}
	}
	l, err := net.Listen("tcp", addr) //nolint:noctx // nothing to wait for
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.allocator = l.Addr().String()
	s.mu.Unlock()
	return s.run("allocator", func(ctx context.Context) {
		var wg sync.WaitGroup
		wg.Go(func() { a.Run(ctx) })
		serve(ctx, l, a.RESTHandler(), conf)
		wg.Wait()
	})
}

// StopAllocator ends the allocator service: connections are refused.
func (s *Standin) StopAllocator() { s.stop("allocator") }

// serve answers on l until ctx ends, with TLS unless conf is nil.
func serve(ctx context.Context, l net.Listener, h http.Handler, conf *tls.Config) {
	srv := &http.Server{
		Handler: h, TLSConfig: conf, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // of handshakes that tests break on purpose
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if conf == nil {
		_ = srv.Serve(l)
		return
	}
	_ = srv.ServeTLS(l, "", "")
}
