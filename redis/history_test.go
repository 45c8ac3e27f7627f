package redis_test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/redis"
	"github.com/throng-gg/throng/redis/redistest"
	"github.com/throng-gg/throng/session"
)

// processes is the case's store as three processes have it.
func (r *rig) processes(t *testing.T) contract.HistoryRig {
	t.Helper()
	h := contract.HistoryRig{
		Now:     r.clock,
		Advance: func(d time.Duration) { r.passed.Add(int64(d)) },
		Losses:  []contract.Loss{{Name: "emptied", Strike: func() { r.lose(t) }}},
	}
	for _, st := range []*redis.Store{r.store, r.another(t), r.another(t)} {
		h.Stores = append(h.Stores, func() session.Store { return st })
	}
	return h
}

func TestHistories(t *testing.T) {
	g := alone(t)
	contract.Histories(t, func(t *testing.T) contract.HistoryRig { return g.open(t).processes(t) })
}

// TestHistoriesAcrossRestarts has the server itself emptied, killed and
// restarted, with snapshots and without, and its scripts forgotten. The stores'
// clock is the test's, so a stamp looks fresh after whatever came over Redis.
func TestHistoriesAcrossRestarts(t *testing.T) {
	contract.Histories(t, func(t *testing.T) contract.HistoryRig {
		g := alone(t)
		r := g.open(t)
		h := r.processes(t)
		h.Losses = restarts(t, r, h.Stores)
		return h
	})
}

// restarts is what can befall one server.
func restarts(t *testing.T, r *rig, processes []func() session.Store) []contract.Loss {
	t.Helper()
	s := r.ground.servers[0]
	restart := func(as func(testing.TB)) func() {
		return func() {
			s.Kill()
			as(t)
			r.back(t, processes)
		}
	}
	return []contract.Loss{
		{Name: "FLUSHALL", Strike: func() { s.Must(t, "FLUSHALL") }},
		{Name: "SCRIPT FLUSH", Strike: func() { s.Must(t, "SCRIPT", "FLUSH") }},
		{Name: "killed", Strike: restart(s.RestartEmpty)},
		{Name: "killed, with an old snapshot", Prepare: func() { s.Save(t) }, Strike: restart(s.Restart)},
		{Name: "killed, with a fresh snapshot", Strike: func() {
			s.Save(t)
			restart(s.Restart)()
		}},
	}
}

// back waits until every process reaches its Redis, or all of a Cluster.
func (r *rig) back(t *testing.T, processes []func() session.Store) {
	t.Helper()
	for _, process := range processes {
		err := redistest.Await(time.Minute, func() error {
			for shard := range throng.Shards {
				st, id := process(), throng.MakeSessionID("local", uint8(shard), throng.Entropy{})
				if _, err := st.Stamp(t.Context(), uint8(shard), 0); err != nil {
					return err
				}
				// What joins wait for goes over another connection.
				if err := st.Unhold(t.Context(), id, throng.TicketKey{}, ""); err != nil {
					return err
				}
			}
			return nil
		}, nil)
		if err != nil {
			t.Errorf("a store does not find its Redis again: %v", err)
		}
	}
}

var pauses = flag.Bool("pauses", false, "run histories in which the server is stopped for a while")

// TestHistoriesUnderPauses stops the server's process for longer than a stamp is
// good for. What was asked of it meanwhile is done when it goes on, by its own
// clock, so this takes its time.
func TestHistoriesUnderPauses(t *testing.T) {
	if !*pauses {
		t.Skip("NOT TESTED: it takes more than a minute on a real clock; -pauses, or make soak")
	}
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			h := contract.HistoryRig{
				Now: time.Now, Belated: true,
				Advance: func(d time.Duration) { <-time.After(d) },
				Losses: []contract.Loss{{Name: "stopped", Partial: true, Strike: func() {
					s.Pause(t)
					<-time.After(session.StampTime + 200*time.Millisecond)
					s.Continue(t)
				}}},
			}
			for range 3 {
				st, err := redis.New(redis.Config{URL: s.URL(), Region: "local", Timeout: 300 * time.Millisecond})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(st.Close)
				h.Stores = append(h.Stores, func() session.Store { return st })
			}
			c := contract.HistoryConfig{Seed: seed, Rounds: 160, Cuts: 60, Crashes: 200, Fates: 5, Leaves: 12, Losses: 30}
			said, broken := contract.History(t, h, c)
			t.Log(said)
			for _, why := range broken {
				t.Error(why)
			}
		})
	}
}

// TestHistoriesOnCluster has masters replaced by replicas, some of which missed
// the last writes.
func TestHistoriesOnCluster(t *testing.T) {
	for seed := range uint64(2) {
		c := contract.HistoryConfig{Seed: 3*seed + 1, Cuts: 60, Crashes: 200, Fates: 4, Leaves: 12, Losses: 15}
		cluster := redistest.StartCluster(t, 0)
		g := &ground{url: cluster.URL(), servers: cluster.Masters, shelf: redis.NewShelf(throng.TokenTime)}
		r := g.open(t)
		h := r.processes(t)
		h.Losses = failovers(t, cluster, r, h.Stores)
		said, broken := contract.History(t, h, c)
		t.Log(said)
		for _, why := range broken {
			t.Error(why)
		}
	}
}

// failovers is what can befall a Cluster, each master once.
func failovers(t *testing.T, c *redistest.Cluster, r *rig, processes []func() session.Store) []contract.Loss {
	t.Helper()
	var list []contract.Loss
	for i := range c.Masters {
		gone := false
		list = append(list, contract.Loss{
			Name: "a replica that missed writes is promoted", Partial: true,
			Prepare: func() {
				if !gone {
					c.Cut(t, i)
				}
			},
			Strike: func() {
				if !gone {
					gone = true
					c.LoseMaster(t, i)
					r.back(t, processes)
				}
			},
		})
	}
	return list
}
