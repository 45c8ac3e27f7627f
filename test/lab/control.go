package lab

import (
	"fmt"
	"path/filepath"
)

const (
	serviceCIDR = "10.96.0.0/16"
	serviceIP   = "10.96.0.1" // the Service kubernetes
)

// plan makes the processes of the control plane.
func (c *Cluster) plan() error {
	kube, err := program("kube")
	if err != nil {
		return err
	}
	c.Etcd = c.process("etcd", kube, c.etcdArgs()...)
	c.APIServer = c.process("kube-apiserver", kube, c.apiserverArgs()...)
	if c.options.Controllers {
		config, _, err := c.keys.kubeconfig("kube-controller-manager", "system:kube-controller-manager")
		if err != nil {
			return err
		}
		c.Controllers = c.process("kube-controller-manager", kube, append(leaderless(config),
			"--service-account-private-key-file", c.keys.path("sa.key"), "--root-ca-file", c.keys.path("ca.crt"),
			"--use-service-account-credentials",
			"--cluster-signing-cert-file", c.keys.path("ca.crt"), "--cluster-signing-key-file", c.keys.path("ca.key"),
			"--kube-api-qps", "200", "--kube-api-burst", "400")...)
	}
	if c.options.Scheduler {
		config, _, err := c.keys.kubeconfig("kube-scheduler", "system:kube-scheduler")
		if err != nil {
			return err
		}
		c.Scheduler = c.process("kube-scheduler", kube, append(leaderless(config),
			"--kube-api-qps", "500", "--kube-api-burst", "1000")...)
	}
	if c.options.FakeNodes > 0 {
		return c.planKwok()
	}
	return nil
}

// process makes a Process of the cluster. Programs of kube are called by name.
func (c *Cluster) process(name, binary string, args ...string) *Process {
	if filepath.Base(binary) == "kube" {
		args = append([]string{name}, args...)
	}
	return &Process{Name: name, binary: binary, args: args, dir: c.Dir, enter: c.place.enter}
}

func (c *Cluster) etcdArgs() []string {
	client := fmt.Sprintf("http://%s:%d", c.place.ip, c.place.etcd)
	peer := fmt.Sprintf("http://%s:%d", c.place.ip, c.place.etcdPeer)
	return []string{
		"--data-dir", filepath.Join(c.Dir, "etcd"), "--unsafe-no-fsync", "--log-level", "warn",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default=" + peer,
	}
}

func (c *Cluster) apiserverArgs() []string {
	args := []string{
		"--etcd-servers", fmt.Sprintf("http://%s:%d", c.place.ip, c.place.etcd),
		"--bind-address", c.place.ip, "--advertise-address", c.place.ip, "--secure-port", fmt.Sprint(c.place.secure),
		"--tls-cert-file", c.keys.path("apiserver.crt"), "--tls-private-key-file", c.keys.path("apiserver.key"),
		"--client-ca-file", c.keys.path("ca.crt"),
		"--service-account-key-file", c.keys.path("sa.pub"), "--service-account-signing-key-file", c.keys.path("sa.key"),
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-cluster-ip-range", serviceCIDR,
		"--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction", "--allow-privileged",
		"--requestheader-client-ca-file", c.keys.path("front-proxy-ca.crt"), "--requestheader-allowed-names", "front-proxy-client",
		"--requestheader-username-headers", "X-Remote-User", "--requestheader-group-headers", "X-Remote-Group",
		"--requestheader-extra-headers-prefix", "X-Remote-Extra-",
		"--proxy-client-cert-file", c.keys.path("front-proxy.crt"), "--proxy-client-key-file", c.keys.path("front-proxy.key"),
		"--kubelet-client-certificate", c.keys.path("apiserver-kubelet.crt"), "--kubelet-client-key", c.keys.path("apiserver-kubelet.key"),
		"--kubelet-certificate-authority", c.keys.path("ca.crt"), "--kubelet-preferred-address-types", "InternalIP",
	}
	if c.place.routed {
		args = append(args, "--enable-aggregator-routing")
	} else {
		// An endpoint can't be a loopback address.
		args = append(args, "--endpoint-reconciler-type", "none")
	}
	if !c.options.Controllers {
		args = append(args, "--disable-admission-plugins", "ServiceAccount")
	}
	return append(args, c.options.APIServer...)
}

// leaderless are the flags of a controller that is alone. Nobody asks it over the
// network, and its port is another lab's too.
func leaderless(kubeconfig string) []string {
	return []string{
		"--kubeconfig", kubeconfig, "--authentication-kubeconfig", kubeconfig, "--authorization-kubeconfig", kubeconfig,
		"--leader-elect=false", "--secure-port", "0",
	}
}
