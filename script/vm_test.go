package script

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
)

// place is a VM of one file with its world and log.
type place struct {
	*VM
	world *fakeWorld
	lines []string
}

func newPlace(tb testing.TB, source string) *place {
	tb.Helper()
	p := &place{world: newFakeWorld()}
	vm, err := New(Config{
		Files:    map[string][]byte{"scripts/main.lua": []byte(source)},
		Entry:    "scripts/main.lua",
		World:    p.world,
		Capacity: 50,
		Log:      func(_ throng.LogLevel, line string) { p.lines = append(p.lines, line) },
	})
	if err != nil {
		tb.Fatalf("new: %v", err)
	}
	p.VM = vm
	return p
}

func (p *place) log() string { return strings.Join(p.lines, "\n") }

// must fails the test on an error of a call.
func must(tb testing.TB, errs ...error) {
	tb.Helper()
	for _, err := range errs {
		if err != nil {
			tb.Fatal(err)
		}
	}
}

func TestLifeOfAPlace(t *testing.T) {
	p := newPlace(t, `
print("entry", place.tick, place.time, place.capacity, players.count())
place.on("start", function() print("start") end)
place.on("join", function(player)
  player.state.joined = place.tick
  print("join", player.id, player.name, player, player.left, player.input.move_x)
end)
place.on("leave", function(player)
  print("leave", player.id, player.state.joined, player.left, players.count(), players.get(player.id))
end)
place.on("input", function(player, input)
  print("input", player.id, input.move_x, input.move_y, input.pressed(1), input:pressed(2), player.input == input)
end)
place.on("tick", function(dt)
  local ids = {}
  for i, pl in ipairs(players.all()) do ids[i] = pl.id end
  print("tick", dt, place.tick, place.time, table.concat(ids, " "))
end)
place.on("tick", function() print("second", players.get("bo") ~= nil) end)
`)
	must(t, p.Start(), p.Join("ada"), p.Join("bo"), p.Join("ada"), p.Tick(0.5),
		p.Input("bo", Input{MoveX: 1, MoveY: -0.5, Buttons: 2}), p.Input("nobody", Input{}),
		p.Leave("ada"), p.Leave("ada"), p.Tick(0.5))
	want := `entry	0	0	50	0
start
join	ada	ada	player ada	false	0
join	bo	bo	player bo	false	0
tick	0.5	1	0.5	ada bo
second	true
input	bo	1	-0.5	false	true	true
leave	ada	0	true	1	nil
tick	0.5	2	1	bo
second	true`
	if got := strings.ReplaceAll(p.log(), "\\t", "\t"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestEntities(t *testing.T) {
	p := newPlace(t, `
ball = world.kind("ball", {
  y = {type = "number", min = -1, max = 8, precision = 1/16},
  it = {type = "bool"},
  score = {type = "integer", min = 0, max = 10},
  name = {type = "string", max = 5},
})
local e = world.spawn(ball)
print(e, e.id, e.kind, e.owner, e.removed, e.y, e.it, e.score, e.name == "", ball.name, ball)
e.y, e.it, e.score, e.name = 3.3, true, 2.6, "ééé"
print(e.y, e.it, e.score, e.name)
e.y, e.score = 100, -5
print(e.y, e.score, world.get(1) == e, world.get(2), world.count())
for _, fn in ipairs({
  function() e.y = "x" end, function() e.y = 0/0 end, function() e.it = 1 end, function() e.name = 5 end,
  function() e.z = 1 end, function() return e.z end, function() e.id = 1 end, function() e[1] = 1 end,
  function() world.spawn("ball") end, function() world.spawn(ball, {nope = 1}) end,
  function() world.kind("ball", {}) end, function() world.kind("Ball", {}) end,
  function() world.kind("a", {x = 1}) end, function() world.kind("a", {x = {type = "float"}}) end,
  function() world.kind("a", {x = {type = "number", min = 0, max = 1}}) end,
  function() world.kind("a", {x = {type = "number", min = 1, max = 0, precision = 1}}) end,
  function() world.kind("a", {x = {type = "number", min = 0, max = 1/0, precision = 1}}) end,
  function() world.kind("a", {x = {type = "number", min = 0, max = 1, precision = 0}}) end,
  function() world.kind("a", {x = {type = "integer", min = 0, max = 1.5}}) end,
  function() world.kind("a", {x = {type = "string", max = 65}}) end,
  function() world.kind("a", {x = {type = "bool", min = 1}}) end,
  function() world.kind("a", {id = {type = "bool"}}) end,
  function() world.kind("a", {["x y"] = {type = "bool"}}) end,
  function() world.kind("refused", {}) end,
  function() place.on("nope", print) end, function() place.on("tick", 1) end,
  function() place.tick = 5 end, function() ball.name = 1 end,
}) do print(select(2, pcall(fn))) end
e:remove() e:remove()
print(e.removed, e.y, world.get(1), world.count(), pcall(function() e.y = 1 end))
world.spawn(ball, {y = 2, name = "n"})
place.on("tick", function() world.kind("late", {}) end)
`)
	must(t, p.Start())
	want := `ball 1	1	ball	nil	false	-1	false	0	true	ball	kind ball
3.3	true	3	éé
8	0	true	nil	1
X:15: field 'y' of 'ball' must be a number, got string
X:15: field 'y' of 'ball' must be a number, got not a number
X:15: field 'it' of 'ball' must be true or false, got a number
X:15: field 'name' of 'ball' must be a string, got a number
X:16: kind 'ball' has no field 'z' that can be set
X:16: kind 'ball' has no field 'z'
X:16: kind 'ball' has no field 'id' that can be set
X:16: kind 'ball' has no field '(number)' that can be set
X:17: bad argument #1 to 'spawn' (a kind expected, as world.kind returns it)
X:17: kind 'ball' has no field 'nope' that can be set
X:18: kind 'ball' is there already
X:18: bad argument #1 to 'kind' (a kind's name is like 'red_ball', up to 32 characters)
X:19: field 'x': a table like {type = "bool"} is expected, got number
X:19: field 'x': type is "number", "integer", "bool" or "string"
X:20: field 'x': a field of this type needs min, max, precision
X:21: field 'x': min must be below max
X:22: field 'x': 'max' is not known, or not a finite number
X:23: field 'x': precision must be above 0
X:24: field 'x': min and max of an integer must be whole
X:25: field 'x': max of a string is 1 to 64 bytes
X:26: field 'x': 'min' is not known, or not a finite number
X:27: field 'id': the name is taken, every entity has it
X:28: field 'x y': a field's name is like 'move_x', up to 32 characters
X:29: kind 'refused': the world refuses
X:30: bad argument #1 to 'on' (no event 'nope': there are start, join, leave, data, input, message, tick and drain)
X:30: bad argument #2 to 'on' (function expected, got number)
X:31: attempt to change a read-only table
X:31: a kind cannot be changed
true	8	nil	0	false	X:34: ball 1 was removed`
	if got := p.log(); got != strings.ReplaceAll(want, "X:", "scripts/main.lua:") {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	var names []string
	for _, f := range p.world.fields[0] {
		names = append(names, f.Name)
	}
	if got := fmt.Sprint(names); got != "[it name score y]" {
		t.Errorf("got fields %s, want them sorted by name", got)
	}
	if got := p.world.number(p.world.last, "y"); got != 2 || len(p.world.entities) != 1 {
		t.Errorf("got y %v of %d entities, want 2 of 1", got, len(p.world.entities))
	}
	if err := p.Tick(0.1); err == nil || !strings.Contains(err.Error(), "kinds are defined before the first join") {
		t.Errorf("got %v, want kinds refused after the start", err)
	}
}

func TestOwners(t *testing.T) {
	p := newPlace(t, `
local ball = world.kind("ball", {x = {type = "bool"}})
place.on("join", function(player) player.state.ball = world.spawn(ball, nil, player) end)
place.on("leave", function(player)
  local ball = player.state.ball
  print(ball.owner, ball.removed, pcall(world.spawn, getmetatable, nil, player))
  kept = player
end)
place.on("tick", function()
  for _, p in ipairs(players.all()) do print(p.state.ball.owner == p) end
  if kept then print(kept.id, kept.state.ball.id, pcall(world.spawn, kind, nil, kept)) end
end)
`)
	must(t, p.Start(), p.Join("ada"), p.Tick(0.1), p.Leave("ada"))
	if got := p.world.entities[1].owner; got != "ada" {
		t.Errorf("got owner %q, want ada", got)
	}
	if err := p.Tick(0.1); err != nil {
		t.Errorf("a player that the script kept: %v", err)
	}
	if got, want := p.lines[:2], "[true nil\tfalse\tfalse\tbad argument]"; fmt.Sprintf("%.32s", fmt.Sprint(got)) != want[:32] && !strings.HasPrefix(p.lines[1], "nil\tfalse\tfalse\t") {
		t.Errorf("got %q, want the owner while he is in, nil after", got)
	}
}

// A full world and a wrong table leave nothing half-done.
func TestSpawnIsWholeOrNot(t *testing.T) {
	p := newPlace(t, `
local ball = world.kind("ball", {a = {type = "bool"}, b = {type = "bool"}})
print(pcall(world.spawn, ball, {a = true, b = 5}))
print(world.count())
print(pcall(world.spawn, ball))
print(pcall(world.spawn, ball))
`)
	p.world.full = 1
	must(t, p.Start())
	if got := len(p.world.entities); got != 1 {
		t.Errorf("got %d entities, want the one whose values were right", got)
	}
	if !strings.Contains(p.log(), "the world is full") {
		t.Errorf("got %s, want the world's words", p.log())
	}
}

func TestScriptErrorIsLoggedAndSurvived(t *testing.T) {
	p := newPlace(t, `
local n = 0
local function step() local x; x.y = 1 end
place.on("tick", function() n = n + 1 step() end)
place.on("tick", function() print("still here", n) end)
`)
	must(t, p.Start())
	err := p.Tick(1)
	e, ok := errors.AsType[*Error](err)
	if !ok || Fatal(err) || e.Kind != KindScript || e.Event != "tick" || e.File != "scripts/main.lua" || e.Line != 3 || len(e.Stack) != 2 {
		t.Fatalf("got %#v, want a script error at line 3 with two functions", err)
	}
	want := `error in tick: scripts/main.lua:3: attempt to index a nil value (local 'x')
    scripts/main.lua:3 in step
    scripts/main.lua:4 in function at line 4
still here	1`
	if got := p.log(); got != want {
		t.Errorf("got log:\n%s\nwant:\n%s", got, want)
	}
	for range 25 {
		_ = p.Tick(1)
	}
	if got := strings.Count(p.log(), "error in tick"); got != 3 {
		t.Errorf("got the same error %d times in 26 s of log, want 3", got)
	}
	if !strings.Contains(p.log(), "(9 times more)") {
		t.Errorf("got no count of repeats in:\n%s", p.log())
	}
}

func TestOverrunEndsThePlace(t *testing.T) {
	for name, c := range map[string]struct {
		source string
		run    func(p *place) error
		want   string
		kind   Kind
	}{
		"tick": {
			"\n\nplace.on('tick', function() while true do end end)",
			func(p *place) error { return p.Tick(0.1) },
			"scripts/main.lua:3: tick used more than 500000 steps", KindSteps,
		},
		"both handlers": {
			"local function half() for i = 1, 260000 do end end place.on('tick', half) place.on('tick', half)",
			func(p *place) error { return p.Tick(0.1) },
			"scripts/main.lua:1: tick used more than 500000 steps", KindSteps,
		},
		"join": {
			"place.on('join', function() pcall(function() while true do end end) end)",
			func(p *place) error { return p.Join("ada") },
			"scripts/main.lua:1: join used more than 50000 steps", KindSteps,
		},
		"memory": {
			"local t = {} place.on('tick', function() for i = 1, 3000 do t[#t + 1] = ('x'):rep(1000) .. #t end end)",
			func(p *place) error {
				for range 40 {
					if err := p.Tick(0.1); err != nil {
						return err
					}
				}
				return nil
			},
			"scripts/main.lua:1: the script holds more than 67108864 bytes of memory", KindMemory,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, c.source)
			must(t, p.Start())
			err := c.run(p)
			e, ok := errors.AsType[*Error](err)
			if !ok || !Fatal(err) || e.Kind != c.kind || err.Error() != c.want {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			for _, again := range []error{p.Tick(0.1), p.Join("bo"), p.Leave("ada"), p.Input("ada", Input{}), p.Start()} {
				if !errors.Is(again, err) {
					t.Errorf("got %v from a later call, want %v", again, err)
				}
			}
		})
	}
}

func TestEntryThatFailsIsFatal(t *testing.T) {
	p := newPlace(t, "local x = nil\nprint(x.y)")
	err := p.Start()
	if e, ok := errors.AsType[*Error](err); !ok || !Fatal(err) || e.Kind != KindStart || e.Line != 2 {
		t.Fatalf("got %v, want a fatal error at line 2", err)
	}
	if err := p.Tick(1); !Fatal(err) {
		t.Errorf("got %v from a tick after it, want the same", err)
	}
}

func TestLogIsBounded(t *testing.T) {
	p := newPlace(t, `place.on("tick", function() for i = 1, 500 do print(i) end print(("x"):rep(5000)) print("a\nb\0c\27") end)`)
	must(t, p.Start(), p.Tick(0.1))
	if got := len(p.lines); got != 200 {
		t.Errorf("got %d lines at first, want 200", got)
	}
	must(t, p.Tick(1))
	if got := p.lines[200]; got != "(302 lines dropped: a script may write 200 a second)" {
		t.Errorf("got %q, want to be told what was dropped", got)
	}
	p = newPlace(t, `print(("x"):rep(5000)) print("a\nb\0c\27") print("\255")`)
	must(t, p.Start())
	if got := len(p.lines[0]); got != 1000+len("…") {
		t.Errorf("got a line of %d bytes, want 1,000 and a sign", got)
	}
	if got := p.lines[1] + p.lines[2]; got != "a b c ?" {
		t.Errorf("got %q, want control characters gone", got)
	}
}

func TestCheck(t *testing.T) {
	good := map[string][]byte{"scripts/main.lua": []byte(`print("hi")`), "readme.md": []byte("not ( lua")}
	if err := Check(good, "scripts/main.lua"); err != nil {
		t.Errorf("got %v, want no fault", err)
	}
	for want, files := range map[string]map[string][]byte{
		"scripts/a.lua:2":    {"scripts/main.lua": []byte("x ="), "scripts/a.lua": []byte("\nif x"), "scripts/z.lua": []byte("=")},
		"entry":              {"scripts/other.lua": nil},
		"scripts/main.lua:1": {"scripts/main.lua": []byte(strings.Repeat("x = 1 ", 60_000))},
	} {
		err := Check(files, "scripts/main.lua")
		var e *throng.Error
		if !errors.As(err, &e) || e.Kind != throng.Invalid || e.Field != want {
			t.Errorf("got %v, want Invalid at %s", err, want)
		}
		if _, err := New(Config{Files: files, Entry: "scripts/main.lua"}); throng.KindOf(err) != throng.Invalid {
			t.Errorf("got %v from New, want Invalid", err)
		}
	}
}

func TestRequireOfThePackage(t *testing.T) {
	var lines []string
	vm, err := New(Config{
		Files: map[string][]byte{
			"scripts/main.lua":  []byte(`local o = require("scripts/other") print(o.x, require("scripts/other.lua") == o, pcall(require, "/etc/passwd"))`),
			"scripts/other.lua": []byte(`return {x = 4}`),
		},
		Entry: "scripts/main.lua",
		World: newFakeWorld(),
		Log:   func(_ throng.LogLevel, line string) { lines = append(lines, line) },
	})
	must(t, err, vm.Start())
	want := "4\ttrue\tfalse\tscripts/main.lua:1: no file '/etc/passwd' in the package to require"
	if len(lines) != 1 || lines[0] != want {
		t.Errorf("got %q, want %q", lines, want)
	}
}

// Players who come and go leave nothing behind.
func TestPlayersAreForgotten(t *testing.T) {
	p := newPlace(t, `
local ball = world.kind("ball", {x = {type = "bool"}})
local cooldown = {}
place.on("join", function(player)
  player.state.big = ("x"):rep(100000)
  player.state.ball = world.spawn(ball, nil, player)
  cooldown[player] = 1
end)
place.on("leave", function(player) player.state.ball:remove() cooldown[player] = nil end)
`)
	must(t, p.Start())
	for i := range 1000 { // 100 MB of state in all
		id := throng.PlayerID(fmt.Sprintf("player-%d", i))
		must(t, p.Join(id), p.Leave(id))
	}
	if len(p.entities) != 0 || len(p.players) != 0 || len(p.order) != 0 {
		t.Errorf("got %d entities, %d players left", len(p.entities), len(p.players))
	}
}

// BenchmarkTickOf1000Entities is a tick that moves 1,000 entities.
func BenchmarkTickOf1000Entities(b *testing.B) {
	p := newPlace(b, `
local kind = world.kind("thing", {x = {type = "number", min = 0, max = 64, precision = 1/64},
  y = {type = "number", min = 0, max = 64, precision = 1/64}, angle = {type = "number", min = 0, max = 7, precision = 1/64}})
local things = {}
for i = 1, 1000 do things[i] = world.spawn(kind, {x = i / 32, y = i / 32}) end
place.on("tick", function(dt)
  for i = 1, #things do
    local e = things[i]
    e.x = (e.x + dt) % 64
    e.y = (e.y + dt) % 64
  end
end)`)
	must(b, p.Start())
	for b.Loop() {
		must(b, p.Tick(1.0/30))
	}
	b.ReportMetric(float64(p.Usage().Steps), "steps/tick")
}

func TestAttributes(t *testing.T) {
	var set []string
	var lines []string
	vm, err := New(Config{
		Files: map[string][]byte{"main.lua": []byte(`
place.set_attribute("skill", 3)
place.set_attribute("language", "en")
place.set_attribute("skill", nil)
for _, bad in ipairs({{"skill", "3"}, {"skill", 0/0}, {"skill", 1e16}, {"language", 7}, {"language", ""}, {"language", "x y"}, {"tall", 1}, {"skill"}}) do
  local ok, words = pcall(place.set_attribute, unpack(bad))
  assert(not ok)
  print(words)
end
place.on("join", function(player)
  print(player.id, player.attributes.skill, player.attributes.language, player.attributes.tall)
  assert(not pcall(function() player.attributes.skill = 1 end))
end)
place.on("leave", function(player) print(player.attributes.skill) end)
`)},
		Entry: "main.lua", World: newFakeWorld(), Signals: signals(t),
		SetAttribute: func(name string, a *throng.Attribute) {
			if a == nil {
				set = append(set, name+" nil")
			} else {
				set = append(set, fmt.Sprint(a.Name, " ", a.Number, a.Category))
			}
		},
		Log: func(_ throng.LogLevel, line string) { lines = append(lines, line) },
	})
	must(t, err)
	must(t, vm.Start(), vm.Join("ada",
		throng.Attribute{Name: "skill", Number: 7}, throng.Attribute{Name: "tall", Number: 2}, throng.Attribute{Name: "language", Number: 2}))
	must(t, vm.Join("bo"), vm.Leave("ada"))
	if want := []string{"skill 3", "language 0en", "skill nil"}; !slices.Equal(set, want) {
		t.Errorf("set: got %q, want %q", set, want)
	}
	if len(lines) != 11 || lines[8] != "ada\t7\tnil\tnil" || lines[9] != "bo\tnil\tnil\tnil" || lines[10] != "7" {
		t.Errorf("got %q", lines)
	}
}
