package agones

import (
	"context"
	"errors"
	"net"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	kinds "github.com/throng-gg/throng/test/agones/object"
	"github.com/throng-gg/throng/test/agones/sidecar"
)

// sidecars are those that run in this process, by namespace/name.
type sidecars struct {
	mu      sync.Mutex
	running map[string]*sidecar.Server
}

// dispatch passes changes of game servers on to their sidecars.
func (sc *sidecars) dispatch(o any) {
	gs, ok := o.(*kinds.GameServer)
	if !ok {
		return
	}
	sc.mu.Lock()
	s := sc.running[gs.Namespace+"/"+gs.Name]
	sc.mu.Unlock()
	if s != nil {
		s.Changed(gs)
	}
}

func (sc *sidecars) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    sc.dispatch,
		UpdateFunc: func(_, o any) { sc.dispatch(o) },
	}
}

// sidecar serves the SDK of one server until ctx ends.
func (s *Standin) sidecar(ctx context.Context, namespace, name string) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing to wait for
	if err != nil {
		return "", err
	}
	sc := sidecar.New(sidecar.Config{
		Servers: s.clients.GameServers, Events: s.recorder("gameserver-sidecar"), Log: s.opts.Log,
		Namespace: namespace, Name: name, Delay: s.opts.SDKDelay,
	})
	key := namespace + "/" + name
	s.playing.mu.Lock()
	s.playing.running[key] = sc
	s.playing.mu.Unlock()
	if gs, ok, err := s.servers.GetStore().GetByKey(key); err == nil && ok {
		s.playing.dispatch(gs)
	}
	s.wg.Go(func() {
		var wg sync.WaitGroup
		wg.Go(func() { sc.Run(ctx) })
		serve(ctx, l, sc.Handler(), nil)
		wg.Wait()
		s.playing.mu.Lock()
		defer s.playing.mu.Unlock()
		if s.playing.running[key] == sc {
			delete(s.playing.running, key)
		}
	})
	return "http://" + l.Addr().String(), nil
}

// SDK serves the SDK of a game server that no Options.Play plays, until ctx
// ends, and returns its base URL. A sidecar that is started again finds what the
// one before has written.
func (s *Standin) SDK(ctx context.Context, namespace, name string) (string, error) {
	return s.sidecar(ctx, namespace, name)
}

// Sidecar runs the sidecar command: the SDK of one game server at addr, the
// kubelet's probes at probes, until ctx ends.
func Sidecar(ctx context.Context, cfg sidecar.Config, addr, probes string) error {
	api, err := net.Listen("tcp", addr) //nolint:noctx // nothing to wait for
	if err != nil {
		return err
	}
	kubelet, err := net.Listen("tcp", probes) //nolint:noctx // nothing to wait for
	if err != nil {
		return errors.Join(err, api.Close())
	}
	s := sidecar.New(cfg)
	informer := cfg.Servers.Informer(cfg.Namespace, one(cfg.Name))
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { changed(s, o) },
		UpdateFunc: func(_, o any) { changed(s, o) },
	}); err != nil {
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() { informer.RunWithContext(ctx) })
	wg.Go(func() { s.Run(ctx) })
	wg.Go(func() { serve(ctx, kubelet, s.Probes(), nil) })
	wg.Go(func() { serve(ctx, api, s.Handler(), nil) })
	wg.Wait()
	return nil
}

func changed(s *sidecar.Server, o any) {
	if gs, ok := o.(*kinds.GameServer); ok {
		s.Changed(gs)
	}
}

// one selects the object of a name.
func one(name string) func(*metav1.ListOptions) {
	return func(o *metav1.ListOptions) { o.FieldSelector = "metadata.name=" + name }
}
