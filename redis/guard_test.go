package redis_test

import (
	"context"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/redis"
	"github.com/throng-gg/throng/redis/redistest"
	"github.com/throng-gg/throng/session"
)

// guard is one of the things that keep the promises, and a way to do without it.
type guard struct {
	name    string
	patches []redis.Patch
	wrap    func(session.Store) session.Store                   // nil: as it is
	losses  func(t *testing.T, r *rig, g guard) []contract.Loss // nil: emptied
	forgets bool                                                // scripts that are missing are loaded, as if they had been forgotten
	config  contract.HistoryConfig
	behind  bool // another guard is taken out with it, and missed without it
}

// kept returns the same without what takes the guard out.
func (g guard) kept() guard {
	g.patches, g.wrap, g.forgets = nil, nil, false
	return g
}

// unreleased releases nothing that lost.
type unreleased struct{ session.Store }

func (u unreleased) Settle(ctx context.Context, g throng.Grant) (session.SettleResult, error) {
	res, err := u.Store.Settle(ctx, g)
	res.Release = nil
	return res, err
}

// unevicted fences without a word to the older seat's server.
type unevicted struct{ session.Store }

func (u unevicted) Fence(ctx context.Context, r session.FenceRequest) ([]session.Eviction, error) {
	_, err := u.Store.Fence(ctx, r)
	return nil, err
}

func (u unevicted) Restore(ctx context.Context, seats []session.FenceRequest) ([]session.Restored, error) {
	list, err := u.Store.Restore(ctx, seats)
	for i := range list {
		list[i].Older = nil
	}
	return list, err
}

// oldSnapshot has the server killed and come back with a snapshot of some time
// before.
func oldSnapshot(t *testing.T, r *rig, g guard) []contract.Loss {
	t.Helper()
	s := r.ground.servers[0]
	return []contract.Loss{{
		Name: "killed, with an old snapshot", Prepare: func() { s.Save(t) },
		Strike: func() {
			s.Kill()
			s.Restart(t)
			if g.forgets {
				if err := redistest.Await(time.Minute, func() error { return redis.LoadAll(t.Context(), r.store) }, nil); err != nil {
					t.Error(err)
				}
			}
		},
	}}
}

func guards() []guard {
	busy := contract.HistoryConfig{Cuts: 100, Fates: 4, Leaves: 12}
	lossy := contract.HistoryConfig{Capacity: 1, Cuts: 60, Fates: 6, Losses: 12, Rounds: 160}
	return []guard{
		{
			name: "a generation's scripts are its own", forgets: true, losses: oldSnapshot, config: lossy,
			patches: []redis.Patch{{"prelude", "if nonce ~= NONCE then return {'N', nonce} end", ""}},
		},
		{
			name: "a stamp must be fresh", config: contract.HistoryConfig{Sessions: 2, Pauses: 25, Fates: 6},
			patches: []redis.Patch{
				{"prelude", "live = now - at <= 2000 and at - now <= 2000", "live = true"},
				{"stamp", "if nonce ~= NONCE or now - at > 2000 or at - now > 2000 then", "if nonce ~= NONCE then"},
			},
		},
		{
			name: "a generation grants nothing until old tokens are dead", config: lossy,
			patches: []redis.Patch{{
				"stamp", "generation, began, ready = generation + 1, now, now + QUARANTINE", "generation, began, ready = generation + 1, now, now",
			}},
		},
		{
			name: "only where sessions reported", losses: oldSnapshot,
			config: contract.HistoryConfig{Capacity: 1, Sessions: 4, Cuts: 20, Fates: 8, Losses: 15, Rounds: 240},
			patches: []redis.Patch{
				{"hold", "if suspended == 1 or not trusted or finish <= now then return 3 end", "if suspended == 1 or finish <= now then return 3 end"},
			},
		},
		{
			name: "epochs are times", config: lossy,
			patches: []redis.Patch{
				{"claim", "local ms = math.max(now - 1577836800000, 0)", "local ms = 0"},
				{"member", "local ms = math.max(now - 1577836800000, 0)", "local ms = 0"},
			},
		},
		{
			name: "an epoch older than a confirmed one is refused", config: busy,
			patches: []redis.Patch{{"fence", "if epoch > e then return {2} end", ""}},
		},
		{
			name: "an epoch older than a settled one is refused", config: busy,
			patches: []redis.Patch{{"fence", "if ARGV[6] ~= 't' and settled > e then return {4} end", ""}},
		},
		{
			name: "an epoch that was given up or left is refused", config: busy,
			patches: []redis.Patch{{"fence", "if isGone(e) then return {1} end", ""}},
		},
		{
			// Behind it is that what left is fenced, which is out, too.
			name: "who left since is not seated", config: contract.HistoryConfig{Fates: 2, Hasty: 5}, behind: true,
			patches: []redis.Patch{
				{"seat", "if rev <= revision then return 3 end", ""},
				{"fence", "if isGone(e) then return {1} end", ""},
			},
		},
		{
			name: "a party is held whole", config: contract.HistoryConfig{Capacity: 1, Fates: 8},
			patches: []redis.Patch{
				{
					"hold", "if need > capacity - seated - waiting and need > 0 or holds >= 1024 then return 4 end",
					"if need > 0 and capacity - seated - waiting < 1 or holds >= 1024 then return 4 end",
				},
				{"hold", "local v = recs[i]", "local v = recs[i]\nif not v and capacity - seated - waiting < 1 then break end"},
			},
		},
		{
			name: "a hold needs room", config: busy,
			patches: []redis.Patch{{"hold", "if need > capacity - seated - waiting and need > 0 or holds >= 1024 then return 4 end", ""}},
		},
		{
			name: "a seat needs room", config: contract.HistoryConfig{Capacity: 1, Slow: true, Rounds: 1000},
			patches: []redis.Patch{
				{"seat", "if cur == 0 and seated >= capacity then return 4 end", ""},
				{"seat", "if not v and (state ~= 1 or capacity - seated - waiting <= 0) then return 5 end", "if not v and state ~= 1 then return 5 end"},
			},
		},
		{
			name: "the first answer to a ticket wins", config: busy,
			patches: []redis.Patch{
				{"settle", "if tflags % 2 == 0 then", "if true then"},
				{"settle", "grant, tflags, tepoch, settled = g, tflags + 1, e, e", "grant, tflags, tepoch, settled = g, tflags - tflags % 2 + 1, e, e"},
			},
		},
		{
			name: "what lost is released", config: contract.HistoryConfig{Fates: 20},
			wrap: func(st session.Store) session.Store { return unreleased{st} },
		},
		{
			name: "the older seat is evicted", config: busy,
			wrap: func(st session.Store) session.Store { return unevicted{st} },
		},
	}
}

// TestGuards takes each guard out in turn: then some history breaks a promise, and
// the same one with the guard does not.
func TestGuards(t *testing.T) {
	if raceDetector {
		t.Skip("SKIPPED under the race detector, with which it takes ten minutes; make test has a run without it")
	}
	shared := alone(t)
	for _, g := range guards() {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(200) {
				_, broken := g.history(t, shared, seed)
				if len(broken) == 0 {
					continue
				}
				t.Logf("seed %d: %.3000000s", seed, broken[0])
				if g.behind {
					return
				}
				if _, broken := g.kept().history(t, shared, seed); len(broken) > 0 {
					t.Errorf("seed %d with the guard: %.3000000s", seed, broken[0])
				}
				return
			}
			t.Error("no history broke a promise without it")
		})
	}
}

// history runs a history of the guard's kind.
func (g guard) history(t *testing.T, shared *ground, seed uint64) (said string, broken []string) {
	t.Helper()
	ground := &ground{url: shared.url, servers: shared.servers, shelf: redis.NewPatchedShelf(throng.TokenTime, g.patches)}
	ground.cases.Store(shared.cases.Add(1) * 1000)
	if g.losses != nil {
		s := redistest.Start(t)
		ground.url, ground.servers = s.URL(), []*redistest.Server{s}
	}
	r := ground.open(t)
	h := r.processes(t)
	if g.losses != nil {
		h.Losses = g.losses(t, r, g)
		for i, loss := range h.Losses {
			h.Losses[i].Strike = func() {
				loss.Strike()
				r.back(t, h.Stores)
			}
		}
	}
	if g.wrap != nil {
		for i, process := range h.Stores {
			h.Stores[i] = func() session.Store { return g.wrap(process()) }
		}
	}
	c := g.config
	c.Seed, c.First = seed, true
	return contract.History(t, h, c)
}
