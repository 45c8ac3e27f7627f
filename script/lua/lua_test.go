package lua

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	glua "github.com/yuin/gopher-lua"
)

// machine loads a file into a new machine with small limits; print goes to out.
func machine(tb testing.TB, source string, out *strings.Builder) (*Machine, Value) {
	tb.Helper()
	p, err := Compile("main.lua", []byte(source))
	if err != nil {
		tb.Fatalf("compile: %v", err)
	}
	m := New(Config{Memory: 16 << 20, Print: func(line string) {
		if out != nil {
			out.WriteString(line + "\n")
		}
	}})
	return m, m.Load(p)
}

// run returns what a file prints, and its error.
func run(tb testing.TB, source string) (string, error) {
	tb.Helper()
	var out strings.Builder
	m, fn := machine(tb, source, &out)
	m.Budget("start", 5_000_000)
	err := m.Call(fn)
	return strings.TrimSuffix(out.String(), "\n"), err
}

func TestPrints(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{`print(1, 1.5, -0, 1e15, 1e100, 2^53, 1/0, -1/0)`, "1\t1.5\t-0\t1e+15\t1e+100\t9.007199254741e+15\tinf\t-inf"},
		{`print(#{1,2,nil,4} >= 2, #"abc", #{n=1})`, "true\t3\t0"},
		{`print("10" + 5, "0x10" * 1, 10 .. 20)`, "15\t16\t1020"},
		{`print(pcall(function() return "a" + 1 end))`, "false\tmain.lua:1: attempt to do arithmetic on a string value"},
		{`print(7 % 3, -7 % 3, 7 % -3, -7 % -3, 5.5 % 2, 2^-1)`, "1\t2\t-2\t-1\t1.5\t0.5"},
		{`print(nil == false, 1 == "1", "a" < "b", not nil)`, "false\tfalse\ttrue\ttrue"},
		{`print(1 and 2, nil and 1, false or "x", nil or false)`, "2\tnil\tx\tfalse"},
		{`local t = {f = function(self, x) return self.n + x end, n = 4} print(t:f(3))`, "7"},
		{`local function f(...) local a, b = ... return select("#", ...), a, b, ... end print(f(1, nil, 3))`, "3\t1\tnil\t1\tnil\t3"},
		{`print((function() return 1, 2 end)(), (function() return 3, 4 end)())`, "1\t3\t4"},
		{`print(((function() return 1, 2 end)()))`, "1"},
		{`local a, b, c = 1 print(a, b, c) a, b = b, a print(a, b)`, "1\tnil\tnil\nnil\t1"},
		{`local i, t = 1, {} i, t[i] = i + 1, 20 print(i, t[1], t[2])`, "2\t20\tnil"},
		{`local t = {1, 2, 3} for i = #t, 1, -1 do table.remove(t, i) end print(#t)`, "0"},
		{`for i = 3, 1 do print(i) end for i = 1, 2, 0.5 do print(i) end`, "1\n1.5\n2"},
		{`local n = 0 repeat local done = n == 3; n = n + 1 until done print(n)`, "4"},
		{`local i = 0 while true do i = i + 1 if i > 5 then break end end print(i)`, "6"},
		{`for i = 1, 3 do for j = 1, 3 do if j == 2 then goto next end print(i, j) ::next:: end end`, "1\t1\n1\t3\n2\t1\n2\t3\n3\t1\n3\t3"},
		{`do local i = 1 ::top:: if i <= 3 then print(i) i = i + 1 goto top end end`, "1\n2\n3"},
		{`local fs = {} for i = 1, 3 do local j = i * 10 fs[i] = function() j = j + 1 return i + j end end print(fs[1](), fs[1](), fs[3]())`, "12\t13\t34"},
		{`local a = {} local x = 1 a.get = function() return x end a.set = function(v) x = v end a.set(5) print(x, a.get())`, "5\t5"},
		{`local f do local x = 0 f = function() x = x + 1 return x end end print(f(), f())`, "1\t2"},
		{`local k = {} ; local i = 1 ; ::a:: local x = i ; k[i] = function() return x end ; i = i + 1 ; if i < 4 then goto a end print(k[1](), k[2](), k[3]())`, "1\t2\t3"},
		{`local t = {} for i = 1, 10 do t["k" .. i] = i end t.k3 = nil t.k11 = 1 local s = "" for k in pairs(t) do s = s .. k .. " " end print(s)`, "k1 k2 k4 k5 k6 k7 k8 k9 k10 k11 "},
		{`local t = {10, 20, 30, x = 1, y = 2} for k in pairs(t) do t[k] = nil end print(next(t))`, "nil"},
		{`local t = {} t[3] = 3 t[2] = 2 t[1] = 1 print(#t) t[#t] = nil print(#t)`, "3\n2"},
		{`print(pcall(next, {}, "nope"))`, "false\tmain.lua:1: invalid key to 'next'"},
		{`print(table.concat({1, 2, 3}, "-"), table.concat({}, "x"), table.concat({"a", "b", "c"}, ",", 2, 3))`, "1-2-3\t\tb,c"},
		{`local t = {5, 2, 8, 1} table.sort(t) print(unpack(t)) table.sort(t, function(a, b) return a > b end) print(unpack(t))`, "1\t2\t5\t8\n8\t5\t2\t1"},
		{`local t = {1, 2} table.insert(t, 1, 0) table.insert(t, 3) print(table.concat(t, " "), table.remove(t, 1), table.remove(t), #t)`, "0 1 2 3\t0\t3\t2"},
		{`print(string.format("%5d|%-5d|%05d|%x|%5.1f|%g|%g|%s|%5s|%-5s|%.2s|%c|%%|%q", 42, 42, 42, 255, 3.14159, 0.1, 1e20, nil, "ab", "ab", "abc", 65, "a\nb"))`, "   42|42   |00042|ff|  3.1|0.1|1e+20|nil|   ab|ab   |ab|A|%|\"a\\\nb\""},
		{`print(("x"):rep(3), ("abc"):sub(2), ("abc"):sub(-2, -2), ("abc"):sub(0), ("abc"):sub(5), ("abc"):upper(), ("abc"):byte(1, -1))`, "xxx\tbc\tb\tabc\t\tABC\t97\t98\t99"},
		{`print(("hello world"):find("o w"), ("hello"):find("l+"), ("hello"):find("xyz"), ("a.b"):find(".", 1, true), ("abc"):find("b", -1))`, "5\t3\tnil\t2\tnil"},
		{`print(("hello"):find("l+"))`, "3\t4"},
		{`print(("key = value"):match("^(%w+)%s*=%s*(%w+)$"))`, "key\tvalue"},
		{`print(("THE (quick) fox"):find("%((%a+)%)"))`, "5\t11\tquick"},
		{`print(("f(a(b)c)d"):match("%b()"), ("THE END"):gsub("%f[%a]%a+", string.lower))`, "(a(b)c)\tthe end\t2"},
		{`print(("hello world"):gsub("o", "0", 1), ("abc"):gsub("", "-"), ("abc"):gsub("%w", "%0%0"))`, "hell0 world\t-a-b-c-\taabbcc\t3"},
		{`print(("$name is $age"):gsub("%$(%w+)", {name = "Ada", age = 36}))`, "Ada is 36\t2"},
		{`for k, v in ("a=1, b=2"):gmatch("(%w+)=(%w+)") do print(k, v) end`, "a\t1\nb\t2"},
		{`print(("aXbX"):gsub("X", function() return nil end), ("x"):match("()"), ("  trim "):match("^%s*(.-)%s*$") .. "|")`, "aXbX\t1\ttrim|"},
		{`print(("abcabc"):match("(abc)%1"), ("[]"):match("[]]"), ("a-z"):match("[a%-]+"), ("ab12"):match("[^%d]+"))`, "abc\t]\ta-\tab"},
		{`print(tostring(nil), tostring(true), tonumber("z", 36), tonumber("12", 3), tonumber(""), tonumber("1e2"), tonumber("0x"), tonumber("1_0"), tonumber("inf"))`, "nil\ttrue\t35\t5\tnil\t100\tnil\tnil\tnil"},
		{`print(math.floor(-1.5), math.ceil(1.2), math.max(1, 3, 2), math.min(2, 1), math.clamp(5, 1, 3), math.fmod(7, 3), math.modf(3.7))`, "-2\t2\t3\t1\t3\t1\t3\t0.7"},
		{`print(select(-1, 1, 2, 3), select(2, "a", "b"))`, "3\tb"},
		{`print(type(print), type(nil), type({}), type("x"), type(1), type(coroutine.create(print)))`, "function\tnil\ttable\tstring\tnumber\tthread"},
		{`print(rawequal("a", "a"), rawget(setmetatable({}, {__index = {x = 1}}), "x"), next({}))`, "true\tnil\tnil"},
		{`local z = {} do local a, b, c, d, e, f, g, h = 1, 2, 3, 4, 5, 6, 7, 8 end for k, v, x, y in pairs({5}) do print(k, v, x, y) end`, "1\t5\tnil\tnil"},
		{`print(5.5 % 1, 1e308 % 3, -1 % 1e300 == 1e300, 5 % (1/0), -5 % (1/0), math.fmod(-7, 3))`, "0.5\t2\ttrue\t5\tinf\t-1"},
		{`local n = 7 if n == 1 then print(1)` + strings.Repeat(` elseif n == 2 then print(2)`, 2000) + ` elseif n == 7 then print("last") end`, "last"},
		{`print(unpack({1, 2, 3}, 2)) print(unpack({}, 1, 2))`, "2\t3\nnil\tnil"},
	} {
		got, err := run(t, c.source)
		if err != nil || got != c.want {
			t.Errorf("%s\n got %q, %v\nwant %q", c.source, got, err, c.want)
		}
	}
}

func TestMetamethods(t *testing.T) {
	got, err := run(t, `
local V = {} V.__index = V
V.__add = function(a, b) return setmetatable({x = a.x + b.x}, V) end
V.__eq = function(a, b) return a.x == b.x end
V.__lt = function(a, b) return a.x < b.x end
V.__concat = function(a, b) return "cat" end
V.__unm = function(a) return -a.x end
V.__len = function() return 42 end
V.__call = function(self, y) return self.x + y end
V.__tostring = function(self) return "V" .. self.x end
V.__newindex = function(t, k, v) rawset(t, k, v * 2) end
local a, b = setmetatable({x = 1}, V), setmetatable({x = 2}, V)
print((a + b).x, a == b, a < b, a <= b, a > b, a .. "x", 1 .. a, -a, #a, a(10), tostring(a))
a.y = 5
print(a.y, getmetatable(a) == V, getmetatable("x"))
local p = setmetatable({}, {__metatable = "locked"})
print(getmetatable(p), pcall(setmetatable, p, {}))
setmetatable(_G, {__index = function(_, k) return "global " .. k end})
print(nothing)
`)
	want := "3\tfalse\ttrue\ttrue\tfalse\tcat\tcat\t-1\t42\t11\tV1\n" +
		"10\ttrue\tnil\n" +
		"locked\tfalse\tmain.lua:17: attempt to change a protected metatable\n" +
		"global nothing"
	if err != nil || got != want {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
}

func TestErrorsAreCaughtWithPlace(t *testing.T) {
	got, err := run(t, `
print(pcall(error, {1}) == false, select(2, pcall(error, "x", 0)), pcall(error))
print(pcall(function() error("boom") end))
local function deep() error("up", 2) end
print(pcall(function()
  deep()
end))
print(pcall(function() local x; x.y = 1 end))
print(pcall(function() return nosuch.y end))
local t = {}
print(pcall(function() t.a.b = 1 end))
print(pcall(function() t:foo() end))
print(pcall(function() return t < t end))
print(pcall(function() return 1 < "x" end))
print(pcall(function() return #nil end))
print(pcall(function() return t .. "x" end))
print(pcall(function() for i = 1, "x" do end end))
print(pcall(function() t[nil] = 1 end))
print(pcall(function() t[0/0] = 1 end))
print(xpcall(function() error("E") end, function(e) return "handled " .. e end))
print(xpcall(function() error("E") end, function(e) error("again") end))
print(xpcall(string.rep, print))
print(pcall(pcall), pcall(string.rep), pcall(string.rep, "x", {}))
print(select(2, pcall(string.char, 256)))
print(pcall(pcall, error, "inner"))
string.x = 1
`)
	want := `true	x	false	nil
false	main.lua:3: boom
false	main.lua:6: up
false	main.lua:8: attempt to index a nil value (local 'x')
false	main.lua:9: attempt to index a nil value (global 'nosuch')
false	main.lua:11: attempt to index a nil value (field 'a')
false	main.lua:12: attempt to call a nil value (method 'foo')
false	main.lua:13: attempt to compare two table values
false	main.lua:14: attempt to compare number with string
false	main.lua:15: attempt to get the length of a nil value
false	main.lua:16: attempt to concatenate a table value (local 't')
false	main.lua:17: the limit of 'for' is a string value, not a number
false	main.lua:18: table index is nil
false	main.lua:19: table index is NaN
false	handled main.lua:20: E
false	main.lua:21: again
main.lua:22: bad argument #1 to 'rep' (string expected, got no value)
false
false	false	false	main.lua:23: bad argument #2 to 'rep' (number expected, got table)
main.lua:24: bad argument #1 to 'char' (invalid value)
true	false	main.lua:25: inner`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if want := "main.lua:26: attempt to change a read-only table"; err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}

func TestCoroutines(t *testing.T) {
	got, err := run(t, `
local co = coroutine.create(function(a, b)
  print("start", a, b, coroutine.status(coroutine.running()))
  local c = coroutine.yield(a + b)
  print("got", c)
  local d, e = coroutine.yield(c * 2)
  print("got", d, e)
  return "end", 1
end)
print(coroutine.status(co), coroutine.running())
print(coroutine.resume(co, 1, 2))
print(coroutine.resume(co, 10))
print(coroutine.resume(co, "x", "y"))
print(coroutine.status(co), coroutine.resume(co))
local gen = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
print(gen(), gen(), gen(), gen())
print(pcall(gen))
-- a yield through pcall, and an error after it
local p = coroutine.wrap(function()
  print(pcall(function() coroutine.yield("in pcall") error("late") end))
  return "out"
end)
print(p()) print(p())
print(coroutine.resume(coroutine.create(function() error("bad") end)))
print(coroutine.resume(coroutine.create(function() local x = nil; x() end)))
print(pcall(coroutine.yield))
print(pcall(coroutine.wrap(function() table.sort({3, 2, 1}, function() coroutine.yield() end) end)))
-- coroutines inside each other
local outer = coroutine.wrap(function()
  local inner = coroutine.wrap(function() coroutine.yield(1) coroutine.yield(2) end)
  coroutine.yield(inner()) coroutine.yield(inner())
end)
print(outer(), outer())
local self self = coroutine.create(function() return coroutine.resume(self) end)
print(coroutine.resume(self))
for a, b in coroutine.wrap(function() coroutine.yield(1, 2) coroutine.yield(3, 4) end) do print(a, b) end
print(coroutine.wrap(coroutine.yield)(7))
`)
	want := `suspended	nil
start	1	2	running
true	3
got	10
true	20
got	x	y
true	end	1
dead	false	cannot resume a coroutine that is not suspended
1	2	3
false	cannot resume a coroutine that is not suspended
in pcall
false	main.lua:20: late
out
false	main.lua:24: bad
false	main.lua:25: attempt to call a nil value (local 'x')
false	main.lua:26: attempt to yield outside a coroutine
false	main.lua:27: attempt to yield inside a builtin or metamethod
1	2
true	false	cannot resume a coroutine that is not suspended
1	2
3	4
7`
	if err != nil || got != want {
		t.Errorf("got:\n%s\n%v\nwant:\n%s", got, err, want)
	}
}

// The same scripts in gopher-lua's machine: where both speak Lua 5.1, both say
// the same.
func TestAgreesWithGopherLua(t *testing.T) {
	for i, source := range []string{
		`local function fib(n) if n < 2 then return n end return fib(n-1) + fib(n-2) end print(fib(18))`,
		`local t = {} for i = 1, 100 do t[i] = (i * 7919) % 101 end table.sort(t) for i = 1, 100 do print(t[i]) end`,
		`local p = {} for i = 2, 200 do local prime = true for j = 2, i - 1 do if i % j == 0 then prime = false break end end if prime then p[#p + 1] = i end end print(table.concat(p, " "))`,
		`local s = 0 for i = 10, 1, -3 do s = s * 10 + i end print(s)`,
		`local q = {} for w in ("the quick brown fox jumps"):gmatch("%a+") do q[#q + 1] = w:sub(1, 1):upper() .. w:sub(2) end print(table.concat(q, " "))`,
		`local t = {a = 1, b = 2, c = 3} t.b = nil t.d = 4 for k, v in pairs(t) do print(k, v) end`,
		`local function f(n, ...) if n == 0 then return ... end return f(n - 1, n, ...) end print(f(10))`,
		`local s = "" for i = 1, 20 do s = s .. i .. "," end print(s, #s)`,
		`local A = {} A.__index = A function A.new(x) return setmetatable({x = x}, A) end function A:get() return self.x end
		 local B = setmetatable({}, {__index = A}) B.__index = B local b = setmetatable({x = 9}, B) print(b:get(), A.new(3):get())`,
		`local ok, e = pcall(function() local t = setmetatable({}, {__index = function(_, k) error("no " .. k, 0) end}) return t.foo end) print(ok, e)`,
		`local x = 0 local function inc() x = x + 1 return x end print(inc() + inc() * inc(), x)`,
		`local t = {{1, 2}, {3, 4}} local s = 0 for _, r in ipairs(t) do for _, v in ipairs(r) do s = s + v end end print(s)`,
		`print(#"a\0b", ("a\0b"):byte(2), "\65\066\n", [[long
string]], 0xff, 1e-3, .5)`,
		`local a = {} for i = 1, 5 do a[#a + 1] = function() return i end end local s = 0 for i = 1, 5 do s = s + a[i]() end print(s)`,
		`local r = {} for i = 1, 3 do r[i] = select(i, "a", "b", "c") end print(table.concat(r))`,
		`print(1 < 2, 1 <= 1, "a" <= "b", 2 > 1, 2 >= 3, 1 ~= 2, not (1 == 1), 1 == 1 and "y" or "n")`,
		`print(2 + 3 * 4 ^ 2 / 8 - -1, (2 + 3) * 4, 2 ^ 3 ^ 2, -2 ^ 2, 7 % 4, not nil == true)`,
		`local n = 0 for _ in pairs({1, 2, 3, nil, 5, x = 1}) do n = n + 1 end print(n)`,
	} {
		want := gopher(t, source)
		got, err := run(t, source)
		if err != nil || got != want {
			t.Errorf("script %d: got %q, %v\nwant %q\n%s", i, got, err, want, source)
		}
	}
}

func gopher(t *testing.T, source string) string {
	t.Helper()
	l := glua.NewState()
	defer l.Close()
	var out strings.Builder
	l.SetGlobal("print", l.NewFunction(func(l *glua.LState) int {
		for i := 1; i <= l.GetTop(); i++ {
			if i > 1 {
				out.WriteString("\t")
			}
			out.WriteString(l.ToStringMeta(l.Get(i)).String())
		}
		out.WriteString("\n")
		return 0
	}))
	if err := l.DoString(source); err != nil {
		t.Fatalf("gopher-lua: %v\n%s", err, source)
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func TestSyntaxErrorsNameTheLine(t *testing.T) {
	for source, want := range map[string]string{
		"x = = 1":                              "1",
		"local x\n\nif x then":                 "3",
		"for i = 1 do end":                     "1",
		"\n\nreturn ...)":                      "3",
		"break":                                "1",
		"\ngoto nowhere":                       "2",
		"do goto a local x ::a:: print(x) end": "1",
		"::a:: ::a::":                          "1",
		"function f() return ... end":          "1",
		"x = " + strings.Repeat("(", 5000):     "1",
		"x = " + strings.Repeat("-", 1) + "":   "1",
		"\nx = 'abc":                           "2",
		"x = " + strings.Repeat("{", 400) + strings.Repeat("}", 400): "1",
		"x = " + strings.Repeat("not ", 5000) + "1":                  "1",
		strings.Repeat("do ", 400) + strings.Repeat("end ", 400):     "1",
		strings.Repeat("local a ", 300):                              "1",
		"local a = 0x":                                               "1",
		strings.Repeat(" ", MaxSource+1):                             "1",
	} {
		_, err := Compile("scripts/main.lua", []byte(source))
		if err == nil || !strings.HasPrefix(err.Error(), "scripts/main.lua:"+want+":") {
			t.Errorf("%.40q: got %v, want an error at line %s", source, err, want)
		}
	}
}

// What could reach out of the sandbox is not there.
func TestNothingDangerousIsThere(t *testing.T) {
	got, err := run(t, `
for _, name in ipairs({"os", "io", "debug", "package", "load", "loadstring", "loadfile", "dofile", "module",
    "getfenv", "setfenv", "collectgarbage", "newproxy", "_printregs", "channel"}) do
  if _G[name] ~= nil then print(name) end
end
print(string.dump, math.randomseed(1), pcall(require, "os"))
print(tostring({}):match("0x"), tostring(print), tostring(function() end):match("0x"))
for _, lib in ipairs({string, math, table, coroutine}) do
  print(pcall(rawset, lib, "x", 1))
  print(pcall(setmetatable, lib, {}))
  print(pcall(table.insert, lib, 1))
end
`)
	one := "false\tmain.lua:9: attempt to change a read-only table\n" +
		"false\tmain.lua:10: attempt to change a read-only table\n" +
		"false\tmain.lua:11: attempt to change a read-only table"
	want := "nil\tnil\tfalse\tmain.lua:6: no file 'os' in the package to require\n" +
		"nil\tbuiltin: print\tnil\n" + strings.Join([]string{one, one, one, one}, "\n")
	if err != nil || got != want {
		t.Errorf("got:\n%s\n%v\nwant:\n%s", got, err, want)
	}
}

func TestSameSeedSameRun(t *testing.T) {
	source := `
local t = {}
for i = 1, 50 do t[math.random(1000)] = math.random() t["k" .. math.random(9)] = {} end
for k, v in pairs(t) do print(k, v) end
print(tostring({}), tostring(function() end))`
	out := func(seed uint64) (string, int, int64) {
		p, err := Compile("main.lua", []byte(source))
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		m := New(Config{Seed: seed, Print: func(line string) { b.WriteString(line + "\n") }})
		m.Budget("start", 100_000)
		if err := m.Call(m.Load(p)); err != nil {
			t.Fatal(err)
		}
		return b.String(), m.StepsUsed(), m.MemoryUsed()
	}
	a, steps, memory := out(7)
	for range 5 {
		if b, s, mem := out(7); b != a || s != steps || mem != memory {
			t.Fatalf("got %d steps, %d bytes and\n%s\nwant %d steps, %d bytes and\n%s", s, mem, b, steps, memory, a)
		}
	}
	if b, _, _ := out(8); a == b {
		t.Errorf("got the same output from another seed")
	}
}

func TestRequire(t *testing.T) {
	files := map[string]*Proto{}
	for name, source := range map[string]string{
		"a":    `runs = (runs or 0) + 1 return {x = 1}`,
		"loop": `require("loop")`,
		"bad":  `error("broken")`,
		"none": ``,
		"main": `print(require("a").x, require("a") == require("a"), runs, require("none"))
			print(pcall(require, "loop")) print(pcall(require, "bad")) print(pcall(require, "../etc/passwd"))`,
	} {
		p, err := Compile(name, []byte(source))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = p
	}
	var b strings.Builder
	m := New(Config{
		Print:  func(line string) { b.WriteString(line + "\n") },
		Module: func(name string) *Proto { return files[name] },
	})
	m.Budget("start", 10_000)
	err := m.Call(m.Load(files["main"]))
	want := "1\ttrue\t1\ttrue\nfalse\tloop:1: 'loop' requires itself\nfalse\tbad:1: broken\n" +
		"false\tmain:2: no file '../etc/passwd' in the package to require\n"
	if got := b.String(); err != nil || got != want {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
}

func TestStackOfAnError(t *testing.T) {
	_, err := run(t, "local function inner()\n  error('boom')\nend\nfunction outer()\n  inner()\n  return 1\nend\nouter()")
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Kind != KindScript || e.File != "main.lua" || e.Line != 2 || e.Message != "boom" {
		t.Fatalf("got %#v, want boom at main.lua:2", err)
	}
	want := "[main.lua:2 in inner main.lua:5 in outer main.lua:8 in the file]"
	if got := fmt.Sprint(e.Stack); got != want {
		t.Errorf("got stack %s, want %s", got, want)
	}
}
