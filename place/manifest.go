package place

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/throng-gg/throng"
)

// ManifestFile is where a place's manifest stands among its files.
const ManifestFile = "place.yaml"

const (
	maxManifest = 64 << 10 // bytes
	maxProblems = 20       // reported at once
)

// Manifest is what place.yaml says.
type Manifest struct {
	ID       throng.PlaceID
	Name     string // for people, 1 to 60 characters
	Capacity int    // seats a session, 1 to 200
	TickRate int    // Hz, 5 to 60, default 30
	MaxSpeed int    // units a second that players move at most, 1 to 100000; 0: it is not said
	Entry    string // the path of the script that runs first
	// Game is another place, whose profiles and ledger this one shares; empty: it
	// has its own.
	Game    throng.GameID
	Weights throng.Weights
	// MaxLatency is how far a region may be to compete with nearer ones, ms of round
	// trip; 0: it is not said.
	MaxLatency int
	Signals    []throng.Signal // the place's own, by name
}

// ParseManifest reads place.yaml. Its error tells all faults at once, up to 20,
// each an Invalid whose Field is "place.yaml:LINE" and whose text starts with
// the key; the first one's Field and kind are the whole error's.
func ParseManifest(data []byte) (Manifest, error) {
	if len(data) > maxManifest {
		return Manifest{}, throng.AtField(throng.Invalid, ManifestFile, "has %d bytes, at most %d are allowed", len(data), maxManifest)
	}
	if !utf8.Valid(data) {
		return Manifest{}, throng.AtField(throng.Invalid, ManifestFile, "is not UTF-8 text")
	}
	root, err := oneDocument(data)
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{TickRate: 30, Weights: throng.Weights{Fill: 2, Latency: 3, Friends: 15}}
	var r manifestReader
	r.mapping(root, "", []field{
		{"id", true, func(key string, n *yaml.Node) { m.ID = r.placeID(key, n) }},
		{"name", true, func(key string, n *yaml.Node) { m.Name = r.name(key, n) }},
		{"capacity", true, func(key string, n *yaml.Node) { m.Capacity = r.whole(key, n, [2]int{1, 200}) }},
		{"tick_rate", false, func(key string, n *yaml.Node) { m.TickRate = r.whole(key, n, [2]int{5, 60}) }},
		{"max_speed", false, func(key string, n *yaml.Node) { m.MaxSpeed = r.whole(key, n, [2]int{1, 100_000}) }},
		{"entry", true, func(key string, n *yaml.Node) { m.Entry = r.entry(key, n) }},
		{"game", false, func(key string, n *yaml.Node) { m.Game = throng.GameID(r.placeID(key, n)) }},
		{"matchmaking", false, func(key string, n *yaml.Node) { r.matchmaking(key, n, &m) }},
	})
	if len(r.problems) > 0 {
		return Manifest{}, errors.Join(r.problems...)
	}
	if m.Game == throng.GameID(m.ID) {
		m.Game = ""
	}
	return m, nil
}

// oneDocument parses the text as one YAML mapping.
func oneDocument(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		return nil, throng.AtField(throng.Invalid, ManifestFile, "is empty")
	}
	if err != nil {
		return nil, syntaxError(err)
	}
	if err := dec.Decode(&second); err == nil {
		return nil, throng.AtField(throng.Invalid, fieldAt(second.Line), "has a second document")
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxError(err)
	}
	return doc.Content[0], nil
}

// syntaxError takes the line out of the parser's "yaml: line 3: ...".
func syntaxError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, why, ok := strings.Cut(rest, ": "); ok {
			return throng.AtField(throng.Invalid, ManifestFile+":"+number, "%s", why)
		}
	}
	return throng.AtField(throng.Invalid, ManifestFile, "%s", text)
}

func fieldAt(line int) string { return ManifestFile + ":" + strconv.Itoa(max(line, 1)) }

// field is one key that a mapping may have.
type field struct {
	key    string
	needed bool
	read   func(key string, n *yaml.Node)
}

// manifestReader collects problems instead of stopping at the first.
type manifestReader struct {
	problems []error
}

func (r *manifestReader) fail(n *yaml.Node, format string, args ...any) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, throng.AtField(throng.Invalid, fieldAt(n.Line), format, args...))
	}
}

// mapping reads the fields of a mapping. path is its own key, empty at the top.
func (r *manifestReader) mapping(n *yaml.Node, path string, fields []field) {
	if n.Kind != yaml.MappingNode {
		r.fail(n, "%s: must be keys with values, is %s", orTop(path), describe(n))
		return
	}
	seen := make(map[string]int, len(fields))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		full := join(path, clip(key.Value))
		if key.Kind != yaml.ScalarNode {
			r.fail(key, "%s: has a key that is %s", orTop(path), describe(key))
			continue
		}
		f := find(fields, key.Value)
		if f == nil {
			r.fail(key, "%s: is not known here; known are %s", full, names(fields))
			continue
		}
		if line, twice := seen[f.key]; twice {
			r.fail(key, "%s: is there twice, first on line %d", full, line)
			continue
		}
		seen[f.key] = key.Line
		f.read(full, value)
	}
	for _, f := range fields {
		if _, ok := seen[f.key]; f.needed && !ok {
			r.fail(n, "%s: is missing", join(path, f.key))
		}
	}
}

func find(fields []field, key string) *field {
	for i := range fields {
		if fields[i].key == key {
			return &fields[i]
		}
	}
	return nil
}

func names(fields []field) string {
	list := make([]string, len(fields))
	for i, f := range fields {
		list[i] = f.key
	}
	return strings.Join(list, ", ")
}

func (r *manifestReader) matchmaking(key string, n *yaml.Node, m *Manifest) {
	w := &m.Weights
	r.mapping(n, key, []field{
		{"weights", false, func(key string, n *yaml.Node) {
			r.mapping(n, key, []field{
				{"fill", false, func(key string, n *yaml.Node) { w.Fill = r.weight(key, n) }},
				{"latency", false, func(key string, n *yaml.Node) { w.Latency = r.weight(key, n) }},
				{"friends", false, func(key string, n *yaml.Node) { w.Friends = r.weight(key, n) }},
			})
		}},
		{"max_latency", false, func(key string, n *yaml.Node) {
			m.MaxLatency = r.whole(key, n, [2]int{throng.MinMaxLatency, throng.MaxMaxLatency})
		}},
		{"signals", false, func(key string, n *yaml.Node) { m.Signals = r.signals(key, n) }},
	})
}

func (r *manifestReader) text(key string, n *yaml.Node) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		r.fail(n, "%s: must be text, is %s", key, describe(n))
		return "", false
	}
	return n.Value, true
}

func (r *manifestReader) placeID(key string, n *yaml.Node) throng.PlaceID {
	s, ok := r.text(key, n)
	if !ok {
		return ""
	}
	id, err := throng.ParsePlaceID(key, s)
	if err != nil {
		r.fail(n, "%w", err)
	}
	return id
}

func (r *manifestReader) name(key string, n *yaml.Node) string {
	s, ok := r.text(key, n)
	if !ok {
		return ""
	}
	switch count := utf8.RuneCountInString(s); {
	case count == 0 || count > 60:
		r.fail(n, "%s: must have 1 to 60 characters, has %d", key, count)
	case strings.TrimSpace(s) != s:
		r.fail(n, "%s: must not start or end with a space", key)
	case strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }):
		r.fail(n, "%s: %q has a character that can't be printed", key, s)
	}
	return s
}

func (r *manifestReader) entry(key string, n *yaml.Node) string {
	s, ok := r.text(key, n)
	if !ok {
		return ""
	}
	if err := checkPath(s); err != nil {
		r.fail(n, "%s: %w", key, err)
	} else if !strings.HasSuffix(s, ".lua") {
		r.fail(n, "%s: %q must end in .lua", key, s)
	}
	return s
}

func (r *manifestReader) whole(key string, n *yaml.Node, within [2]int) int {
	var v int
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || n.Decode(&v) != nil {
		r.fail(n, "%s: must be a whole number from %d to %d, is %s", key, within[0], within[1], describe(n))
		return 0
	}
	if v < within[0] || v > within[1] {
		r.fail(n, "%s: must be %d to %d, is %d", key, within[0], within[1], v)
	}
	return v
}

func (r *manifestReader) weight(key string, n *yaml.Node) float64 {
	var v float64
	tag := n.ShortTag()
	if n.Kind != yaml.ScalarNode || tag != "!!int" && tag != "!!float" || n.Decode(&v) != nil {
		r.fail(n, "%s: must be a number from 0 to 100, is %s", key, describe(n))
		return 0
	}
	if math.IsNaN(v) || v < 0 || v > 100 {
		r.fail(n, "%s: must be 0 to 100, is %s", key, clip(n.Value))
	}
	return v
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys with values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias, which is not allowed"
	case yaml.ScalarNode:
		if n.ShortTag() == "!!null" {
			return "empty"
		}
		return fmt.Sprintf("%q", clip(n.Value))
	case yaml.DocumentNode:
	}
	return "something else"
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func orTop(path string) string {
	if path == "" {
		return "the manifest"
	}
	return path
}

// clip bounds what of an input goes into an error's text.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
