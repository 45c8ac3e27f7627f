package autoscale

import (
	"cmp"
	"math"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
	"github.com/throng-gg/throng/fleet"
)

const (
	mostServers = 100_000
	mostReady   = 1000
)

// bounds are how many servers a Fleet may be told to have.
type bounds struct{ readyLeast, readyMost, least, most int }

// bounds are what the configuration says of the Fleet.
func (f Fleet) bounds() bounds {
	return bounds{
		readyLeast: f.ReadyLeast, readyMost: cmp.Or(f.ReadyMost, mostReady),
		least: f.Least, most: cmp.Or(f.Most, mostServers),
	}
}

// shares says how many Ready servers each of the fleets should have, of so many
// in all, by weight. Where nothing is started none is wanted; when that is
// everywhere, it does not count.
func shares(wanted int, fleets []Fleet, closed map[string]bool) []int {
	sum, everywhere := 0., 0.
	for _, f := range fleets {
		everywhere += f.Weight
		if !closed[f.Cluster] {
			sum += f.Weight
		}
	}
	out := make([]int, len(fleets))
	for i, f := range fleets {
		switch {
		case f.Weight == 0:
		case sum == 0:
			out[i] = int(math.Ceil(float64(wanted) * f.Weight / everywhere))
		case !closed[f.Cluster]:
			out[i] = int(math.Ceil(float64(wanted) * f.Weight / sum))
		}
	}
	return out
}

// view is what an answer depends on.
type view struct {
	now       time.Time
	status    kind.FleetStatus // as Agones believes, seconds ago
	bounds    bounds
	allocated int  // by what Throng knows
	want      int  // Ready ones
	hold      bool // do not go down
}

// memory is what is remembered of a Fleet from one answer to the next.
type memory struct {
	target fleet.Target // of Ready servers
	begun  bool
}

// answer returns how many servers the Fleet should have.
//
// Status is late: it may not know yet what was allocated, or started. So the
// occupied ones are the larger of two numbers, and what is there only ever lets
// the target fall to what is wanted anyway: then another replica of the control
// plane, whose target fell before, said so.
func (m *memory) answer(v view) int {
	occupied := max(v.status.AllocatedReplicas, v.allocated) + v.status.ReservedReplicas
	there := max(v.status.Replicas-occupied, 0)
	m.target.Floor, m.target.Most = v.bounds.readyLeast, v.bounds.readyMost
	if !m.begun {
		m.begun = true
		m.target.Start(there)
	}
	ready := m.target.Follow(v.now, v.want, v.hold)
	if !v.hold && there < ready && there >= max(v.want, v.bounds.readyLeast) {
		m.target.Start(there)
		ready = m.target.Follow(v.now, v.want, v.hold)
	}
	total := max(min(occupied+ready, v.bounds.most), v.bounds.least)
	return max(total, occupied)
}

// fallbackOf is the Buffer that says the same as the webhook when that cannot be
// asked. It rises with every answer, and falls only when it is far too large, so
// that it is written rarely. same: the one that is there will do.
func fallbackOf(is Buffer, ready int, b bounds) (next Buffer, same bool) {
	next = is
	next.Size = max(min(ready, b.most), 1) // 0 is refused
	if next.Size < is.Size && next.Size*2 > is.Size {
		next.Size = is.Size
	}
	next.Least = max(b.least, next.Size)
	next.Most = max(is.Most, next.Least)
	return next, next == is
}

// closed says where nothing is started: where it can't be, and of those where
// that is nobody's wish.
func closed(clusters []throng.Cluster) (all, away map[string]bool) {
	all, away = map[string]bool{}, map[string]bool{}
	for _, c := range clusters {
		if c.Away != "" || c.Avoided {
			all[c.Name] = true
		}
		if c.Away != "" && !c.Avoided {
			away[c.Name] = true
		}
	}
	return all, away
}
