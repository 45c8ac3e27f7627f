package api

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/throng-gg/throng"
)

type (
	// Role is the dictionary's.
	Role = throng.Role
	// Caller is the dictionary's.
	Caller = throng.Caller
)

// The roles of credentials.
const (
	RolePlayer   = throng.RolePlayer
	RoleCreator  = throng.RoleCreator
	RoleOperator = throng.RoleOperator
	RoleServer   = throng.RoleServer
	RoleNode     = throng.RoleNode
	RoleRegion   = throng.RoleRegion
	RoleReplica  = throng.RoleReplica
)

type callerKey struct{}

// callerOf returns who is calling. Every route that asks has roles, so that
// there is somebody.
func callerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

func withCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

type remoteKey struct{}

// remoteOf returns the address that a call came from.
func remoteOf(ctx context.Context) string {
	r, _ := ctx.Value(remoteKey{}).(string)
	return r
}

// anonymous is a call without a token that is any good: 401, not 403.
type anonymous struct{ error }

func (a anonymous) Unwrap() error { return a.error }

// authenticate returns who is calling. Denied: nobody that we know (401), or
// somebody whose role may not make this call (403). RateLimited: too many
// tokens from this address were no good; those that were good before still are.
func (a *API) authenticate(r *http.Request, rt route) (Caller, error) {
	token, err := brought(r)
	if err != nil {
		return Caller{}, err
	}
	caller, known := a.cfg.Auth.Known(token)
	if !known {
		if caller, err = a.stranger(r, token); err != nil {
			return Caller{}, err
		}
	}
	switch {
	case caller.Key != "" && !rt.keys:
		return Caller{}, throng.Errorf(throng.Denied, "an API key is not good for this call")
	case !slices.Contains(rt.roles, caller.Role):
		return Caller{}, throng.Errorf(throng.Denied, "a token of role %s is not good for this call", caller.Role)
	case a.cfg.MachineCertificates && !caller.Role.Account() && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0):
		return Caller{}, throng.Errorf(throng.Denied, "a token of role %s is good with a client certificate only", caller.Role)
	}
	return caller, nil
}

// brought returns the token that a call brings. Denied: it brings none.
func brought(r *http.Request) (string, error) {
	header := r.Header.Values("Authorization")
	if len(header) != 1 {
		return "", anonymous{throng.Errorf(throng.Denied, "the Authorization header is missing")}
	}
	scheme, token, _ := strings.Cut(header[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", anonymous{throng.Errorf(throng.Denied, "the Authorization header is not Bearer and a token")}
	}
	return token, nil
}

// stranger verifies a token that was not seen before, while its address has not
// brought too many bad ones.
func (a *API) stranger(r *http.Request, token string) (Caller, error) {
	from, now := bucketKey{class: classFailure, who: network(r.RemoteAddr)}, time.Now()
	if wait := a.buckets.wait(from, a.limits.Failures, now); wait > 0 {
		a.metrics.limited.Inc()
		return Caller{}, throng.RetryLater(throng.RateLimited, wait, "too many tokens from this address were not valid")
	}
	caller, err := a.cfg.Auth.Authenticate(r.Context(), token)
	if throng.KindOf(err) == throng.Denied && err != nil {
		_ = a.buckets.take(from, a.limits.Failures, now) // others may have taken the last one
		return Caller{}, anonymous{err}
	}
	return caller, err
}

// bearer returns the token of a call that was authenticated.
func bearer(r *http.Request) string {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return token
}

// network is what failures are counted by: one who has an IPv6 address has 2^64.
func network(remote string) string {
	addr, err := netip.ParseAddr(host(remote))
	if err != nil {
		return host(remote)
	}
	if addr = addr.Unmap().WithZone(""); addr.Is6() {
		if prefix, err := addr.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return addr.String()
}

// editorOf says what the caller may do with places.
func (a *API) editorOf(ctx context.Context) throng.Editor {
	c := callerOf(ctx)
	return throng.Editor{Player: c.Player, All: c.Role == RoleOperator, Unowned: a.cfg.Unowned}
}

// ownSession checks that a game server speaks for its own session only.
func ownSession(c Caller, s throng.SessionID) error {
	if c.Session == "" || c.Session != s {
		return throng.Errorf(throng.Denied, "the token is not good for session %s", s)
	}
	return nil
}

// ownServer checks that a game server speaks for itself only.
func ownServer(c Caller, field string, s throng.ServerID) error {
	if c.Server != s {
		return throng.AtField(throng.Denied, field, "the token is not good for server %q", s)
	}
	return nil
}
