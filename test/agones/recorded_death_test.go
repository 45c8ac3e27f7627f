package agones_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng/test/agones"
	"github.com/throng-gg/throng/test/agones/allocation"
	"github.com/throng-gg/throng/test/agones/object"
)

// death is a recorded end.
type death struct {
	Timeline []struct {
		T        float64 `json:"t"`
		Server   string  `json:"gameserver"` // kind of watch event
		State    string  `json:"state"`
		Deletion *string `json:"deletionTimestamp"`
		Event    string  `json:"event"`
		Type     string  `json:"type"`
		Message  string  `json:"message"`
		Source   string  `json:"source"`
		Replaced string  `json:"replacement"`
	} `json:"timeline"`
}

// states are those that the server went through after the fault, and when
// the first one came.
func (d death) states() ([]string, time.Duration) {
	var all []seen
	var first time.Duration
	for _, e := range d.Timeline {
		if e.Server == "" {
			continue
		}
		if len(all) == 0 {
			first = time.Duration(e.T * float64(time.Second))
		}
		all = append(all, seen{state: object.State(e.State), ending: e.Deletion != nil, gone: e.Server == "DELETED"})
	}
	return states(all), first
}

// notes are the events of Agones' own processes.
func (d death) notes() []string {
	var out []string
	for _, e := range d.Timeline {
		if e.Event != "" && e.Source != "kubelet" && !strings.HasPrefix(e.Message, "Deleting Pod") {
			out = append(out, fmt.Sprintf("%s %s %s: %s", e.Source, e.Type, e.Event, e.Message))
		}
	}
	return out
}

// TestRecordedDeaths ends Allocated servers in every recorded way but those
// that need a kubelet (04 and 06), and compares what became of them and when.
func TestRecordedDeaths(t *testing.T) {
	t.Parallel()
	games := newGames()
	f := start(t, agones.Options{Play: games.play, BatchWait: 20 * time.Millisecond, ExitLag: 3900 * time.Millisecond})
	f.fleet("df", 8)
	h := f.watch()
	for _, d := range []struct {
		file string
		do   func(name string) error
	}{
		{"01-exit-1.json", func(name string) error { games.of(t, name).exit <- 1; return nil }},
		{"02-exit-0.json", func(name string) error { games.of(t, name).exit <- 0; return nil }},
		{"03-kill-9.json", func(name string) error { return f.Exit("default", name, 137) }},
		{"05-health-stops.json", func(name string) error { games.of(t, name).mute.Store(true); return nil }},
		{"07-gs-deleted.json", f.deleteServer},
		{"08-sdk-shutdown.json", func(name string) error { return post(t.Context(), games.of(t, name).sdk+"/shutdown") }},
	} {
		t.Run(d.file, func(t *testing.T) { f.die(t, h, d.file, d.do) })
	}
}

func (f *fixture) deleteServer(name string) error {
	gs, err := f.GameServers.Get(f.t.Context(), "default", name)
	if err != nil {
		return err
	}
	return f.GameServers.Delete(f.t.Context(), gs)
}

// die ends an Allocated server of Fleet df and compares what becomes of it.
func (f *fixture) die(t *testing.T, h *history, file string, do func(name string) error) {
	t.Helper()
	var want death
	readJSON(t, "death/"+file, &want)
	f.counted("df", func(st *object.FleetStatus) bool {
		return st.ReadyReplicas > 0 && st.ReadyReplicas+st.AllocatedReplicas == st.Replicas
	})
	name := f.allocate(`{"selectors":[{"matchLabels":{"agones.dev/fleet":"df"}}]}`).GameServerName
	f.eventually("the watch saw it Allocated", 5*time.Second, func() (bool, any) {
		all := states(h.of(name))
		return slices.Contains(all, "Allocated"), all
	})
	before, others, begin := len(h.of(name)), h.names(), time.Now()
	if err := do(name); err != nil {
		t.Fatal(err)
	}
	f.eventually(name+" is gone", 40*time.Second, func() (bool, any) {
		all := h.of(name)
		return all[len(all)-1].gone, states(all)
	})
	after := h.of(name)[before:]
	wantStates, first := want.states()
	if got := states(after); !slices.Equal(got, wantStates) {
		t.Errorf("went through %q, recorded %q", got, wantStates)
	}
	early := 400 * time.Millisecond
	switch file[:2] {
	case "05": // health is counted in periods of 5 s, from a moment that the recording doesn't tell
		early = 5 * time.Second
	case "01", "02", "03", "06": // a kubelet looks at its containers once a second
		early = time.Second
	}
	if took := after[0].at.Sub(begin); !between(took, max(0, first-early), first+early) {
		t.Errorf("%s after %v, recorded after %v", after[0].state, took, first)
	}
	f.eventually("a replacement", 10*time.Second, func() (bool, any) {
		for n := range h.names() {
			if !others[n] {
				return true, nil
			}
		}
		return false, others
	})
	f.eventually("the events are as recorded", 10*time.Second, func() (bool, any) {
		got := f.notes("GameServer", name)
		for _, n := range want.notes() {
			if got[n] == 0 {
				return false, map[string]any{"want": want.notes(), "got": got}
			}
		}
		return true, nil
	})
}

// TestRecordedDeadReady: a server whose process is gone is handed out, and a
// server alone stays Unhealthy; one that was never ready ends the same way.
func TestRecordedDeadReady(t *testing.T) {
	games := newGames()
	f := start(t, agones.Options{Play: games.play, BatchWait: 20 * time.Millisecond, Lag: 50 * time.Millisecond})
	h := f.watch()
	f.replayFleet("rolling/00-create.json", "ef", 1)
	var l object.GameServerList
	f.get(gsPath+"?labelSelector=agones.dev/fleet%3Def", &l)
	name := l.Items[0].Name
	games.of(t, name).exit <- 137
	st := f.allocate(`{"selectors":[{"matchLabels":{"agones.dev/fleet":"ef"}}]}`)
	if st.State != allocation.Allocated || st.GameServerName != name {
		t.Errorf("got %+v, want the dead %s as recorded in death/09", st, name)
	}
	f.eventually(name+" is gone", 20*time.Second, func() (bool, any) {
		all := h.of(name)
		return all[len(all)-1].gone, states(all)
	})
	// Recorded: Allocated, Unhealthy, Shutdown, 404.
	want := []string{"Allocated", "Unhealthy", "Shutdown", "Shutdown deleting", "Shutdown gone"}
	if got := states(h.of(name)); !slices.Equal(got[len(got)-len(want):], want) {
		t.Errorf("went through %q, want the end %q", got, want)
	}

	c := newComparison()
	games.shy.Store(true)
	for server, wantBefore := range map[string]object.State{"early-1": object.Scheduled, "lone-1": object.Ready} {
		var gs object.GameServer
		f.create(gsPath, strings.Replace(standalone(server), `"labels":{"mode":"deathmatch"}`, `"labels":{}`, 1), &gs)
		g := games.of(t, server)
		if wantBefore == object.Ready {
			if err := post(t.Context(), g.sdk+"/ready"); err != nil {
				t.Fatal(err)
			}
		}
		f.await(server, wantBefore)
		g.exit <- 1
		f.await(server, object.Unhealthy)
	}
	f.replay(c, "gameserver/09-unhealthy-standalone.json")
	f.replay(c, "gameserver/11-delete.json")
	f.eventually("lone-1 is gone", 10*time.Second, func() (bool, any) {
		status, b := f.do(http.MethodGet, gsPath+"/lone-1", nil, "")
		return status == http.StatusNotFound, string(b)
	})
}

// replayFleet makes a Fleet like the recorded one.
func (f *fixture) replayFleet(file, name string, replicas int32) {
	f.t.Helper()
	f.replayFleetUnready(file, name, replicas)
	f.counted(name, func(st *object.FleetStatus) bool { return st.ReadyReplicas == replicas })
}

// replayFleetUnready doesn't wait for its servers; they may run on any node.
func (f *fixture) replayFleetUnready(file, name string, replicas int32) {
	f.t.Helper()
	r := load(f.t, file)
	var fleet object.Fleet
	if err := unmarshal(text(f.t, r.Request.Body), &fleet); err != nil {
		f.t.Fatal(err)
	}
	fleet.Name, fleet.Namespace, fleet.Spec.Replicas = name, "default", replicas
	fleet.Spec.Template.Spec.Template.Spec.NodeSelector = nil
	if _, err := f.Fleets.Create(f.t.Context(), &fleet); err != nil {
		f.t.Fatal(err)
	}
}
