package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/throng-gg/throng/agones/autoscale"
)

const kubeconfigText = `apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: a, user: {token: x}}]
contexts: [{name: one, context: {cluster: a, user: a}}, {name: two, context: {cluster: a, user: a, namespace: games}}]
current-context: one
`

// clustersFor writes a file of clusters, with a kubeconfig beside it.
func clustersFor(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"clusters.yaml": text, "kube": kubeconfigText, "none.pem": "nothing"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "clusters.yaml")
}

func TestClusters(t *testing.T) {
	name := clustersFor(t, `
clusters:
  - {name: a, kubeconfig: kube, fleet: warm}
  - name: b
    kubeconfig: kube
    context: two
    fleet: warm
    weight: 3
    allocator: {url: "https://allocator:443"}
  - {name: c, kubeconfig: kube, context: two, namespace: other, fleet: warm, weight: 0, ready: {least: 2, most: 50}, servers: {most: 400}}
`)
	all, fleets, err := readClusters(name)
	if err != nil || len(all) != 3 {
		t.Fatalf("got %d clusters, %v", len(all), err)
	}
	a, b, c := all[0], all[1], all[2]
	if a.Namespace != "default" || a.Weight != 1 || a.Server.BearerToken != "x" || a.Allocator != nil {
		t.Errorf("a: got %+v", a)
	}
	if b.Namespace != "games" || b.Weight != 3 || b.Allocator == nil || b.Allocator.URL != "https://allocator:443" {
		t.Errorf("b: got %+v", b)
	}
	if c.Namespace != "other" || c.Weight != 0 {
		t.Errorf("c: got %+v", c)
	}
	want := autoscale.Fleet{Cluster: "c", Namespace: "other", Name: "warm", ReadyLeast: 2, ReadyMost: 50, Most: 400}
	if fleets[2] != want {
		t.Errorf("c: got %+v, want %+v", fleets[2], want)
	}
}

func TestClusterFaults(t *testing.T) {
	name := clustersFor(t, `clusters:
  - {kubeconfig: kube, weigth: 2}
  - {name: a, kubeconfig: missing, fleet: warm}
  - {name: b, kubeconfig: kube, context: three, fleet: warm}
  - {name: c, kubeconfig: kube, fleet: warm, weight: -1}
  - {name: B_, kubeconfig: kube, fleet: warm}
  - {name: d, kubeconfig: kube, fleet: warm, allocator: {cert: x}}
  - {name: d, kubeconfig: kube, fleet: warm, allocator: {url: "ftp://x"}}
  - {name: d, kubeconfig: kube, fleet: warm, allocator: {url: "https://x", ca: none.pem}}
  - {name: e, kubeconfig: kube, fleet: warm}
  - {name: e, kubeconfig: kube, fleet: warm}
  - {name: f, kubeconfig: kube, fleet: warm, weight: 5000}
  - {name: g, kubeconfig: kube, fleet: warm, ready: {least: few, mots: 3}}
  - {name: g, kubeconfig: kube, fleet: warm, servers: {least: 9, most: 3}}
`)
	_, _, err := readClusters(name)
	if err == nil {
		t.Fatal("got no error")
	}
	lines := strings.Split(strings.ReplaceAll(err.Error(), filepath.Dir(name)+"/", ""), "\n")
	want := []string{
		`clusters.yaml:2: clusters[0].weigth: there is no such key (did you mean "weight"?)`,
		`clusters.yaml:2: clusters[0].name: is missing`,
		`clusters.yaml:2: clusters[0].fleet: is missing`,
		`clusters.yaml:3: clusters[1].kubeconfig: `,
		`clusters.yaml:4: clusters[2].kubeconfig: context "three" does not exist`,
		`clusters.yaml:5: clusters[3].weight: "-1" is not allowed, it must be a whole number, 0 or more`,
		`clusters.yaml:6: clusters[4].name: "B_" is no cluster's name`,
		`clusters.yaml:7: clusters[5].allocator.url: is missing`,
		`clusters.yaml:8: clusters[6].allocator: url: "ftp://x" is no URL`,
		`clusters.yaml:9: clusters[7].allocator: ca: none.pem has no certificate`,
		`clusters.yaml:11: clusters[9].name: "e" is of another cluster, too`,
		`clusters.yaml:12: clusters[10].weight: 5000 of cluster f is not allowed, 0 to 1000 are`,
		`clusters.yaml:13: clusters[11].ready.least: "few" is not allowed, it must be a whole number, 0 to 100000`,
		`clusters.yaml:13: clusters[11].ready.mots: `,
		`clusters.yaml:14: clusters[12].servers: the most, 3, is less than the least, 9`,
	}
	if len(lines) != len(want) {
		t.Errorf("got %d faults, want %d", len(lines), len(want))
	}
	for i := range min(len(lines), len(want)) {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("fault %d: got %q, want %q", i, lines[i], want[i])
		}
	}
	for text, want := range map[string]string{
		"":                "clusters: is missing",
		"clusters: []":    "clusters: must be a list of clusters",
		"cluster: []":     "cluster: there is no such key",
		"clusters: [a]":   "clusters[0] must be keys with values",
		"clusters: [{\t}": "yaml: ",
	} {
		if _, _, err := readClusters(clustersFor(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	if _, _, err := readClusters("nowhere.yaml"); err == nil || !strings.HasPrefix(err.Error(), "--clusters: ") {
		t.Errorf("no file: got %v", err)
	}
}

func TestForemost(t *testing.T) {
	doors := []string{"a", "b", "c"}
	for door, want := range map[string]string{"": "a b c", "a": "a b c", "c": "c a b", "elsewhere": "a b c"} {
		if got := strings.Join(foremost(doors, door), " "); got != want {
			t.Errorf("%q: got %s, want %s", door, got, want)
		}
	}
}
