package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// readyTime is how long a cluster may take to be ready, on a machine that is busy
// with other tests.
const readyTime = 2 * time.Minute

// Options of a Cluster. The zero value is etcd and an API server alone.
type Options struct {
	// Controllers runs kube-controller-manager: garbage collection, service
	// accounts, namespaces that end. Without it pods need no service account.
	Controllers bool
	// Scheduler runs kube-scheduler.
	Scheduler bool
	// FakeNodes is how many nodes kwok plays, up to 110 pods each; their pods
	// become ready at once and run nothing. It implies the two above.
	FakeNodes int
	// APIServer is more flags for kube-apiserver.
	APIServer []string
}

// Cluster is one Kubernetes. Its processes are the test's to pause, kill and
// start again.
type Cluster struct {
	URL        string // of the API server
	CA         []byte // that signed its certificate, PEM
	Kubeconfig string // the path of a kubeconfig that may do everything
	Dir        string // its files

	Etcd        *Process
	APIServer   *Process
	Controllers *Process // nil without Options.Controllers
	Scheduler   *Process // nil without Options.Scheduler
	Kwok        *Process // nil without Options.FakeNodes

	options Options
	place   place
	keys    *pki
	admin   *identity
	client  *http.Client
	down    sync.Once
	folder  *folder
}

// place is where a cluster's processes listen and live.
type place struct {
	ip       string
	secure   int // the API server's port
	etcd     int // etcd's for its client, and
	etcdPeer int // for its peers, of whom there are none
	enter    func() error
	routed   bool // Services and pods can be reached from the API server
}

// Start starts a cluster that ends with the test.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	Require(t)
	c, err := Launch(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.tails())
		}
		c.Down()
	})
	return c
}

// Launch starts a cluster. The caller calls Down.
func Launch(ctx context.Context, o Options) (*Cluster, error) {
	p, err := loopback()
	if err != nil {
		return nil, err
	}
	dir, err := makeDir()
	if err != nil {
		return nil, err
	}
	c, err := newCluster(o, p, dir)
	if err != nil {
		dir.remove()
		return nil, err
	}
	if err := c.up(ctx); err != nil {
		err = fmt.Errorf("start a cluster: %w\n%s", err, c.tails())
		c.Down()
		return nil, err
	}
	return c, nil
}

// loopback finds an address of the machine's own and free ports on it. Each
// cluster has an address to itself, so that no connection of another process
// takes its port while it is down.
func loopback() (place, error) {
	p := place{ip: fmt.Sprintf("127.%d.%d.%d", 2+rand.IntN(250), rand.IntN(256), 1+rand.IntN(254))} //nolint:gosec // any will do
	for _, port := range []*int{&p.secure, &p.etcd, &p.etcdPeer} {
		l, err := net.Listen("tcp", net.JoinHostPort(p.ip, "0")) //nolint:noctx // it returns at once
		if err != nil {
			return place{}, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = l.Close() }()     // when all are found
		*port = l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // of a TCP listener
	}
	return p, nil
}

// newCluster makes a cluster's keys and its processes, which don't run yet.
func newCluster(o Options, p place, dir *folder) (*Cluster, error) {
	if o.FakeNodes > 0 {
		o.Controllers, o.Scheduler = true, true
	}
	c := &Cluster{URL: fmt.Sprintf("https://%s:%d", p.ip, p.secure), Dir: dir.path, options: o, place: p, folder: dir}
	if err := c.prepare(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Cluster) prepare() error {
	var err error
	ips := []net.IP{net.ParseIP(c.place.ip), net.ParseIP("127.0.0.1"), net.ParseIP(serviceIP)}
	if c.keys, err = newPKI(c.Dir+"/pki", c.URL, ips); err != nil {
		return err
	}
	if c.Kubeconfig, c.admin, err = c.keys.kubeconfig("admin", "admin", "system:masters"); err != nil {
		return err
	}
	c.CA = c.keys.ca.certPEM
	pair, err := tls.X509KeyPair(c.admin.certPEM, c.admin.keyPEM)
	if err != nil {
		return fmt.Errorf("read back the administrator's key: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.keys.ca.certificate)
	c.client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		// Clusters come and go: a connection that is kept outlives one.
		DisableKeepAlives: true,
	}}
	return c.plan()
}

// up starts the processes and waits until the cluster is usable.
func (c *Cluster) up(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	if err := c.Etcd.Start(); err != nil {
		return err
	}
	if err := c.APIServer.Start(); err != nil {
		return err
	}
	if err := c.AwaitReady(ctx); err != nil {
		return err
	}
	for _, p := range c.Processes()[2:] {
		if err := p.Start(); err != nil {
			return err
		}
	}
	if err := c.addFakeNodes(ctx); err != nil {
		return err
	}
	if c.options.Controllers {
		return c.await(ctx, func() error { return c.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default") })
	}
	return nil
}

// AwaitReady waits until the API server says that it is ready.
func (c *Cluster) AwaitReady(ctx context.Context) error {
	return c.await(ctx, func() error { return c.get(ctx, "/readyz") })
}

// await repeats try until it succeeds, ctx ends, or etcd or the API server is over.
func (c *Cluster) await(ctx context.Context, try func() error) error {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-c.Etcd.Ended():
			return errors.New("etcd ended")
		case <-c.APIServer.Ended():
			return errors.New("kube-apiserver ended")
		case <-ctx.Done():
			return err
		}
	}
}

func (c *Cluster) get(ctx context.Context, path string) error {
	return c.call(ctx, http.MethodGet, path, http.NoBody)
}

// call asks the API server, as one who may do everything.
func (c *Cluster) call(ctx context.Context, method, path string, content io.Reader) error {
	_, err := c.ask(ctx, method, path, content)
	return err
}

// ask is call for who needs the answer, of at most 1 MiB.
func (c *Cluster) ask(ctx context.Context, method, path string, content io.Reader) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, content)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, res.Status, body[:min(len(body), 1000)])
	}
	return body, nil
}

// Config is how a client of client-go reaches the cluster, as one who may do
// everything. Each call gives a copy; its limits are off.
func (c *Cluster) Config() *rest.Config {
	return &rest.Config{
		Host: c.URL, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{
			CAData: slices.Clone(c.CA), CertData: slices.Clone(c.admin.certPEM), KeyData: slices.Clone(c.admin.keyPEM),
		},
	}
}

// User writes a kubeconfig for a user with these groups, whom RBAC knows by name,
// and returns its path.
func (c *Cluster) User(t testing.TB, name string, groups ...string) string {
	t.Helper()
	path, _, err := c.keys.kubeconfig("user-"+strings.ReplaceAll(name, ":", "-"), name, groups...)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// RestartAPIServer starts an API server that was stopped or killed, at the same
// address, and waits until it is ready.
func (c *Cluster) RestartAPIServer(t testing.TB) {
	t.Helper()
	if err := c.APIServer.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), readyTime)
	defer cancel()
	if err := c.AwaitReady(ctx); err != nil {
		t.Fatalf("restart kube-apiserver: %v\n%s", err, c.APIServer.tail(20))
	}
}

// Processes are those of the cluster, in the order in which they start.
func (c *Cluster) Processes() []*Process {
	return slices.DeleteFunc([]*Process{c.Etcd, c.APIServer, c.Controllers, c.Scheduler, c.Kwok}, func(p *Process) bool { return p == nil })
}

// Down ends the cluster and removes its files.
func (c *Cluster) Down() {
	c.down.Do(func() {
		for _, p := range slices.Backward(c.Processes()) {
			p.Kill() // nothing of it is kept
		}
		c.folder.remove()
	})
}

func (c *Cluster) tails() string {
	var b strings.Builder
	for _, p := range c.Processes() {
		b.WriteString(p.tail(8))
	}
	return b.String()
}
