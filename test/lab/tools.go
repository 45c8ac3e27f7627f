package lab

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Kubectl runs kubectl as one who may do everything and returns what it said,
// errors included.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.run(ctx, "", "kube", append([]string{"kubectl", "--kubeconfig", c.Kubeconfig}, args...)...)
}

// Apply gives manifests (YAML) to the cluster: kubectl apply.
func (c *Cluster) Apply(t testing.TB, manifests string) {
	t.Helper()
	out, err := c.run(t.Context(), manifests, "kube", "kubectl", "--kubeconfig", c.Kubeconfig, "apply", "-f", "-")
	if err != nil {
		t.Fatalf("kubectl apply: %v\n%s", err, out)
	}
}

// Helm runs helm as one who may do everything and returns what it said, errors
// included.
func (c *Cluster) Helm(ctx context.Context, args ...string) (string, error) {
	return c.run(ctx, "", "helm", append([]string{"--kubeconfig", c.Kubeconfig}, args...)...)
}

// run runs a program to its end, in the lab's folder as its home.
func (c *Cluster) run(ctx context.Context, input, name string, args ...string) (string, error) {
	path, err := program(name)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // a test's own program
	cmd.Env = []string{"HOME=" + c.Dir, "PATH=/usr/bin:/bin"}
	cmd.Stdin = strings.NewReader(input)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	return string(out), err
}
