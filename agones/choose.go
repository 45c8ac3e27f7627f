package agones

import (
	"cmp"
	"slices"
)

// choice is a cluster that may be asked for a server.
type choice struct {
	name    string
	weight  int  // 0: it gets no new servers
	servers int  // that it has, or is being asked for
	away    bool // it is not reached
	limps   bool // it refused a moment ago
	dry     bool // it had none ready a moment ago
	avoided bool // an operator drains it
}

// choose returns which clusters to ask, in this order: the one that has fewest
// servers for its weight first, those that had none or refused last. Ties are
// broken by name, so that all replicas do the same.
func choose(all []choice) []string {
	all = slices.DeleteFunc(slices.Clone(all), func(c choice) bool { return c.weight <= 0 || c.away || c.avoided })
	slices.SortFunc(all, func(a, b choice) int {
		return cmp.Or(
			cmp.Compare(worse(a), worse(b)),
			// servers/weight, without division
			cmp.Compare(a.servers*b.weight, b.servers*a.weight),
			cmp.Compare(b.weight, a.weight),
			cmp.Compare(a.name, b.name),
		)
	})
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = c.name
	}
	return names
}

func worse(c choice) int {
	switch {
	case c.limps:
		return 2
	case c.dry:
		return 1
	}
	return 0
}
