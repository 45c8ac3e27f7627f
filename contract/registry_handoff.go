package contract

import (
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

func registryHandoffs() []registryCase {
	return []registryCase{
		{name: "a handoff is from its session's server, of players who sit there", run: vouch},
		{name: "a handoff's origin is kept with its ticket, and told to its target", run: origin},
		{name: "a handoff leaves the older seat until it is confirmed, then evicts it", run: handoffFences},
		{name: "a drain's end is in its order, and can be moved", run: drainUntil},
	}
}

// handoffOf is the ticket of a handoff from a session with any bytes as data.
func handoffOf(from throng.SessionID, id throng.TicketID, party ...throng.PlayerID) throng.Ticket {
	h := throng.Handoff{ID: id}
	for _, p := range party {
		h.Members = append(h.Members, throng.Member{Player: p, Epoch: 1})
	}
	tk := ticket(string(h.Key(from).Ticket), party...)
	tk.From = throng.Origin{Session: from, Place: "lobby", Data: "\x00\xff\" " + strings.Repeat("x", throng.HandoffData-4)}
	return tk
}

func vouch(t *testing.T, b *bench) {
	srv, other := b.open(t, 4), b.open(t, 4)
	g := b.join(t, srv.id, "t1", "ada", "bo")
	if s := must(b.reg.Bound(t.Context(), srv.heartbeat()))(t); s.ID != srv.id {
		t.Errorf("bound: got %s, want %s", s.ID, srv.id)
	}
	refused(t, b.reg.Sits(t.Context(), srv.id, g.Members), throng.Denied) // held only
	srv.enter(t, g, "ada")
	srv.enter(t, g, "bo")
	check(t, b.reg.Sits(t.Context(), srv.id, g.Members))
	refused(t, b.reg.Sits(t.Context(), other.id, g.Members), throng.Denied)
	older := []throng.Member{g.Members[0], {Player: "bo", Epoch: g.Members[1].Epoch - 1}}
	refused(t, b.reg.Sits(t.Context(), srv.id, older), throng.Denied)
	refused(t, b.reg.Sits(t.Context(), srv.id, []throng.Member{{Player: "eve", Epoch: 1}}), throng.Denied)

	stale := srv.heartbeat()
	stale.Incarnation = "another"
	_, err := b.reg.Bound(t.Context(), stale)
	refused(t, err, throng.Denied)
	check(t, b.reg.End(t.Context(), srv.id, "over"))
	_, err = b.reg.Bound(t.Context(), srv.heartbeat())
	refused(t, err, throng.Denied)
}

func origin(t *testing.T, b *bench) {
	from, to := b.open(t, 4), b.open(t, 4)
	tk := handoffOf(from.id, "h1", "ada", "bo")
	c := must(b.reg.Claim(t.Context(), tk))(t)
	_, err := b.reg.Origin(t.Context(), to.id, tk.Key)
	refused(t, err, throng.NotFound) // not settled
	h, _, err := b.reg.Hold(t.Context(), c, to.id)
	check(t, err)
	must(b.reg.Settle(t.Context(), c, h))(t)
	if got := must(b.reg.Origin(t.Context(), to.id, tk.Key))(t); got != tk.From {
		t.Errorf("arrival: got %q, want %q", got, tk.From)
	}
	if got := must(b.reg.Lookup(t.Context(), tk.Key))(t); got.From != tk.From {
		t.Errorf("lookup: got it from %q, want %q", got.From, tk.From)
	}
	_, err = b.reg.Origin(t.Context(), from.id, tk.Key)
	refused(t, err, throng.NotFound)

	other := tk
	other.From.Data = "other"
	_, err = b.reg.Claim(t.Context(), other)
	refused(t, err, throng.Conflict)
	// A player's ticket has no origin, and a handoff's has one.
	forged, bare, long := ticket("mine", "ada"), ticket(string(tk.Key.Ticket), "ada"), handoffOf(from.id, "h2", "ada")
	forged.From = tk.From
	long.From.Data += "x"
	for _, bad := range []throng.Ticket{forged, bare, long} {
		_, err := b.reg.Claim(t.Context(), bad)
		refused(t, err, throng.Invalid)
	}
	b.join(t, to.id, "t3", "cy")
	_, err = b.reg.Origin(t.Context(), to.id, throng.TicketKey{Caller: "cy", Ticket: "t3"})
	refused(t, err, throng.NotFound)
}

func handoffFences(t *testing.T, b *bench) {
	from, to := b.open(t, 4), b.open(t, 4)
	g := b.join(t, from.id, "t1", "ada", "bo")
	from.enter(t, g, "ada")
	from.enter(t, g, "bo")
	c := must(b.reg.Claim(t.Context(), handoffOf(from.id, "h1", "ada", "bo")))(t)
	h, _, err := b.reg.Hold(t.Context(), c, to.id)
	check(t, err)
	moved := must(b.reg.Settle(t.Context(), c, h))(t)
	b.seats(t, from.id, 2, 0)
	b.seats(t, to.id, 0, 2)
	check(t, b.reg.Sits(t.Context(), from.id, g.Members))
	if moved.Members[0].Epoch <= g.Members[0].Epoch || moved.Members[1].Epoch <= g.Members[1].Epoch {
		t.Errorf("epochs: got %v, want later ones than %v", moved.Members, g.Members)
	}
	to.enter(t, moved, "ada")
	b.evicted(t, from.id, g.Members[0])
	refused(t, b.reg.Sits(t.Context(), from.id, g.Members[:1]), throng.Denied)
	check(t, b.reg.Sits(t.Context(), from.id, g.Members[1:])) // he did not make it, and stays
}

func drainUntil(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	check(t, b.reg.Drain(t.Context(), srv.id, "update", 0))
	first := must(b.reg.Now(t.Context()))(t)
	check(t, b.reg.Drain(t.Context(), srv.id, "update", 10*time.Minute))
	a := srv.beat(t)
	if len(a.Orders) != 2 || a.Orders[1].Kind != throng.OrderDrain || !a.Orders[0].Until.IsZero() {
		t.Fatalf("orders: got %+v, want one drain without an end and one with", a.Orders)
	}
	if until := a.Orders[1].Until; until.Before(first.Add(10*time.Minute-time.Second)) || until.After(first.Add(10*time.Minute+time.Minute)) {
		t.Errorf("until: got %s, want ten minutes after %s", until, first)
	}
	later := b.open(t, 4)
	check(t, b.reg.Drain(t.Context(), later.id, "update", time.Hour))
	if a := later.beat(t); len(a.Orders) != 1 || a.Orders[0].Until.Before(first.Add(59*time.Minute)) {
		t.Errorf("orders: got %+v, want one drain within an hour", a.Orders)
	}
}
