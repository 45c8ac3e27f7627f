package allocation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/throng-gg/throng/test/agones/object"
)

// What an allocation can fail with.
var (
	errNone     = errors.New("there is no available GameServer to allocate")
	errConflict = errors.New("could not update the selected GameServer")
)

const (
	tries    = 5   // of a write, before errConflict
	maxBatch = 100 // requests of one batch; the others wait for the next
	writers  = 16  // writes of one batch at the same time
)

// Config is what an Allocator needs.
type Config struct {
	Servers *object.Client[*object.GameServer]
	Store   cache.Indexer // of GameServers, by cache.NamespaceIndex
	Wait    time.Duration // between batches
	Events  record.EventRecorder
	Faults  *Faults
	Log     *slog.Logger
}

// Allocator is one allocator process: the extensions have one, the allocator
// service another, and both take from the same servers.
type Allocator struct {
	cfg Config
	// Full: Allocate waits.
	pending chan *request

	// Owned by Run.
	written map[string]written // by namespace/name
	rnd     *rand.Rand
}

// written is a server that we wrote and the store may not show yet.
type written struct {
	old string // resource version that it had
	now *object.GameServer
}

type request struct {
	namespace string
	spec      *Spec
	tries     int
	twin      bool // write one server and answer with another
	done      chan result
}

type result struct {
	server *object.GameServer
	err    error
}

// New makes an Allocator.
func New(cfg Config) *Allocator {
	return &Allocator{
		cfg:     cfg,
		pending: make(chan *request, 4096),
		written: map[string]written{},
		rnd:     rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1)), //nolint:gosec // no secret
	}
}

// Allocate waits for a server. It returns errNone, errConflict or ctx's error.
func (a *Allocator) Allocate(ctx context.Context, namespace string, spec *Spec, twin bool) (*object.GameServer, error) {
	r := &request{namespace: namespace, spec: spec, twin: twin, done: make(chan result, 1)}
	select {
	case a.pending <- r:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case res := <-r.done: // the caller may be gone by then: the server is allocated all the same
		return res.server, res.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Run answers requests until ctx ends.
func (a *Allocator) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(a.cfg.Wait):
		}
		if batch := a.take(); len(batch) > 0 {
			a.serve(ctx, batch)
		}
	}
}

func (a *Allocator) take() []*request {
	var batch []*request
	for len(batch) < maxBatch {
		select {
		case r := <-a.pending:
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

// serve picks for all and then writes all, as the real one does.
func (a *Allocator) serve(ctx context.Context, batch []*request) {
	picked := map[string]bool{}
	taken := func(gs *object.GameServer) bool { return picked[gs.Namespace+"/"+gs.Name] }
	views := map[string][]*object.GameServer{}
	var mu sync.Mutex // guards a.written while writers run
	var wg sync.WaitGroup
	slots := make(chan struct{}, writers)
	for _, r := range batch {
		key := fmt.Sprint(r.namespace, " ", r.spec.Scheduling, " ", r.spec.Priorities)
		view, ok := views[key]
		if !ok {
			mu.Lock()
			view = order(a.view(r.namespace), r.spec.Scheduling, r.spec.Priorities, a.rnd)
			mu.Unlock()
			views[key] = view
		}
		twin := r.twin
		for range r.copies() {
			gs := pick(view, r.spec.Selectors, taken)
			if gs == nil {
				r.finish(nil, errNone)
				break
			}
			picked[gs.Namespace+"/"+gs.Name] = true
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				out, err := a.write(ctx, gs, r)
				mu.Lock()
				defer mu.Unlock()
				a.settle(r, gs, out, err)
			})
			if twin {
				wg.Wait() // the first one is written before the second is picked
			}
		}
	}
	wg.Wait()
}

func (r *request) copies() int {
	if r.twin {
		return 2
	}
	return 1
}

func (r *request) finish(gs *object.GameServer, err error) {
	select {
	case r.done <- result{gs, err}:
	default:
	}
}

// view is what can be allocated in a namespace, with our own writes in it.
// Callers hold the lock of a.written.
func (a *Allocator) view(namespace string) []*object.GameServer {
	objects, err := a.cfg.Store.ByIndex(cache.NamespaceIndex, namespace)
	if err != nil {
		a.cfg.Log.Error("list game servers", "err", err)
		return nil
	}
	var view []*object.GameServer
	for _, o := range objects {
		gs, ok := o.(*object.GameServer)
		if !ok {
			continue
		}
		key := gs.Namespace + "/" + gs.Name
		if w, ok := a.written[key]; ok {
			if w.old == gs.ResourceVersion && w.now.UID == gs.UID {
				gs = w.now
			} else {
				delete(a.written, key)
			}
		}
		if gs.DeletionTimestamp == nil && (gs.Status.State == object.Ready || gs.Status.State == object.Allocated) {
			view = append(view, gs)
		}
	}
	slices.SortFunc(view, func(x, y *object.GameServer) int { return strings.Compare(x.Name, y.Name) })
	return view
}

func (a *Allocator) write(ctx context.Context, gs *object.GameServer, r *request) (*object.GameServer, error) {
	if a.cfg.Faults.conflict() {
		return nil, errConflict
	}
	next := gs.DeepCopy()
	apply(next, r.spec, time.Now())
	return a.cfg.Servers.Update(ctx, next)
}

// settle answers a request or, after a conflict, puts it into the next batch.
func (a *Allocator) settle(r *request, before, after *object.GameServer, err error) {
	switch {
	case err == nil:
		a.written[before.Namespace+"/"+before.Name] = written{old: before.ResourceVersion, now: after}
		a.cfg.Events.Event(after, corev1.EventTypeNormal, "Allocated", "Allocated")
		if r.twin {
			r.twin = false // the first: nobody hears of it
			return
		}
		r.finish(after, nil)
	case apierrors.IsConflict(err), apierrors.IsNotFound(err), errors.Is(err, errConflict):
		if r.tries++; r.tries >= tries {
			r.finish(nil, errConflict)
			return
		}
		select {
		case a.pending <- r:
		default:
			r.finish(nil, errConflict)
		}
	default:
		r.finish(nil, err)
	}
}
