package place

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/throng-gg/throng"
)

// maxRange is the largest range of a number.
const maxRange = 1e15

// signals reads the place's own signals, by name.
func (r *manifestReader) signals(key string, n *yaml.Node) []throng.Signal {
	if n.Kind != yaml.MappingNode {
		r.fail(n, "%s: must be names with what they are, is %s", key, describe(n))
		return nil
	}
	if count := len(n.Content) / 2; count > throng.MaxSignals {
		r.fail(n, "%s: are %d, at most %d are allowed", key, count, throng.MaxSignals)
		return nil
	}
	seen := make(map[string]int)
	var list []throng.Signal
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		full := join(key, clip(name.Value))
		if line, twice := seen[name.Value]; twice {
			r.fail(name, "%s: is there twice, first on line %d", full, line)
			continue
		}
		seen[name.Value] = name.Line
		if _, err := throng.ParseSignalName(full, name.Value); err != nil {
			r.fail(name, "%w", err)
			continue
		}
		list = append(list, r.signal(full, value, name.Value))
	}
	slices.SortFunc(list, func(a, b throng.Signal) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func (r *manifestReader) signal(key string, n *yaml.Node, name string) throng.Signal {
	s := throng.Signal{Name: name}
	var ranged *yaml.Node
	r.mapping(n, key, []field{
		{"type", true, func(key string, n *yaml.Node) { s.Kind = r.signalKind(key, n) }},
		{"range", false, func(key string, n *yaml.Node) { s.Range, ranged = r.signalRange(key, n), n }},
		{"weight", true, func(key string, n *yaml.Node) { s.Weight = r.weight(key, n) }},
	})
	switch {
	case s.Kind == throng.SignalNumber && ranged == nil:
		r.fail(n, "%s.range: is missing; numbers need one", key)
	case s.Kind == throng.SignalCategory && ranged != nil:
		r.fail(ranged, "%s.range: goes with type number only", key)
	}
	return s
}

func (r *manifestReader) signalKind(key string, n *yaml.Node) throng.SignalKind {
	s, ok := r.text(key, n)
	if !ok {
		return 0
	}
	for _, k := range []throng.SignalKind{throng.SignalNumber, throng.SignalCategory} {
		if s == k.String() {
			return k
		}
	}
	r.fail(n, "%s: must be number or category, is %q", key, clip(s))
	return 0
}

func (r *manifestReader) signalRange(key string, n *yaml.Node) float64 {
	var v float64
	tag := n.ShortTag()
	want := fmt.Sprintf("must be a number over 0, at most %g", float64(maxRange))
	if n.Kind != yaml.ScalarNode || tag != "!!int" && tag != "!!float" || n.Decode(&v) != nil {
		r.fail(n, "%s: %s, is %s", key, want, describe(n))
		return 0
	}
	if math.IsNaN(v) || v <= 0 || v > maxRange {
		r.fail(n, "%s: %s, is %s", key, want, clip(n.Value))
	}
	return v
}
