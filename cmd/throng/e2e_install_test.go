package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	standin "github.com/throng-gg/throng/test/agones"
	"github.com/throng-gg/throng/test/lab"
)

// installed is the chart on a real API server, with Agones' stand-in. The control
// plane is a process of the test with the rights that the chart gives it.
type installed struct {
	t       *testing.T
	cluster *lab.Cluster
	ca      *authority
	values  string
	hook    string
	args    []string
}

func install(t *testing.T) *installed {
	t.Helper()
	c := lab.Start(t, lab.Options{})
	s, err := standin.Start(t.Context(), c.Config(), standin.Options{Namespaces: []string{"games"}, BatchWait: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	dir := t.TempDir()
	i := &installed{t: t, cluster: c, values: filepath.Join(dir, "values.yaml"), hook: freePort(t)}
	ca := newAuthority(t, "the cluster's")
	ca.issue("hook", 2)
	i.ca = ca
	i.write(i.values, fmt.Sprintf(`
autoscaler: {url: "https://%s", tls: {mode: secret, secret: hook, caBundle: %s}}
fleetDefaults: {replicas: 2, autoscaler: {syncSeconds: 1, buffer: 2, min: 2, max: 50}}
`, i.hook, base64Of(t, ca.file("ca.pem"))))
	kubeconfig := c.User(t, "system:serviceaccount:games:throng-control", "system:serviceaccounts", "system:authenticated")
	clusters := filepath.Join(dir, "clusters.yaml")
	i.write(clusters, fmt.Sprintf(`clusters: [{name: local, kubeconfig: %q, namespace: games, fleet: warm, ready: {least: 6}, servers: {most: 50}}]`, kubeconfig))
	i.args = []string{
		"serve", "control", "--addr", freePort(t), "--data", filepath.Join(dir, "data"), "--warm", "0", "--clusters", clusters,
		"--autoscaler-addr", i.hook, "--autoscaler-cert", ca.file("hook.pem"), "--autoscaler-key", ca.file("hook.key"),
	}
	return i
}

func (i *installed) write(file, text string) {
	i.t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

func (i *installed) helm(args ...string) {
	i.t.Helper()
	if out, err := i.cluster.Helm(i.t.Context(), args...); err != nil {
		i.t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// state is what stands in the Fleet and its autoscaler.
type state struct {
	spec, ready, allocated int32
	policy                 string // that was applied last
	buffer                 string // its size
}

func (i *installed) state() (s state) {
	ctx, cancel := context.WithTimeout(i.t.Context(), 10*time.Second)
	defer cancel()
	out, err := i.cluster.Kubectl(ctx, "-n", "games", "get", "fleet/warm", "-o",
		"jsonpath={.spec.replicas} {.status.readyReplicas} {.status.allocatedReplicas}")
	if err != nil {
		return s
	}
	if _, err := fmt.Sscan(out, &s.spec, &s.ready, &s.allocated); err != nil {
		return s
	}
	out, err = i.cluster.Kubectl(ctx, "-n", "games", "get", "fleetautoscaler/warm", "-o",
		"jsonpath={.status.lastAppliedPolicy} {.spec.policy.chain[1].buffer.bufferSize}")
	if err == nil {
		s.policy, s.buffer, _ = strings.Cut(out, " ")
	}
	return s
}

func (i *installed) await(what string, ok func(s state) bool) {
	i.t.Helper()
	var last state
	defer func() {
		if i.t.Failed() {
			i.t.Logf("last seen: %+v", last)
		}
	}()
	eventually(i.t, 90*time.Second, what, func() bool {
		last = i.state()
		return ok(last)
	})
}

// stays watches the Fleet for a while, and fails when it has fewer servers.
func (i *installed) stays(d time.Duration, least int32) {
	i.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		if s := i.state(); s.spec < least {
			i.t.Fatalf("got %+v, want %d servers at least", s, least)
		}
		_ = pauseFor(i.t.Context(), 200*time.Millisecond)
	}
}

func base64Of(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(text) // of bytes it is base64
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestInstall: the chart goes into a real API server. The control plane, with the
// rights of the chart's role and no others, scales the Fleet through Agones'
// webhook and keeps the Buffer behind it; when it is killed, or the webhook's
// certificate expires, the Fleet does not shrink, and coming back does not shake it. A Fleet with occupied servers is not
// deleted, and stays when the release is removed.
func TestInstall(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.helm("install", "throng", "../../deploy/helm/throng", "-n", "games", "-f", i.values)
	i.await("the Fleet is there", func(s state) bool { return s.ready == 2 && s.policy == "Chain:fallback:Buffer" })

	control := start(t, throngBinary(t), i.args...)
	control.line("FleetAutoscalers are answered", 30*time.Second)
	i.await("the webhook scales", func(s state) bool { return s.ready == 6 && s.policy == "Chain:throng:Webhook" })
	i.await("the Buffer is kept", func(s state) bool { return s.buffer == "6" })
	i.helm("upgrade", "throng", "../../deploy/helm/throng", "-n", "games", "-f", i.values, "--set", "image.tag=next")
	if s := i.state(); s.buffer != "6" || s.spec != 6 {
		t.Errorf("after helm upgrade: got %+v, want what was scaled", s)
	}

	i.ca.issueUntil("hook", 3, time.Now().Add(-time.Minute))
	i.await("the Buffer takes over from a webhook whose certificate has expired", func(s state) bool { return s.policy == "Chain:fallback:Buffer" })
	i.stays(3*time.Second, 6)
	i.ca.issue("hook", 4)
	i.await("the webhook is back with its next certificate", func(s state) bool { return s.policy == "Chain:throng:Webhook" })
	i.stays(3*time.Second, 6)

	control.stop(syscall.SIGKILL)
	i.await("the Buffer takes over", func(s state) bool { return s.policy == "Chain:fallback:Buffer" })
	i.stays(5*time.Second, 6)
	i.occupy()
	i.await("the Buffer follows the occupied", func(s state) bool { return s.allocated == 1 && s.ready == 6 })
	control = start(t, throngBinary(t), i.args...)
	control.line("FleetAutoscalers are answered", 30*time.Second)
	i.await("the webhook is back", func(s state) bool { return s.policy == "Chain:throng:Webhook" })
	i.stays(5*time.Second, 7)
	if strings.Contains(control.logs.tail(1<<20), "orbidden") {
		t.Errorf("the chart's role is too small:\n%s", control.logs.tail(4000))
	}

	out, err := i.cluster.Kubectl(t.Context(), "-n", "games", "delete", "fleet", "warm", "--wait=false")
	if err == nil || !strings.Contains(out, "1 occupied servers") {
		t.Errorf("got a Fleet with an occupied server deleted: %s", out)
	}
	i.rights()
	i.helm("uninstall", "throng", "-n", "games")
	i.stays(2*time.Second, 7)
	if out, err := i.cluster.Kubectl(t.Context(), "-n", "games", "annotate", "fleet", "warm", "throng.dev/delete-occupied=yes"); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if out, err := i.cluster.Kubectl(t.Context(), "-n", "games", "delete", "fleet", "warm", "--wait=false"); err != nil {
		t.Errorf("got a Fleet kept that was to be deleted with its occupied server: %s", out)
	}
}

// occupy allocates a server that is somebody else's: this region does not know it.
func (i *installed) occupy() {
	i.t.Helper()
	out, err := i.cluster.Kubectl(i.t.Context(), "create", "-n", "games", "-o", "name", "-f", allocationFile(i.t))
	if err != nil {
		i.t.Fatalf("allocate: %v %s", err, out)
	}
}

func allocationFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "allocation.json")
	text := `{"apiVersion":"allocation.agones.dev/v1","kind":"GameServerAllocation","metadata":{"generateName":"x-"},` +
		`"spec":{"selectors":[{"matchLabels":{"agones.dev/fleet":"warm"}}]}}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// rights checks what the control plane's account may do.
func (i *installed) rights() {
	i.t.Helper()
	for what, want := range map[string]string{
		"delete gameservers.agones.dev -n games":                      "yes",
		"patch gameservers.agones.dev -n games":                       "no",
		"create gameserverallocations.allocation.agones.dev -n games": "yes",
		"patch fleetautoscalers.autoscaling.agones.dev -n games":      "yes",
		"get /openid/v1/jwks":                                         "yes",
		"delete fleets.agones.dev -n games":                           "no",
		"patch fleets.agones.dev -n games":                            "no",
		"create gameservers.agones.dev -n games":                      "no",
		"get secrets -n games":                                        "no",
		"get pods -n games":                                           "no",
		"list gameservers.agones.dev -n default":                      "no",
		"list gameservers.agones.dev --all-namespaces":                "no",
	} {
		args := append([]string{"auth", "can-i", "--as", "system:serviceaccount:games:throng-control"}, strings.Fields(what)...)
		out, _ := i.cluster.Kubectl(i.t.Context(), args...) // exit status 1 is no
		if lines := strings.Split(strings.TrimSpace(out), "\n"); lines[len(lines)-1] != want {
			i.t.Errorf("may the control plane %s? got %s, want %s", what, out, want)
		}
	}
}
