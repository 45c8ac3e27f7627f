package agones

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
)

const (
	deleteTime  = 8 * time.Second
	cleanAtOnce = 16
	cleanEvery  = 500 * time.Millisecond
	cleanAgain  = 30 * time.Second // most, between two tries
)

// Release deletes a server's GameServer, which ends its process. What comes under
// its ID later is deleted when it is seen. Unknown ones are no error.
// Unavailable: the cluster did not answer; the server is over all the same, and
// is deleted when the cluster is back.
func (b *Backend) Release(ctx context.Context, id throng.ServerID) error {
	if err := b.check(id); err != nil {
		return err
	}
	b.mu.Lock()
	all := b.table.release(id)
	for _, r := range all {
		r.again = time.Now().Add(deleteTime) // the cleaner goes on if we don't
	}
	b.saw(nil, id)
	b.mu.Unlock()
	for _, r := range all {
		if err := b.delete(ctx, r); err != nil {
			b.mu.Lock()
			r.again = time.Time{}
			b.mu.Unlock()
			return wrapf(err, "release %s", id)
		}
	}
	return nil
}

// delete deletes a record's GameServer, if it is still the same one.
func (b *Backend) delete(ctx context.Context, r *record) error {
	ctx, cancel := context.WithTimeout(ctx, deleteTime)
	defer cancel()
	b.mu.Lock()
	c, why, revision := b.cluster(r.cluster), r.doom, ""
	if r.exact {
		revision = strconv.FormatUint(r.revision, 10)
	}
	if r.leaving || b.table.records[r.place] != r {
		delete(b.table.doomed, r.place)
		b.mu.Unlock()
		return nil
	}
	b.mu.Unlock()
	err := c.server.call(ctx, request{
		verb: "delete", method: http.MethodDelete, path: c.gameServers() + "/" + url.PathEscape(r.name),
		body: kind.DeleteOptions{
			APIVersion: "v1", Kind: "DeleteOptions", PropagationPolicy: "Background",
			Preconditions: &kind.Preconditions{UID: r.uid, ResourceVersion: revision},
		},
	}, nil)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.table.records[r.place] != r {
		return nil // it was seen to go
	}
	switch k := throng.KindOf(err); {
	case err == nil:
		b.metrics.cleaned.WithLabelValues(c.cfg.Name, why).Inc()
		b.log.InfoContext(ctx, "game server deleted", "cluster", c.cfg.Name, "server", r.id, "name", r.name, "reason", why)
		r.leaving = true
		delete(b.table.doomed, r.place)
	case k == throng.NotFound:
		b.saw(b.table.vanish(r.place, "exit: its game server is gone"))
	case k == throng.Conflict:
		// It is another one, or has changed: the watch brings what it is now.
		delete(b.table.doomed, r.place)
	default:
		return err
	}
	return nil
}

// clean deletes what is doomed, until ctx ends.
func (b *Backend) clean(ctx context.Context) {
	tick := time.NewTicker(cleanEvery)
	defer tick.Stop()
	var group sync.WaitGroup
	defer group.Wait()
	room := make(chan struct{}, cleanAtOnce)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-b.cleaning:
		}
		for _, r := range b.due(time.Now()) {
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				return
			}
			group.Go(func() {
				defer func() { <-room }()
				b.cleanOne(ctx, r)
			})
		}
	}
}

// due returns what is to be deleted now, and puts each off.
func (b *Backend) due(now time.Time) []*record {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []*record
	for at, r := range b.table.doomed {
		switch c := b.cluster(r.cluster); {
		case r.leaving:
			delete(b.table.doomed, at)
		case now.Before(r.again) || c.away(now):
		default:
			r.again = now.Add(min(time.Second<<min(r.tries, 5), cleanAgain) + deleteTime)
			r.tries++
			all = append(all, r)
		}
	}
	return all
}

func (b *Backend) cleanOne(ctx context.Context, r *record) {
	if err := b.delete(ctx, r); err != nil && ctx.Err() == nil {
		b.log.WarnContext(ctx, "game server not deleted, trying again", "cluster", r.cluster, "server", r.id, "name", r.name, "err", err)
		b.mu.Lock()
		r.again = time.Now().Add(min(time.Second<<min(r.tries, 5), cleanAgain))
		b.mu.Unlock()
	}
}
