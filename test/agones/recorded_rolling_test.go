package agones_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/throng-gg/throng/test/agones"
	"github.com/throng-gg/throng/test/agones/object"
)

func unmarshal(s string, into any) error { return json.Unmarshal([]byte(s), into) }

// snapshot is what was polled during the recorded rolling update.
type snapshot struct {
	Fleet struct {
		Replicas  int32 `json:"replicas"`
		Ready     int32 `json:"readyReplicas"`
		Allocated int32 `json:"allocatedReplicas"`
	} `json:"fleet"`
	Servers map[string]int `json:"servers"`
}

// most are the largest and smallest counts of a rolling update.
type extremes struct {
	MostReplicas, LeastReplicas, LeastUp, FewestAllocated int
}

func (e *extremes) add(s snapshot) {
	up := s.Servers["v1 Allocated"] + s.Servers["v1 Ready"] + s.Servers["v2 Ready"]
	e.MostReplicas = max(e.MostReplicas, int(s.Fleet.Replicas))
	e.LeastReplicas = min(e.LeastReplicas, int(s.Fleet.Replicas))
	e.LeastUp = min(e.LeastUp, up)
	e.FewestAllocated = min(e.FewestAllocated, s.Servers["v1 Allocated"])
}

// TestRecordedRollingUpdate replays the update of a Fleet of 6 of which 2 are
// Allocated: the sizes of the sets on the way, and what remains.
func TestRecordedRollingUpdate(t *testing.T) {
	games := newGames()
	f := start(t, agones.Options{Play: games.play, BatchWait: 20 * time.Millisecond})
	c := newComparison()
	f.replay(c, "rolling/00-create.json")
	f.counted("ru", func(st *object.FleetStatus) bool { return st.ReadyReplicas == 6 })
	var allocated []string
	for range 2 {
		allocated = append(allocated, f.allocate(`{"selectors":[{"matchLabels":{"agones.dev/fleet":"ru"}}]}`).GameServerName)
	}
	f.counted("ru", func(st *object.FleetStatus) bool { return st.AllocatedReplicas == 2 && st.ReadyReplicas == 4 })
	// The first three new ones took 2.5 s and were ready at almost the same time.
	loaded := make(chan struct{})
	games.loading.Store(&loaded)
	f.replay(c, "rolling/02-patch.json")
	got := f.follow("ru", func(s snapshot) bool {
		if s.Servers["v2 Scheduled"] == 3 && s.Fleet.Replicas == 8 && games.loading.CompareAndSwap(&loaded, nil) {
			close(loaded)
		}
		return s.Fleet.Ready == 4 && s.Servers["v2 Ready"] == 4 && s.Fleet.Replicas == 6
	})
	var history struct {
		History []struct {
			X snapshot `json:"x"`
		} `json:"history"`
	}
	readJSON(t, "rolling/03-history.json", &history)
	want := extremes{LeastReplicas: 99, LeastUp: 99, FewestAllocated: 99}
	for _, s := range history.History {
		want.add(s.X)
	}
	if got != want {
		t.Errorf("on the way %+v, recorded %+v", got, want)
	}
	f.sets(c, "rolling/04-gameserversets-after.json", "ru")
	f.replay(c, "rolling/05-fleet-after.json")

	// One old Allocated server ends: the newest set gets its place.
	if err := post(t.Context(), games.of(t, allocated[0]).sdk+"/shutdown"); err != nil {
		t.Fatal(err)
	}
	f.counted("ru", func(st *object.FleetStatus) bool { return st.ReadyReplicas == 5 && st.AllocatedReplicas == 1 })
	f.replay(c, "rolling/07-fleet-after-old-shutdown.json")
	f.sets(c, "rolling/08-gss-after-old-shutdown.json", "ru")

	// Scaled below what is Allocated: those stay, and are marked.
	for range 3 {
		f.allocate(`{"selectors":[{"matchLabels":{"agones.dev/fleet":"ru"}}]}`)
	}
	if _, err := f.Fleets.Patch(t.Context(), "default", "ru", []byte(`{"spec":{"replicas":1}}`)); err != nil {
		t.Fatal(err)
	}
	f.counted("ru", func(st *object.FleetStatus) bool { return st.Replicas == 4 && st.ReadyReplicas == 0 })
	f.replay(c, "rolling/09-scaled-below-allocated.json")
	var l object.GameServerList
	f.get(gsPath+"?labelSelector=agones.dev/fleet%3Dru,overflow%3Dyes", &l)
	for _, gs := range l.Items {
		if gs.Status.State != object.Allocated || gs.Annotations["overflow-note"] != "drain" {
			t.Errorf("%s is %s, annotations %v: only Allocated servers overflow", gs.Name, gs.Status.State, gs.Annotations)
		}
	}
	if len(l.Items) != 4 {
		t.Errorf("%d servers overflow, recorded 4", len(l.Items))
	}

	// Deleting the Fleet deletes Allocated servers.
	fleet, err := f.Fleets.Get(t.Context(), "default", "ru")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Fleets.Delete(t.Context(), fleet); err != nil {
		t.Fatal(err)
	}
	f.eventually("all its servers are gone", 20*time.Second, f.noServers("ru"))
}

// sets compares a list of sets, the older one first.
func (f *fixture) sets(c *comparison, file, fleet string) {
	f.t.Helper()
	r := load(f.t, file)
	_, b := f.do("GET", "/apis/agones.dev/v1/namespaces/default/gameserversets?labelSelector=agones.dev/fleet%3D"+fleet, nil, "")
	order := func(list any) []any {
		items := list.(map[string]any)["items"].([]any) //nolint:forcetypeassert // a test's
		slices.SortFunc(items, func(a, b any) int {
			build := func(o any) string {
				return fmt.Sprint(o.(map[string]any)["metadata"].(map[string]any)["labels"].(map[string]any)["build"]) //nolint:forcetypeassert // a test's
			}
			if build(a) < build(b) {
				return -1
			}
			return 1
		})
		return items
	}
	c.expect(f.t, file, order(r.Response.Body), order(body(b)))
}

// follow polls a Fleet until done and returns the extremes on the way.
func (f *fixture) follow(name string, done func(snapshot) bool) extremes {
	f.t.Helper()
	e := extremes{LeastReplicas: 99, LeastUp: 99, FewestAllocated: 99}
	f.eventually("the rolling update ends", time.Minute, f.snapshots(name, func(s snapshot) bool {
		e.add(s)
		return done(s)
	}))
	return e
}

// snapshots passes what a Fleet has at the moment to see.
func (f *fixture) snapshots(name string, see func(snapshot) bool) func() (bool, any) {
	return func() (bool, any) {
		fleet, err := f.Fleets.Get(f.t.Context(), "default", name)
		if err != nil || fleet.Status == nil {
			return false, err
		}
		s := snapshot{Servers: map[string]int{}}
		s.Fleet.Replicas = fleet.Status.Replicas
		s.Fleet.Ready, s.Fleet.Allocated = fleet.Status.ReadyReplicas, fleet.Status.AllocatedReplicas
		var l object.GameServerList
		f.get(gsPath+"?labelSelector=agones.dev/fleet%3D"+name, &l)
		for _, gs := range l.Items {
			if gs.DeletionTimestamp == nil {
				s.Servers[gs.Labels["build"]+" "+string(gs.Status.State)]++
			}
		}
		return see(s), s
	}
}

func (f *fixture) noServers(fleet string) func() (bool, any) {
	return func() (bool, any) {
		var l object.GameServerList
		f.get(gsPath+"?labelSelector=agones.dev/fleet%3D"+fleet, &l)
		return len(l.Items) == 0, len(l.Items)
	}
}
