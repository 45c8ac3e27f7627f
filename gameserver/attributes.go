package gameserver

import (
	"cmp"
	"maps"
	"slices"

	"github.com/throng-gg/throng"
)

// attributes is what the session says of its place's signals: what the script
// set, and of the other signals what its players brought. Owned by the loop.
type attributes struct {
	signals []throng.Signal
	given   map[string]throng.Attribute // by the script
	stale   bool                        // players or given changed
	text    throng.SessionAttributes
}

// set takes the script's word on one signal; nil: it has none any more.
func (a *attributes) set(name string, v *throng.Attribute) {
	a.stale = true
	if v == nil {
		delete(a.given, name)
		return
	}
	if a.given == nil {
		a.given = map[string]throng.Attribute{}
	}
	a.given[name] = *v
}

// of says it for the players in the session.
func (a *attributes) of(seats map[throng.PlayerID]*seat) throng.SessionAttributes {
	if !a.stale || len(a.signals) == 0 {
		return a.text
	}
	a.stale = false
	brought := make([][]throng.Attribute, 0, len(seats))
	for _, id := range slices.Sorted(maps.Keys(seats)) {
		brought = append(brought, seats[id].brought)
	}
	a.text = sessionAttributes(a.signals, a.given, brought)
	return a.text
}

// sessionAttributes is, for each signal, what is given, or the mean or the
// counts of what the players brought; nothing when nobody did.
func sessionAttributes(
	signals []throng.Signal, given map[string]throng.Attribute, brought [][]throng.Attribute,
) throng.SessionAttributes {
	var list []throng.SessionAttribute
	for _, s := range signals[:min(len(signals), throng.MaxSignals)] {
		if a, ok := given[s.Name]; ok {
			list = append(list, throng.SessionAttribute{Attribute: a})
			continue
		}
		var sum float64
		counts, known := map[string]int{}, 0
		for _, player := range brought {
			i := slices.IndexFunc(player, func(a throng.Attribute) bool { return a.Name == s.Name && a.Kind() == s.Kind })
			if i < 0 {
				counts[""]++
				continue
			}
			known++
			sum += player[i].Number
			counts[player[i].Category]++
		}
		switch {
		case known == 0:
		case s.Kind == throng.SignalNumber:
			mean := float64(float32(sum / float64(known))) // so that it does not take more digits than it is worth
			list = append(list, throng.SessionAttribute{Attribute: throng.Attribute{Name: s.Name, Number: mean}})
		default:
			list = append(list, throng.SessionAttribute{Attribute: throng.Attribute{Name: s.Name}, Counts: mostFrequent(counts)})
		}
	}
	return throng.MakeSessionAttributes(list)
}

// mostFrequent keeps the categories that most players are in, and counts the
// others as unknown.
func mostFrequent(counts map[string]int) map[string]int {
	unknown := counts[""]
	delete(counts, "")
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for _, name := range names[min(len(names), throng.MaxCategories):] {
		unknown += counts[name]
		delete(counts, name)
	}
	if unknown > 0 {
		counts[""] = unknown
	}
	return counts
}
