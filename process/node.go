package process

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

// NodeConfig is what a Node is made of. Fields without a default are needed.
type NodeConfig struct {
	ID   throng.NodeID
	Host Host
	// Addrs are the URLs of the control plane's doors, like "https://eu.example":
	// one of each replica. The node is connected to all of them at once.
	Addrs []string
	// Token returns the node's bearer token. It is asked at every connect, so that
	// the token can be renewed.
	Token func() (string, error)
	// Client dials; default http.DefaultClient. It must have no Timeout.
	Client *http.Client

	Logger *slog.Logger
}

// Host is what a Node runs game servers on: a Backend, or the simulated ones of a
// load test.
type Host interface {
	// Start starts a server with what its environment has besides. Repeated for
	// the same ID it is no second server. NoCapacity: there is no room.
	Start(ctx context.Context, id throng.ServerID, env []string) error
	// Release ends a server. Unknown ones are no error.
	Release(ctx context.Context, id throng.ServerID) error
	// List returns all servers that are alive. It never fails.
	List(ctx context.Context) ([]throng.ServerID, error)
	// Watch calls gone for each server that is over, until ctx ends.
	Watch(ctx context.Context, gone func(throng.ServerExit)) error
	// Max is how many may be alive at once.
	Max() int
}

const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 5 * time.Second
	maxWork      = 64              // calls of one connection in progress; full: they are answered with Unavailable
	maxUplinks   = 64              // replicas of the control plane
	farewellTime = 5 * time.Second // to tell the last exits
)

// Node lets a control plane far away run game servers on this machine's Host. It
// watches the Host, so nobody else can.
type Node struct {
	cfg     NodeConfig
	uplinks []*uplink
}

// NewNode makes a Node. It starts nothing.
func NewNode(cfg NodeConfig) (*Node, error) {
	if cfg.Host == nil || cfg.Token == nil || cfg.Logger == nil || len(cfg.Addrs) == 0 {
		return nil, throng.Errorf(throng.Invalid, "node: a needed part of its configuration is missing")
	}
	if _, err := throng.ParseNodeID("node", string(cfg.ID)); err != nil {
		return nil, err
	}
	if len(cfg.Addrs) > maxUplinks {
		return nil, throng.AtField(throng.Invalid, "addr", "has %d control planes, at most %d are allowed", len(cfg.Addrs), maxUplinks)
	}
	if cfg.Client == nil {
		cfg.Client = http.DefaultClient
	}
	n := &Node{cfg: cfg}
	for _, addr := range cfg.Addrs {
		u, err := url.Parse(addr)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, throng.AtField(throng.Invalid, "addr", "%q is not the URL of a control plane", addr)
		}
		n.uplinks = append(n.uplinks, &uplink{
			node: n,
			url:  u.JoinPath("v1", "nodes", string(cfg.ID), "control").String(),
			addr: addr,
			news: make(chan struct{}),
		})
	}
	return n, nil
}

// Run stays connected until ctx ends, however long the control plane is away;
// game servers go on meanwhile. When a Backend is ended at the same time, it
// first tells the exits, for up to 5 s.
func (n *Node) Run(ctx context.Context) error {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	watched := make(chan error, 1)
	group.Go(func() { watched <- n.cfg.Host.Watch(late, n.keep) })
	for _, u := range n.uplinks {
		group.Go(func() { u.stayConnected(late) })
	}
	select {
	case <-ctx.Done():
	case err := <-watched:
		return fmt.Errorf("watch game servers: %w", err)
	}
	n.farewell(late)
	return nil
}

// farewell waits until the last exits are told to all who listen, if the
// Backend is ending.
func (n *Node) farewell(ctx context.Context) {
	b, ok := n.cfg.Host.(*Backend)
	if !ok {
		return // nothing of it outlives us
	}
	ctx, cancel := context.WithTimeout(ctx, farewellTime)
	defer cancel()
	select {
	case <-b.closing:
	case <-time.After(100 * time.Millisecond): // it goes on
		return
	}
	select {
	case <-b.done:
	case <-ctx.Done():
		return
	}
	for !b.exits.Empty() || !n.said() {
		select {
		case <-time.After(20 * time.Millisecond): // kept, and not yet off the Backend's queue
		case <-ctx.Done():
			return
		}
	}
}

// said is whether some control plane knows all exits, and so does every one
// that is connected.
func (n *Node) said() bool {
	some := false
	for _, u := range n.uplinks {
		left, connected := u.left()
		if connected && left > 0 {
			return false
		}
		some = some || left == 0
	}
	return some
}

// keep remembers an exit until every control plane was told.
func (n *Node) keep(e throng.ServerExit) {
	for _, u := range n.uplinks {
		u.keep(e)
	}
}

// began tells the other control planes of a server that one of them had started.
func (n *Node) began(id throng.ServerID, by *uplink) {
	for _, u := range n.uplinks {
		if u != by {
			u.began(id)
		}
	}
}
