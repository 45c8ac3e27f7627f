package lua

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// generator writes programs of the language that Lua 5.1, 5.4 and ours have in
// common: numbers are written as floats and shown with %.14g, so that 5.4's
// integers do not show.
type generator struct {
	*rand.Rand
	out    strings.Builder
	indent int
	nums   []string // variables that are in scope, by what they hold
	texts  []string
	lists  []string // of numbers
	last   int
	depth  int
	loops  int
}

func (g *generator) pick(options ...func()) { options[g.IntN(len(options))]() }

func (g *generator) line(format string, args ...any) {
	g.out.WriteString(strings.Repeat(" ", g.indent))
	fmt.Fprintf(&g.out, format+"\n", args...)
}

func (g *generator) name() string {
	g.last++
	return fmt.Sprintf("v%d", g.last)
}

// block writes statements in a scope of their own.
func (g *generator) block(n int) {
	nums, texts, lists := len(g.nums), len(g.texts), len(g.lists)
	g.indent++
	g.depth++
	for range n {
		g.statement()
	}
	g.depth--
	g.indent--
	g.nums, g.texts, g.lists = g.nums[:nums], g.texts[:texts], g.lists[:lists]
}

func (g *generator) number() string {
	literals := []string{"0.0", "1.0", "2.0", "3.0", "7.0", "-1.0", "0.5", "-2.5", "10.0", "1e3", "0.1"}
	if g.depth > 4 {
		return literals[g.IntN(len(literals))]
	}
	g.depth++
	defer func() { g.depth-- }()
	switch g.IntN(16) {
	case 0, 1, 2:
		return literals[g.IntN(len(literals))]
	case 3, 4, 5:
		return g.nums[g.IntN(len(g.nums))]
	case 6:
		return fmt.Sprintf("(%s %s %s)", g.number(), []string{"+", "-", "*"}[g.IntN(3)], g.number())
	case 7:
		return fmt.Sprintf("div(%s, %s)", g.number(), g.number())
	case 8:
		return fmt.Sprintf("mod(%s, %s)", g.number(), g.number())
	case 9:
		return "-(" + g.number() + ")"
	case 10:
		return fmt.Sprintf("math.%s(%s)", []string{"floor", "ceil", "abs"}[g.IntN(3)], g.number())
	case 11:
		return fmt.Sprintf("math.%s(%s, %s)", []string{"max", "min"}[g.IntN(2)], g.number(), g.number())
	case 12:
		return "(#" + g.text() + " + 0.0)"
	case 13:
		return fmt.Sprintf("((%s)[%s] or %s)", g.list(), g.number(), g.number())
	case 14:
		return fmt.Sprintf("(%s and %s or %s)", g.condition(), g.number(), g.number())
	}
	return fmt.Sprintf("(tonumber(%s) or %s)", g.text(), g.number())
}

func (g *generator) text() string {
	literals := []string{`""`, `"a"`, `"hello"`, `"a,b,,c"`, `"x1y22"`, `"  pad "`, `"12.5"`, `"%d"`, `"\n\t"`}
	if g.depth > 4 {
		return literals[g.IntN(len(literals))]
	}
	g.depth++
	defer func() { g.depth-- }()
	patterns := []string{`"%a+"`, `"%d"`, `"(%w)(%w)"`, `","`, `"[^,]+"`, `"l+"`, `"()a"`, `"%f[%w]%w"`, `"%b()"`, `"^%s*(.-)%s*$"`, `"^.-,"`}
	pattern := patterns[g.IntN(len(patterns))]
	switch g.IntN(14) {
	case 0, 1, 2:
		return literals[g.IntN(len(literals))]
	case 3, 4:
		return g.texts[g.IntN(len(g.texts))]
	case 5:
		return fmt.Sprintf("short(%s .. %s)", g.text(), g.text())
	case 6:
		return fmt.Sprintf("num(%s)", g.number())
	case 7:
		return fmt.Sprintf("(%s):sub(int(%s), int(%s))", g.text(), g.number(), g.number())
	case 8:
		return fmt.Sprintf("(%s):%s()", g.text(), []string{"upper", "lower", "reverse"}[g.IntN(3)])
	case 9:
		return fmt.Sprintf("short((%s):rep(small(%s)))", g.text(), g.number())
	case 10:
		return fmt.Sprintf("show((%s):find(%s))", g.text(), pattern)
	case 11:
		return fmt.Sprintf("show((%s):gsub(%s, %s))", g.text(), pattern, []string{`"<%0>"`, `""`, `function(a) return nil end`, `{a = "A", l = "L"}`, `string.upper`}[g.IntN(5)])
	case 12:
		return fmt.Sprintf("show((%s):match(%s))", g.text(), pattern)
	}
	return fmt.Sprintf("(%q):format(%s + 0.0)", []string{"%5.2f|", "%-8.3f|", "%g", "%08.3f", "%+e"}[g.IntN(5)], g.number())
}

func (g *generator) condition() string {
	g.depth++
	defer func() { g.depth-- }()
	if g.depth > 4 {
		return []string{"true", "false", "nil"}[g.IntN(3)]
	}
	op := []string{"<", "<=", ">", ">=", "==", "~="}[g.IntN(6)]
	switch g.IntN(6) {
	case 0, 1:
		return fmt.Sprintf("(%s %s %s)", g.number(), op, g.number())
	case 2:
		return fmt.Sprintf("(%s %s %s)", g.text(), op, g.text())
	case 3:
		return "not " + g.condition()
	case 4:
		return fmt.Sprintf("(%s %s %s)", g.condition(), []string{"and", "or"}[g.IntN(2)], g.condition())
	}
	return []string{"true", "false", "nil"}[g.IntN(3)]
}

func (g *generator) list() string {
	if g.IntN(4) > 0 {
		return g.lists[g.IntN(len(g.lists))]
	}
	return fmt.Sprintf("{%s, %s, %s}", g.number(), g.number(), g.number())
}

func (g *generator) statement() {
	deep := g.depth > 3
	switch n := g.IntN(24); {
	case n < 3:
		v := g.number()
		g.nums = append(g.nums, g.name())
		g.line("local %s = %s", g.nums[len(g.nums)-1], v)
	case n < 5:
		v := g.text()
		g.texts = append(g.texts, g.name())
		g.line("local %s = %s", g.texts[len(g.texts)-1], v)
	case n == 5:
		v := g.list()
		g.lists = append(g.lists, g.name())
		g.line("local %s = copy(%s)", g.lists[len(g.lists)-1], v)
	case n < 8:
		g.line("%s = %s", g.nums[g.IntN(len(g.nums))], g.number())
	case n == 8:
		g.line("%s, %s = %s, %s", g.nums[g.IntN(len(g.nums))], g.texts[g.IntN(len(g.texts))], g.number(), g.text())
	case n < 11:
		g.line("print(num(%s), %s, %s)", g.number(), g.text(), g.condition())
	case n == 11:
		g.line("print(join(%s))", g.list())
	case n == 12:
		g.line("add(%s, %s)", g.lists[g.IntN(len(g.lists))], g.number())
	case n == 13:
		g.line("table.sort(%s%s)", g.lists[g.IntN(len(g.lists))], []string{"", ", function(a, b) return a > b end"}[g.IntN(2)])
	case n == 14:
		g.line("print(num(table.remove(%s) or 0.0))", g.lists[g.IntN(len(g.lists))])
	case deep:
		g.line("print(%s)", g.text())
	case n == 15:
		g.line("if %s then", g.condition())
		g.block(1 + g.IntN(3))
		if g.IntN(2) == 0 {
			g.line("elseif %s then", g.condition())
			g.block(1)
			g.line("else")
			g.block(1 + g.IntN(2))
		}
		g.line("end")
	case n == 16:
		g.loop()
	case n == 17:
		g.function()
	case n == 18:
		g.protected()
	case n == 19:
		g.coroutine()
	case n == 20:
		g.object()
	case n == 21:
		label := g.name()
		g.line("do local n = 0.0 ::%s:: n = n + 1.0", label)
		g.block(1)
		g.line("if n < %d.0 then goto %s end end", 1+g.IntN(3), label)
	default:
		g.line("do")
		g.block(1 + g.IntN(3))
		g.line("end")
	}
}

func (g *generator) loop() {
	if g.loops > 1 {
		g.line("print(num(%s))", g.number())
		return
	}
	g.loops++
	defer func() { g.loops-- }()
	i := g.name()
	switch g.IntN(4) {
	case 0:
		g.line("for %s = %d.0, %d.0, %s do", i, g.IntN(5), g.IntN(9), []string{"1.0", "2.0", "-1.0", "0.5"}[g.IntN(4)])
		g.nums = append(g.nums, i)
	case 1:
		g.line("for %s_, %s in ipairs(copy(%s)) do", i, i, g.list())
		g.nums = append(g.nums, i)
	case 2:
		g.line("for %s in (%s):gmatch(%s) do", i, g.text(), []string{`"%w+"`, `"."`, `"[^,]+"`}[g.IntN(3)])
		g.texts = append(g.texts, i)
	case 3:
		g.line("local %s = 0.0", i)
		g.line("while %s < 3.0 do %s = %s + 1.0", i, i, i)
		g.block(1 + g.IntN(2))
		if g.IntN(2) == 0 {
			g.line("if %s then break end", g.condition())
		}
		g.line("end")
		return
	}
	g.block(1 + g.IntN(3))
	g.line("end")
	if n := len(g.nums); n > 0 && g.nums[n-1] == i {
		g.nums = g.nums[:n-1]
	}
	if n := len(g.texts); n > 0 && g.texts[n-1] == i {
		g.texts = g.texts[:n-1]
	}
}

// function makes a closure that counts, or one with varargs, and calls it.
func (g *generator) function() {
	f := g.name()
	if g.IntN(2) == 0 {
		g.line("local %s = (function() local n = %s return function(by) n = n + by return n, num(n) end end)()", f, g.number())
		g.line("print(num((%s(%s))), select(2, %s(%s)))", f, g.number(), f, g.number())
		return
	}
	g.line("local function %s(a, ...)", f)
	g.nums = append(g.nums, "a")
	g.line(" local n = select('#', ...) + 0.0")
	g.block(1 + g.IntN(2))
	g.line(" if a > 0.0 and n < 5.0 then return %s(a - 1.0, n, ...) end", f)
	g.line(" return n, ...")
	g.line("end")
	g.nums = g.nums[:len(g.nums)-1]
	g.line("print(show(%s(math.min(%s, 6.0), %s, nil)))", f, g.number(), g.text())
}

// protected raises errors and catches them.
func (g *generator) protected() {
	g.line("print(show(pcall(function()")
	g.block(1 + g.IntN(2))
	g.pick(
		func() { g.line(" error(%s, 0)", g.text()) },
		func() { g.line(" error({code = %s})", g.number()) },
		func() { g.line(" return %s", g.number()) },
		func() { g.line(" local x = nil return x.y") },
		func() { g.line(" return {} < {}") },
		func() { g.line(" return ('x') + 1.0") },
		func() {
			g.line(" return show(xpcall(function() error(%s, 0) end, function(e) return 'h' .. e end))", g.text())
		},
	)
	g.line("end)))")
}

func (g *generator) coroutine() {
	co := g.name()
	g.line("local %s = coroutine.wrap(function(...)", co)
	g.line(" local got = select('#', ...)")
	g.line(" for i = 1.0, 3.0 do got = coroutine.yield(num(got), %s) or 0.0 if type(got) ~= 'number' then got = 1.0 end end", g.text())
	g.block(1)
	g.line(" return 'done'")
	g.line("end)")
	g.line("print(show(%s(%s, nil)), show(%s(%s)), show(%s()), show(%s()))", co, g.number(), co, g.number(), co, co)
	g.line("print((pcall(%s)))", co)
}

// object makes something with a metatable and uses it.
func (g *generator) object() {
	o := g.name()
	g.line("local %s = setmetatable({n = %s}, {", o, g.number())
	g.line(" __index = function(t, k) return k .. '!' end, __add = function(a, b) return num((type(a) == 'table' and a.n or a) + (type(b) == 'table' and b.n or b)) end,")
	g.line(" __call = function(self, x) return num(self.n * x) end, __lt = function(a, b) return a.n < b.n end, __unm = function(a) return num(-a.n) end,")
	g.line(" __concat = function(a, b) return 'cat' end, __tostring = function(a) return 'obj' .. num(a.n) end, __newindex = function(t, k, v) rawset(t, k, v .. '?') end})")
	g.line("%s.key = %s", o, g.text())
	g.line("print(%s.other, %s.key, %s + %s, %s + %s, %s(%s), -%s, %s .. 'x', tostring(%s), %s < %s)", o, o, o, g.number(), g.number(), o, o, g.number(), o, o, o, o, o)
}

// prelude is what programs use; it hides where versions of Lua differ on purpose:
// numbers that are not finite, and the words of errors.
const prelude = `
local function finite(n) if n ~= n or n > 1e15 or n < -1e15 then return 0.0 end return n end
local function num(n) n = finite(n + 0.0) if n == 0 then n = 0.0 return "0" end return ("%.10g"):format(n) end
local function int(n) return math.floor(finite(n)) end
local function small(n) return int(math.max(0.0, math.min(n, 4.0))) end
local function div(a, b) if b == 0 then return 0.0 end return finite(a / b) end
local function mod(a, b) a, b = int(a) + 0.0, int(b) + 0.0 if b == 0 then return 0.0 end return a % b end -- of fractions, LuaJIT rounds before it subtracts
local function short(s) return s:sub(1, 60) end
local function show(...)
  local out = {}
  for i = 1, select("#", ...) do
    local v = (select(i, ...))
    local t = type(v)
    if t == "number" then v = num(v) elseif t == "table" then v = "table" .. (v.code and num(v.code) or "") elseif t == "string" then
      if v:find(":%d+:") then v = "error" end
    else v = tostring(v) end
    out[i] = v
  end
  return short(table.concat(out, ";"))
end
local function copy(t) local out = {} for i, v in ipairs(t) do out[i] = finite(v) end return out end
local function join(t) local out = {} for i, v in ipairs(t) do out[i] = num(v) end return table.concat(out, " ") end
local function add(t, v) if #t < 20 then table.insert(t, finite(v)) end end
`

func program(seed uint64) string {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 7)), nums: []string{"n0"}, texts: []string{"s0"}, lists: []string{"l0"}}
	g.line("local n0, s0, l0 = 1.0, 'seed %d', {3.0, 1.0, 2.0}", seed)
	for range 12 {
		g.statement()
	}
	return g.out.String()
}

// reference is a real Lua on this machine.
func reference(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, name := range []string{"luajit", "lua5.4"} {
		if path, err := exec.LookPath(name); err == nil {
			found = append(found, path)
		}
	}
	if len(found) == 0 {
		t.Skip("SKIPPED: there is neither luajit nor lua5.4 (apt-get install luajit lua5.4): our Lua is not compared with a real one")
	}
	return found
}

// outputs runs programs in a real Lua, all in one process, and returns what each
// prints.
func outputs(t *testing.T, interpreter string, programs []string) []string {
	t.Helper()
	var all strings.Builder
	all.WriteString("local plain = print\n")
	for i, p := range programs {
		fmt.Fprintf(&all, "do\nlocal function print(...) plain(...) end\n%s\nlocal ok, words = pcall(function()\n%s\nend)\nif not ok then plain('FAILED ' .. tostring(words)) end\nend\nplain('----%d')\n", prelude, p, i)
	}
	file := filepath.Join(t.TempDir(), "programs.lua")
	if err := os.WriteFile(file, []byte(all.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, interpreter, file)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", interpreter, err, errs.String())
	}
	rest := out.String()
	var each []string
	for i := range programs {
		one, after, ok := strings.Cut(rest, fmt.Sprintf("----%d\n", i))
		if !ok {
			t.Fatalf("%s ended within program %d", interpreter, i)
		}
		each, rest = append(each, one), after
	}
	return each
}

// ours runs one program here.
func ours(t *testing.T, source string) string {
	t.Helper()
	var out strings.Builder
	m, fn := machine(t, prelude+source, &out)
	m.Budget("program", 5_000_000)
	if err := m.Call(fn); err != nil {
		fmt.Fprintf(&out, "FAILED %v\n", err)
	}
	return out.String()
}

// TestSameAsRealLua: generated programs print the same here, in LuaJIT and in
// Lua 5.4.
func TestSameAsRealLua(t *testing.T) {
	interpreters := reference(t)
	count := 300
	if os.Getenv("THRONG_SOAK") != "" { //nolint:forbidigo // a test's own switch
		count = 5000
	}
	for from := 0; from < count; from += 100 {
		var programs []string
		for i := range 100 {
			programs = append(programs, program(uint64(from+i)))
		}
		for _, interpreter := range interpreters {
			for i, want := range outputs(t, interpreter, programs) {
				got := ours(t, programs[i])
				if got == want {
					continue
				}
				t.Fatalf("seed %d differs from %s:\n%s\n%s", from+i, filepath.Base(interpreter), firstDifference(got, want), programs[i])
			}
		}
	}
	t.Logf("%d programs print the same as in %s", count, strings.Join(interpreters, " and "))
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		a, b := "(nothing)", "(nothing)"
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			return fmt.Sprintf("line %d: got  %q\n        want %q", i+1, a, b)
		}
	}
	return "no difference"
}
