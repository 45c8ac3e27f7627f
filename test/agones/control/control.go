package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	"github.com/throng-gg/throng/test/agones/object"
)

// PodMode says which Pods a GameServer gets.
type PodMode string

// The modes.
const (
	NoPods    PodMode = ""      // none
	PaperPods PodMode = "paper" // they exist, nothing waits for them to run
	RealPods  PodMode = "real"  // their fate is the GameServer's
)

// Node is where pretended GameServers run.
type Node struct {
	Name    string
	Address string
}

// Player is one pretended game server process.
type Player struct {
	GameServer *object.GameServer
	// SDK is the base URL of its sidecar: http://127.0.0.1:port.
	SDK string
}

// Config is what a Controller needs.
type Config struct {
	Clients *object.Clients
	Kube    kubernetes.Interface
	Events  func(component string) record.EventRecorder
	Log     *slog.Logger

	Namespace string   // where it works, "" everywhere
	Ports     [2]int32 // first and last host port
	Nodes     []Node   // for servers without a real Pod
	Pods      PodMode
	SDKImage  string        // of the sidecar in real Pods
	SDKArgs   []string      // its arguments
	Lag       time.Duration // until a Fleet sees a change below it, and a set a change of its spec

	// Ready is how long a server without Play and without a real Pod takes from
	// Scheduled to RequestReady; negative means it stays Scheduled.
	Ready time.Duration
	// Plays are the pretended processes.
	Plays *Plays
	// Straight takes a server from PortAllocation to Ready in one write.
	Straight bool
	// Play is a game server process; it returns when the process has ended: nil
	// is exit code 0. Its context ends when the GameServer is deleted.
	Play func(ctx context.Context, p Player) error
	// Sidecar serves the SDK of one GameServer until ctx ends and returns its base URL.
	Sidecar func(ctx context.Context, namespace, name string) (string, error)
	// WebhookTimeout is how long an autoscaler waits for its webhook.
	WebhookTimeout time.Duration
	// ExitLag is from the end of a process to the change of state.
	ExitLag time.Duration
}

// Controller is the controller process.
type Controller struct {
	cfg     Config
	servers cache.SharedIndexInformer
	sets    cache.SharedIndexInformer
	fleets  cache.SharedIndexInformer
	scalers cache.SharedIndexInformer
	pods    cache.SharedIndexInformer // nil without real Pods

	serverQ queue
	setQ    queue
	fleetQ  queue

	ports *ports

	mu sync.Mutex
	// made are servers that a set made and the cache may not show yet, by set.
	made map[string]map[string]time.Time
	// newSets are those that a Fleet made, by Fleet.
	newSets map[string]newSet
	// allocations counts servers that went to Allocated, by Fleet.
	allocations map[string]int64
}

type queue = workqueue.TypedRateLimitingInterface[string]

func newQueue() queue {
	return workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[string](5*time.Millisecond, 3*time.Second))
}

const (
	serverWorkers = 16
	ownerIndex    = "owner" // of servers: namespace/set, of sets: namespace/fleet
)

// New makes a Controller that shares the servers' informer, which must not run yet.
func New(cfg Config, servers cache.SharedIndexInformer) (*Controller, error) {
	c := &Controller{
		cfg:         cfg,
		servers:     servers,
		sets:        cfg.Clients.Sets.Informer(cfg.Namespace, nil),
		fleets:      cfg.Clients.Fleets.Informer(cfg.Namespace, nil),
		scalers:     cfg.Clients.Scalers.Informer(cfg.Namespace, nil),
		serverQ:     newQueue(),
		setQ:        newQueue(),
		fleetQ:      newQueue(),
		ports:       newPorts(cfg.Ports, cfg.Nodes),
		made:        map[string]map[string]time.Time{},
		newSets:     map[string]newSet{},
		allocations: map[string]int64{},
	}
	byOwner := cache.Indexers{ownerIndex: func(o any) ([]string, error) {
		m, ok := o.(metav1.Object)
		if !ok {
			return nil, nil
		}
		if owner := metav1.GetControllerOf(m); owner != nil {
			return []string{m.GetNamespace() + "/" + owner.Name}, nil
		}
		return nil, nil
	}}
	if _, known := servers.GetIndexer().GetIndexers()[ownerIndex]; !known {
		if err := servers.AddIndexers(byOwner); err != nil {
			return nil, err
		}
	}
	if err := c.sets.AddIndexers(byOwner); err != nil {
		return nil, err
	}
	if cfg.Pods == RealPods {
		c.pods = podInformer(cfg.Kube, cfg.Namespace)
	}
	return c, nil
}

// Run works until ctx ends; it calls working once it has read what there is.
// The servers' informer must be running.
func (c *Controller) Run(ctx context.Context, working func()) error {
	remove, err := c.watch()
	if err != nil {
		return err
	}
	defer remove()
	var wg sync.WaitGroup
	informers := []cache.SharedIndexInformer{c.sets, c.fleets, c.scalers}
	if c.pods != nil {
		informers = append(informers, c.pods)
	}
	synced := []cache.InformerSynced{c.servers.HasSynced}
	for _, i := range informers {
		wg.Go(func() { i.RunWithContext(ctx) })
		synced = append(synced, i.HasSynced)
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		wg.Wait()
		return errors.New("caches did not fill in time")
	}
	c.cfg.Plays.tell(func(key string) { c.serverQ.Add(key) })
	for range serverWorkers {
		wg.Go(func() { c.work(ctx, "game server", c.serverQ, c.server) })
	}
	wg.Go(func() { c.work(ctx, "game server set", c.setQ, c.set) })
	wg.Go(func() { c.work(ctx, "fleet", c.fleetQ, c.fleet) })
	wg.Go(func() { c.scale(ctx) })
	working()
	<-ctx.Done()
	for _, q := range []queue{c.serverQ, c.setQ, c.fleetQ} {
		q.ShutDown()
	}
	wg.Wait()
	return nil
}

func (c *Controller) work(ctx context.Context, what string, q queue, do func(context.Context, string) error) {
	for {
		key, down := q.Get()
		if down {
			return
		}
		err := do(ctx, key)
		switch {
		case err == nil:
			q.Forget(key)
		case ctx.Err() != nil:
		case apierrors.IsConflict(err), apierrors.IsNotFound(err):
			q.AddRateLimited(key) // the cache was behind
		default:
			c.cfg.Log.WarnContext(ctx, "reconcile", "kind", what, "key", key, "err", err)
			q.AddRateLimited(key)
		}
		q.Done(key)
	}
}

// watch queues what changes, and returns what undoes it.
func (c *Controller) watch() (func(), error) {
	servers, err := c.servers.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { c.serverChanged(nil, o) },
		UpdateFunc: c.serverChanged,
		DeleteFunc: func(o any) { c.serverChanged(o, nil) },
	})
	if err != nil {
		return nil, err
	}
	sets := handler(func(o metav1.Object) {
		c.setQ.AddAfter(key(o), c.cfg.Lag)
		if owner := metav1.GetControllerOf(o); owner != nil {
			c.fleetQ.AddAfter(o.GetNamespace()+"/"+owner.Name, c.cfg.Lag)
		}
	})
	if _, err := c.sets.AddEventHandler(sets); err != nil {
		return nil, err
	}
	fleets := handler(func(o metav1.Object) { c.fleetQ.AddAfter(key(o), c.cfg.Lag) })
	if _, err := c.fleets.AddEventHandler(fleets); err != nil {
		return nil, err
	}
	if c.pods != nil {
		pods := handler(func(o metav1.Object) { c.serverQ.Add(key(o)) })
		if _, err := c.pods.AddEventHandler(pods); err != nil {
			return nil, err
		}
	}
	return func() { _ = c.servers.RemoveEventHandler(servers) }, nil
}

func handler(changed func(metav1.Object)) cache.ResourceEventHandler {
	do := func(o any) {
		if m, ok := last(o).(metav1.Object); ok {
			changed(m)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    do,
		UpdateFunc: func(_, o any) { do(o) },
		DeleteFunc: do,
	}
}

func (c *Controller) serverChanged(before, after any) {
	was, now := server(before), server(after)
	gs := now
	if gs == nil {
		gs = was
	}
	if gs == nil {
		return
	}
	c.serverQ.Add(key(gs))
	owner := metav1.GetControllerOf(gs)
	if owner == nil {
		return
	}
	c.setQ.Add(gs.Namespace + "/" + owner.Name)
	if now != nil && was != nil && now.Status.State == object.Allocated && was.Status.State != object.Allocated {
		c.mu.Lock()
		c.allocations[gs.Namespace+"/"+gs.Labels[object.FleetLabel]]++
		c.mu.Unlock()
	}
}

func server(o any) *object.GameServer {
	gs, _ := last(o).(*object.GameServer)
	return gs
}

// last is the object that a watch tells of, also when it missed its end.
func last(o any) any {
	if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
		return gone.Obj
	}
	return o
}

func key(o metav1.Object) string { return o.GetNamespace() + "/" + o.GetName() }

// get reads an object of a store; the zero value means it is not there.
func get[T any](i cache.SharedIndexInformer, key string) (T, bool) {
	var none T
	o, ok, err := i.GetStore().GetByKey(key)
	if err != nil || !ok {
		return none, false
	}
	t, ok := o.(T)
	return t, ok
}

// owned lists what an owner has.
func owned[T any](i cache.SharedIndexInformer, owner string) ([]T, error) {
	objects, err := i.GetIndexer().ByIndex(ownerIndex, owner)
	if err != nil {
		return nil, fmt.Errorf("list what %s owns: %w", owner, err)
	}
	out := make([]T, 0, len(objects))
	for _, o := range objects {
		if t, ok := o.(T); ok {
			out = append(out, t)
		}
	}
	return out, nil
}
