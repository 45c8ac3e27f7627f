package client

import (
	"context"
	"net/http"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// ClaimConfig says who asks who he is, and where.
type ClaimConfig struct {
	Addr  string       // URL of the door, or of several, as in Config
	Token string       // that the cluster made for the caller's pod, with audience throng
	HTTP  *http.Client // as in Config
}

// ClaimServer asks the door which server the caller's pod is. It asks once, and
// can be repeated. NotFound: it is not allocated, as far as the door knows; ask
// again after throng.RetryAfterOf. Denied: the token is no good, or the server
// was released: it must end. Unavailable, RateLimited: as all calls. Invalid: a
// bad address.
func ClaimServer(ctx context.Context, cfg ClaimConfig) (throng.ServerClaim, error) {
	if cfg.HTTP == nil {
		cfg.HTTP = newHTTP()
		defer cfg.HTTP.CloseIdleConnections()
	}
	l, err := newLine(cfg.Addr, cfg.HTTP, func() string { return cfg.Token })
	if err != nil {
		return throng.ServerClaim{}, err
	}
	answer, err := send[gen.ServerClaim](ctx, l, callTime, of(gen.NewClaimServerRequest(l.addr, gen.ClaimRequest{})))
	if err != nil {
		return throng.ServerClaim{}, err
	}
	claim, err := answer.Root()
	if err != nil {
		return throng.ServerClaim{}, throng.Errorf(throng.Unavailable, "read the door's answer: %w", err)
	}
	return claim, nil
}
