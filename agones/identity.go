package agones

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"github.com/throng-gg/throng"
)

// claimAgain is when a pod asks again that is nobody yet.
const claimAgain = 500 * time.Millisecond

// Known says whether a token was found good before, and has not expired.
func (b *Backend) Known(token string) bool {
	_, ok := b.verifier.known(token)
	return ok
}

// Identify returns which server a pod is, by the service account token that its
// cluster made for it. Repeated: the same. NotFound: the pod's GameServer is not
// allocated, as far as it was seen. Denied: the token is no good, or the server
// is over, or not this pod's. Unavailable: it cannot be said now.
func (b *Backend) Identify(ctx context.Context, token string) (throng.ServerID, error) {
	id, err := b.identify(ctx, token)
	result := "ok"
	if err != nil {
		result = throng.KindOf(err).String()
	}
	b.metrics.claims.WithLabelValues(result).Inc()
	return id, err
}

// DoorOf returns the door of the control plane that allocated a server, which
// waits for it there; empty: it is not known.
func (b *Backend) DoorOf(id throng.ServerID) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.table.alive(id); r != nil {
		return r.door
	}
	return ""
}

func (b *Backend) identify(ctx context.Context, token string) (throng.ServerID, error) {
	p, err := b.verifier.verify(ctx, token)
	if err != nil {
		return "", err
	}
	id, seen, err := b.serverOf(p)
	if seen || err != nil {
		return id, err
	}
	// The pod may know before the watch does. Who asks in vain waits.
	c := b.cluster(p.cluster)
	if !c.looks.Allow() {
		return "", notYet(p)
	}
	if err := b.look(ctx, c, p.name); err != nil && throng.KindOf(err) != throng.NotFound {
		return "", wrapf(err, "look for the pod's game server")
	}
	id, seen, err = b.serverOf(p)
	if !seen && err == nil {
		err = notYet(p)
	}
	return id, err
}

func notYet(p pod) error {
	return throng.RetryLater(throng.NotFound, claimAgain, "game server %s is not allocated", p.name)
}

// serverOf returns which server a pod is, as it was seen. A pod has the name of
// its GameServer.
func (b *Backend) serverOf(p pod) (id throng.ServerID, seen bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.table.records[place{p.cluster, p.name}]
	switch {
	case r == nil:
		return "", false, nil
	case r.over:
		return "", false, throng.Errorf(throng.Denied, "server %s is over", r.id)
	case p.node != "" && r.node != "" && p.node != r.node:
		return "", false, throng.Errorf(throng.Denied, "the pod is on another node than server %s", r.id)
	case r.pod != "" && r.pod != p.uid:
		return "", false, throng.Errorf(throng.Denied, "server %s is another pod", r.id)
	}
	r.pod = p.uid
	return r.id, true, nil
}

// newLooks bounds how often a cluster is asked for GameServers of pods that are
// not seen.
func newLooks() *rate.Limiter { return rate.NewLimiter(20, 50) }
