package contract

import (
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

func registryAbroad() []registryCase {
	return []registryCase{
		{name: "attack 3: an epoch is later than what another region knows", run: abroadClaims},
		{name: "attack 3: a confirm that is older than what another region knows is denied", run: abroadConfirms},
		{name: "attack 3: an older seat than another region's is evicted, once", run: abroadEvicts},
		{name: "who was in a session that ended or lapsed is told of", run: toldGone},
		{name: "attack 3: a reported seat that is older than another region's is evicted", run: abroadReports},
	}
}

// abroad is what another region knows.
type abroad struct {
	mu sync.Mutex
	of map[throng.PlayerID]throng.Epoch
}

func (a *abroad) know(p throng.PlayerID, e throng.Epoch) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.of[p] = e
}

func (a *abroad) highest(p throng.PlayerID) throng.Epoch {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.of[p]
}

// withAbroad puts a registry that hears of another region onto the bench.
func (b *bench) withAbroad(t *testing.T) *abroad {
	t.Helper()
	a := &abroad{of: map[throng.PlayerID]throng.Epoch{}}
	reg, err := session.New(session.Config{
		Store: b.rig.Store, Region: benchRegion, Courier: b.orders, Codes: benchCodes{}, Parallel: b.rig.Parallel, Elsewhere: a.highest,
	})
	check(t, err)
	b.reg = reg
	return a
}

func toldGone(t *testing.T, b *bench) {
	var mu sync.Mutex
	gone := map[throng.PlayerID]throng.Epoch{}
	reg, err := session.New(session.Config{
		Store: b.rig.Store, Region: benchRegion, Courier: b.orders, Codes: benchCodes{}, Parallel: b.rig.Parallel, Left: func(list []session.Departure) {
			mu.Lock()
			defer mu.Unlock()
			for _, d := range list {
				if d.Place == "arena" && d.Session.Region() == benchRegion.ID {
					gone[d.Player] = d.Epoch
				}
			}
		},
	})
	check(t, err)
	b.reg = reg
	ended, lapsing, stays := b.open(t, 4), b.open(t, 4), b.open(t, 4)
	want := map[throng.PlayerID]throng.Epoch{}
	for p, s := range map[throng.PlayerID]*server{"ada": ended, "bo": lapsing, "cy": stays} {
		g := b.join(t, s.id, "t-"+string(p), p)
		s.enter(t, g, p)
		if s != stays {
			want[p] = g.Members[0].Epoch
		}
	}
	check(t, b.reg.End(t.Context(), ended.id, "it is late"))
	b.alive(t, throng.LeaseTime+2*time.Second, stays)
	mu.Lock()
	defer mu.Unlock()
	if !maps.Equal(gone, want) {
		t.Errorf("told of %v, want %v", gone, want)
	}
}

// later is an epoch of region 1, ms later.
func later(e throng.Epoch, ms uint64) throng.Epoch { return throng.Epoch(uint64(e)>>8+ms)<<8 | 1 }

func abroadClaims(t *testing.T, b *bench) {
	a := b.withAbroad(t)
	first := must(b.reg.Claim(t.Context(), ticket("t1", "ada", "bo")))(t)
	for i, m := range first.Members {
		a.know(m.Player, later(m.Epoch, 3_600_000*uint64(i+1)))
	}
	again := must(b.reg.Claim(t.Context(), ticket("t1", "ada", "bo")))(t)
	next := must(b.reg.Claim(t.Context(), ticket("t2", "ada", "bo")))(t)
	for i, m := range next.Members {
		if got := again.Members[i]; got != first.Members[i] {
			t.Errorf("%s again: got %d, want %d", m.Player, got.Epoch, first.Members[i].Epoch)
		}
		known := a.highest(m.Player)
		if want := (known>>8+1)<<8 | throng.Epoch(benchRegion.Number); m.Epoch != want {
			t.Errorf("%s: got %d, want %d, 1 ms past %d", m.Player, m.Epoch, want, known)
		}
	}
	a.know("ada", 0)
	if last := must(b.reg.Claim(t.Context(), ticket("t3", "ada")))(t); last.Members[0].Epoch <= next.Members[0].Epoch {
		t.Errorf("got %d after %d: an epoch went back", last.Members[0].Epoch, next.Members[0].Epoch)
	}
}

func abroadConfirms(t *testing.T, b *bench) {
	a := b.withAbroad(t)
	s := b.open(t, 4)
	g := b.join(t, s.id, "t1", "ada")
	c := s.admit(g, "ada")
	a.know("ada", later(g.Members[0].Epoch, 1))
	refused(t, s.confirm(t, c), throng.Denied)
	refused(t, s.confirm(t, c), throng.Denied)
	b.seats(t, s.id, 0, 0)
	next := b.join(t, s.id, "t2", "ada")
	s.enter(t, next, "ada")
	b.at(t, "ada", s.id)
}

func abroadEvicts(t *testing.T, b *bench) {
	s := b.open(t, 4)
	g := b.join(t, s.id, "t1", "ada")
	s.enter(t, g, "ada")
	own := g.Members[0].Epoch
	for _, c := range []struct {
		player throng.PlayerID
		than   throng.Epoch
		want   bool
	}{{"ada", own, false}, {"ada", own - 1, false}, {"bo", own, false}, {"ada", later(own, 1), true}, {"ada", later(own, 1), false}, {"ada", later(own, 2), false}} {
		if got := must(b.reg.EvictOlder(t.Context(), c.player, c.than))(t); got != c.want {
			t.Errorf("%s, older than %d: got %v, want %v", c.player, c.than, got, c.want)
		}
	}
	b.evicted(t, s.id, g.Members[0])
	s.obey(s.beat(t))
	s.beat(t)
	b.seats(t, s.id, 0, 0)
	if must(b.reg.EvictOlder(t.Context(), "ada", later(own, 3)))(t) {
		t.Error("who left is evicted")
	}
}

func abroadReports(t *testing.T, b *bench) {
	a := b.withAbroad(t)
	s := b.open(t, 4)
	g := b.join(t, s.id, "t1", "ada", "bo")
	s.enter(t, g, "ada")
	s.enter(t, g, "bo")
	a.know("ada", later(g.Members[0].Epoch, 1))
	must(b.reg.Report(t.Context(), s.full()))(t)
	b.evicted(t, s.id, g.Members[0])
}
