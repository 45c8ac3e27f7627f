package agones

import (
	"net/netip"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

// Sites returns where the servers run that are alive.
func (b *Backend) Sites() []throng.ServerSite {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]throng.ServerSite, 0, len(b.table.records))
	for _, r := range b.table.records {
		if r.over {
			continue
		}
		s := throng.ServerSite{Server: r.id, Cluster: r.cluster, Node: r.node, Name: r.name, Image: r.image}
		if ip, err := netip.ParseAddr(r.address); err == nil && r.port > 0 && r.port < 1<<16 {
			s.Address = netip.AddrPortFrom(ip, uint16(r.port))
		}
		if c := b.cluster(r.cluster); c != nil {
			image := c.image()
			s.Old = r.fleet != c.cfg.Fleet || image != "" && r.image != image
		}
		all = append(all, s)
	}
	return all
}

// image is what new servers are made from; empty: not known.
func (c *cluster) image() string {
	if c.fleet == nil {
		return ""
	}
	return c.fleet.Spec.Template.Spec.Image()
}

// Clusters returns all clusters, by name, with what their Fleets said last,
// which lags by seconds.
func (b *Backend) Clusters() []throng.Cluster {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	all := make([]throng.Cluster, 0, len(b.clusters))
	for _, c := range b.clusters {
		out := throng.Cluster{Name: c.cfg.Name, Image: c.image(), Avoided: c.avoided}
		if f := c.fleet; f != nil {
			out.Warm = f.Status.ReadyReplicas
			out.Coming = max(f.Spec.Replicas-f.Status.ReadyReplicas-f.Status.AllocatedReplicas-f.Status.ReservedReplicas, 0)
		}
		switch {
		case c.away(now):
			out.Away = c.why()
		case c.cfg.Weight == 0:
			out.Away = "its weight is 0"
		}
		all = append(all, out)
	}
	return all
}

// Avoid says in which clusters no servers are allocated from now on.
func (b *Backend) Avoid(clusters []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.clusters {
		c.avoided = slices.Contains(clusters, c.cfg.Name)
	}
}
