package api

import (
	_ "embed" // for the document
	"errors"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

//go:embed openapi.yaml
var document string

// serve is the outermost handler: it counts calls and survives their panics.
func (a *API) serve(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	rec := &recorder{ResponseWriter: w}
	defer func() {
		cause := recover()
		if cause != nil && !isAbort(cause) {
			a.panicked(rec, r, cause)
		}
		a.metrics.observe(routeName(r.Pattern), rec.status, time.Since(start))
		if isAbort(cause) {
			panic(cause)
		}
	}()
	if r.ContentLength != 0 {
		// Also of bodies that nobody reads: net/http does before it answers. Not
		// all writers have deadlines; those of real connections do.
		_ = http.NewResponseController(w).SetReadDeadline(start.Add(a.bodyTime))
	}
	a.mux.ServeHTTP(rec, r)
}

// isAbort knows net/http's way to break off an answer.
func isAbort(cause any) bool {
	err, ok := cause.(error)
	return ok && errors.Is(err, http.ErrAbortHandler)
}

func (a *API) panicked(rec *recorder, r *http.Request, cause any) {
	a.log.ErrorContext(r.Context(), "call panicked", "route", r.Pattern, "reason", cause, "stack", string(debug.Stack()))
	if rec.status == 0 {
		writeProblem(rec, throng.Errorf(throng.Internal, "panicked"))
	}
}

func routeName(pattern string) string {
	if pattern == "" || pattern == "/" {
		return "other"
	}
	return pattern
}

// noRoute answers where no pattern fits: the path is unknown, or the method is.
func (a *API) noRoute(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		other := http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := a.mux.Handler(&other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		a.fail(w, r, throng.Errorf(throng.NotFound, "there is no %q", clip(r.URL.Path)))
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	a.fail(w, r, withStatus(http.StatusMethodNotAllowed,
		throng.Errorf(throng.Invalid, "the method is not one of %s", strings.Join(allowed, ", "))))
}

// failParameter answers to a parameter that does not parse.
func (a *API) failParameter(w http.ResponseWriter, r *http.Request, err error) {
	var format *gen.InvalidParamFormatError
	var many *gen.TooManyValuesForParamError
	switch {
	case errors.As(err, &format):
		a.fail(w, r, throng.AtField(throng.Invalid, format.ParamName, "is not what it should be"))
	case errors.As(err, &many):
		a.fail(w, r, throng.AtField(throng.Invalid, many.ParamName, "is there more than once"))
	default:
		a.fail(w, r, throng.Errorf(throng.Invalid, "a parameter is wrong: %w", err))
	}
}

// mountService mounts what is for the machines that run the door.
func (a *API) mountService(m *router) {
	m.HandleFunc("GET /openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write([]byte(document))
	})
	m.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { ok(w) })
	m.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if a.cfg.Ready != nil {
			if err := a.cfg.Ready(); err != nil {
				a.fail(w, r, throng.Errorf(throng.Unavailable, "not ready: %w", err))
				return
			}
		}
		ok(w)
	})
	metrics := func(w http.ResponseWriter, r *http.Request) {
		a.fail(w, r, throng.Errorf(throng.NotFound, "metrics are not served here"))
	}
	if a.cfg.Gatherer != nil {
		metrics = promhttp.HandlerFor(a.cfg.Gatherer, promhttp.HandlerOpts{}).ServeHTTP
	}
	m.HandleFunc("GET /metrics", metrics)
}

func ok(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader passes the status on.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write passes the body on.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap gives deadlines and hijacking to those who ask for them.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
