package allocation

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/throng-gg/throng/test/agones/object"
)

// order sorts servers as a request prefers them: Packed takes from the node
// with the most Allocated, then the most Ready servers; Distributed from
// anywhere. Within that the priorities decide, then the name.
func order(servers []*object.GameServer, scheduling string, priorities []Priority, rnd *rand.Rand) []*object.GameServer {
	out := slices.Clone(servers)
	if scheduling == Distributed {
		rnd.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
		slices.SortStableFunc(out, func(a, b *object.GameServer) int { return byPriority(a, b, priorities) })
		return out
	}
	allocated, ready := map[string]int{}, map[string]int{}
	for _, gs := range servers {
		switch gs.Status.State { //nolint:exhaustive // the others don't pack a node
		case object.Allocated:
			allocated[gs.Status.NodeName]++
		case object.Ready:
			ready[gs.Status.NodeName]++
		}
	}
	slices.SortStableFunc(out, func(a, b *object.GameServer) int {
		an, bn := a.Status.NodeName, b.Status.NodeName
		return cmp.Or(
			cmp.Compare(allocated[bn], allocated[an]),
			cmp.Compare(ready[bn], ready[an]),
			cmp.Compare(an, bn),
			byPriority(a, b, priorities),
			cmp.Compare(a.Name, b.Name),
		)
	})
	return out
}

func byPriority(a, b *object.GameServer, priorities []Priority) int {
	for _, p := range priorities {
		c := cmp.Compare(free(a, p), free(b, p))
		if p.Order == "Descending" {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

func free(gs *object.GameServer, p Priority) int64 {
	if p.Type == "List" {
		l := gs.Status.Lists[p.Key]
		return l.Capacity - int64(len(l.Values))
	}
	c := gs.Status.Counters[p.Key]
	return c.Capacity - c.Count
}

// pick returns the first server that the first possible selector matches.
func pick(ordered []*object.GameServer, selectors []Selector, taken func(*object.GameServer) bool) *object.GameServer {
	for _, sel := range selectors {
		match, err := metav1.LabelSelectorAsSelector(&sel.LabelSelector)
		if err != nil {
			continue // check refuses these
		}
		for _, gs := range ordered {
			if gs.Status.State == sel.State && sel.holds(gs) && match.Matches(labels.Set(gs.Labels)) && !taken(gs) {
				return gs
			}
		}
	}
	return nil
}

func (s *Selector) holds(gs *object.GameServer) bool {
	for name, want := range s.Counters {
		c, ok := gs.Status.Counters[name]
		if !ok || !within(c.Count, want.MinCount, want.MaxCount) ||
			!within(c.Capacity-c.Count, want.MinAvailable, want.MaxAvailable) {
			return false
		}
	}
	for name, want := range s.Lists {
		l, ok := gs.Status.Lists[name]
		if !ok || !within(l.Capacity-int64(len(l.Values)), want.MinAvailable, want.MaxAvailable) {
			return false
		}
		if want.ContainsValue != "" && !slices.Contains(l.Values, want.ContainsValue) {
			return false
		}
	}
	return true
}

func within(n, least, most int64) bool { return n >= least && (most == 0 || n <= most) }

// apply makes gs Allocated as the spec asks. What doesn't fit a counter or
// list is cut off, without an error.
func apply(gs *object.GameServer, s *Spec, now time.Time) {
	gs.Status.State = object.Allocated
	if gs.Labels == nil {
		gs.Labels = map[string]string{}
	}
	maps.Copy(gs.Labels, s.Metadata.Labels)
	if gs.Annotations == nil {
		gs.Annotations = map[string]string{}
	}
	maps.Copy(gs.Annotations, s.Metadata.Annotations)
	gs.Annotations[object.LastAllocated] = now.UTC().Format(time.RFC3339Nano)
	for name, a := range s.Counters {
		if c, ok := gs.Status.Counters[name]; ok {
			gs.Status.Counters[name] = a.on(c)
		}
	}
	for name, a := range s.Lists {
		if l, ok := gs.Status.Lists[name]; ok {
			gs.Status.Lists[name] = a.on(l)
		}
	}
}

func (a CounterAction) on(c object.Counter) object.Counter {
	if a.Capacity != nil {
		c.Capacity = *a.Capacity
	}
	if a.Amount != nil {
		switch a.Action {
		case "Increment":
			c.Count += *a.Amount
		case "Decrement":
			c.Count -= *a.Amount
		}
	}
	c.Count = max(0, min(c.Count, c.Capacity))
	return c
}

func (a ListAction) on(l object.List) object.List {
	if a.Capacity != nil {
		l.Capacity = *a.Capacity
	}
	l.Values = slices.DeleteFunc(l.Values, func(v string) bool { return slices.Contains(a.DeleteValues, v) })
	for _, v := range a.AddValues {
		if !slices.Contains(l.Values, v) {
			l.Values = append(l.Values, v)
		}
	}
	l.Values = l.Values[:min(int64(len(l.Values)), l.Capacity)]
	return l
}
