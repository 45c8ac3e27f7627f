package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
	"github.com/throng-gg/throng/agones/sdk"
	"github.com/throng-gg/throng/agones/sdk/sdktest"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/auth"
	"github.com/throng-gg/throng/bot"
	"github.com/throng-gg/throng/disk"
)

// pods is a control plane whose game servers are started by a test, as if in pods
// of a cluster: with a sidecar each, and a door that knows who they are.
type pods struct {
	*region
	keys *secrets
	door *httptest.Server

	mu   sync.Mutex
	made int
	who  map[string]throng.ServerID // guarded by mu; by the pod's token, once it is allocated
	asks int                        // guarded by mu; claims that were answered
}

func startPods(t *testing.T) *pods {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	addr := freePort(t)
	prog := start(t, throngBinary(t), "serve", "control", "--addr", addr, "--data", data, "--dev", "--warm", "0")
	prog.line("listens at", 30*time.Second)
	ring, err := auth.NewRing(auth.RingConfig{Secrets: disk.Ring{Dir: data}})
	if err != nil {
		t.Fatal(err)
	}
	p := &pods{region: newRegion(t, prog, "http://"+addr, data), keys: &secrets{Ring: ring}, who: map[string]throng.ServerID{}}
	eventually(t, 30*time.Second, "the registry grants", func() bool {
		resp, err := http.Get(p.url + "/readyz") //nolint:noctx // bounded by the loop
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	target, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	behind := httputil.NewSingleHostReverseProxy(target)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/servers/claim", p.claim)
	mux.Handle("/", behind)
	p.door = httptest.NewServer(mux)
	t.Cleanup(p.door.Close)
	return p
}

// claim answers as the door of a region with clusters does.
func (p *pods) claim(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	id := p.who[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	p.asks++
	p.mu.Unlock()
	if id == "" {
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(map[string]any{"code": "not_found", "detail": "the pod's server is not allocated", "status": 404, "title": "x"})
		return
	}
	token, err := p.keys.EnrollToken(id)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(gen.ServerClaimOf(throng.ServerClaim{Server: id, Token: token, Region: "local", Doors: []string{p.url}}))
}

// pod is one game server with its sidecar.
type pod struct {
	*program
	in      *pods
	id      throng.ServerID
	token   string
	sidecar *sdktest.Sidecar
}

// freeUDP is a port that was free for both protocols a moment ago.
func freeUDP(t *testing.T) uint16 {
	t.Helper()
	for range 20 {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
		if err != nil {
			t.Fatal(err)
		}
		at := netip.MustParseAddrPort(c.LocalAddr().String())
		l, err := net.Listen("tcp", at.String()) //nolint:noctx // it has none
		_ = c.Close()
		if err == nil {
			_ = l.Close()
			return at.Port()
		}
	}
	t.Fatal("no free port")
	return 0
}

// start begins a pod with the program.
func (p *pods) start(command ...string) *pod {
	t := p.t.(*testing.T) //nolint:forcetypeassert // made by startPods
	t.Helper()
	p.mu.Lock()
	p.made++
	n := p.made
	p.mu.Unlock()
	game, web := freeUDP(t), freeUDP(t)
	sidecar, err := sdktest.New(sdktest.Config{
		Name: fmt.Sprintf("gs-%d", n), Ports: map[string]uint16{"game": game, "web-tcp": web, "web-udp": web},
		Counters: map[string]int64{"players": 0}, Lag: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sidecar.Close)
	one := &pod{in: p, id: throng.MakeServerID("local", throng.Entropy{byte(n)}), token: fmt.Sprintf("pod-%d", n), sidecar: sidecar}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(one.token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if len(command) == 0 {
		command = []string{gameServerBinary(t)}
	}
	one.program = startWith(t, []string{
		"THRONG_ADDR=" + p.door.URL, "THRONG_AGONES=true", "AGONES_SDK_HTTP_PORT=" + sidecar.Port(), "THRONG_TOKEN_FILE=" + file,
		fmt.Sprintf("THRONG_UDP=127.0.0.1:%d", game), fmt.Sprintf("THRONG_WEB=127.0.0.1:%d", web), "THRONG_GRACE=20s",
		"PATH=" + os.Getenv("PATH"), //nolint:forbidigo // for programs that look for others
	}, command...)
	return one
}

// startWith is start with an environment of its own.
func startWith(t *testing.T, environment []string, command ...string) *program {
	t.Helper()
	p := &program{t: t, logs: &logBuffer{}, out: make(chan string, 64), done: make(chan struct{})}
	p.cmd = exec.Command(command[0], command[1:]...) //nolint:noctx // ended by Cleanup, by signal first
	p.cmd.Env, p.cmd.Stderr, p.cmd.Stdout = environment, p.logs, p.logs
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop(os.Interrupt.(syscall.Signal)) //nolint:forcetypeassert // it is one
		if t.Failed() {
			t.Logf("log of %s:\n%s", strings.Join(command, " "), p.logs.tail(6000))
		}
	})
	return p
}

// allocate does what an allocation does; the door hears of it a while later.
func (o *pod) allocate() {
	o.sidecar.Allocate(map[string]string{kind.LabelServer: string(o.id), "throng.dev/region": "local"})
	time.AfterFunc(300*time.Millisecond, func() {
		o.in.mu.Lock()
		defer o.in.mu.Unlock()
		o.in.who[o.token] = o.id
	})
}

// status is what operators see of it.
func (o *pod) status() string {
	for _, s := range o.in.fleet() {
		if s.ID == string(o.id) {
			return s.Status
		}
	}
	return ""
}

// fleet is what throng servers prints.
func (r *region) fleet() []gen.ServerRecord {
	r.t.Helper()
	status, out := throngCommand(r.t, "servers", "--json", "--addr", r.url)
	var list gen.ServerList
	if err := json.Unmarshal([]byte(out), &list); err != nil || status != 0 {
		r.t.Fatalf("throng servers: exit status %d, %v:\n%s", status, err, out)
	}
	return list.Servers
}

// ended waits for the end of the process, in order.
func (o *pod) ended(within time.Duration) {
	o.t.Helper()
	select {
	case <-o.done:
		if o.err != nil {
			o.t.Errorf("%s ended with %v", o.id, o.err)
		}
	case <-time.After(within):
		o.t.Errorf("%s did not end within %s", o.id, within)
	}
}

// TestGameServerUnderAgones: a server says that it is ready, waits, learns who it
// is, hosts a session whose sidecar dies under it, and moves its players out when
// its pod has to go.
func TestGameServerUnderAgones(t *testing.T) {
	t.Parallel()
	p := startPods(t)
	one, two := p.start(), p.start()
	for _, o := range []*pod{one, two} {
		eventually(t, 20*time.Second, "it is ready", func() bool { return o.sidecar.State() == string(sdk.Ready) })
	}
	if len(p.fleet()) != 0 {
		t.Error("a server that was not allocated is known")
	}
	one.sidecar.Kill() // restarted by the kubelet
	if err := one.sidecar.Start(); err != nil {
		t.Fatal(err)
	}
	one.allocate()
	eventually(t, 20*time.Second, "it is in the stock", func() bool { return one.status() == string(throng.StatusWarm) })
	progress := &logBuffer{}
	crowd := p.crowd(t.Context(), bot.Config{Place: "arena", Players: 20, For: 12 * time.Second, Progress: progress})
	p.awaitSeated("arena", 20, 40*time.Second)
	session := p.sessions("arena")[0]
	if session.Server != string(one.id) || session.Address != fmt.Sprintf("127.0.0.1:%d", one.port("game")) {
		t.Errorf("the session is at %s of %s, want the GameServer's port", session.Address, session.Server)
	}
	eventually(t, 10*time.Second, "people see what it does", func() bool {
		return one.sidecar.Label("agones.dev/sdk-throng-session") == session.ID && one.sidecar.Label("agones.dev/sdk-throng-place") == "arena" &&
			one.sidecar.Counter("players") == 20
	})
	one.sidecar.Kill()
	two.allocate()
	eventually(t, 20*time.Second, "the other one is in the stock", func() bool { return two.status() == string(throng.StatusWarm) })
	if err := one.sidecar.Start(); err != nil {
		t.Fatal(err)
	}
	if err := one.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	one.ended(20 * time.Second)
	eventually(t, 5*time.Second, "the sidecar is told", func() bool { return one.sidecar.State() == string(sdk.Shutdown) })
	if ready := one.sidecar.Calls("POST /ready"); ready != 1 {
		t.Errorf("it said ready %d times, want once in its life", ready)
	}
	got := <-crowd
	if got.Failed != 0 || got.Mismatched != 0 || got.HandedOff != 20 || got.HandedSeen != 20 || len(got.Errors) != 0 {
		t.Errorf("the crowd: failed %d mismatched %d handed off %d, seen %d, errors %v; want all 20 handed off", got.Failed, got.Mismatched, got.HandedOff, got.HandedSeen, got.Errors)
	}
	if s, ended := p.ended(session.ID); !ended || !strings.Contains(s, "drained") {
		t.Errorf("the first session: ended %v, %q", ended, s)
	}
	status, out := throngCommand(t, "drain", string(two.id), "--addr", p.url, "--within", "2s")
	if status != 0 {
		t.Errorf("throng drain of a server: exit status %d:\n%s", status, out)
	}
	eventually(t, 20*time.Second, "its session is over", func() bool { return len(p.sessions("arena")) == 0 })
	two.sidecar.Delete() // as a control plane does that knows clusters
	two.ended(4 * time.Second)
	if n := two.sidecar.Calls("POST /shutdown"); n != 0 {
		t.Errorf("one whose GameServer is being deleted said %d times that it is over", n)
	}
}

func (o *pod) port(name string) uint16 {
	c, err := sdk.New(sdk.Config{Addr: o.sidecar.URL()})
	if err != nil {
		o.t.Fatal(err)
	}
	g, err := c.GameServer(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	return g.Port(name)
}

// A server that is not needed any more before it had a session ends in order.
func TestIdleGameServerUnderAgonesEnds(t *testing.T) {
	t.Parallel()
	p := startPods(t)
	told, deleted, warm := p.start(), p.start(), p.start()
	for _, o := range []*pod{told, deleted, warm} {
		eventually(t, 20*time.Second, "it is ready", func() bool { return o.sidecar.State() == string(sdk.Ready) })
	}
	deleted.sidecar.SetState(string(sdk.Shutdown))
	deleted.ended(5 * time.Second)
	_ = told.cmd.Process.Signal(syscall.SIGTERM)
	told.ended(5 * time.Second)
	warm.allocate()
	eventually(t, 20*time.Second, "it is in the stock", func() bool { return warm.status() == string(throng.StatusWarm) })
	_ = warm.cmd.Process.Signal(syscall.SIGTERM)
	warm.ended(5 * time.Second)
	eventually(t, 10*time.Second, "nobody leaks", func() bool { return warm.status() == "" || warm.status() == string(throng.StatusStarting) })
}

// TestNodeMovesItsPlayersOut: a node that has to end gives its game servers the
// time to move their players to another node.
func TestNodeMovesItsPlayersOut(t *testing.T) {
	t.Parallel()
	r, first, _ := startSplit(t, "--warm", "2", "--max", "8")
	// A node begins without grace; this one has some.
	first.stop(syscall.SIGTERM)
	var nodes []*program
	for range 2 {
		token := filepath.Join(t.TempDir(), "node.token")
		status, out := throngCommand(t, "token", "node", "--data", r.data)
		if status != 0 {
			t.Fatalf("throng token: %s", out)
		}
		if err := os.WriteFile(token, []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
		n := start(t, throngBinary(t), "serve", "node", "--addr", r.url, "--token-file", token, "--data", filepath.Join(t.TempDir(), "node"), "--grace", "20s", "--max", "2")
		n.line("node serves", 30*time.Second)
		nodes = append(nodes, n)
	}
	crowd := r.crowd(t.Context(), bot.Config{Place: "arena", Players: 20, For: 12 * time.Second, Progress: &logBuffer{}, Capacity: 50})
	session := r.awaitSeated("arena", 20, 60*time.Second)[0]
	var cluster string
	for _, s := range r.fleet() {
		if s.ID == session.Server {
			cluster = s.Cluster
		}
	}
	var host *program
	for _, n := range nodes {
		for _, s := range r.servers(n.cmd.Process.Pid) {
			if string(s.server) == session.Server {
				host = n
			}
		}
	}
	if host == nil || cluster == "" {
		t.Fatalf("%s is on no node (cluster %q)", session.Server, cluster)
	}
	host.stop(syscall.SIGTERM)
	moved := r.awaitSeated("arena", 20, 10*time.Second)[0]
	got := <-crowd
	if got.Failed != 0 || got.Mismatched != 0 || got.HandedOff != 20 || len(got.Errors) != 0 {
		t.Errorf("the crowd: failed %d mismatched %d handed off %d, errors %v; want all 20 handed off", got.Failed, got.Mismatched, got.HandedOff, got.Errors)
	}
	// Operators see the other node, and take it out of use while nobody is there.
	for _, s := range r.fleet() {
		if s.ID == moved.Server {
			cluster = s.Cluster
		}
	}
	status, out := throngCommand(t, "drain", cluster, "--addr", r.url, "--wait", "--within", "20s")
	if status != 0 || !strings.Contains(out, cluster+" is drained") {
		t.Errorf("throng drain of a node: exit status %d: %s", status, out)
	}
	if _, out := throngCommand(t, "fleets", "--addr", r.url); !strings.Contains(out, "drained: drained by an operator") {
		t.Errorf("throng fleets:\n%s", out)
	}
	if status, out := throngCommand(t, "drain", cluster, "--addr", r.url, "--undo"); status != 0 || !strings.Contains(out, "is in use") {
		t.Errorf("throng drain --undo: exit status %d: %s", status, out)
	}
}
