package contract

import (
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

func registryConfirms() []registryCase {
	return []registryCase{
		{name: "attack 5: granting fences nothing, confirming evicts the older seat", run: confirmFences},
		{name: "attack 4: two tickets in two pools leave one live seat", run: twoPools},
		{name: "attack 4: who leaves before his confirm is finished has left no older seat", run: leftInConfirm},
		{name: "a confirm repeats its answer", run: confirmRepeats},
		{name: "a confirm is denied once a later ticket is settled", run: confirmSettledLater},
		{name: "a member who joined elsewhere has left the party", run: memberElsewhere},
		{name: "only the bound incarnation confirms", run: confirmBound},
		{name: "attack 7: a confirm after its hold lapsed takes a free seat or none", run: confirmLapsed},
		{name: "attack 7: a confirm that lands after the leave is no ghost", run: ghostLate},
		{name: "attack 7: a confirm that lands after a report without the player is no ghost", run: ghostReported},
		{name: "attack 7: a server that was cut off and its registry never seat more than fit", run: bothEnter},
		{name: "attack 7: a leave between the steps of a confirm leaves no ghost", run: ghostBetween},
		{name: "attack 7: a session that ends between the steps leaves no ghost", run: ghostEnded},
		{name: "attack 7: a confirmed seat that is denied again and then ended leaves no ghost", run: ghostUndone},
		{name: "an epoch that left or was evicted never returns", run: epochNeverReturns},
	}
}

func confirmFences(t *testing.T, b *bench) {
	s1, s2, s3 := b.open(t, 4), b.open(t, 4), b.open(t, 4)
	old := b.join(t, s1.id, "t1", "ada")
	c := s1.enter(t, old, "ada")

	b.join(t, s2.id, "t2", "ada") // s2 crashes before she connects
	check(t, b.reg.End(t.Context(), s2.id, "crashed"))
	b.evicted(t, s1.id)
	b.at(t, "ada", s1.id)
	check(t, s1.confirm(t, c))

	newer := b.join(t, s3.id, "t3", "ada")
	b.evicted(t, s1.id)
	s3.enter(t, newer, "ada")
	b.evicted(t, s1.id, old.Members[0])
	b.at(t, "ada", s3.id)
	b.seats(t, s1.id, 1, 0) // until her server says that she left
	a := s1.beat(t)
	s1.obey(a)
	s1.beat(t)
	b.seats(t, s1.id, 0, 0)
	b.at(t, "ada", s3.id)
}

func twoPools(t *testing.T, b *bench) {
	s1 := b.open(t, 4)
	rel := release(4)
	rel.Version++
	s2 := newServer(b, must(b.reg.Open(t.Context(), rel))(t))
	s2.beat(t)
	g1, g2 := b.join(t, s1.id, "t1", "ada"), b.join(t, s2.id, "t2", "ada")
	c1, c2 := s1.admit(g1, "ada"), s2.admit(g2, "ada")
	refused(t, s1.confirm(t, c1), throng.Denied)
	check(t, s2.confirm(t, c2))
	refused(t, s1.confirm(t, c1), throng.Denied)
	b.seats(t, s1.id, 0, 0)
	b.seats(t, s2.id, 1, 0)
	b.at(t, "ada", s2.id)
}

func confirmRepeats(t *testing.T, b *bench) {
	s1, s2 := b.open(t, 4), b.open(t, 4)
	old := b.join(t, s1.id, "t1", "ada")
	s1.enter(t, old, "ada")
	c := s2.enter(t, b.join(t, s2.id, "t2", "ada"), "ada")
	s2.beat(t)
	for range 3 {
		check(t, s2.confirm(t, c))
	}
	b.seats(t, s2.id, 1, 0)
	b.evicted(t, s1.id, old.Members[0])
	s1.obey(s1.beat(t))
	s1.beat(t)
	check(t, s2.confirm(t, c))
	if a := s1.beat(t); len(a.Orders) != 0 {
		t.Errorf("orders after the eviction was done: got %v, want none", a.Orders)
	}
}

func confirmSettledLater(t *testing.T, b *bench) {
	s1, s2 := b.open(t, 4), b.open(t, 4)
	c := s1.admit(b.join(t, s1.id, "t1", "ada"), "ada")
	b.join(t, s2.id, "t2", "ada")
	for range 2 {
		refused(t, b.reg.Confirm(t.Context(), s1.report.Heartbeat, c), throng.Denied)
		b.seats(t, s1.id, 0, 0)
	}
	b.at(t, "ada", "")
}

func memberElsewhere(t *testing.T, b *bench) {
	s1, s2 := b.open(t, 4), b.open(t, 4)
	party := b.join(t, s1.id, "t1", "ada", "bo")
	own := b.join(t, s2.id, "t2", "bo")
	s2.enter(t, own, "bo")
	s1.enter(t, party, "ada")
	refused(t, s1.confirm(t, s1.admit(party, "bo")), throng.Denied)
	b.at(t, "bo", s2.id)
	b.at(t, "ada", s1.id)
}

func confirmBound(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	g := b.join(t, srv.id, "t1", "ada")
	twin := srv.twin()
	refused(t, twin.confirm(t, twin.admit(g, "ada")), throng.Denied)
	b.seats(t, srv.id, 0, 1)
	srv.enter(t, g, "ada")
	unbound := newServer(b, b.starting(t, 4))
	refused(t, unbound.confirm(t, unbound.admit(g, "ada")), throng.Denied)
	wrong := srv.admit(g, "ada")
	wrong.Kind = throng.RosterLeft
	refused(t, srv.confirm(t, wrong), throng.Invalid)
}

func confirmLapsed(t *testing.T, b *bench) {
	srv := b.open(t, 1)
	g := b.join(t, srv.id, "t1", "ada")
	b.alive(t, throng.HoldTime+time.Second, srv)
	late := b.join(t, srv.id, "t2", "bo") // has the only seat now
	refused(t, srv.confirm(t, srv.admit(g, "ada")), throng.Denied)
	b.at(t, "ada", "")
	srv.enter(t, late, "bo")
	b.seats(t, srv.id, 1, 0)

	roomy := b.open(t, 2)
	g = b.join(t, roomy.id, "t3", "cy")
	b.alive(t, throng.HoldTime+time.Second, roomy)
	roomy.enter(t, g, "cy")
	b.seats(t, roomy.id, 1, 0)
}

func bothEnter(t *testing.T, b *bench) {
	srv := b.open(t, 1)
	g := b.join(t, srv.id, "t1", "ada")
	b.alive(t, throng.HoldTime+time.Second, srv)
	late := b.join(t, srv.id, "t2", "bo")
	c := srv.admit(g, "ada") // by a slow clock
	srv.beat(t)
	refused(t, srv.confirm(t, srv.admit(late, "bo")), throng.Denied)
	b.seats(t, srv.id, 1, 1)
	check(t, srv.confirm(t, c))
	srv.beat(t)
	b.seats(t, srv.id, 1, 1)
}

func ghostLate(t *testing.T, b *bench) {
	s0, s1 := b.open(t, 4), b.open(t, 4)
	s0.enter(t, b.join(t, s0.id, "t0", "ada"), "ada")
	c := s1.admit(b.join(t, s1.id, "t1", "ada"), "ada")
	s1.leave("ada")
	s1.beat(t)
	for range 2 {
		refused(t, s1.confirm(t, c), throng.Denied)
	}
	b.seats(t, s1.id, 0, 0)
	b.at(t, "ada", s0.id) // she never got to s1
	b.evicted(t, s0.id)
}

func ghostReported(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	c := srv.admit(b.join(t, srv.id, "t1", "ada"), "ada")
	srv.leave("ada")
	srv.send(t) // the registry never heard that she was in
	refused(t, b.reg.Confirm(t.Context(), srv.report.Heartbeat, c), throng.Denied)
	b.seats(t, srv.id, 0, 1)
	b.at(t, "ada", "")
}

// ghost runs a confirm and, between its two steps, what intervenes.
func ghost(t *testing.T, b *bench, s *server, c throng.RosterChange, between func()) error {
	t.Helper()
	once := false
	b.rig.Break(func(op string, at session.Point) error {
		if op == "Fence" && at == session.BeforePersist && !once {
			once = true
			between()
		}
		return nil
	})
	defer b.rig.Break(nil)
	err := s.confirm(t, c)
	if !once {
		t.Fatal("nothing happened between the steps of the confirm")
	}
	return err
}

func ghostBetween(t *testing.T, b *bench) {
	s0, s1 := b.open(t, 4), b.open(t, 4)
	s0.enter(t, b.join(t, s0.id, "t0", "ada"), "ada")
	c := s1.admit(b.join(t, s1.id, "t1", "ada"), "ada")
	err := ghost(t, b, s1, c, func() {
		s1.leave("ada")
		s1.beat(t)
	})
	refused(t, err, throng.Denied)
	b.seats(t, s1.id, 0, 0)
	b.at(t, "ada", s0.id)
	b.evicted(t, s0.id)
}

func ghostEnded(t *testing.T, b *bench) {
	s0, s1 := b.open(t, 4), b.open(t, 4)
	s0.enter(t, b.join(t, s0.id, "t0", "ada"), "ada")
	c := s1.admit(b.join(t, s1.id, "t1", "ada"), "ada")
	err := ghost(t, b, s1, c, func() { check(t, b.reg.End(t.Context(), s1.id, "crashed")) })
	refused(t, err, throng.Denied)
	b.at(t, "ada", s0.id)
	b.evicted(t, s0.id)
}

func ghostUndone(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	g := b.join(t, srv.id, "t1", "ada")
	c := srv.enter(t, g, "ada")
	check(t, b.reg.Leave(t.Context(), g.Key, "ada"))
	// The answer to her confirm was lost; its repeat undoes her seat.
	refused(t, b.reg.Confirm(t.Context(), srv.report.Heartbeat, c), throng.Denied)
	b.at(t, "ada", "")
	check(t, b.reg.End(t.Context(), srv.id, "crashed")) // before it said that she left
	b.at(t, "ada", "")
}

func epochNeverReturns(t *testing.T, b *bench) {
	s1, s2 := b.open(t, 4), b.open(t, 4)
	g := b.join(t, s1.id, "t1", "ada")
	s1.enter(t, g, "ada")
	s1.leave("ada")
	s1.beat(t)
	refused(t, s1.confirm(t, s1.admit(g, "ada")), throng.Denied)
	b.at(t, "ada", "")

	g = b.join(t, s1.id, "t2", "ada")
	s1.enter(t, g, "ada")
	s2.enter(t, b.join(t, s2.id, "t3", "ada"), "ada")
	s1.obey(s1.beat(t))
	s1.beat(t)
	refused(t, s1.confirm(t, s1.admit(g, "ada")), throng.Denied)
	b.at(t, "ada", s2.id)
	b.seats(t, s1.id, 0, 0)
}

// leftInConfirm: nobody heard that the older seat has to go, and who confirmed the
// newer one does not ask again, as the player has left.
func leftInConfirm(t *testing.T, b *bench) {
	s1, s2 := b.open(t, 2), b.open(t, 2)
	g1 := b.join(t, s1.id, "t1", "ada")
	s1.enter(t, g1, "ada")
	c := s2.admit(b.join(t, s2.id, "t2", "ada"), "ada")
	b.rig.Break(func(op string, at session.Point) error {
		if op == "Fence" && at == session.AfterPersist {
			return throng.Errorf(throng.Unavailable, "no answer")
		}
		return nil
	})
	refused(t, s2.confirm(t, c), throng.Unavailable)
	b.rig.Break(nil)
	s2.leave("ada")
	s2.beat(t)
	b.evicted(t, s1.id, g1.Members[0])
	s1.obey(s1.beat(t))
	s1.beat(t)
	b.at(t, "ada", "")
	b.seats(t, s1.id, 0, 0)
}
