package anticheat

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/throng-gg/throng"
)

//go:embed rules.yaml
var defaultRules []byte

// Kind is what a rule measures.
type Kind string

// The kinds of rules.
const (
	KindSpeed    Kind = "speed"    // way over what the place's max_speed allows
	KindTeleport Kind = "teleport" // steps that no speed explains
	KindGain     Kind = "gain"     // rewards of an item over the most that one can have
	KindInputs   Kind = "inputs"   // presses a second
	KindDevice   Kind = "device"   // sequences that several accounts of a device pressed
)

// Bounds of rules.
const (
	mostRules  = 32
	mostWindow = 15 * time.Minute
	mostBan    = 10 * 365 * 24 * time.Hour
)

// Rule is one.
type Rule struct {
	Name     string        `yaml:"name"`
	Kind     Kind          `yaml:"kind"`
	Limit    float64       `yaml:"limit"`    // a score is what was measured over it
	Window   time.Duration `yaml:"window"`   // of the events' time
	Least    time.Duration `yaml:"least"`    // that has to be measured within the window
	Slack    time.Duration `yaml:"slack"`    // of teleport: movement that a slow network explains
	Accounts int           `yaml:"accounts"` // of device: how many have to press the same
	Ban      time.Duration `yaml:"ban"`
	Report   bool          `yaml:"report"` // nobody is banned by it
}

// DefaultRules are those that come with Throng.
func DefaultRules() []Rule {
	rules, err := ParseRules("rules.yaml", defaultRules)
	if err != nil {
		panic(err) // it is tested
	}
	return rules
}

// ParseRules reads a file of rules. Its error names the rule.
func ParseRules(file string, data []byte) ([]Rule, error) {
	var all struct {
		Rules []Rule `yaml:"rules"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&all); err != nil {
		return nil, throng.AtField(throng.Invalid, file, "cannot be read: %w", err)
	}
	if len(all.Rules) > mostRules {
		return nil, throng.AtField(throng.Invalid, file, "has %d rules, at most %d are allowed", len(all.Rules), mostRules)
	}
	seen := map[string]bool{}
	for i, r := range all.Rules {
		at := fmt.Sprintf("%s: rules[%d] (%.40s)", file, i, r.Name)
		switch {
		case r.Name == "" || seen[r.Name] || len(r.Name) > 40 || strings.ContainsAny(r.Name, "/ \n"):
			return nil, throng.AtField(throng.Invalid, at, "needs a name of its own, up to 40 bytes without spaces")
		case !(r.Limit > 0):
			return nil, throng.AtField(throng.Invalid, at, "limit %g is not over 0", r.Limit)
		case r.Window < time.Second || r.Window > mostWindow:
			return nil, throng.AtField(throng.Invalid, at, "window %s is not within 1s and %s", r.Window, mostWindow)
		case r.Least < 0 || r.Least > r.Window || r.Slack < 0 || r.Slack > r.Window:
			return nil, throng.AtField(throng.Invalid, at, "least and slack are within 0 and the window")
		case r.Ban < time.Minute || r.Ban > mostBan:
			return nil, throng.AtField(throng.Invalid, at, "ban %s is not within 1m and %s", r.Ban, mostBan)
		case r.Kind == KindDevice && r.Accounts < 2:
			return nil, throng.AtField(throng.Invalid, at, "accounts: at least 2 can press the same")
		}
		switch r.Kind {
		case KindSpeed, KindTeleport, KindGain, KindInputs, KindDevice:
		default:
			return nil, throng.AtField(throng.Invalid, at, "kind %.20q is not speed, teleport, gain, inputs or device", r.Kind)
		}
		seen[r.Name] = true
	}
	return all.Rules, nil
}
