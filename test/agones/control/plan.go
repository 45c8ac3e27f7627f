package control

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/throng-gg/throng/test/agones/object"
)

// tally is what a set has.
type tally struct {
	up       []*object.GameServer // that count as replicas
	unwell   []*object.GameServer // Unhealthy or Error, to be replaced
	shutdown int32
	status   object.GameServerSetStatus
}

// count sorts a set's servers.
func count(servers []*object.GameServer) tally {
	var t tally
	counters, lists := sums{}, sums{}
	for _, gs := range servers {
		switch st := gs.Status.State; {
		case gs.DeletionTimestamp != nil || st == object.Shutdown:
			t.shutdown++
			continue
		case st == object.Unhealthy || st == object.Error:
			t.unwell = append(t.unwell, gs)
			continue
		case st == object.Ready:
			t.status.ReadyReplicas++
		case st == object.Reserved:
			t.status.ReservedReplicas++
		case st == object.Allocated:
			t.status.AllocatedReplicas++
		}
		t.up = append(t.up, gs)
		for name, v := range gs.Status.Counters {
			counters.one(name, v.Count, v.Capacity, gs.Status.State)
		}
		for name, v := range gs.Status.Lists {
			lists.one(name, int64(len(v.Values)), v.Capacity, gs.Status.State)
		}
	}
	t.status.Counters, t.status.Lists = counters.orNil(), lists.orNil()
	t.status.Replicas = int32(len(t.up)) //nolint:gosec // far below
	t.status.ShutdownReplicas = t.shutdown
	return t
}

// sums add up counters or lists by name.
type sums map[string]object.Aggregate

func (m sums) add(name string, a object.Aggregate) {
	b := m[name]
	m[name] = object.Aggregate{
		AllocatedCount:    a.AllocatedCount + b.AllocatedCount,
		AllocatedCapacity: a.AllocatedCapacity + b.AllocatedCapacity,
		Count:             a.Count + b.Count,
		Capacity:          a.Capacity + b.Capacity,
	}
}

// one adds what a server has.
func (m sums) one(name string, n, capacity int64, st object.State) {
	a := object.Aggregate{Count: n, Capacity: capacity}
	if st == object.Allocated {
		a.AllocatedCount, a.AllocatedCapacity = n, capacity
	}
	m.add(name, a)
}

// orNil is nil for no sums, as a status leaves them out.
func (m sums) orNil() map[string]object.Aggregate {
	if len(m) == 0 {
		return nil
	}
	return m
}

// surplus picks n servers to end: never Allocated or Reserved ones; those that
// are not Ready yet first; then, if packed, those of the emptiest nodes; then
// the youngest.
func surplus(up []*object.GameServer, n int, scheduling string) []*object.GameServer {
	load := map[string]int{}
	var out []*object.GameServer
	for _, gs := range up {
		load[gs.Status.NodeName]++
		if gs.Status.State != object.Allocated && gs.Status.State != object.Reserved {
			out = append(out, gs)
		}
	}
	slices.SortFunc(out, func(a, b *object.GameServer) int {
		packed := 0
		if scheduling != "Distributed" {
			packed = cmp.Or(
				cmp.Compare(load[a.Status.NodeName], load[b.Status.NodeName]),
				cmp.Compare(a.Status.NodeName, b.Status.NodeName))
		}
		return cmp.Or(
			cmp.Compare(ready(a), ready(b)),
			packed,
			b.CreationTimestamp.Compare(a.CreationTimestamp.Time),
			cmp.Compare(a.Name, b.Name),
		)
	})
	return out[:max(0, min(n, len(out)))]
}

func ready(gs *object.GameServer) int {
	if gs.Status.State == object.Ready {
		return 1
	}
	return 0
}

// over picks the Allocated servers beyond replicas that don't say so yet.
func over(up []*object.GameServer, replicas int32, o *object.Overflow) []*object.GameServer {
	var allocated, out []*object.GameServer
	marked := 0
	for _, gs := range up {
		if gs.Status.State == object.Allocated {
			allocated = append(allocated, gs)
			if overflows(gs, o) {
				marked++
			}
		}
	}
	slices.SortFunc(allocated, func(a, b *object.GameServer) int { return cmp.Compare(a.Name, b.Name) })
	for _, gs := range allocated {
		if len(out)+marked >= len(allocated)-int(replicas) {
			break
		}
		if !overflows(gs, o) {
			out = append(out, gs)
		}
	}
	return out
}

func overflows(gs *object.GameServer, o *object.Overflow) bool {
	for k, v := range o.Labels {
		if gs.Labels[k] != v {
			return false
		}
	}
	for k, v := range o.Annotations {
		if gs.Annotations[k] != v {
			return false
		}
	}
	return true
}

// generation is a GameServerSet as a rolling update sees it.
type generation struct {
	replicas  int32 // wanted
	up        int32 // there
	ready     int32
	allocated int32
}

// roll decides the sizes of the newest set and of the old ones for a Fleet of
// replicas servers. Allocated servers of old sets count, and are left alone.
func roll(replicas int32, s object.Strategy, newest generation, old []generation) (int32, []int32) {
	var kept, oldUp, oldWanted int32
	for _, g := range old {
		kept += g.allocated
		oldUp += g.up
		oldWanted += g.replicas
	}
	next := make([]int32, len(old))
	if len(old) == 0 {
		return replicas, next
	}
	if s.Type == "Recreate" {
		return max(0, replicas-max(kept, oldUp)), next
	}
	surge, unavailable := fences(replicas, s.RollingUpdate)
	size := max(0, min(replicas-kept, max(replicas+surge-oldUp, newest.replicas)))
	missing := max(0, size-newest.ready-newest.allocated)
	down := max(0, size+oldWanted-(replicas-unavailable)-missing)
	if down > 0 && missing == 0 && newest.replicas == size {
		// All that may be new is there: what nobody needs any more goes at once.
		down = max(0, oldWanted-max(0, replicas-newest.ready-newest.allocated-kept))
	}
	for i, g := range old {
		less := min(down, g.replicas)
		next[i] = g.replicas - less
		down -= less
	}
	return size, next
}

// fences are how many servers more and fewer than replicas there may be.
func fences(replicas int32, r *object.RollingUpdate) (surge, unavailable int32) {
	quarter := intstr.FromString("25%")
	up, down := &quarter, &quarter
	if r != nil && r.MaxSurge != nil {
		up = r.MaxSurge
	}
	if r != nil && r.MaxUnavailable != nil {
		down = r.MaxUnavailable
	}
	s, err := intstr.GetScaledValueFromIntOrPercent(up, int(replicas), true)
	if err != nil {
		s = 1
	}
	u, err := intstr.GetScaledValueFromIntOrPercent(down, int(replicas), false)
	if err != nil {
		u = 0
	}
	if s == 0 && u == 0 {
		u = 1
	}
	return int32(s), int32(u) //nolint:gosec // far below
}
