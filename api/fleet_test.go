package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// fakeFleets knows three servers on two clusters, and writes down what is asked.
type fakeFleets struct {
	*world
	partial bool
}

func (f fakeFleets) Servers(context.Context) ([]throng.ServerInfo, bool, error) {
	since := time.Unix(1000, 0)
	return []throng.ServerInfo{
		{
			ID: serverA, Status: throng.StatusBound, Since: since, Session: sessionA, Place: "arena", Players: 7, Connected: true,
			Address: netip.MustParseAddrPort("10.0.0.1:7000"), Site: throng.ServerSite{Cluster: "a", Node: "n1", Image: "v1", Old: true},
		},
		{ID: serverB, Status: throng.StatusWarm, Since: since, Connected: true, Site: throng.ServerSite{
			Cluster: "b", Name: "gs-1", Address: netip.MustParseAddrPort("10.0.0.2:7001"),
		}},
		{ID: "srv_local_0123456789abcdeh", Status: throng.StatusGone, Since: since},
	}, f.partial, nil
}

func (f fakeFleets) Fleets(context.Context) ([]throng.FleetInfo, bool, error) {
	return []throng.FleetInfo{{
		Cluster: throng.Cluster{Name: "a", Image: "v2", Warm: 3, Coming: 1, Away: "429"}, Old: 1,
		Drain:   &throng.FleetDrain{Kind: throng.DrainCluster, Name: "a", Old: true, Reason: "update", Since: time.Unix(5, 0)},
		Servers: map[throng.ServerStatus]int{throng.StatusBound: 1},
	}}, f.partial, nil
}

func (f fakeFleets) Drain(_ context.Context, d throng.FleetDrain, within time.Duration) (throng.DrainSum, error) {
	f.say(fmt.Sprintf("drain %s %s old=%v %q within %s", d.Kind, d.Name, d.Old, d.Reason, within))
	if d.Name == "nowhere" {
		return throng.DrainSum{}, throng.AtField(throng.NotFound, "cluster", "there is no cluster nowhere")
	}
	return throng.DrainSum{Servers: 3, Sessions: 2, Players: 40}, nil
}

func (f fakeFleets) Undrain(_ context.Context, kind throng.DrainKind, name string) error {
	f.say(fmt.Sprintf("undrain %s %s", kind, name))
	return nil
}

func openFleets(t *testing.T, f *fakeFleets) *door {
	t.Helper()
	return openDoor(t, func(c *Config) {
		f.world = &world{}
		c.Fleets = *f
	})
}

func TestServersAndFleets(t *testing.T) {
	d := openFleets(t, &fakeFleets{})
	op := d.token("op", RoleOperator)
	var list gen.ServerList
	read := func(path string, into any) {
		t.Helper()
		r := d.call(http.MethodGet, path, op, "")
		if err := json.Unmarshal([]byte(r.body), into); err != nil || r.status != 200 {
			t.Fatalf("%s: got %d %s (%v)", path, r.status, r.body, err)
		}
	}
	read("/v1/servers?limit=1", &list)
	if len(list.Servers) != 1 || list.Next != string(serverA) || list.Servers[0].Players != 7 || !list.Servers[0].Old ||
		list.Servers[0].Address != "10.0.0.1:7000" || list.Servers[0].Place != "arena" {
		t.Errorf("the first page: %+v", list)
	}
	list = gen.ServerList{}
	read("/v1/servers?after="+string(serverA), &list)
	if len(list.Servers) != 1 || list.Servers[0].ID != string(serverB) || list.Next != "" || list.Servers[0].Address != "10.0.0.2:7001" {
		t.Errorf("the second page: %+v, want the warm one, by its site's address, and none that is gone", list)
	}
	list = gen.ServerList{}
	read("/v1/servers?cluster=b", &list)
	if len(list.Servers) != 1 || list.Servers[0].Name != "gs-1" {
		t.Errorf("those of a cluster: %+v", list)
	}
	var one gen.ServerRecord
	read("/v1/servers/srv_local_0123456789abcdeh", &one)
	if one.Status != "gone" {
		t.Errorf("one that is gone: %+v", one)
	}
	var fleets gen.FleetList
	read("/v1/fleets", &fleets)
	if f := fleets.Fleets; len(f) != 1 || f[0].Warm != 3 || f[0].Drain == nil || !f[0].Drain.Old || f[0].Servers["bound"] != 1 || f[0].Away != "429" {
		t.Errorf("fleets: %+v", fleets)
	}
	if r := d.call(http.MethodGet, "/v1/servers/srv_local_0123456789abcdez", op, ""); r.status != http.StatusNotFound {
		t.Errorf("a server that is not there: got %d", r.status)
	}
	d = openFleets(t, &fakeFleets{partial: true})
	if r := d.call(http.MethodGet, "/v1/servers/srv_local_0123456789abcdez", d.token("op", RoleOperator), ""); r.status != http.StatusServiceUnavailable {
		t.Errorf("a server that another replica may have: got %d, want 503", r.status)
	}
	d = openDoor(t, nil)
	if r := d.call(http.MethodGet, "/v1/fleets", d.token("op", RoleOperator), ""); r.status != http.StatusNotImplemented {
		t.Errorf("a door without fleets: got %d", r.status)
	}
}

func TestDrainsOfFleets(t *testing.T) {
	f := &fakeFleets{}
	d := openFleets(t, f)
	op := d.token("op", RoleOperator)
	for _, c := range []struct {
		method, path, body string
		status             int
		did                string // empty: nothing
	}{
		{"POST", "/v1/servers/" + string(serverA) + "/drain", `{"reason":"slow"}`, 200, `drain server ` + string(serverA) + ` old=false "slow" within 0s`},
		{"POST", "/v1/servers/x/drain", `{"reason":"slow"}`, 400, ""},
		{"POST", "/v1/servers/" + string(serverA) + "/drain", `{"reason":"slow","old":true}`, 400, ""},
		{"POST", "/v1/fleets/eu-1/drain", `{"reason":"update","within":60,"old":true}`, 200, `drain cluster eu-1 old=true "update" within 1m0s`},
		{"POST", "/v1/fleets/eu-1/drain", `{"reason":""}`, 400, ""},
		{"POST", "/v1/fleets/eu-1/drain", `{"reason":"x","within":-1}`, 400, ""},
		{"POST", "/v1/fleets/..%2Fx/drain", `{"reason":"x"}`, 404, ""},
		{"POST", "/v1/fleets/" + strings.Repeat("x", 64) + "/drain", `{"reason":"x"}`, 404, ""},
		{"POST", "/v1/fleets/nowhere/drain", `{"reason":"x"}`, 404, `drain cluster nowhere old=false "x" within 0s`},
		{"DELETE", "/v1/fleets/eu-1/drain", "", 204, "undrain cluster eu-1"},
		{"POST", "/v1/regions/local/drain", `{"reason":"move"}`, 200, `drain region local old=false "move" within 0s`},
		{"POST", "/v1/regions/other/drain", `{"reason":"move"}`, 404, ""},
		{"DELETE", "/v1/regions/local/drain", "", 204, "undrain region local"},
		{"DELETE", "/v1/regions/other/drain", "", 404, ""},
		{"POST", "/v1/sessions/" + string(sessionA) + "/drain", `{"reason":"x","old":true}`, 400, ""},
	} {
		before := len(f.did())
		r := d.call(c.method, c.path, op, c.body)
		did := strings.Join(f.did()[before:], "; ")
		if r.status != c.status || did != c.did {
			t.Errorf("%s %s %s: got %d %s, did %q; want %d, %q", c.method, c.path, c.body, r.status, r.body, did, c.status, c.did)
		}
		if c.method == "POST" && r.status == 200 && !strings.Contains(r.body, `"players":40`) {
			t.Errorf("%s: got %s, want what is drained", c.path, r.body)
		}
	}
}

// What one replica says of its servers arrives at another as it was, and what a
// newer one says that is not understood is passed over.
func TestReplicasTellOfServers(t *testing.T) {
	all, _, _ := fakeFleets{}.Servers(t.Context())
	said := gen.ReplicaAnswerOf(throng.ReplicaAnswer{Fleet: all})
	said.Fleet = append(said.Fleet, gen.ServerRecord{ID: "not an id"})
	got, err := said.Root()
	if err != nil || len(got.Fleet) != len(all) {
		t.Fatalf("got %d servers (%v), want %d", len(got.Fleet), err, len(all))
	}
	if s := got.Fleet[0]; s.ID != serverA || s.Status != throng.StatusBound || s.Players != 7 || !s.Connected || s.Site.Cluster != "a" || !s.Site.Old || s.Session != sessionA {
		t.Errorf("got %+v", s)
	}
}
