package lab_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng/deploy/image"
	"github.com/throng-gg/throng/test/lab"
)

const echoPod = `
apiVersion: v1
kind: Pod
metadata: {name: echo, labels: {app: echo}}
spec:
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: echo
    image: lab.test/echo:1
    imagePullPolicy: Never
    ports: [{containerPort: 7777, hostPort: 7777, protocol: UDP}]
    securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec: {selector: {app: echo}, clusterIP: None, ports: [{port: 7777, protocol: UDP}]}
`

// echoImage builds the game of testdata/echo.
func echoImage(t *testing.T) string {
	t.Helper()
	binary, tar := filepath.Join(t.TempDir(), "echo"), filepath.Join(t.TempDir(), "echo.tar")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./testdata/echo")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build echo: %v\n%s", err, out)
	}
	if err := image.WriteFile(tar, image.Image{Name: "lab.test/echo:1", Files: []image.File{{Path: "/echo", From: binary}}}); err != nil {
		t.Fatal(err)
	}
	return tar
}

// ask sends a datagram until it is answered.
func ask(t *testing.T, addr, question string) string {
	t.Helper()
	conn, err := net.Dial("udp", addr) //nolint:noctx // it returns at once
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	answer := make([]byte, 1500)
	for deadline := time.Now().Add(30 * time.Second); ; {
		_, err := conn.Write([]byte(question))
		if err == nil {
			if err = conn.SetReadDeadline(time.Now().Add(6 * time.Second)); err != nil {
				t.Fatal(err)
			}
			var n int
			if n, err = conn.Read(answer); err == nil {
				return string(answer[:n])
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q is not answered: %v", question, err)
		}
	}
}

// TestNode runs a pod that may do nothing, and asks it what it can do.
func TestNode(t *testing.T) {
	t.Parallel()
	lab.RequireNode(t)
	tar := echoImage(t)
	began := time.Now()
	n := lab.StartNode(t, lab.NodeOptions{Images: []string{tar}, FakeNodes: 1})
	t.Logf("ready after %v", time.Since(began).Round(time.Millisecond))
	n.Apply(t, echoPod)
	if out, err := n.Kubectl(t.Context(), "wait", "--for=condition=Ready", "pod/echo", "--timeout=60s"); err != nil {
		t.Fatal(out, err)
	}
	t.Logf("a pod after %v", time.Since(began).Round(time.Millisecond))
	home, err := net.Listen("tcp", net.JoinHostPort(n.Machine, "0")) //nolint:noctx // it returns at once
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = home.Close() }()
	addr := net.JoinHostPort(n.IP, "7777")
	for question, want := range map[string]string{
		"user":         "65532",
		"write /x":     "open /x: read-only file system",
		"write /tmp/x": "open /tmp/x: read-only file system",
		"resolve kubernetes.default.svc.cluster.local": "[10.96.0.1] <nil>",
		"resolve kubernetes":                           "[10.96.0.1] <nil>",
		"resolve none.test":                            "no such host",
		"dial " + home.Addr().String():                 "connected",
		"dial 10.96.0.1:443":                           "connected",
	} {
		if got := ask(t, addr, question); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", question, got, want)
		}
	}
	if got := ask(t, addr, "resolve echo"); !strings.HasPrefix(got, "[10.244.") {
		t.Errorf("the pod of a Service without an address: %s", got)
	}
	if out, err := n.Kubectl(t.Context(), "logs", "echo"); err != nil {
		t.Errorf("logs: %s, %v", out, err)
	}
	if len(living(t, n.Dir)) < 10 {
		t.Errorf("the node's processes are %v: is the search right?", living(t, n.Dir))
	}
	n.Down()
	if got := remains(t, n.Dir, n.Machine); got != "" {
		t.Errorf("of a node remains:\n%s", got)
	}
}

// remains says what is left of a node a while after it is down: the kernel takes a
// moment to end a network.
func remains(t *testing.T, dir, machine string) (left string) {
	t.Helper()
	for range 200 {
		if left = isThere(t, dir, machine); left == "" {
			break
		}
		<-time.After(50 * time.Millisecond)
	}
	return left
}

// isThere says what there is of a node: processes, mounts, control groups, its
// network, files.
func isThere(t *testing.T, dir, machine string) string {
	t.Helper()
	left := living(t, dir)
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), filepath.Base(dir)) {
		left = append(left, string(mounts))
	}
	name := filepath.Base(dir)
	for _, pattern := range []string{"/sys/fs/cgroup/" + name, "/sys/fs/cgroup/*/" + name, dir, "/run/netns/cni-*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, found...)
	}
	out, err := exec.CommandContext(t.Context(), "ip", "addr").CombinedOutput()
	if err != nil || strings.Contains(string(out), machine+"/") {
		left = append(left, string(out))
	}
	return strings.Join(left, "\n")
}

// TestKilled kills a test that has a node, and looks for what remains.
func TestKilled(t *testing.T) {
	t.Parallel()
	if os.Getenv("LAB_VICTIM") != "" { //nolint:forbidigo // set below
		n := lab.StartNode(t, lab.NodeOptions{})
		n.Apply(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"pause"},"spec":{"containers":[{"name":"pause","image":"lab.test/pause:1","imagePullPolicy":"Never"}]}}`)
		if out, err := n.Kubectl(t.Context(), "wait", "--for=condition=Ready", "pod/pause", "--timeout=60s"); err != nil {
			t.Fatal(out, err)
		}
		fmt.Printf("\nHERE %s %s\n", n.Dir, n.Machine) //nolint:forbidigo // to the test that kills this one
		select {}
	}
	lab.RequireNode(t)
	victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$") //nolint:gosec // this test
	victim.Env = append(os.Environ(), "LAB_VICTIM=1")
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	var dir, machine string
	for said := bufio.NewScanner(out); dir == "" && said.Scan(); {
		if _, err := fmt.Sscanf(said.Text(), "HERE %s %s", &dir, &machine); err != nil && said.Text() != "" {
			t.Log(said.Text())
		}
	}
	if dir == "" {
		t.Fatalf("the victim did not start: %v", victim.Wait())
	}
	if len(living(t, dir)) < 8 {
		t.Errorf("the victim's processes are %v: is the search right?", living(t, dir))
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := victim.Wait(); err == nil {
		t.Fatal("the victim was not killed")
	}
	for deadline := time.Now().Add(20 * time.Second); len(living(t, dir)) > 0; <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("processes of a killed test: %v", living(t, dir))
		}
	}
	lab.Start(t, lab.Options{}) // sweeps
	if got := remains(t, dir, machine); got != "" {
		t.Errorf("of a killed test remains:\n%s", got)
	}
}

// living are the processes that belong to a node: they have its files open, its
// name in their arguments, or are in its control groups.
func living(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		line, _ := os.ReadFile(p + "/cmdline") // it may be over
		groups, _ := os.ReadFile(p + "/cgroup")
		cwd, _ := os.Readlink(p + "/cwd")
		if name := filepath.Base(dir); strings.Contains(string(line)+string(groups)+cwd, name) {
			found = append(found, p+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
