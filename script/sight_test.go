package script

import (
	"slices"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
)

func TestKindsSayWhoSeesThem(t *testing.T) {
	w := newFakeWorld()
	start(t, w, `
		world.kind("plain", {x = {type = "bool"}})
		world.kind("ruled", {
			x = {type = "number", min = 0, max = 9, precision = 1, within = 4},
			y = {type = "string", max = 9, owner = true},
		}, {seen = 30, weight = 2})
		world.kind("near", {x = {type = "bool", within = 7}})
	`)
	if want := []string{"ruled seen 30 weighs 2", "near seen 0 weighs 0"}; !slices.Equal(w.rules, want) {
		t.Errorf("got %q, want %q", w.rules, want)
	}
	if f := w.fields[1]; f[0].Within != 4 || f[0].Owner || !f[1].Owner || f[1].Within != 0 {
		t.Errorf("got %+v", f)
	}
	for _, bad := range []string{`{seen = 0}`, `{seen = "far"}`, `{near = 1}`, `{weight = -1}`, `{seen = 1/0}`, `4`} {
		_, err := New(Config{
			Files: map[string][]byte{"main.lua": []byte(`world.kind("a", {x = {type = "bool"}}, ` + bad + `)`)}, Entry: "main.lua", World: newFakeWorld(),
		})
		if err == nil {
			err = startErr(t, `world.kind("a", {x = {type = "bool"}}, `+bad+`)`)
		}
		if err == nil || !strings.Contains(err.Error(), "#3") && !strings.Contains(err.Error(), "seen") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}

// How entities move is told to the world, and what makes no sense throws.
func TestKindsSayHowTheyMove(t *testing.T) {
	w := newFakeWorld()
	start(t, w, `
		local place = {x = {type = "number", min = 0, max = 9, precision = 1}, y = {type = "number", min = 0, max = 9, precision = 1}}
		world.kind("walker", place, {speed = 6, radius = 0.5, turns = true})
		world.kind("wall", place, {solid = true, seen = 5})
		world.kind("idle", place, {turns = false})
	`)
	want := "walker moves {6 0.5 true false}, wall moves {0 0 false true}, wall seen 5 weighs 0"
	if got := strings.Join(w.rules, ", "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, bad := range []string{`{speed = 0}`, `{speed = "fast"}`, `{solid = 1}`, `{turns = 2}`, `{radius = -1}`, `{speed = 101}`} {
		err := startErr(t, `world.kind("a", {x = {type = "bool"}}, `+bad+`)`)
		if err == nil || !strings.Contains(err.Error(), "#3") && !strings.Contains(err.Error(), "kind 'a': speed 101 is too fast") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}

func start(t *testing.T, w *fakeWorld, code string) *VM {
	t.Helper()
	vm, err := New(Config{Files: map[string][]byte{"main.lua": []byte(code)}, Entry: "main.lua", World: w})
	if err != nil {
		t.Fatal(err)
	}
	if err := vm.Start(); err != nil {
		t.Fatal(err)
	}
	return vm
}

func startErr(t *testing.T, code string) error {
	t.Helper()
	vm, err := New(Config{Files: map[string][]byte{"main.lua": []byte(code)}, Entry: "main.lua", World: newFakeWorld()})
	if err != nil {
		return err
	}
	return vm.Start()
}

// The past of the fake world is one less a tick.
func TestRewindShowsWhatThePlayerSaw(t *testing.T) {
	w := newFakeWorld()
	var lines []string
	vm, err := New(Config{
		Files: map[string][]byte{"main.lua": []byte(`
			local k = world.kind("a", {x = {type = "number", min = 0, max = 99, precision = 1}, on = {type = "bool"}, s = {type = "string", max = 3}})
			local e
			place.on("start", function() e = world.spawn(k, {x = 50, on = true, s = "hi"}) end)
			place.on("input", function(p)
				print(world.rewind(p, function() return e.x, e.s, e.on end))
				print(world.rewind(1, function() return e.x, e.on end))
				print(world.rewind(999, function() return e.x end), world.rewind(-5, function() return e.x end))
				print(pcall(world.rewind, p, function() e.x = 3 end))
				print(pcall(world.rewind, p, function() world.rewind(p, function() end) end))
				print(pcall(world.rewind, p, function() error("no", 0) end))
				print(e.x)
			end)
		`)},
		Entry: "main.lua", World: w,
		Log: func(_ throng.LogLevel, line string) { lines = append(lines, line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{vm.Start(), vm.JoinFrom("ada", throng.Origin{}), vm.Input("ada", Input{Lag: 5})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got := strings.Join(lines, "\n")
	for _, want := range []string{"45\thi\ttrue", "49\tfalse", "19\t50", "cannot be changed", "within itself", "false\tno", "\n50"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}
