package contract

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

func registryLosses() []registryCase {
	return []registryCase{
		{name: "attack 2: without a stamp nothing is answered but heartbeats", run: notStamped},
		{name: "attack 2: a registry that was away ends no session", run: registryAway},
		{name: "attack 2: a registry that stopped between stamp and sweep ends no session", run: stoppedSweep},
		{name: "attack 1: a generation grants nothing until old tokens are dead, then where it was reported", run: quarantine},
		{name: "attack 1: an empty store is filled by reports and double-books nobody", run: storeLost},
		{name: "attack 3: epochs do not go back when the store is lost", run: epochsAfterLoss},
		{name: "attack 1: of two reported seats the newer epoch stays", run: reportedTwice},
		{name: "attack 1: a confirmed player is taken in again after a loss, if there is room", run: confirmAfterLoss},
		{name: "attack 12: after a loss a server that was never bound waits", run: twinAfterLoss},
		{name: "players of a shard that lost writes are asked for where they are", run: shardRewound},
		{name: "a session that is bound after a generation began waits until lost holds' tokens are dead", run: boundAnew},
		{name: "attack 1: a session whose binding was lost has to report", run: bindingLost},
		{name: "attack 2: an emptied registry does not say that sessions are unknown", run: emptySaysNothing},
		{name: "a private session stays private when the store is lost", run: privateAfterLoss},
		{name: "orders after a loss are numbered past those before", run: ordersAfterLoss},
		{name: "the feed waits while the registry is rebuilding", run: feedWaits},
	}
}

// bindingLost: the store came back with the session as it was before it was
// bound. Its server has had players confirmed, and does not ask for that again.
func bindingLost(t *testing.T, b *bench) {
	srv := newServer(b, b.starting(t, 4))
	srv.admit(b.join(t, srv.id, "t1", "ada"), "ada")
	a := must(b.reg.Heartbeat(t.Context(), srv.heartbeat()))(t)
	if !a.WantReport || a.Ended {
		t.Errorf("first heartbeat, with a player inside: got %+v, want it asked for its report", a)
	}
	_, err := b.tryJoin(t, srv.id, ticket("t2", "bo"))
	refused(t, err, throng.Full)
	srv.send(t)
	b.at(t, "ada", srv.id)
	b.join(t, srv.id, "t3", "cy")
}

// lose empties the store; live says that servers go on, and it is rebuilt.
func (b *bench) lose(t tester, servers ...*server) {
	t.Helper()
	b.rig.Lose()
	check(t, b.reg.Tick(t.Context()))
	b.alive(t, throng.TokenTime+time.Second, servers...)
}

func privateAfterLoss(t *testing.T, b *bench) {
	secret := newServer(b, b.secret(t, 4))
	public := b.open(t, 4)
	secret.beat(t)
	isPrivate := func(when string) {
		t.Helper()
		want := benchCodes{}.CodeHash(secret.id)
		if s := b.session(t, secret.id); !s.Private || s.Code != want {
			t.Errorf("%s: got private %v with code %x, want it private with its own", when, s.Private, s.Code)
		}
		if s := b.session(t, public.id); s.Private || s.Code != (throng.CodeHash{}) {
			t.Errorf("%s: the other one: got %+v, want it public", when, s)
		}
		listed := must(b.reg.Changes(t.Context(), 0))(t).Sessions
		for _, s := range listed {
			if s.Private != (s.ID == secret.id) {
				t.Errorf("%s: the feed says of %s that private is %v", when, s.ID, s.Private)
			}
		}
	}
	isPrivate("opened")
	g := b.join(t, secret.id, "t1", "ada")
	secret.enter(t, g, "ada")
	b.lose(t, secret, public)
	isPrivate("after the loss")

	// What a server says does not open what is known to be private, and a report
	// that contradicts itself is refused.
	lie := secret.full()
	lie.Private, lie.Code = false, throng.CodeHash{}
	check(t, second(b.reg.Report(t.Context(), lie)))
	isPrivate("after a false report")
	lie.Private = true
	refused(t, second(b.reg.Report(t.Context(), lie)), throng.Invalid)
}

// unavailable checks that an operation says when to come back.
func unavailable(t *testing.T, name string, err error) {
	t.Helper()
	if err == nil || throng.KindOf(err) != throng.Unavailable || throng.RetryAfterOf(err) <= 0 {
		t.Errorf("%s: got %v (retry after %v), want it unavailable and when to retry", name, err, throng.RetryAfterOf(err))
	}
}

func notStamped(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	g := b.join(t, srv.id, "t1", "ada", "bo")
	srv.enter(t, g, "ada")
	c := must(b.reg.Claim(t.Context(), ticket("t2", "cy")))(t)
	b.rig.Advance(session.StampTime + time.Second)

	ctx, reg := t.Context(), b.reg
	for name, call := range map[string]func() error{
		"open":  func() error { return second(reg.Open(ctx, release(4))) },
		"claim": func() error { return second(reg.Claim(ctx, ticket("t2", "cy"))) },
		"hold":  func() error { _, _, err := reg.Hold(ctx, c, srv.id); return err },
		"settle": func() error {
			return second(reg.Settle(ctx, c, throng.Hold{Key: c.Key, Session: srv.id, Members: c.Members}))
		},
		"unhold":   func() error { return reg.Unhold(ctx, srv.id, c.Key) },
		"lookup":   func() error { return second(reg.Lookup(ctx, g.Key)) },
		"confirm":  func() error { return srv.confirm(t, srv.admit(g, "bo")) },
		"leave":    func() error { return reg.Leave(ctx, g.Key, "ada") },
		"end":      func() error { return reg.End(ctx, srv.id, "x") },
		"drain":    func() error { return reg.Drain(ctx, srv.id, "x", 0) },
		"session":  func() error { return second(reg.Session(ctx, srv.id)) },
		"sessions": func() error { return second(reg.Sessions(ctx, "", "", 0)) },
		"presence": func() error { return second(reg.Presence(ctx, "ada")) },
		"now":      func() error { return second(reg.Now(ctx)) },
	} {
		unavailable(t, name, call())
	}
	if a := srv.beat(t); a.Ended || a.Now.IsZero() {
		t.Errorf("heartbeat: got %+v, want it answered", a)
	}
}

func registryAway(t *testing.T, b *bench) {
	all := []*server{b.open(t, 4), b.open(t, 4)}
	b.rig.Advance(time.Minute)
	b.pass(t, throng.LeaseTime-time.Second)
	for _, s := range all {
		if a := s.beat(t); a.Ended {
			t.Fatalf("%s: got ended (%s), want it to live on", s.id, a.Reason)
		}
	}
	b.pass(t, time.Second)
	b.join(t, all[0].id, "t1", "ada")
	b.alive(t, throng.LeaseTime+time.Second, all[1])
	if s := b.session(t, all[0].id); s.State != throng.SessionEnded {
		t.Errorf("silent for a lease in the new generation: got %s, want ended", s.State)
	}
}

func stoppedSweep(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	b.rig.Break(func(op string, at session.Point) error {
		if op == "Sweep" && at == session.BeforePersist {
			b.rig.Break(nil)
			b.rig.Advance(time.Minute)
		}
		return nil
	})
	check(t, b.reg.Tick(t.Context()))
	b.pass(t, time.Second)
	if s := b.session(t, srv.id); s.State != throng.SessionOpen {
		t.Errorf("after the pause: got %s (%s), want open", s.State, s.Reason)
	}
}

func quarantine(t *testing.T, b *bench) {
	heard, silent := b.open(t, 4), b.open(t, 4)
	starting := b.starting(t, 4)
	b.rig.Advance(session.StampTime + time.Second)
	check(t, b.reg.Tick(t.Context()))

	unavailable(t, "claim", second(b.reg.Claim(t.Context(), ticket("t1", "ada"))))
	unavailable(t, "open", second(b.reg.Open(t.Context(), release(4))))
	unavailable(t, "now", second(b.reg.Now(t.Context())))
	if got := b.session(t, heard.id); got.State != throng.SessionOpen {
		t.Errorf("what is known: got %s, want open", got.State)
	}
	if a := heard.beat(t); !a.WantReport {
		t.Errorf("heartbeat: got %+v, want the report wanted", a)
	}
	b.pass(t, throng.TokenTime-time.Second)
	unavailable(t, "claim within the quarantine", second(b.reg.Claim(t.Context(), ticket("t1", "ada"))))
	b.pass(t, time.Second)

	b.join(t, heard.id, "t1", "ada")
	for _, id := range []throng.SessionID{silent.id, starting.ID} {
		_, err := b.tryJoin(t, id, ticket("t2", "bo"))
		refused(t, err, throng.Full)
	}
	b.join(t, b.starting(t, 4).ID, "t3", "cy")
	silent.beat(t)
	b.join(t, silent.id, "t4", "di")
}

func storeLost(t *testing.T, b *bench) {
	s1, s2 := b.open(t, 2), b.open(t, 2)
	g := b.join(t, s1.id, "t1", "ada", "bo")
	s1.enter(t, g, "ada")
	s1.enter(t, g, "bo")
	bound := b.session(t, s1.id).BoundAt
	b.alive(t, 5*time.Second, s1, s2)
	b.lose(t, s1, s2)
	b.seats(t, s1.id, 2, 0)
	b.at(t, "bo", s1.id)
	got := b.session(t, s1.id)
	if got.State != throng.SessionOpen || got.Address != s1.report.Address || got.Capacity != 2 || got.Server != s1.report.Server {
		t.Errorf("made again: got %+v", got)
	}
	_, err := b.tryJoin(t, s1.id, ticket("t1", "cy"))
	refused(t, err, throng.Full)
	newer := b.join(t, s2.id, "t2", "ada")
	s2.enter(t, newer, "ada")
	b.evicted(t, s1.id, g.Members[0])
	if s1.reported != 1 {
		t.Errorf("reports: got %d, want 1", s1.reported)
	}
	if got, want := g.TokenExpiry(b.session(t, s1.id).BoundAt), g.TokenExpiry(bound); got.After(want) {
		t.Errorf("an old token of a session made again: got expiry %v, want none past %v", got, want)
	}
}

func epochsAfterLoss(t *testing.T, b *bench) {
	c := must(b.reg.Claim(t.Context(), ticket("t1", "ada")))(t)
	b.lose(t)
	again := must(b.reg.Claim(t.Context(), ticket("t1", "ada")))(t)
	if again.Members[0].Epoch <= c.Members[0].Epoch {
		t.Errorf("epoch after the loss: got %d, want over %d", again.Members[0].Epoch, c.Members[0].Epoch)
	}
	// A roster may know an epoch that is ahead of the clock.
	srv := b.open(t, 4)
	ahead := throng.Member{Player: "bo", Epoch: again.Members[0].Epoch + 1<<32}
	srv.admit(throng.Grant{Hold: throng.Hold{Members: []throng.Member{ahead}}}, "bo")
	srv.send(t)
	next := must(b.reg.Claim(t.Context(), ticket("t1", "bo")))(t)
	if next.Members[0].Epoch <= ahead.Epoch {
		t.Errorf("epoch after a reported one: got %d, want over %d", next.Members[0].Epoch, ahead.Epoch)
	}
	ahead.Player = "cy" // came and went before anything was confirmed
	srv.admit(throng.Grant{Hold: throng.Hold{Members: []throng.Member{ahead}}}, "cy")
	srv.leave("cy")
	srv.beat(t)
	next = must(b.reg.Claim(t.Context(), ticket("t1", "cy")))(t)
	if next.Members[0].Epoch <= ahead.Epoch {
		t.Errorf("epoch after one that left: got %d, want over %d", next.Members[0].Epoch, ahead.Epoch)
	}
}

func reportedTwice(t *testing.T, b *bench) {
	s1, s2 := b.open(t, 4), b.open(t, 4)
	old := b.join(t, s1.id, "t1", "ada")
	s1.enter(t, old, "ada")
	newer := b.join(t, s2.id, "t2", "ada")
	s2.admit(newer, "ada") // she plays while the registry is away
	b.lose(t, s2, s1)
	b.at(t, "ada", s2.id)
	b.evicted(t, s1.id, old.Members[0])
	s1.obey(s1.beat(t))
	s1.beat(t)
	b.seats(t, s1.id, 0, 0)
	b.seats(t, s2.id, 1, 0)

	b.lose(t, s1, s2) // and in the other order, with the old seat still there
	s1.admit(old, "ada")
	b.lose(t, s1, s2)
	b.at(t, "ada", s2.id)
	s1.obey(s1.beat(t))
	s1.beat(t)
	b.seats(t, s1.id, 0, 0)
}

func confirmAfterLoss(t *testing.T, b *bench) {
	s1, s2 := b.open(t, 1), b.open(t, 1)
	c1 := s1.admit(b.join(t, s1.id, "t1", "ada"), "ada")
	g2 := b.join(t, s2.id, "t2", "bo")
	b.rig.Lose()
	check(t, b.reg.Tick(t.Context()))
	unavailable(t, "confirm before the report", s1.confirm(t, c1))
	s1.beat(t)
	s2.beat(t)
	check(t, s1.confirm(t, c1))
	s2.enter(t, g2, "bo")
	b.at(t, "ada", s1.id)
	b.at(t, "bo", s2.id)
	b.seats(t, s2.id, 1, 0)
}

func twinAfterLoss(t *testing.T, b *bench) {
	srv := newServer(b, b.starting(t, 4))
	twin := srv.twin()
	b.rig.Advance(session.StampTime + time.Second)
	check(t, b.reg.Tick(t.Context()))
	// The store may lack that srv was bound; the twin must not take its place.
	a := must(b.reg.Heartbeat(t.Context(), twin.heartbeat()))(t)
	if a.Ended || !a.WantReport {
		t.Errorf("the twin's heartbeat: got %+v, want it neither bound nor ended", a)
	}
	twin.send(t)
	if s := b.session(t, srv.id); s.State != throng.SessionStarting {
		t.Errorf("after the twin's report: got %s, want starting", s.State)
	}
	g := throng.Grant{Hold: throng.Hold{Members: []throng.Member{{Player: "ada", Epoch: 5}}}}
	srv.admit(g, "ada")
	srv.beat(t)
	if s := b.session(t, srv.id); s.State != throng.SessionOpen || s.Incarnation != srv.report.Incarnation {
		t.Errorf("after the report of the one with players: got %+v, want it bound", s)
	}
	if a := twin.beat(t); !a.Ended {
		t.Errorf("the twin's next heartbeat: got %+v, want Ended", a)
	}
}

func emptySaysNothing(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	b.rig.Lose()
	check(t, b.reg.Tick(t.Context()))
	unavailable(t, "session", second(b.reg.Session(t.Context(), srv.id)))
	unavailable(t, "sessions", second(b.reg.Sessions(t.Context(), "", "", 0)))
	unavailable(t, "presence", second(b.reg.Presence(t.Context(), "ada")))
	unavailable(t, "end", b.reg.End(t.Context(), srv.id, "x"))
	b.pass(t, throng.TokenTime)
	_, err := b.reg.Session(t.Context(), srv.id)
	refused(t, err, throng.NotFound)
	check(t, b.reg.EndBy(t.Context(), srv.report.Heartbeat, throng.Ending{Reason: "over"}))
}

func ordersAfterLoss(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	srv.enter(t, b.join(t, srv.id, "t1", "ada"), "ada")
	srv.report.OrdersDone = 57
	b.lose(t, srv)
	check(t, b.reg.Drain(t.Context(), srv.id, "update", 0))
	a := srv.beat(t)
	if len(a.Orders) != 1 || a.Orders[0].ID <= 57 {
		t.Errorf("orders: got %v, want one numbered over 57", a.Orders)
	}
	srv.report.OrdersDone = 100 // as if the store had gone back to before
	a = srv.beat(t)
	if len(a.Orders) != 1 || a.Orders[0].ID <= 100 {
		t.Errorf("orders: got %v, want it again, numbered over 100", a.Orders)
	}
}

func feedWaits(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	cursor := must(b.reg.Changes(t.Context(), 0))(t).Cursor
	b.rig.Lose()
	check(t, b.reg.Tick(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c, err := b.reg.Changes(ctx, cursor); !errors.Is(err, context.Canceled) {
		t.Errorf("while rebuilding: got %+v, %v, want it to wait", c, err)
	}
	got := make(chan throng.SessionChanges)
	go func() {
		c, err := b.reg.Changes(t.Context(), cursor)
		if err != nil {
			t.Errorf("changes: got %v, want none", err)
		}
		got <- c
	}()
	b.alive(t, throng.TokenTime+2*time.Second, srv)
	if c := <-got; !c.Full || len(c.Sessions) != 1 || c.Sessions[0].ID != srv.id {
		t.Errorf("after it: got %+v, want all, the session that reported", c)
	}
}

// boundAnew: the store may lack holds in a Starting session, and those who have
// them learn of the server when it is bound.
func boundAnew(t *testing.T, b *bench) {
	srv := newServer(b, b.starting(t, 4))
	b.rig.Advance(session.StampTime + time.Second)
	check(t, b.reg.Tick(t.Context()))
	b.pass(t, throng.TokenTime)
	if a := srv.beat(t); a.Ended || !a.WantReport {
		t.Errorf("the first heartbeat: got %+v, want it bound and its report wanted", a)
	}
	if s := b.session(t, srv.id); s.State != throng.SessionOpen || s.Incarnation != srv.report.Incarnation {
		t.Errorf("after it: got %+v, want it bound", s)
	}
	b.alive(t, throng.TokenTime-time.Second, srv)
	_, err := b.tryJoin(t, srv.id, ticket("t1", "ada"))
	refused(t, err, throng.Full)
	b.alive(t, time.Second, srv)
	srv.beat(t)
	if a := srv.beat(t); a.WantReport {
		t.Errorf("heartbeat after the report: got %+v, want no more of them", a)
	}
	b.join(t, srv.id, "t2", "bo")
}

// shardRewound: what players did in a session whose own shard lost nothing.
func shardRewound(t *testing.T, b *bench) {
	if b.rig.Rewind == nil {
		t.Skip("this store is lost whole or not at all")
	}
	s1, s2 := b.open(t, 8), b.open(t, 8)
	who := make([]throng.PlayerID, 0, 3)
	shards := map[uint8]bool{s1.id.Shard(): true, s2.id.Shard(): true}
	for i := 0; len(who) < 3; i++ {
		p := throng.PlayerID(fmt.Sprintf("player-%d", i))
		if shard := throng.PlayerShard(p); !shards[shard] {
			shards[shard] = true
			who = append(who, p)
		}
	}
	leaves, comes, ends := who[0], who[1], who[2]
	s1.enter(t, b.join(t, s1.id, "t1", leaves), leaves)
	s2.enter(t, b.join(t, s2.id, "t1", ends), ends)
	s1.beat(t)
	var back []func()
	for _, p := range who {
		back = append(back, b.rig.Rewind(throng.PlayerShard(p)))
	}
	s1.leave(leaves)
	s1.beat(t)
	g := b.join(t, s1.id, "t2", comes)
	s1.enter(t, g, comes)
	check(t, b.reg.End(t.Context(), s2.id, "over"))
	b.at(t, leaves, "")
	b.at(t, ends, "")
	b.at(t, comes, s1.id)

	for _, f := range back {
		f()
	}
	reported := s1.reported
	b.alive(t, throng.TokenTime+time.Second, s1)
	if got := s1.reported - reported; got != 1 {
		t.Errorf("reports of a session whose shard lost nothing: got %d, want 1", got)
	}
	b.at(t, leaves, "")
	b.at(t, ends, "")
	b.at(t, comes, s1.id)
	// So nobody has two seats.
	s3 := b.open(t, 8)
	s3.enter(t, b.join(t, s3.id, "t3", comes), comes)
	b.evicted(t, s1.id, g.Members[0])
}
