package fleet

import (
	"fmt"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

func TestPace(t *testing.T) {
	since := time.Unix(1000, 0)
	for _, c := range []struct {
		why string
		v   PaceView
		at  time.Duration // since the drain began
		end time.Duration // 0: never
		now int
	}{
		{"nothing to do", PaceView{Idle: 9}, 0, 0, 0},
		{"a few, whatever there is", PaceView{Waiting: 100}, 0, 0, 2},
		{"as many as there are warm servers", PaceView{Waiting: 100, Idle: 7}, 0, 0, 7},
		{"less those that drain", PaceView{Waiting: 100, Told: 5, Draining: 5, Idle: 7}, 0, 0, 2},
		{"no more than there are", PaceView{Waiting: 3, Idle: 7}, 0, 0, 3},
		{"too many drain already", PaceView{Waiting: 3, Told: 9, Draining: 9, Idle: 7}, 0, 0, 0},
		{"halfway, half of them", PaceView{Waiting: 90, Told: 10, Draining: 10}, 15 * time.Second, time.Minute, 40},
		{"with two minutes left, all", PaceView{Waiting: 90, Told: 10, Draining: 10}, 58 * time.Minute, time.Hour, 90},
		{"past the end, all", PaceView{Waiting: 90}, 2 * time.Hour, time.Hour, 90},
		{"an end before the beginning, all", PaceView{Waiting: 90}, 0, -time.Hour, 90},
	} {
		c.v.Since, c.v.Now = since, since.Add(c.at)
		if c.end != 0 {
			c.v.Until = since.Add(c.end)
		}
		if got := Pace(c.v); got != c.now {
			t.Errorf("%s: got %d, want %d", c.why, got, c.now)
		}
	}
}

func TestOver(t *testing.T) {
	old := throng.FleetDrain{Kind: throng.DrainCluster, Name: "a", Old: true}
	whole := throng.FleetDrain{Kind: throng.DrainCluster, Name: "a"}
	on := func(cluster string, isOld bool, status throng.ServerStatus) throng.ServerInfo {
		return throng.ServerInfo{Status: status, Site: throng.ServerSite{Cluster: cluster, Old: isOld}}
	}
	for _, c := range []struct {
		why     string
		drain   throng.FleetDrain
		away    string
		servers []throng.ServerInfo
		want    bool
	}{
		{"no server is old", old, "", []throng.ServerInfo{on("a", false, throng.StatusBound), on("b", true, throng.StatusBound)}, true},
		{"the old one is gone", old, "", []throng.ServerInfo{on("a", true, throng.StatusGone)}, true},
		{"one is left", old, "", []throng.ServerInfo{on("a", true, throng.StatusDraining)}, false},
		{"the cluster is not seen", old, "no answer", nil, false},
		{"a whole cluster stays out of use", whole, "", nil, false},
	} {
		if got := Over(c.drain, []throng.Cluster{{Name: "a", Away: c.away}, {Name: "b"}}, c.servers); got != c.want {
			t.Errorf("%s: got %t, want %t", c.why, got, c.want)
		}
	}
	if Over(old, nil, nil) {
		t.Error("a cluster that nobody knows: got over, want not")
	}
}

func TestRenew(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		why  string
		v    RenewView
		want Renewal
	}{
		{"all are new", RenewView{Stock: 8, New: 8, Room: 9}, Renewal{}},
		{"a quarter at a time", RenewView{Stock: 8, Old: 8, Room: 9}, Renewal{Allocate: 2}},
		{"those that come count", RenewView{Stock: 8, Old: 8, Coming: 2, Room: 9}, Renewal{}},
		{"one goes for each that came", RenewView{Stock: 8, Old: 8, New: 2, Room: 9}, Renewal{Allocate: 2, Release: 2}},
		{"none goes while somebody waits for it", RenewView{Stock: 8, Old: 8, New: 2, Waiting: 3, Room: 9}, Renewal{Allocate: 2}},
		{"without room one goes first", RenewView{Stock: 8, Old: 8, New: 1}, Renewal{Allocate: 1, Release: 1}},
		{"the last one came out old", RenewView{Stock: 8, Old: 8, After: now.Add(time.Second), Room: 9}, Renewal{}},
		{"a small stock, one at a time", RenewView{Stock: 1, Old: 1, Room: 9}, Renewal{Allocate: 1}},
	} {
		c.v.Now = now
		if got := Renew(c.v); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.why, got, c.want)
		}
	}
}

func TestLeaves(t *testing.T) {
	drains := []throng.FleetDrain{
		{Kind: throng.DrainServer, Name: "s1"},
		{Kind: throng.DrainCluster, Name: "a", Until: time.Unix(9, 0)},
		{Kind: throng.DrainCluster, Name: "b", Old: true},
	}
	got := ""
	for _, s := range []throng.ServerSite{
		{Server: "s1", Cluster: "b"}, {Server: "s2", Cluster: "a"}, {Server: "s3", Cluster: "b"}, {Server: "s4", Cluster: "b", Old: true}, {Server: "s5"},
	} {
		d, ok := drainOf(drains, s)
		got += fmt.Sprintf("%s:%s%s,%v ", s.Server, d.Kind, d.Name, ok)
	}
	if want := "s1:servers1,true s2:clustera,true s3:,false s4:clusterb,true s5:,false "; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	d, _ := drainOf(append(drains, throng.FleetDrain{Kind: throng.DrainRegion}), throng.ServerSite{Cluster: "a"})
	if d.Kind != throng.DrainCluster {
		t.Errorf("of two drains %s counts, want the one that ends first", d.Kind)
	}
	avoid := avoided(drains, []throng.Cluster{{Name: "a"}, {Name: "b"}, {Name: "c"}})
	if fmt.Sprint(avoid) != "[a]" {
		t.Errorf("avoided are %v, want a only: b has new servers to start", avoid)
	}
}

// Each replica knows its own servers best, and the backend lists all to each.
func TestMerge(t *testing.T) {
	info := func(id string, status throng.ServerStatus, connected bool) throng.ServerInfo {
		return throng.ServerInfo{ID: throng.ServerID(id), Status: status, Connected: connected}
	}
	one := []throng.ServerInfo{info("a", throng.StatusWarm, true), info("b", throng.StatusLeaked, false), info("c", throng.StatusFound, false)}
	one[1].Site = throng.ServerSite{Cluster: "x"}
	two := []throng.ServerInfo{info("a", throng.StatusFound, false), info("b", throng.StatusBound, true), info("d", throng.StatusStarting, false)}
	got := ""
	for _, s := range Merge(one, two) {
		got += fmt.Sprintf("%s:%s:%s ", s.ID, s.Status, s.Site.Cluster)
	}
	if want := "a:warm: b:bound:x c:found: d:starting: "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
