package fleet

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

const (
	lookTime   = time.Second     // between looks at where servers run
	drainAgain = 5 * time.Second // until a session is told again that it drains
	mostDrains = 32              // sessions told at one look
	// stuckTime is how long a session that drains keeps others from beginning to:
	// its players cannot be moved, which theirs may well be.
	stuckTime = time.Minute
)

// sight is what the table knows of where servers run, and which of them leave.
// It belongs to the table.
type sight struct {
	looked   time.Time
	sites    map[throng.ServerID]throng.ServerSite
	clusters []throng.Cluster
	drains   []throng.FleetDrain
	versions map[string]throng.FleetDrain // those of drains that are of versions, by name
	avoid    []string
	told     map[throng.SessionID]toldDrain
	draining map[throng.SessionID]time.Time // those that drain, since when as far as was seen
	renew    time.Time                      // no server in place of an old one until then
}

// toldDrain is that a session was told to drain.
type toldDrain struct {
	until time.Time // of the drain
	again time.Time // when it is told again, unless it drains by then
}

// SetDrains says what is taken out of use: the whole list each time. It does not
// wait for anything to be drained. Unavailable: nobody runs the fleet.
func (o *Orchestrator) SetDrains(drains []throng.FleetDrain) error {
	drains = slices.Clone(drains)
	_, err := ask(o, func(ctx context.Context, t *table, now time.Time) struct{} {
		t.sight.drains = drains
		t.sight.versions = versionsOf(drains)
		t.look(now)
		t.leave(ctx, now)
		return struct{}{}
	})
	return err
}

func versionsOf(drains []throng.FleetDrain) map[string]throng.FleetDrain {
	versions := map[string]throng.FleetDrain{}
	for _, d := range drains {
		if d.Kind == throng.DrainVersion {
			versions[d.Name] = d
		}
	}
	return versions
}

// Fleet lists the servers that are known here, those too that are just gone, and
// the clusters that they run on, by ID and name. own: only those that this
// orchestrator has or allocates.
func (o *Orchestrator) Fleet(own bool) ([]throng.ServerInfo, []throng.Cluster, error) {
	type answer struct {
		servers  []throng.ServerInfo
		clusters []throng.Cluster
	}
	a, err := ask(o, func(_ context.Context, t *table, now time.Time) answer {
		if now.Sub(t.sight.looked) >= lookTime {
			t.look(now)
		}
		return answer{t.info(func(s *server) bool { return !own || s.link != nil || s.own }, now), t.sight.clusters}
	})
	return a.servers, a.clusters, err
}

// info lists the servers that which wants.
func (t *table) info(which func(*server) bool, now time.Time) []throng.ServerInfo {
	list := make([]throng.ServerInfo, 0, len(t.servers))
	for id, s := range t.servers {
		if !which(s) {
			continue
		}
		live, hosts := t.hosts[id]
		i := throng.ServerInfo{
			ID: id, Status: statusOf(s, live, now), Since: s.since, Session: s.session,
			Address: s.hello.Address, Connected: s.link != nil, Site: t.sight.sites[id],
		}
		if hosts && live.ID == s.session {
			i.Place, i.Players = live.Place, live.Seated
		}
		list = append(list, i)
	}
	slices.SortFunc(list, func(a, b throng.ServerInfo) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// look asks the backend where servers run.
func (t *table) look(now time.Time) {
	t.sight.looked = now
	if t.o.sites != nil {
		sites := t.o.sites.Sites()
		t.sight.sites = make(map[throng.ServerID]throng.ServerSite, len(sites))
		for _, s := range sites {
			t.sight.sites[s.Server] = s
		}
		t.sight.clusters = t.o.sites.Clusters()
		if avoid := avoided(t.sight.drains, t.sight.clusters); !slices.Equal(avoid, t.sight.avoid) {
			t.sight.avoid = avoid
			t.o.sites.Avoid(avoid)
		}
	}
	for _, s := range t.servers {
		t.mark(s)
	}
	for id := range t.sight.told {
		if _, lives := t.bound[id]; !lives {
			delete(t.sight.told, id)
		}
	}
	for id := range t.sight.draining {
		if _, lives := t.bound[id]; !lives {
			delete(t.sight.draining, id)
		}
	}
}

// site is where a server runs, at least which one it is.
func (t *table) site(id throng.ServerID) throng.ServerSite {
	s := t.sight.sites[id]
	s.Server = id
	return s
}

// mark keeps on a server's row what its site and the drains mean for it.
func (t *table) mark(s *server) {
	site := t.site(s.hello.Server)
	s.old = site.Old
	_, s.barred = drainOf(t.sight.drains, site)
}

// leavesRegion is the reason for which no session is opened at all; empty: none.
func (t *table) leavesRegion() string {
	for _, d := range t.sight.drains {
		if d.Kind == throng.DrainRegion {
			return d.Reason
		}
	}
	return ""
}

// best is the idle server to use next: the one that was idle longest, a new one
// before an old one, and one that is far from where it went wrong before all others; nil:
// there is none.
func (t *table) best(failed throng.ServerSite) *server {
	var best *server
	most := -1
	for _, s := range t.stock {
		if s.barred {
			continue
		}
		worth := 0
		if failed.Server != "" {
			worth = 2 * apart(failed, t.site(s.hello.Server))
		}
		if !s.old {
			worth++
		}
		if worth > most {
			best, most = s, worth
		}
		if failed.Server == "" && worth == 1 {
			break
		}
	}
	return best
}

// apart is how far two servers are from each other: 2 in another cluster, 1 on another
// machine, 0 on the same or where that is not known.
func apart(a, b throng.ServerSite) int {
	switch {
	case a.Cluster != b.Cluster:
		return 2
	case a.Node != b.Node && a.Node != "" && b.Node != "":
		return 1
	}
	return 0
}

// spare is the idle server that is needed least: an old one, else the newest,
// which is the likeliest to be on a machine of its own; nil: there is none.
func (t *table) spare() *server {
	var newest *server
	for _, s := range slices.Backward(t.stock) {
		switch {
		case s.barred:
		case s.old:
			return s
		case newest == nil:
			newest = s
		}
	}
	return newest
}

// idle counts the idle servers: those that can be used, those of them that are
// old, and those that are taken out of use.
func (t *table) idle() (usable, old, leaving int) {
	for _, s := range t.stock {
		switch {
		case s.barred:
			leaving++
			continue
		case s.old:
			old++
		}
		usable++
	}
	return usable, old, leaving
}

// leave lets what is taken out of use go: idle servers at once, sessions at a
// pace at which their players find seats elsewhere.
func (t *table) leave(ctx context.Context, now time.Time) {
	if len(t.sight.drains) == 0 {
		clear(t.sight.told)
		return
	}
	for _, s := range slices.Clone(t.stock) {
		if d, yes := drainOf(t.sight.drains, t.site(s.hello.Server)); yes && s.barred {
			t.release(ctx, s, "drained: "+d.Reason, now)
		}
	}
	usable, _, _ := t.idle()
	draining, told := 0, make([]int, len(t.sight.drains))
	waiting := make([][]throng.Session, len(t.sight.drains))
	for host, live := range t.hosts {
		if t.moves(live, now) {
			draining++
		}
		d, at, yes := t.drainAt(host, live)
		switch {
		case !yes:
		case t.toTell(live, d, now):
			waiting[at] = append(waiting[at], live)
		default:
			told[at]++
		}
	}
	for at, sessions := range waiting {
		d := t.sight.drains[at]
		// The emptiest first: their players find seats most easily.
		slices.SortFunc(sessions, func(a, b throng.Session) int {
			return cmp.Or(cmp.Compare(a.Seated, b.Seated), cmp.Compare(a.ID, b.ID))
		})
		n := Pace(PaceView{
			Now: now, Since: d.Since, Until: d.Until, Waiting: len(sessions), Told: told[at], Draining: draining, Idle: usable,
		})
		for _, live := range sessions[:min(n, mostDrains)] {
			draining++
			t.tellDrain(ctx, live.ID, d, now)
		}
	}
}

// moves says whether a session drains, and its players are still on the move.
func (t *table) moves(live throng.Session, now time.Time) bool {
	if live.State != throng.SessionDraining {
		return false
	}
	since, seen := t.sight.draining[live.ID]
	if !seen {
		since = now
		t.sight.draining[live.ID] = now
	}
	return now.Sub(since) < stuckTime
}

// drainAt is the drain of a server that hosts a session, if telling it is ours: it
// is connected here, or nobody else has told it for long enough.
func (t *table) drainAt(host throng.ServerID, live throng.Session) (d throng.FleetDrain, at int, yes bool) {
	if d, yes = drainOf(t.sight.drains, t.site(host)); !yes && len(t.sight.versions) > 0 {
		d, yes = t.sight.versions[throng.VersionName(live.Place, live.Version)]
	}
	if !yes {
		return d, 0, false
	}
	s := t.servers[host]
	if t.o.peers != nil && (s == nil || s.link == nil) && time.Since(d.Since) < 2*throng.LeaseTime {
		return d, 0, false
	}
	return d, slices.Index(t.sight.drains, d), true
}

// toTell says whether a session has not heard of its drain, or of its end.
func (t *table) toTell(live throng.Session, d throng.FleetDrain, now time.Time) bool {
	told, was := t.sight.told[live.ID]
	switch {
	case live.State == throng.SessionDraining:
		return !d.Until.IsZero() && (!was || !told.until.Equal(d.Until))
	case was:
		return !now.Before(told.again)
	}
	return true
}

func (t *table) tellDrain(ctx context.Context, id throng.SessionID, d throng.FleetDrain, now time.Time) {
	t.sight.told[id] = toldDrain{until: d.Until, again: now.Add(drainAgain)}
	within := time.Duration(0)
	if !d.Until.IsZero() {
		within = max(d.Until.Sub(now), time.Second)
	}
	t.o.logger.InfoContext(ctx, "session drained", "session", id, "reason", d.Reason, "within", within)
	t.spawn(func() {
		calling, cancel := context.WithTimeout(ctx, callTime)
		defer cancel()
		err := t.o.registry.Drain(calling, id, d.Reason, within)
		if err != nil && throng.KindOf(err) != throng.NotFound {
			t.o.logger.WarnContext(ctx, "session not drained, trying again", "session", id, "err", err)
		}
	})
}

// renew makes the stock new after what servers are made from has changed.
func (t *table) renew(ctx context.Context, now time.Time) {
	usable, old, _ := t.idle()
	if old == 0 || !t.listed {
		return
	}
	v := t.view(now)
	d := Renew(RenewView{
		Now: now, After: t.sight.renew, Stock: t.target, Waiting: v.Waiting, New: usable - old, Old: old,
		Coming: v.Asked + v.Started, Room: v.Max - v.Asked - v.Started - v.Idle - v.Occupied,
	})
	for _, s := range slices.Clone(t.stock) {
		if d.Release > 0 && s.old && !s.barred {
			t.release(ctx, s, "new servers are made from something else", now)
			d.Release--
		}
	}
	if now.Before(v.NotBefore) {
		return
	}
	if d.Allocate > 0 {
		t.sight.renew = now.Add(renewAgain)
	}
	for range d.Allocate {
		t.allocate(ctx, now)
	}
}
