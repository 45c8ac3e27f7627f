package deploy

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// metric is one that the code makes.
type metric struct {
	histogram bool
	labels    []string
	literal   bool // only its name was found
}

// metrics reads the code: whatever it makes with prometheus, and other literals
// that look like a metric's name.
func metrics(t *testing.T) map[string]metric {
	t.Helper()
	all := map[string]metric{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || d.Name() == "test") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				note(all, call)
			}
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if name, err := strconv.Unquote(lit.Value); err == nil && metricName.FindString(name) == name && name != "" {
					if _, known := all[name]; !known {
						all[name] = metric{literal: true}
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var metricName = regexp.MustCompile(`\bthrong_[a-z0-9_]+`)

// note takes in a call like prometheus.NewCounterVec(prometheus.CounterOpts{Name:
// "x"}, []string{"label"}).
func note(all map[string]metric, call *ast.CallExpr) {
	fun, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !strings.HasPrefix(fun.Sel.Name, "New") || len(call.Args) == 0 {
		return
	}
	opts, ok := call.Args[0].(*ast.CompositeLit)
	if !ok {
		return
	}
	name := ""
	for _, e := range opts.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.Ident); ok && key.Name == "Name" {
				name = literal(kv.Value)
			}
		}
	}
	if !strings.HasPrefix(name, "throng_") {
		return
	}
	m := metric{histogram: strings.HasPrefix(fun.Sel.Name, "NewHistogram")}
	for _, e := range opts.Elts { // labels that each of its kind has
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.Ident); ok && key.Name == "ConstLabels" {
				m.literal = true
			}
		}
	}
	if len(call.Args) == 2 && strings.HasSuffix(fun.Sel.Name, "Vec") {
		if list, ok := call.Args[1].(*ast.CompositeLit); ok {
			for _, e := range list.Elts {
				m.labels = append(m.labels, literal(e))
			}
		}
	}
	all[name] = m
}

func literal(e ast.Expr) string {
	if lit, ok := e.(*ast.BasicLit); ok {
		s, _ := strconv.Unquote(lit.Value)
		return s
	}
	return ""
}

var selector = regexp.MustCompile(`\b(throng_[a-z0-9_]+)(?:\{([^}]*)\})?`)

// checkExpr checks that an expression speaks of metrics that there are, by labels
// that they have.
func checkExpr(t *testing.T, where, expr string, all map[string]metric) (used []string) {
	t.Helper()
	for _, m := range selector.FindAllStringSubmatch(expr, -1) {
		name := m[1]
		known, ok := all[name]
		if !ok {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if base, cut := strings.CutSuffix(name, suffix); cut && all[base].histogram {
					known, ok = all[base], true
					name = base
				}
			}
		} else if known.histogram {
			t.Errorf("%s: %s is a histogram: say which of its series", where, name)
		}
		if !ok {
			t.Errorf("%s: there is no metric %s", where, name)
			continue
		}
		used = append(used, name)
		for _, pair := range regexp.MustCompile(`([a-z_]+)\s*[=!]`).FindAllStringSubmatch(m[2], -1) {
			if !known.literal && !slices.Contains(known.labels, pair[1]) {
				t.Errorf("%s: %s has no label %s, only %v", where, name, pair[1], known.labels)
			}
		}
	}
	open, closed := strings.Count(expr, "("), strings.Count(expr, ")")
	if open != closed {
		t.Errorf("%s: %d brackets are opened and %d closed", where, open, closed)
	}
	return used
}

// TestDashboards: each panel shows something that exists.
func TestDashboards(t *testing.T) {
	all := metrics(t)
	files, err := filepath.Glob("grafana/*.json")
	if err != nil || len(files) < 3 {
		t.Fatalf("got %v %v, want three dashboards at least", files, err)
	}
	used := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var board struct {
			UID, Title string
			Panels     []struct {
				ID      int
				Type    string
				Title   string
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(text, &board); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if board.UID+".json" != filepath.Base(file) || board.Title == "" {
			t.Errorf("%s: got uid %q and title %q", file, board.UID, board.Title)
		}
		ids := map[int]bool{}
		for _, p := range board.Panels {
			if ids[p.ID] {
				t.Errorf("%s: panel %d is there twice", file, p.ID)
			}
			ids[p.ID] = true
			if p.Type != "row" && len(p.Targets) == 0 {
				t.Errorf("%s: panel %q shows nothing", file, p.Title)
			}
			for _, target := range p.Targets {
				used += len(checkExpr(t, file+": "+p.Title, target.Expr, all))
			}
		}
	}
	if used < 40 {
		t.Errorf("got %d metrics shown, want 40 at least", used)
	}
}

// TestAlerts: each alert is about something that exists, and has a page that says
// what it means, how to look and what to do; each page has an alert.
func TestAlerts(t *testing.T) {
	text, err := os.ReadFile("prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	all := metrics(t)
	pages := map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if pages[r.Alert] {
				t.Errorf("%s is there twice", r.Alert)
			}
			pages[r.Alert] = true
			if len(checkExpr(t, r.Alert, r.Expr, all)) == 0 {
				t.Errorf("%s is about no metric of ours", r.Alert)
			}
			if s := r.Labels["severity"]; s != "page" && s != "ticket" {
				t.Errorf("%s: got severity %q, want page or ticket", r.Alert, s)
			}
			if r.Annotations["summary"] == "" || r.Annotations["runbook"] != "docs/runbooks/"+r.Alert+".md" {
				t.Errorf("%s: got annotations %v, want a summary and its page", r.Alert, r.Annotations)
			}
			page, err := os.ReadFile("../docs/runbooks/" + r.Alert + ".md")
			if err != nil {
				t.Errorf("%s has no page: %v", r.Alert, err)
				continue
			}
			for _, part := range []string{"# " + r.Alert + "\n", "## What it means\n\n", "## How to look\n\n- ", "## What to do\n\n- ", r.Expr} {
				if !strings.Contains(string(page), part) {
					t.Errorf("the page of %s has no %q", r.Alert, strings.TrimSpace(part))
				}
			}
			for _, name := range metricName.FindAllString(string(page), -1) {
				checkExpr(t, "page of "+r.Alert, strings.TrimSuffix(name, "_bucket")+suffixOf(name, all), all)
			}
		}
	}
	files, err := filepath.Glob("../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".md"); !pages[name] {
			t.Errorf("%s is of no alert", f)
		}
	}
}

// suffixOf lets pages name a histogram as such.
func suffixOf(name string, all map[string]metric) string {
	if all[strings.TrimSuffix(name, "_bucket")].histogram {
		return "_bucket"
	}
	return ""
}
