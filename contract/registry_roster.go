package contract

import (
	"testing"

	"github.com/throng-gg/throng"
)

func registryServers() []registryCase {
	return []registryCase{
		{name: "attack 12: a session is bound to one incarnation", run: bindOnce},
		{name: "a roster change counts once", run: rosterOnce},
		{name: "a leave that comes after the player's next join leaves him in", run: rosterRejoined},
		{name: "a gap in the roster asks for the report", run: rosterGap},
		{name: "a full roster takes nobody in", run: rosterFull},
		{name: "orders stay until they are acknowledged", run: ordersStay},
		{name: "a report replaces seats, never holds", run: reportReplaces},
		{name: "an old report takes no seat away that was confirmed since", run: reportOld},
		{name: "a report that contradicts itself is refused", run: reportInvalid},
		{name: "a heartbeat of another region is refused and ends nothing", run: heartbeatForeign},
	}
}

func bindOnce(t *testing.T, b *bench) {
	srv := newServer(b, b.starting(t, 4))
	twin := srv.twin()
	if a := srv.beat(t); a.Ended || a.Next != throng.HeartbeatTime || a.Now.IsZero() {
		t.Errorf("first heartbeat: got %+v, want it accepted", a)
	}
	for range 2 {
		if a := twin.beat(t); !a.Ended || a.Reason == "" {
			t.Errorf("the twin's heartbeat: got %+v, want Ended with a reason", a)
		}
		if a := srv.beat(t); a.Ended {
			t.Errorf("the server's next heartbeat: got Ended (%s)", a.Reason)
		}
	}
	if a := twin.send(t); !a.Ended {
		t.Errorf("the twin's report: got %+v, want Ended", a)
	}
	refused(t, b.reg.EndBy(t.Context(), twin.report.Heartbeat, throng.Ending{Reason: "mine"}), throng.Denied)
	if got := b.session(t, srv.id); got.Server != srv.report.Server || got.State != throng.SessionOpen {
		t.Errorf("session: got %+v, want it open on %s", got, srv.report.Server)
	}
}

func rosterOnce(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	g := b.join(t, srv.id, "t1", "ada", "bo")
	srv.enter(t, g, "ada")
	srv.admit(g, "bo") // his confirm is late
	srv.leave("ada")
	h := srv.heartbeat()
	for range 3 {
		a := must(b.reg.Heartbeat(t.Context(), h))(t)
		if a.Acked != 3 || a.WantReport {
			t.Errorf("heartbeat: got acked %d, report wanted %t, want 3, false", a.Acked, a.WantReport)
		}
		b.seats(t, srv.id, 1, 0)
	}
	srv.enter(t, b.join(t, srv.id, "t2", "ada"), "ada")
	must(b.reg.Heartbeat(t.Context(), h))(t) // an old one, delayed
	b.seats(t, srv.id, 2, 0)
	b.at(t, "ada", srv.id)
}

func rosterRejoined(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	srv.enter(t, b.join(t, srv.id, "t1", "ada"), "ada")
	srv.beat(t)
	srv.leave("ada")
	left := srv.heartbeat()
	srv.enter(t, b.join(t, srv.id, "t2", "ada"), "ada")
	must(b.reg.Heartbeat(t.Context(), left))(t)
	b.seats(t, srv.id, 1, 0)
	b.at(t, "ada", srv.id)
}

func rosterGap(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	g := b.join(t, srv.id, "t1", "ada", "bo")
	srv.admit(g, "ada")
	srv.admit(g, "bo")
	h := srv.heartbeat()
	h.Changes = h.Changes[1:]
	if a := must(b.reg.Heartbeat(t.Context(), h))(t); !a.WantReport || a.Acked != 0 {
		t.Errorf("with a gap: got %+v, want the report wanted and nothing acknowledged", a)
	}
	h.Changes = nil
	if a := must(b.reg.Heartbeat(t.Context(), h))(t); !a.WantReport {
		t.Errorf("with all missing: got %+v, want the report wanted", a)
	}
	if a := srv.send(t); a.WantReport || a.Acked != 2 {
		t.Errorf("after the report: got %+v, want 2 acknowledged", a)
	}
	b.seats(t, srv.id, 2, 0)
	b.at(t, "bo", srv.id)
}

func rosterFull(t *testing.T, b *bench) {
	srv := b.open(t, 1)
	srv.enter(t, b.join(t, srv.id, "t1", "ada"), "ada")
	stray := throng.Grant{Hold: throng.Hold{
		Key: throng.TicketKey{Caller: "bo", Ticket: "t1"}, Members: []throng.Member{{Player: "bo", Epoch: 5}},
	}}
	c := srv.admit(stray, "bo")
	srv.beat(t)
	b.seats(t, srv.id, 1, 0)
	b.evicted(t, srv.id, stray.Members[0])
	refused(t, srv.confirm(t, c), throng.Denied)
}

func ordersStay(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	check(t, b.reg.Drain(t.Context(), srv.id, "update", 0))
	check(t, b.reg.Drain(t.Context(), srv.id, "update", 0))
	for range 2 {
		a := srv.beat(t)
		if len(a.Orders) != 1 || a.Orders[0].Kind != throng.OrderDrain || a.Orders[0].Reason != "update" {
			t.Fatalf("orders: got %v, want one drain", a.Orders)
		}
	}
	if got := b.orders.of(srv.id, throng.OrderDrain); len(got) != 1 {
		t.Errorf("delivered: got %v, want one drain", got)
	}
	srv.report.OrdersDone = 1
	if a := srv.beat(t); len(a.Orders) != 0 {
		t.Errorf("acknowledged: got %v, want no orders", a.Orders)
	}
}

func reportReplaces(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	g := b.join(t, srv.id, "t1", "ada", "bo")
	srv.enter(t, g, "ada")
	srv.enter(t, g, "bo")
	b.join(t, srv.id, "t2", "cy")
	srv.leave("bo")
	for range 2 {
		srv.send(t)
		b.seats(t, srv.id, 1, 1)
		b.at(t, "ada", srv.id)
		b.at(t, "bo", "")
	}
	held := b.join(t, srv.id, "t3", "di")
	srv.admit(held, "di") // the seat and its hold count once
	srv.send(t)
	b.seats(t, srv.id, 2, 1)
	b.at(t, "di", srv.id)
}

func reportOld(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	g := b.join(t, srv.id, "t1", "ada", "bo")
	srv.enter(t, g, "ada")
	old := srv.full()
	srv.enter(t, g, "bo")
	must(b.reg.Report(t.Context(), old))(t)
	b.seats(t, srv.id, 2, 0)
	b.at(t, "bo", srv.id)
	srv.beat(t)
	if a := must(b.reg.Report(t.Context(), old))(t); a.Acked != 2 {
		t.Errorf("after an old report: got %d acknowledged, want 2 still", a.Acked)
	}
	b.seats(t, srv.id, 2, 0)
}

func reportInvalid(t *testing.T, b *bench) {
	srv := b.open(t, 1)
	ada := throng.SeatReport{Player: "ada", Epoch: 5}
	for name, change := range map[string]func(*throng.Report){
		"twice":    func(r *throng.Report) { r.Capacity, r.Seats = 4, []throng.SeatReport{ada, ada} },
		"too many": func(r *throng.Report) { r.Seats = []throng.SeatReport{ada, {Player: "bo", Epoch: 5}} },
		"no epoch": func(r *throng.Report) { r.Seats = []throng.SeatReport{{Player: "ada"}} },
		"place":    func(r *throng.Report) { r.Place = "maze" },
		"capacity": func(r *throng.Report) { r.Capacity = 100 },
		"state":    func(r *throng.Report) { r.State = throng.SessionEnded },
		"address":  func(r *throng.Report) { r.Address = address(0) },
	} {
		r := srv.full()
		change(&r)
		if _, err := b.reg.Report(t.Context(), r); err == nil || throng.KindOf(err) != throng.Invalid {
			t.Errorf("%s: got %v, want it invalid", name, err)
		}
	}
	b.seats(t, srv.id, 0, 0)
}

func heartbeatForeign(t *testing.T, b *bench) {
	srv := b.open(t, 1)
	h := srv.report.Heartbeat
	h.Session = throng.MakeSessionID("far", srv.id.Shard(), throng.Entropy{1})
	_, err := b.reg.Heartbeat(t.Context(), h)
	refused(t, err, throng.NotFound)
}
