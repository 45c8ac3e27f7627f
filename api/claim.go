package api

import (
	"context"
	"net/http"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

type claimKey struct{}

// claimed returns which server calls with a pod's token. Unsupported: the region
// has no clusters. RateLimited: too many tokens from this address were no good,
// and this one was not good before.
func (a *API) claimed(ctx context.Context, r *http.Request) (throng.ServerClaim, error) {
	token, err := brought(r)
	if err != nil {
		return throng.ServerClaim{}, err
	}
	switch {
	case a.cfg.Claims == nil:
		return throng.ServerClaim{}, throng.Errorf(throng.Unsupported, "this region runs no game servers on clusters")
	case a.cfg.MachineCertificates && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0):
		return throng.ServerClaim{}, throng.Errorf(throng.Denied, "a pod's token is good with a client certificate only")
	}
	from, now := bucketKey{class: classFailure, who: network(r.RemoteAddr)}, time.Now()
	if wait := a.buckets.wait(from, a.limits.Failures, now); wait > 0 && !a.cfg.Claims.Known(token) {
		a.metrics.limited.Inc()
		return throng.ServerClaim{}, throng.RetryLater(throng.RateLimited, wait, "too many tokens from this address were not valid")
	}
	claim, err := a.cfg.Claims.Claim(ctx, token)
	if err != nil && throng.KindOf(err) == throng.Denied {
		_ = a.buckets.take(from, a.limits.Failures, now) // others may have taken the last one
		return throng.ServerClaim{}, anonymous{err}
	}
	return claim, err
}

// ClaimServer tells a game server who it is.
func (c calls) ClaimServer(ctx context.Context, _ gen.ClaimServerRequestObject) (gen.ClaimServerResponseObject, error) {
	claim, _ := ctx.Value(claimKey{}).(throng.ServerClaim)
	return gen.ClaimServer200JSONResponse(gen.ServerClaimOf(claim)), nil
}
