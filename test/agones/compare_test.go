package agones_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// recording is one recorded exchange.
type recording struct {
	name    string
	Request struct {
		Method  string            `json:"method"`
		Path    string            `json:"path"`
		Headers map[string]string `json:"headers"`
		Body    any               `json:"body"`
	} `json:"request"`
	Response *struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		Body    any               `json:"body"`
	} `json:"response"`

	// Of sdk-incluster, which the game recorded.
	Method          string              `json:"method"`
	Path            string              `json:"path"`
	RequestBody     string              `json:"requestBody"`
	Status          int                 `json:"status"`
	ResponseBody    string              `json:"responseBody"`
	ResponseHeaders map[string][]string `json:"responseHeaders"`
}

func readJSON(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func load(t *testing.T, name string) *recording {
	t.Helper()
	r := &recording{name: name}
	readJSON(t, name, r)
	return r
}

// text is a body as it went over the wire.
func text(t *testing.T, body any) string {
	t.Helper()
	switch b := body.(type) {
	case nil:
		return ""
	case string:
		return b
	default:
		out, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
}

// body reads an answer: JSON as it is parsed, anything else as a string.
func body(b []byte) any {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return string(b)
	}
	return v
}

// comparison compares what was recorded with what came. Names that Kubernetes
// made up are matched up: one of theirs is always the same one of ours.
type comparison struct {
	ours   map[string]string
	theirs map[string]string
	faults []string
}

func newComparison() *comparison {
	return &comparison{ours: map[string]string{}, theirs: map[string]string{}}
}

var (
	madeUp = regexp.MustCompile(`^[a-z]+(-[a-z0-9]{5}){1,2}-?$`)
	random = regexp.MustCompile(`\b[a-z]{2,4}(-[bcdfghjklmnpqrstvwxz2456789]{5}){1,2}\b`)
	moment = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)
	// posted is where a webhook of theirs or ours is, and what the network says of it.
	posted = regexp.MustCompile(`Post "https?://[^"]*": .*`)
)

// free are keys whose values belong to the run: only the type has to be right.
var free = map[string]bool{
	"uid": true, "resourceVersion": true, "resource_version": true, "address": true, "nodeName": true,
	"creation_timestamp": true, "port": true, "hostPort": true, "generation": true,
}

// expect compares and reports; what came is named by what.
func (c *comparison) expect(t *testing.T, what string, want, got any) {
	t.Helper()
	c.faults = nil
	c.compare("", "", want, got)
	if len(c.faults) > 0 {
		g, _ := json.Marshal(got)
		w, _ := json.Marshal(want)
		t.Errorf("%s differs from the recording:\n  %s\n  recorded %s\n  got      %s", what, strings.Join(c.faults, "\n  "), w, g)
	}
}

func (c *comparison) fault(path, format string, args ...any) {
	c.faults = append(c.faults, path+": "+fmt.Sprintf(format, args...))
}

func (c *comparison) compare(path, key string, want, got any) {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			c.fault(path, "got %T, want an object", got)
			return
		}
		c.objects(path, w, g)
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			c.fault(path, "got %v, want %d elements", got, len(w))
			return
		}
		for i := range w {
			c.compare(fmt.Sprintf("%s[%d]", path, i), key, w[i], g[i])
		}
	case string:
		g, ok := got.(string)
		if !ok {
			c.fault(path, "got %v, want a string", got)
			return
		}
		c.strings(path, key, w, g)
	default:
		if fmt.Sprintf("%T", want) != fmt.Sprintf("%T", got) || !free[key] && want != got {
			c.fault(path, "got %v, want %v", got, want)
		}
	}
}

func (c *comparison) objects(path string, want, got map[string]any) {
	keys := slices.Collect(maps.Keys(want))
	for k := range got {
		if _, ok := want[k]; !ok && k != "managedFields" {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		w, inWant := want[k]
		g, inGot := got[k]
		at := path + "." + k
		switch {
		case !inGot:
			c.fault(at, "missing, want %v", w)
		case !inWant:
			c.fault(at, "got %v, which was not recorded", g)
		default:
			c.compare(at, k, w, g)
		}
	}
}

func (c *comparison) strings(path, key, want, got string) {
	switch {
	case free[key]:
		if want == "" != (got == "") {
			c.fault(path, "got %q, want %q", got, want)
		}
	case moment.MatchString(want):
		if !moment.MatchString(got) {
			c.fault(path, "got %q, want a time", got)
		}
	case madeUp.MatchString(want) && random.MatchString(want):
		c.pair(path, want, got)
	default:
		// Addresses of webhooks, and what the network says of them, are the run's.
		if w, g := posted.ReplaceAllString(want, "POST"), posted.ReplaceAllString(got, "POST"); w != g {
			c.fault(path, "got %q, want %q", g, w)
		}
	}
}

func (c *comparison) pair(path, want, got string) {
	if ours, ok := c.ours[want]; ok && ours != got {
		c.fault(path, "got %q, but %q was %q before", got, want, ours)
		return
	}
	if theirs, ok := c.theirs[got]; ok && theirs != want {
		c.fault(path, "got %q, which was %q before, not %q", got, theirs, want)
		return
	}
	c.ours[want], c.theirs[got] = got, want
}

// contentType compares the types of two answers.
func contentType(t *testing.T, what, want, got string) {
	t.Helper()
	if want != got {
		t.Errorf("%s: content type %q, recorded %q", what, got, want)
	}
}

// between tells whether d is at least from and, on a busy machine, not long after to.
func between(d, from, to time.Duration) bool {
	return d >= from && d <= to+3*time.Second
}
