package agones_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/throng-gg/throng/test/agones"
	"github.com/throng-gg/throng/test/agones/control"
	"github.com/throng-gg/throng/test/agones/object"
	"github.com/throng-gg/throng/test/lab"
)

// TestPodsOnFakeNodes: Pods that kwok plays have no sidecar; the test is it.
// What is recorded of a Pod's deletion and of the addresses needs no more.
func TestPodsOnFakeNodes(t *testing.T) {
	f := startOn(t, lab.Start(t, lab.Options{FakeNodes: 1}).Config(), agones.Options{
		Pods: control.RealPods, Nodes: []control.Node{{}}, BatchWait: 20 * time.Millisecond, SDKDelay: 20 * time.Millisecond,
	})
	h := f.watch()
	f.replayFleetUnready("rolling/00-create.json", "df", 2)
	f.scheduled(t, 2)
	var l object.GameServerList
	f.get(gsPath, &l)
	for _, gs := range l.Items {
		f.ready(t, gs.Name)
		got := f.await(gs.Name, object.Ready)
		if n := len(got.Status.Addresses); n < 2 || got.Status.Addresses[n-1].Type != "PodIP" || got.Status.Address == "" || got.Status.NodeName == "" {
			t.Errorf("%s is at %+v", gs.Name, got.Status)
		}
		if got.Status.Ports[0].Port != got.Spec.Ports[0].HostPort {
			t.Errorf("%s has port %d, its Pod %d", gs.Name, got.Status.Ports[0].Port, got.Spec.Ports[0].HostPort)
		}
	}
	f.die(t, h, "06-pod-deleted.json", func(name string) error {
		status, b := f.do(http.MethodDelete, "/api/v1/namespaces/default/pods/"+name, nil, "")
		if status != http.StatusOK {
			return fmt.Errorf("delete Pod: %d %s", status, b)
		}
		return nil
	})
}

// scheduled waits until n servers are Scheduled and know their Pod's address.
func (f *fixture) scheduled(t *testing.T, n int) {
	t.Helper()
	f.eventually("servers are scheduled", time.Minute, func() (bool, any) {
		var l object.GameServerList
		f.get(gsPath, &l)
		at := 0
		for _, gs := range l.Items {
			a := gs.Status.Addresses
			if gs.Status.State == object.Scheduled && len(a) > 0 && a[len(a)-1].Type == "PodIP" {
				at++
			}
		}
		return at == n, l.Items
	})
}

// ready says that a server is, as its game would.
func (f *fixture) ready(t *testing.T, name string) {
	t.Helper()
	sdk, err := f.SDK(t.Context(), "default", name)
	if err != nil {
		t.Fatal(err)
	}
	if err := post(t.Context(), sdk+"/ready"); err != nil {
		t.Fatal(err)
	}
}
