package agones

import (
	"net/url"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
)

// mirrorServers follows the servers of the region in a cluster. All others of
// the cluster's GameServers are never seen.
func (b *Backend) mirrorServers(c *cluster) *mirror[kind.GameServer] {
	name := c.cfg.Name
	return &mirror[kind.GameServer]{
		server: c.server, path: c.gameServers(), query: labelled(b.cfg.Region),
		meta: func(g *kind.GameServer) kind.Meta { return g.Metadata },
		replace: func(all []kind.GameServer, revision uint64) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.saw(b.table.replace(name, all, revision), ids(all)...)
			b.log.Info("cluster listed", "cluster", name, "servers", len(all))
		},
		changed: func(g kind.GameServer) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.saw(b.table.observe(name, g), idOf(g))
		},
		deleted: func(g kind.GameServer) {
			b.mu.Lock()
			defer b.mu.Unlock()
			// It may only have lost the label; then it is not ours any more either.
			b.saw(b.table.vanish(place{name, g.Metadata.Name}, "exit: its game server is gone"), idOf(g))
		},
		opened: func() { b.opened(c) },
		lost:   func(err error) { b.lostSight(c, err) },
	}
}

func ids(all []kind.GameServer) []throng.ServerID {
	out := make([]throng.ServerID, len(all))
	for i, g := range all {
		out[i] = idOf(g)
	}
	return out
}

// opened says that a cluster is watched.
func (b *Backend) opened(c *cluster) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !c.synced || c.failure != nil {
		b.log.Info("cluster watched", "cluster", c.cfg.Name)
	}
	c.lost, c.failure = time.Time{}, nil
	if !c.synced {
		c.synced = true
		close(b.changed)
		b.changed = make(chan struct{})
	}
	b.metrics.connected.WithLabelValues(c.cfg.Name).Set(1)
}

// lostSight says that a cluster is not watched now; err is nil while the watch is
// renewed.
func (b *Backend) lostSight(c *cluster, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.lost.IsZero() {
		c.lost = time.Now()
	}
	if err != nil && c.failure == nil {
		b.log.Warn("cluster not watched", "cluster", c.cfg.Name, "err", err)
	}
	if err != nil {
		c.failure = err
		b.metrics.connected.WithLabelValues(c.cfg.Name).Set(0)
	}
}

// mirrorFleet follows the Fleet that a cluster's new servers come from.
func (b *Backend) mirrorFleet(c *cluster) *mirror[kind.Fleet] {
	set := func(f *kind.Fleet) {
		b.mu.Lock()
		defer b.mu.Unlock()
		c.fleet = f
	}
	return &mirror[kind.Fleet]{
		server: c.server, path: c.fleets(), query: url.Values{"fieldSelector": {"metadata.name=" + c.cfg.Fleet}},
		meta: func(f *kind.Fleet) kind.Meta { return f.Metadata },
		replace: func(all []kind.Fleet, _ uint64) {
			if len(all) == 0 {
				b.log.Warn("cluster has no such fleet", "cluster", c.cfg.Name, "fleet", c.cfg.Fleet)
				set(nil)
				return
			}
			set(&all[0])
		},
		changed: func(f kind.Fleet) { set(&f) },
		deleted: func(kind.Fleet) { set(nil) },
		opened:  func() {},
		lost: func(err error) {
			if err != nil {
				b.log.Debug("fleet not watched", "cluster", c.cfg.Name, "err", err)
			}
		},
	}
}
