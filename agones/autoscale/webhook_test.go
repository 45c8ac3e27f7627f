package autoscale

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
)

func readFile(tb testing.TB, name string, out any) {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(text, out); err != nil {
		tb.Fatal(err)
	}
}

// recording is how real Agones and a webhook got on.
type recording struct {
	File          string
	WebhookMode   string
	Calls         []recordedCall
	Policy        kindPolicy
	ReplicasAfter int
}

type recordedCall struct {
	RequestBody    json.RawMessage
	RequestHeaders http.Header
	ResponseBody   string
}

type kindPolicy struct {
	Chain []struct {
		ID     string
		Buffer *struct{ BufferSize, MinReplicas, MaxReplicas int }
	}
}

// Everything that real Agones asked is answered, in the form that it understood
// when its fleet was scaled: there is no other way to learn whether it does.
func TestRecordedQuestions(t *testing.T) {
	var all []recording
	readFile(t, "recordings.json", &all)
	w := &world{openings: 7, clusters: []throng.Cluster{{Name: "one"}}}
	h := newWebhook(t, w, Fleet{Cluster: "one", Namespace: "default", Name: "af", Weight: 1})
	h.numbers.Store(h.look(time.Now()))
	calls := 0
	for _, r := range all {
		for _, c := range r.Calls {
			calls++
			var asked kind.FleetAutoscaleReview
			if err := json.Unmarshal(c.RequestBody, &asked); err != nil {
				t.Fatal(err)
			}
			status, got, text := post(t.Context(), h, "/autoscale/one/af", c.RequestBody)
			if status != http.StatusOK || got.Response == nil {
				t.Fatalf("%s: got %d %s", r.File, status, text)
			}
			if want := (kind.FleetAutoscaleResponse{UID: asked.Request.UID, Scale: true, Replicas: 7}); *got.Response != want {
				t.Errorf("%s: got %+v, want %+v", r.File, *got.Response, want)
			}
			if !strings.HasPrefix(r.WebhookMode, "ok") {
				continue
			}
			// The answer that it took has the same fields.
			var took struct{ Response map[string]any }
			if err := json.Unmarshal([]byte(c.ResponseBody), &took); err != nil {
				t.Fatal(err)
			}
			var ours struct{ Response map[string]any }
			if err := json.Unmarshal([]byte(text), &ours); err != nil {
				t.Fatal(err)
			}
			for field := range took.Response {
				if _, ok := ours.Response[field]; !ok {
					t.Errorf("%s: our answer has no %s: %s", r.File, field, text)
				}
			}
		}
	}
	if calls < 30 {
		t.Errorf("got %d recorded questions, want 30 at least", calls)
	}
}

func TestBadQuestions(t *testing.T) {
	w := &world{openings: 3, clusters: []throng.Cluster{{Name: "one"}}}
	h := newWebhook(t, w, Fleet{Cluster: "one", Name: "warm", Weight: 1})
	good := review("warm", kind.FleetStatus{Replicas: 2})
	if status, _, text := post(t.Context(), h, "/autoscale/one/warm", good); status != http.StatusServiceUnavailable {
		t.Errorf("before Run: got %d %s, want 503, so that the Buffer is asked", status, text)
	}
	h.numbers.Store(h.look(time.Now()))
	for name, c := range map[string]struct {
		path, body string
		status     int
		words      string
	}{
		"good":            {"/autoscale/one/warm", string(good), 200, `"replicas":3`},
		"garbage":         {"/autoscale/one/warm", "{", 400, "not understood"},
		"empty":           {"/autoscale/one/warm", "", 400, "not understood"},
		"no request":      {"/autoscale/one/warm", `{"response":null}`, 400, "missing"},
		"another fleet":   {"/autoscale/one/warm", string(review("cold", kind.FleetStatus{})), 400, `is "cold"`},
		"negative":        {"/autoscale/one/warm", string(review("warm", kind.FleetStatus{Replicas: -1})), 400, "not possible"},
		"absurd":          {"/autoscale/one/warm", string(review("warm", kind.FleetStatus{Replicas: 1 << 40})), 400, "not possible"},
		"too large":       {"/autoscale/one/warm", strings.Repeat(" ", maxBody+1), 400, "larger than"},
		"fraction":        {"/autoscale/one/warm", `{"request":{"name":"warm","status":{"replicas":1.5}}}`, 400, "not understood"},
		"another path":    {"/autoscale/one", string(good), 404, ""},
		"unknown cluster": {"/autoscale/two/warm", string(good), 404, "not in the configuration"},
	} {
		if status, _, text := post(t.Context(), h, c.path, []byte(c.body)); status != c.status || !strings.Contains(text, c.words) {
			t.Errorf("%s: got %d %s, want %d and %q", name, status, text, c.status, c.words)
		}
	}
	h.numbers.Store(h.look(time.Now().Add(-time.Minute)))
	if status, _, text := post(t.Context(), h, "/autoscale/one/warm", good); status != http.StatusServiceUnavailable {
		t.Errorf("with old numbers: got %d %s, want 503", status, text)
	}
}

// Where servers run, what is missing, and which cluster is away make the answer.
func TestNumbersMakeTheAnswer(t *testing.T) {
	w := &world{openings: 10, missing: 2, clusters: []throng.Cluster{{Name: "one"}, {Name: "two"}}}
	for range 5 {
		w.sites = append(w.sites, throng.ServerSite{Cluster: "one"})
	}
	h := newWebhook(t, w, Fleet{Cluster: "one", Name: "warm", Weight: 2}, Fleet{Cluster: "two", Name: "warm", Weight: 1})
	ask := func(cluster string, s kind.FleetStatus) int {
		h.numbers.Store(h.look(time.Now()))
		_, got, text := post(t.Context(), h, "/autoscale/"+cluster+"/warm", review("warm", s))
		if got.Response == nil {
			t.Fatalf("got %s", text)
		}
		return got.Response.Replicas
	}
	if one, two := ask("one", kind.FleetStatus{}), ask("two", kind.FleetStatus{}); one != 13 || two != 4 {
		t.Errorf("got %d and %d, want 5 occupied and 8 Ready, and 4 Ready", one, two)
	}
	old := newWebhook(t, w, Fleet{Cluster: "one", Name: "warm"})
	old.numbers.Store(old.look(time.Now().Add(-5 * time.Second)))
	if _, got, text := post(t.Context(), old, "/autoscale/one/warm", review("warm", kind.FleetStatus{Replicas: 9})); got.Response == nil || got.Response.Replicas != 9 {
		t.Errorf("of a fleet that gets no servers any more: got %s, want what is there, until it goes down", text)
	}
	w.set(func() { w.clusters[0].Avoided = true })
	h.numbers.Store(h.look(time.Now()))
	if n := h.numbers.Load(); n.wanted["one/warm"] != 0 || n.wanted["two/warm"] != 12 || n.away["one"] {
		t.Errorf("with one drained: got %+v, want nothing there, all in the other, and that it may go down", n)
	}
	w.set(func() { w.clusters[0].Avoided = false })
	w.set(func() { w.clusters[0].Away = "the API server does not answer" })
	if one, two := ask("one", kind.FleetStatus{}), ask("two", kind.FleetStatus{}); one != 13 || two != 12 {
		t.Errorf("with one away: got %d and %d, want it kept at 13, and 12 in the other", one, two)
	}
}

func TestRunKeepsNumbersFreshAndEnds(t *testing.T) {
	w := &world{openings: 3, clusters: []throng.Cluster{{Name: "one"}}}
	h := newWebhook(t, w, Fleet{Cluster: "one", Name: "warm", Weight: 1})
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- h.Run(ctx) }()
	deadline := time.After(time.Minute)
	want := func(n int) {
		t.Helper()
		for h.numbers.Load() == nil || h.numbers.Load().wanted["one/warm"] != n {
			select {
			case <-deadline:
				t.Fatalf("got %+v, want %d", h.numbers.Load(), n)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	want(3)
	w.set(func() { w.openings = 9 })
	want(9)
	cancel()
	if err := <-over; err != nil {
		t.Errorf("got %v from Run, want nil", err)
	}
}

func TestNewRefuses(t *testing.T) {
	w := &world{}
	for name, c := range map[string]Config{
		"no clusters": {Demand: w},
		"no demand":   {Clusters: w},
		"twice":       {Demand: w, Clusters: w, Fleets: []Fleet{{Cluster: "a", Name: "b"}, {Cluster: "a", Name: "b"}}},
		"least above": {Demand: w, Clusters: w, Fleets: []Fleet{{Cluster: "a", Name: "b", Least: 5, Most: 4}}},
		"below zero":  {Demand: w, Clusters: w, Fleets: []Fleet{{Cluster: "a", Name: "b", Weight: -1}}},
		"no name":     {Demand: w, Clusters: w, Fleets: []Fleet{{Cluster: "a"}}},
	} {
		if _, err := New(c); throng.KindOf(err) != throng.Invalid {
			t.Errorf("%s: got %v, want Invalid", name, err)
		}
	}
}

// BenchmarkAnswers answers for 10,000 Fleets: one for each of as many places.
func BenchmarkAnswers(b *testing.B) {
	const places = 10_000
	w := &world{openings: places}
	var fleets []Fleet
	var bodies [][]byte
	for i := range places {
		name := "place-" + strconv.Itoa(i)
		fleets = append(fleets, Fleet{Cluster: "one", Name: name, Weight: 1})
		bodies = append(bodies, review(fleets[i].Name, kind.FleetStatus{Replicas: 3, ReadyReplicas: 1, AllocatedReplicas: 2}))
	}
	w.clusters = []throng.Cluster{{Name: "one"}}
	for range 2 * places {
		w.sites = append(w.sites, throng.ServerSite{Cluster: "one"})
	}
	h := newWebhook(b, w, fleets...)
	took := make([]time.Duration, 0, places)
	for b.Loop() {
		took = took[:0]
		h.numbers.Store(h.look(time.Now()))
		for i, f := range fleets {
			began := time.Now()
			if status, _, text := post(b.Context(), h, "/autoscale/one/"+f.Name, bodies[i]); status != http.StatusOK {
				b.Fatalf("got %d %s", status, text)
			}
			took = append(took, time.Since(began))
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/10000-fleets")
}
