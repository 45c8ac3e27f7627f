package autoscale

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
)

// chain is what real Agones was seen to do with a Chain of a webhook and a
// Buffer: who fails is passed over, and Buffer's word counts at once.
func chain(webhook func(kind.FleetStatus) (replicas int, failed bool), b Buffer, s kind.FleetStatus) int {
	if n, failed := webhook(s); !failed {
		return n
	}
	return max(min(s.AllocatedReplicas+b.Size, b.Most), b.Least)
}

// The model of the Chain does what was recorded, so that what is shown with it
// below means something.
func TestChainAsRecorded(t *testing.T) {
	var all []recording
	readFile(t, "recordings.json", &all)
	held := 0
	for _, r := range all {
		if len(r.Policy.Chain) != 2 || len(r.Calls) == 0 {
			continue
		}
		held++
		buffer := r.Policy.Chain[1].Buffer
		var asked kind.FleetAutoscaleReview
		// In the recording of the recovery the first calls still hung.
		unmarshal(t, r.Calls[0].RequestBody, &asked)
		got := chain(func(s kind.FleetStatus) (int, bool) {
			if r.WebhookMode == "noscale" {
				return s.Replicas, false
			}
			text, ok := strings.CutPrefix(r.WebhookMode, "ok:")
			n, err := strconv.Atoi(text)
			return n, !ok || err != nil
		}, Buffer{Size: buffer.BufferSize, Least: buffer.MinReplicas, Most: buffer.MaxReplicas}, asked.Request.Status)
		if got != r.ReplicasAfter {
			t.Errorf("%s: the model says %d, real Agones scaled to %d", r.File, got, r.ReplicasAfter)
		}
	}
	if held != 6 {
		t.Errorf("got %d recordings of a Chain, want 6", held)
	}
}

// outage is a Fleet under a Chain, a region that opens sessions, and a webhook
// that comes and goes.
type outage struct {
	t       *testing.T
	w       *world
	h       *Webhook
	f       Fleet
	away    bool
	now     time.Time
	spec    int
	history []int
}

// sync is one look of Agones, five seconds later. Its status is one look old.
func (o *outage) sync() {
	o.now = o.now.Add(5 * time.Second)
	allocated := len(o.w.sites)
	status := kind.FleetStatus{Replicas: max(o.spec, allocated), AllocatedReplicas: allocated}
	if n := len(o.history); n > 1 {
		status.Replicas = max(o.history[n-2], allocated)
	}
	o.h.numbers.Store(o.h.look(time.Now()))
	o.spec = chain(func(s kind.FleetStatus) (int, bool) {
		if o.away {
			return 0, true
		}
		code, got, _ := post(o.t.Context(), o.h, "/autoscale/one/warm", review("warm", s))
		if code != http.StatusOK {
			return 0, true
		}
		return got.Response.Replicas, false
	}, o.w.buffers[o.f.key()], status)
	o.history = append(o.history, o.spec)
}

func (o *outage) allocate(n int) {
	for range n {
		o.w.sites = append(o.w.sites, throng.ServerSite{Cluster: "one"})
	}
}

func newOutage(t *testing.T) *outage {
	o := &outage{
		t: t, now: noon, spec: 2, f: Fleet{Cluster: "one", Namespace: "games", Name: "warm", Weight: 1},
		w: &world{openings: 20, clusters: []throng.Cluster{{Name: "one"}}, buffers: map[string]Buffer{}},
	}
	o.w.buffers[o.f.key()] = Buffer{Entry: 1, ID: "fallback", Size: 2, Least: 2, Most: 500} // as installed
	o.h = newWebhook(t, o.w, o.f)
	return o
}

// Losing the webhook takes nothing away, also while sessions are opened; coming
// back, even as another process that knows nothing, does not shake the Fleet.
func TestLosingTheWebhook(t *testing.T) {
	o := newOutage(t)
	for range 5 {
		o.sync()
		if got := o.h.keepFallback(t.Context(), o.h.known[o.f.key()]); got != "written" && got != "same" {
			t.Fatalf("got %s, want the Buffer kept", got)
		}
	}
	if o.spec != 20 || o.w.writes != 1 {
		t.Fatalf("got %d servers and %d writes, want 20 and one", o.spec, o.w.writes)
	}
	o.allocate(7)
	o.sync()
	o.away = true
	for i := range 60 {
		before := o.spec
		if i%10 == 5 {
			o.allocate(2)
		}
		o.sync()
		if o.spec < before || o.spec < len(o.w.sites)+20 {
			t.Fatalf("look %d without the webhook: got down from %d to %d, with %d occupied and 20 wanted", i, before, o.spec, len(o.w.sites))
		}
	}
	o.away = false
	o.h = newWebhook(t, o.w, o.f) // another process
	before := o.spec
	for i := range 12 {
		o.sync()
		if o.spec != before {
			t.Errorf("look %d after it came back: got from %d to %d, want it to stay", i, before, o.spec)
		}
	}
	if o.w.writes != 1 {
		t.Errorf("got %d writes to the FleetAutoscaler, want one", o.w.writes)
	}
}

// As the Buffer is installed, and nobody keeps it, the Fleet shrinks: it is the
// keeping that helps.
func TestLosingTheWebhookWithoutKeeping(t *testing.T) {
	o := newOutage(t)
	for range 5 {
		o.sync()
	}
	o.away = true
	o.sync()
	if o.spec != 2 {
		t.Errorf("got %d servers, want the 2 of the Buffer, as it was recorded", o.spec)
	}
}
