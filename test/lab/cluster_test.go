package lab_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/throng-gg/throng/test/lab"
)

func clientset(t *testing.T, c *lab.Cluster) *kubernetes.Clientset {
	t.Helper()
	config := c.Config()
	config.Timeout = 2 * time.Second
	set, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestClusters has two clusters side by side, and takes the API server of one
// away in each way.
func TestClusters(t *testing.T) {
	t.Parallel()
	began := time.Now()
	a := lab.Start(t, lab.Options{})
	t.Logf("ready after %v", time.Since(began).Round(time.Millisecond))
	b := lab.Start(t, lab.Options{})
	ofA, ofB := clientset(t, a).CoreV1().ConfigMaps("default"), clientset(t, b).CoreV1().ConfigMaps("default")

	note := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "note"}, Data: map[string]string{"text": "a's"}}
	if _, err := ofA.Create(t.Context(), note, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := ofB.Get(t.Context(), "note", metav1.GetOptions{}); err == nil {
		t.Fatalf("a note in one cluster is in the other as well: %v", got)
	}

	a.APIServer.Pause()
	if _, err := ofA.Get(t.Context(), "note", metav1.GetOptions{}); !isTimeout(err) {
		t.Errorf("a paused API server answers %v, want a timeout", err)
	}
	if _, err := ofB.List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("the other cluster answers %v", err)
	}
	a.APIServer.Resume()
	wantNote(t, ofA.Get)

	for name, end := range map[string]func(){"killed": a.APIServer.Kill, "stopped": a.APIServer.Stop} {
		end()
		if _, err := ofA.Get(t.Context(), "note", metav1.GetOptions{}); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("an API server that was %s answers %v, want a refused connection", name, err)
		}
		a.RestartAPIServer(t)
		wantNote(t, ofA.Get)
	}
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

func wantNote(t *testing.T, get func(context.Context, string, metav1.GetOptions) (*corev1.ConfigMap, error)) {
	t.Helper()
	got, err := get(t.Context(), "note", metav1.GetOptions{})
	if err != nil || got.Data["text"] != "a's" {
		t.Fatalf("the note is %v, %v", got, err)
	}
}

// TestUser has RBAC decide about somebody who is nobody.
func TestUser(t *testing.T) {
	t.Parallel()
	c := lab.Start(t, lab.Options{})
	out, err := c.Kubectl(t.Context(), "--kubeconfig", c.User(t, "ada", "players"), "get", "nodes")
	if err == nil || !strings.Contains(out, `User "ada" cannot list resource "nodes"`) {
		t.Errorf("somebody without rights gets %q, %v", out, err)
	}
	res, err := http.Get(c.URL + "/readyz") //nolint:noctx // it fails at once
	if err == nil {
		res.Body.Close()
		t.Error("a stranger trusts the cluster's certificate")
	}
}

// TestFakeNodes has pods that run nothing.
func TestFakeNodes(t *testing.T) {
	t.Parallel()
	began := time.Now()
	c := lab.Start(t, lab.Options{FakeNodes: 3})
	t.Logf("ready after %v", time.Since(began).Round(time.Millisecond))
	c.Apply(t, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: herd}
spec:
  replicas: 30
  selector: {matchLabels: {app: herd}}
  template:
    metadata: {labels: {app: herd}}
    spec: {containers: [{name: game, image: none.test/none}]}
`)
	if out, err := c.Kubectl(t.Context(), "rollout", "status", "deployment/herd", "--timeout=60s"); err != nil {
		t.Fatal(out, err)
	}
	if out, err := c.Kubectl(t.Context(), "delete", "deployment", "herd", "--cascade=foreground", "--timeout=60s"); err != nil {
		t.Fatal(out, err)
	}
	out, err := c.Kubectl(t.Context(), "get", "pods", "-o", "name")
	if err != nil || out != "" {
		t.Errorf("pods that remain: %q, %v", out, err)
	}
}
