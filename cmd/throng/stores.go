package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/consumer/analytics"
	"github.com/throng-gg/throng/consumer/anticheat"
	"github.com/throng-gg/throng/disk"
	"github.com/throng-gg/throng/friend"
	"github.com/throng-gg/throng/memory"
	"github.com/throng-gg/throng/party"
	"github.com/throng-gg/throng/redis"
	"github.com/throng-gg/throng/replica"
	"github.com/throng-gg/throng/session"
)

// stores is what the replicas of a control plane have in common, beside the data
// folder. Everything else of a replica is its own and can be lost.
type stores struct {
	registry session.Store
	parallel int // see session.Config
	parties  party.Store
	friends  friend.Store
	replicas replica.Store // nil: there is one process
	bans     banStore
	board    analytics.Board
	own      *ownStore // nil: what players own is not kept
	// run looks after them until its context ends.
	run func(context.Context) error
}

// banStore keeps who may not play.
type banStore interface {
	api.Bans
	anticheat.Bans
}

// folder opens the data folder, which the replicas on one Redis share.
func (f groundFlags) folder(dir string) (*disk.Store, error) {
	if f.Redis == "" {
		return disk.Open(dir)
	}
	return disk.OpenShared(dir)
}

// newStores are in Redis if the flags say so, else in memory. quarantine is how
// long nothing is granted at the start in memory, because an earlier control
// plane may have granted something that still counts.
func newStores(ctx context.Context, g *ground, quarantine time.Duration) (st stores, err error) {
	own, err := g.openOwn(ctx)
	if err != nil {
		return stores{}, err
	}
	if g.flags.Redis == "" {
		st, err = memoryStores(quarantine)
	} else {
		st, err = redisStores(g)
	}
	if err != nil && own != nil {
		return stores{}, errors.Join(err, own.close())
	}
	st.own = own
	if own != nil && own.bans != nil { // it outlives the process, which memory does not
		st.bans = own.bans
	}
	return st, err
}

func redisStores(g *ground) (stores, error) {
	registry, err := redis.New(redis.Config{
		URL:     g.flags.Redis,
		Region:  g.region.ID,
		Logger:  g.logger.With("part", "redis"),
		Metrics: g.metrics,
	})
	if err != nil {
		return stores{}, fmt.Errorf("--redis: %w", err)
	}
	parties := registry.Parties(0)
	return stores{
		registry: registry,
		parallel: 32,
		parties:  parties,
		friends:  registry.Friends(0, 0),
		replicas: registry.Replicas(),
		bans:     registry.Bans(0),
		board:    registry.Board(),
		run: func(ctx context.Context) error {
			group, ctx := errgroup.WithContext(ctx)
			group.Go(func() error { return parties.Run(ctx) })
			group.Go(func() error { return registry.Run(ctx) })
			return group.Wait()
		},
	}, nil
}

func memoryStores(quarantine time.Duration) (stores, error) {
	registry, err := memory.New(memory.Config{Quarantine: quarantine})
	if err != nil {
		return stores{}, err
	}
	return stores{
		registry: registry,
		parallel: 1,
		parties:  memory.NewParties(0),
		friends:  memory.NewFriends(0, 0),
		bans:     memory.NewBans(0),
		board:    memory.NewBoard(),
		run:      func(context.Context) error { return nil },
	}, nil
}
