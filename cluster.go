package throng

import "net/netip"

// Cluster is a part of a region where game servers run, drained as a whole: a
// Kubernetes cluster, or a machine that runs game servers as processes.
type Cluster struct {
	Name string // in the region's configuration, or the node's ID; unique in a region
	// Image is what new servers are made from; empty: not said.
	Image string
	// Warm servers run and are nobody's yet: an allocation takes one of them.
	// Coming ones are being started. Servers that were allocated are in neither.
	Warm, Coming int
	// Away says why nothing can be started there now; empty: it can.
	Away string
}

// ServerSite is where one allocated game server runs.
type ServerSite struct {
	Server  ServerID
	Cluster string // Cluster.Name
	Node    string // the machine; empty: not known (yet)
	Name    string // as the backend calls it, like a GameServer's name; empty: like Server
	// Address is where its players connect, as the backend says; may be invalid.
	Address netip.AddrPort
	Image   string // empty: not said
	// Old is a server that was made from something else than new ones are.
	Old bool
}
