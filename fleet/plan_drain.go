package fleet

import (
	"cmp"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

const (
	// leakTime is how long a server may be found, or speak for a session that is
	// not its, before it is called leaked.
	leakTime = throng.LeaseTime + connectTime
	// lastCall is how long before the end of a drain the last of its sessions
	// begins to drain, unless that is more than half of the time that there is.
	lastCall = 2 * time.Minute
	// fewDrains drain at the same time whatever there is for their players.
	fewDrains = 2
)

// PaceView is what the pace of a drain depends on.
type PaceView struct {
	Now      time.Time
	Since    time.Time // when the drain was asked for
	Until    time.Time // when its sessions end; zero: never
	Waiting  int       // sessions to drain that were not told yet
	Told     int       // those that were
	Draining int       // sessions of the region that drain, and are not stuck
	Idle     int       // servers elsewhere for those who find no seat in a session
}

// Pace is how many more sessions begin to drain now: so many that those who are
// moved find warm servers, and all of them in time.
func Pace(v PaceView) int {
	seats := max(fewDrains, v.Idle) - v.Draining
	due := 0
	if !v.Until.IsZero() {
		// Spread evenly from the first moment to the last that is good.
		last := v.Until.Sub(v.Since)
		last -= min(lastCall, last/2)
		gone := min(max(v.Now.Sub(v.Since), 0), max(last, 0))
		due = v.Waiting
		if gone < last {
			due = int(float64(v.Told+v.Waiting)*gone.Seconds()/last.Seconds()) - v.Told
		}
	}
	return min(max(seats, due, 0), v.Waiting)
}

// Leaves says whether a server belongs to what is drained.
func Leaves(d throng.FleetDrain, s throng.ServerSite) bool {
	switch d.Kind {
	case throng.DrainServer:
		return d.Name == string(s.Server)
	case throng.DrainCluster:
		return d.Name == s.Cluster && (s.Old || !d.Old)
	case throng.DrainRegion:
		return true
	case throng.DrainVersion: // of its sessions, on whatever server
	}
	return false
}

// Over says whether a drain of a cluster's old servers has nothing left to drain:
// the cluster is seen, and none of its servers is old. If it stayed, it would take
// what the next update makes old out of use at once, and all servers there are when
// that update brings no new ones.
func Over(d throng.FleetDrain, clusters []throng.Cluster, servers []throng.ServerInfo) bool {
	if d.Kind != throng.DrainCluster || !d.Old {
		return false
	}
	seen := slices.ContainsFunc(clusters, func(c throng.Cluster) bool { return c.Name == d.Name && c.Away == "" })
	return seen && !slices.ContainsFunc(servers, func(s throng.ServerInfo) bool {
		return s.Site.Cluster == d.Name && s.Site.Old && s.Status != throng.StatusGone
	})
}

// drainOf is the drain that a server belongs to: the one that ends first, if it
// belongs to several.
func drainOf(drains []throng.FleetDrain, s throng.ServerSite) (throng.FleetDrain, bool) {
	var out throng.FleetDrain
	found := false
	for _, d := range drains {
		if !Leaves(d, s) {
			continue
		}
		sooner := !d.Until.IsZero() && (out.Until.IsZero() || d.Until.Before(out.Until))
		if !found || sooner {
			out, found = d, true
		}
	}
	return out, found
}

// Merge is what several orchestrators of a region say of its servers, by ID: of
// each what that one says who knows most of it.
func Merge(lists ...[]throng.ServerInfo) []throng.ServerInfo {
	best := map[throng.ServerID]throng.ServerInfo{}
	for _, list := range lists {
		for _, s := range list {
			old, ok := best[s.ID]
			if !ok || knows(s) > knows(old) {
				if s.Site.Cluster == "" {
					s.Site = old.Site
				}
				best[s.ID] = s
			}
		}
	}
	out := make([]throng.ServerInfo, 0, len(best))
	for _, s := range best {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b throng.ServerInfo) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// knows ranks what is said of a server.
func knows(s throng.ServerInfo) int {
	if s.Connected {
		return 4
	}
	switch s.Status {
	case throng.StatusGone, throng.StatusLeaving:
		return 3
	case throng.StatusBound, throng.StatusDraining, throng.StatusHanded:
		return 2
	case throng.StatusStarting, throng.StatusWarm:
		return 1
	case throng.StatusFound, throng.StatusLeaked:
	}
	return 0
}

// Tally counts servers by cluster. Servers of no known cluster are counted under
// an empty name, if there are any.
func Tally(clusters []throng.Cluster, servers []throng.ServerInfo, drains []throng.FleetDrain) []throng.FleetInfo {
	byName := map[string]*throng.FleetInfo{}
	add := func(c throng.Cluster) *throng.FleetInfo {
		f := &throng.FleetInfo{Cluster: c, Servers: map[throng.ServerStatus]int{}}
		if d, ok := clusterDrain(drains, c.Name); ok {
			f.Drain = &d
		}
		byName[c.Name] = f
		return f
	}
	for _, c := range clusters {
		add(c)
	}
	for _, s := range servers {
		if s.Status == throng.StatusGone {
			continue
		}
		f := byName[s.Site.Cluster]
		if f == nil {
			f = add(throng.Cluster{Name: s.Site.Cluster})
		}
		f.Servers[s.Status]++
		if s.Site.Old {
			f.Old++
		}
	}
	out := make([]throng.FleetInfo, 0, len(byName))
	for _, f := range byName {
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b throng.FleetInfo) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// clusterDrain is the drain of a whole cluster, or of its old servers; that of
// the region comes first.
func clusterDrain(drains []throng.FleetDrain, name string) (throng.FleetDrain, bool) {
	var out throng.FleetDrain
	found := false
	for _, d := range drains {
		switch {
		case d.Kind == throng.DrainRegion:
			return d, true
		case d.Kind == throng.DrainCluster && d.Name == name:
			out, found = d, true
		}
	}
	return out, found
}

// avoided is the clusters where nothing is started.
func avoided(drains []throng.FleetDrain, clusters []throng.Cluster) []string {
	var names []string
	for _, c := range clusters {
		if d, ok := clusterDrain(drains, c.Name); ok && !d.Old {
			names = append(names, c.Name)
		}
	}
	return names
}

// statusOf says what a server does.
func statusOf(s *server, live throng.Session, now time.Time) throng.ServerStatus {
	doubtful := !s.doubt.IsZero() && now.Sub(s.doubt) >= throng.LeaseTime
	switch s.phase {
	case phaseAsked, phaseStarted:
		return throng.StatusStarting
	case phaseFound:
		if now.Sub(s.since) >= leakTime {
			return throng.StatusLeaked
		}
		return throng.StatusFound
	case phaseIdle:
		return throng.StatusWarm
	case phaseHanded:
		if doubtful {
			return throng.StatusLeaked
		}
		return throng.StatusHanded
	case phaseBound:
		switch {
		case doubtful:
			return throng.StatusLeaked
		case live.State == throng.SessionDraining:
			return throng.StatusDraining
		}
		return throng.StatusBound
	case phaseLeaving:
		return throng.StatusLeaving
	case phaseGone, phases:
	}
	return throng.StatusGone
}
