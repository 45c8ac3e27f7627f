package agones_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones"
	"github.com/throng-gg/throng/agones/kind"
	"github.com/throng-gg/throng/contract"
	standin "github.com/throng-gg/throng/test/agones"
	"github.com/throng-gg/throng/test/agones/object"
	"github.com/throng-gg/throng/test/lab"
)

// ground is a real API server with Agones' stand-in on it.
type ground struct {
	*standin.Standin
	*object.Clients
	t       testing.TB
	cluster *lab.Cluster
	kube    *kubernetes.Clientset
	next    int
}

// stand starts one, with a few namespaces.
func stand(t testing.TB, o standin.Options) *ground {
	t.Helper()
	c := lab.Start(t, lab.Options{})
	for n := range 10 {
		o.Namespaces = append(o.Namespaces, fmt.Sprintf("games-%d", n))
	}
	o.Quiet = true
	if os.Getenv("STANDIN_LOG") != "" { //nolint:forbidigo // for who looks at a failure
		o.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	s, err := standin.Start(t.Context(), c.Config(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	g := &ground{Standin: s, t: t, cluster: c}
	if g.Clients, err = object.NewClients(c.Config()); err != nil {
		t.Fatal(err)
	}
	if g.kube, err = kubernetes.NewForConfig(c.Config()); err != nil {
		t.Fatal(err)
	}
	return g
}

// fleet makes a Fleet in a namespace of its own, and waits until it is Ready.
func (g *ground) fleet(t testing.TB, replicas int32) (namespace string) {
	t.Helper()
	namespace = fmt.Sprintf("games-%d", g.next)
	g.next++
	f := &object.Fleet{}
	if err := json.Unmarshal([]byte(`{"spec":{"template":{"spec":{"ports":[{"name":"default","containerPort":7777}],
		"template":{"spec":{"containers":[{"name":"game","image":"engine:1"}]}}}}}}`), f); err != nil {
		t.Fatal(err)
	}
	f.Name, f.Namespace, f.Spec.Replicas = "warm", namespace, replicas
	if _, err := g.Fleets.Create(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	g.ready(t, namespace, int(replicas))
	return namespace
}

// servers returns the GameServers in a namespace.
func (g *ground) servers(t testing.TB, namespace string) []kind.GameServer {
	t.Helper()
	text, err := g.kube.RESTClient().Get().AbsPath("/apis/agones.dev/v1/namespaces/" + namespace + "/gameservers").DoRaw(t.Context())
	var all kind.List[kind.GameServer]
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all.Items
}

func (g *ground) ready(t testing.TB, namespace string, least int) {
	t.Helper()
	within(t, time.Minute, fmt.Sprintf("%d servers are ready in %s", least, namespace), func() bool {
		n := 0
		for _, s := range g.servers(t, namespace) {
			if s.Status.State == kind.StateReady && s.Metadata.DeletionTimestamp == nil {
				n++
			}
		}
		return n >= least
	})
}

// named returns the GameServers that bear an ID.
func (g *ground) named(t *testing.T, namespace string, id throng.ServerID) (all []kind.GameServer) {
	t.Helper()
	for _, s := range g.servers(t, namespace) {
		if s.Metadata.Labels[kind.LabelServer] == string(id) {
			all = append(all, s)
		}
	}
	return all
}

// history counts the GameServers of a namespace that ever bore an ID.
func (g *ground) history(t *testing.T, namespace string) func(t *testing.T, id throng.ServerID) int {
	t.Helper()
	var mu sync.Mutex
	names := map[string]map[string]bool{}
	note := func(o any) {
		s, ok := o.(*object.GameServer)
		if !ok {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		id := s.Labels[kind.LabelServer]
		if names[id] == nil {
			names[id] = map[string]bool{}
		}
		names[id][s.Name] = true
	}
	seen := g.GameServers.Informer(namespace, nil)
	if _, err := seen.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: note, UpdateFunc: func(_, o any) { note(o) }}); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	group.Go(func() { seen.RunWithContext(ctx) })
	t.Cleanup(func() { cancel(); group.Wait() })
	return func(t *testing.T, id throng.ServerID) int {
		t.Helper()
		within(t, 10*time.Second, "the history is as new as the servers", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(names[string(id)]) >= len(g.named(t, namespace, id)) && seen.HasSynced()
		})
		mu.Lock()
		defer mu.Unlock()
		return len(names[string(id)])
	}
}

// config is how a backend reaches the cluster.
func (g *ground) config(name, namespace string, r *recorder) agones.ClusterConfig {
	c := g.cluster.Config()
	if r != nil {
		c.WrapTransport = r.wrap
	}
	return agones.ClusterConfig{Name: name, Server: c, Namespace: namespace, Fleet: "warm", Weight: 1}
}

// token is what the kubelet would put into a pod.
func (g *ground) token(t *testing.T, namespace, pod, audience string) string {
	t.Helper()
	p, err := g.kube.CoreV1().Pods(namespace).Get(t.Context(), pod, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	hour := int64(3600)
	r, err := g.kube.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), p.Spec.ServiceAccountName, &authv1.TokenRequest{
		Spec: authv1.TokenRequestSpec{
			Audiences: []string{audience}, ExpirationSeconds: &hour,
			BoundObjectRef: &authv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod, UID: p.UID},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r.Status.Token
}

// recorder counts what a backend asks an API server for.
type recorder struct {
	mu     sync.Mutex
	orders map[throng.ServerID]int
	lists  int
	all    int
}

func newRecorder() *recorder { return &recorder{orders: map[throng.ServerID]int{}} }

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (c *recorder) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if err := c.note(r); err != nil {
			return nil, err
		}
		return next.RoundTrip(r)
	})
}

func (c *recorder) note(r *http.Request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all++
	if r.URL.Query().Has("dryRun") {
		return errors.New("a dry run allocates, too")
	}
	if r.Method == http.MethodGet && r.URL.Query().Get("watch") == "" && strings.HasSuffix(r.URL.Path, "s") {
		c.lists++
	}
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/gameserverallocations") {
		return nil
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	var a kind.GameServerAllocation
	if err := json.Unmarshal(text, &a); err != nil {
		return err
	}
	c.orders[throng.ServerID(a.Spec.Metadata.Labels[kind.LabelServer])]++
	return nil
}

func (c *recorder) ordered(id throng.ServerID) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.orders[id]
}

// run runs a backend until the test ends.
func run(t testing.TB, clusters ...agones.ClusterConfig) *agones.Backend {
	t.Helper()
	b, err := agones.New(agones.Config{Region: "test", Clusters: clusters, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if err := b.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); group.Wait() })
	return b
}

func within(t testing.TB, most time.Duration, what string, so func() bool) {
	t.Helper()
	late := time.After(most)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: not so within %v", what, most)
		}
	}
}

func id(n byte) throng.ServerID { return throng.MakeServerID("test", throng.Entropy{n}) }

// TestContractOnKubernetes is the contract on a real API server, with Agones'
// stand-in as slow as Agones is.
func TestContractOnKubernetes(t *testing.T) {
	g := stand(t, standin.Options{})
	contract.Backend(t, func(t *testing.T) contract.BackendUnderTest {
		namespace, r := g.fleet(t, 4), newRecorder()
		return contract.BackendUnderTest{
			Backend: run(t, g.config("a", namespace, r)), Max: 4,
			Crash: func(t *testing.T, id throng.ServerID) {
				t.Helper()
				for _, s := range g.named(t, namespace, id) {
					if err := g.Exit(namespace, s.Metadata.Name, 137); err != nil {
						t.Fatal(err)
					}
				}
			},
			Started: func(_ *testing.T, id throng.ServerID) int { return r.ordered(id) },
			Room:    func(t *testing.T) { t.Helper(); g.ready(t, namespace, 1) },
		}
	})
}

// TestContractByAllocator is the same by the allocator service, with a client
// certificate.
func TestContractByAllocator(t *testing.T) {
	g := stand(t, standin.Options{})
	contract.Backend(t, func(t *testing.T) contract.BackendUnderTest {
		namespace := g.fleet(t, 4)
		c := g.config("a", namespace, nil)
		c.Allocator = g.allocator(t)
		return contract.BackendUnderTest{
			Backend: run(t, c), Max: 4,
			Crash: func(t *testing.T, id throng.ServerID) {
				t.Helper()
				for _, s := range g.named(t, namespace, id) {
					if err := g.Exit(namespace, s.Metadata.Name, 1); err != nil {
						t.Fatal(err)
					}
				}
			},
			Started: g.history(t, namespace),
			Room:    func(t *testing.T) { t.Helper(); g.ready(t, namespace, 1) },
		}
	})
}

func (g *ground) allocator(t *testing.T) *agones.AllocatorConfig {
	t.Helper()
	a, err := g.Allocator()
	if err != nil {
		t.Fatal(err)
	}
	return allocatorConfig(t, a)
}
