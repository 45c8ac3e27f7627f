package agones

import (
	"net/url"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
)

const (
	blink    = time.Second     // without a watch, as when it is renewed, before a cluster counts as away
	dryTime  = time.Second     // how long it is believed that none is ready
	limpTime = 2 * time.Second // how long a cluster that refused is asked last
)

// cluster is one cluster and what is known of it.
type cluster struct {
	cfg       ClusterConfig
	server    *server
	allocator allocator
	looks     *rate.Limiter // for GameServers of pods that are not seen

	// Guarded by Backend.mu.
	synced  bool      // its servers were seen once
	lost    time.Time // since when its servers are not watched; zero: they are
	failure error     // why; nil: nothing is wrong
	limps   time.Time // until then
	dry     time.Time // until then
	asking  int       // allocations under way
	servers int       // alive
	avoided bool
	fleet   *kind.Fleet // as seen last; nil: never, or there is none
}

// Validate says what is missing or wrong. Errors name the key of the
// configuration file.
func (cfg ClusterConfig) Validate() error {
	if why := validation.IsDNS1123Label(cfg.Name); len(why) > 0 {
		return throng.AtField(throng.Invalid, "name", "%q is no cluster's name: %s", cfg.Name, why[0])
	}
	if cfg.Server == nil {
		return throng.AtField(throng.Invalid, "kubeconfig", "of cluster %s is missing", cfg.Name)
	}
	if why := validation.IsDNS1123Label(cfg.Namespace); len(why) > 0 {
		return throng.AtField(throng.Invalid, "namespace", "%q of cluster %s is none: %s", cfg.Namespace, cfg.Name, why[0])
	}
	if why := validation.IsDNS1123Subdomain(cfg.Fleet); len(why) > 0 {
		return throng.AtField(throng.Invalid, "fleet", "%q of cluster %s is none: %s", cfg.Fleet, cfg.Name, why[0])
	}
	if cfg.Weight < 0 || cfg.Weight > 1000 {
		return throng.AtField(throng.Invalid, "weight", "%d of cluster %s is not allowed, 0 to 1000 are", cfg.Weight, cfg.Name)
	}
	if cfg.Allocator == nil {
		return nil
	}
	_, err := newService(*cfg.Allocator, nil)
	return err
}

func newCluster(cfg ClusterConfig, on mark, m *metrics) (*cluster, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	count := func(verb string) { m.requests.WithLabelValues(cfg.Name, verb).Inc() }
	c := &cluster{cfg: cfg, looks: newLooks()}
	var err error
	if c.server, err = newServer(cfg.Server, count); err != nil {
		return nil, err
	}
	if cfg.Allocator == nil {
		c.allocator = direct{on, c.server, cfg.Namespace, cfg.Fleet}
		return c, nil
	}
	over, err := newService(*cfg.Allocator, count)
	if err != nil {
		return nil, err
	}
	c.allocator = service{on, over, cfg.Namespace, cfg.Fleet}
	return c, nil
}

// gameServers is where its GameServers are.
func (c *cluster) gameServers() string {
	return "/apis/agones.dev/v1/namespaces/" + c.cfg.Namespace + "/gameservers"
}

func (c *cluster) fleets() string {
	return "/apis/agones.dev/v1/namespaces/" + c.cfg.Namespace + "/fleets"
}

// labelled selects the GameServers that are servers of a region.
func labelled(region throng.RegionID) url.Values {
	return url.Values{"labelSelector": {kind.LabelServer + "," + kind.LabelRegion + "=" + string(region)}}
}

// unseen is how long its servers have not been watched. Backend.mu is held.
func (c *cluster) unseen(now time.Time) time.Duration {
	if c.lost.IsZero() {
		return 0
	}
	return now.Sub(c.lost)
}

// away says that it cannot be reached. Backend.mu is held.
func (c *cluster) away(now time.Time) bool {
	return !c.synced || c.failure != nil || c.unseen(now) > blink
}

// why says what is wrong, for people. Backend.mu is held.
func (c *cluster) why() string {
	if c.failure != nil {
		return c.failure.Error()
	}
	return "it is being connected to"
}

// choice is what is to be known of it to choose it. Backend.mu is held.
func (c *cluster) choice(now time.Time) choice {
	return choice{
		name: c.cfg.Name, weight: c.cfg.Weight, servers: c.servers + c.asking,
		away: c.away(now), limps: now.Before(c.limps), dry: now.Before(c.dry), avoided: c.avoided,
	}
}
