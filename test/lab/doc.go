// Package lab starts a real Kubernetes for a test, or for a person (cmd/lab).
//
// Start is a control plane: etcd and kube-apiserver on free loopback ports, with
// keys of their own, and kube-controller-manager, kube-scheduler and fake nodes
// (kwok) if asked for. It is ready in about 4 s, needs no root, and several live
// side by side. StartNode is a whole node in a network of its own, with
// containerd, kubelet and kube-proxy: its pods are real. It needs root.
//
// The programs are those that scripts/cluster-build.sh builds; THRONG_CLUSTER_BIN
// is their folder. Without it a test is skipped, and says so. All that a lab
// starts ends with the test, also when the test's process is killed: children are
// tied to it (Pdeathsig), and a node's pods live in its PID namespace.
//
// When a test fails, the ends of the processes' logs are printed. To look into a
// living lab: `make cluster-up`.
package lab
