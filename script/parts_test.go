package script

import (
	"fmt"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
)

func TestTimers(t *testing.T) {
	p := newPlace(t, `
local n = 0
local function say(what) return function() print(what, place.tick) end end
place.on("start", function()
  timer.after(0.3, say("b"))
  timer.after(0, say("a"))
  timer.after(0.3, say("c"))
  local e
  e = timer.every(0.2, function() n = n + 1 say("every " .. n)() if n == 3 then print(timer.cancel(e), timer.cancel(e)) end end)
  timer.after(0.1, function() timer.after(0, say("set meanwhile")) end)
  local never = timer.after(0.5, say("never"))
  timer.after(0.5 - 1e-5, function() timer.cancel(never) end)
  timer.after(0.7, function() error("broken") end)
  timer.after(0.7, say("after an error"))
end)
place.on("tick", function() if place.tick == 4 then say("tick")() end end)`)
	must(t, p.Start())
	var errs int
	for range 10 {
		if p.Tick(0.1) != nil {
			errs++
		}
	}
	want := `a 1, set meanwhile 2, every 1 2, b 3, c 3, every 2 4, tick 4, every 3 6, true false, error in timer: scripts/main.lua:13: broken,     scripts/main.lua:13 in function at line 13, after an error 7`
	if got := strings.Join(p.lines, ", "); strings.ReplaceAll(got, "\t", " ") != want || errs != 1 {
		t.Errorf("got %d errors and\n%s\nwant 1 and\n%s", errs, got, want)
	}
	if len(p.timers) != 0 {
		t.Errorf("%d timers are left", len(p.timers))
	}
}

// Timers spend the tick's steps, and are bounded.
func TestTimersAreBounded(t *testing.T) {
	p := newPlace(t, `
place.on("tick", function()
  for _ = 1, 300 do timer.every(0, function() end) end
end)`)
	must(t, p.Start())
	if err := p.Tick(0.1); err == nil || Fatal(err) || !strings.Contains(err.Error(), "256 timers are set") {
		t.Errorf("got %v, want an error of the script", err)
	}
	p = newPlace(t, `for _ = 1, 256 do timer.every(0, function() for _ = 1, 1e4 do end end) end`)
	must(t, p.Start())
	if err := p.Tick(0.1); !Fatal(err) || !strings.Contains(err.Error(), "tick used more than 500000 steps") {
		t.Errorf("got %v, want the tick's steps to be over", err)
	}
	p = newPlace(t, `
for _, f in ipairs({
  function() timer.after(-1, print) end, function() timer.after(0/0, print) end, function() timer.after(1e9, print) end,
  function() timer.after(1) end, function() timer.every("x", print) end, function() timer.cancel() end,
}) do print(pcall(f)) end
print(timer.cancel(99), timer.cancel(-1))`)
	must(t, p.Start())
	if len(p.lines) != 7 || p.lines[6] != "false\tfalse" || strings.Contains(p.log(), "true") {
		t.Errorf("got %q", p.lines)
	}
}

func TestEventsOfAScript(t *testing.T) {
	p := newPlace(t, `
local function a(...) print("a", ...) end
events.on("x", a)
events.on("x", function(n) print("b", n) events.off("x", a) events.on("x", a) end)
print(events.emit("x", 1, nil, 3))
print(events.emit("x", 2), events.off("y", a))
for _, f in ipairs({
  function() for i = 1, 17 do events.on("full", print) end end,
  function() for i = 1, 64 do events.on("n" .. i, print) end end,
  function() events.on("", print) end, function() events.on(("x"):rep(65), print) end, function() events.on("x") end,
  function() events.on("loop", function() events.emit("loop") end) events.emit("loop") end,
}) do print(select(2, pcall(f))) end`)
	must(t, p.Start())
	want := []string{
		"a\t1\tnil\t3", "b\t1", "2", "b\t2", "a\t2", "2\tfalse", "'full' has 16 handlers already", "64 events already",
		"1 to 64 bytes", "1 to 64 bytes", "function expected", "there are 64 events",
	}
	for i, part := range want {
		if i >= len(p.lines) || !strings.Contains(p.lines[i], part) {
			t.Errorf("line %d: got %q, want %q", i, p.lines[min(i, len(p.lines)-1)], part)
		}
	}
	p = newPlace(t, `events.on("loop", function() events.emit("loop") end) print(pcall(events.emit, "loop"))`)
	must(t, p.Start())
	if !strings.Contains(p.log(), "run inside each other") {
		t.Errorf("got %q, want an error", p.log())
	}
}

func TestPhysicsOfAScript(t *testing.T) {
	p := newPlace(t, `
local s = physics.space()
local function line(...) local out = {...} for i = 1, select("#", ...) do out[i] = type(out[i]) == "number" and ("%.3f"):format(out[i]) or tostring(out[i]) end print(table.concat(out, " ")) end
local b = s:circle(0, 0, 1, {group = "me", data = {1}})
line(b, s, b.x, b.y, b.radius, b.width, b.height, b.solid, b.group, b.data[1], b.removed)
local w = s:box(5, 0, 2, 10, {solid = true})
line(s:move(b, 10, 1))
line(s:move(b, 0, 1, {group = "nothing"}))
b.x, b.y, b.data, b.solid = -3, 2, "d", true
line(b.x, b.y, b.data, b.solid, #s:overlap_box(0, 0, 20, 20), s:overlap_circle(-3, 2, 0.1)[1] == b)
line(s:raycast(-10, 2, 10, 2, {skip = b, solid = true}))
w:remove() w:remove()
line(w.removed, s:count(), s:grid(0, 0, 1, {"##.#", "....", "####"}), s:count())
local other = physics.space(1)
for _, f in ipairs({
  function() other:move(b, 1, 1) end, function() s:move(w, 1, 1) end, function() s:move(b, 0/0, 1) end, function() s:move(b, 1) end,
  function() s:circle(1, 1, 0) end, function() s:circle(1, 1, 1, {colour = 1}) end, function() s:box(1, 1, 1) end, function() s.circle(1, 1, 1) end,
  function() s:grid(0, 0, 1, {1}) end, function() s:grid(0, 0, 0, {"#"}) end, function() s:grid(0, 0, 1, {("#"):rep(300)}) end,
  function() s:raycast(0, 0, 1/0, 0) end, function() s:overlap_circle(0, 0, -1) end, function() s:overlap_box(0, 0, 1, 0/0) end,
  function() s:overlap_circle(0, 0, 1, {grup = "x"}) end, function() return s.nope end, function() s.x = 1 end, function() return b.nope end,
  function() b.group = "x" end, function() b.x = "x" end, function() b.x = 1e9 end, function() w.x = 1 end, function() physics.space(0) end,
  function() b.remove() end, function() for _ = 1, 9 do physics.space() end end,
}) do local ok, words = pcall(f) print(ok, words) end
print(s:count())`)
	must(t, p.Start())
	want := `body space 0.000 0.000 1.000 0.000 0.000 false me 1.000 false
3.000 1.000 body -1.000 0.000
3.000 2.000 nil 0.000 0.000
-3.000 2.000 d true 2.000 true
body 4.000 2.000 -1.000 0.000
true 1.000 3.000 4.000`
	if got := strings.Join(p.lines[:6], "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	for i, line := range p.lines[6 : len(p.lines)-1] {
		if !strings.HasPrefix(line, "false\tscripts/main.lua:") {
			t.Errorf("case %d: got %q, want an error with its place", i+1, line)
		}
	}
	if last := p.lines[len(p.lines)-1]; last != "4" || len(p.lines) != 6+25+1 {
		t.Errorf("got %d lines, the last %q; want no body left of what failed", len(p.lines), last)
	}
}

// Bodies are memory, and moving them takes steps: who makes too many or moves
// them all too often is stopped.
func TestPhysicsIsCounted(t *testing.T) {
	p := newPlace(t, `
local s = physics.space(1)
local all = {}
for i = 1, 4096 do all[i] = s:circle(i % 64, math.floor(i / 64), 0.4, {solid = true}) end
print(pcall(s.circle, s, 0, 0, 1))
place.on("tick", function() for _, b in ipairs(all) do s:move(b, 0.1, 0.1) end end)`)
	must(t, p.Start())
	if !strings.Contains(p.log(), "at most 4096 bodies") {
		t.Errorf("got %q, want an end", p.log())
	}
	if used := p.Usage().Memory; used < 4096*bodyBytes {
		t.Errorf("4,096 bodies count as %d bytes", used)
	}
	if err := p.Tick(0.1); !Fatal(err) || !strings.Contains(err.Error(), "more than 500000 steps") {
		t.Errorf("got %v, want it stopped", err)
	}
	p = newPlace(t, `
place.on("tick", function()
  local s = physics.space(1)
  while true do for i = 1, 4000 do s:box(i, i, 1, 1):remove() end end
end)`)
	must(t, p.Start())
	if err := p.Tick(0.1); !Fatal(err) {
		t.Errorf("got %v, want it stopped", err)
	}
}

// BenchmarkPhysics moves 200 bodies between walls; its steps beside its time say
// what a step of physics costs.
func BenchmarkPhysics(b *testing.B) {
	p := newPlace(b, `
local s = physics.space(2)
local rows = {}
for i = 1, 32 do rows[i] = i % 4 == 1 and ("##.#"):rep(8) or ("#..."):rep(8) end
s:grid(0, 0, 2, rows)
local all = {}
for i = 1, 200 do all[i] = s:circle(3 + (i * 7) % 58, 3 + (i * 13) % 58, 0.4, {group = "r"}) end
place.on("tick", function()
  for i, body in ipairs(all) do s:move(body, math.cos(place.tick / 20 + i) * 0.2, math.sin(place.tick / 20 + i) * 0.2) end
end)`)
	must(b, p.Start())
	for b.Loop() {
		must(b, p.Tick(1.0/30))
	}
	b.ReportMetric(float64(p.Usage().Steps), "steps/tick")
}

// TestManyEvents: a flood of events is bounded by the steps of what emits it.
func TestManyEvents(t *testing.T) {
	p := newPlace(t, `events.on("x", function() end) place.on("tick", function() while true do events.emit("x") end end)`)
	must(t, p.Start())
	if err := p.Tick(0.1); !Fatal(err) {
		t.Errorf("got %v, want it stopped", err)
	}
	for i := range 3 {
		id := throng.PlayerID(fmt.Sprint("p", i))
		if err := p.Join(id); !Fatal(err) {
			t.Errorf("got %v, want it over", err)
		}
	}
}
