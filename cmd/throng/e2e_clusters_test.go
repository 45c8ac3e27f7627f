package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/load"
	"github.com/throng-gg/throng/redis/redistest"
	standin "github.com/throng-gg/throng/test/agones"
	faults "github.com/throng-gg/throng/test/agones/allocation"
	paper "github.com/throng-gg/throng/test/agones/control"
	"github.com/throng-gg/throng/test/agones/object"
	"github.com/throng-gg/throng/test/lab"
)

// cloud is a real API server with Agones' stand-in and a Fleet, whose game servers
// are simulated: they bring their pods' real tokens to the region's doors, and
// connect.
type cloud struct {
	*standin.Standin
	*object.Clients
	t       *testing.T
	cluster *lab.Cluster
	kube    *kubernetes.Clientset
	host    *load.Host
	doors   func() string
	paper   bool // there are pods
	http    *http.Client
	ctx     context.Context //nolint:containedctx // of the game servers
	work    sync.WaitGroup

	mu    sync.Mutex
	pods  map[string]throng.ServerID   // guarded by mu; GameServers whose game servers run, by name
	names map[throng.ServerID]string   // guarded by mu; the reverse
	stops map[string]func()            // guarded by mu; those that claim
	seen  map[throng.ServerID][]string // guarded by mu; all GameServers that ever bore an ID
	twins []string                     // guarded by mu; servers that claimed an ID that another one has

	denied atomic.Int64

	// enroll makes a game server's credential, where there are no pods that could
	// claim one, once open is closed.
	enroll func(throng.ServerID) (string, error)
	open   chan struct{}
}

// startCloud makes a cluster with a Fleet of so many servers.
func startCloud(t *testing.T, replicas int32, o standin.Options, doors func() string) *cloud {
	t.Helper()
	o.Pods, o.SDKImage = paper.PaperPods, "none.test/sidecar"
	return startCloudWith(t, replicas, o, doors)
}

// startCloudWith is startCloud without pods, unless o has them.
func startCloudWith(t *testing.T, replicas int32, o standin.Options, doors func() string) *cloud {
	t.Helper()
	lc := lab.Start(t, lab.Options{})
	o.Quiet = true
	s, err := standin.Start(t.Context(), lc.Config(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	c := &cloud{
		Standin: s, t: t, cluster: lc, doors: doors, paper: o.Pods != paper.NoPods, http: client.NewHTTP(nil),
		pods: map[string]throng.ServerID{}, names: map[throng.ServerID]string{}, stops: map[string]func(){}, seen: map[throng.ServerID][]string{}, open: make(chan struct{}),
	}
	if c.Clients, err = object.NewClients(lc.Config()); err != nil {
		t.Fatal(err)
	}
	if c.kube, err = kubernetes.NewForConfig(lc.Config()); err != nil {
		t.Fatal(err)
	}
	if c.host, err = load.NewHost(load.HostConfig{HTTP: c.http, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	c.play()
	f := &object.Fleet{}
	if err := json.Unmarshal([]byte(`{"spec":{"template":{"spec":{"ports":[{"name":"default","containerPort":7777}],
		"template":{"spec":{"containers":[{"name":"game","image":"engine:1"}]}}}}}}`), f); err != nil {
		t.Fatal(err)
	}
	f.Name, f.Namespace, f.Spec.Replicas = "warm", "default", replicas
	if _, err := c.Fleets.Create(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	return c
}

// play has a game server run in each GameServer, until the test ends.
func (c *cloud) play() {
	ctx, cancel := context.WithCancel(c.t.Context())
	c.ctx = ctx
	servers := c.GameServers.Informer("default", nil)
	_, err := servers.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.changed,
		UpdateFunc: func(_, o any) { c.changed(o) },
		DeleteFunc: c.deleted,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.work.Go(func() { servers.RunWithContext(ctx) })
	c.work.Go(func() { _ = c.host.Run(ctx) })
	c.work.Go(func() { _ = c.host.Watch(ctx, c.exited) })
	c.t.Cleanup(func() { cancel(); c.work.Wait(); c.http.CloseIdleConnections() })
}

// changed sees that a GameServer was allocated, as a game server's sidecar tells.
func (c *cloud) changed(o any) {
	g, ok := o.(*object.GameServer)
	if !ok {
		return
	}
	id := throng.ServerID(g.Labels[kind.LabelServer])
	if id == "" || g.Status.State != object.Allocated || g.DeletionTimestamp != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stops[g.Name] != nil {
		return
	}
	if !slices.Contains(c.seen[id], g.Name) {
		c.seen[id] = append(c.seen[id], g.Name)
	}
	ctx, cancel := context.WithCancel(c.ctx)
	c.stops[g.Name] = cancel
	name := g.Name
	c.work.Go(func() {
		if !c.paper {
			c.enrolled(ctx, name, id)
			return
		}
		c.claim(ctx, name)
	})
}

// deleted ends the game server, as the kubelet does.
func (c *cloud) deleted(o any) {
	if late, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = late.Obj
	}
	g, ok := o.(*object.GameServer)
	if !ok {
		return
	}
	c.mu.Lock()
	stop, id := c.stops[g.Name], c.pods[g.Name]
	delete(c.stops, g.Name)
	delete(c.pods, g.Name)
	if c.names[id] == g.Name {
		delete(c.names, id)
	}
	c.mu.Unlock()
	if stop != nil {
		stop()
	}
	if id != "" {
		_ = c.host.Release(c.ctx, id)
	}
}

// exited says that a game server ended by itself.
func (c *cloud) exited(e throng.ServerExit) {
	c.mu.Lock()
	name := c.names[e.Server]
	c.mu.Unlock()
	if name != "" {
		_ = c.Exit("default", name, 0)
	}
}

// claim asks the doors who the pod is until one says so.
func (c *cloud) claim(ctx context.Context, pod string) {
	token := ""
	for ctx.Err() == nil {
		var err error
		if token == "" {
			if token, err = c.token(ctx, pod); err != nil {
				napE2E(ctx, 200*time.Millisecond)
				continue
			}
		}
		claim, err := client.ClaimServer(ctx, client.ClaimConfig{Addr: c.doors(), Token: token, HTTP: c.http})
		switch {
		case err == nil:
			c.start(pod, claim)
			return
		case throng.KindOf(err) == throng.Denied:
			c.denied.Add(1)
			return // it is over; its GameServer will be deleted
		}
		napE2E(ctx, max(throng.RetryAfterOf(err), 200*time.Millisecond))
	}
}

// enrolled starts a game server that was told who it is by the test.
func (c *cloud) enrolled(ctx context.Context, pod string, id throng.ServerID) {
	select {
	case <-ctx.Done():
		return
	case <-c.open:
	}
	token, err := c.enroll(id)
	if err != nil {
		c.t.Error(err)
		return
	}
	c.start(pod, throng.ServerClaim{Server: id, Token: token, Doors: []string{c.doors()}})
}

func (c *cloud) start(pod string, claim throng.ServerClaim) {
	c.mu.Lock()
	if other := c.names[claim.Server]; other != "" && other != pod {
		c.twins = append(c.twins, fmt.Sprintf("%s is %s and %s", claim.Server, other, pod))
	}
	c.pods[pod], c.names[claim.Server] = claim.Server, pod
	alive := c.stops[pod] != nil
	c.mu.Unlock()
	if !alive {
		return
	}
	env := []string{"THRONG_ADDR=" + strings.Join(claim.Doors, ","), "THRONG_SERVER_TOKEN=" + claim.Token}
	if err := c.host.Start(c.ctx, claim.Server, env); err != nil && c.ctx.Err() == nil {
		c.t.Errorf("start %s: %v", claim.Server, err)
	}
}

// token is what the kubelet puts into the pod.
func (c *cloud) token(ctx context.Context, name string) (string, error) {
	pod, err := c.kube.CoreV1().Pods("default").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	hour := int64(3600)
	r, err := c.kube.CoreV1().ServiceAccounts("default").CreateToken(ctx, pod.Spec.ServiceAccountName, &authv1.TokenRequest{
		Spec: authv1.TokenRequestSpec{
			Audiences: []string{"throng"}, ExpirationSeconds: &hour,
			BoundObjectRef: &authv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: name, UID: pod.UID},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return r.Status.Token, nil
}

func napE2E(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// labelled returns the servers that are allocated, with how many GameServers bear
// each ID.
func (c *cloud) labelled() (map[throng.ServerID]int, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	text, err := c.kube.RESTClient().Get().AbsPath("/apis/agones.dev/v1/namespaces/default/gameservers").
		Param("labelSelector", kind.LabelServer).DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	var list kind.List[kind.GameServer]
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	all := map[throng.ServerID]int{}
	for _, g := range list.Items {
		if g.Status.State == kind.StateAllocated && g.Metadata.DeletionTimestamp == nil {
			all[throng.ServerID(g.Metadata.Labels[kind.LabelServer])]++
		}
	}
	return all, nil
}

// clustersFile writes the file that a control plane is given.
func clustersFile(t *testing.T, clouds ...*cloud) string {
	t.Helper()
	text := "clusters:\n"
	for i, c := range clouds {
		text += fmt.Sprintf("  - {name: c%d, kubeconfig: %q, namespace: default, fleet: warm}\n", i, c.cluster.Kubeconfig)
	}
	name := filepath.Join(t.TempDir(), "clusters.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// plane is one control plane that can be killed and started again.
type plane struct {
	args []string
	url  string
	mu   sync.Mutex // held while it is started again
	prog *program
}

func (p *plane) start(t *testing.T) {
	t.Helper()
	p.prog = start(t, throngBinary(t), p.args...)
	p.prog.line("listens at", 60*time.Second)
}

// restart kills it and starts it again.
func (p *plane) restart(t *testing.T, away time.Duration) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prog.stop(syscall.SIGKILL)
	napE2E(t.Context(), away)
	p.start(t)
}

// startPlanes runs control planes on a Redis of their own.
func startPlanes(t *testing.T, n int, file string, args ...string) (r *region, planes []*plane) {
	t.Helper()
	store := redistest.Start(t)
	data := filepath.Join(t.TempDir(), "data")
	var urls []string
	for range n {
		addr := freePort(t)
		p := &plane{url: "http://" + addr, args: append([]string{
			"serve", "control", "--dev", "--redis", store.URL(), "--addr", addr, "--data", data, "--clusters", file,
		}, args...)}
		p.start(t)
		planes, urls = append(planes, p), append(urls, p.url)
	}
	r = newRegion(t, planes[0].prog, strings.Join(urls, ","), data)
	return r, planes
}

func (p *plane) ready() bool {
	resp, err := http.Get(p.url + "/readyz") //nolint:noctx // bounded by its caller
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// opened is what became of an opening.
type opened struct {
	session throng.SessionID
	err     error
}

// openAll opens a session for each of so many players, some at a time, and ends
// each when it was open for a moment.
// done hears after each how many there are.
func (r *region) openAll(n, atOnce int, done func(int)) []opened {
	r.t.Helper()
	results := make([]opened, n)
	next := make(chan int)
	var mu sync.Mutex
	count := 0
	var group sync.WaitGroup
	operator := r.as("operator", api.RoleOperator)
	for range atOnce {
		group.Go(func() {
			for i := range next {
				results[i] = r.openOne(operator, i)
				mu.Lock()
				count++
				done(count)
				mu.Unlock()
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
	return results
}

func (r *region) openOne(operator *client.Door, i int) opened {
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
	defer cancel()
	p := throng.PlayerID(fmt.Sprintf("opener-%d", i))
	var door *client.Door
	err := stubborn(ctx, func() error {
		token, err := r.door.DevToken(ctx, p, string(api.RolePlayer))
		if err == nil {
			door, err = r.door.As(token.AccessToken)
		}
		return err
	})
	if err != nil {
		return opened{err: err}
	}
	var a client.Assignment
	err = stubborn(ctx, func() (err error) {
		a, err = door.Matchmake(ctx, throng.Ticket{
			Key: throng.TicketKey{Caller: p, Ticket: throng.TicketID("tkt-" + p)}, Place: "arena", Party: []throng.PlayerID{p}, Mode: throng.ModeNew,
		})
		return err
	})
	if err != nil {
		return opened{err: err}
	}
	napE2E(ctx, 200*time.Millisecond)
	err = stubborn(ctx, func() error {
		err := operator.End(ctx, a.Session, "enough")
		if throng.KindOf(err) == throng.NotFound {
			return nil
		}
		return err
	})
	return opened{session: a.Session, err: err}
}

// stubborn repeats what is away for a moment.
func stubborn(ctx context.Context, call func() error) error {
	for {
		err := call()
		if k := throng.KindOf(err); err == nil || k != throng.Unavailable && k != throng.RateLimited || ctx.Err() != nil {
			return err
		}
		napE2E(ctx, 200*time.Millisecond)
	}
}

// TestOpeningsOnCluster opens many sessions on a cluster that loses 30 % of the
// answers to allocations, while control planes are killed at random. Every
// opening is a session or a clear refusal, no server is left over after a lease,
// and no ID is two servers.
func TestOpeningsOnCluster(t *testing.T) {
	lab.Require(t)
	openings := 64
	if n := soakTimes(t); n > 0 {
		openings = 1000
	}
	var doors atomic.Pointer[string]
	c := startCloud(t, 60, standin.Options{BatchWait: 100 * time.Millisecond, Lag: 50 * time.Millisecond, ExitLag: 200 * time.Millisecond, Ports: [2]int32{7000, 9000}},
		func() string { return *doors.Load() })
	r, planes := startPlanes(t, 2, clustersFile(t, c), "--warm", "4", "--max", "50")
	doors.Store(&r.url)
	for _, p := range planes {
		eventually(t, 60*time.Second, "a control plane is ready", p.ready)
	}
	defer c.Inject(faults.Fault{LoseReply: true, Rate: 0.3})()

	rng := rand.New(rand.NewPCG(4, 7))
	var group sync.WaitGroup
	begun, every := time.Now(), min(openings/8, 40)
	kills, nextKill := 0, every
	results := r.openAll(openings, 16, func(done int) {
		if done != nextKill {
			return
		}
		kills++
		t.Logf("kill %d after %d openings and %v", kills, done, time.Since(begun).Round(time.Second))
		nextKill += every + rng.IntN(every)
		victim, away := planes[rng.IntN(len(planes))], time.Duration(rng.IntN(2000))*time.Millisecond
		group.Go(func() {
			victim.restart(t, away)
		})
	})
	group.Wait()
	sessions, refused, unanswered := map[throng.SessionID]bool{}, 0, 0
	for i, o := range results {
		switch {
		case o.err == nil && sessions[o.session]:
			t.Errorf("opening %d: session %s is of two openings", i, o.session)
		case o.err == nil:
			sessions[o.session] = true
		case throng.KindOf(o.err) == throng.NoCapacity:
			refused++
		case throng.KindOf(o.err) == throng.Unavailable:
			// For two minutes, while whoever worked on it was killed again and again.
			t.Logf("opening %d: unanswered: %v", i, o.err)
			unanswered++
		default:
			t.Errorf("opening %d: got %v, want a session or no capacity", i, o.err)
		}
	}
	t.Logf("%d openings, %d kills: %d sessions, %d refused, %d unanswered; %d pods were told that they are nobody",
		openings, kills, len(sessions), refused, unanswered, c.denied.Load())
	if unanswered > max(1, openings/100) {
		t.Errorf("got %d openings that were not answered in two minutes", unanswered)
	}
	if len(sessions) < openings/2 {
		t.Errorf("got %d sessions of %d openings", len(sessions), openings)
	}
	c.noneLeft(r)
}

// noneLeft waits until every allocated GameServer is one server's that is idle
// and connected, or hosts a living session.
func (c *cloud) noneLeft(r *region) {
	c.t.Helper()
	var odd string
	took := eventually(c.t, 2*throng.LeaseTime+60*time.Second, "every server has a session or is idle and connected", func() bool {
		all, err := c.labelled()
		if err != nil {
			odd = err.Error()
			return false
		}
		running := map[throng.ServerID]bool{}
		ids, _ := c.host.List(c.t.Context())
		for _, id := range ids {
			running[id] = true
		}
		living := map[throng.SessionID]bool{}
		for _, s := range r.sessions("") {
			living[throng.SessionID(s.ID)] = true
		}
		var lost []throng.ServerID
		for id, n := range all {
			if n > 1 || !running[id] {
				lost = append(lost, id)
			}
		}
		odd = fmt.Sprintf("%d allocated, %d run, %d sessions; lost: %v", len(all), len(running), len(living), lost)
		return len(lost) == 0 && len(living) == 0
	})
	c.t.Logf("after %v: %s", took.Round(time.Millisecond), odd)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.twins) > 0 {
		c.t.Errorf("twins: %v", c.twins)
	}
}
