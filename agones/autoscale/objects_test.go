package autoscale

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
)

func unmarshal(t *testing.T, text []byte, out any) {
	t.Helper()
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatal(err)
	}
}

// exchange is a recorded call of an API server.
type exchange struct {
	Request  struct{ Body json.RawMessage }
	Response struct {
		Status int
		Body   json.RawMessage
	}
}

// cluster is an API server with one FleetAutoscaler.
func cluster(t *testing.T, f http.HandlerFunc) Objects {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return Objects{API: func(name string) (string, *http.Client, error) {
		if name != "one" {
			return "", nil, throng.Errorf(throng.NotFound, "no cluster %q", name)
		}
		return s.URL, s.Client(), nil
	}}
}

func TestFallbackOfARecordedChain(t *testing.T) {
	var recorded exchange
	readFile(t, "chain.json", &recorded)
	var patch []map[string]any
	o := cluster(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/apis/autoscaling.agones.dev/v1/namespaces/games/fleetautoscalers/warm" {
			t.Errorf("got path %s", r.URL.Path)
		}
		if r.Method == http.MethodPatch {
			body, _ := io.ReadAll(r.Body)
			unmarshal(t, body, &patch)
			if got := r.Header.Get("Content-Type"); got != "application/json-patch+json" {
				t.Errorf("got content type %s", got)
			}
		}
		_, _ = rw.Write(recorded.Response.Body)
	})
	f := Fleet{Cluster: "one", Namespace: "games", Name: "warm"}
	got, err := o.Fallback(t.Context(), f)
	if want := (Buffer{Entry: 1, ID: "fallback", Size: 2, Least: 2, Most: 10}); err != nil || got != want {
		t.Fatalf("got %+v %v, want %+v", got, err, want)
	}
	if err := o.SetFallback(t.Context(), f, got, Buffer{Size: 7, Least: 7, Most: 20}); err != nil {
		t.Fatal(err)
	}
	want := `[{"op":"test","path":"/spec/policy/chain/1/id","value":"fallback"},` +
		`{"op":"test","path":"/spec/policy/chain/1/buffer/bufferSize","value":2},` +
		`{"op":"replace","path":"/spec/policy/chain/1/buffer/bufferSize","value":7},` +
		`{"op":"add","path":"/spec/policy/chain/1/buffer/minReplicas","value":7},` +
		`{"op":"add","path":"/spec/policy/chain/1/buffer/maxReplicas","value":20}]`
	if text, _ := json.Marshal(patch); string(text) != want {
		t.Errorf("got patch %s, want %s", text, want)
	}
}

func TestFallbackRefusals(t *testing.T) {
	var refused exchange
	readFile(t, "invalid-buffer.json", &refused)
	spec := func(policy string) string { return `{"spec":{"policy":` + policy + `}}` }
	for name, c := range map[string]struct {
		status int
		body   string
		kind   throng.Kind
		words  string
	}{
		"only a webhook":   {200, spec(`{"type":"Webhook"}`), throng.NotFound, "no Buffer"},
		"no Buffer":        {200, spec(`{"type":"Chain","chain":[{"id":"a","type":"Webhook"}]}`), throng.NotFound, "no Buffer"},
		"a percentage":     {200, spec(`{"type":"Chain","chain":[{"id":"a","type":"Buffer","buffer":{"bufferSize":"20%"}}]}`), throng.NotFound, `"20%"`},
		"not there":        {404, `{"kind":"Status","message":"not found"}`, throng.NotFound, "not found"},
		"not allowed":      {403, `{"kind":"Status","message":"forbidden"}`, throng.Denied, "forbidden"},
		"changed":          {409, `{}`, throng.Conflict, "Conflict"},
		"refused":          {refused.Response.Status, string(refused.Response.Body), throng.Conflict, "minReplicas should be bigger"},
		"too many calls":   {429, `x`, throng.Unavailable, "Too Many"},
		"no JSON":          {200, `x`, throng.Internal, "not understood"},
		"a proxy's answer": {502, `<html>`, throng.Internal, "Bad Gateway"},
	} {
		o := cluster(t, func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(c.status)
			_, _ = io.WriteString(rw, c.body)
		})
		_, err := o.Fallback(t.Context(), Fleet{Cluster: "one", Namespace: "games", Name: "warm"})
		if throng.KindOf(err) != c.kind || err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: got %v %v, want %v and %q", name, throng.KindOf(err), err, c.kind, c.words)
		}
		if _, err := o.Fallback(t.Context(), Fleet{Cluster: "two"}); throng.KindOf(err) != throng.NotFound {
			t.Errorf("another cluster: got %v, want NotFound", err)
		}
	}
}
