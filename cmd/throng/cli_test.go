package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/throng-gg/throng/bot"
)

func TestHelpNamesEveryCommand(t *testing.T) {
	status, out := throngCommand(t, "--help")
	if status != 0 {
		t.Errorf("--help: exit status %d, want 0", status)
	}
	for _, word := range []string{"dev", "serve control", "serve node", "edge gateway", "edge beacon", "edge dns", "new", "publish", "logs", "places", "sessions", "owners", "keys create", "bots", "token", "secret rotate"} {
		if !strings.Contains(out, word) {
			t.Errorf("--help does not name %q:\n%s", word, out)
		}
	}
}

// TestBadStartsAreOneLine: what is wrong with how it was started is said in one
// line that names it, and the exit status is not 0.
func TestBadStartsAreOneLine(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	strange := filepath.Join(t.TempDir(), "issuers.yaml")
	if err := os.WriteFile(strange, []byte("- issuer: x\n  colour: red\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	regions := filepath.Join(t.TempDir(), "regions.json")
	if err := os.WriteFile(regions, []byte(`{"regions": [{"id": "eu", "addresses": ["203.0.113.1"]}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	fresh := func() string { return filepath.Join(t.TempDir(), "data") }
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"port taken", []string{"dev", "--addr", strings.TrimPrefix(r.url, "http://"), "--data", fresh()}, []string{"--addr", "address already in use"}},
		{"data folder in use", []string{"dev", "--addr", "127.0.0.1:0", "--data", r.data}, []string{r.data, "in use", "pid"}},
		{"data folder cannot be made", []string{"dev", "--addr", "127.0.0.1:0", "--data", filepath.Join(file, "data")}, []string{file}},
		{"more warm servers than servers", []string{"dev", "--addr", "127.0.0.1:0", "--data", fresh(), "--warm", "9", "--max", "3"}, []string{"--warm"}},
		{"bad region", []string{"dev", "--addr", "127.0.0.1:0", "--data", fresh(), "--region", "No Where"}, []string{"--region"}},
		{"beacon without a port", []string{"dev", "--addr", "127.0.0.1:0", "--data", fresh(), "--beacon", "udp://127.0.0.1"}, []string{"--beacon", "port"}},
		{"too many beacons", append([]string{"dev", "--addr", "127.0.0.1:0", "--data", fresh()}, strings.Fields(strings.Repeat("--beacon udp://h:1 ", 9))...), []string{"--beacon", "at most 8"}},
		{"bad number of a region", []string{"dev", "--addr", "127.0.0.1:0", "--data", fresh(), "--region-number", "256"}, []string{"--region-number"}},
		{"less than no events of a place", []string{"dev", "--addr", "127.0.0.1:0", "--data", fresh(), "--place-events", "-1"}, []string{"--place-events"}},
		{"other regions without credentials", []string{"serve", "control", "--addr", "127.0.0.1:0", "--data", fresh(), "--peers", "us=https://us.example"}, []string{"--peer-tokens"}},
		{"no region", []string{"dev", "--addr", "127.0.0.1:0", "--data", fresh(), "--regions", "0"}, []string{"--regions"}},
		{"too many regions", []string{"dev", "--addr", "127.0.0.1:0", "--data", fresh(), "--regions", "7"}, []string{"--regions"}},
		{"regions that share a Redis", []string{"dev", "--addr", "127.0.0.1:0", "--data", fresh(), "--regions", "2", "--redis", "redis://127.0.0.1"}, []string{"--redis", "share nothing"}},
		{"regions at a port that is taken", []string{"dev", "--addr", strings.TrimPrefix(r.url, "http://"), "--data", fresh(), "--regions", "2"}, []string{"--addr", "region eu", "in use"}},
		{"players' URL without a scheme", []string{"dev", "--addr", "127.0.0.1:0", "--data", fresh(), "--url", "eu.example"}, []string{"--url"}},
		{"unknown place", []string{"bots", "--place", "nowhere", "--addr", r.url}, []string{"--place", "nowhere"}},
		{"bad place name", []string{"bots", "--place", "No", "--addr", r.url}, []string{"--place"}},
		{"no players", []string{"bots", "--place", "arena", "--players", "0", "--addr", r.url}, []string{"--players"}},
		{"nobody listens", []string{"places", "--addr", "http://127.0.0.1:1"}, []string{"127.0.0.1:1"}},
		{"no URL", []string{"sessions", "--addr", "ftp://x"}, []string{"--addr"}},
		{"node without a credential", []string{"serve", "node", "--addr", r.url, "--data", fresh()}, []string{"--token-file"}},
		{"node with a bad credential", []string{"serve", "node", "--addr", r.url, "--token", "x", "--data", fresh()}, []string{"--token-file"}},
		{"issuer without keys", []string{"dev", "--addr", "127.0.0.1:0", "--data", fresh(), "--issuer", "x", "--issuer-audience", "game"}, []string{"issuers[0]", "jwks"}},
		{"issuer over plain HTTP", []string{"dev", "--addr", "127.0.0.1:0", "--data", fresh(), "--issuer", "x", "--issuer-audience", "game", "--issuer-jwks", "http://192.0.2.1/keys"}, []string{"jwks", "https"}},
		{"issuers in no file", []string{"dev", "--addr", "127.0.0.1:0", "--data", fresh(), "--issuers", "/nowhere.yaml"}, []string{"--issuers"}},
		{"issuers with an unknown field", []string{"dev", "--addr", "127.0.0.1:0", "--data", fresh(), "--issuers", strange}, []string{"--issuers", "colour"}},
		{"certificate without a key", []string{"dev", "--addr", "127.0.0.1:0", "--data", fresh(), "--tls-cert", file}, []string{"--tls-cert", "--tls-key"}},
		{"certificate that is none", []string{"dev", "--addr", "127.0.0.1:0", "--data", fresh(), "--tls-cert", file, "--tls-key", file}, []string{"--tls-cert"}},
		{"client CA that is none", []string{"places", "--addr", r.url, "--ca", file}, []string{"--ca", "PEM"}},
		{"DNS without a table", []string{"edge", "dns", "--name", "play.example.com", "--ns", "ns1.example.net", "--table", file}, []string{"--table", "JSON"}},
		{"DNS servers below the name", []string{"edge", "dns", "--name", "a.example", "--ns", "ns.a.example", "--table", regions}, []string{"ns", "below"}},
		{"retire in no region", []string{"secret", "retire", "1", "--data", fresh()}, []string{"--data"}},
		{"retire the only secret", []string{"secret", "retire", "1", "--force", "--data", r.data}, []string{"secret 1"}},
		{"token without a region", []string{"token", "operator", "--data", fresh()}, []string{"--data"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, out := throngCommand(t, c.args...)
			if status == 0 {
				t.Errorf("exit status 0, want another")
			}
			var lines []string
			for line := range strings.Lines(out) {
				if strings.HasPrefix(line, "throng: ") {
					lines = append(lines, line)
				}
			}
			if len(lines) != 1 {
				t.Fatalf("got %d lines of complaint, want 1:\n%s", len(lines), out)
			}
			for _, want := range c.want {
				if !strings.Contains(lines[0], want) {
					t.Errorf("%q does not name %q", lines[0], want)
				}
			}
		})
	}
}

func TestPublishNamesFileAndLine(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	const good = "id: mine\nname: Mine\ncapacity: 4\nentry: scripts/main.lua\n"
	for _, c := range []struct{ name, manifest, script, want string }{
		{"capacity out of range", strings.Replace(good, "4", "201", 1), "", "place.yaml:3"},
		{"unknown key", good + "colour: red\n", "", "place.yaml:5"},
		{"script that does not compile", good, "local x =\nfunction oops(", "scripts/main.lua:2"},
		{"no entry", strings.Replace(good, "main", "other", 1), "", "scripts/other.lua"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o755); err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{"place.yaml": c.manifest, "scripts/main.lua": c.script} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			status, out := throngCommand(t, "publish", dir, "--addr", r.url)
			if status == 0 || !strings.Contains(out, c.want) {
				t.Errorf("exit status %d, said %q; want a refusal that names %s", status, out, c.want)
			}
			if _, listed := throngCommand(t, "places", "--addr", r.url); strings.Contains(listed, "mine") {
				t.Errorf("what was refused is listed:\n%s", listed)
			}
		})
	}
}

// TestPublishedIsPlayedAtOnceAndRunningSessionsKeepTheirs is promise 10 on one
// machine.
func TestPublishedIsPlayedAtOnceAndRunningSessionsKeepTheirs(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	r.publish("mine", "2", `print("one")`)
	play := func(name string) {
		t.Helper()
		if got := r.bots(t.Context(), bot.Config{Place: "mine", Name: name, Players: 1, For: 500_000_000}); !got.OK() {
			t.Errorf("%s: joined %d failed %d mismatched %d, want 1, 0, 0", name, got.Joined, got.Failed, got.Mismatched)
		}
	}
	play("first")
	r.publish("mine", "2", `print("two")`)
	play("second")
	versions := map[int]string{}
	for _, s := range r.sessions("mine") {
		versions[s.Version] = s.State
	}
	if len(versions) != 2 || versions[1] != "open" || versions[2] != "open" {
		t.Errorf("sessions by version: got %v, want one of each, both open", versions)
	}
	status, out := throngCommand(t, "publish", filepath.Join("..", "..", "examples", "places", "starter"), "--json", "--addr", r.url)
	var release struct {
		Place   string
		Version int
	}
	if err := json.Unmarshal([]byte(out), &release); status != 0 || err != nil || release.Place != "starter" || release.Version != 1 {
		t.Errorf("publishing the same content again: status %d, %v, %+v; want starter version 1 unchanged", status, err, release)
	}
}

func TestListingsAreJSON(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	for _, command := range []string{"places", "sessions"} {
		status, out := throngCommand(t, command, "--json", "--addr", r.url)
		var list []map[string]any
		if err := json.Unmarshal([]byte(out), &list); status != 0 || err != nil {
			t.Errorf("%s --json: status %d, %v:\n%s", command, status, err, out)
		}
		if command == "places" && len(list) != 4 {
			t.Errorf("places: got %v, want arena, bazaar, rush and starter", list)
		}
	}
}

func TestBotsReportJSONAndStatus(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	status, out := throngCommand(t, "bots", "--place", "starter", "--players", "3", "--for", "1s", "--json", "--addr", r.url)
	text := out[strings.Index(out, "{"):]
	var report bot.Report
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&report); status != 0 || err != nil || !report.OK() {
		t.Errorf("bots --json: status %d, %v, %+v", status, err, report)
	}
	r.publish("broken", "2", `place.on("tick", function() while true do end end)`)
	if status, out := throngCommand(t, "bots", "--place", "broken", "--players", "1", "--for", "1s", "--addr", r.url); status != 1 {
		t.Errorf("bots in a place that ends at once: exit status %d, want 1:\n%s", status, out)
	}
}
