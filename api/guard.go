package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"time"

	"github.com/throng-gg/throng"
)

// guard lets a call through when its token, its caller's limits and its body
// are as its route wants them, in this order, so that a stranger costs a check.
func (a *API) guard(rt route, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if !a.shed.Would(rt.worth) {
			a.refuse(w, r, "overload", overload(rt.worth))
			return
		}
		if rt.time > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, rt.time)
			defer cancel()
		}
		ctx, caller, err := a.known(ctx, r, rt)
		if err != nil {
			a.refuse(w, r, "token", err)
			return
		}
		leave, err := a.admit(rt, caller, r.RemoteAddr)
		if err != nil {
			a.refuse(w, r, "limit", err)
			return
		}
		place := &place{leave: leave}
		defer place.end()
		if rt.class == classControl {
			ctx = context.WithValue(ctx, placeKey{}, place)
		}
		worth := &call{shed: a.shed}
		defer worth.end()
		if rt.ticket {
			ctx = context.WithValue(ctx, worthKey{}, worth)
		} else if err := worth.enter(rt.worth); err != nil {
			a.refuse(w, r, "overload", err)
			return
		}
		if rt.claim { // after the limit: it may ask a cluster
			claim, err := a.claimed(ctx, r)
			if err != nil {
				a.refuse(w, r, "token", err)
				return
			}
			ctx = context.WithValue(ctx, claimKey{}, claim)
		}
		r = r.WithContext(ctx)
		if err := a.body(w, r, rt); err != nil {
			a.refuse(w, r, "body", err)
			return
		}
		defer a.lease(rt, w)()
		next(w, r)
	}
}

// known says who calls; nobody where everyone may.
func (a *API) known(ctx context.Context, r *http.Request, rt route) (context.Context, Caller, error) {
	if len(rt.roles) == 0 {
		return ctx, Caller{}, nil
	}
	caller, err := a.authenticate(r, rt)
	if err != nil {
		return ctx, caller, err
	}
	return context.WithValue(withCaller(ctx, caller), remoteKey{}, host(r.RemoteAddr)), caller, nil
}

// place is a call's place among the running ones.
type place struct{ leave func() }

type placeKey struct{}

func (p *place) end() {
	if p.leave != nil {
		p.leave()
	}
}

// keepPlace keeps a call's place when the call returns; who kept it has to leave.
func keepPlace(ctx context.Context) (leave func()) {
	p, ok := ctx.Value(placeKey{}).(*place)
	if !ok || p.leave == nil {
		return func() {}
	}
	leave, p.leave = p.leave, nil
	return leave
}

func (a *API) refuse(w http.ResponseWriter, r *http.Request, reason string, err error) {
	a.metrics.refused.WithLabelValues(reason).Inc()
	a.fail(w, r, err)
}

// admit takes a token from the caller's bucket and a place among the running
// calls; leave gives the place back.
func (a *API) admit(rt route, caller Caller, remote string) (leave func(), err error) {
	if rt.class == classService {
		return func() {}, nil
	}
	if rt.class == classReplica {
		if !a.replicas.enter() {
			return nil, throng.RetryLater(throng.Unavailable, time.Second, "%d calls of replicas are running already", a.replicas.most)
		}
		return a.replicas.leave, nil
	}
	key, limit, running := a.bucketOf(rt, caller, remote)
	if err := a.buckets.take(key, limit, time.Now()); err != nil {
		return nil, err
	}
	most := running.most
	if running == a.accounts || running == a.machines {
		most = rt.worth.Of(most)
	}
	if !running.enterUpTo(most) {
		a.shed.Refuse(rt.worth)
		return nil, throng.RetryLater(throng.Unavailable, time.Second, "%d calls are running already", most)
	}
	return running.leave, nil
}

// bucketOf is the bucket that a call counts against, and among which it runs.
func (a *API) bucketOf(rt route, caller Caller, remote string) (key bucketKey, limit Rate, running *gate) {
	running = a.accounts
	key = bucketKey{class: rt.class, who: string(caller.Player)}
	switch {
	case rt.class == classDev:
		key.who, limit = host(remote), a.limits.DevToken
	case rt.class == classClaim:
		key.who, limit, running = network(remote), a.limits.Claim, a.machines
	case rt.class == classSocket:
		key.who, limit, running = host(remote), a.limits.Socket, a.sockets.gate
	case caller.Role == RoleServer || caller.Role == RoleNode:
		key = bucketKey{class: classMachine, who: string(caller.Server) + string(caller.Node)}
		limit, running = a.limits.Machine, a.machines
	case caller.Role == RoleRegion && (rt.class == classJoin || rt.class == classOwned): // players' joins and saves, though none of them is known here
		key, limit = bucketKey{class: rt.class, who: "region " + string(caller.Region)}, a.limits.Region
	case caller.Role == RoleRegion:
		key = bucketKey{class: classMachine, who: "region " + string(caller.Region)}
		limit, running = a.limits.Machine, a.machines
	case caller.Key != "":
		key, limit = bucketKey{class: classKey, who: string(caller.Key)}, a.limits.Calls
		if caller.KeyRate > 0 {
			limit = Rate{caller.KeyRate, max(1, int(2*caller.KeyRate))}
		}
	case rt.class == classJoin:
		limit = a.limits.Joins
	default:
		limit = a.limits.Calls
	}
	if rt.class == classControl {
		running = a.controls
	}
	return key, limit, running
}

func host(remote string) string {
	if h, _, err := net.SplitHostPort(remote); err == nil {
		return h
	}
	return remote
}

// body checks the body's type and bounds its size. A JSON body is read here, so
// that a slow sender holds nothing else.
func (a *API) body(w http.ResponseWriter, r *http.Request, rt route) error {
	control := http.NewResponseController(w)
	if rt.time > 0 {
		_ = control.SetWriteDeadline(time.Now().Add(rt.time + a.bodyTime))
	}
	if rt.media == "" {
		return nil
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != rt.media {
		return withStatus(http.StatusUnsupportedMediaType,
			throng.AtField(throng.Invalid, "Content-Type", "is not %s", rt.media))
	}
	if r.ContentLength > rt.size {
		return tooLarge(rt.size)
	}
	limited := http.MaxBytesReader(w, r.Body, rt.size)
	if rt.media != mediaJSON {
		_ = control.SetReadDeadline(time.Now().Add(rt.time))
		r.Body = limited
		return nil
	}
	body, err := io.ReadAll(limited)
	if err != nil {
		return readError(err)
	}
	// A deadline that passes later would end a waiting call.
	_ = control.SetReadDeadline(time.Time{})
	if rt.strict != nil {
		if err := decodeStrict(body, rt.strict()); err != nil {
			return err
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

func readError(err error) error {
	var over *http.MaxBytesError
	var slow net.Error
	switch {
	case errors.As(err, &over):
		return tooLarge(over.Limit)
	case errors.As(err, &slow) && slow.Timeout():
		return withStatus(http.StatusRequestTimeout, throng.Errorf(throng.Invalid, "the body took too long"))
	}
	return throng.Errorf(throng.Invalid, "the body broke off")
}

func tooLarge(limit int64) error {
	return withStatus(http.StatusRequestEntityTooLarge,
		throng.Errorf(throng.Invalid, "the body is larger than %d bytes", limit))
}
