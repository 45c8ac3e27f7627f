package contract

import (
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

func registrySeats() []registryCase {
	return []registryCase{
		{name: "a party is held whole or not at all", run: partyWhole},
		{name: "a hold lapses and its seats are free again", run: holdLapses},
		{name: "holds in a starting session run from its binding", run: holdsOfStarting},
		{name: "a hold is one per ticket", run: holdRepeats},
		{name: "unhold releases once", run: unhold},
		{name: "attack 4: a settled hold is not given up by another who works on the ticket", run: unholdSettled},
		{name: "a draining, ended or unknown session takes no holds", run: holdRefused},
		{name: "a player who rejoins his session needs no second seat", run: rejoin},
		{name: "two holds of a player in one session count once", run: holdsOnce},
		{name: "leaving releases the hold, and a confirm is denied after it", run: leaveHold},
		{name: "a member who leaves releases his own seat only", run: leaveMember},
		{name: "leaving a confirmed seat evicts, and the server's leave frees it", run: leaveSeat},
		{name: "leaving before the ticket is settled denies the settle", run: leaveUnsettled},
	}
}

func partyWhole(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	b.join(t, srv.id, "t1", "ada", "bo")
	_, err := b.tryJoin(t, srv.id, ticket("t2", "cy", "di", "ed"))
	refused(t, err, throng.Full)
	b.seats(t, srv.id, 0, 2)
	b.join(t, srv.id, "t3", "fay", "gus")
	b.seats(t, srv.id, 0, 4)
}

func holdLapses(t *testing.T, b *bench) {
	srv := b.open(t, 1)
	g := b.join(t, srv.id, "t1", "ada")
	if got := g.Until.Sub(g.HeldAt); got != throng.HoldTime {
		t.Errorf("hold: got %v, want %v", got, throng.HoldTime)
	}
	b.pass(t, throng.HoldTime-time.Second)
	_, err := b.tryJoin(t, srv.id, ticket("t2", "bo"))
	refused(t, err, throng.Full)
	srv.beat(t)
	b.pass(t, 2*time.Second)
	b.seats(t, srv.id, 0, 0)
	b.join(t, srv.id, "t3", "cy")
}

func holdsOfStarting(t *testing.T, b *bench) {
	s := b.starting(t, 2)
	g := b.join(t, s.ID, "t1", "ada")
	if !g.Until.IsZero() {
		t.Errorf("hold in a starting session: got until %v, want none", g.Until)
	}
	b.pass(t, throng.HoldTime+time.Second)
	b.seats(t, s.ID, 0, 1)
	srv := newServer(b, s)
	srv.beat(t)
	bound := b.session(t, s.ID)
	if bound.State != throng.SessionOpen || bound.Address != srv.report.Address || bound.BoundAt.IsZero() {
		t.Errorf("bound session: got %+v, want it open at %v", bound, srv.report.Address)
	}
	if want := bound.BoundAt.Add(throng.TokenTime); !g.TokenExpiry(bound.BoundAt).Equal(want) {
		t.Errorf("token expiry: got %v, want %v", g.TokenExpiry(bound.BoundAt), want)
	}
	b.alive(t, throng.HoldTime-time.Second, srv)
	b.seats(t, s.ID, 0, 1)
	b.alive(t, 2*time.Second, srv)
	b.seats(t, s.ID, 0, 0)
}

func holdRepeats(t *testing.T, b *bench) {
	srv := b.open(t, 2)
	c := must(b.reg.Claim(t.Context(), ticket("t1", "ada")))(t)
	first, _, err := b.reg.Hold(t.Context(), c, srv.id)
	check(t, err)
	b.pass(t, time.Second)
	again, s, err := b.reg.Hold(t.Context(), c, srv.id)
	check(t, err)
	if !again.HeldAt.Equal(first.HeldAt) || s.Held != 1 {
		t.Errorf("repeated hold: got %v with %d held, want %v with 1", again.HeldAt, s.Held, first.HeldAt)
	}
	c.Members = append(c.Members, throng.Member{Player: "bo", Epoch: 9})
	_, _, err = b.reg.Hold(t.Context(), c, srv.id)
	refused(t, err, throng.Conflict)
}

func unhold(t *testing.T, b *bench) {
	srv := b.open(t, 2)
	c := must(b.reg.Claim(t.Context(), ticket("t1", "ada")))(t)
	check(t, third(b.reg.Hold(t.Context(), c, srv.id)))
	for range 3 {
		check(t, b.reg.Unhold(t.Context(), srv.id, c.Key))
		b.seats(t, srv.id, 0, 0)
	}
	check(t, b.reg.Unhold(t.Context(), b.starting(t, 2).ID, c.Key))
}

// unholdSettled has a second matchmaker, whose own hold in the same session was
// never answered, give it up after the first one settled it.
func unholdSettled(t *testing.T, b *bench) {
	srv := b.open(t, 1)
	g := b.join(t, srv.id, "t1", "ada")
	check(t, b.reg.Unhold(t.Context(), srv.id, g.Key))
	b.seats(t, srv.id, 0, 1)
	_, err := b.tryJoin(t, srv.id, ticket("t1", "bo"))
	refused(t, err, throng.Full)
	srv.enter(t, g, "ada")
}

func third[A, B any](_ A, _ B, err error) error { return err }

func holdRefused(t *testing.T, b *bench) {
	draining, ended := b.open(t, 2), b.open(t, 2)
	check(t, b.reg.Drain(t.Context(), draining.id, "update", 0))
	check(t, b.reg.End(t.Context(), ended.id, "over"))
	unknown := throng.MakeSessionID(benchRegion.ID, throng.PoolShard("arena", 3), throng.Entropy{1})
	for _, id := range []throng.SessionID{draining.id, ended.id, unknown} {
		_, err := b.tryJoin(t, id, ticket("t1", "ada"))
		refused(t, err, throng.NotFound)
	}
}

func rejoin(t *testing.T, b *bench) {
	srv := b.open(t, 1)
	first := b.join(t, srv.id, "t1", "ada")
	srv.enter(t, first, "ada")
	again := b.join(t, srv.id, "t2", "ada")
	b.seats(t, srv.id, 1, 0)
	_, err := b.tryJoin(t, srv.id, ticket("t1", "bo"))
	refused(t, err, throng.Full)
	srv.enter(t, again, "ada")
	b.seats(t, srv.id, 1, 0)
	b.evicted(t, srv.id) // the server replaces him itself
	if at := must(b.reg.Presence(t.Context(), "ada"))(t); at.Epoch != again.Members[0].Epoch {
		t.Errorf("presence: got epoch %d, want %d", at.Epoch, again.Members[0].Epoch)
	}
	srv.leave("ada")
	srv.beat(t)
	b.seats(t, srv.id, 0, 0)
	b.at(t, "ada", "")
}

func holdsOnce(t *testing.T, b *bench) {
	srv := b.open(t, 2)
	b.join(t, srv.id, "t1", "ada")
	b.join(t, srv.id, "t2", "bo", "ada")
	b.seats(t, srv.id, 0, 2)
	check(t, b.rig.Store.Unhold(t.Context(), srv.id, throng.TicketKey{Caller: "ada", Ticket: "t1"}, ""))
	b.seats(t, srv.id, 0, 2)
	check(t, b.rig.Store.Unhold(t.Context(), srv.id, throng.TicketKey{Caller: "bo", Ticket: "t2"}, ""))
	b.seats(t, srv.id, 0, 0)
}

func leaveHold(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	g := b.join(t, srv.id, "t1", "ada", "bo")
	for range 2 {
		check(t, b.reg.Leave(t.Context(), g.Key, "ada"))
		b.seats(t, srv.id, 0, 0)
	}
	again := b.join(t, srv.id, "t1", "ada", "bo")
	if again.Nonce != g.Nonce {
		t.Errorf("repeat after leaving: got another grant")
	}
	b.seats(t, srv.id, 0, 0)
	for _, p := range []throng.PlayerID{"ada", "bo"} {
		refused(t, srv.confirm(t, srv.admit(g, p)), throng.Denied)
	}
	b.seats(t, srv.id, 0, 0)
	refused(t, b.reg.Leave(t.Context(), g.Key, "eve"), throng.NotFound)
	refused(t, b.reg.Leave(t.Context(), throng.TicketKey{Caller: "ada", Ticket: "t9"}, "ada"), throng.NotFound)
	srv.enter(t, b.join(t, srv.id, "t2", "ada"), "ada") // a new ticket is a new wish
}

func leaveMember(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	g := b.join(t, srv.id, "t1", "ada", "bo", "cy")
	check(t, b.reg.Leave(t.Context(), g.Key, "bo"))
	b.seats(t, srv.id, 0, 2)
	refused(t, srv.confirm(t, srv.admit(g, "bo")), throng.Denied)
	srv.enter(t, g, "ada")
	srv.enter(t, g, "cy")
	b.seats(t, srv.id, 2, 0)
}

func leaveSeat(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	g := b.join(t, srv.id, "t1", "ada", "bo")
	srv.enter(t, g, "ada")
	late := srv.enter(t, g, "bo")
	check(t, b.reg.Leave(t.Context(), g.Key, "ada"))
	check(t, b.reg.Leave(t.Context(), g.Key, "ada"))
	b.seats(t, srv.id, 2, 0)
	b.evicted(t, srv.id, g.Members[0])
	a := srv.beat(t)
	srv.obey(a)
	srv.beat(t)
	b.seats(t, srv.id, 1, 0) // bo was in and stays
	b.at(t, "ada", "")
	b.at(t, "bo", srv.id)
	check(t, srv.confirm(t, late))
}

func leaveUnsettled(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	c := must(b.reg.Claim(t.Context(), ticket("t1", "ada", "bo")))(t)
	h, _, err := b.reg.Hold(t.Context(), c, srv.id)
	check(t, err)
	check(t, b.reg.Leave(t.Context(), c.Key, "ada"))
	_, err = b.reg.Settle(t.Context(), c, h)
	refused(t, err, throng.Denied)
	b.seats(t, srv.id, 0, 0)
	_, err = b.reg.Claim(t.Context(), c.Ticket)
	refused(t, err, throng.Denied)
	_, err = b.reg.Lookup(t.Context(), c.Key)
	refused(t, err, throng.NotFound)
}
