package agones

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
	"github.com/throng-gg/throng/fleet/endings"
)

const (
	maxClusters = 64
	syncTime    = 5 * time.Second // that List and Allocate wait for the first look
)

// Config is what a Backend is made of. Fields without a default are needed.
type Config struct {
	Region   throng.RegionID
	Clusters []ClusterConfig
	// Stale is how old the last look at a cluster may be for List to answer;
	// 30 s. Past that it is Unavailable: nobody knows what runs there.
	Stale time.Duration
	// Door is the URL of this control plane's own door, which is where the game
	// servers that it allocates should connect; see DoorOf.
	Door string
	// Audience is what pods' tokens must be for; "throng".
	Audience string

	Logger  *slog.Logger
	Metrics prometheus.Registerer // nil: not registered
}

// ClusterConfig is a Kubernetes cluster with Agones.
type ClusterConfig struct {
	Name      string       // unique in the region
	Server    *rest.Config // how its API server is reached
	Namespace string       // of the Fleet
	Fleet     string       // that new servers are taken from
	// Weight is its share of the region's servers, beside the other clusters'; 0:
	// it gets no new ones.
	Weight int
	// Allocator is Agones' allocator service; nil: the API server allocates.
	Allocator *AllocatorConfig
}

// Backend runs game servers on clusters. It is a fleet.Backend and knows the
// fleet's Sites. Any number of processes may share its clusters.
type Backend struct {
	cfg      Config
	log      *slog.Logger
	metrics  *metrics
	exits    *endings.Queue
	verifier *verifier
	clusters []*cluster // by name

	cleaning chan struct{} // holds one: there may be something to delete

	mu      sync.Mutex
	table   *table                                     // guarded by mu
	flights map[throng.ServerID]*flight                // guarded by mu; allocations under way
	waiters map[throng.ServerID]map[chan struct{}]bool // guarded by mu; closed when something of the ID changes
	changed chan struct{}                              // guarded by mu; closed when a cluster was looked at for the first time
	ran     bool                                       // guarded by mu
}

// New makes a Backend that works once it is Run. Invalid: something is missing
// or wrong; the error names it.
func New(cfg Config) (*Backend, error) {
	switch {
	case cfg.Region == "":
		return nil, throng.AtField(throng.Invalid, "Region", "is missing")
	case cfg.Logger == nil:
		return nil, throng.AtField(throng.Invalid, "Logger", "is missing")
	case cfg.Stale < 0:
		return nil, throng.AtField(throng.Invalid, "Stale", "%s is not allowed, 0 or more is", cfg.Stale)
	case len(cfg.Clusters) == 0 || len(cfg.Clusters) > maxClusters:
		return nil, throng.AtField(throng.Invalid, "clusters", "are %d, 1 to %d are allowed", len(cfg.Clusters), maxClusters)
	}
	cfg.Stale = cmp.Or(cfg.Stale, 30*time.Second)
	cfg.Audience = cmp.Or(cfg.Audience, "throng")
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	b := &Backend{
		cfg: cfg, log: cfg.Logger, metrics: m,
		exits:    endings.New(m.dropped.Inc),
		cleaning: make(chan struct{}, 1),
		table:    newTable(),
		flights:  map[throng.ServerID]*flight{},
		waiters:  map[throng.ServerID]map[chan struct{}]bool{},
		changed:  make(chan struct{}),
	}
	for _, cc := range cfg.Clusters {
		c, err := newCluster(cc, mark{cfg.Door}, m)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(b.clusters, func(o *cluster) bool { return o.cfg.Name == cc.Name }) {
			return nil, throng.AtField(throng.Invalid, "name", "%q is of two clusters", cc.Name)
		}
		b.clusters = append(b.clusters, c)
	}
	slices.SortFunc(b.clusters, func(a, b *cluster) int { return cmp.Compare(a.cfg.Name, b.cfg.Name) })
	b.verifier = newVerifier(cfg.Audience, b.clusters)
	return b, nil
}

// Run watches the clusters until ctx ends; game servers go on. It returns nil,
// and runs once.
func (b *Backend) Run(ctx context.Context) error {
	b.mu.Lock()
	if b.ran {
		b.mu.Unlock()
		return throng.Errorf(throng.Conflict, "agones: Run was called twice")
	}
	b.ran = true
	b.mu.Unlock()
	var group sync.WaitGroup
	for _, c := range b.clusters {
		group.Go(func() { b.mirrorServers(c).run(ctx) })
		group.Go(func() { b.mirrorFleet(c).run(ctx) })
		group.Go(func() { b.mirrorPods(c).run(ctx) })
	}
	group.Go(func() { b.clean(ctx) })
	group.Wait()
	return nil
}

// check says whether an ID can be a server's of this region, and a label's value.
func (b *Backend) check(id throng.ServerID) error {
	if _, err := throng.ParseServerID("server", string(id)); err != nil {
		return err
	}
	if id.Region() != b.cfg.Region {
		return throng.AtField(throng.Invalid, "server", "%s is of region %q, not of %q", id, id.Region(), b.cfg.Region)
	}
	if len(id) > 63 {
		return throng.AtField(throng.Invalid, "server", "%s has %d characters, a label has room for 63", id, len(id))
	}
	return nil
}

// cluster returns the one of that name.
func (b *Backend) cluster(name string) *cluster {
	for _, c := range b.clusters {
		if c.cfg.Name == name {
			return c
		}
	}
	return nil
}

// List returns all servers that are alive as far as the clusters were seen,
// sorted; those of a cluster that was lost a moment ago as they were then. It
// waits up to 5 s for the first look. Unavailable: a cluster was not seen yet, or
// not for longer than Config.Stale.
func (b *Backend) List(ctx context.Context) ([]throng.ServerID, error) {
	b.awaitSync(ctx, func(c *cluster) bool { return c.synced }, len(b.clusters))
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for _, c := range b.clusters {
		if !c.synced {
			return nil, throng.RetryLater(throng.Unavailable, time.Second, "cluster %s was not seen yet: %s", c.cfg.Name, c.why())
		}
		if gone := c.unseen(now); gone > b.cfg.Stale {
			return nil, throng.RetryLater(throng.Unavailable, time.Second,
				"cluster %s was not seen for %s: %s", c.cfg.Name, gone.Round(time.Second), c.why())
		}
	}
	return b.table.list(), nil
}

// awaitSync waits until so many clusters are as they should be, at most syncTime.
func (b *Backend) awaitSync(ctx context.Context, good func(*cluster) bool, enough int) {
	timer := time.NewTimer(syncTime)
	defer timer.Stop()
	for {
		b.mu.Lock()
		n := 0
		for _, c := range b.clusters {
			if good(c) {
				n++
			}
		}
		changed := b.changed
		b.mu.Unlock()
		if n >= enough {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		}
	}
}

// Watch calls gone for each server that is over, until ctx ends: a crash about
// a second after it, when the node has noticed, or after four, when Agones has,
// if pods may not be seen. What ended while nobody watched is told
// to the next one. Conflict: somebody watches already.
func (b *Backend) Watch(ctx context.Context, gone func(throng.ServerExit)) error {
	return b.exits.Watch(ctx, gone)
}

// saw takes in what changed of servers; mu is held.
func (b *Backend) saw(told []throng.ServerExit, ids ...throng.ServerID) {
	for _, e := range told {
		ids = append(ids, e.Server)
	}
	b.exits.Tell(told...)
	for _, id := range ids {
		for w := range b.waiters[id] {
			close(w)
		}
		delete(b.waiters, id)
	}
	if len(b.table.doomed) > 0 {
		select {
		case b.cleaning <- struct{}{}:
		default:
		}
	}
	b.count()
}

// count sets the gauges; mu is held.
func (b *Backend) count() {
	n := map[string]int{}
	for _, r := range b.table.records {
		if !r.over {
			n[r.cluster]++
		}
	}
	for _, c := range b.clusters {
		c.servers = n[c.cfg.Name]
		b.metrics.servers.WithLabelValues(c.cfg.Name).Set(float64(c.servers))
	}
}

// idOf is which server a GameServer says it is.
func idOf(g kind.GameServer) throng.ServerID {
	return throng.ServerID(g.Metadata.Labels[kind.LabelServer])
}
