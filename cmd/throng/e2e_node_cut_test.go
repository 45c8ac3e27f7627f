package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/client"
	standin "github.com/throng-gg/throng/test/agones"
	"github.com/throng-gg/throng/test/lab"
)

// nodeNet is what game servers of cut nodes reach the doors over: while it is cut
// nothing comes through and nobody is told, and what was open then is dead.
type nodeNet struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu     sync.Mutex
	healed chan struct{} // guarded by mu; nil: it is not cut
}

// over has a client's calls go over it. The client must not have made any.
func (n *nodeNet) over(c *http.Client) {
	t := client.NewHTTP(nil).Transport.(*http.Transport) //nolint:forcetypeassert // what it makes
	n.dial = t.DialContext
	t.DialContext = n.connect
	c.Transport = t
}

func (n *nodeNet) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.healed = make(chan struct{})
}

func (n *nodeNet) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.healed != nil {
		close(n.healed)
		n.healed = nil
	}
}

// blocked is closed when it is whole again; nil: it is.
func (n *nodeNet) blocked() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.healed
}

func (n *nodeNet) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	if blocked := n.blocked(); blocked != nil {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-blocked:
		}
	}
	c, err := n.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &nodeConn{Conn: c, net: n, closed: make(chan struct{})}, nil
}

// nodeConn is a connection over it.
type nodeConn struct {
	net.Conn
	net    *nodeNet
	dead   atomic.Bool // something was lost of it
	once   sync.Once
	closed chan struct{}
}

// Read waits for what never comes while the network is cut.
func (c *nodeConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if blocked := c.net.blocked(); blocked != nil {
		c.dead.Store(true)
		select {
		case <-blocked:
		case <-c.closed:
		}
	}
	if c.dead.Load() {
		return 0, syscall.ECONNRESET
	}
	return n, err
}

// Write says that all was sent, as a kernel does.
func (c *nodeConn) Write(b []byte) (int, error) {
	if c.net.blocked() != nil {
		c.dead.Store(true)
	}
	if c.dead.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// Close lets who reads go.
func (c *nodeConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// TestNodesCut cuts the nodes of one cluster of two off, while its API server sees
// all pods run and Agones hands them out, as it does until a node is NotReady and
// its pods are evicted, minutes later. Their sessions are over after a lease, all
// others go on, openings go on in the other cluster, and when the nodes are back
// what is left over there is deleted and new sessions run there.
func TestNodesCut(t *testing.T) {
	lab.Require(t)
	var doors atomic.Pointer[string]
	o := standin.Options{BatchWait: 100 * time.Millisecond, Lag: 50 * time.Millisecond, ExitLag: 200 * time.Millisecond}
	a, b := startCloud(t, 40, o, laterAt(&doors)), startCloud(t, 40, o, laterAt(&doors))
	var nodes nodeNet
	nodes.over(b.http)
	defer nodes.heal()
	r, planes := startPlanes(t, 1, "--clusters", clustersFile(t, a, b), "--warm", "6", "--warm-most", "6", "--max", "80")
	doors.Store(&r.url)
	eventually(t, 60*time.Second, "the control plane is ready", planes[0].ready)
	operator := r.as("operator", api.RoleOperator)
	var inA, inB []throng.SessionID
	for i := range 8 {
		s, err := r.openFor(i)
		if err != nil {
			t.Fatal(err)
		}
		if a.host.Server(s) != nil {
			inA = append(inA, s)
		} else {
			inB = append(inB, s)
		}
	}
	if len(inA) == 0 || len(inB) == 0 {
		t.Fatalf("got %d sessions in a, %d in b", len(inA), len(inB))
	}

	nodes.cut()
	cut, away := time.Now(), 2*throng.LeaseTime+5*time.Second
	if soakTimes(t) > 0 {
		away = 2 * time.Minute // a node is NotReady after 50 s
	}
	var slowest, over time.Duration
	opened := 0
	for i := 100; time.Since(cut) < away; i++ {
		asked := time.Now()
		s, err := r.openFor(i)
		if err != nil {
			t.Errorf("an opening %v after the cut, which took %v: %v", asked.Sub(cut), time.Since(asked), err)
			continue
		}
		opened++
		slowest = max(slowest, time.Since(asked))
		napE2E(t.Context(), 200*time.Millisecond)
		if err := operator.End(t.Context(), s, "enough"); err != nil {
			t.Errorf("end %s: %v", s, err)
		}
		if over == 0 && r.allEnded(inB) {
			over = time.Since(cut)
		}
	}
	t.Logf("cut off for %v: %d openings, the slowest took %v; the sessions there were over after %v",
		away, opened, slowest.Round(time.Millisecond), over.Round(time.Second))
	if over == 0 || over < throng.LeaseTime/2 {
		t.Errorf("the sessions on cut nodes were over after %v, want a lease, %v, or little more", over, throng.LeaseTime)
	}
	for _, s := range inA {
		if why, ended := r.ended(string(s)); ended {
			t.Errorf("session %s, which is elsewhere, ended: %s", s, why)
		}
	}
	nodes.heal()
	for _, s := range inA {
		if err := operator.End(t.Context(), s, "enough"); err != nil {
			t.Errorf("end %s: %v", s, err)
		}
	}
	a.noneLeft(r)
	b.noneLeft(r)
	next := 5000
	took := eventually(t, 60*time.Second, "sessions run on the nodes that are back", func() bool {
		next++
		s, err := r.openFor(next)
		return err == nil && b.host.Server(s) != nil
	})
	t.Logf("the first session there %v after all was in order", took.Round(time.Millisecond))
}

// allEnded says whether sessions are over.
func (r *region) allEnded(sessions []throng.SessionID) bool {
	for _, s := range sessions {
		if _, ended := r.ended(string(s)); !ended {
			return false
		}
	}
	return true
}
