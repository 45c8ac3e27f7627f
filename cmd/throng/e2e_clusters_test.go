package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/load"
	standin "github.com/throng-gg/throng/test/agones"
	paper "github.com/throng-gg/throng/test/agones/control"
	"github.com/throng-gg/throng/test/agones/object"
	"github.com/throng-gg/throng/test/lab"
)

// cloud is a real API server with Agones' stand-in, or with Agones, and a Fleet, whose game
// servers are simulated: they bring their pods' real tokens to the region's doors, and
// connect.
type cloud struct {
	*standin.Standin // nil: it is Agones
	*object.Clients
	t       *testing.T
	cluster *lab.Cluster // nil: it was there before
	config  string       // a kubeconfig
	kube    *kubernetes.Clientset
	host    *load.Host
	doors   func() string
	paper   bool // there are pods
	http    *http.Client
	ctx     context.Context //nolint:containedctx // of the game servers
	work    sync.WaitGroup

	mu      sync.Mutex
	pods    map[string]throng.ServerID   // guarded by mu; GameServers whose game servers run, by name
	names   map[throng.ServerID]string   // guarded by mu; the reverse
	stops   map[string]func()            // guarded by mu; those that claim
	seen    map[throng.ServerID][]string // guarded by mu; all GameServers that ever bore an ID
	tokens  map[string]string            // guarded by mu; of pods, which Agones' servers have before they are ready
	leaving map[string]bool              // guarded by mu; GameServers that are being deleted
	twins   []string                     // guarded by mu; servers that claimed an ID that another one has

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
	return startCloudOn(t, lab.Start(t, lab.Options{}), replicas, o, doors)
}

// startCloudOn is startCloudWith on a cluster that is there.
func startCloudOn(t *testing.T, lc *lab.Cluster, replicas int32, o standin.Options, doors func() string) *cloud {
	t.Helper()
	o.Quiet = true
	s, err := standin.Start(t.Context(), lc.Config(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	c := &cloud{Standin: s, t: t, cluster: lc, config: lc.Kubeconfig, doors: doors, paper: o.Pods != paper.NoPods}
	c.connect(lc.Config())
	c.makeFleet(replicas)
	return c
}

// startCloudAt is startCloud on a cluster that has Agones, and nodes of kwok's.
func startCloudAt(t *testing.T, kubeconfig string, replicas int32, doors func() string) *cloud {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	c := &cloud{t: t, config: kubeconfig, doors: doors, paper: true}
	c.connect(config)
	f := c.makeFleet(replicas)
	t.Cleanup(func() {
		if err := c.Fleets.Delete(context.WithoutCancel(t.Context()), f); err != nil {
			t.Error(err)
		}
		all := c.kube.RESTClient().Delete().AbsPath("/apis/agones.dev/v1/namespaces/default/gameservers").Param("labelSelector", kind.LabelFleet+"="+f.Name)
		if err := all.Do(context.WithoutCancel(t.Context())).Error(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// connect makes what speaks to the cluster, and plays its game servers.
func (c *cloud) connect(config *rest.Config) {
	c.t.Helper()
	c.http, c.open = client.NewHTTP(nil), make(chan struct{})
	c.pods, c.names, c.stops, c.seen = map[string]throng.ServerID{}, map[throng.ServerID]string{}, map[string]func(){}, map[throng.ServerID][]string{}
	c.tokens, c.leaving = map[string]string{}, map[string]bool{}
	var failed [3]error
	c.Clients, failed[0] = object.NewClients(config)
	c.kube, failed[1] = kubernetes.NewForConfig(config)
	c.host, failed[2] = load.NewHost(load.HostConfig{HTTP: c.http, Logger: slog.New(slog.DiscardHandler)})
	if err := errors.Join(failed[:]...); err != nil {
		c.t.Fatal(err)
	}
	c.play()
}

func (c *cloud) makeFleet(replicas int32) *object.Fleet {
	c.t.Helper()
	f := &object.Fleet{}
	if err := json.Unmarshal([]byte(`{"spec":{"template":{"spec":{"ports":[{"name":"default","containerPort":7777}],
		"template":{"spec":{"containers":[{"name":"game","image":"engine:1"}],
			"nodeSelector":{"type":"kwok"},"tolerations":[{"operator":"Exists"}]}}}}}}`), f); err != nil {
		c.t.Fatal(err)
	}
	f.Name, f.Namespace, f.Spec.Replicas = "warm", "default", replicas
	made, err := c.Fleets.Create(c.t.Context(), f)
	if err != nil {
		c.t.Fatal(err)
	}
	return made
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
	if c.Standin == nil && g.Status.State == object.Scheduled {
		c.ready(g.Name)
	}
	if g.DeletionTimestamp != nil {
		c.mu.Lock()
		c.leaving[g.Name] = true
		c.mu.Unlock()
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
	delete(c.leaving, g.Name)
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
	if name == "" {
		return
	}
	c.work.Go(func() {
		switch {
		case c.isDeleted(name, buryTime):
		case c.Standin != nil:
			_ = c.Exit("default", name, 0)
		default:
			c.state(name, object.Shutdown)
		}
	})
}

// buryTime is how long a game server leaves it to the control plane to delete its GameServer.
const buryTime = 5 * time.Second

// isDeleted waits until a GameServer is being deleted, and says whether it is.
func (c *cloud) isDeleted(name string, within time.Duration) bool {
	for end := time.Now().Add(within); ; napE2E(c.ctx, 50*time.Millisecond) {
		c.mu.Lock()
		_, there := c.stops[name]
		gone := !there || c.leaving[name]
		c.mu.Unlock()
		if gone || c.ctx.Err() != nil || time.Now().After(end) {
			return gone
		}
	}
}

// ready does what is done for each pod before its server is ready, whether it is used or not.
func (c *cloud) ready(pod string) {
	c.mu.Lock()
	_, begun := c.tokens[pod]
	c.tokens[pod] = ""
	c.mu.Unlock()
	if begun {
		return
	}
	c.work.Go(func() {
		token, err := c.token(c.ctx, pod)
		if err != nil && c.ctx.Err() == nil {
			c.t.Errorf("the token of %s: %v", pod, err)
		}
		c.mu.Lock()
		c.tokens[pod] = token
		c.mu.Unlock()
		c.state(pod, object.RequestReady)
	})
}

// state says what a game server's sidecar would say. One that is gone is told nothing.
func (c *cloud) state(name string, s object.State) {
	_, _ = c.GameServers.Patch(c.ctx, "default", name, fmt.Appendf(nil, `{"status":{"state":%q}}`, s))
}

// laterAt is where the doors are once a test says so; empty before.
func laterAt(doors *atomic.Pointer[string]) func() string {
	return func() string {
		if urls := doors.Load(); urls != nil {
			return *urls
		}
		return ""
	}
}

// claim asks the doors who the pod is until one says so.
func (c *cloud) claim(ctx context.Context, pod string) {
	c.mu.Lock()
	token := c.tokens[pod]
	c.mu.Unlock()
	for ctx.Err() == nil {
		doors := c.doors()
		if doors == "" { // the control plane that allocated it is not the last one to start
			napE2E(ctx, 50*time.Millisecond)
			continue
		}
		var err error
		if token == "" {
			if token, err = c.token(ctx, pod); err != nil {
				napE2E(ctx, 200*time.Millisecond)
				continue
			}
		}
		claim, err := client.ClaimServer(ctx, client.ClaimConfig{Addr: doors, Token: token, HTTP: c.http})
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
		text += fmt.Sprintf("  - {name: c%d, kubeconfig: %q, namespace: default, fleet: warm}\n", i, c.config)
	}
	name := filepath.Join(t.TempDir(), "clusters.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
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
