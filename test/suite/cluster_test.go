package suite_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng/deploy/image"
	"github.com/throng-gg/throng/test/agones"
	"github.com/throng-gg/throng/test/agones/control"
	"github.com/throng-gg/throng/test/lab"
)

// namespace is where the suite installs.
var namespace = cmp.Or(os.Getenv("THRONG_NAMESPACE"), "throng-suite") //nolint:forbidigo // a test's own switch

// next is what the tag of the image that the engine is updated to ends with. It
// may be the same program.
const next = "-next"

// cluster is where the suite runs.
type cluster struct {
	t          *testing.T
	exe        string // throng
	kubeconfig string
	image      string // of throng, with its tag; it is on the nodes
	engine     string // image of the engine that is not Go; empty: it is not there
	agones     string // what plays Agones
}

// openCluster takes the cluster that was given, or starts one.
func openCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t}
	if given := os.Getenv("THRONG_KUBECONFIG"); given != "" { //nolint:forbidigo // a test's own switch
		lab.Require(t)
		c.exe = build(t, t.TempDir(), "throng", "../../cmd/throng")
		c.kubeconfig, c.agones = given, "as it was found"
		if c.image = os.Getenv("THRONG_IMAGE"); c.image == "" { //nolint:forbidigo // the same
			t.Fatal("THRONG_IMAGE is not set: the image that is on the nodes, like throng:1.2.3")
		}
		c.engine = os.Getenv("THRONG_ENGINE_IMAGE") //nolint:forbidigo // the same
		return c
	}
	lab.RequireNode(t)
	dir := t.TempDir()
	c.exe = build(t, dir, "throng", "../../cmd/throng")
	c.image = "throng.test/throng:suite"
	server := build(t, dir, "throng-gameserver", "../../cmd/throng-gameserver")
	standin := build(t, dir, "standin", "../agones/cmd/standin")
	const sidecar = "throng.test/standin:suite"
	images := []string{
		archive(t, filepath.Join(dir, "throng.tar"), c.image, c.exe, server),
		archive(t, filepath.Join(dir, "next.tar"), c.image+next, c.exe, server),
		archive(t, filepath.Join(dir, "standin.tar"), sidecar, standin),
	}
	if tar := engineImage(t, dir, "throng.test/engine:suite"); tar != "" {
		images, c.engine = append(images, tar), "throng.test/engine:suite"
	}
	n := lab.StartNode(t, lab.NodeOptions{Images: images})
	c.kubeconfig, c.agones = n.Kubeconfig, "the stand-in"
	s, err := agones.Start(context.WithoutCancel(t.Context()), n.Config(), agones.Options{
		Host: n.Machine, Namespaces: []string{namespace}, Pods: control.RealPods, SDKImage: sidecar,
		Nodes: []control.Node{{}}, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		t.Fatalf("start the stand-in: %v", err)
	}
	t.Cleanup(s.Close)
	return c
}

// build builds a static program.
func build(t *testing.T, dir, name, pkg string) string {
	t.Helper()
	to := filepath.Join(dir, name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", to, pkg) //nolint:gosec // ours
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
	return to
}

// archive writes an image of static programs, of which it runs the first.
func archive(t *testing.T, to, name string, programs ...string) string {
	t.Helper()
	i := image.Image{Name: name}
	for _, program := range programs {
		i.Files = append(i.Files, image.File{Path: "/" + filepath.Base(program), From: program})
	}
	if err := image.WriteFile(to, i); err != nil {
		t.Fatal(err)
	}
	return to
}

// run runs a program to its end and returns what it printed on standard output;
// an error has what it said besides.
func run(ctx context.Context, input, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // a test's own
	cmd.WaitDelay = time.Second
	cmd.Stdin = strings.NewReader(input)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), errors.Join(err, ctx.Err(), errors.New(tail(errs.String(), 2000)))
	}
	return out.String(), nil
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// must is run that must succeed.
func (c *cluster) must(program string, args ...string) string {
	c.t.Helper()
	out, err := run(c.t.Context(), "", program, args...)
	if err != nil {
		c.t.Fatalf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, tail(out, 2000))
	}
	return out
}

func (c *cluster) kubectlArgs(args ...string) []string {
	return append([]string{"kubectl", "--kubeconfig", c.kubeconfig, "--namespace", namespace}, args...)
}

// kubectl runs kubectl in the suite's namespace.
func (c *cluster) kubectl(args ...string) string {
	c.t.Helper()
	return c.must(filepath.Join(lab.Binaries(), "kube"), c.kubectlArgs(args...)...)
}

// try is kubectl that may fail.
func (c *cluster) try(ctx context.Context, args ...string) (string, error) {
	return run(ctx, "", filepath.Join(lab.Binaries(), "kube"), c.kubectlArgs(args...)...)
}

// helm runs helm in the suite's namespace.
func (c *cluster) helm(args ...string) string {
	c.t.Helper()
	return c.must(filepath.Join(lab.Binaries(), "helm"), append([]string{"--kubeconfig", c.kubeconfig, "--namespace", namespace}, args...)...)
}

// get reads an object, or a list of them.
func get[T any](c *cluster, args ...string) (v T) {
	c.t.Helper()
	out := c.kubectl(append([]string{"get", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		c.t.Fatalf("kubectl get %v: %v", args, err)
	}
	return v
}

// eventually waits until something holds.
func eventually(t *testing.T, within time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Since(began) > within {
			t.Fatalf("not within %s: %s", within, what)
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
	return time.Since(began)
}
