package agones

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
)

const (
	orderTime = 8 * time.Second        // longest wait for an answer; Agones needs 0 to 2.5 s
	showTime  = time.Second            // for a server that was allocated to be seen
	fateTime  = 300 * time.Millisecond // the same for one that may have been
	getTime   = 3 * time.Second
)

// flight is an allocation under way.
type flight struct {
	done chan struct{}
	err  error // once done is closed
}

// Allocate claims a Ready GameServer and marks it with the ID. Each ID is asked
// for once: where the answer is lost, the mark is looked for, and if it is not
// there (yet), the call is Unavailable, and so are its repeats until the mark
// shows. NoCapacity: no cluster that may be asked has a Ready one. Conflict: the
// ID's server is over or released. Unavailable else: no cluster could be asked.
func (b *Backend) Allocate(ctx context.Context, id throng.ServerID) error {
	if err := b.check(id); err != nil {
		return err
	}
	b.awaitSync(ctx, func(c *cluster) bool { return !c.away(time.Now()) }, 1)
	b.mu.Lock()
	if why, over := b.table.over.Get(id); over {
		b.mu.Unlock()
		return throng.Errorf(throng.Conflict, "allocate %s: it is over: %s", id, why)
	}
	if b.table.alive(id) != nil {
		b.mu.Unlock()
		return nil
	}
	if f := b.flights[id]; f != nil {
		b.mu.Unlock()
		select {
		case <-f.done:
			return f.err
		case <-ctx.Done():
			return throng.Errorf(throng.Unavailable, "allocate %s: it is being allocated: %w", id, ctx.Err())
		}
	}
	f := &flight{done: make(chan struct{})}
	b.flights[id] = f
	where, asked := b.table.asked.Get(id)
	b.mu.Unlock()
	var err error
	if asked {
		err = b.find(ctx, b.cluster(where), id, errors.New("the answer was lost"))
	} else {
		err = b.allocate(ctx, id)
	}
	if err != nil {
		err = wrapf(err, "allocate %s", id)
	}
	b.mu.Lock()
	delete(b.flights, id)
	b.mu.Unlock()
	f.err = err
	close(f.done)
	return err
}

// allocate asks one cluster after the other, as long as it is certain that those
// before gave none.
func (b *Backend) allocate(ctx context.Context, id throng.ServerID) error {
	var last, none error
	for _, name := range b.order() {
		if ctx.Err() != nil {
			break
		}
		c := b.cluster(name)
		if err := b.intend(id, c); err != nil {
			return err
		}
		o := b.ask(ctx, id, c)
		switch o.fate {
		case fateAllocated:
			return b.show(ctx, c, id, o.name)
		case fateUnknown:
			return b.find(ctx, c, id, o.err)
		case fateNone:
			none = wrapf(o.err, "cluster %s", name)
		case fateRefused:
			last = wrapf(o.err, "cluster %s", name)
		}
	}
	switch {
	case none != nil && last != nil:
		return throng.Errorf(throng.NoCapacity, "%w; %w", none, last)
	case none != nil:
		return none
	case last != nil:
		return last
	case ctx.Err() != nil:
		return throng.Errorf(throng.Unavailable, "no cluster was asked: %w", ctx.Err())
	}
	return b.nowhere()
}

// order returns the clusters to ask.
func (b *Backend) order() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	all := make([]choice, len(b.clusters))
	for i, c := range b.clusters {
		all[i] = c.choice(now)
	}
	return choose(all)
}

// nowhere says why no cluster may be asked.
func (b *Backend) nowhere() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for _, c := range b.clusters {
		if c.away(now) && c.cfg.Weight > 0 && !c.avoided {
			return throng.RetryLater(throng.Unavailable, time.Second, "cluster %s is away: %s", c.cfg.Name, c.why())
		}
	}
	return throng.Errorf(throng.NoCapacity, "all clusters are drained")
}

// intend writes down that a cluster is asked, before it is. Conflict: the server
// was released meanwhile.
func (b *Backend) intend(id throng.ServerID, c *cluster) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if why, over := b.table.over.Get(id); over {
		return throng.Errorf(throng.Conflict, "it is over: %s", why)
	}
	b.table.asked.Add(id, c.cfg.Name)
	c.asking++
	return nil
}

// ask asks a cluster and takes in what the answer says of it.
func (b *Backend) ask(ctx context.Context, id throng.ServerID, c *cluster) outcome {
	asking, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	began := time.Now()
	o := c.allocator.order(asking, id)
	now := time.Now()
	b.metrics.seconds.WithLabelValues(c.cfg.Name).Observe(now.Sub(began).Seconds())
	b.metrics.allocations.WithLabelValues(c.cfg.Name, o.fate.String()).Inc()
	b.mu.Lock()
	defer b.mu.Unlock()
	c.asking--
	switch o.fate {
	case fateAllocated:
		c.limps, c.dry = time.Time{}, time.Time{}
	case fateNone:
		b.table.asked.Drop(id)
		c.dry = now.Add(dryTime)
	case fateRefused:
		b.table.asked.Drop(id)
		c.limps = now.Add(limpTime)
	case fateUnknown:
		if ctx.Err() == nil {
			c.limps = now.Add(limpTime)
		}
	}
	return o
}

// String is the word of metrics.
func (f fate) String() string {
	switch f {
	case fateAllocated:
		return "allocated"
	case fateNone:
		return "none"
	case fateRefused:
		return "refused"
	case fateUnknown:
	}
	return "unknown"
}

// show waits until a server that was allocated is seen; where the watch is slow,
// it looks itself.
func (b *Backend) show(ctx context.Context, c *cluster, id throng.ServerID, name string) error {
	if seen, err := b.appears(ctx, id, showTime); seen {
		return err
	}
	if err := b.look(ctx, c, name); err != nil {
		return wrapf(err, "it was allocated as %s, which is not seen", name)
	}
	if seen, err := b.appears(ctx, id, 0); seen {
		return err
	}
	return throng.Errorf(throng.Unavailable, "it was allocated as %s, which does not bear its ID", name)
}

// look reads one GameServer.
func (b *Backend) look(ctx context.Context, c *cluster, name string) error {
	ctx, cancel := context.WithTimeout(ctx, getTime)
	defer cancel()
	var g kind.GameServer
	err := c.server.call(ctx, request{verb: "get", method: http.MethodGet, path: c.gameServers() + "/" + url.PathEscape(name)}, &g)
	if err != nil {
		return err
	}
	b.take(c, g)
	return nil
}

// take takes in a GameServer that was asked for. One of another region is none of
// ours.
func (b *Backend) take(c *cluster, g kind.GameServer) {
	if g.Metadata.Labels[kind.LabelRegion] != string(b.cfg.Region) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.saw(b.table.observe(c.cfg.Name, g), idOf(g))
}

// find looks for a server that may have been allocated: with the watch, then
// with one listing.
func (b *Backend) find(ctx context.Context, c *cluster, id throng.ServerID, cause error) error {
	if seen, err := b.appears(ctx, id, fateTime); seen {
		return err
	}
	unknown := throng.Errorf(throng.Unavailable, "it may have been allocated in cluster %s: %w", c.cfg.Name, cause)
	b.mu.Lock()
	away := c.away(time.Now())
	b.mu.Unlock()
	if away { // it would only take longer
		return unknown
	}
	listing, cancel := context.WithTimeout(ctx, getTime)
	defer cancel()
	var found kind.List[kind.GameServer]
	err := c.server.call(listing, request{
		verb: "list", method: http.MethodGet, path: c.gameServers(),
		query: url.Values{"labelSelector": {kind.LabelServer + "=" + string(id)}},
	}, &found)
	if err != nil {
		return unknown
	}
	for _, g := range found.Items {
		b.take(c, g)
	}
	if seen, err := b.appears(ctx, id, 0); seen {
		return err
	}
	return unknown
}

// appears waits until a server is seen, at most for so long. seen says that it
// was: alive, or over already, which is a Conflict.
func (b *Backend) appears(ctx context.Context, id throng.ServerID, most time.Duration) (seen bool, err error) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		news := make(chan struct{})
		b.mu.Lock()
		if why, over := b.table.over.Get(id); over {
			b.mu.Unlock()
			return true, throng.Errorf(throng.Conflict, "it is over: %s", why)
		}
		if b.table.alive(id) != nil {
			b.mu.Unlock()
			return true, nil
		}
		if most <= 0 {
			b.mu.Unlock()
			return false, nil
		}
		if b.waiters[id] == nil {
			b.waiters[id] = map[chan struct{}]bool{}
		}
		b.waiters[id][news] = true
		b.mu.Unlock()
		select {
		case <-news:
			continue
		case <-timer.C:
		case <-ctx.Done():
		}
		b.mu.Lock()
		delete(b.waiters[id], news)
		if len(b.waiters[id]) == 0 {
			delete(b.waiters, id)
		}
		b.mu.Unlock()
		most = 0 // one more look
	}
}

// wrapf says what was being done; the kind stays.
func wrapf(err error, format string, args ...any) error {
	k, after := throng.KindOf(err), throng.RetryAfterOf(err)
	return throng.RetryLater(k, after, format+": %w", append(args, err)...)
}
