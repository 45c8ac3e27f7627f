package fleet

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

// sited is a region whose backend knows where its servers run: those that are
// allocated next run where r.next says.
type sited struct{ *region }

func (r sited) Allocate(ctx context.Context, id throng.ServerID) error {
	r.mu.Lock()
	site := r.next
	if slices.Contains(r.avoided, site.Cluster) {
		site = throng.ServerSite{Cluster: "b", Image: "v1"}
		if slices.Contains(r.avoided, "b") {
			r.mu.Unlock()
			return throng.Errorf(throng.NoCapacity, "all clusters are avoided")
		}
	}
	site.Server = id
	r.sites[id] = site
	r.mu.Unlock()
	return r.region.Allocate(ctx, id)
}

func (r sited) Sites() (list []throng.ServerSite) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sites {
		list = append(list, s)
	}
	return list
}

func (r sited) Clusters() []throng.Cluster {
	return []throng.Cluster{{Name: "a", Image: "v1", Warm: 3}, {Name: "b", Image: "v1"}}
}

func (r sited) Avoid(clusters []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.avoided = slices.Clone(clusters)
}

func newSited() *region {
	r := newRegion()
	r.sites = map[throng.ServerID]throng.ServerSite{}
	r.next = throng.ServerSite{Cluster: "a", Image: "v1"}
	return r
}

// drain sets what is drained.
func (r *region) drain(t *testing.T, drains ...throng.FleetDrain) {
	t.Helper()
	for i := range drains {
		if drains[i].Since.IsZero() {
			drains[i].Since = time.Now()
		}
		drains[i].Reason = "update"
	}
	if err := r.o.SetDrains(drains); err != nil {
		t.Fatal(err)
	}
}

// fleets is what is known of clusters, as "a warm:2 bound:1".
func (r *region) fleets(t *testing.T) string {
	t.Helper()
	servers, clusters, err := r.o.Fleet(false)
	if err != nil {
		t.Fatal(err)
	}
	out := ""
	for _, f := range Tally(clusters, servers, nil) {
		out += f.Name
		for _, status := range []throng.ServerStatus{
			throng.StatusStarting, throng.StatusWarm, throng.StatusHanded, throng.StatusBound, throng.StatusDraining,
			throng.StatusLeaving, throng.StatusFound, throng.StatusLeaked,
		} {
			if n := f.Servers[status]; n > 0 {
				out += fmt.Sprintf(" %s:%d", status, n)
			}
		}
		if f.Old > 0 {
			out += fmt.Sprintf(" old:%d", f.Old)
		}
		out += "\n"
	}
	return out
}

func (r *region) wantFleets(t *testing.T, when, want string) {
	t.Helper()
	if got := r.fleets(t); got != want {
		t.Errorf("%s:\n%swant\n%s", when, got, want)
	}
}

// A drained cluster gets no sessions, its stock moves to another one at once, and
// its sessions drain few at a time.
func TestDrainOfACluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSited()
		r.run(t, 2, 20)
		after(t, 2*time.Second)
		var ids []throng.SessionID
		for range 6 {
			ids = append(ids, r.opens(t))
			after(t, 2*time.Second)
		}
		r.wantFleets(t, "before", "a warm:2 bound:6\nb\n")

		r.drain(t, throng.FleetDrain{Kind: throng.DrainCluster, Name: "a"})
		after(t, 3*time.Second)
		if n := r.draining(); n == 0 || n > 3 {
			t.Errorf("%d sessions drain after 3 s, want two or as many as there are warm servers elsewhere", n)
		}
		id := r.opens(t)
		after(t, 2*time.Second)
		if at := r.sites[r.session(id).Server].Cluster; at != "b" {
			t.Errorf("a session was opened in %s, want b", at)
		}
		for range 6 { // those that drain become empty
			for _, id := range ids {
				if r.session(id).State == throng.SessionDraining {
					r.endIt(t, id)
				}
			}
			after(t, 2*time.Second)
		}
		if r.draining() != 6 {
			t.Errorf("%d sessions were drained, want all six", r.draining())
		}
		after(t, time.Minute)
		r.wantFleets(t, "after", "a\nb warm:2 bound:1\n")
		r.drain(t)
		after(t, 2*time.Second)
		if len(r.avoided) != 0 {
			t.Errorf("after the drain %v are avoided", r.avoided)
		}
		r.audit(t)
	})
}

// Sessions whose players cannot be moved do not keep others from draining.
func TestDrainPassesOverWhoIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSited()
		r.run(t, 0, 20)
		after(t, 2*time.Second)
		for range 6 {
			r.opens(t)
			after(t, 2*time.Second)
		}
		r.drain(t, throng.FleetDrain{Kind: throng.DrainCluster, Name: "a"})
		for i, want := range []int{2, 4, 6} { // nobody leaves
			after(t, 30*time.Second)
			if n := r.draining(); n != want {
				t.Errorf("after %d half minutes %d sessions drain, want %d", 2*i+1, n, want)
			}
			after(t, 35*time.Second)
		}
	})
}

// endIt ends a session as its server does, which is gone then.
func (r *region) endIt(t *testing.T, id throng.SessionID) {
	t.Helper()
	if err := r.End(t.Context(), id, "drained"); err != nil {
		t.Fatal(err)
	}
}

// draining is how many sessions were told to drain.
func (r *region) draining() (n int) {
	r.set(func() { n = len(r.drained) })
	return n
}

// A drain that has to be over by a time is.
func TestDrainIsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSited()
		r.run(t, 2, 20)
		after(t, 2*time.Second)
		for range 8 {
			r.opens(t)
			after(t, 2*time.Second)
		}
		r.drain(t, throng.FleetDrain{Kind: throng.DrainCluster, Name: "a", Until: time.Now().Add(time.Minute)})
		after(t, 10*time.Second)
		if n := r.draining(); n < 2 || n > 4 {
			t.Errorf("%d sessions drain after a third of the time in which they begin, want about a third of 8", n)
		}
		after(t, 22*time.Second)
		if n := r.draining(); n != 8 {
			t.Errorf("%d sessions drain halfway to the end, want all 8", n)
		}
	})
}

func TestDrainOfTheRegionAndOfAServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSited()
		r.run(t, 1, 20)
		after(t, 2*time.Second)
		id := r.opens(t)
		after(t, 2*time.Second)
		r.drain(t, throng.FleetDrain{Kind: throng.DrainServer, Name: string(r.session(id).Server)})
		after(t, time.Second)
		if got := r.session(id).State; got != throng.SessionDraining {
			t.Errorf("the session of a drained server is %s", got)
		}
		r.drain(t, throng.FleetDrain{Kind: throng.DrainRegion, Name: "eu"})
		if _, err := r.open(t); throng.KindOf(err) != throng.NoCapacity || throng.RetryAfterOf(err) == 0 {
			t.Errorf("opening in a drained region: %v, want NoCapacity with a time to come back", err)
		}
		after(t, time.Minute)
		r.wantFleets(t, "drained", "a draining:1\nb\n")
		r.drain(t)
		after(t, 15*time.Second)
		r.wantFleets(t, "in use again", "a warm:1 draining:1\nb\n")
	})
}

// Old servers of the stock are replaced one after the other, new ones are used
// first, and when no new ones come up the old ones are used.
func TestStockIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSited()
		r.run(t, 4, 20)
		after(t, 5*time.Second)
		r.set(func() { // a new image, which does not come up yet
			for id, s := range r.sites {
				s.Old = true
				r.sites[id] = s
			}
			r.next.Image = "v2"
			r.manner = func(int) manner { m := good(); m.connectIn = -1; return m }
		})
		after(t, 3*time.Second)
		id := r.opens(t)
		after(t, 2*time.Second)
		r.isOpen(t, id)
		if !r.sites[r.session(id).Server].Old {
			t.Error("a session is on a server that did not come up")
		}
		r.set(func() { r.manner = func(int) manner { return good() } })
		least := 4
		for range 240 {
			after(t, 500*time.Millisecond)
			least = min(least, r.phases()["idle"])
		}
		if least < 3 {
			t.Errorf("the stock fell to %d, want 3 (one was used) or more", least)
		}
		r.wantFleets(t, "renewed", "a warm:4 bound:1 old:1\nb\n")
		id = r.opens(t)
		after(t, 2*time.Second)
		if r.sites[r.session(id).Server].Old {
			t.Error("a session is on an old server while there are new ones")
		}
		r.audit(t)
	})
}

func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSited()
		stop := r.run(t, 2, 10)
		pause(t.Context(), 5*time.Second)
		r.opens(t)
		pause(t.Context(), 5*time.Second)
		if got, err := r.o.Room(); err != nil || got != (throng.ServerRoom{Warm: 2, Spare: 7}) {
			t.Errorf("got %+v, %v, want 2 idle and 7 to start", got, err)
		}
		r.drain(t, throng.FleetDrain{Kind: throng.DrainRegion, Name: "eu"})
		if got, err := r.o.Room(); err != nil || got != (throng.ServerRoom{Draining: true}) {
			t.Errorf("drained: got %+v, %v, want nothing", got, err)
		}
		stop()
		if _, err := r.o.Room(); throng.KindOf(err) != throng.Unavailable {
			t.Errorf("nobody runs it: got %v, want unavailable", err)
		}
	})
}
