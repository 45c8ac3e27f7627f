package throng

import (
	"net/netip"
	"strconv"
	"time"
)

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
	// Avoided clusters are drained: nothing is started there, on purpose.
	Avoided bool
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

// ServerStatus says to people what a game server does, in more detail than
// ServerState.
type ServerStatus string

// What game servers do.
const (
	StatusStarting ServerStatus = "starting" // allocated, not connected (any more)
	StatusWarm     ServerStatus = "warm"     // connected, without a session
	StatusHanded   ServerStatus = "handed"   // was given a session that is not bound yet
	StatusBound    ServerStatus = "bound"    // hosts a session
	StatusDraining ServerStatus = "draining" // hosts one that drains
	StatusLeaving  ServerStatus = "leaving"  // is being released
	StatusFound    ServerStatus = "found"    // the backend has it; nobody knows (yet) what it does
	StatusLeaked   ServerStatus = "leaked"   // has no living session for longer than it may
	StatusGone     ServerStatus = "gone"
)

// ServerInfo is a game server as operators see it.
type ServerInfo struct {
	ID        ServerID
	Status    ServerStatus
	Since     time.Time      // of what it does
	Session   SessionID      // that it was handed; may be over
	Place     PlaceID        // of the session, while it lives
	Players   int            // seats of the session that were confirmed
	Address   netip.AddrPort // where its players connect
	Connected bool           // to the control plane that says so
	Site      ServerSite     // zero: not known
}

// DrainKind is which part of a fleet is drained.
type DrainKind string

// The parts of a fleet that can be drained.
const (
	DrainServer  DrainKind = "server"
	DrainCluster DrainKind = "cluster"
	DrainRegion  DrainKind = "region"
	// DrainVersion drains the sessions that run one version of a place.
	DrainVersion DrainKind = "version"
)

// VersionName is a version of a place as the name of what is drained: "arena.3".
func VersionName(p PlaceID, v Version) string { return string(p) + "." + strconv.Itoa(int(v)) }

// FleetDrain takes a part of a region's fleet out of use until it is taken back.
// It is stored as JSON: new fields must have a good zero value.
type FleetDrain struct {
	Kind   DrainKind `json:"kind"`
	Name   string    `json:"name"`          // of the server, the cluster, the region; see VersionName
	Old    bool      `json:"old,omitempty"` // only servers that were made from something else than new ones are
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"` // when its sessions end though players are in them; zero: never
}

// IsDrainName says whether a part of a fleet may have this name: it is one of a
// file, of up to 200 letters, digits, dots, dashes and underscores.
func IsDrainName(name string) bool {
	if name == "" || len(name) > 200 || name[0] == '.' {
		return false
	}
	for _, b := range []byte(name) {
		if (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '-' && b != '_' && b != '.' {
			return false
		}
	}
	return true
}

// FleetInfo is a cluster and what its servers do.
type FleetInfo struct {
	Cluster
	Drain   *FleetDrain // nil: it is in use
	Old     int         // of its servers
	Servers map[ServerStatus]int
}

// DrainSum is what there is to drain.
type DrainSum struct {
	Servers  int
	Sessions int // on them
	Players  int // in these
}
