package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	nodeName   = "node"
	pauseImage = "lab.test/pause:1"
	plugins    = "/usr/lib/cni" // where Debian has the network's plugins
)

// NodeOptions are of a Node. The zero value is a node with no images but the one
// of sandboxes.
type NodeOptions struct {
	// FakeNodes is how many nodes kwok plays beside the real one. They have the
	// taint kwok.x-k8s.io/node=fake:NoSchedule.
	FakeNodes int
	// APIServer is more flags for kube-apiserver.
	APIServer []string
	// Images are the archives of images that pods use, with imagePullPolicy Never.
	Images []string
}

// Node is a cluster of one machine with real pods. It lives in a network of its
// own: the test reaches IP, with the pods' host ports, and pods reach Machine.
// Pods find Services by name; other names don't exist.
type Node struct {
	*Cluster

	IP      string // of the node, as the test and pods see it
	Machine string // where the test is, as pods see it

	Containerd *Process
	Kubelet    *Process
	Proxy      *Process // kube-proxy

	spaces *spaces
	dns    *resolver
}

// RequireNode skips the test if there can't be a node here.
func RequireNode(t testing.TB) {
	t.Helper()
	Require(t)
	if err := canNode(); err != nil {
		t.Skipf("NOT TESTED: no node can run here: %v", err)
	}
}

func canNode() error {
	if os.Geteuid() != 0 {
		return errors.New("it needs root")
	}
	for _, name := range []string{"containerd", "ctr", "runc", "iptables", "conntrack", "ip", "mount", plugins + "/bridge"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%w; make test-cluster installs it", err)
		}
	}
	return nil
}

// StartNode starts a node that ends with the test, with its pods.
func StartNode(t testing.TB, o NodeOptions) *Node {
	t.Helper()
	RequireNode(t)
	n, err := LaunchNode(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(n.tails())
		}
		n.Down()
	})
	return n
}

// LaunchNode starts a node. The caller calls Down.
func LaunchNode(ctx context.Context, o NodeOptions) (*Node, error) {
	dir, err := makeDir()
	if err != nil {
		return nil, err
	}
	s, err := newSpaces(ctx, dir.path)
	if err != nil {
		dir.remove()
		return nil, err
	}
	c, err := newCluster(Options{
		Controllers: true, Scheduler: true, FakeNodes: o.FakeNodes, APIServer: o.APIServer,
	}, place{ip: s.node(), secure: 6443, etcd: 2379, etcdPeer: 2380, enter: s.enter, routed: true}, dir)
	if err != nil {
		s.end()
		dir.remove()
		return nil, err
	}
	n := &Node{Cluster: c, IP: s.node(), Machine: s.machine(), spaces: s}
	if err := n.up(ctx, o); err != nil {
		err = fmt.Errorf("start a node: %w\n%s", err, n.tails())
		n.Down()
		return nil, err
	}
	return n, nil
}

func (n *Node) up(ctx context.Context, o NodeOptions) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	if err := n.planNode(); err != nil {
		return err
	}
	if err := makeGroups(n.folder.name()); err != nil {
		return err
	}
	if err := n.Containerd.Start(); err != nil {
		return err
	}
	if err := n.Cluster.up(ctx); err != nil {
		return err
	}
	if err := n.importAll(ctx, o.Images); err != nil {
		return err
	}
	for _, p := range []*Process{n.Kubelet, n.Proxy} {
		if err := p.Start(); err != nil {
			return err
		}
	}
	if err := n.serveNames(ctx); err != nil {
		return err
	}
	return n.await(ctx, func() error {
		out, err := n.Kubectl(ctx, "get", "node", nodeName, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
		if err == nil && out != "True" {
			err = fmt.Errorf("the node is not ready: %s", out)
		}
		return err
	})
}

// importAll imports images, the sandboxes' included, once containerd serves.
func (n *Node) importAll(ctx context.Context, images []string) error {
	pause, err := n.pauseImage()
	if err != nil {
		return err
	}
	if err := n.await(ctx, func() error { return n.ctr(ctx, "version") }); err != nil {
		return fmt.Errorf("wait for containerd: %w", err)
	}
	for _, tar := range append([]string{pause}, images...) {
		if err := n.Import(ctx, tar); err != nil {
			return err
		}
	}
	return nil
}

// Import makes the images of an archive (of docker or OCI) usable by pods.
func (n *Node) Import(ctx context.Context, tar string) error {
	return n.ctr(ctx, "images", "import", tar)
}

func (n *Node) ctr(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "ctr", append([]string{"-a", n.socket(), "-n", "k8s.io"}, args...)...) //nolint:gosec // a test's own command
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ctr %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (n *Node) socket() string { return filepath.Join(n.Dir, "containerd.sock") }

// Inside runs a command of the machine in the node's network, file system and
// processes, and returns what it said: iptables, say.
func (n *Node) Inside(ctx context.Context, command ...string) (string, error) {
	return n.spaces.run(ctx, command...)
}

// Processes are those of the node, in the order in which they start.
func (n *Node) Processes() []*Process {
	return append(n.Cluster.Processes(), n.Containerd, n.Kubelet, n.Proxy)
}

// Down ends the node and all of its pods and removes their files.
func (n *Node) Down() {
	n.down.Do(func() {
		if n.dns != nil {
			n.dns.close()
		}
		// It takes every process of the node with it, and every mount.
		n.spaces.end()
		for _, p := range n.Processes() {
			if p != nil {
				p.Kill() // it is over: this waits until its end was seen
			}
		}
		n.folder.remove()
	})
}

func (n *Node) tails() string {
	var b strings.Builder
	b.WriteString(n.Cluster.tails())
	for _, p := range []*Process{n.Containerd, n.Kubelet, n.Proxy} {
		if p != nil {
			b.WriteString(p.tail(8))
		}
	}
	return b.String()
}
