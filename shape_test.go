package throng_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/throng-gg/throng"

// mayImport is the architecture: for every package, the packages of ours it may
// import. Everything may import the root. A change here needs a decision record.
var mayImport = map[string][]string{
	".":                      {},
	"match":                  {},
	"session":                {},
	"fleet":                  {},
	"fleet/endings":          {},
	"wire":                   {},
	"wire/netcode":           {},
	"wire/channel":           {"wire/reliable"},
	"wire/reliable":          {},
	"script":                 {"script/lua", "script/physics"},
	"script/lua":             {},
	"script/physics":         {},
	"place":                  {},
	"party":                  {},
	"friend":                 {},
	"profile":                {},
	"ledger":                 {},
	"consumer":               {},
	"consumer/analytics":     {"consumer"},
	"consumer/anticheat":     {"consumer"},
	"consumer/economy":       {"consumer", "ledger"},
	"bolt":                   {"profile", "ledger", "consumer"},
	"dynamo":                 {"profile", "ledger", "consumer"},
	"dynamo/dynamotest":      {"test/repo"},
	"event":                  {},
	"event/eventtest":        {"test/repo"},
	"kafka":                  {},
	"kafka/embedded":         {},
	"kafka/kafkatest":        {"test/repo"},
	"replica":                {},
	"region":                 {},
	"presence":               {},
	"home":                   {},
	"copies":                 {"profile", "ledger", "consumer"},
	"placelog":               {},
	"trace":                  {},
	"auth":                   {},
	"joinlog":                {},
	"gameserver":             {"wire", "wire/channel"},
	"api":                    {"api/gen", "edge/shed"},
	"api/gen":                {},
	"udp":                    {"udp/batch", "wire/netcode", "gameserver"},
	"udp/batch":              {},
	"webtransport":           {"wire/netcode", "gameserver"},
	"memory":                 {"session", "party", "friend", "replica", "fleet/endings", "consumer", "consumer/analytics"},
	"disk":                   {"place", "auth"},
	"process":                {"fleet", "fleet/endings"},
	"agones":                 {"agones/kind", "fleet/endings"},
	"agones/kind":            {},
	"scene":                  {"wire", "script/physics"},
	"client":                 {"api/gen", "wire", "wire/channel", "scene", "edge/beacon/probe"},
	"bot":                    {"client", "udp", "wire"},
	"load":                   {"client", "memory", "wire", "wire/netcode"},
	"motion":                 {"client", "gameserver", "wire"},
	"sim":                    {"match", "session", "fleet", "gameserver", "memory", "wire", "wire/channel"},
	"redis":                  {"session", "party", "friend", "replica", "consumer/analytics"},
	"redis/redistest":        {},
	"contract":               {"session", "match", "fleet", "place", "party", "friend", "replica", "profile", "ledger", "auth", "consumer", "kafka", "consumer/analytics"},
	"s3":                     {"place", "auth"},
	"s3/s3test":              {},
	"examples":               {},
	"play":                   {},
	"test/lab":               {"deploy/image"},
	"agones/sdk":             {},
	"agones/sdk/sdktest":     {},
	"agones/autoscale":       {"agones/kind", "fleet"},
	"deploy/image":           {},
	"deploy/image/mkimage":   {"deploy/image"},
	"test/lab/cmd/lab":       {"test/lab"},
	"test/lab/testdata/echo": {},
	"test/stranger":          {"client"},
	"test/suite":             {},
	"test/interop":           {},
	"test/impair":            {},
	"test/repo":              {},
	"edge/beacon":            {"edge/beacon/probe"},
	"edge/beacon/probe":      {},
	"edge/dns":               {},
	"edge/gateway":           {"udp/batch", "wire/netcode"},
	"edge/breaker":           {},
	"edge/shed":              {},
	"cmd/command":            {"client", "event", "kafka", "trace"},
	"cmd/host":               {"cmd/command", "client", "disk", "gameserver", "place", "script", "trace", "udp", "webtransport", "wire", "wire/netcode", "agones/sdk"},
	"cmd/throng":             {"*"},
	"cmd/throng-gameserver":  {"cmd/command", "cmd/host"},

	"test/agones":             {"test/agones/object", "test/agones/allocation", "test/agones/control", "test/agones/sidecar"},
	"test/agones/object":      {},
	"test/agones/allocation":  {"test/agones/object"},
	"test/agones/control":     {"test/agones/object"},
	"test/agones/sidecar":     {"test/agones/object"},
	"test/agones/cmd/standin": {"test/agones", "test/agones/object", "test/agones/control", "test/agones/sidecar"},
}

const (
	maxLines = 400 // of a file
	maxFiles = 15  // of a package, without tests
)

// TestShape keeps the code base the shape that docs/architecture.md says it has.
func TestShape(t *testing.T) {
	files := map[string]int{} // package to how many files
	docs := map[string]int{}  // package to how many package comments
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && name != "." && isModule(name) {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() || path.Ext(name) != ".go" {
			return err
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		if strings.HasSuffix(name, "_test.go") || ast.IsGenerated(f) {
			return nil
		}
		if n := bytes.Count(src, []byte("\n")); n > maxLines {
			t.Logf("%s has %d lines: is a second idea hiding? (about %d)", name, n, maxLines)
		}
		pkg := path.Dir(name)
		files[pkg]++
		if f.Doc != nil {
			docs[pkg]++
		}
		allowed, known := mayImport[pkg]
		if !known {
			t.Errorf("package %s is not in mayImport: where does it belong?", pkg)
		}
		for _, im := range f.Imports {
			dep, ours := strings.CutPrefix(strings.Trim(im.Path.Value, `"`), module+"/")
			if pkg == "." && strings.Contains(dep, ".") {
				t.Errorf("%s imports %s; the vocabulary speaks only standard library", name, dep)
			}
			if ours && !slices.Contains(allowed, dep) && !slices.Contains(allowed, "*") {
				t.Errorf("%s imports %s, which %s may not", name, dep, pkg)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg, n := range files {
		if docs[pkg] != 1 {
			t.Errorf("package %s has %d package comments, want 1", pkg, docs[pkg])
		}
		if n > maxFiles {
			t.Logf("package %s has %d files: is it more than one idea? (about %d)", pkg, n, maxFiles)
		}
	}
}

// isModule says whether a folder is a Go module of its own.
func isModule(dir string) bool {
	_, err := os.Stat(path.Join(dir, "go.mod"))
	return err == nil
}
