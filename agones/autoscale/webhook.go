package autoscale

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
)

const (
	maxBody     = 1 << 20 // bytes of a review: annotations may be 256 KiB, counters and lists come on top
	defaultLead = 30 * time.Second
	atOnce      = 64          // questions that are worked on; more are refused, and Agones asks again
	sayTime     = time.Minute // between two log lines about Fleets that are not known
)

// Config is what a Webhook needs. Zero values mean the defaults.
type Config struct {
	Fleets      []Fleet     // that it knows
	Clusters    Clusters    // required
	Demand      Demand      // required
	Autoscalers Autoscalers // nil: the Buffers behind the webhook are not kept

	// Lead is how long it takes from Agones' question to servers that are Ready:
	// the FleetAutoscaler's sync, and the start of pods and of nodes; 30 s.
	Lead time.Duration

	Logger  *slog.Logger          // nil: says nothing
	Metrics prometheus.Registerer // nil: not registered
}

// Webhook answers Agones' FleetAutoscalers. It is an http.Handler for
// POST /autoscale/{cluster}/{fleet}.
type Webhook struct {
	http.Handler
	fleets      []Fleet // unique
	known       map[string]*fleetState
	clusters    Clusters
	demand      Demand
	autoscalers Autoscalers
	lead        time.Duration
	logger      *slog.Logger
	metrics     *metrics
	numbers     atomic.Pointer[numbers] // nil: Run has not begun
	busy        chan struct{}           // full: refused
	said        atomic.Int64            // when the log had a line about a Fleet that is not known
}

// fleetState is a Fleet that is known.
type fleetState struct {
	fleet Fleet

	mu     sync.Mutex
	memory memory // guarded by mu
	ready  int    // guarded by mu; Ready servers of the last answer; -1: there was none
}

func (f Fleet) key() string { return f.Cluster + "/" + f.Name }

// New makes a Webhook, which answers once it is Run. Invalid: something that is
// required is missing, or a Fleet is there twice.
func New(c Config) (*Webhook, error) {
	if c.Clusters == nil || c.Demand == nil {
		return nil, throng.Errorf(throng.Invalid, "a webhook for FleetAutoscalers needs clusters and demand")
	}
	w := &Webhook{
		fleets: c.Fleets, known: map[string]*fleetState{}, busy: make(chan struct{}, atOnce),
		clusters: c.Clusters, demand: c.Demand, autoscalers: c.Autoscalers, lead: c.Lead, logger: c.Logger,
	}
	if w.lead == 0 {
		w.lead = defaultLead
	}
	if w.logger == nil {
		w.logger = slog.New(slog.DiscardHandler)
	}
	for _, f := range c.Fleets {
		if f.Cluster == "" || f.Name == "" || w.known[f.key()] != nil {
			return nil, throng.Errorf(throng.Invalid, "fleet %q of cluster %q has no name, or is there twice", f.Name, f.Cluster)
		}
		if b := f.bounds(); f.Weight < 0 || b.readyLeast < 0 || b.least < 0 || b.readyMost < b.readyLeast || b.most < b.least {
			return nil, throng.Errorf(throng.Invalid, "fleet %s: a weight below 0, or the least of something is above its most", f.key())
		}
		w.known[f.key()] = &fleetState{fleet: f, ready: -1}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /autoscale/{cluster}/{fleet}", w.serve)
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	w.Handler = mux
	var err error
	w.metrics, err = newMetrics(c.Metrics)
	return w, err
}

// serve answers one FleetAutoscaler. Errors are HTTP 4xx and 5xx: Agones then
// leaves the Fleet as it is, or goes on to the next policy of its Chain.
func (w *Webhook) serve(rw http.ResponseWriter, r *http.Request) {
	began := time.Now()
	answer, err := w.answer(rw, r, began)
	if err != nil {
		w.metrics.answers.WithLabelValues(throng.KindOf(err).String()).Inc()
		http.Error(rw, err.Error(), statusOf(err))
		return
	}
	w.metrics.answers.WithLabelValues("ok").Inc()
	w.metrics.seconds.Observe(time.Since(began).Seconds())
	rw.Header().Set("Content-Type", "application/json")
	// Who went away hears nothing.
	_ = json.NewEncoder(rw).Encode(kind.FleetAutoscaleReview{Response: &answer})
}

func statusOf(err error) int {
	switch throng.KindOf(err) { //nolint:exhaustive // there are no others
	case throng.Invalid:
		return http.StatusBadRequest
	case throng.NotFound:
		return http.StatusNotFound
	default:
		return http.StatusServiceUnavailable
	}
}

func (w *Webhook) answer(rw http.ResponseWriter, r *http.Request, now time.Time) (a kind.FleetAutoscaleResponse, err error) {
	select {
	case w.busy <- struct{}{}:
		defer func() { <-w.busy }()
	default:
		return a, throng.Errorf(throng.Unavailable, "%d questions are being answered", atOnce)
	}
	asked, err := read(rw, r)
	if err != nil {
		return a, err
	}
	n, err := w.replicas(r.PathValue("cluster"), r.PathValue("fleet"), asked, now)
	return kind.FleetAutoscaleResponse{UID: asked.UID, Scale: true, Replicas: n}, err
}

// read reads what Agones asks.
func read(rw http.ResponseWriter, r *http.Request) (*kind.FleetAutoscaleRequest, error) {
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, throng.Errorf(throng.Invalid, "the review is larger than %d bytes", maxBody)
	}
	if err != nil {
		return nil, throng.Errorf(throng.Invalid, "read the review: %w", err)
	}
	var review kind.FleetAutoscaleReview
	if err := json.Unmarshal(body, &review); err != nil {
		return nil, throng.Errorf(throng.Invalid, "the review is not understood: %w", err)
	}
	if review.Request == nil {
		return nil, throng.AtField(throng.Invalid, "request", "is missing in the review")
	}
	s := review.Request.Status
	for _, n := range []int{s.Replicas, s.ReadyReplicas, s.ReservedReplicas, s.AllocatedReplicas} {
		if n < 0 || n > mostServers {
			return nil, throng.AtField(throng.Invalid, "request.status", "%d servers are not possible", n)
		}
	}
	return review.Request, nil
}

// replicas is the answer.
func (w *Webhook) replicas(cluster, name string, asked *kind.FleetAutoscaleRequest, now time.Time) (int, error) {
	if asked.Name != name {
		return 0, throng.AtField(throng.Invalid, "request.name", "is %q, and the webhook was asked for %q", asked.Name, name)
	}
	state := w.known[cluster+"/"+name]
	if state == nil {
		// An error keeps what is there. The number that Agones says would not: it
		// is late, so that what is just being started would be ended.
		if said := w.said.Load(); now.UnixNano()-said > int64(sayTime) && w.said.CompareAndSwap(said, now.UnixNano()) {
			w.logger.Warn("a FleetAutoscaler asks for a fleet that is not in the configuration", "cluster", cluster, "fleet", name)
		}
		return 0, throng.Errorf(throng.NotFound, "fleet %s of cluster %s is not in the configuration", name, cluster)
	}
	numbers := w.numbers.Load()
	if numbers == nil || now.Sub(numbers.at) > freshTime {
		return 0, throng.Errorf(throng.Unavailable, "there are no fresh numbers of the region")
	}
	state.mu.Lock()
	defer state.mu.Unlock()
	n := state.memory.answer(view{
		now: now, status: asked.Status, bounds: state.fleet.bounds(),
		allocated: numbers.allocated[cluster],
		want:      numbers.wanted[state.fleet.key()],
		// Where nobody can see what runs, all stays; what gets no servers any more
		// goes down.
		hold: numbers.fell || numbers.away[cluster] && state.fleet.Weight > 0,
	})
	state.ready = state.memory.target.Size()
	w.metrics.replicas.WithLabelValues(cluster, name).Set(float64(n))
	w.metrics.ready.WithLabelValues(cluster, name).Set(float64(state.ready))
	return n, nil
}
