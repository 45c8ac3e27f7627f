package contract

import (
	"fmt"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

func registryJoins() []registryCase {
	return []registryCase{
		{name: "attack 6: a repeated ticket gets the same answer and no second seat", run: repeatTicket},
		{name: "attack 6: a ticket belongs to its caller", run: ticketOfCaller},
		{name: "a ticket with other content is a conflict", run: ticketConflict},
		{name: "an invalid ticket is refused", run: ticketInvalid},
		{name: "the first settled hold wins and the other is released", run: settleFirst},
		{name: "a newer ticket releases the caller's unconfirmed hold", run: settleNewer},
		{name: "an older ticket is denied once a newer one is settled", run: settleOlder},
		{name: "a settle without its claim is contention", run: settleUnclaimed},
		{name: "lookup finishes the claim and finds the grant", run: lookup},
		{name: "a settled ticket is remembered for its time and then forgotten", run: forgetTicket, long: true},
		{name: "a caller's tickets are bounded and settled ones are kept", run: boundTickets},
		{name: "epochs rise and carry their region", run: epochsRise},
	}
}

func repeatTicket(t *testing.T, b *bench) {
	srv, other := b.open(t, 4), b.open(t, 4)
	first := b.join(t, srv.id, "t1", "ada", "bo")
	again := b.join(t, other.id, "t1", "ada", "bo")
	if fmt.Sprint(first) != fmt.Sprint(again) {
		t.Errorf("repeat: got %v, want %v", again, first)
	}
	b.seats(t, srv.id, 0, 2)
	b.seats(t, other.id, 0, 0)

	c := must(b.reg.Claim(t.Context(), ticket("t1", "ada", "bo")))(t)
	// A slow replica that missed the answer holds and settles elsewhere.
	h, _, err := b.reg.Hold(t.Context(), c, other.id)
	check(t, err)
	late := must(b.reg.Settle(t.Context(), c, h))(t)
	if late.Session != srv.id || late.Nonce != first.Nonce {
		t.Errorf("late settle: got session %s, want the first answer, %s", late.Session, srv.id)
	}
	b.seats(t, other.id, 0, 0)
}

func ticketOfCaller(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	ada := b.join(t, srv.id, "t1", "ada")
	eve := b.join(t, srv.id, "t1", "eve")
	if ada.Nonce == eve.Nonce || eve.Members[0].Player != "eve" {
		t.Errorf("two callers with one ticket ID: got %v and %v, want two grants", ada, eve)
	}
	_, err := b.reg.Lookup(t.Context(), throng.TicketKey{Caller: "mal", Ticket: "t1"})
	refused(t, err, throng.NotFound)
	b.seats(t, srv.id, 0, 2)
}

func ticketConflict(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	first := b.join(t, srv.id, "t1", "ada", "bo")

	same := ticket("t1", "ada", "bo")
	same.Version, same.Latencies = 4, map[throng.RegionID]float64{"local": 20}
	c := must(b.reg.Claim(t.Context(), same))(t)
	if c.Grant == nil || c.Grant.Nonce != first.Nonce {
		t.Errorf("newer version and latencies: got grant %v, want the first", c.Grant)
	}
	others := map[string]throng.Ticket{
		"order":  ticket("t1", "ada", "bo", "cy"),
		"place":  ticket("t1", "ada", "bo"),
		"mode":   ticket("t1", "ada", "bo"),
		"target": ticket("t1", "ada", "bo"),
	}
	for name, other := range others {
		switch name {
		case "place":
			other.Place = "maze"
		case "mode":
			other.Mode = throng.ModeNew
		case "target":
			other.Session = srv.id
		}
		if _, err := b.reg.Claim(t.Context(), other); throng.KindOf(err) != throng.Conflict || err == nil {
			t.Errorf("other %s: got %v, want a conflict", name, err)
		}
	}
}

func ticketInvalid(t *testing.T, b *bench) {
	twice, stranger, nobody := ticket("t1", "ada", "ada"), ticket("t1", "ada"), ticket("t1", "ada")
	stranger.Party = []throng.PlayerID{"bo", "ada"}
	nobody.Party = nil
	for _, tk := range []throng.Ticket{twice, stranger, nobody} {
		_, err := b.reg.Claim(t.Context(), tk)
		refused(t, err, throng.Invalid)
	}
	_, err := b.reg.Open(t.Context(), throng.Release{Place: "arena", Version: 1, Capacity: session.MaxCapacity + 1})
	refused(t, err, throng.Invalid)
	_, err = b.reg.Session(t.Context(), "ses_far_0001234567890123ab")
	refused(t, err, throng.NotFound)
}

func settleFirst(t *testing.T, b *bench) {
	one, two := b.open(t, 2), b.open(t, 2)
	c := must(b.reg.Claim(t.Context(), ticket("t1", "ada")))(t)
	h1, _, err := b.reg.Hold(t.Context(), c, one.id)
	check(t, err)
	h2, _, err := b.reg.Hold(t.Context(), c, two.id)
	check(t, err)
	won := must(b.reg.Settle(t.Context(), c, h2))(t)
	lost := must(b.reg.Settle(t.Context(), c, h1))(t)
	if won.Session != two.id || lost.Session != two.id || won.Nonce != lost.Nonce {
		t.Errorf("settled: got %s, then %s, want %s twice", won.Session, lost.Session, two.id)
	}
	b.seats(t, one.id, 0, 0)
	b.seats(t, two.id, 0, 1)
}

func settleNewer(t *testing.T, b *bench) {
	one, two := b.open(t, 4), b.open(t, 4)
	b.join(t, one.id, "t1", "ada", "bo")
	b.seats(t, one.id, 0, 2)
	b.join(t, two.id, "t2", "ada")
	b.seats(t, one.id, 0, 0)
	b.seats(t, two.id, 0, 1)

	// One who has arrived keeps the seats of his party that are on the way.
	one.enter(t, b.join(t, one.id, "t3", "cy", "di"), "cy")
	b.join(t, two.id, "t4", "cy")
	b.seats(t, one.id, 1, 1)
}

func settleOlder(t *testing.T, b *bench) {
	one, two := b.open(t, 4), b.open(t, 4)
	old := must(b.reg.Claim(t.Context(), ticket("t1", "ada")))(t)
	h, _, err := b.reg.Hold(t.Context(), old, one.id)
	check(t, err)
	newer := b.join(t, two.id, "t2", "ada")
	for range 2 {
		_, err = b.reg.Settle(t.Context(), old, h)
		refused(t, err, throng.Denied)
	}
	b.seats(t, one.id, 0, 0)
	two.enter(t, newer, "ada")
	b.at(t, "ada", two.id)
}

func settleUnclaimed(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	c := throng.Claim{Ticket: ticket("t1", "ada"), Members: []throng.Member{{Player: "ada", Epoch: 1}}}
	h, _, err := b.reg.Hold(t.Context(), c, srv.id)
	check(t, err)
	_, err = b.reg.Settle(t.Context(), c, h)
	refused(t, err, throng.Contention)
	_, err = b.reg.Settle(t.Context(), throng.Claim{Ticket: ticket("t2", "ada")}, h)
	refused(t, err, throng.Invalid)
}

func lookup(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	k := throng.TicketKey{Caller: "ada", Ticket: "t1"}
	_, err := b.reg.Lookup(t.Context(), k)
	refused(t, err, throng.NotFound)

	// The claim reached the caller's record only.
	_, err = b.rig.Store.Claim(t.Context(), session.ClaimRequest{Player: "ada", Region: 7, Ticket: ticket("t1", "ada", "bo")})
	check(t, err)
	found := must(b.reg.Lookup(t.Context(), k))(t)
	claimed := must(b.reg.Claim(t.Context(), ticket("t1", "ada", "bo")))(t)
	if fmt.Sprint(found) != fmt.Sprint(claimed) || len(found.Members) != 2 {
		t.Errorf("lookup: got %v, want %v", found, claimed)
	}
	h, _, err := b.reg.Hold(t.Context(), found, srv.id)
	check(t, err)
	g := must(b.reg.Settle(t.Context(), found, h))(t)
	found = must(b.reg.Lookup(t.Context(), k))(t)
	if found.Grant == nil || found.Grant.Nonce != g.Nonce {
		t.Errorf("lookup after settle: got %v, want %v", found.Grant, g)
	}
}

func forgetTicket(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	first := b.join(t, srv.id, "t1", "ada", "bo")
	b.alive(t, throng.TicketTime-time.Second, srv)
	if again := b.join(t, srv.id, "t1", "ada", "bo"); again.Nonce != first.Nonce {
		t.Errorf("before its time: got another grant")
	}
	b.alive(t, 2*time.Second, srv)
	_, err := b.reg.Lookup(t.Context(), first.Key)
	refused(t, err, throng.NotFound)
	again := b.join(t, srv.id, "t1", "ada", "bo")
	for i, m := range again.Members {
		if m.Epoch <= first.Members[i].Epoch {
			t.Errorf("epoch of %s after it was forgotten: got %d, want over %d", m.Player, m.Epoch, first.Members[i].Epoch)
		}
	}
}

func boundTickets(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	check(t, second(b.reg.Claim(t.Context(), ticket("lost", "ada"))))
	for i := range session.MaxTickets {
		b.join(t, srv.id, fmt.Sprintf("t%d", i), "ada")
	}
	_, err := b.reg.Lookup(t.Context(), throng.TicketKey{Caller: "ada", Ticket: "lost"})
	refused(t, err, throng.NotFound)
	_, err = b.reg.Claim(t.Context(), ticket("one-more", "ada"))
	refused(t, err, throng.RateLimited)
	if after := throng.RetryAfterOf(err); after <= 0 || after > throng.TicketTime {
		t.Errorf("retry after: got %v, want up to %v", after, throng.TicketTime)
	}
	found := must(b.reg.Lookup(t.Context(), throng.TicketKey{Caller: "ada", Ticket: "t0"}))(t)
	if found.Grant == nil {
		t.Errorf("the oldest settled ticket: got no grant, want it kept")
	}
}

func second[T any](_ T, err error) error { return err }

func epochsRise(t *testing.T, b *bench) {
	var last throng.Epoch
	for i := range 20 {
		c := must(b.reg.Claim(t.Context(), ticket(fmt.Sprintf("t%d", i), "ada")))(t)
		e := c.Members[0].Epoch
		if e <= last || uint8(e&255) != benchRegion.Number || e >= 1<<53 {
			t.Fatalf("epoch %d: got %d after %d, want more, of region %d, under 2^53", i, e, last, benchRegion.Number)
		}
		last = e
	}
}
