package fleet

import (
	"context"
	"net/netip"
	"time"

	"github.com/throng-gg/throng"
)

// Backend starts and ends game servers. The caller names a server before it
// exists, so every call can be repeated and nothing can leak.
type Backend interface {
	// Allocate starts a server, or claims an idle one, and keeps it until
	// Release. Repeated for the same ID it is no second server. It returns
	// when the server was started, not when it is connected. NoCapacity: no
	// more can be started.
	Allocate(ctx context.Context, id throng.ServerID) error
	// Release ends a server's process. Unknown ones are no error.
	Release(ctx context.Context, id throng.ServerID) error
	// List returns all servers that are allocated and alive.
	List(ctx context.Context) ([]throng.ServerID, error)
	// Watch calls gone for each server whose process is over, within a second
	// of it, until ctx ends. It blocks; one caller at a time.
	Watch(ctx context.Context, gone func(throng.ServerExit)) error
}

// Sites is a Backend that knows where its servers run. A Backend may be without
// it: then nothing is known of clusters, none can be drained, and no server is old.
type Sites interface {
	// Sites returns where the allocated servers run, in no order, as far as it is
	// known. It is asked every few seconds and does not wait.
	Sites() []throng.ServerSite
	// Clusters returns where servers can run, by name. It does not wait.
	Clusters() []throng.Cluster
	// Avoid says in which clusters Allocate starts no servers from now on; the
	// list replaces the one before, and names that are not known are no error. It
	// does not wait. Servers that run there stay. Allocate's answer is NoCapacity
	// when no other cluster has room.
	Avoid(clusters []string)
}

// Link is one game server's control connection.
type Link interface {
	// Handover gives the server a session. It returns nil when the server took
	// it, Conflict when it has one, Unavailable when the connection is lost.
	Handover(ctx context.Context, h throng.Handover) error
	// Order sends an order for the server's session. It does not wait.
	Order(s throng.SessionID, o throng.Order) error
	// Stop tells an idle server to end. It does not wait.
	Stop(reason string) error
}

// Registry is what the orchestrator needs of the session registry.
type Registry interface {
	// End ends a session, with the reason for people. Ended ones are no error.
	End(ctx context.Context, s throng.SessionID, reason string) error
	// Drain takes no more players into a session, which hands off those that it has
	// and ends when it is empty, or after within though it is not; zero: never.
	// Said again, the end is moved. Ended ones are no error.
	Drain(ctx context.Context, s throng.SessionID, reason string, within time.Duration) error
	// Session returns one session, also an ended one while it is remembered.
	Session(ctx context.Context, s throng.SessionID) (throng.Session, error)
	// Changes blocks until something changed after cursor, and returns it.
	Changes(ctx context.Context, cursor uint64) (throng.SessionChanges, error)
	// Now is the registry's clock; Unavailable while it is rebuilding or away.
	Now(ctx context.Context) (time.Time, error)
}

// Peers are the orchestrators of the region's other control-plane processes, on
// the same backend and registry.
type Peers interface {
	// Held returns which of the servers another orchestrator has: they are
	// connected to it, or it allocated them and waits for them. Unavailable: a
	// living one did not answer.
	Held(ctx context.Context, ids []throng.ServerID) ([]throng.ServerID, error)
	// Opening says whether another orchestrator is finding a server for the
	// session. One that does not answer is not.
	Opening(ctx context.Context, s throng.SessionID) bool
	// Took tells the others that the server is connected here. It does not
	// wait; who does not hear of it asks.
	Took(id throng.ServerID)
	// Relay sends an order to the orchestrator that the server is connected to.
	// It does not wait; the server's heartbeat brings what is lost.
	Relay(s throng.SessionID, id throng.ServerID, o throng.Order)
}

// Keys makes what a server needs to prove itself and to check others.
type Keys interface {
	// SessionKey derives the key that seals a session's join tokens. NotFound: the
	// secret that it follows from was retired.
	SessionKey(s throng.SessionID) ([32]byte, error)
	// ServerToken makes a credential that is good for one session on one server.
	ServerToken(id throng.ServerID, s throng.SessionID) (string, error)
	// Route makes what gateways find the session's server by, which players reach at
	// an address; empty when the region has no gateways.
	Route(s throng.SessionID, server netip.AddrPort) (string, error)
}
