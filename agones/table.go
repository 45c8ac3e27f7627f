package agones

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
	"github.com/throng-gg/throng/fleet/endings"
)

// place is where a GameServer is: no two have the same at a time.
type place struct{ cluster, name string }

// record is a GameServer that bears a server's ID.
//
//	alive ─▶ over ─▶ (not seen any more)
//	  └──────────────▲
//
// Alive is Allocated, and the one server of its ID. Over is everything else:
// what was released, ended, lost against a twin, or came late. Its exit was
// told, or will be when it is not seen any more, or is nobody's.
type record struct {
	place
	id        throng.ServerID
	uid       string
	revision  uint64 // of the object
	node      string
	image     string
	fleet     string
	address   string
	port      int
	door      string // of who allocated it
	allocated string // when, as Agones wrote it
	state     kind.State
	leaving   bool // it is being deleted
	pod       string

	over  bool
	told  bool      // its exit; or there is none to tell
	doom  string    // why it must be deleted; empty: it need not
	exact bool      // only this very revision of it: others may have got it meanwhile
	again time.Time // when its deletion is tried next
	tries int
}

// table is all GameServers of the region that bear a server's ID, in all
// clusters, as they were seen last. It decides and does nothing: exits are
// returned, and what must be deleted is doomed. Not safe for concurrent use.
type table struct {
	records map[place]*record
	byID    map[throng.ServerID][]*record
	doomed  map[place]*record
	dead    map[place]death // of pods that are there still
	over    *endings.Recent // servers that are over, with the reason: what comes under their ID later is deleted
	asked   *endings.Recent // with the cluster that was asked for them; the answer is not known
}

// maxOver bounds how many servers that are over are remembered.
const maxOver = 1 << 15

func newTable() *table {
	return &table{
		records: map[place]*record{},
		byID:    map[throng.ServerID][]*record{},
		doomed:  map[place]*record{},
		dead:    map[place]death{},
		over:    endings.NewRecent(maxOver),
		asked:   endings.NewRecent(maxOver),
	}
}

// Why something is deleted.
const (
	doomReleased = "released"
	doomLate     = "late"   // allocated under an ID that is over
	doomTwin     = "twin"   // a second one under the same ID
	doomReused   = "reused" // it went back to Ready by itself
	doomDead     = "dead"   // its process is over
)

// alive is the server of an ID; nil: there is none.
func (t *table) alive(id throng.ServerID) *record {
	for _, r := range t.byID[id] {
		if !r.over {
			return r
		}
	}
	return nil
}

// observe takes in a GameServer as it is now, or was: an older revision than
// what was seen is ignored.
func (t *table) observe(cluster string, g kind.GameServer) (exits []throng.ServerExit) {
	at := place{cluster, g.Metadata.Name}
	id := throng.ServerID(g.Metadata.Labels[kind.LabelServer])
	revision, _ := strconv.ParseUint(g.Metadata.ResourceVersion, 10, 64)
	r := t.records[at]
	if r != nil && r.uid == g.Metadata.UID && revision < r.revision {
		return nil
	}
	if r != nil && (r.uid != g.Metadata.UID || r.id != id) {
		reason := "its game server is another one"
		if r.uid == g.Metadata.UID {
			reason = "its game server was allocated again"
		}
		exits = t.vanish(at, reason)
		r = nil
	}
	if id == "" {
		return exits
	}
	if r == nil {
		r = &record{place: at, id: id, uid: g.Metadata.UID}
		t.records[at] = r
		t.byID[id] = append(t.byID[id], r)
	}
	r.revision = revision
	r.node = g.Status.NodeName
	r.image = g.Spec.Image()
	r.fleet = g.Metadata.Labels[kind.LabelFleet]
	r.address = g.Status.Address
	if len(g.Status.Ports) > 0 {
		r.port = g.Status.Ports[0].Port
	}
	r.door = g.Metadata.Annotations[kind.AnnotationDoor]
	r.allocated = g.Metadata.Annotations[kind.AnnotationAllocated]
	r.state = g.Status.State
	r.leaving = g.Metadata.DeletionTimestamp != nil
	return append(exits, t.settle(r)...)
}

// settle decides what a record that changed means.
func (t *table) settle(r *record) (exits []throng.ServerExit) {
	if reason := ending(r.state); reason != "" {
		exits = t.end(r, reason)
		if r.state != kind.StateShutdown && r.state != kind.StateUnhealthy && r.state != kind.StateError {
			t.doom(r, doomReused)
			r.exact = true
		}
		return exits
	}
	if d, dead := t.dead[r.place]; dead && d.uid == r.uid {
		return t.bury(r, d)
	}
	if r.over {
		if _, over := t.over.Get(r.id); over && r.doom == "" {
			t.doom(r, doomLate)
		}
		return nil
	}
	if _, over := t.over.Get(r.id); over {
		r.over, r.told = true, true
		t.doom(r, doomLate)
		return nil
	}
	t.twins(r.id)
	return nil
}

// twins leaves one server of an ID: the one that was allocated first. All
// replicas see the same ones, so they agree.
func (t *table) twins(id throng.ServerID) {
	var living []*record
	for _, r := range t.byID[id] {
		if !r.over {
			living = append(living, r)
		}
	}
	if len(living) < 2 {
		return
	}
	first := slices.MinFunc(living, func(a, b *record) int {
		return cmp.Or(allocatedAt(a).Compare(allocatedAt(b)), cmp.Compare(a.name, b.name), cmp.Compare(a.cluster, b.cluster))
	})
	for _, r := range living {
		if r != first {
			r.over, r.told = true, true
			t.doom(r, doomTwin)
		}
	}
}

// allocatedAt is when a server was allocated; the end of time if it does not
// say: then it was not the first.
func allocatedAt(r *record) time.Time {
	at, err := time.Parse(time.RFC3339Nano, r.allocated)
	if err != nil {
		return time.Unix(1<<40, 0)
	}
	return at
}

// ending says why a server in this state is over; empty: it is not.
func ending(s kind.State) string {
	switch s {
	case kind.StateAllocated:
		return ""
	case kind.StateShutdown:
		return "exit: it shut down"
	case kind.StateUnhealthy:
		return "exit: it is unhealthy"
	case kind.StateError:
		return "exit: it failed"
	case kind.StateReady:
	}
	return "exit: it went back to " + string(s)
}

// end makes a record over, and tells its exit once.
func (t *table) end(r *record, reason string) (exits []throng.ServerExit) {
	if !r.told {
		exits = []throng.ServerExit{{Server: r.id, Reason: reason}}
	}
	r.over, r.told = true, true
	if t.alive(r.id) == nil {
		t.over.Add(r.id, reason)
	}
	return exits
}

// vanish takes in that a GameServer is not there any more.
func (t *table) vanish(at place, reason string) (exits []throng.ServerExit) {
	r := t.records[at]
	if r == nil {
		return nil
	}
	delete(t.records, at)
	delete(t.doomed, at)
	rest := slices.DeleteFunc(slices.Clone(t.byID[r.id]), func(o *record) bool { return o == r })
	if len(rest) == 0 {
		delete(t.byID, r.id)
	} else {
		t.byID[r.id] = rest
	}
	return t.end(r, reason)
}

// replace takes in all GameServers of a cluster, as they were at a revision.
func (t *table) replace(cluster string, all []kind.GameServer, revision uint64) (exits []throng.ServerExit) {
	seen := make(map[string]bool, len(all))
	for _, g := range all {
		seen[g.Metadata.Name] = true
		exits = append(exits, t.observe(cluster, g)...)
	}
	var gone []place
	for at, r := range t.records {
		if at.cluster == cluster && !seen[at.name] && r.revision <= revision {
			gone = append(gone, at)
		}
	}
	slices.SortFunc(gone, func(a, b place) int { return cmp.Compare(a.name, b.name) })
	for _, at := range gone {
		exits = append(exits, t.vanish(at, "exit: its game server is gone")...)
	}
	return exits
}

// release makes a server over, and returns what must be deleted.
func (t *table) release(id throng.ServerID) []*record {
	t.over.Add(id, doomReleased)
	var all []*record
	for _, r := range t.byID[id] {
		r.over = true
		t.doom(r, doomReleased)
		all = append(all, r)
	}
	return all
}

// doom makes a record one that must be deleted, unless it is being.
func (t *table) doom(r *record, why string) {
	if r.leaving {
		delete(t.doomed, r.place)
		return
	}
	if r.doom == "" {
		r.doom = why
	}
	t.doomed[r.place] = r
}

// list returns the servers that are alive, sorted.
func (t *table) list() []throng.ServerID {
	ids := make([]throng.ServerID, 0, len(t.byID))
	for id := range t.byID {
		if t.alive(id) != nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
