package contract

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

func registryOpenings() []registryCase {
	return []registryCase{
		{name: "a session opens with its parties in it, and repeated it is the same one", run: openWithParties},
		{name: "a party that never comes gives its seats back", run: openWithHoldsThatLapse},
		{name: "no session is opened while others that the opener has not seen have room", run: openUnlessRoom},
		{name: "what is full, private, of another pool or ended is no room", run: openNoRoom},
		{name: "those who open at once for one seat each open as few as they fill", run: openersRace},
		{name: "a session that comes back after a loss is news with room", run: openAfterLoss},
		{name: "a lost answer to an opening leaves no twin", run: openLostAnswer},
	}
}

// secret opens a private session.
func (b *bench) secret(t tester, capacity int) throng.Session {
	t.Helper()
	draft := must(b.reg.DraftPrivate(release(capacity)))(t)
	return must(b.reg.OpenFor(t.Context(), throng.Opening{Session: draft}))(t).Session
}

// opening is a draft for parties of new tickets.
func (b *bench) opening(t tester, capacity int, parties ...[]throng.PlayerID) throng.Opening {
	t.Helper()
	o := throng.Opening{Session: must(b.reg.Draft(release(capacity)))(t)}
	for _, party := range parties {
		o.Parties = append(o.Parties, must(b.reg.Claim(t.Context(), ticket("t1", party...)))(t))
	}
	return o
}

func openWithParties(t *testing.T, b *bench) {
	o := b.opening(t, 5, []throng.PlayerID{"ada", "bo"}, []throng.PlayerID{"cy"}, []throng.PlayerID{"dee"})
	made := must(b.reg.OpenFor(t.Context(), o))(t)
	if s := made.Session; s.ID != o.Session.ID || s.State != throng.SessionStarting || s.Held != 4 || s.Number == 0 || made.Others != nil {
		t.Fatalf("got %+v, want a starting session with 4 seats held", made)
	}
	for i, h := range made.Holds {
		c := o.Parties[i]
		if h.Key != c.Key || h.Session != o.Session.ID || !slices.Equal(h.Members, c.Members) || !h.Until.IsZero() {
			t.Errorf("hold %d: got %+v, want that of %+v, which does not run yet", i, h, c)
		}
	}
	again := must(b.reg.OpenFor(t.Context(), o))(t)
	if !reflect.DeepEqual(again, made) {
		t.Errorf("repeated: got %+v, want %+v", again, made)
	}
	// There is room for one.
	_, err := b.tryJoin(t, o.Session.ID, ticket("t1", "eve", "fay"))
	refused(t, err, throng.Full)
	b.join(t, o.Session.ID, "t1", "gil")
	b.seats(t, o.Session.ID, 0, 5)
	g := must(b.reg.Settle(t.Context(), o.Parties[0], made.Holds[0]))(t)
	srv := newServer(b, made.Session)
	srv.beat(t)
	srv.enter(t, g, "ada")
	b.seats(t, srv.id, 1, 4)

	// A hold that was given up is not in the answer of a repeat.
	check(t, b.reg.Unhold(t.Context(), srv.id, o.Parties[2].Key))
	again = must(b.reg.OpenFor(t.Context(), o))(t)
	if again.Holds[2].Key != (throng.TicketKey{}) || again.Holds[1].Key != o.Parties[1].Key || again.Session.State != throng.SessionOpen {
		t.Errorf("repeated later: got %+v, want the second hold and no third", again)
	}
	tooMany := b.opening(t, 2, []throng.PlayerID{"hal", "ivo"}, []throng.PlayerID{"jo"})
	_, err = b.reg.OpenFor(t.Context(), tooMany)
	refused(t, err, throng.Invalid)
	twice := b.opening(t, 2, []throng.PlayerID{"kim"})
	twice.Parties = append(twice.Parties, twice.Parties[0])
	_, err = b.reg.OpenFor(t.Context(), twice)
	refused(t, err, throng.Invalid)
}

func openWithHoldsThatLapse(t *testing.T, b *bench) {
	o := b.opening(t, 3, []throng.PlayerID{"ada", "bo"})
	made := must(b.reg.OpenFor(t.Context(), o))(t)
	srv := newServer(b, made.Session)
	b.pass(t, 9*time.Second)
	srv.beat(t)
	b.alive(t, throng.HoldTime-time.Second, srv)
	b.seats(t, srv.id, 0, 2)
	b.alive(t, 2*time.Second, srv)
	b.seats(t, srv.id, 0, 0)
}

func openUnlessRoom(t *testing.T, b *bench) {
	first := must(b.reg.OpenFor(t.Context(), b.opening(t, 4, []throng.PlayerID{"ada"})))(t).Session
	second := must(b.reg.OpenFor(t.Context(), b.opening(t, 4, []throng.PlayerID{"bo"})))(t).Session
	if second.Number <= first.Number {
		t.Fatalf("numbers: got %d after %d, want a higher one", second.Number, first.Number)
	}
	o := b.opening(t, 4, []throng.PlayerID{"cy"}, []throng.PlayerID{"dee"})
	for _, c := range []struct {
		room int
		seen uint64
		want []throng.SessionID // instead of a new one
	}{
		{1, 0, []throng.SessionID{first.ID}}, // seats both
		{3, 0, []throng.SessionID{first.ID}},
		{4, 0, nil},
		{1, first.Number - 1, []throng.SessionID{first.ID}},
		{1, first.Number, []throng.SessionID{second.ID}},
		{1, second.Number, nil},
		{0, 0, nil}, // asks for a new one in any case
	} {
		o.Session = must(b.reg.Draft(release(4)))(t)
		o.Room, o.Seen = c.room, c.seen
		got := must(b.reg.OpenFor(t.Context(), o))(t)
		var others []throng.SessionID
		for _, s := range got.Others {
			others = append(others, s.ID)
			if !reflect.DeepEqual(s, b.session(t, s.ID)) {
				t.Errorf("%+v: got %+v, want the session as it is", c, s)
			}
		}
		if !slices.Equal(others, c.want) || (got.Session.ID == "") != (c.want != nil) {
			t.Errorf("room %d after %d: got %q and others %v, want others %v", c.room, c.seen, got.Session.ID, others, c.want)
		}
		if got.Session.ID != "" {
			check(t, b.reg.End(t.Context(), got.Session.ID, "over"))
		} else if _, err := b.reg.Session(t.Context(), o.Session.ID); throng.KindOf(err) != throng.NotFound || err == nil {
			t.Errorf("a draft that was not opened: got %v, want not found", err)
		}
	}
	// Two have three free seats each: six players need both, and no third.
	o = b.opening(t, 6, []throng.PlayerID{"p1", "p2", "p3"}, []throng.PlayerID{"p4", "p5", "p6"})
	o.Room = 3
	if got := must(b.reg.OpenFor(t.Context(), o))(t); len(got.Others) != 2 || got.Others[0].ID != first.ID || got.Others[1].ID != second.ID {
		t.Errorf("for six: got %+v, want both in their order", got)
	}
}

func openNoRoom(t *testing.T, b *bench) {
	full := must(b.reg.OpenFor(t.Context(), b.opening(t, 2, []throng.PlayerID{"ada", "bo"})))(t).Session
	b.secret(t, 2)
	other := release(2)
	other.Version++
	must(b.reg.Open(t.Context(), other))(t)
	over := b.starting(t, 2)
	check(t, b.reg.End(t.Context(), over.ID, "over"))
	drained := b.starting(t, 2)
	check(t, b.reg.Drain(t.Context(), drained.ID, "old", 0))
	o := b.opening(t, 2, []throng.PlayerID{"cy"})
	o.Room = 1
	got := must(b.reg.OpenFor(t.Context(), o))(t)
	if got.Session.ID != o.Session.ID {
		t.Errorf("got others %+v, want a new session", got.Others)
	}
	// The seats of the first one come free.
	check(t, b.reg.Unhold(t.Context(), full.ID, throng.TicketKey{Caller: "ada", Ticket: "t1"}))
	o = b.opening(t, 2, []throng.PlayerID{"dee", "eve"})
	o.Room = 2
	if got = must(b.reg.OpenFor(t.Context(), o))(t); len(got.Others) != 1 || got.Others[0].ID != full.ID {
		t.Errorf("after it was given up: got %+v, want the first session", got)
	}
}

// openersRace is many who each open a session for one player unless there is
// room in what they have not seen, and take a seat there if there is.
func openersRace(t *testing.T, b *bench) {
	const players, capacity = 100, 8
	var mu sync.Mutex
	made := map[throng.SessionID]bool{}
	together(players, func(i int) {
		o := b.opening(t, capacity, []throng.PlayerID{throng.PlayerID(fmt.Sprintf("p%d", i))})
		o.Room = 1
		for {
			got, err := b.reg.OpenFor(t.Context(), o)
			if err != nil {
				t.Errorf("open for player %d: %v", i, err)
				return
			}
			if got.Session.ID != "" {
				mu.Lock()
				made[got.Session.ID] = true
				mu.Unlock()
				return
			}
			for _, s := range got.Others {
				o.Seen = s.Number
				if _, _, err := b.reg.Hold(t.Context(), o.Parties[0], s.ID); err == nil {
					return
				} else if throng.KindOf(err) != throng.Full {
					t.Errorf("hold for player %d: %v", i, err)
					return
				}
			}
		}
	})
	held := 0
	for id := range made {
		held += b.session(t, id).Held
	}
	if want := (players + capacity - 1) / capacity; len(made) != want || held != players {
		t.Errorf("got %d sessions with %d players, want %d with %d", len(made), held, want, players)
	}
}

func openAfterLoss(t *testing.T, b *bench) {
	srv := b.open(t, 4)
	before := b.session(t, srv.id).Number
	b.alive(t, time.Second, srv)
	b.lose(t, srv)
	after := b.session(t, srv.id).Number
	if after <= before {
		t.Errorf("number: got %d after the loss, want it over %d", after, before)
	}
	o := b.opening(t, 4, []throng.PlayerID{"ada"})
	o.Room, o.Seen = 1, before
	if got := must(b.reg.OpenFor(t.Context(), o))(t); len(got.Others) != 1 || got.Others[0].ID != srv.id {
		t.Errorf("got %+v, want the session that reported", got)
	}
}

func openLostAnswer(t *testing.T, b *bench) {
	lost := errors.New("connection lost")
	for _, at := range []session.Point{session.BeforePersist, session.AfterPersist} {
		o := b.opening(t, 2, []throng.PlayerID{"ada", "bo"})
		b.rig.Break(func(op string, p session.Point) error {
			if op == "Open" && p == at {
				return lost
			}
			return nil
		})
		if _, err := b.reg.OpenFor(t.Context(), o); err == nil {
			t.Fatal("got an answer, want it lost")
		}
		b.rig.Break(nil)
		got := must(b.reg.OpenFor(t.Context(), o))(t)
		if got.Session.ID != o.Session.ID || len(got.Holds) != 1 || got.Holds[0].Session != o.Session.ID || got.Session.Held != 2 {
			t.Errorf("repeated: got %+v, want the draft opened, with its hold", got)
		}
		if all := must(b.reg.Sessions(t.Context(), "", "", 0))(t); len(all) != 1 {
			t.Errorf("got %d sessions, want one", len(all))
		}
		check(t, b.reg.End(t.Context(), o.Session.ID, "over"))
	}
}
