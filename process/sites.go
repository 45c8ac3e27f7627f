package process

import (
	"cmp"
	"slices"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/fleet"
)

// local is the name of the only cluster that a Backend knows: this machine.
const local = "local"

var (
	_ fleet.Sites = (*Backend)(nil)
	_ fleet.Sites = (*Nodes)(nil)
)

// Sites is fleet.Sites: all servers are on this machine.
func (b *Backend) Sites() []throng.ServerSite {
	list := make([]throng.ServerSite, 0)
	for _, c := range b.all() {
		list = append(list, throng.ServerSite{Server: c.id, Cluster: local})
	}
	return list
}

// Clusters is fleet.Sites: there is this machine.
func (b *Backend) Clusters() []throng.Cluster { return []throng.Cluster{{Name: local}} }

// Avoid is fleet.Sites.
func (b *Backend) Avoid(clusters []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.avoided = slices.Contains(clusters, local)
}

// Sites is fleet.Sites: each node is a cluster, named by its ID.
func (n *Nodes) Sites() []throng.ServerSite {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]throng.ServerSite, 0, len(n.roster.servers))
	for id, p := range n.roster.servers {
		if p.state != placedEnded {
			list = append(list, throng.ServerSite{Server: id, Cluster: string(p.on.id), Node: string(p.on.id)})
		}
	}
	return list
}

// Clusters is fleet.Sites: the nodes that were ever connected.
func (n *Nodes) Clusters() []throng.Cluster {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]throng.Cluster, 0, len(n.roster.nodes))
	for id, m := range n.roster.nodes {
		c := throng.Cluster{Name: string(id)}
		if m.link == nil {
			c.Away = "the node is not connected"
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b throng.Cluster) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// Avoid is fleet.Sites.
func (n *Nodes) Avoid(clusters []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.roster.avoid = make(map[throng.NodeID]bool, len(clusters))
	for _, name := range clusters {
		n.roster.avoid[throng.NodeID(name)] = true
	}
}
