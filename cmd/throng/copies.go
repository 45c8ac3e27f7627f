package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/copies"
	"github.com/throng-gg/throng/home"
	"github.com/throng-gg/throng/kafka"
	"github.com/throng-gg/throng/ledger"
	"github.com/throng-gg/throng/profile"
)

const (
	homeLook = 100 * time.Millisecond // between looks whether it is known who is home
	// sharedFlush is longer than other control planes take to hear that they write no more,
	// and than a stream of DynamoDB takes to show what was written.
	sharedFlush = 5 * time.Second
	// freshWait is for how long a transfer may be under way that waits for another one.
	freshWait = time.Minute
	waitLook  = 2 * time.Second
)

// copied is what this region's stores get of the others', and what it gives to them.
// Nil: nothing.
type copied struct {
	*copies.Copies
	copier *profile.Copier
	relay  *ledger.Relay // set by buildOwn
	homes  *home.Homes   // set by buildHome
	peers  []*kafka.Log  // closed by run
	own    throng.RegionID
	shared bool          // the stores are those of several control planes
	held   atomic.Uint64 // the term in which this region was the home last, as far as this process knows
}

// newCopied connects it, once the own ledger is there; nil: there is no home, or no
// log that it could come by. It starts nothing.
func newCopied(c *control) (*copied, error) {
	if c.cfg.flags.Home == "" || c.events == nil || len(c.cfg.kafkas) == 0 {
		return nil, nil //nolint:nilnil // nothing is copied
	}
	out := &copied{own: c.cfg.region.ID, shared: c.cfg.flags.Dynamo != ""}
	logger := c.cfg.logger.With("part", "copies")
	logs := map[throng.RegionID]copies.Log{}
	for id, url := range c.cfg.kafkas {
		log, err := kafka.New(kafka.Config{URL: url, Client: "throng-of-" + string(out.own), Logger: logger.With("region", string(id))})
		if err != nil {
			return nil, fmt.Errorf("--peer-kafka: region %s: %w", id, err)
		}
		logs[id], out.peers = peerLog{log}, append(out.peers, log)
	}
	var err error
	out.Copies, err = copies.New(copies.Config{
		Own: out.own, Logs: logs, Judge: out, Profiles: c.own.store.profiles, Ledger: c.own.ledger, Store: c.own.store.copies,
		Logger: logger, Metrics: c.cfg.metrics,
	})
	if err != nil {
		return nil, err
	}
	out.copier, err = profile.NewCopier(profile.CopierConfig{
		Store: c.own.store.profiles, Log: c.events.Log, Region: out.own, Term: out.term, Logger: logger, Metrics: c.cfg.metrics,
	})
	return out, err
}

// peerLog is another region's Kafka, of which the topic is read, and nothing is written.
type peerLog struct{ *kafka.Log }

// Follow is a member of the region's group until ctx ends.
func (l peerLog) Follow(ctx context.Context, group string, s throng.Stream, h copies.Handler) error {
	g, err := l.Group(kafka.GroupConfig{Group: group, Streams: []throng.Stream{s}, Handler: h, Batch: 1000, Strange: h.Strange})
	if err != nil {
		return err
	}
	return g.Run(ctx)
}

// Accept is copies.Judge: the home has what it took in when it became the home, and
// takes nothing of an older term. Others take all, also what comes late: the home has
// it, or tells that it is lost.
func (c *copied) Accept(_ throng.RegionID, term uint64) copies.Verdict {
	if now := c.homes.Now(); now.Region == c.own && term < now.Term {
		return copies.Late
	}
	return copies.Apply
}

// term is that under which this region is the home, or was last. What it has of before
// the process began is of an older term than the one that counts; 0: that is not known
// yet.
func (c *copied) term() uint64 {
	now := c.homes.Now()
	switch {
	case now.Region == c.own:
		c.held.Store(now.Term)
	case c.held.Load() == 0 && now.Term > 0:
		return now.Term - 1
	}
	return c.held.Load()
}

// known returns when it is known who is home, or ctx is over. Nil: at once.
func (c *copied) known(ctx context.Context) {
	if c == nil {
		return
	}
	tick := time.NewTicker(homeLook)
	defer tick.Stop()
	for c.homes.Now().Term == 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// run copies, both ways, until ctx ends.
func (c *copied) run(ctx context.Context) error {
	if c == nil {
		return nil
	}
	defer func() {
		for _, log := range c.peers {
			log.Close()
		}
	}()
	c.known(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.Run(ctx) })
	group.Go(func() error { return c.copier.Run(ctx) })
	return group.Wait()
}

// Behind is how old the copy is of what a region wrote, also of what came and waits for
// something that is still under way. False: it is not known.
func (c *copied) Behind(r throng.RegionID) (time.Duration, bool) {
	behind, known := c.CaughtUp(r)
	if !known {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), waitLook)
	defer cancel()
	waiting, err := c.Waiting(ctx, r)
	if err != nil {
		return 0, false
	}
	for _, p := range waiting {
		if age := time.Since(p.Record.At); age < freshWait {
			behind = max(behind, age)
		}
	}
	return behind, true
}

// Losses are transfers that an earlier home wrote and that never got here.
func (c *copied) Losses(ctx context.Context) ([]throng.HomeLoss, error) {
	list, err := c.Copies.Losses(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]throng.HomeLoss, len(list))
	for i, p := range list {
		first := p.Record.Transfer.First.Player
		e := ledger.EntryOf(ledger.AccountID(first), p.Record)
		out[i] = throng.HomeLoss{Game: p.Game, Session: p.Record.Session, Entry: throng.LedgerEntry{At: e.At, First: first, ID: e.Key.ID, Kind: e.Kind}}
		for _, l := range e.Lines {
			out[i].Entry.Changes = append(out[i].Entry.Changes, throng.Amount{Item: l.Item, Count: l.Change})
		}
	}
	return out, nil
}

// Flush returns when all that this region wrote stands in its log.
func (c *copied) Flush(ctx context.Context) error {
	if c.shared {
		select {
		case <-ctx.Done():
			return throng.Errorf(throng.Unavailable, "wait for other control planes' writes: %w", ctx.Err())
		case <-time.After(sharedFlush):
		}
	}
	if err := c.copier.Flush(ctx); err != nil {
		return err
	}
	for {
		n, err := c.relay.Step(ctx)
		if err != nil || n == 0 {
			return err
		}
	}
}
