package place_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/place"
)

const goodManifest = `id: arena
name: Arena des Étoiles
capacity: 50
tick_rate: 20
entry: scripts/main.lua
matchmaking:
  weights: {fill: 1.5, latency: 0}
`

func TestParseManifest(t *testing.T) {
	got, err := place.ParseManifest([]byte(goodManifest))
	want := place.Manifest{
		ID: "arena", Name: "Arena des Étoiles", Capacity: 50, TickRate: 20, Entry: "scripts/main.lua",
		Weights: throng.Weights{Fill: 1.5, Latency: 0, Friends: 15},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	want.MaxLatency = 150
	if got, err := place.ParseManifest([]byte(goodManifest + "  max_latency: 150\n")); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	got, err = place.ParseManifest([]byte("id: a\nname: A\ncapacity: 1\nentry: main.lua\n"))
	want = place.Manifest{
		ID: "a", Name: "A", Capacity: 1, TickRate: 30, Entry: "main.lua", Weights: throng.Weights{Fill: 2, Latency: 3, Friends: 15},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("defaults: got %+v, %v, want %+v", got, err, want)
	}
}

func TestParseManifestRefuses(t *testing.T) {
	line := func(n int, text string) string { // goodManifest with another line n
		lines := strings.Split(goodManifest, "\n")
		lines[n-1] = text
		return strings.Join(lines, "\n")
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":           {"", "place.yaml: is empty"},
		"only a comment":  {"# nothing\n", "place.yaml: is empty"},
		"a list":          {"- id: arena\n", "place.yaml:1: the manifest: must be keys with values, is a list"},
		"null":            {"~\n", "place.yaml:1: the manifest: must be keys with values, is empty"},
		"two documents":   {goodManifest + "---\nid: b\n", "place.yaml:8: has a second document"},
		"syntax":          {line(2, "name: [A"), "place.yaml:"},
		"tab":             {line(2, "\tname: A"), "place.yaml:2: found a tab character that violates indentation"},
		"not UTF-8":       {line(2, "name: \xff"), "place.yaml: is not UTF-8 text"},
		"control":         {line(2, "name: \x01"), "place.yaml: control characters are not allowed"},
		"unknown key":     {line(4, "tickrate: 30"), "place.yaml:4: tickrate: is not known here; known are id, name, capacity, tick_rate, max_speed, entry, game, matchmaking"},
		"unknown inside":  {line(7, "  weights: {fil: 1}"), "place.yaml:7: matchmaking.weights.fil: is not known here; known are fill, latency"},
		"max_latency 19":  {line(8, "  max_latency: 19\n"), "place.yaml:8: matchmaking.max_latency: must be 20 to 1000, is 19"},
		"max_latency far": {line(8, "  max_latency: 1001\n"), "place.yaml:8: matchmaking.max_latency: must be 20 to 1000, is 1001"},
		"max_latency ms":  {line(8, "  max_latency: 90ms\n"), `place.yaml:8: matchmaking.max_latency: must be a whole number from 20 to 1000, is "90ms"`},
		"twice":           {line(4, "capacity: 40"), "place.yaml:4: capacity: is there twice, first on line 3"},
		"missing":         {line(3, ""), "place.yaml:1: capacity: is missing"},
		"id":              {line(1, "id: Arena"), `place.yaml:1: id: "Arena" must start with a lower-case letter`},
		"id is a number":  {line(1, "id: 7"), `place.yaml:1: id: must be text, is "7"`},
		"name empty":      {line(2, `name: ""`), "place.yaml:2: name: must have 1 to 60 characters, has 0"},
		"name long":       {line(2, "name: "+strings.Repeat("é", 61)), "place.yaml:2: name: must have 1 to 60 characters, has 61"},
		"name invisible":  {line(2, `name: "A\u200bB"`), `place.yaml:2: name: "A\u200bB" has a character that can't be printed`},
		"name padded":     {line(2, `name: " A"`), "place.yaml:2: name: must not start or end with a space"},
		"capacity text":   {line(3, "capacity: lots"), `place.yaml:3: capacity: must be a whole number from 1 to 200, is "lots"`},
		"capacity 0":      {line(3, "capacity: 0"), "place.yaml:3: capacity: must be 1 to 200, is 0"},
		"capacity 201":    {line(3, "capacity: 201"), "place.yaml:3: capacity: must be 1 to 200, is 201"},
		"capacity float":  {line(3, "capacity: 1.5"), `place.yaml:3: capacity: must be a whole number from 1 to 200, is "1.5"`},
		"capacity huge":   {line(3, "capacity: 99999999999999999999"), "place.yaml:3: capacity: must be a whole number from 1 to 200"},
		"tick_rate 4":     {line(4, "tick_rate: 4"), "place.yaml:4: tick_rate: must be 5 to 60, is 4"},
		"tick_rate null":  {line(4, "tick_rate:"), "place.yaml:4: tick_rate: must be a whole number from 5 to 60, is empty"},
		"entry out":       {line(5, "entry: ../main.lua"), `place.yaml:5: entry: "../main.lua" leads out of the place's folder`},
		"entry no script": {line(5, "entry: main.txt"), `place.yaml:5: entry: "main.txt" must end in .lua`},
		"weight 101":      {line(7, "  weights: {fill: 101}"), "place.yaml:7: matchmaking.weights.fill: must be 0 to 100, is 101"},
		"weight negative": {line(7, "  weights: {fill: -1}"), "place.yaml:7: matchmaking.weights.fill: must be 0 to 100, is -1"},
		"weight nan":      {line(7, "  weights: {fill: .nan}"), "place.yaml:7: matchmaking.weights.fill: must be 0 to 100, is .nan"},
		"weight friends":  {line(7, "  weights: {friends: 200}"), "place.yaml:7: matchmaking.weights.friends: must be 0 to 100, is 200"},
		"weight text":     {line(7, "  weights: {fill: much}"), `place.yaml:7: matchmaking.weights.fill: must be a number from 0 to 100, is "much"`},
		"alias":           {line(2, "name: &n A") + "\nextra: *n\n", "place.yaml:9: extra: is not known here"},
		"alias as value":  {strings.Replace(line(2, "name: &n A"), "{fill: 1.5, latency: 0}", "*n", 1), "place.yaml:7: matchmaking.weights: must be keys with values, is an alias"},
		"large":           {goodManifest + "#" + strings.Repeat("x", 64<<10), "place.yaml: has "},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := place.ParseManifest([]byte(c.text))
			if err == nil {
				t.Fatalf("got %+v, want the error %q", m, c.want)
			}
			if !strings.HasPrefix(err.Error(), c.want) || throng.KindOf(err) != throng.Invalid {
				t.Errorf("got %v %q, want invalid %q", throng.KindOf(err), err, c.want)
			}
		})
	}
}

func TestParseManifestSignals(t *testing.T) {
	with := func(lines string) []byte {
		return []byte(strings.Replace(goodManifest, "matchmaking:\n", "matchmaking:\n  signals:\n"+lines, 1))
	}
	got, err := place.ParseManifest(with("    skill: {type: number, range: 400, weight: 5}\n    language: {type: category, weight: 3}\n"))
	want := []throng.Signal{
		{Name: "language", Kind: throng.SignalCategory, Weight: 3}, {Name: "skill", Kind: throng.SignalNumber, Range: 400, Weight: 5},
	}
	if err != nil || !reflect.DeepEqual(got.Signals, want) {
		t.Errorf("got %+v, %v, want %+v", got.Signals, err, want)
	}
	nine := ""
	for i := range 9 {
		nine += fmt.Sprintf("    s%d: {type: category, weight: 1}\n", i)
	}
	for name, c := range map[string]struct{ lines, want string }{
		"a list":       {"    - skill\n", "place.yaml:8: matchmaking.signals: must be names with what they are, is a list"},
		"nine":         {nine, "place.yaml:8: matchmaking.signals: are 9, at most 8 are allowed"},
		"name":         {"    Skill: {type: category, weight: 1}\n", `place.yaml:8: matchmaking.signals.Skill: "Skill" is not like skill_level`},
		"long name":    {"    " + strings.Repeat("a", 25) + ": {type: category, weight: 1}\n", "place.yaml:8: matchmaking.signals." + strings.Repeat("a", 25) + ": must have 1 to 24 characters, has 25"},
		"type":         {"    skill: {type: text, weight: 1}\n", `place.yaml:8: matchmaking.signals.skill.type: must be number or category, is "text"`},
		"no type":      {"    skill: {weight: 1}\n", "place.yaml:8: matchmaking.signals.skill.type: is missing"},
		"no weight":    {"    skill: {type: category}\n", "place.yaml:8: matchmaking.signals.skill.weight: is missing"},
		"weight":       {"    skill: {type: category, weight: 101}\n", "place.yaml:8: matchmaking.signals.skill.weight: must be 0 to 100, is 101"},
		"no range":     {"    skill: {type: number, weight: 1}\n", "place.yaml:8: matchmaking.signals.skill.range: is missing; numbers need one"},
		"range 0":      {"    skill: {type: number, weight: 1, range: 0}\n", "place.yaml:8: matchmaking.signals.skill.range: must be a number over 0"},
		"range nan":    {"    skill: {type: number, weight: 1, range: .nan}\n", "place.yaml:8: matchmaking.signals.skill.range: must be a number over 0"},
		"range inf":    {"    skill: {type: number, weight: 1, range: .inf}\n", "place.yaml:8: matchmaking.signals.skill.range: must be a number over 0"},
		"stray range":  {"    skill: {type: category, weight: 1, range: 2}\n", "place.yaml:8: matchmaking.signals.skill.range: goes with type number only"},
		"unknown":      {"    skill: {type: category, weight: 1, wait: 2}\n", "place.yaml:8: matchmaking.signals.skill.wait: is not known here"},
		"twice":        {"    a: {type: category, weight: 1}\n    a: {type: category, weight: 1}\n", "place.yaml:9: matchmaking.signals.a: is there twice, first on line 8"},
		"not a signal": {"    skill: 5\n", `place.yaml:8: matchmaking.signals.skill: must be keys with values, is "5"`},
	} {
		// The manifest has its weights on line 7, so signals begin on line 7 and 8.
		if _, err := place.ParseManifest(with(c.lines)); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func TestParseManifestTellsAllProblems(t *testing.T) {
	_, err := place.ParseManifest([]byte("name: 5\ncapacity: 0\nentry: main.lua\ncolour: red\n"))
	want := `place.yaml:1: name: must be text, is "5"
place.yaml:2: capacity: must be 1 to 200, is 0
place.yaml:4: colour: is not known here; known are id, name, capacity, tick_rate, max_speed, entry, game, matchmaking
place.yaml:1: id: is missing`
	if err == nil || err.Error() != want {
		t.Fatalf("got %v\nwant %v", err, want)
	}
	first, ok := errors.AsType[*throng.Error](err)
	if !ok || first.Field != "place.yaml:1" || first.Kind != throng.Invalid {
		t.Errorf("first problem: got %+v", first)
	}
	_, err = place.ParseManifest([]byte(strings.Repeat("x: 1\n", 500)))
	if got := strings.Count(err.Error(), "\n") + 1; got != 20 {
		t.Errorf("500 unknown keys: got %d problems, want 20", got)
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(goodManifest))
	f.Add([]byte("id: &a [*a]\n"))
	f.Add([]byte("? {a: b}\n: c\n<<: {id: x}\n"))
	f.Add([]byte("name: !!binary aGk=\ncapacity: 0x10\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := place.ParseManifest(data)
		if err != nil {
			first, ok := errors.AsType[*throng.Error](err)
			if !ok || first.Kind != throng.Invalid || !strings.HasPrefix(first.Field, "place.yaml") {
				t.Errorf("got %#v, want an invalid with a field of place.yaml", err)
			}
			return
		}
		if m.Capacity < 1 || m.Capacity > 200 || m.TickRate < 5 || m.TickRate > 60 || m.Entry == "" || m.Name == "" || m.ID == "" ||
			!(m.Weights.Fill >= 0 && m.Weights.Fill <= 100 && m.Weights.Latency >= 0 && m.Weights.Latency <= 100) {
			t.Errorf("accepted %+v", m)
		}
	})
}
