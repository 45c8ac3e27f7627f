package contract

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

func registryLives() []registryCase {
	return []registryCase{
		{name: "ending frees seats and is told to the server", run: endSession},
		{name: "a server ends its own session", run: endByServer},
		{name: "a drained session lets in who is held, and nobody else", run: drainSession},
		{name: "a session drained before it is bound drains when it is", run: drainStarting},
		{name: "a session that is never bound ends", run: neverBound},
		{name: "attack 8: one silent server of few ends after its lease", run: oneSilent},
		{name: "attack 2: many silent servers are kept and take no joins", run: manySilent},
		{name: "attack 2: after a cut the last one to be heard is not alone", run: lastHeard},
		{name: "attack 2: after a short cut, too, the last one to be heard is not alone", run: lastHeardOfShortCut},
		{name: "who opened a session for nothing ends it only if it is empty", run: abandon},
		{name: "sessions are listed by ID", run: listSessions},
		{name: "where browsers connect is as the newest heartbeat says", run: webAddress},
		{name: "a session's attributes are as the newest heartbeat says, also after a loss", run: attributes},
		{name: "what players bring to the place's signals comes back with the grant", run: broughtAttributes},
		{name: "the feed tells of every change, and all to who is late", run: feed},
		{name: "the feed wakes who waits", run: feedWakes},
		{name: "leaves that were not published are published by the sweep", run: sweepPublishes},
	}
}

func endSession(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	g := b.join(t, srv.id, "t1", "ada", "bo")
	srv.enter(t, g, "ada")
	for range 2 {
		check(t, b.reg.End(t.Context(), srv.id, "by hand"))
	}
	s := b.session(t, srv.id)
	if s.State != throng.SessionEnded || s.Reason != "by hand" || s.Seated+s.Held != 0 {
		t.Errorf("ended session: got %+v", s)
	}
	b.at(t, "ada", "")
	if got := b.orders.of(srv.id, throng.OrderEnd); len(got) != 1 || got[0].Reason != "by hand" {
		t.Errorf("orders: got %v, want one end", got)
	}
	if a := srv.beat(t); !a.Ended || a.Reason != "by hand" {
		t.Errorf("heartbeat: got %+v, want Ended by hand", a)
	}
	if a := srv.send(t); !a.Ended {
		t.Errorf("report: got %+v, want Ended", a)
	}
	refused(t, srv.confirm(t, srv.admit(g, "bo")), throng.Denied)
	unknown := throng.MakeSessionID(benchRegion.ID, 1, throng.Entropy{1})
	refused(t, b.reg.End(t.Context(), unknown, "x"), throng.NotFound)
	refused(t, b.reg.Drain(t.Context(), unknown, "x", 0), throng.NotFound)
}

func endByServer(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	srv.enter(t, b.join(t, srv.id, "t1", "ada"), "ada")
	for range 2 {
		check(t, b.reg.EndBy(t.Context(), srv.report.Heartbeat, throng.Ending{Reason: "main.lua:3: no"}))
	}
	if s := b.session(t, srv.id); s.State != throng.SessionEnded || s.Reason != "main.lua:3: no" || s.Failed {
		t.Errorf("session: got %+v, want it ended with the server's reason", s)
	}
	b.at(t, "ada", "")

	// An empty one retires, one with somebody in it or on the way does not.
	busy := b.open(t, 4)
	refused(t, b.reg.Retire(t.Context(), busy.twin().report.Heartbeat, "empty"), throng.Denied)
	held := b.join(t, busy.id, "t9", "cy")
	refused(t, b.reg.Retire(t.Context(), busy.report.Heartbeat, "empty"), throng.Conflict)
	busy.enter(t, held, "cy")
	refused(t, b.reg.Retire(t.Context(), busy.report.Heartbeat, "empty"), throng.Conflict)
	idle := b.open(t, 4)
	for range 2 {
		check(t, b.reg.Retire(t.Context(), idle.report.Heartbeat, "empty"))
	}
	if s := b.session(t, idle.id); s.State != throng.SessionEnded || s.Reason != "empty" {
		t.Errorf("session: got %+v, want it ended because it was empty", s)
	}

	// One that failed before its first heartbeat may say so; its twin then not.
	early := newServer(b, b.starting(t, 4))
	check(t, b.reg.EndBy(t.Context(), early.report.Heartbeat, throng.Ending{Reason: "does not compile", Failed: true}))
	refused(t, b.reg.EndBy(t.Context(), early.twin().report.Heartbeat, throng.Ending{Reason: "mine"}), throng.Denied)
	if s := b.session(t, early.id); s.State != throng.SessionEnded || s.Reason != "does not compile" || !s.Failed {
		t.Errorf("session: got %+v, want it ended by its script with the server's reason", s)
	}
}

func drainSession(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	g := b.join(t, srv.id, "t1", "ada", "bo")
	late := b.join(t, srv.id, "t2", "cy")
	check(t, b.rig.Store.Unhold(t.Context(), srv.id, late.Key, ""))
	check(t, b.reg.Drain(t.Context(), srv.id, "update", 0))
	if s := b.session(t, srv.id); s.State != throng.SessionDraining {
		t.Errorf("state: got %s, want draining", s.State)
	}
	srv.enter(t, g, "ada")
	refused(t, srv.confirm(t, srv.admit(late, "cy")), throng.Denied)
	b.seats(t, srv.id, 1, 1)
}

func drainStarting(t *testing.T, b *bench) {
	srv := newServer(b, b.starting(t, 4))
	g := b.join(t, srv.id, "t1", "ada")
	check(t, b.reg.Drain(t.Context(), srv.id, "update", 0))
	_, err := b.tryJoin(t, srv.id, ticket("t1", "bo"))
	refused(t, err, throng.NotFound)
	a := srv.beat(t)
	if len(a.Orders) != 1 || a.Orders[0].Kind != throng.OrderDrain {
		t.Errorf("orders: got %v, want one drain", a.Orders)
	}
	if s := b.session(t, srv.id); s.State != throng.SessionDraining || s.Address != srv.report.Address {
		t.Errorf("session: got %+v, want it bound and draining", s)
	}
	srv.enter(t, g, "ada")
}

func webAddress(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	if s := b.session(t, srv.id); !s.Web.IsZero() {
		t.Errorf("a server without one: got %+v, want none", s.Web)
	}
	first := throng.WebAddress{
		URL: "https://192.0.2.1:7001/play", Certificates: [][32]byte{{1}, {2}}, WebSocket: "ws://192.0.2.1:7002/play",
	}
	rotated := throng.WebAddress{URL: first.URL, Certificates: [][32]byte{{2}, {3}}, WebSocket: first.WebSocket}
	for _, want := range []throng.WebAddress{first, rotated} {
		cursor := must(b.reg.Changes(t.Context(), 0))(t).Cursor
		srv.report.Web = want
		srv.beat(t)
		if got := b.session(t, srv.id).Web; !got.Equal(want) {
			t.Errorf("after a heartbeat: got %+v, want %+v", got, want)
		}
		changed := must(b.reg.Changes(t.Context(), cursor))(t).Sessions
		if len(changed) != 1 || !changed[0].Web.Equal(want) {
			t.Errorf("the feed: got %+v, want the session with %+v", changed, want)
		}
	}
	twin := srv.twin()
	twin.report.Web = first
	twin.beat(t)
	if got := b.session(t, srv.id).Web; !got.Equal(rotated) {
		t.Errorf("after another server's heartbeat: got %+v, want %+v", got, rotated)
	}
	b.lose(t, srv)
	if got := b.session(t, srv.id).Web; !got.Equal(rotated) {
		t.Errorf("made again: got %+v, want %+v", got, rotated)
	}
	for _, bad := range []throng.WebAddress{
		{URL: "http://192.0.2.1:7001/play"},
		{URL: first.URL, Certificates: make([][32]byte, throng.MaxCertificates+1)},
		{Certificates: first.Certificates},
		{WebSocket: "ws://metadata.internal:80/"},
		{WebSocket: "ws://192.0.2.1:7002/play?x=y"},
	} {
		h := srv.heartbeat()
		h.Web = bad
		refused(t, second(b.reg.Heartbeat(t.Context(), h)), throng.Invalid)
	}
}

func attributes(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	for _, want := range []throng.SessionAttributes{`{"mode":"ranked","skill":1220.5}`, `{"language":{"":1,"de":2}}`, ""} {
		cursor := must(b.reg.Changes(t.Context(), 0))(t).Cursor
		srv.report.Attributes = want
		srv.beat(t)
		if got := b.session(t, srv.id).Attributes; got != want {
			t.Errorf("after a heartbeat: got %s, want %s", got, want)
		}
		changed := must(b.reg.Changes(t.Context(), cursor))(t).Sessions
		if len(changed) != 1 || changed[0].Attributes != want {
			t.Errorf("the feed: got %+v, want the session with %s", changed, want)
		}
	}
	want := throng.SessionAttributes(`{"skill":7}`)
	srv.report.Attributes = want
	srv.beat(t)
	twin := srv.twin()
	twin.report.Attributes = `{"skill":8}`
	twin.beat(t)
	if got := b.session(t, srv.id).Attributes; got != want {
		t.Errorf("after another server's heartbeat: got %s, want %s", got, want)
	}
	b.lose(t, srv)
	if got := b.session(t, srv.id).Attributes; got != want {
		t.Errorf("made again: got %s, want %s", got, want)
	}
	for _, bad := range []throng.SessionAttributes{`{"skill": 7}`, `{"Skill":7}`, `{"skill":[]}`, `{"skill":1e16}`, `{"skill":{"en":-1}}`, "x"} {
		h := srv.heartbeat()
		h.Attributes = bad
		refused(t, second(b.reg.Heartbeat(t.Context(), h)), throng.Invalid)
	}
}

// broughtAttributes: what players bring comes back with the grant, the same in a
// repeat that brings something else.
func broughtAttributes(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	tk := ticket("t1", "ada", "bo")
	tk.Attributes = [][]throng.Attribute{{{Name: "skill", Number: 7}}, {{Name: "language", Category: "en"}}}
	for range 2 {
		c := must(b.reg.Claim(t.Context(), tk))(t)
		if c.Grant == nil {
			h, _, err := b.reg.Hold(t.Context(), c, srv.id)
			check(t, err)
			g := must(b.reg.Settle(t.Context(), c, h))(t)
			c.Grant = &g
		}
		if got := c.Grant.AttributesOf("ada"); len(got) != 1 || got[0].Number != 7 {
			t.Errorf("ada: got %+v, want skill 7", got)
		}
		if got := c.Grant.AttributesOf("bo"); len(got) != 1 || got[0].Category != "en" {
			t.Errorf("bo: got %+v, want en", got)
		}
		tk.Attributes = [][]throng.Attribute{{{Name: "skill", Number: 9}}}
	}
}

func neverBound(t *testing.T, b *bench) {
	// All that are opened fail to start: many at once, and still they end.
	var ids []throng.SessionID
	for range 5 {
		s := b.starting(t, 4)
		b.join(t, s.ID, string(s.ID[len(s.ID)-8:]), "ada")
		ids = append(ids, s.ID)
	}
	b.pass(t, session.StartTime-time.Second)
	if s := b.session(t, ids[0]); s.State != throng.SessionStarting {
		t.Errorf("before the limit: got %s, want starting", s.State)
	}
	b.pass(t, 2*time.Second)
	for _, id := range ids {
		if s := b.session(t, id); s.State != throng.SessionEnded || s.Reason != "never started" {
			t.Errorf("after the limit: got %s (%s), want ended, never started", s.State, s.Reason)
		}
	}
}

func oneSilent(t *testing.T, b *bench) {
	silent, one, two := b.open(t, 4), b.open(t, 4), b.open(t, 4)
	silent.enter(t, b.join(t, silent.id, "t1", "ada"), "ada")
	b.alive(t, throng.LeaseTime-time.Second, one, two)
	if s := b.session(t, silent.id); s.State != throng.SessionOpen {
		t.Errorf("within its lease: got %s, want open", s.State)
	}
	b.rig.Advance(time.Second + 500*time.Millisecond) // its lease is over, and no tick has seen it
	_, err := b.tryJoin(t, silent.id, ticket("t1", "bo"))
	refused(t, err, throng.Full)
	check(t, b.reg.Tick(t.Context()))
	b.alive(t, 2*time.Second, one, two)
	if s := b.session(t, silent.id); s.State != throng.SessionEnded || s.Reason != "no heartbeat for 15s" {
		t.Errorf("after its lease: got %s (%s), want ended", s.State, s.Reason)
	}
	b.at(t, "ada", "")
	if a := silent.beat(t); !a.Ended { // it was only stopped, and continues
		t.Errorf("resumed: got %+v, want Ended", a)
	}
	for _, s := range []*server{one, two} {
		if got := b.session(t, s.id); got.State != throng.SessionOpen {
			t.Errorf("%s, which was heard: got %s, want open", s.id, got.State)
		}
	}
}

func manySilent(t *testing.T, b *bench) {
	var all []*server
	for range 4 {
		all = append(all, b.open(t, 4))
		b.pass(t, time.Second) // heartbeats come at different times
	}
	all[0].enter(t, b.join(t, all[0].id, "t1", "ada"), "ada")
	b.pass(t, throng.LeaseTime+5*time.Second) // the door is cut from the servers
	for _, s := range all {
		if got := b.session(t, s.id); got.State != throng.SessionOpen {
			t.Fatalf("%s: got %s (%s), want it kept open", s.id, got.State, got.Reason)
		}
		_, err := b.tryJoin(t, s.id, ticket("t1", "bo"))
		refused(t, err, throng.Full)
	}
	b.at(t, "ada", all[0].id)
	check(t, b.reg.End(t.Context(), all[3].id, "its process is over")) // fleet saw it

	back := all[:3]
	must(b.reg.Heartbeat(t.Context(), back[0].heartbeat()))(t)
	_, err := b.tryJoin(t, back[0].id, ticket("t1", "bo"))
	refused(t, err, throng.Full) // heard, and has not reported yet
	if a := back[0].beat(t); !a.WantReport || a.Ended {
		t.Errorf("heard again: got %+v, want its report", a)
	}
	back[1].beat(t)
	b.join(t, back[0].id, "t2", "bo")
	b.seats(t, back[0].id, 1, 1)

	// One that falls silent later is on its own, whatever still is from before.
	b.alive(t, throng.LeaseTime+time.Second, back[0])
	if got := b.session(t, back[1].id); got.State != throng.SessionEnded {
		t.Errorf("silent on its own: got %s, want ended", got.State)
	}
	if got := b.session(t, back[2].id); got.State != throng.SessionOpen {
		t.Errorf("silent with the others: got %s, want it kept", got.State)
	}
}

// lastHeard: the door was cut for a little less than a lease. The first servers to
// be heard again leave the last one looking as if it alone had died.
func lastHeard(t *testing.T, b *bench) {
	all := []*server{b.open(t, 4), b.open(t, 4), b.open(t, 4)}
	b.alive(t, 10*time.Second, all...)
	b.pass(t, throng.LeaseTime-2*time.Second)
	all[0].beat(t)
	all[1].beat(t)
	b.alive(t, 3*time.Second, all[:2]...) // the last one's lease is over
	if s := b.session(t, all[2].id); s.State != throng.SessionOpen {
		t.Errorf("the last one: got %s (%s), want it kept open", s.State, s.Reason)
	}
	if a := all[2].beat(t); a.Ended {
		t.Errorf("heard at last: got %+v, want it told to report", a)
	}
}

// lastHeardOfShortCut: the door was shut for 7 s just when one server's heartbeat
// was due; its tries to be heard failed, and the next one comes too late.
func lastHeardOfShortCut(t *testing.T, b *bench) {
	all := []*server{b.open(t, 4), b.open(t, 4), b.open(t, 4)}
	b.alive(t, 10*time.Second, all...)
	b.alive(t, throng.HeartbeatTime, all[:2]...)
	b.pass(t, 7*time.Second)
	b.alive(t, 3*time.Second, all[:2]...) // the last one's lease is over
	if s := b.session(t, all[2].id); s.State != throng.SessionOpen {
		t.Errorf("the last one: got %s (%s), want it kept open", s.State, s.Reason)
	}
	if a := all[2].beat(t); a.Ended {
		t.Errorf("heard at last: got %+v, want it told to report", a)
	}
}

func abandon(t *testing.T, b *bench) {
	used, empty := b.open(t, 4), b.open(t, 4)
	b.join(t, used.id, "t1", "ada")
	for range 2 {
		check(t, b.reg.Abandon(t.Context(), used.id, "nobody came"))
		check(t, b.reg.Abandon(t.Context(), empty.id, "nobody came"))
	}
	if s := b.session(t, used.id); s.State != throng.SessionOpen {
		t.Errorf("with somebody on the way: got %s, want open", s.State)
	}
	if s := b.session(t, empty.id); s.State != throng.SessionEnded || s.Reason != "nobody came" {
		t.Errorf("empty: got %s (%s), want it ended", s.State, s.Reason)
	}
	refused(t, b.reg.Abandon(t.Context(), throng.MakeSessionID(benchRegion.ID, 1, throng.Entropy{1}), "x"), throng.NotFound)
}

func listSessions(t *testing.T, b *bench) {
	var ids []throng.SessionID
	for v := range 12 {
		rel := release(4)
		rel.Version = throng.Version(v + 1)
		if v%3 == 0 {
			rel.Place = "maze"
		}
		ids = append(ids, must(b.reg.Open(t.Context(), rel))(t).ID)
	}
	check(t, b.reg.End(t.Context(), ids[1], "over"))
	want := slices.Sorted(slices.Values(slices.Delete(slices.Clone(ids), 1, 2)))
	var got []throng.SessionID
	for after := throng.SessionID(""); ; after = got[len(got)-1] {
		page := must(b.reg.Sessions(t.Context(), "", after, 5))(t)
		if len(page) == 0 {
			break
		}
		for _, s := range page {
			got = append(got, s.ID)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages of 5: got %v, want %v", got, want)
	}
	mazes := must(b.reg.Sessions(t.Context(), "maze", "", 0))(t)
	if len(mazes) != 4 || slices.ContainsFunc(mazes, func(s throng.Session) bool { return s.Place != "maze" }) {
		t.Errorf("of maze: got %v, want 4 of it", mazes)
	}
}

func feed(t *testing.T, b *bench) {
	kept := b.open(t, 4)
	all := must(b.reg.Changes(t.Context(), 0))(t)
	if !all.Full || len(all.Sessions) != 1 || all.Cursor == 0 {
		t.Fatalf("from the start: got %+v, want all, one session", all)
	}
	next := func(cursor uint64) throng.SessionChanges {
		t.Helper()
		return must(b.reg.Changes(t.Context(), cursor))(t)
	}
	cursor := all.Cursor
	step := func(name string, id throng.SessionID, ok func(throng.Session) bool) {
		t.Helper()
		c := next(cursor)
		i := slices.IndexFunc(c.Sessions, func(s throng.Session) bool { return s.ID == id })
		if c.Full || len(c.Sessions) != 1 || i < 0 || !ok(c.Sessions[i]) {
			t.Fatalf("%s: got %+v, want one changed session", name, c)
		}
		cursor = c.Cursor
	}
	s := b.starting(t, 4)
	step("opened", s.ID, func(s throng.Session) bool { return s.State == throng.SessionStarting })
	srv := newServer(b, s)
	srv.beat(t)
	step("bound", s.ID, func(s throng.Session) bool { return s.State == throng.SessionOpen && s.Address.IsValid() })
	b.join(t, s.ID, "t1", "ada")
	step("held", s.ID, func(s throng.Session) bool { return s.Free() == 3 })
	b.alive(t, throng.HoldTime+time.Second, srv, kept)
	step("lapsed", s.ID, func(s throng.Session) bool { return s.Free() == 4 })
	check(t, b.reg.Drain(t.Context(), s.ID, "x", 0))
	step("drained", s.ID, func(s throng.Session) bool { return s.State == throng.SessionDraining })
	check(t, b.reg.End(t.Context(), s.ID, "x"))
	step("ended", s.ID, func(s throng.Session) bool { return s.State == throng.SessionEnded && s.Reason == "x" })
	if c := next(1); !c.Full || len(c.Sessions) != 1 || c.Sessions[0].ID != kept.id {
		t.Errorf("too late: got %+v, want all that live", c)
	}
}

func feedWakes(t *testing.T, b *bench) {
	cursor := must(b.reg.Changes(t.Context(), 0))(t).Cursor
	type result struct {
		c   throng.SessionChanges
		err error
	}
	got := make(chan result)
	go func() {
		c, err := b.reg.Changes(t.Context(), cursor)
		got <- result{c, err}
	}()
	s := b.starting(t, 4)
	if r := <-got; r.err != nil || len(r.c.Sessions) != 1 || r.c.Sessions[0].ID != s.ID {
		t.Errorf("woken: got %+v, want %s", r, s.ID)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.reg.Session(ctx, s.ID)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("session, cancelled: got %v, want it to say so", err)
	}
	_, err = b.reg.Changes(ctx, must(b.reg.Changes(t.Context(), 0))(t).Cursor)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("changes, cancelled: got %v, want it to say so", err)
	}
}

func sweepPublishes(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	srv.enter(t, b.join(t, srv.id, "t1", "ada"), "ada")
	srv.leave("ada")
	b.rig.Break(func(op string, at session.Point) error {
		if op == "Left" && at == session.BeforePersist {
			return throng.Errorf(throng.Unavailable, "broken")
		}
		return nil
	})
	srv.beat(t) // the server is answered all the same
	b.seats(t, srv.id, 0, 0)
	b.at(t, "ada", srv.id)
	b.rig.Break(nil)
	b.pass(t, 13*time.Second)
	b.at(t, "ada", "")
}
