package api

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// httpError is an error whose HTTP status says more than its kind does.
type httpError struct {
	error
	status int
}

func (e httpError) Unwrap() error { return e.error }

func withStatus(status int, err error) error { return httpError{error: err, status: status} }

// statusOf maps kinds to HTTP, here and nowhere else.
func statusOf(err error) int {
	if special, ok := errors.AsType[httpError](err); ok {
		return special.status
	}
	switch throng.KindOf(err) {
	case throng.Invalid:
		return http.StatusBadRequest
	case throng.Denied:
		if _, ok := errors.AsType[anonymous](err); ok {
			return http.StatusUnauthorized
		}
		return http.StatusForbidden
	case throng.NotFound:
		return http.StatusNotFound
	case throng.Exists, throng.Conflict, throng.Full:
		return http.StatusConflict
	case throng.RateLimited:
		return http.StatusTooManyRequests
	case throng.NoCapacity, throng.Contention, throng.Unavailable:
		return http.StatusServiceUnavailable
	case throng.Unsupported:
		return http.StatusNotImplemented
	case throng.Internal:
		return http.StatusInternalServerError
	}
	return http.StatusInternalServerError
}

func titleOf(k throng.Kind) string {
	switch k {
	case throng.Invalid:
		return "The request can never succeed as it is"
	case throng.Denied:
		return "The caller may not do this"
	case throng.NotFound:
		return "There is no such thing here"
	case throng.Exists:
		return "It is there already"
	case throng.Conflict:
		return "It is something else by now"
	case throng.Full:
		return "There is not room for the whole party"
	case throng.NoCapacity:
		return "No game server could be started"
	case throng.Contention:
		return "Others were faster"
	case throng.RateLimited:
		return "Too many calls"
	case throng.Unavailable:
		return "A part is away"
	case throng.Unsupported:
		return "This version cannot do this"
	case throng.Internal:
		return "Something broke"
	}
	return "Something broke"
}

// retryAfter is how long the caller should wait: what the error says, a second
// where waiting helps, else zero. NoCapacity says so itself: a ticket whose session
// never started gets no other answer, however often it is repeated.
func retryAfter(err error) time.Duration {
	if after := throng.RetryAfterOf(err); after > 0 {
		return after
	}
	switch throng.KindOf(err) {
	case throng.RateLimited, throng.Unavailable, throng.Contention:
		return time.Second
	case throng.Internal, throng.Invalid, throng.Denied, throng.NotFound, throng.Exists,
		throng.Conflict, throng.Full, throng.NoCapacity, throng.Unsupported:
		return 0
	}
	return 0
}

// problemOf says to the caller what went wrong. What is ours stays ours: the
// words of internal errors go to the log only.
func problemOf(err error) gen.Problem {
	kind := throng.KindOf(err)
	p := gen.Problem{
		Type:       "urn:throng:problem:" + kind.String(),
		Title:      titleOf(kind),
		Status:     statusOf(err),
		Code:       kind.String(),
		Detail:     err.Error(),
		RetryAfter: retryAfter(err).Seconds(),
	}
	if _, ok := errors.AsType[overloaded](err); ok {
		p.Title = "The door has more to do than it can"
	}
	if e, ok := errors.AsType[*throng.Error](err); ok {
		p.Field = e.Field
	}
	if kind == throng.Internal {
		p.Detail = "the cause is in the log of the door"
	}
	return p
}

// fail answers with an error. An answer that began already is broken off, so
// that nobody takes it for whole.
func (a *API) fail(w http.ResponseWriter, r *http.Request, failure error) {
	err := failure
	if throng.KindOf(err) == throng.Internal && interrupted(r.Context(), err) {
		err = throng.Errorf(throng.Unavailable, "the call took too long: %w", err)
	}
	if throng.KindOf(err) == throng.Internal {
		a.log.ErrorContext(r.Context(), "call failed", "route", r.Pattern, "err", err)
	}
	if begun, ok := w.(*recorder); ok && begun.status != 0 {
		panic(http.ErrAbortHandler)
	}
	writeProblem(w, err)
}

func writeProblem(w http.ResponseWriter, err error) {
	p := problemOf(err)
	header := w.Header()
	header.Set("Content-Type", "application/problem+json")
	header.Set("Cache-Control", "no-store")
	if after := retryAfter(err); after > 0 {
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(after.Seconds()))))
	}
	if p.Status == http.StatusRequestEntityTooLarge {
		header.Set("Connection", "close") // else net/http reads on
	}
	if p.Status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(p.Status)
	// The caller may be gone; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(p)
}

func interrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
