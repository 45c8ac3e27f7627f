package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/throng-gg/throng/api/gen"
)

func loadDocument(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestDocumentIsValid(t *testing.T) {
	if err := loadDocument(t).Validate(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDocumentAndRoutesAgree(t *testing.T) {
	d := openDoor(t, nil)
	table, worth := routes(), worths()
	served := reflect.TypeFor[gen.StrictServerInterface]()
	seen := map[string]bool{}
	for path, item := range loadDocument(t).Paths.Map() {
		for method, op := range item.Operations() {
			pattern := method + " " + path
			seen[pattern] = true
			rt, ok := table[pattern]
			if !ok {
				t.Errorf("%s is in the document and not in routes", pattern)
				continue
			}
			req, err := http.NewRequestWithContext(t.Context(), method, strings.NewReplacer("{", "", "}", "").Replace(path), http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := worth[pattern]; !ok {
				t.Errorf("%s is in the document and not in worths", pattern)
			}
			if _, got := d.mux.Handler(req); got != pattern {
				t.Errorf("%s is served by %q", pattern, got)
			}
			var roles []Role
			if listed, ok := op.Extensions["x-roles"].([]any); ok {
				for _, r := range listed {
					name, _ := r.(string)
					roles = append(roles, Role(name))
				}
			}
			if !slices.Equal(roles, rt.roles) {
				t.Errorf("%s: roles in the document %v, in routes %v", pattern, roles, rt.roles)
			}
			if anyone := op.Security != nil && len(*op.Security) == 0; anyone != (len(rt.roles) == 0 && !rt.claim) {
				t.Errorf("%s: the document says security is off: %v", pattern, anyone)
			}
			if keys, _ := op.Extensions["x-api-keys"].(bool); keys != rt.keys {
				t.Errorf("%s: API keys in the document %v, in routes %v", pattern, keys, rt.keys)
			}
			media := ""
			if op.RequestBody != nil {
				for name := range op.RequestBody.Value.Content {
					media = name
				}
			}
			if media != rt.media {
				t.Errorf("%s: body in the document %q, in routes %q", pattern, media, rt.media)
			}
			_, generated := served.MethodByName(op.OperationID)
			byHand := slices.ContainsFunc(op.Tags, func(tag string) bool {
				return slices.Contains([]string{"control", "service", "socket"}, tag)
			})
			if generated == byHand {
				t.Errorf("%s: %s is generated: %v, written by hand: %v", pattern, op.OperationID, generated, byHand)
			}
		}
	}
	for pattern := range table {
		if !seen[pattern] {
			t.Errorf("%s is in routes and not in the document", pattern)
		}
	}
	for pattern := range worth {
		if !seen[pattern] {
			t.Errorf("%s is in worths and not in the document", pattern)
		}
	}
}

// Where this fails, run go generate ./api/gen.
func TestGeneratedCodeIsCurrent(t *testing.T) {
	sums, err := os.ReadFile("gen/gen.sum")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(sums)), "\n")
	if len(lines) != 3 {
		t.Fatalf("gen.sum has %d lines, want 3", len(lines))
	}
	for _, line := range lines {
		want, name, _ := strings.Cut(line, "  ")
		data, err := os.ReadFile(filepath.Join("gen", name))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%s is not what gen.sum was made of: run go generate ./api/gen", name)
		}
	}
}
