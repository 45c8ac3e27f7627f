package autoscale

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
	"github.com/throng-gg/throng/fleet"
)

// world is a region as the webhook knows it.
type world struct {
	mu       sync.Mutex
	clusters []throng.Cluster
	sites    []throng.ServerSite
	openings int
	fell     bool
	missing  int

	buffers map[string]Buffer // by key of the Fleet
	writes  int
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) Clusters() []throng.Cluster {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]throng.Cluster(nil), w.clusters...)
}

func (w *world) Sites() []throng.ServerSite {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]throng.ServerSite(nil), w.sites...)
}

func (w *world) Expect(time.Time, time.Duration) fleet.Outlook {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fleet.Outlook{Openings: w.openings, Fell: w.fell}
}

func (w *world) Missing() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.missing
}

func (w *world) Fallback(_ context.Context, f Fleet) (Buffer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, ok := w.buffers[f.key()]
	if !ok {
		return b, throng.Errorf(throng.NotFound, "none")
	}
	return b, nil
}

func (w *world) SetFallback(_ context.Context, f Fleet, was, next Buffer) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.buffers[f.key()] != was {
		return throng.Errorf(throng.Conflict, "another one")
	}
	w.buffers[f.key()] = next
	w.writes++
	return nil
}

func newWebhook(tb testing.TB, w *world, fleets ...Fleet) *Webhook {
	tb.Helper()
	h, err := New(Config{
		Fleets: fleets, Clusters: w, Demand: w, Autoscalers: w, Metrics: prometheus.NewPedanticRegistry(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// post asks the webhook as Agones does.
func post(ctx context.Context, h http.Handler, path string, body []byte) (status int, review kind.FleetAutoscaleReview, text string) {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	rw := httptest.NewRecorder()
	h.ServeHTTP(rw, r)
	if rw.Code == http.StatusOK {
		if err := json.Unmarshal(rw.Body.Bytes(), &review); err != nil {
			return rw.Code, review, err.Error()
		}
	}
	return rw.Code, review, rw.Body.String()
}

// review is what Agones posts.
func review(name string, s kind.FleetStatus) []byte {
	body, err := json.Marshal(kind.FleetAutoscaleReview{Request: &kind.FleetAutoscaleRequest{
		UID: "u-1", Name: name, Namespace: "games", Status: s,
	}})
	if err != nil {
		panic(err)
	}
	return body
}
