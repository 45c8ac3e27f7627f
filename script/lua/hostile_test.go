package lua

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// attacks are scripts that must be stopped for good.
func attacks() map[string]string {
	return map[string]string{
		"loop":                      `while true do end`,
		"goto":                      `::a:: goto a`,
		"repeat":                    `repeat until false`,
		"for":                       `for i = 1, math.huge do end`,
		"pcall":                     `while true do pcall(function() while true do end end) end`,
		"xpcall":                    `local function loop() while true do end end while true do xpcall(loop, loop) end`,
		"xpcall handler that fails": `while true do xpcall(error, function() error() end) end`,
		"coroutine":                 `coroutine.wrap(function() while true do end end)()`,
		"coroutine in pcall":        `while true do pcall(coroutine.wrap(function() while true do end end)) end`,
		"pcall in coroutine":        `local co = coroutine.wrap(function() while true do pcall(function() while true do end end) coroutine.yield() end end) while true do pcall(co) end`,
		"resume":                    `while true do coroutine.resume(coroutine.create(function() while true do end end)) end`,
		"coroutine recursion":       `local function f() return pcall(coroutine.wrap(f)) end while true do f() end`,
		"yield for ever":            `local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end`,
		"__index":                   `while true do pcall(function() return setmetatable({}, {__index = function() while true do end end}).x end) end`,
		"__index recursion":         `local t = setmetatable({}, {__index = function(t, k) return t[k .. "x"] end}) while true do pcall(function() return t.x end) end`,
		"__eq and __lt":             `local m = {} m.__lt = function(a, b) return a < b end local x, y = setmetatable({}, m), setmetatable({}, m) while true do pcall(function() return x < y end) end`,
		"__tostring":                `local t = setmetatable({}, {__tostring = function() while true do end end}) while true do pcall(tostring, t) end`,
		"__gc":                      `setmetatable({}, {__gc = function() while true do end end}) while true do end`,
		"__call":                    `local t = setmetatable({}, {__call = function(self) return self() end}) while true do pcall(t) end`,
		"error value":               `while true do pcall(error, setmetatable({}, {__tostring = function() while true do end end})) end`,
		"sort":                      `while true do pcall(table.sort, {3, 2, 1}, function() while true do end end) end`,
		"sort without order":        `local t = {} for i = 1, 1000 do t[i] = i end while true do pcall(table.sort, t, function() return true end) end`,
		"sort recursion":            `local function f() pcall(table.sort, {3, 2, 1}, f) end while true do f() end`,
		"gsub callback":             `while true do pcall(string.gsub, "abc", ".", function() while true do end end) end`,
		"gsub recursion":            `local function f() return (("x"):gsub(".", f)) end while true do pcall(f) end`,
		"gsub that grows":           `local s = ("x"):rep(1e6) while true do pcall(string.gsub, s, ".", "%0%0") end`,
		"pattern that backtracks":   `local s, p = ("a"):rep(40), ("a*"):rep(40) .. "b" while true do pcall(string.find, s, p) end`,
		"pattern a-":                `while true do pcall(string.match, ("a"):rep(1000), ("a-"):rep(20) .. "b") end`,
		"pattern with captures":     `while true do pcall(string.match, ("a"):rep(1000), ("(a*)"):rep(20) .. "b") end`,
		"pattern %b":                `local s = ("("):rep(1e5) while true do pcall(string.find, s, "%b()") end`,
		"pattern that is long":      `local p = "[" .. ("a"):rep(1e5) .. "]*b" local s = ("a"):rep(1e5) while true do pcall(string.find, s, p) end`,
		"pattern of brackets":       `local p = ("["):rep(1e5) while true do pcall(string.find, "a", p) end`,
		"gmatch":                    `while true do for w in ("abc"):rep(1000):gmatch(".") do end end`,
		"tables":                    `local t = {} while true do t[#t + 1] = {} end`,
		"tables in pcall":           `local t = {} while true do pcall(function() while true do t[#t + 1] = {{}} end end) end`,
		"keys":                      `local t = {} local i = 0 while true do i = i + 0.5 t[i] = i end`,
		"string keys":               `local t = {} local i = 0 while true do i = i + 1 t["k" .. i] = i end`,
		"sparse array":              `local i = 0 while true do i = i + 1 local t = {} t[67108863] = 1 t[2^53] = 1 end`,
		"deleted keys":              `local t, s = {}, ("x"):rep(1e5) for i = 1, 1e9 do t[s .. i] = 1 t[s .. i] = nil end`,
		"next over deleted keys":    `local t = {} for i = 1, 2e4 do t["k" .. i] = 1 end for k in pairs(t) do t[k] = nil end while true do next(t) end`,
		"doubling":                  `local s = "x" while true do pcall(function() s = s .. s end) end`,
		"doubling kept":             `local t, s = {}, "x" while true do s = #s > 5e5 and "x" or s .. s t[#t + 1] = s end`,
		"concat of many":            `local s = ("x"):rep(1e5) while true do pcall(function() return s .. s .. s .. s .. s .. s .. s .. s .. s .. s end) end`,
		"rep":                       `while true do pcall(string.rep, "x", 1e9) pcall(string.rep, "x", 1e6) end`,
		"format":                    `while true do pcall(string.format, "%99999999d", 1) pcall(string.format, ("%99d"):rep(1000), 1) end`,
		"format of long strings":    `local s = ("x"):rep(1e5) while true do pcall(string.format, ("%s"):rep(100), s, s, s, s) pcall(string.format, "%q", s) end`,
		"table.concat":              `local t, s = {}, ("x"):rep(1e5) for i = 1, 100 do t[i] = s end while true do pcall(table.concat, t) pcall(table.concat, {}, s, 1, 1e9) end`,
		"unpack":                    `while true do pcall(unpack, {}, 1, 1e8) unpack({}, 1, 7000) end`,
		"arguments":                 `local function f(...) return f(1, ...) end f()`,
		"many arguments":            `local function f(...) return select("#", ...) end local t = {} while true do f(unpack(t, 1, 7000)) t = {unpack(t, 1, 7000)} end`,
		"arguments kept":            `local t = {} local function f(...) coroutine.yield(...) end while true do local co = coroutine.create(f) coroutine.resume(co, unpack({}, 1, 7000)) t[#t + 1] = co end`,
		"recursion":                 `local function f() return 1 + f() end while true do pcall(f) end`,
		"recursion with pcall":      `local function f() pcall(f) pcall(f) end f()`,
		"tail calls":                `local function f() return f() end f()`,
		"closures":                  `local t = {} while true do local x = {} t[#t + 1] = function() return x end end`,
		"coroutines":                `local t = {} while true do t[#t + 1] = coroutine.create(print) end`,
		"coroutines that are deep":  `local t = {} local function f(n) if n > 0 then return 1 + f(n - 1) end coroutine.yield() end while true do local co = coroutine.create(f) coroutine.resume(co, 100) t[#t + 1] = co end`,
		"strings that share":        `local t, s = {}, ("x"):rep(1e6) while true do t[#t + 1] = (s .. #t):sub(1, 1) end`,
		"comparing long strings":    `local a, b = ("x"):rep(1e6), ("x"):rep(1e6) while true do local _ = a == b, a < b, a <= b end`,
		"long strings as keys":      `local t = {[("x"):rep(1e6)] = 1} while true do local _ = t[("x"):rep(1e6)] end`,
		"numbers in long strings":   `local s = ("0"):rep(1e6) while true do pcall(function() return s + 1 end) tonumber(s) end`,
		"long errors":               `local s = ("x"):rep(1e6) while true do pcall(error, s) pcall(error, s, 0) end`,
		"insert in front":           `local t = {} while true do table.insert(t, 1, 1) end`,
		"remove in front":           `local t = {} for i = 1, 5e4 do t[i] = i end while true do table.remove(t, 1) table.insert(t, 1) end`,
		"reverse, upper and bytes":  `local s = ("x"):rep(1e6) while true do s:reverse() s:upper() pcall(s.byte, s, 1, -1) s:byte(1, 7000) end`,
		"assert with many":          `while true do assert(unpack({1}, 1, 7000)) select(1, unpack({1}, 1, 7000)) end`,
		"print":                     `local s = ("x"):rep(1e6) while true do print(s, s, s) end`,
		"big constructor":           `while true do local t = {` + strings.Repeat("1,", 2000) + `} end`,
		"maxn":                      `local t = {} for i = 1, 2e4 do t[i + 0.5] = 1 end while true do table.maxn(t) end`,
		"remainders":                `while true do local x = 1e308 % 1e-308, math.fmod(1e308, 3), 2^0.1 end`,
		"many digits":               `while true do string.format("%99.99f", 1e308) end`,
		"errors far down":           `local function f(n) if n == 0 then while true do pcall(error) end end return 1 + f(n - 1) end f(900)`,
		"globals":                   `local i = 0 while true do i = i + 1 _G["g" .. i] = {} end`,
		"upvalues":                  `local f for i = 1, 1e9 do local g = f f = function() return g end end`,
		"ipairs":                    `local t = setmetatable({}, {}) for i = 1, 1e5 do t[i] = i end while true do for _ in ipairs(t) do end end`,
	}
}

// Every attack is stopped by its steps or its memory, whatever it wraps around
// itself, and what it did is over: the machine takes no further call.
func TestHostileScriptsAreStopped(t *testing.T) {
	for name, source := range attacks() {
		t.Run(name, func(t *testing.T) {
			m, fn := machine(t, source, nil)
			done := make(chan error, 1)
			began := time.Now()
			go func() {
				m.Budget("tick", 500_000)
				done <- m.Call(fn)
			}()
			var err error
			select {
			case err = <-done:
			case <-time.After(60 * time.Second):
				t.Fatal("still runs after 60 s")
			}
			var e *Error
			if !errors.As(err, &e) || e.Kind != KindSteps && e.Kind != KindMemory {
				t.Fatalf("got %v, want it stopped for steps or memory", err)
			}
			if e.File != "main.lua" || e.Line != 1 {
				t.Errorf("got place %s:%d, want main.lua:1", e.File, e.Line)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("took %s, want it in proportion to its steps", took)
			} else if testing.Verbose() {
				t.Logf("%s after %s, %d KiB", e.Kind, took.Round(time.Millisecond), m.MemoryUsed()>>10)
			}
			m.Budget("tick", 1000)
			if again := m.Call(fn); !errors.Is(again, err) {
				t.Errorf("the next call got %v, want %v", again, err)
			}
		})
	}
}

// Garbage is not memory: what is dropped does not count.
func TestGarbageIsNotCounted(t *testing.T) {
	m, fn := machine(t, `for i = 1, 200000 do local t = {i, {i}} local s = "garbage " .. i end`, nil)
	m.Budget("start", 50_000_000)
	if err := m.Call(fn); err != nil {
		t.Fatalf("got %v, want 200,000 dropped tables to fit 16 MiB", err)
	}
}

// What the script holds in all ways that it can is counted.
func TestLiveMemoryIsCounted(t *testing.T) {
	for name, source := range map[string]string{
		"global":     `keep = ("x"):rep(1e6)`,
		"table":      `keep = {} for i = 1, 10000 do keep[i] = {i} end`,
		"key":        `keep = {[("x"):rep(1e6)] = true}`,
		"upvalue":    `local s = ("x"):rep(1e6) function keep() return s end`,
		"metatable":  `keep = setmetatable({}, {s = ("x"):rep(1e6)})`,
		"coroutine":  `local s = ("x"):rep(1e6) keep = coroutine.wrap(function() local mine = s s = nil coroutine.yield() return mine end) keep()`,
		"gmatch":     `keep = ("x"):rep(1e6):gmatch(".")`,
		"gmatch arg": `keep = ("x"):gmatch(("x"):rep(1e6))`,
	} {
		m, fn := machine(t, source, nil)
		m.Budget("start", 5_000_000)
		empty := m.live()
		if err := m.Call(fn); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := m.live() - empty; got < 900_000 {
			t.Errorf("%s: got %d bytes live, want about 1 MB", name, got)
		}
		m.Globals().SetField("keep", Value{})
		if got := m.live() - empty; got > 100_000 {
			t.Errorf("%s: got %d bytes live after it was dropped, want next to none", name, got)
		}
	}
}

// An error in Go code under a script ends the machine, not the process.
func TestBugIsFatalNotAPanic(t *testing.T) {
	m, fn := machine(t, `pcall(bug) pcall(coroutine.wrap(bug))`, nil)
	m.Define(m.Globals(), "bug", func(Call) []Value { panic("a bug") })
	m.Budget("tick", 1000)
	err := m.Call(fn)
	var e *Error
	if !errors.As(err, &e) || e.Kind != KindInternal {
		t.Fatalf("got %v, want an internal error", err)
	}
	if m.Call(fn) == nil || m.Dead() == nil {
		t.Errorf("the machine takes calls after a bug")
	}
}
