package lua

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// FuzzMachine runs any source: nothing may panic, run on, or be a bug of ours.
func FuzzMachine(f *testing.F) {
	for _, source := range attacks() {
		f.Add(source)
	}
	for _, source := range []string{
		`print(("x"):find("[]]"), ("%d"):format(1))`,
		`local t = {1, 2, 3, [5] = 5, x = function(...) return ... end} for k, v in pairs(t) do t[k] = nil end`,
		`local co = coroutine.wrap(function(...) local a, b = coroutine.yield(...) return a, b, ... end) print(co(1, 2), co(3))`,
		`goto a; do local x ::a:: end`,
		`return (function(...) return select("#", ...), ... end)(1, nil, pcall(error))`,
		`a.b.c["d"], e = f(), {...}, g{}; function a.b:c(...) end`,
		`local a, b = 1; repeat local c = a until c; if a then elseif b then else end`,
	} {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		p, err := Compile("main.lua", []byte(source))
		if err != nil {
			if strings.Contains(err.Error(), "the compiler failed") {
				t.Fatal(err)
			}
			return
		}
		m := New(Config{Memory: 2 << 20})
		m.Budget("tick", 20_000)
		var e *Error
		if err := m.Call(m.Load(p)); errors.As(err, &e) && e.Kind == KindInternal {
			t.Fatal(err)
		}
	})
}

// FuzzCompile compiles any source: nothing may panic, not even inside, and an
// error names a line of the file.
func FuzzCompile(f *testing.F) {
	for _, source := range attacks() {
		f.Add([]byte(source))
	}
	for _, source := range []string{
		"", "#!lua", "return", "local a <const> = 1", "x = [==[\n]]\n]=]\n]==]", "x = '\\65\\n\\\n\\x41\\u{41}'", "goto a ::a:: goto a",
		"x = 0x7fp3 + .5e-3 + 3. + 1e400", "-- [[ not long", "--[[ long\n]] y = 1", "do do do end end end", "f{...}'s'[[x]]:m():n()", "return return",
		"x = " + strings.Repeat("(", 500) + strings.Repeat(")", 500), "x = " + strings.Repeat("-", 501) + "1", strings.Repeat("do ", 400),
		"local " + strings.Repeat("a,", 300) + "a", "x = {" + strings.Repeat("{", 300), strings.Repeat("if a then else", 200),
		"x = a" + strings.Repeat(".b", 2000), "x = 1" + strings.Repeat("..1", 2000), "\xff\xfe", "x = '\x00'", "for i = 1, 2 do local f = function() return i end end",
	} {
		f.Add([]byte(source))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		p, err := Compile("main.lua", source)
		if err == nil {
			if p == nil || p.regs > maxRegs+10 {
				t.Fatalf("compiled to %+v", p)
			}
			return
		}
		at, ok := errors.AsType[*SyntaxError](err)
		if !ok || strings.Contains(err.Error(), "the compiler failed") {
			t.Fatal(err)
		}
		if lines := strings.Count(string(source), "\n") + strings.Count(string(source), "\r") + 1; at.Line < 1 || at.Line > lines {
			t.Fatalf("the error is said to be in line %d of %d: %v", at.Line, lines, err)
		}
	})
}

// builtin calls a function of the string library under a budget. A script error
// is one; anything else is a bug.
func builtin(t *testing.T, m *Machine, name string, args ...any) (results []Value, failed bool) {
	t.Helper()
	m.Budget("tick", 200_000)
	err := m.Do(func(th *Thread) {
		values := make([]Value, len(args))
		for i, a := range args {
			switch a := a.(type) {
			case string:
				values[i] = m.String(a)
			case float64:
				values[i] = Number(a)
			case Value:
				values[i] = a
			}
		}
		results = append(results, th.Call(m.strings.Field(name), values...)...)
	})
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == KindInternal {
		t.Fatalf("%s(%q): %v", name, args, err)
	}
	return results, err != nil
}

// FuzzPattern matches any pattern against any string: it ends, what it finds
// lies within the string, and all functions agree on it.
func FuzzPattern(f *testing.F) {
	for _, p := range []string{
		"", "a", "^a", "a$", "^$", ".", ".-b", "a*a+a?a-", "%a%d%%", "[%a_][%w_]*", "[]]", "[^]]", "[a-z-]", "[%", "%", "(a)(b)", "((a))", "()", "(", ")", "%1", "(a)%1",
		"%b()", "%b", "%f[%w]", "%f", "(a*(.)%w(%s*))", "^(%s*)(.-)%s*$", "[\xff-\x00]", "%z", "%0", "%10", strings.Repeat("a*", 30), strings.Repeat("(a", 33), strings.Repeat("(", 40),
	} {
		f.Add("hello world from Lua", p, "%0%1%%")
		f.Add("aaaaaaaaaaaaaaaaaaaaaaaaaaaa", p, "x%2")
		f.Add("(a(b)c)\x00\xff]", p, "")
	}
	f.Fuzz(func(t *testing.T, s, p, repl string) {
		m := New(Config{Memory: 4 << 20})
		found, failed := builtin(t, m, "find", s, p)
		if m.Dead() != nil {
			return // it took too many steps, as it may
		}
		if !failed && len(found) >= 2 && strings.ContainsAny(p, "^$*+?.([%-") { // else find looks for p as it is, as Lua does
			from, to := int(found[0].num), int(found[1].num)
			if from < 1 || to < from-1 || to > len(s) {
				t.Fatalf("find(%q, %q) is %d to %d of %d", s, p, from, to, len(s))
			}
			matched, bad := builtin(t, m, "match", s, p)
			if bad || len(found) == 2 && func() bool { got, _ := matched[0].Text(); return got != s[from-1:to] }() {
				t.Fatalf("match(%q, %q) is %v, and find %d to %d", s, p, matched, from, to)
			}
			if len(found) > 2 && fmt.Sprint(found[2:]) != fmt.Sprint(matched) && !sameTexts(found[2:], matched) {
				t.Fatalf("match(%q, %q) is %v, and find %v", s, p, matched, found)
			}
		}
		replaced, bad := builtin(t, m, "gsub", s, p, repl)
		if !bad && !failed && m.Dead() == nil && len(replaced) == 2 && (replaced[1].num > 0) != (len(found) > 0 && found[0].ref != nil) {
			t.Fatalf("gsub(%q, %q) replaces %v, and find finds %v", s, p, replaced[1].num, found)
		}
	})
}

func sameTexts(a, b []Value) bool {
	for i := range a {
		if i >= len(b) || !equalRaw(a[i], b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}

// FuzzFormat formats anything: it ends, within the longest string, and gives the
// same again.
func FuzzFormat(f *testing.F) {
	for _, format := range []string{
		"", "%", "%%", "%d", "%5d|%-5d|%05d|%+d|% d", "%x%X%o", "%#x", "%e%E%g%G%f", "%.3f", "%10.4f", "%s", "%10s|%-10s|%.2s", "%q", "%c", "%i%u", "%a", "%99.99f", "%100d",
		"%-+ #0d", "%-+ #00d", "%.d", "%.", "%5.", "%1$d", "%ld", "%n", strings.Repeat("%99d", 50),
	} {
		f.Add(format, "text", 1.5)
		f.Add(format, "\x00\"\\\n\r\xff", -1e308)
		f.Add(format, "12", 0.1)
	}
	f.Fuzz(func(t *testing.T, format, text string, n float64) {
		m := New(Config{Memory: 4 << 20})
		for _, args := range [][]any{{format, n, text, n}, {format, text, text}} {
			first, failed := builtin(t, m, "format", args...)
			if m.Dead() != nil {
				return
			}
			second, again := builtin(t, m, "format", args...)
			if failed != again || !sameTexts(first, second) {
				t.Fatalf("format(%q, %q, %v) is %v, and then %v", format, text, n, first, second)
			}
			if !failed {
				if s, ok := first[0].Text(); !ok || len(s) > MaxString {
					t.Fatalf("format(%q) is %v", format, first)
				}
			}
		}
	})
}
