package process_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/process"
)

// cable is a listener whose connections can be cut.
type cable struct {
	net.Listener

	mu    sync.Mutex
	conns []net.Conn
	dead  bool
}

func (c *cable) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		if c.dead {
			_ = conn.Close()
		} else {
			c.conns = append(c.conns, conn)
		}
		dead := c.dead
		c.mu.Unlock()
		if !dead {
			return conn, nil
		}
	}
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = false
}

// control is a control plane with a door of its own for each node, so that one
// can be cut off alone.
type control struct {
	*process.Nodes
	log *lines
	end func()

	mu    sync.Mutex
	doors map[throng.NodeID]*cable
}

func nodeID(n byte) throng.NodeID { return throng.MakeNodeID("test", throng.Entropy{n}) }

func runNodes(t *testing.T, edit func(*process.NodesConfig)) *control {
	t.Helper()
	log := &lines{}
	cfg := process.NodesConfig{
		Settle: time.Nanosecond,
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	}
	edit(&cfg)
	n, err := process.NewNodes(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // ended in order, by Cleanup
	var group sync.WaitGroup
	group.Go(func() {
		if err := n.Run(ctx); err != nil {
			t.Errorf("Nodes.Run: %v", err)
		}
	})
	c := &control{Nodes: n, log: log, end: func() { cancel(); group.Wait() }, doors: map[throng.NodeID]*cable{}}
	t.Cleanup(c.end)
	return c
}

// door opens the way in for one node.
func (c *control) door(t *testing.T, id throng.NodeID) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/nodes/{id}/control", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token of "+r.PathValue("id") {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		c.ServeNode(w, r, throng.NodeID(r.PathValue("id")))
	})
	server := httptest.NewUnstartedServer(mux)
	wire := &cable{Listener: server.Listener}
	server.Listener = wire
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(c.end) // before its server
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doors[id] = wire
	return server.URL
}

// cut cuts a node off, and waits until both sides know.
func (c *control) cut(t *testing.T, id throng.NodeID) {
	t.Helper()
	c.mu.Lock()
	wire := c.doors[id]
	c.mu.Unlock()
	before := strings.Count(c.log.String(), "node is away")
	wire.cut()
	until(t, "the control plane knows that the node is away", func() bool {
		return strings.Count(c.log.String(), "node is away") > before
	})
}

func (c *control) mend(t *testing.T, id throng.NodeID) {
	t.Helper()
	c.mu.Lock()
	wire := c.doors[id]
	c.mu.Unlock()
	before := strings.Count(c.log.String(), "node connected")
	wire.mend()
	until(t, "the node is back", func() bool { return strings.Count(c.log.String(), "node connected") > before })
}

// machine is a node that runs.
type machine struct {
	*underTest
	id   throng.NodeID
	log  *lines
	stop func() // ends the Node, not its Backend
}

func runNode(t *testing.T, c *control, id throng.NodeID, u *underTest) *machine {
	t.Helper()
	m := newNode(t, c.door(t, id), id, u, "token of "+string(id))
	until(t, "the node is connected", func() bool {
		return strings.Contains(c.log.String(), `msg="node connected" node=`+string(id))
	})
	return m
}

func newNode(t *testing.T, addr string, id throng.NodeID, u *underTest, token string) *machine {
	t.Helper()
	log := &lines{}
	n, err := process.NewNode(process.NodeConfig{
		ID: id, Host: u.Backend, Addrs: strings.Split(addr, ","), Token: func() (string, error) { return token, nil }, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // ended in order, by Cleanup
	var group sync.WaitGroup
	group.Go(func() {
		if err := n.Run(ctx); err != nil {
			t.Errorf("Node.Run: %v", err)
		}
	})
	m := &machine{underTest: u, id: id, log: log, stop: func() { cancel(); group.Wait() }}
	t.Cleanup(m.stop)
	return m
}

func (c *control) start(t *testing.T, id throng.ServerID) {
	t.Helper()
	if err := c.Allocate(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

func (c *control) exit(t *testing.T) throng.ServerExit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got throng.ServerExit
	if err := c.Watch(ctx, func(e throng.ServerExit) { got = e; cancel() }); err != nil || got.Server == "" {
		t.Fatalf("no exit was told: %v", err)
	}
	return got
}

func (c *control) list(t *testing.T) string {
	t.Helper()
	ids, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(ids)
}

func TestNodesContract(t *testing.T) {
	contract.Backend(t, func(t *testing.T) contract.BackendUnderTest {
		u := run(t, func(*process.Config) {})
		c := runNodes(t, func(*process.NodesConfig) {})
		runNode(t, c, nodeID(1), u)
		return contract.BackendUnderTest{
			Backend: c,
			Max:     4,
			Crash: func(t *testing.T, id throng.ServerID) {
				if err := syscall.Kill(u.games.of(t, id).pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			},
			Started: func(_ *testing.T, id throng.ServerID) int { return u.games.starts(id) },
		}
	})
}

func TestNodesWithoutNodes(t *testing.T) {
	young := runNodes(t, func(cfg *process.NodesConfig) { cfg.Settle = time.Hour })
	if err := young.Allocate(t.Context(), serverID(1)); throng.KindOf(err) != throng.Unavailable || throng.RetryAfterOf(err) == 0 {
		t.Errorf("Allocate while nodes may connect: got %v, want unavailable and when to come again", err)
	}
	c := runNodes(t, func(*process.NodesConfig) {})
	until(t, "nodes had their time", func() bool {
		_, err := c.List(t.Context())
		return err == nil
	})
	if err := c.Allocate(t.Context(), serverID(1)); throng.KindOf(err) != throng.NoCapacity {
		t.Errorf("Allocate: got %v, want no capacity", err)
	}
	if err := c.Release(t.Context(), serverID(1)); err != nil {
		t.Errorf("Release: got %v, want nil", err)
	}
}

func TestServersAreSpread(t *testing.T) {
	c := runNodes(t, func(*process.NodesConfig) {})
	small := runNode(t, c, nodeID(1), run(t, func(cfg *process.Config) { cfg.Max = 1 }))
	large := runNode(t, c, nodeID(2), run(t, func(cfg *process.Config) { cfg.Max = 3 }))
	for n := range 4 {
		c.start(t, serverID(byte(n)))
	}
	one, _ := small.List(t.Context())
	three, _ := large.List(t.Context())
	if len(one) != 1 || len(three) != 3 || one[0] != serverID(0) {
		t.Errorf("got %v and %v, want the first and three", one, three)
	}
	if err := c.Allocate(t.Context(), serverID(9)); throng.KindOf(err) != throng.NoCapacity {
		t.Errorf("a fifth: got %v, want no capacity", err)
	}
	// The nodes know better than the control plane what room they have.
	if err := large.Release(t.Context(), three[0]); err != nil {
		t.Fatal(err)
	}
	c.exit(t)
	if err := large.Allocate(t.Context(), serverID(7)); err != nil {
		t.Fatal(err)
	}
	if err := c.Allocate(t.Context(), serverID(8)); throng.KindOf(err) != throng.NoCapacity {
		t.Errorf("when the node was full behind our back: got %v, want no capacity", err)
	}
	if strings.Contains(c.list(t), string(serverID(8))) {
		t.Errorf("got %s, want none that was not started", c.list(t))
	}
}

// What a node's servers get from far away: variables of ours only.
func TestNodesEnvironment(t *testing.T) {
	bad := false
	var mu sync.Mutex
	c := runNodes(t, func(cfg *process.NodesConfig) {
		cfg.Env = func(id throng.ServerID) ([]string, error) {
			mu.Lock()
			defer mu.Unlock()
			if bad {
				return []string{"LD_PRELOAD=/tmp/x.so"}, nil
			}
			return []string{"THRONG_SERVER_TOKEN=secret of " + string(id)}, nil
		}
	})
	u := run(t, func(*process.Config) {})
	runNode(t, c, nodeID(1), u)
	c.start(t, serverID(1))
	if got, want := u.games.of(t, serverID(1)).ask(t, "environment"), "THRONG_SERVER_TOKEN=secret of "+string(serverID(1)); !strings.Contains(got, want) {
		t.Errorf("got environment %q, want %q in it", got, want)
	}
	mu.Lock()
	bad = true
	mu.Unlock()
	if err := c.Allocate(t.Context(), serverID(2)); throng.KindOf(err) != throng.Invalid {
		t.Errorf("a variable that is not ours: got %v, want invalid", err)
	}
	if strings.Contains(c.log.String(), "secret of") {
		t.Error("a token is in the log")
	}
}

// Losing the control plane ends no game server; what ended meanwhile is told
// when it is back, with its own reason.
func TestControlPlaneAway(t *testing.T) {
	c := runNodes(t, func(*process.NodesConfig) {})
	m := runNode(t, c, nodeID(1), run(t, func(*process.Config) {}))
	for n := range 3 {
		c.start(t, serverID(byte(n)))
	}
	c.cut(t, m.id)
	m.games.of(t, serverID(0)).tell(t, "exit 3")
	if !m.games.of(t, serverID(0)).over() {
		t.Fatal("it did not end")
	}
	if got := m.games.of(t, serverID(1)).ask(t, "eat 1"); got != "ok" {
		t.Errorf("a server while the control plane is away: got %q", got)
	}
	if got, want := c.list(t), fmt.Sprint([]throng.ServerID{serverID(0), serverID(1), serverID(2)}); got != want {
		t.Errorf("List: got %s, want %s: silence is no end", got, want)
	}
	if err := c.Allocate(t.Context(), serverID(1)); throng.KindOf(err) != throng.Unavailable || throng.RetryAfterOf(err) == 0 {
		t.Errorf("Allocate of one on a node that is away: got %v, want unavailable, retry later", err)
	}
	if err := c.Allocate(t.Context(), serverID(8)); throng.KindOf(err) != throng.NoCapacity {
		t.Errorf("Allocate of a new one: got %v, want no capacity", err)
	}
	if err := c.Release(t.Context(), serverID(2)); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("Release on a node that is away: got %v, want unavailable", err)
	}
	until(t, "the node knows of the exit", func() bool {
		list, _ := m.List(t.Context())
		return len(list) == 2
	})
	c.mend(t, m.id)
	if got, want := c.exit(t), (throng.ServerExit{Server: serverID(0), Reason: "exit status 3"}); got != want {
		t.Errorf("got exit %+v, want %+v", got, want)
	}
	if got, want := c.exit(t), (throng.ServerExit{Server: serverID(2), Reason: "signal: terminated"}); got != want {
		t.Errorf("got exit %+v, want %+v: it was released meanwhile", got, want)
	}
	if got, want := c.list(t), fmt.Sprint([]throng.ServerID{serverID(1)}); got != want {
		t.Errorf("List: got %s, want %s", got, want)
	}
	if err := c.Allocate(t.Context(), serverID(1)); err != nil || m.games.starts(serverID(1)) != 1 {
		t.Errorf("Allocate again: got %v, %d starts, want the same server", err, m.games.starts(serverID(1)))
	}
}

func TestNodeStaysAway(t *testing.T) {
	heard := map[throng.ServerID]bool{serverID(1): true}
	c := runNodes(t, func(cfg *process.NodesConfig) {
		cfg.Grace = 200 * time.Millisecond
		cfg.Heard = func(ids []throng.ServerID) []throng.ServerID {
			return slices.DeleteFunc(slices.Clone(ids), func(id throng.ServerID) bool { return !heard[id] })
		}
	})
	m := runNode(t, c, nodeID(1), run(t, func(*process.Config) {}))
	c.start(t, serverID(1))
	c.start(t, serverID(2))
	runNode(t, c, nodeID(2), run(t, func(*process.Config) {})) // or else it is us who are away
	c.cut(t, m.id)
	want := throng.ServerExit{Server: serverID(2), Reason: "node " + string(m.id) + " is away"}
	if got := c.exit(t); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := c.list(t), fmt.Sprint([]throng.ServerID{serverID(1)}); got != want {
		t.Errorf("List: got %s, want %s, which is heard elsewhere", got, want)
	}
	c.mend(t, m.id)
	if got, want := c.list(t), fmt.Sprint([]throng.ServerID{serverID(1), serverID(2)}); got != want {
		t.Errorf("List when the node is back: got %s, want %s", got, want)
	}
	if got := m.games.starts(serverID(2)); got != 1 {
		t.Errorf("got %d starts, want 1", got)
	}
	if err := c.Release(t.Context(), serverID(2)); err != nil {
		t.Errorf("Release of one that is back: %v", err)
	}
	if got := c.exit(t); got.Reason != "signal: terminated" {
		t.Errorf("got %+v", got)
	}
}

// A node is connected to every replica of the control plane at once: each starts
// servers on it, all know of all, and the node keeps its own maximum over all.
func TestReplicasShareANode(t *testing.T) {
	one, two := runNodes(t, func(*process.NodesConfig) {}), runNodes(t, func(*process.NodesConfig) {})
	u := run(t, func(cfg *process.Config) { cfg.Max = 3 })
	id := nodeID(1)
	m := newNode(t, one.door(t, id)+","+two.door(t, id), id, u, "token of "+string(id))
	for _, c := range []*control{one, two} {
		until(t, "the node is connected", func() bool { return strings.Contains(c.log.String(), `msg="node connected"`) })
	}
	one.start(t, serverID(1))
	two.start(t, serverID(2))
	all := fmt.Sprint([]throng.ServerID{serverID(1), serverID(2)})
	for _, c := range []*control{one, two} {
		until(t, "both servers are known", func() bool { return c.list(t) == all })
	}
	two.start(t, serverID(3))
	if err := one.Allocate(t.Context(), serverID(4)); throng.KindOf(err) != throng.NoCapacity || err == nil {
		t.Errorf("a fourth: got %v, want no capacity", err)
	}
	if err := one.Release(t.Context(), serverID(3)); err != nil {
		t.Errorf("Release of one that another replica started: %v", err)
	}
	for _, c := range []*control{one, two} {
		if got := c.exit(t); got.Server != serverID(3) {
			t.Errorf("got exit %+v, want that of the released one at each replica", got)
		}
	}
	// What ends while a replica is away, it hears when it is back.
	one.cut(t, id)
	u.games.of(t, serverID(2)).tell(t, "exit 5")
	want := throng.ServerExit{Server: serverID(2), Reason: "exit status 5"}
	if got := two.exit(t); got != want {
		t.Errorf("got exit %+v, want %+v", got, want)
	}
	two.start(t, serverID(5))
	one.mend(t, id)
	if got := one.exit(t); got != want {
		t.Errorf("got exit %+v, want %+v", got, want)
	}
	if got, want := one.list(t), fmt.Sprint([]throng.ServerID{serverID(1), serverID(5)}); got != want {
		t.Errorf("List: got %s, want %s", got, want)
	}
	m.stop()
}

// A new control plane knows nothing, and waits until nodes told it.
func TestControlPlaneStartsAnew(t *testing.T) {
	old := runNodes(t, func(*process.NodesConfig) {})
	u := run(t, func(*process.Config) {})
	m := runNode(t, old, nodeID(1), u)
	old.start(t, serverID(1))
	old.start(t, serverID(2))
	old.end()
	m.stop()
	w := httptest.NewRecorder()
	old.ServeNode(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), m.id)
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("a node at an ended control plane: got %d, want 503", w.Code)
	}

	c := runNodes(t, func(cfg *process.NodesConfig) { cfg.Settle = time.Hour })
	if _, err := c.List(t.Context()); throng.KindOf(err) != throng.Unavailable || throng.RetryAfterOf(err) == 0 {
		t.Errorf("List at first: got %v, want unavailable, retry later", err)
	}
	next := runNodes(t, func(*process.NodesConfig) {})
	if err := next.Release(t.Context(), serverID(2)); err != nil { // before it is known
		t.Errorf("Release: %v", err)
	}
	runNode(t, next, nodeID(1), u)
	if got := next.exit(t); got.Server != serverID(2) {
		t.Errorf("got exit %+v, want that of the released one", got)
	}
	if got, want := next.list(t), fmt.Sprint([]throng.ServerID{serverID(1)}); got != want {
		t.Errorf("List: got %s, want %s", got, want)
	}
	u.games.of(t, serverID(1)).tell(t, "exit 4")
	if got, want := next.exit(t), (throng.ServerExit{Server: serverID(1), Reason: "exit status 4"}); got != want {
		t.Errorf("got exit %+v, want %+v", got, want)
	}
}

// A node and its backend that end together say what ended.
func TestNodeSaysFarewell(t *testing.T) {
	c := runNodes(t, func(*process.NodesConfig) {})
	u := run(t, func(*process.Config) {})
	m := runNode(t, c, nodeID(1), u)
	c.start(t, serverID(1))
	u.games.of(t, serverID(1)).ask(t, "deaf")
	var group sync.WaitGroup
	group.Go(u.end)
	group.Go(m.stop)
	if got, want := c.exit(t), (throng.ServerExit{Server: serverID(1), Reason: "signal: killed"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	group.Wait()
}

func TestNodeIsRefused(t *testing.T) {
	c := runNodes(t, func(*process.NodesConfig) {})
	addr := c.door(t, nodeID(1))
	m := newNode(t, addr, nodeID(1), run(t, func(*process.Config) {}), "a wrong token")
	until(t, "the node says that it was refused", func() bool {
		return strings.Contains(m.log.String(), "the control plane answered 401 Unauthorized")
	})
	if strings.Contains(m.log.String(), "wrong token") {
		t.Error("the token is in the log")
	}
	until(t, "it tries again, quietly", func() bool { return strings.Count(m.log.String(), "\n") == 1 })

	for name, hello := range map[string]string{
		"another name": `{"kind":"hello","node":"` + string(nodeID(2)) + `"}`,
		"no hello":     `{"kind":"exited","server":"` + string(serverID(1)) + `"}`,
		"no JSON":      `hello`,
	} {
		conn := dial(t, addr, nodeID(1))
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(hello)); err != nil {
			t.Fatal(err)
		}
		if _, answer, err := conn.Read(t.Context()); err == nil {
			t.Errorf("%s: got %s, want the connection closed", name, answer)
		}
	}
	if got := c.list(t); got != "[]" {
		t.Errorf("got %s, want none", got)
	}
	for name, cfg := range map[string]process.NodeConfig{
		"no name":  {Host: m.Backend, Addrs: []string{addr}, Token: func() (string, error) { return "x", nil }, Logger: slog.New(slog.DiscardHandler)},
		"no token": {ID: nodeID(1), Host: m.Backend, Addrs: []string{addr}, Logger: slog.New(slog.DiscardHandler)},
		"no URL":   {ID: nodeID(1), Host: m.Backend, Addrs: []string{"localhost:80"}, Token: func() (string, error) { return "x", nil }, Logger: slog.New(slog.DiscardHandler)},
	} {
		if _, err := process.NewNode(cfg); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
}

func dial(t *testing.T, addr string, id throng.NodeID) *websocket.Conn {
	t.Helper()
	conn, response, err := websocket.Dial(t.Context(), addr+"/v1/nodes/"+string(id)+"/control", &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer token of " + string(id)}},
	})
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	if response.Body != nil {
		_ = response.Body.Close()
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

// A node can't speak for another one's servers, and its newer connection ends
// the older one.
func TestForeignClaims(t *testing.T) {
	c := runNodes(t, func(*process.NodesConfig) {})
	u := run(t, func(*process.Config) {})
	runNode(t, c, nodeID(1), u)
	c.start(t, serverID(1))
	liar := c.door(t, nodeID(2))
	claim := []byte(fmt.Sprintf(`{"kind":"hello","node":%q,"max":1,"servers":[%q],"exits":[{"server":%q,"reason":"a lie"}]}`,
		nodeID(2), serverID(1), serverID(1)))
	first := dial(t, liar, nodeID(2))
	for _, conn := range []*websocket.Conn{first, dial(t, liar, nodeID(2))} {
		if err := conn.Write(t.Context(), websocket.MessageText, claim); err != nil {
			t.Fatal(err)
		}
		if _, told, err := conn.Read(t.Context()); err != nil || !strings.Contains(string(told), "told") {
			t.Fatalf("got %s, %v", told, err)
		}
	}
	if _, _, err := first.Read(t.Context()); err == nil {
		t.Error("the older connection goes on")
	}
	if got, want := c.list(t), fmt.Sprint([]throng.ServerID{serverID(1)}); got != want {
		t.Errorf("List: got %s, want %s", got, want)
	}
	if !strings.Contains(c.log.String(), "node claims servers of another node") {
		t.Errorf("got log %s, want the claim in it", c.log)
	}
	if err := c.Release(t.Context(), serverID(1)); err != nil {
		t.Fatal(err)
	}
	if got := c.exit(t); got.Reason != "signal: terminated" {
		t.Errorf("got %+v, want the true node's word", got)
	}
}

// The node itself refuses what is not ours, and what is too much at once.
func TestNodeChecksItsControlPlane(t *testing.T) {
	got := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.CloseNow() }()
		_, hello, _ := conn.Read(r.Context())
		evil := fmt.Sprintf(`{"kind":"allocate","call":1,"server":%q,"env":["LD_PRELOAD=/tmp/x.so"]}`, serverID(1))
		_ = conn.Write(r.Context(), websocket.MessageText, []byte(evil))
		_, _, err = conn.Read(r.Context())
		got <- string(hello) + fmt.Sprint(err)
	}))
	defer server.Close()
	u := run(t, func(*process.Config) {})
	m := newNode(t, server.URL, nodeID(1), u, "token")
	select {
	case said := <-got:
		if !strings.Contains(said, `"max":4`) || !strings.Contains(said, "EOF") {
			t.Errorf("got %s, want a hello and an end", said)
		}
	case <-time.After(patience):
		t.Fatal("no hello")
	}
	until(t, "the node says why", func() bool { return strings.Contains(m.log.String(), "is no THRONG_ variable") })
	m.stop()
	if u.games.starts(serverID(1)) != 0 {
		t.Error("it was started")
	}
	if slices.Contains(os.Args, "game") {
		t.Error("unreachable: a game runs tests")
	}
}
