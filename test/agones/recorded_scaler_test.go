package agones_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng/test/agones"
	"github.com/throng-gg/throng/test/agones/control"
	"github.com/throng-gg/throng/test/agones/object"
)

const (
	scalerPath = "/apis/autoscaling.agones.dev/v1/namespaces/default/fleetautoscalers"
	theirHook  = "172.30.0.10:9090"
	shortWait  = 3 * time.Second // of the webhook's client, so that hanging is over soon
)

// hook is the webhook of the recordings: it answers as its mode says.
type hook struct {
	*httptest.Server

	mu    sync.Mutex
	mode  string
	calls []hookCall
}

type hookCall struct {
	at      time.Time
	path    string
	headers http.Header
	body    string
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	h.calls = append(h.calls, hookCall{time.Now(), r.URL.Path, r.Header, string(b)})
	mode := h.mode
	h.mu.Unlock()
	var review object.Review
	if err := json.Unmarshal(b, &review); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var replicas int32
	kind, n, _ := strings.Cut(mode, ":")
	_, _ = fmt.Sscan(n, &replicas)
	review.Response = &object.ReviewResponse{UID: review.Request.UID, Scale: true, Replicas: replicas}
	switch kind {
	case "500":
		w.WriteHeader(http.StatusInternalServerError)
		return
	case "204":
		w.WriteHeader(http.StatusNoContent)
		return
	case "hang":
		<-r.Context().Done()
		return
	case "garbage":
		_, _ = io.WriteString(w, "this is not json")
		return
	case "noscale":
		review.Response.Scale, review.Response.Replicas = false, 99
	case "neg":
		review.Response.Replicas = -3
	case "noresp":
		review.Response = nil
	case "nouid":
		review.Request, review.Response.UID = nil, "some-other-uid"
	}
	_ = json.NewEncoder(w).Encode(review)
}

// become changes the mode and forgets the calls so far.
func (h *hook) become(mode string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mode, h.calls = mode, nil
}

func (h *hook) called() []hookCall {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]hookCall{}, h.calls...)
}

// phase is a recorded phase of an autoscaler's life.
type phase struct {
	Mode  string `json:"webhookMode"`
	Calls []struct {
		Body    any         `json:"requestBody"`
		Headers http.Header `json:"requestHeaders"`
		HeldMs  int         `json:"heldMs"`
	} `json:"webhookCalls"`
	After struct {
		Status any `json:"status"`
	} `json:"fleetautoscalerAfter"`
	Events []note `json:"newOrCountedEvents"`
	Fleet  struct {
		Spec int32 `json:"spec"`
	} `json:"fleetReplicas"`
}

// here reads a recording as if its webhook were ours.
func (h *hook) here(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := url.Parse(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), theirHook, ours.Host)
	text = strings.ReplaceAll(text, `"port": 9090`, `"port": `+ours.Port())
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

type scalers struct {
	*fixture
	hook *hook
	c    *comparison
}

// create posts a recorded autoscaler.
func (s *scalers) create(file string) {
	s.t.Helper()
	r := &recording{name: file}
	s.hook.here(s.t, file, r)
	status, b := s.do(r.Request.Method, r.Request.Path, r.Request.Headers, text(s.t, r.Request.Body))
	if status != r.Response.Status {
		s.t.Fatalf("%s: answered %d %s, recorded %d", file, status, b, r.Response.Status)
	}
	s.c.expect(s.t, file, r.Response.Body, body(b))
}

func (s *scalers) remove(name string) {
	s.t.Helper()
	if status, b := s.do(http.MethodDelete, scalerPath+"/"+name, nil, ""); status != http.StatusOK {
		s.t.Fatalf("delete %s: %d %s", name, status, b)
	}
}

// phase plays one: it waits for calls and for what was recorded after them.
func (s *scalers) phase(file, scaler string, calls int) []hookCall {
	s.t.Helper()
	var p phase
	s.hook.here(s.t, file, &p)
	s.hook.become(p.Mode)
	s.eventually(fmt.Sprintf("%s: %d calls", file, calls), time.Minute, func() (bool, any) {
		n := len(s.hook.called())
		return n >= calls, n
	})
	if p.Mode == "ok:5" || p.Mode == "ok:6" { // the last hanging call is over after these
		calls = 0
	}
	var status any
	s.eventually(file+": the status is as recorded", 20*time.Second, func() (bool, any) {
		var fas map[string]any
		s.get(scalerPath+"/"+scaler, &fas)
		status = fas["status"]
		s.c.faults = nil
		s.c.compare("", "", p.After.Status, status)
		return len(s.c.faults) == 0, s.c.faults
	})
	s.eventually(file+": the events are as recorded", 20*time.Second, func() (bool, any) {
		got := s.notes("FleetAutoscaler", scaler)
		for _, n := range p.Events {
			n.Source.Component = "fleetautoscaler-controller"
			if got[n.String()] == 0 {
				return false, map[string]any{"want": n.String(), "got": got}
			}
		}
		return true, nil
	})
	fleet, err := s.Fleets.Get(s.t.Context(), "default", "af")
	if err != nil {
		s.t.Fatal(err)
	}
	if fleet.Spec.Replicas != p.Fleet.Spec {
		s.t.Errorf("%s: the Fleet is set to %d, recorded %d", file, fleet.Spec.Replicas, p.Fleet.Spec)
	}
	got := s.hook.called()
	if len(p.Calls) > 0 && calls > 0 {
		s.c.expect(s.t, file+" (what the webhook was asked)", p.Calls[0].Body, body([]byte(got[0].body)))
		for _, h := range []string{"Accept-Encoding", "Content-Type", "User-Agent"} {
			if want := p.Calls[0].Headers.Get(h); got[0].headers.Get(h) != want {
				s.t.Errorf("%s: header %s is %q, recorded %q", file, h, got[0].headers.Get(h), want)
			}
		}
	}
	return got
}

// TestRecordedAutoscaler replays what was recorded of webhooks, chains and
// buffers. Only the wait for a hanging webhook is shorter.
func TestRecordedAutoscaler(t *testing.T) {
	t.Parallel()
	f := start(t, agones.Options{WebhookTimeout: shortWait})
	s := &scalers{f, newHook(t), newComparison()}
	s.fleetAF()

	s.hook.become("ok:4")
	s.create("fleetautoscaler/00-create-webhook.json")
	s.phase("fleetautoscaler/01-scale-to-4.json", "af-web", 1)
	f.counted("af", func(st *object.FleetStatus) bool { return st.ReadyReplicas == 4 })
	s.phase("fleetautoscaler/02-noscale.json", "af-web", 1)
	calls := s.phase("fleetautoscaler/03-http-500.json", "af-web", 6)
	for i, ms := range []int{200, 200, 200, 200, 3000} {
		want := time.Duration(ms) * time.Millisecond
		if got := calls[i+1].at.Sub(calls[i].at); !between(got, want-20*time.Millisecond, want) {
			t.Errorf("after error %d the next call came after %v, recorded %v", i+1, got, want)
		}
	}
	s.phase("fleetautoscaler/04-garbage.json", "af-web", 1)
	s.phase("fleetautoscaler/05-no-response-field.json", "af-web", 1)
	s.phase("fleetautoscaler/06-other-uid.json", "af-web", 1)
	f.counted("af", func(st *object.FleetStatus) bool { return st.ReadyReplicas == 3 })
	s.phase("fleetautoscaler/07-negative.json", "af-web", 3)
	s.phase("fleetautoscaler/08-204.json", "af-web", 1)
	s.phase("fleetautoscaler/09-hang.json", "af-web", 1)
	s.phase("fleetautoscaler/10-recover.json", "af-web", 1)
	s.remove("af-web")
	f.counted("af", func(st *object.FleetStatus) bool { return st.ReadyReplicas == 5 })

	s.service()
	s.remove("af-svc")
	f.counted("af", func(st *object.FleetStatus) bool { return st.ReadyReplicas == 3 })

	s.hook.become("ok:6")
	s.create("fleetautoscaler/20-create-chain.json")
	s.phase("fleetautoscaler/21-chain-webhook-ok.json", "af-chain", 1)
	f.counted("af", func(st *object.FleetStatus) bool { return st.ReadyReplicas == 6 })
	s.phase("fleetautoscaler/22-chain-webhook-500.json", "af-chain", 1)
	f.counted("af", func(st *object.FleetStatus) bool { return st.ReadyReplicas == 2 })
	s.phase("fleetautoscaler/23-chain-webhook-garbage.json", "af-chain", 1)
	s.phase("fleetautoscaler/24-chain-webhook-hang.json", "af-chain", 1)
	s.phase("fleetautoscaler/25-chain-recover.json", "af-chain", 1)
	f.counted("af", func(st *object.FleetStatus) bool { return st.ReadyReplicas == 6 })
	s.phase("fleetautoscaler/26-chain-noscale.json", "af-chain", 1)
	s.remove("af-chain")

	for _, file := range []string{"30-invalid-both", "32-invalid-buffer", "31-invalid-https-no-ca", "33-invalid-chain-noid"} {
		s.create("fleetautoscaler/" + file + ".json")
	}
	s.strays()

	if _, err := f.Fleets.Patch(t.Context(), "default", "af", []byte(`{"spec":{"replicas":1}}`)); err != nil {
		t.Fatal(err)
	}
	f.counted("af", func(st *object.FleetStatus) bool { return st.ReadyReplicas == 1 })
	s.create("fleetautoscaler/40-create-buffer-default-sync.json")
	want := load(t, "fleetautoscaler/41-buffer-status.json").Response.Body.(map[string]any)["status"] //nolint:forcetypeassert // a test's
	f.eventually("the buffer's status is as recorded", 20*time.Second, func() (bool, any) {
		var fas map[string]any
		f.get(scalerPath+"/af-buf", &fas)
		s.c.faults = nil
		s.c.compare("", "", want, fas["status"])
		return len(s.c.faults) == 0, s.c.faults
	})
	s.awaitEvents("af-buf")
}

// TestRecordedWebhookTimeout: what the test above shortens is as recorded.
func TestRecordedWebhookTimeout(t *testing.T) {
	var p phase
	readJSON(t, "fleetautoscaler/09-hang.json", &p)
	if want := time.Duration(p.Calls[0].HeldMs) * time.Millisecond; control.WebhookTimeout != want {
		t.Errorf("a webhook is waited for for %v, recorded %v", control.WebhookTimeout, want)
	}
}

// fleetAF makes the Fleet of the recordings.
func (s *scalers) fleetAF() {
	s.t.Helper()
	r := load(s.t, "fleet/01-create.json")
	var fleet object.Fleet
	if err := unmarshal(text(s.t, r.Request.Body), &fleet); err != nil {
		s.t.Fatal(err)
	}
	fleet.Name, fleet.Namespace, fleet.Spec.Replicas = "af", "default", 2
	fleet.Labels, fleet.Annotations = map[string]string{"team": "x"}, map[string]string{"note": "hello"}
	if _, err := s.Fleets.Create(s.t.Context(), &fleet); err != nil {
		s.t.Fatal(err)
	}
	s.counted("af", func(st *object.FleetStatus) bool { return st.ReadyReplicas == 2 })
}

// service plays the phase whose webhook is found by a Service.
func (s *scalers) service() {
	s.t.Helper()
	var p struct {
		After map[string]any `json:"fleetautoscalerAfter"`
	}
	s.hook.here(s.t, "fleetautoscaler/11-service-ref.json", &p)
	var svc any
	s.fixture.create("/api/v1/namespaces/default/services",
		`{"metadata":{"name":"whsvc"},"spec":{"type":"ExternalName","externalName":"127.0.0.1"}}`, &svc)
	s.hook.become("ok:3")
	var fas any
	s.fixture.create(scalerPath, text(s.t, map[string]any{
		"apiVersion": "autoscaling.agones.dev/v1", "kind": "FleetAutoscaler",
		"metadata": map[string]any{"name": "af-svc"}, "spec": p.After["spec"],
	}), &fas)
	calls := s.phase("fleetautoscaler/11-service-ref.json", "af-svc", 1)
	if calls[0].path != "/scale-by-service" {
		s.t.Errorf("the service's path was %s", calls[0].path)
	}
}

// strays plays those that never work: no such Fleet, TLS to a server without.
func (s *scalers) strays() {
	s.t.Helper()
	var r recording
	s.hook.here(s.t, "fleetautoscaler/34-no-fleet.json", &r)
	want := r.Response.Body.(map[string]any) //nolint:forcetypeassert // a test's
	var fas any
	s.fixture.create(scalerPath, text(s.t, map[string]any{
		"apiVersion": "autoscaling.agones.dev/v1", "kind": "FleetAutoscaler",
		"metadata": map[string]any{"name": "nofleet"}, "spec": want["spec"],
	}), &fas)
	s.awaitEvents("nofleet")
	s.awaitEvents("bad2")
	var got any
	s.get(scalerPath+"/nofleet", &got)
	s.c.expect(s.t, "fleetautoscaler/34-no-fleet.json", want, got)
	for _, name := range []string{"nofleet", "bad2", "bad4"} {
		s.remove(name)
	}
}

// awaitEvents waits for the events of an autoscaler that were recorded at the end.
func (s *scalers) awaitEvents(name string) {
	s.t.Helper()
	var all struct {
		Events map[string][]note `json:"events"`
	}
	s.hook.here(s.t, "fleetautoscaler/50-events.json", &all)
	s.eventually("the events of "+name+" are as recorded", 30*time.Second, func() (bool, any) {
		got := s.notes("FleetAutoscaler", name)
		for _, n := range all.Events[name] {
			n.Source.Component = "fleetautoscaler-controller"
			if got[n.String()] == 0 {
				return false, map[string]any{"want": n.String(), "got": got}
			}
		}
		return true, nil
	})
}
