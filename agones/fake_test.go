package agones

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"k8s.io/client-go/rest"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
)

const (
	testNamespace = "games"
	testFleet     = "warm"
	testIssuer    = "https://kubernetes.default.svc.cluster.local"
)

// fakeCluster is an API server with as much of Agones as decides and error paths
// need. What Agones really does stands in test/agones, on a real API server.
type fakeCluster struct {
	t    *testing.T
	http *httptest.Server
	key  *rsa.PrivateKey

	mu       sync.Mutex
	revision int
	servers  map[string]*kind.GameServer
	fleet    *kind.Fleet
	events   []fakeEvent // since the last compaction
	forgot   int         // revisions up to this one are forgotten
	wake     chan struct{}
	requests map[string]int // by verb
	pods     []kind.Pod     // whose processes are over, in this order
	orders   []string       // IDs, in the order in which they were asked for
	cut      chan struct{}  // closed: watches break off
	// fault is asked before a call is served; true: it was answered.
	fault func(w http.ResponseWriter, r *http.Request, verb string) bool
	// after is asked when a server was allocated; true: it was answered.
	after func(w http.ResponseWriter, id string) bool
	// linger keeps deleted servers until they are removed by hand.
	linger bool
}

type fakeEvent struct {
	revision int
	kind     string // ADDED, MODIFIED, DELETED
	object   []byte
	before   map[string]string // labels
	labels   map[string]string
}

func newFake(t *testing.T, ready int) *fakeCluster {
	t.Helper()
	f := &fakeCluster{
		t: t, key: firstKey(), revision: 100, servers: map[string]*kind.GameServer{},
		wake: make(chan struct{}), cut: make(chan struct{}), requests: map[string]int{},
		fleet: &kind.Fleet{Metadata: kind.Meta{Name: testFleet, ResourceVersion: "7"}, Status: kind.FleetStatus{ReadyReplicas: ready}},
	}
	f.fleet.Spec.Replicas = ready + 1
	f.fleet.Spec.Template.Spec = fakeSpec("engine:1")
	for n := range ready {
		f.add(fmt.Sprintf("warm-%03d", n))
	}
	f.http = httptest.NewUnstartedServer(f)
	f.http.EnableHTTP2 = true
	f.http.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	f.http.StartTLS()
	t.Cleanup(func() {
		f.snap()
		f.http.CloseClientConnections()
		f.http.Close()
	})
	return f
}

// Making keys takes a while.
var (
	firstKey  = sync.OnceValue(newKey)
	secondKey = sync.OnceValue(newKey)
)

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

func fakeSpec(image string) (s kind.GameServerSpec) {
	s.Container = "game"
	s.Template.Spec.Containers = []kind.Container{{Name: "sidecar", Image: "other"}, {Name: "game", Image: image}}
	return s
}

// config is how a backend reaches it.
func (f *fakeCluster) config(name string) ClusterConfig {
	return ClusterConfig{
		Name: name, Namespace: testNamespace, Fleet: testFleet, Weight: 1,
		Server: &rest.Config{Host: f.http.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}},
	}
}

// add makes a Ready server.
func (f *fakeCluster) add(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := &kind.GameServer{
		Metadata: kind.Meta{Name: name, Namespace: testNamespace, UID: "uid-" + name, Labels: map[string]string{kind.LabelFleet: testFleet}},
		Spec:     fakeSpec("engine:1"),
		Status:   kind.GameServerStatus{State: kind.StateReady, Address: "192.0.2.1", NodeName: "node-1", Ports: []kind.Port{{Name: "default", Port: 7000}}},
	}
	f.servers[name] = g
	f.changed("ADDED", g, nil)
}

// changed writes an event; mu is held.
func (f *fakeCluster) changed(what string, g *kind.GameServer, before map[string]string) {
	f.revision++
	g.Metadata.ResourceVersion = strconv.Itoa(f.revision)
	text, err := json.Marshal(g)
	if err != nil {
		f.t.Error(err)
	}
	f.events = append(f.events, fakeEvent{f.revision, what, text, before, maps.Clone(g.Metadata.Labels)})
	close(f.wake)
	f.wake = make(chan struct{})
}

// set changes a server by hand.
func (f *fakeCluster) set(name string, change func(g *kind.GameServer)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.servers[name]
	if g == nil {
		f.t.Errorf("there is no %s", name)
		return
	}
	before := maps.Clone(g.Metadata.Labels)
	change(g)
	f.changed("MODIFIED", g, before)
}

// remove takes a server away for good.
func (f *fakeCluster) remove(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(name)
}

func (f *fakeCluster) drop(name string) {
	if g := f.servers[name]; g != nil {
		delete(f.servers, name)
		f.changed("DELETED", g, maps.Clone(g.Metadata.Labels))
	}
}

// forget makes the API server forget what happened so far.
func (f *fakeCluster) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events, f.forgot = nil, f.revision
}

// snap breaks all watches off.
func (f *fakeCluster) snap() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.cut)
	f.cut = make(chan struct{})
}

// faulty answers calls in the place of the API server.
func (f *fakeCluster) faulty(fault func(w http.ResponseWriter, r *http.Request, verb string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// named returns the servers that bear an ID, by name.
func (f *fakeCluster) named(id throng.ServerID) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for name, g := range f.servers {
		if idOf(*g) == id {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// count is how many servers are in a state.
func (f *fakeCluster) count(s kind.State) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, g := range f.servers {
		if g.Status.State == s {
			n++
		}
	}
	return n
}

func (f *fakeCluster) asked(verb string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests[verb]
}

// watched waits until a backend watches the servers and the Fleet, and returns
// how many listings that took.
func (f *fakeCluster) watched(t *testing.T) (listings int) {
	t.Helper()
	eventually(t, "servers and the Fleet are watched", func() bool { return f.asked("watch") >= 2 })
	return f.asked("list")
}

// ordered is how often an ID was asked for.
func (f *fakeCluster) ordered(id throng.ServerID) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, o := range f.orders {
		if o == string(id) {
			n++
		}
	}
	return n
}

// token is a service account token for a pod.
func (f *fakeCluster) token(pod string, change func(c *podClaims)) string {
	f.t.Helper()
	c := podClaims{RegisteredClaims: jwt.RegisteredClaims{
		Issuer: testIssuer, Audience: jwt.ClaimStrings{"throng"}, ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}}
	c.Kubernetes.Namespace, c.Kubernetes.Pod.Name, c.Kubernetes.Pod.UID = testNamespace, pod, "pod-uid-"+pod
	c.Kubernetes.Node.Name = "node-1"
	if change != nil {
		change(&c)
	}
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, c)
	f.mu.Lock()
	key := f.key
	f.mu.Unlock()
	t.Header["kid"] = kidOf(key)
	text, err := t.SignedString(key)
	if err != nil {
		f.t.Fatal(err)
	}
	return text
}

func kidOf(key *rsa.PrivateKey) string { return key.N.Text(36)[:20] }

// ServeHTTP serves the API.
func (f *fakeCluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	verb := strings.ToLower(r.Method)
	what := strings.TrimPrefix(r.URL.Path, "/apis/agones.dev/v1/namespaces/"+testNamespace+"/")
	switch {
	case strings.HasSuffix(r.URL.Path, "/gameserverallocations"):
		verb = "allocate"
	case strings.HasSuffix(r.URL.Path, "/pods"):
		verb = "pods"
	case r.URL.Query().Get("watch") != "":
		verb = "watch"
	case what == "gameservers" || what == "fleets":
		verb = "list"
	}
	body, err := io.ReadAll(r.Body) // what was sent has arrived, whatever its sender does then
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.mu.Lock()
	f.requests[verb]++
	fault := f.fault
	f.mu.Unlock()
	if fault != nil && fault(w, r, verb) {
		return
	}
	name := strings.TrimPrefix(what, "gameservers/")
	switch {
	case verb == "allocate":
		f.allocate(w, r)
	case verb == "pods" && r.URL.Query().Get("watch") == "":
		f.mu.Lock()
		defer f.mu.Unlock()
		reply(w, http.StatusOK, kind.List[kind.Pod]{Metadata: kind.ListMeta{ResourceVersion: strconv.Itoa(len(f.pods))}, Items: f.pods})
	case verb == "pods":
		f.watchPods(w, r)
	case what == "gameservers" && verb == "list":
		f.list(w, r)
	case what == "gameservers" && verb == "watch":
		f.watch(w, r)
	case what == "fleets" && verb == "list":
		f.mu.Lock()
		defer f.mu.Unlock()
		reply(w, http.StatusOK, kind.List[kind.Fleet]{Metadata: kind.ListMeta{ResourceVersion: "7"}, Items: []kind.Fleet{*f.fleet}})
	case what == "fleets":
		f.mu.Lock()
		cut := f.cut
		f.mu.Unlock()
		w.(http.Flusher).Flush() //nolint:forcetypeassert // as net/http's
		select {
		case <-r.Context().Done():
		case <-cut:
		}
	case r.Method == http.MethodGet && name != what:
		f.mu.Lock()
		defer f.mu.Unlock()
		if g := f.servers[name]; g != nil {
			reply(w, http.StatusOK, g)
			return
		}
		refuse(w, http.StatusNotFound, "NotFound", "no such game server")
	case r.Method == http.MethodDelete && name != what:
		f.delete(w, r, name)
	case r.URL.Path == "/.well-known/openid-configuration":
		reply(w, http.StatusOK, map[string]string{"issuer": testIssuer})
	case r.URL.Path == "/openid/v1/jwks" && r.Header.Get("Accept") != "application/jwk-set+json":
		refuse(w, http.StatusNotAcceptable, "NotAcceptable", "Available representations: application/jwk-set+json")
	case r.URL.Path == "/openid/v1/jwks":
		f.mu.Lock()
		defer f.mu.Unlock()
		reply(w, http.StatusOK, map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kidOf(f.key),
			"n": base64.RawURLEncoding.EncodeToString(f.key.N.Bytes()),
			"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(f.key.E)).Bytes()),
		}}})
	default:
		refuse(w, http.StatusNotFound, "NotFound", "404 page not found")
	}
}

// watchPods tells of all pods after a revision, which counts them.
func (f *fakeCluster) watchPods(w http.ResponseWriter, r *http.Request) {
	at, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	w.(http.Flusher).Flush() //nolint:forcetypeassert // as net/http's
	for {
		f.mu.Lock()
		news, cut, wake := f.pods[min(at, len(f.pods)):], f.cut, f.wake
		f.mu.Unlock()
		for _, p := range news {
			at++
			p.Metadata.ResourceVersion = strconv.Itoa(at)
			if json.NewEncoder(w).Encode(map[string]any{"type": "MODIFIED", "object": p}) != nil {
				return
			}
		}
		w.(http.Flusher).Flush() //nolint:forcetypeassert // the same
		select {
		case <-wake:
		case <-cut:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// crash ends the process of a server; only its pod says so.
func (f *fakeCluster) crash(name string, how kind.Terminated) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := kind.Pod{Status: kind.PodStatus{ContainerStatuses: []kind.ContainerStatus{
		{Name: "sidecar"}, {Name: "game", State: kind.ContainerState{Terminated: &how}},
	}}}
	p.Metadata.Name = name
	p.Metadata.Annotations = map[string]string{kind.AnnotationContainer: "game"}
	p.Metadata.OwnerReferences = []kind.OwnerReference{{Kind: "GameServer", UID: "uid-" + name}}
	f.pods = append(f.pods, p)
	close(f.wake)
	f.wake = make(chan struct{})
}

func reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, code int, reason, words string) {
	reply(w, code, map[string]any{"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": words})
}

// fits says whether labels fit a request's selector.
func fits(r *http.Request, labels map[string]string) bool {
	for one := range strings.SplitSeq(r.URL.Query().Get("labelSelector"), ",") {
		key, want, equals := strings.Cut(one, "=")
		if got, has := labels[key]; key != "" && (!has || equals && got != want) {
			return false
		}
	}
	return true
}

func (f *fakeCluster) list(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	page := kind.List[kind.GameServer]{Metadata: kind.ListMeta{ResourceVersion: strconv.Itoa(f.revision)}}
	for _, g := range f.servers {
		if fits(r, g.Metadata.Labels) {
			page.Items = append(page.Items, *g)
		}
	}
	slices.SortFunc(page.Items, func(a, b kind.GameServer) int { return cmp.Compare(a.Metadata.Name, b.Metadata.Name) })
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	page.Items = page.Items[min(from, len(page.Items)):]
	if limit > 0 && len(page.Items) > limit {
		page.Items, page.Metadata.Continue = page.Items[:limit], strconv.Itoa(from+limit)
	}
	reply(w, http.StatusOK, page)
}

func (f *fakeCluster) watch(w http.ResponseWriter, r *http.Request) {
	at, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	f.mu.Lock()
	cut := f.cut
	f.mu.Unlock()
	out := json.NewEncoder(w)
	w.(http.Flusher).Flush() //nolint:forcetypeassert // as net/http's
	for {
		f.mu.Lock()
		if at < f.forgot {
			f.mu.Unlock()
			_ = out.Encode(map[string]any{"type": "ERROR", "object": map[string]any{
				"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old resource version",
			}})
			return
		}
		var news []fakeEvent
		for _, e := range f.events {
			if e.revision > at {
				news = append(news, e)
			}
		}
		at = f.revision
		wake := f.wake
		f.mu.Unlock()
		for _, e := range news {
			what, was, is := e.kind, e.before != nil && fits(r, e.before), fits(r, e.labels)
			switch {
			case what == "DELETED" && !is, !was && !is:
				continue
			case was && !is:
				what = "DELETED"
			case !was && is && what != "DELETED":
				what = "ADDED"
			}
			if out.Encode(map[string]any{"type": what, "object": json.RawMessage(e.object)}) != nil {
				return
			}
		}
		w.(http.Flusher).Flush() //nolint:forcetypeassert // as net/http's
		select {
		case <-wake:
		case <-r.Context().Done():
			return
		case <-cut:
			return
		}
	}
}

func (f *fakeCluster) allocate(w http.ResponseWriter, r *http.Request) {
	var a kind.GameServerAllocation
	if json.NewDecoder(r.Body).Decode(&a) != nil || len(a.Spec.Selectors) == 0 {
		http.Error(w, "error decoding body", http.StatusInternalServerError)
		return
	}
	id := a.Spec.Metadata.Labels[kind.LabelServer]
	f.mu.Lock()
	f.orders = append(f.orders, id)
	g := f.take(a.Spec)
	after := f.after
	f.mu.Unlock()
	if g == nil {
		a.Status.State = kind.UnAllocated
		reply(w, http.StatusCreated, a)
		return
	}
	if after != nil && after(w, id) {
		return
	}
	a.Metadata.Name = g.Metadata.Name
	a.Status = kind.AllocationStatus{State: kind.Allocated, GameServerName: g.Metadata.Name}
	reply(w, http.StatusCreated, a)
}

// take allocates the first Ready server; mu is held.
func (f *fakeCluster) take(spec kind.AllocationSpec) *kind.GameServer {
	for _, name := range slices.Sorted(maps.Keys(f.servers)) {
		g := f.servers[name]
		if g.Status.State != kind.StateReady || g.Metadata.Labels[kind.LabelFleet] != spec.Selectors[0].MatchLabels[kind.LabelFleet] {
			continue
		}
		before := maps.Clone(g.Metadata.Labels)
		g.Status.State = kind.StateAllocated
		maps.Copy(g.Metadata.Labels, spec.Metadata.Labels)
		g.Metadata.Annotations = map[string]string{kind.AnnotationAllocated: time.Now().UTC().Format(time.RFC3339Nano)}
		maps.Copy(g.Metadata.Annotations, spec.Metadata.Annotations)
		f.changed("MODIFIED", g, before)
		return g
	}
	return nil
}

func (f *fakeCluster) delete(w http.ResponseWriter, r *http.Request, name string) {
	var o kind.DeleteOptions
	_ = json.NewDecoder(r.Body).Decode(&o)
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.servers[name]
	switch {
	case g == nil:
		refuse(w, http.StatusNotFound, "NotFound", "no such game server")
		return
	case o.Preconditions == nil || o.Preconditions.UID != g.Metadata.UID,
		o.Preconditions.ResourceVersion != "" && o.Preconditions.ResourceVersion != g.Metadata.ResourceVersion:
		refuse(w, http.StatusConflict, "Conflict", "the precondition does not hold")
		return
	}
	if f.linger {
		now := time.Now()
		g.Metadata.DeletionTimestamp = &now
		f.changed("MODIFIED", g, maps.Clone(g.Metadata.Labels))
	} else {
		f.drop(name)
	}
	reply(w, http.StatusOK, g)
}

// start runs a backend on the clusters, by names a, b, ...
func start(t *testing.T, clusters ...*fakeCluster) *Backend {
	t.Helper()
	cfg := Config{Region: "test", Logger: slog.New(slog.DiscardHandler)}
	for n, f := range clusters {
		cfg.Clusters = append(cfg.Clusters, f.config(string(rune('a'+n))))
	}
	return startWith(t, cfg)
}

func startWith(t *testing.T, cfg Config) *Backend {
	t.Helper()
	b, err := New(cfg)
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

func serverID(n byte) throng.ServerID { return throng.MakeServerID("test", throng.Entropy{n}) }

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	late := time.After(15 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: not so within 15 s", what)
		}
	}
}

func listed(t *testing.T, b *Backend, want ...throng.ServerID) {
	t.Helper()
	got, err := b.List(t.Context())
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("List: got %v, %v, want %v", got, err, want)
	}
}

// newAllocator serves Agones' allocator service over a fake cluster.
func newAllocator(t *testing.T, f *fakeCluster, namespaces *[]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var a kind.AllocationRequest
		if r.Method != http.MethodPost || r.URL.Path != "/gameserverallocation" || json.NewDecoder(r.Body).Decode(&a) != nil {
			reply(w, http.StatusNotFound, kind.AllocatorError{Code: 5, Message: "Not Found"})
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		*namespaces = append(*namespaces, a.Namespace)
		g := f.take(kind.AllocationSpec{Selectors: []kind.Selector{{MatchLabels: a.Selectors[0].MatchLabels}}, Metadata: a.Metadata})
		if g == nil {
			reply(w, http.StatusTooManyRequests, kind.AllocatorError{Code: 8, Message: "there is no available GameServer to allocate"})
			return
		}
		reply(w, http.StatusOK, kind.AllocationResponse{GameServerName: g.Metadata.Name})
	}))
	t.Cleanup(s.Close)
	return s.URL
}
