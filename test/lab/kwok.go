package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// fakeNode is the annotation of the nodes that kwok plays, and their taint where
// there is a real node as well.
const fakeNode = "kwok.x-k8s.io/node"

// planKwok makes the process that plays nodes.
func (c *Cluster) planKwok() error {
	binary, err := program("kwok")
	if err != nil {
		return err
	}
	stages, err := program("kwok-stages.yaml")
	if err != nil {
		return err
	}
	config, _, err := c.keys.kubeconfig("kwok", "kwok", "system:masters")
	if err != nil {
		return err
	}
	c.Kwok = c.process("kwok", binary, "--kubeconfig", config, "--config", stages,
		"--manage-nodes-with-annotation-selector", fakeNode+"=fake", "--node-lease-duration-seconds", "40",
		"--cidr", "10.245.0.0/16", "--node-ip", "10.246.0.1")
	return nil
}

// addFakeNodes makes the nodes fake-0, fake-1, ...
func (c *Cluster) addFakeNodes(ctx context.Context) error {
	size := map[string]string{"cpu": "32", "memory": "256Gi", "pods": "110"}
	for i := range c.options.FakeNodes {
		name := fmt.Sprintf("fake-%d", i)
		spec := map[string]any{}
		if c.place.routed {
			spec["taints"] = []map[string]string{{"key": fakeNode, "value": "fake", "effect": "NoSchedule"}}
		}
		node := map[string]any{
			"apiVersion": "v1", "kind": "Node",
			"metadata": map[string]any{
				"name":        name,
				"annotations": map[string]string{fakeNode: "fake"},
				"labels":      map[string]string{"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "type": "kwok"},
			},
			"spec":   spec,
			"status": map[string]any{"allocatable": size, "capacity": size},
		}
		body, err := json.Marshal(node)
		if err != nil {
			return fmt.Errorf("make the node %s: %w", name, err)
		}
		if err := c.call(ctx, http.MethodPost, "/api/v1/nodes", bytes.NewReader(body)); err != nil {
			return fmt.Errorf("make the node %s: %w", name, err)
		}
	}
	return nil
}
