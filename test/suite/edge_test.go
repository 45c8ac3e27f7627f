package suite_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// edgeValues is a release of the edge alone, as docs/operations.md advises.
const edgeValues = `
controlPlane: {enabled: false}
clusters: []
fleets: []
autoscaler: {enabled: false}
guard: {enabled: false}
edge:
  gateway:
    enabled: true
    keysSecret: {name: throng-gateway}
    xdp: lo # the players are on the node
    realtime: true
    resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 256Mi}}
  beacon: {enabled: true}
`

// Ten players play through a gateway of the chart, behind a filter in the kernel: they are
// told no other address. A beacon answers.
func testEdge(r *region) {
	const players = 10
	door, err := url.Parse(r.door)
	if err != nil {
		r.t.Fatal(err)
	}
	node := door.Hostname()
	dir := r.t.TempDir()
	write(r.t, filepath.Join(dir, "keys"), r.gatewayKeys(dir))
	r.kubectl("create", "secret", "generic", "throng-gateway", "--from-file=keys="+filepath.Join(dir, "keys"))
	defer r.kubectl("delete", "secret", "throng-gateway")
	values := filepath.Join(dir, "edge.yaml")
	repository, tag, _ := strings.Cut(r.image, ":")
	write(r.t, values, edgeValues+fmt.Sprintf("image: {repository: %s, tag: %q, pullPolicy: Never}\n", repository, tag))
	r.helm("install", "edge", "../../deploy/helm/throng", "-f", values)
	defer r.helm("uninstall", "edge", "--wait")
	for _, part := range []string{"gateway", "beacon"} {
		r.kubectl("rollout", "status", "daemonset/edge-throng-"+part, "--timeout=120s")
	}
	log := r.kubectl("logs", "daemonset/edge-throng-gateway")
	if !strings.Contains(log, "a filter in the kernel drops garbage") {
		r.t.Errorf("the gateway has no filter in the kernel:\n%s", log)
	}
	if strings.Contains(log, "does not run before others") { // as where pods' control groups have no such time
		r.t.Log("SKIPPED: this kernel lets no pod run before others")
	}
	r.t.Log(strings.TrimSpace(r.must(r.exe, "edge", "beacon", "--probe", node+":7810")))

	r.restart("--set", "controlPlane.gateways={"+node+":7800}")
	c := r.send(players, "--place", "arena")
	metrics := "http://" + node + ":7801/metrics"
	eventually(r.t, 30*time.Second, "all play through the gateway", func() bool {
		return strings.Contains(fetch(r.t, metrics), fmt.Sprintf("\nthrong_gateway_flows %d\n", players))
	})
	c.good(players, c.call())
	r.restart()
}

// restart upgrades the control plane, and waits until the one before is gone: its registry
// was in its memory.
func (r *region) restart(args ...string) {
	r.t.Helper()
	r.helm(append([]string{"upgrade", "throng", "../../deploy/helm/throng", "-f", r.values}, args...)...)
	r.kubectl("rollout", "status", "deployment/throng", "--timeout=120s")
	eventually(r.t, time.Minute, "the control plane before is gone", func() bool {
		pods := get[struct{ Items []struct{} }](r.cluster, "pods", "-l", "app.kubernetes.io/component=control")
		return len(pods.Items) == 1
	})
}

// gatewayKeys is what an operator prints for gateways, from the region's ring.
func (r *region) gatewayKeys(dir string) string {
	r.t.Helper()
	ring := get[struct{ Data map[string]string }](r.cluster, "secret", "throng-ring")
	secret, err := base64.StdEncoding.DecodeString(ring.Data["region"])
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "secrets"), 0o700); err != nil {
		r.t.Fatal(err)
	}
	write(r.t, filepath.Join(dir, "secrets", "region"), string(secret))
	return r.must(r.exe, "edge", "keys", "--data", dir)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// fetch is what a URL answers, or why it does not.
func fetch(t *testing.T, at string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err.Error()
	}
	return string(text)
}
