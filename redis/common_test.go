package redis_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer/analytics"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/friend"
	"github.com/throng-gg/throng/party"
	"github.com/throng-gg/throng/redis"
	"github.com/throng-gg/throng/replica"
)

// store opens what one process has of a case.
func (g *ground) store(t *testing.T, prefix string) *redis.Store {
	t.Helper()
	st, err := redis.New(redis.Config{URL: g.url, Region: "local", Prefix: prefix, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	return st
}

// parties opens and runs the parties of one process.
func (g *ground) parties(t *testing.T, prefix string) *redis.Parties {
	t.Helper()
	p := g.store(t, prefix).Parties(0)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = p.Run(ctx) }) // nil
	t.Cleanup(func() { cancel(); running.Wait() })
	return p
}

func testCommon(t *testing.T, g *ground) {
	t.Helper()
	var cases atomic.Int64
	prefix := func() string { return fmt.Sprintf("x%d:", cases.Add(1)) }
	t.Run("replicas", func(t *testing.T) {
		contract.ReplicaStore(t, func(t *testing.T) replica.Store { return g.store(t, prefix()).Replicas() })
	})
	t.Run("parties", func(t *testing.T) {
		contract.PartyStore(t, func(t *testing.T) party.Store { return g.parties(t, prefix()) })
	})
	t.Run("friends", func(t *testing.T) {
		contract.FriendStore(t, func(t *testing.T) friend.Store { return g.store(t, prefix()).Friends(10, 2000) })
	})
	t.Run("bans", func(t *testing.T) {
		contract.Bans(t, func(t *testing.T) contract.BanStore { return g.store(t, prefix()).Bans(5) })
	})
	t.Run("board", func(t *testing.T) {
		contract.Boards(t, func(t *testing.T) analytics.Board { return g.store(t, prefix()).Board() })
	})
	t.Run("another process hears of a change at once", func(t *testing.T) { testHeard(t, g, prefix()) })
}

func testHeard(t *testing.T, g *ground, prefix string) {
	t.Helper()
	one, two := g.parties(t, prefix), g.parties(t, prefix)
	r := party.Record{Party: throng.Party{ID: throng.MakePartyID("local", throng.Entropy{1}), Members: []throng.PlayerID{"ada"}}}
	r, err := one.Swap(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	// The first waits may come before the subscription; from then on all hear.
	const rounds = 20
	slow := 0
	for range rounds {
		heard, id, revision := make(chan error, 1), r.ID, r.Revision
		go func() { heard <- two.Await(t.Context(), id, revision) }()
		begun := time.Now()
		if r, err = one.Swap(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if err := <-heard; err != nil {
			t.Fatal(err)
		}
		if time.Since(begun) > 4*time.Second { // less than who does not hear looks
			slow++
		}
	}
	if slow > rounds/2 {
		t.Errorf("%d of %d changes were not heard but seen", slow, rounds)
	}
}

func TestCommonContract(t *testing.T)          { testCommon(t, alone(t)) }
func TestCommonContractOnCluster(t *testing.T) { testCommon(t, clustered(t)) }
