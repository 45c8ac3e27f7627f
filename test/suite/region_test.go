package suite_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/throng-gg/throng/test/lab"
)

// region is the chart, installed.
type region struct {
	*cluster
	door   string // URL
	values string // file
}

// values are what every installation of the suite says.
const values = `
region: suite
controlPlane:
  warm: 4
  warmMost: 4
  max: 40
  devTokens: true
  resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 1Gi}}
data: {enabled: false}
service: {type: NodePort}
ringSecret: throng-ring
clusters: [{name: lab, fleet: warm, weight: 1, ready: {least: 2, most: 4}, servers: {least: 0, most: 40}}]
fleets: [{name: warm, cluster: lab}]
fleetDefaults:
  replicas: 4
  graceSeconds: 30
  env: [{name: THRONG_EMPTY_AFTER, value: 10s}]
  resources: {requests: {cpu: 10m, memory: 32Mi}, limits: {memory: 256Mi}}
  autoscaler: {enabled: true, syncSeconds: 2, buffer: 2, min: 2, max: 40}
guard: {enabled: false}
podDisruptionBudget: {enabled: false}
`

// install installs the chart and waits until its servers are warm.
func install(c *cluster) *region {
	c.t.Helper()
	r := &region{cluster: c, values: filepath.Join(c.t.TempDir(), "values.yaml")}
	repository, tag, _ := strings.Cut(c.image, ":")
	text := values + fmt.Sprintf("image: {repository: %s, tag: %q, pullPolicy: Never}\n", repository, tag)
	if err := os.WriteFile(r.values, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	_, _ = c.try(c.t.Context(), "create", "namespace", namespace) // may be there
	// The control plane's pod comes and goes, its secrets stay.
	ring := filepath.Join(c.t.TempDir(), "region")
	if err := os.WriteFile(ring, randomBytes(32), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.kubectl("create", "secret", "generic", "throng-ring", "--from-file=region="+ring)
	c.t.Cleanup(r.remove)
	c.helm("install", "throng", "../../deploy/helm/throng", "-f", r.values)
	c.t.Cleanup(r.tell)
	c.kubectl("rollout", "status", "deployment/throng", "--timeout=120s")
	service := get[struct {
		Spec struct{ Ports []struct{ NodePort int } }
	}](c, "service", "throng")
	pods := get[struct {
		Items []struct{ Status struct{ HostIP string } }
	}](c, "pods", "-l", "app.kubernetes.io/component=control")
	r.door = "http://" + pods.Items[0].Status.HostIP + ":" + strconv.Itoa(service.Spec.Ports[0].NodePort) // of a node that is one
	return r
}

// remove takes away what was installed. Fleets outlive the chart, so that nobody
// is put out by mistake; here nobody plays any more.
func (r *region) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) //nolint:forbidigo // the test's own is over
	defer cancel()
	args := []string{"--kubeconfig", r.kubeconfig, "--namespace", namespace, "uninstall", "throng"}
	if _, err := run(ctx, "", filepath.Join(lab.Binaries(), "helm"), args...); err != nil {
		r.t.Errorf("helm uninstall: %v", err)
	}
	for _, args := range [][]string{
		{"delete", "fleetautoscalers,fleets", "--all", "--wait=false"},
		{"delete", "gameservers", "--all", "--wait=false"},
		{"delete", "secret", "throng-ring"},
	} {
		if _, err := r.try(ctx, args...); err != nil {
			r.t.Errorf("kubectl %v: %v", args, err)
		}
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		out, err := r.try(ctx, "get", "gameservers,pods", "-o", "name")
		if err == nil && strings.TrimSpace(out) == "" {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.t.Errorf("left after all: %s", out)
			return
		}
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// tell prints what a failed test wants to know.
func (r *region) tell() {
	if !r.t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second) //nolint:forbidigo // the test's own is over
	defer cancel()
	for _, args := range [][]string{
		{"get", "fleets,fleetautoscalers,gameservers,pods", "-o", "wide"},
		{"logs", "deployment/throng", "--tail=60"},
		{"get", "events", "--sort-by=.lastTimestamp"},
	} {
		out, err := r.try(ctx, args...)
		r.t.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, tail(out, 8000))
	}
}

// ask runs a command of an operator and reads its JSON.
func ask[T any](r *region, args ...string) (v T) {
	r.t.Helper()
	out := r.must(r.exe, append(args, "--addr", r.door, "--json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		r.t.Fatalf("throng %s: %v in %s", strings.Join(args, " "), err, tail(out, 1000))
	}
	return v
}

// server is what throng servers tells of one.
type server struct {
	ID      string `json:"id"`
	Status  string `json:"status"`
	Cluster string `json:"cluster"`
	Node    string `json:"node"`
	Session string `json:"session"`
	Image   string `json:"image"`
	Old     bool   `json:"old"`
	Players int    `json:"players"`
}

func (r *region) servers(status string) []server {
	r.t.Helper()
	args := []string{"servers"}
	if status != "" {
		args = append(args, "--status", status)
	}
	return ask[struct {
		Servers []server `json:"servers"`
	}](r, args...).Servers
}

// session is what throng sessions tells of one.
type session struct {
	ID     string `json:"id"`
	State  string `json:"state"`
	Server string `json:"server"`
	Seated int    `json:"seated"`
	Reason string `json:"reason"`
}

// session is one session, also an ended one.
func (r *region) session(id string) session {
	r.t.Helper()
	for _, s := range r.sessions() {
		if s.ID == id {
			return s
		}
	}
	return session{ID: id, State: "ended"}
}

func (r *region) sessions() []session {
	r.t.Helper()
	return ask[[]session](r, "sessions")
}
