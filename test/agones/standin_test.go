package agones_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/throng-gg/throng/test/agones"
	"github.com/throng-gg/throng/test/agones/allocation"
	"github.com/throng-gg/throng/test/agones/object"
	"github.com/throng-gg/throng/test/lab"
)

// fixture is a stand-in on an API server of its own.
type fixture struct {
	*agones.Standin
	t    *testing.T
	cfg  *rest.Config
	http *http.Client
	*object.Clients
}

func start(t *testing.T, opts agones.Options) *fixture {
	t.Helper()
	return startOn(t, startCluster(t), opts)
}

func startCluster(t *testing.T) *rest.Config {
	t.Helper()
	return lab.Start(t, lab.Options{}).Config()
}

func startOn(t *testing.T, cfg *rest.Config, opts agones.Options) *fixture {
	t.Helper()
	s, err := agones.Start(t.Context(), cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.QPS = -1
	kinds, err := object.NewClients(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{s, t, cfg, client, kinds}
}

func (f *fixture) fleet(name string, replicas int32) {
	f.t.Helper()
	fleet := &object.Fleet{}
	if err := json.Unmarshal([]byte(`{"spec":{"template":{"spec":{"ports":[{"name":"default","containerPort":7777}],
		"template":{"spec":{"containers":[{"name":"game","image":"none"}]}}}}}}`), fleet); err != nil {
		f.t.Fatal(err)
	}
	fleet.Name, fleet.Namespace, fleet.Spec.Replicas = name, "default", replicas
	if _, err := f.Fleets.Create(f.t.Context(), fleet); err != nil {
		f.t.Fatal(err)
	}
	f.counted(name, func(st *object.FleetStatus) bool { return st.ReadyReplicas == replicas })
}

// fleetLike makes a Fleet with the template of another.
func (f *fixture) fleetLike(of, name string, replicas int32) {
	f.t.Helper()
	like, err := f.Fleets.Get(f.t.Context(), "default", of)
	if err != nil {
		f.t.Fatal(err)
	}
	fleet := &object.Fleet{Spec: like.Spec}
	fleet.Name, fleet.Namespace, fleet.Spec.Replicas = name, "default", replicas
	fleet.Spec.Template.Labels = nil
	if _, err := f.Fleets.Create(f.t.Context(), fleet); err != nil {
		f.t.Fatal(err)
	}
	f.counted(name, func(st *object.FleetStatus) bool { return st.ReadyReplicas == replicas })
}

func (f *fixture) fleetIs(name string, want func(*object.FleetStatus) bool) func() (bool, any) {
	return func() (bool, any) {
		got, err := f.Fleets.Get(f.t.Context(), "default", name)
		if err != nil || got.Status == nil {
			return false, err
		}
		return want(got.Status), got.Status
	}
}

func (f *fixture) eventually(what string, within time.Duration, ok func() (bool, any)) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), within)
	defer cancel()
	for {
		done, last := ok()
		if done {
			return
		}
		select {
		case <-ctx.Done():
			b, _ := json.Marshal(last)
			f.t.Fatalf("not within %v: %s; last seen %s", within, what, b)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestFleetAndAllocation(t *testing.T) {
	f := start(t, agones.Options{BatchWait: 20 * time.Millisecond})
	begin := time.Now()
	f.fleet("rf", 20)
	t.Logf("20 Ready after %v", time.Since(begin))
	seen := map[string]bool{}
	for i := range 21 {
		st := f.allocate(`{"selectors":[{"matchLabels":{"agones.dev/fleet":"rf"}}],"metadata":{"labels":{"m":"` + fmt.Sprint(i) + `"}}}`)
		if i < 20 && (st.State != allocation.Allocated || seen[st.GameServerName]) {
			t.Fatalf("allocation %d: %+v", i, st)
		}
		if i == 20 && st.State != allocation.UnAllocated {
			t.Fatalf("allocation of the 21st of 20: %+v", st)
		}
		seen[st.GameServerName] = true
	}
}

func (f *fixture) allocate(spec string) allocation.Status {
	f.t.Helper()
	body := `{"apiVersion":"allocation.agones.dev/v1","kind":"GameServerAllocation","spec":` + spec + `}`
	status, b := f.do(http.MethodPost, "/apis/allocation.agones.dev/v1/namespaces/default/gameserverallocations", nil, body)
	if status != http.StatusCreated {
		f.t.Fatalf("allocation: %d %s", status, b)
	}
	var gsa allocation.Allocation
	if err := json.Unmarshal(b, &gsa); err != nil {
		f.t.Fatal(err)
	}
	return gsa.Status
}

// TestManyServers is the size that others' tests need.
func TestManyServers(t *testing.T) {
	f := start(t, agones.Options{Straight: true, Quiet: true, Ports: [2]int32{7000, 9000}})
	begin := time.Now()
	f.fleet("many", 2000)
	t.Logf("2,000 servers Ready after %v", time.Since(begin))
}
