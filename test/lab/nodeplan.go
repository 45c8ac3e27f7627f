package lab

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/throng-gg/throng/deploy/image"
)

const podCIDR = "10.244.0.0/16"

// planNode writes the settings of the node's processes and makes these.
func (n *Node) planNode() error {
	kube, err := program("kube")
	if err != nil {
		return err
	}
	containerd, err := exec.LookPath("containerd")
	if err != nil {
		return fmt.Errorf("find containerd: %w", err)
	}
	if err := n.settings(); err != nil {
		return err
	}
	ips := []net.IP{net.ParseIP(n.IP), net.ParseIP("127.0.0.1")}
	user := request{name: "system:node:" + nodeName, groups: []string{"system:nodes"}, by: n.keys.ca, hosts: []string{nodeName}, ips: ips}
	if _, err := n.keys.issue("kubelet-server", user); err != nil {
		return err
	}
	kubelet, _, err := n.keys.kubeconfig("kubelet", user.name, user.groups...)
	if err != nil {
		return err
	}
	proxy, _, err := n.keys.kubeconfig("kube-proxy", "system:kube-proxy")
	if err != nil {
		return err
	}
	n.Containerd = n.process("containerd", containerd, "--config", n.file("containerd.toml"))
	n.Kubelet = n.process("kubelet", kube, "--config", n.file("kubelet.yaml"), "--kubeconfig", kubelet,
		"--hostname-override", nodeName, "--node-ip", n.IP, "--root-dir", n.file("kubelet"))
	n.Proxy = n.process("kube-proxy", kube, "--kubeconfig", proxy, "--proxy-mode", "iptables", "--hostname-override", nodeName,
		"--cluster-cidr", podCIDR, "--conntrack-max-per-core", "0",
		"--conntrack-tcp-timeout-established", "0", "--conntrack-tcp-timeout-close-wait", "0")
	return nil
}

func (n *Node) file(name string) string { return filepath.Join(n.Dir, name) }

// settings writes the settings of containerd, the network and kubelet.
func (n *Node) settings() error {
	values := map[string]string{
		"DIR": n.Dir, "GROUP": n.folder.name(), "PODS": podCIDR, "PAUSE": pauseImage, "PLUGINS": plugins, "DNS": dnsIP,
	}
	for name, text := range map[string]string{
		"containerd.toml":     containerdTOML,
		"cni/10-lab.conflist": networkJSON,
		"kubelet.yaml":        kubeletYAML,
		"resolv.conf":         "",
	} {
		if err := os.MkdirAll(filepath.Dir(n.file(name)), 0o700); err != nil {
			return fmt.Errorf("write a node's settings: %w", err)
		}
		text = os.Expand(text, func(key string) string { return values[key] })
		if err := os.WriteFile(n.file(name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("write a node's settings: %w", err)
		}
	}
	return nil
}

// pauseImage writes the image of pods' sandboxes.
func (n *Node) pauseImage() (string, error) {
	pause, err := program("pause")
	if err != nil {
		return "", err
	}
	tar := n.file("pause.tar")
	return tar, image.WriteFile(tar, image.Image{Name: pauseImage, Files: []image.File{{Path: "/pause", From: pause}}})
}

// Controllers of pods' control groups that kernels lack, and rights that
// containers lack where the lab itself is in one, are done without.
const containerdTOML = `version = 2
root = "${DIR}/containerd"
state = "/run/containerd"
[grpc]
  address = "${DIR}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${PLUGINS}"
    conf_dir = "${DIR}/cni"
`

const networkJSON = `{"cniVersion":"0.4.0","name":"lab","plugins":[
 {"type":"bridge","bridge":"cni0","isGateway":true,"ipMasq":true,"hairpinMode":true,
  "ipam":{"type":"host-local","dataDir":"${DIR}/cni-ipam","ranges":[[{"subnet":"${PODS}"}]],"routes":[{"dst":"0.0.0.0/0"}]}},
 {"type":"portmap","capabilities":{"portMappings":true},"snat":true}]}
`

const kubeletYAML = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
cgroupRoot: /${GROUP}
failCgroupV1: false
failSwapOn: false
containerRuntimeEndpoint: unix://${DIR}/containerd.sock
volumePluginDir: ${DIR}/volume-plugins
authentication: {anonymous: {enabled: false}, x509: {clientCAFile: ${DIR}/pki/ca.crt}, webhook: {enabled: true}}
authorization: {mode: Webhook}
tlsCertFile: ${DIR}/pki/kubelet-server.crt
tlsPrivateKeyFile: ${DIR}/pki/kubelet-server.key
clusterDomain: cluster.local
clusterDNS: [${DNS}]
resolvConf: ${DIR}/resolv.conf
enforceNodeAllocatable: []
maxPods: 400
imageGCHighThresholdPercent: 100
imageMinimumGCAge: 24h
evictionHard: {nodefs.available: "1%", imagefs.available: "1%", memory.available: "200Mi"}
localStorageCapacityIsolation: false
registryPullQPS: 0
podPidsLimit: -1
kubeAPIQPS: 100
kubeAPIBurst: 200
`
