package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"github.com/throng-gg/throng"
)

const (
	maxConfig   = 1 << 20 // bytes of a configuration file
	maxSettings = 4096    // keys of a configuration file
)

// section is a part of the configuration file: what one command may be told.
type section struct {
	name    string
	command string // as it is called on the command line
}

// sections are in the order of the reference page.
func sections() []section {
	return []section{{"dev", "dev"}, {"control", "serve control"}, {"node", "serve node"}}
}

// env is the environment variable of a flag of the section.
func (s section) env(flag string) string {
	return "THRONG_" + strings.ToUpper(s.name+"_"+strings.ReplaceAll(flag, "-", "_"))
}

// node finds the section's command.
func (s section) node(app *kong.Application) *kong.Node {
	n := app.Node
	for name := range strings.FieldsSeq(s.command) {
		at := slices.IndexFunc(n.Children, func(c *kong.Node) bool { return c.Name == name })
		if at < 0 {
			return nil
		}
		n = n.Children[at]
	}
	return n
}

// settings are the flags of a command that a file may set, by name.
func settings(n *kong.Node) map[string]*kong.Flag {
	all := map[string]*kong.Flag{}
	for _, f := range n.Flags {
		if f.Name != "help" && f.Name != configFlag && !f.Hidden {
			all[f.Name] = f
		}
	}
	return all
}

// configFlag names the configuration file.
const configFlag = "config"

// setting is one key of a configuration file.
type setting struct {
	key   string // SECTION.KEY
	value string // as on the command line
	at    string // FILE:LINE
}

// configFile is a file whose keys are all known and whose values all parse.
type configFile struct {
	name     string
	sections map[string]map[string]setting
}

// readConfig reads and checks a file. Its error tells all faults, each with the
// file and the line, the key, the value and what is allowed.
func readConfig(name string, app *kong.Application) (*configFile, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, throng.AtField(throng.Invalid, "--"+configFlag, "%w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, throng.AtField(throng.Invalid, "--"+configFlag, "%w", err)
	}
	return parseConfig(name, data, app)
}

func parseConfig(name string, data []byte, app *kong.Application) (*configFile, error) {
	r := &configReader{file: &configFile{name: name, sections: map[string]map[string]setting{}}, app: app}
	switch {
	case len(data) > maxConfig:
		r.fail(0, "the file is larger than %d bytes", maxConfig)
	case !utf8.Valid(data):
		r.fail(0, "the file is not UTF-8 text")
	default:
		r.read(data)
	}
	return r.file, errors.Join(r.faults...)
}

// configReader collects faults instead of stopping at the first.
type configReader struct {
	file   *configFile
	app    *kong.Application
	faults []error
	count  int
}

func (r *configReader) at(line int) string {
	if line < 1 {
		return r.file.name
	}
	return fmt.Sprintf("%s:%d", r.file.name, line)
}

func (r *configReader) fail(line int, format string, args ...any) {
	r.faults = append(r.faults, throng.AtField(throng.Invalid, r.at(line), format, args...))
}

func (r *configReader) read(data []byte) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && (len(doc.Content) == 0 || doc.Content[0].Tag == "!!null") {
		return // an empty file sets nothing
	}
	if err == nil {
		if more := dec.Decode(&second); more == nil {
			r.fail(second.Line, "begins a second document, a file has one")
		} else if !errors.Is(more, io.EOF) {
			err = more
		}
	}
	if err != nil {
		line, text := 0, strings.TrimPrefix(err.Error(), "yaml: ")
		if n, scanErr := fmt.Sscanf(text, "line %d: ", &line); n == 1 && scanErr == nil {
			_, text, _ = strings.Cut(text, ": ")
		}
		r.fail(line, "%s", text)
		return
	}
	names := make([]string, 0, len(sections()))
	for _, s := range sections() {
		names = append(names, s.name)
	}
	r.pairs(doc.Content[0], "", func(key, value *yaml.Node) {
		i := slices.Index(names, key.Value)
		if i < 0 {
			r.fail(key.Line, "%s: there is no such part%s; there are %s", key.Value, nearest(key.Value, names), strings.Join(names, ", "))
			return
		}
		r.section(sections()[i], value)
	})
}

// pairs calls each for the keys of a mapping, in order. path is the mapping's
// own key, empty at the top.
func (r *configReader) pairs(n *yaml.Node, path string, each func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.fail(n.Line, "%s must be keys with values", cmp.Or(path, "the file"))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if r.count++; r.count > maxSettings {
			r.fail(key.Line, "the file has more than %d keys", maxSettings)
			return
		}
		if before, twice := seen[key.Value]; twice {
			r.fail(key.Line, "%s: is there twice, first in line %d", dotted(path, key.Value), before)
			continue
		}
		seen[key.Value] = key.Line
		if value.Alias != nil {
			value = value.Alias
		}
		each(key, value)
	}
}

func dotted(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (r *configReader) section(s section, n *yaml.Node) {
	if n.Tag == "!!null" {
		return
	}
	known := settings(s.node(r.app))
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	r.file.sections[s.name] = map[string]setting{}
	r.pairs(n, s.name, func(key, value *yaml.Node) {
		flag := known[key.Value]
		if flag == nil {
			r.fail(key.Line, "%s: there is no such key%s", dotted(s.name, key.Value), nearest(key.Value, names))
			return
		}
		text, ok := scalar(value)
		if !ok {
			r.fail(value.Line, "%s: must be a value, or a list of values", dotted(s.name, key.Value))
			return
		}
		if why := refuses(flag, text); why != "" {
			r.fail(value.Line, "%s: %q is not allowed, it must be %s", dotted(s.name, key.Value), clipText(text), why)
			return
		}
		r.file.sections[s.name][key.Value] = setting{key: dotted(s.name, key.Value), value: text, at: r.at(key.Line)}
	})
}

// scalar is a value as on the command line: a list is joined by commas.
func scalar(n *yaml.Node) (string, bool) {
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
		return n.Value, true
	case n.Kind == yaml.SequenceNode:
		var all []string
		for _, one := range n.Content {
			text, ok := scalar(one)
			if !ok || one.Kind != yaml.ScalarNode {
				return "", false
			}
			all = append(all, text)
		}
		return strings.Join(all, ","), len(all) > 0
	}
	return "", false
}

// refuses says what a flag wants when it does not take the value; empty: it
// does.
func refuses(flag *kong.Flag, text string) string {
	into := reflect.New(flag.Target.Type()).Elem()
	scan := kong.Scan().PushTyped(text, kong.FlagValueToken)
	if err := flag.Parse(scan, into); err != nil {
		return kindOf(flag)
	}
	if flag.Enum != "" && !flag.EnumMap()[text] {
		return kindOf(flag)
	}
	return ""
}

// kindOf says what values a flag takes.
func kindOf(flag *kong.Flag) string {
	switch {
	case flag.Enum != "":
		return "one of " + strings.Join(flag.EnumSlice(), ", ")
	case flag.Target.Type().String() == "time.Duration":
		return "a duration like 30s or 5m"
	case flag.IsBool():
		return "true or false"
	}
	switch flag.Target.Kind() { //nolint:exhaustive // the others are texts
	case reflect.Int, reflect.Int64, reflect.Uint, reflect.Uint64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list of texts"
	}
	return "a text"
}

// nearest is a hint at the name that was probably meant, if one is close.
func nearest(name string, names []string) string {
	best, least := "", 3
	for _, n := range names {
		if d := distance(strings.ReplaceAll(name, "_", "-"), n); d < least && d < len(n) {
			best, least = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// distance is how many letters must be put in, taken out, changed or swapped with
// their neighbour to make b of a.
func distance(a, b string) int {
	if len(a) > 100 {
		return len(a)
	}
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

func clipText(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
