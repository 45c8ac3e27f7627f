package match

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

// in is a wish of n players in a mode.
func in(mode throng.Mode, name string, n int) throng.Ticket {
	t := ticket(name, n)
	t.Mode = mode
	return t
}

func following(friend throng.PlayerID, name string, n int) throng.Ticket {
	t := in(throng.ModeFriend, name, n)
	t.Friend = friend
	return t
}

func withCode(code, name string, n int) throng.Ticket {
	t := in(throng.ModePrivate, name, n)
	t.Code = throng.HashCode(code)
	return t
}

func placed(t *testing.T, m *Matchmaker, tk throng.Ticket) throng.Assignment {
	t.Helper()
	p, err := m.Place(t.Context(), tk, time.Minute)
	if err != nil || p.Assignment == nil {
		t.Fatalf("%s: got %+v, %v, want an assignment", tk.Key.Ticket, p, err)
	}
	return *p.Assignment
}

func refusedAs(t *testing.T, m *Matchmaker, tk throng.Ticket, want throng.Kind, field string) {
	t.Helper()
	p, err := m.Place(t.Context(), tk, time.Minute)
	if err == nil || throng.KindOf(err) != want {
		t.Errorf("%s: got %+v, %v, want %s", tk.Key.Ticket, p, err, want)
		return
	}
	if e, ok := errors.AsType[*throng.Error](err); field != "" && (!ok || e.Field != field) {
		t.Errorf("%s: got %+v (%v), want field %q", tk.Key.Ticket, e, err, field)
	}
}

// Mode new opens a session although others have room; the next drop-in fills it.
func TestModeNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ms, p := overMemory(t, 1, 10)
		m := ms[0]
		first := placed(t, m, ticket("ada", 1))
		own := in(throng.ModeNew, "bo", 3)
		second := placed(t, m, own)
		if second.Session.ID == first.Session.ID || len(p.opened) != 2 {
			t.Errorf("got %s of %v, want a session of its own", second.Session.ID, p.opened)
		}
		if len(second.Grant.Members) != 3 || second.Session.Private {
			t.Errorf("got %+v, want three seats in a public session", second)
		}
		if again := placed(t, m, own); !reflect.DeepEqual(again.Grant, second.Grant) || len(p.opened) != 2 {
			t.Errorf("a repeat: got %s, %d sessions, want the same answer", again.Grant.Session, len(p.opened))
		}
		if in := placed(t, m, ticket("cy", 1)); in.Session.ID != second.Session.ID {
			t.Errorf("a drop-in: got %s, want the fuller one %s", in.Session.ID, second.Session.ID)
		}
	})
}

// While sessions are opened for parties, drop-ins take no seat in them first.
func TestModeNewAmongAHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ms, p := overMemory(t, 1, 10)
		var group sync.WaitGroup
		placed(t, ms[0], ticket("first", 1))
		for i := range 40 {
			group.Go(func() {
				pause(t.Context(), time.Duration(i)*time.Millisecond)
				placed(t, ms[0], in(throng.ModeNew, fmt.Sprint("own", i), 10))
			})
			group.Go(func() {
				pause(t.Context(), time.Duration(i)*time.Millisecond)
				placed(t, ms[0], ticket(fmt.Sprint("drop", i), 1))
			})
		}
		group.Wait()
		if want := 40 + 5; len(p.opened) != want {
			t.Errorf("got %d sessions, want %d: one a party of ten, and five for 41 singles", len(p.opened), want)
		}
	})
}

// Nobody takes a seat of a session that is opened for a party, though another
// matchmaker hears of it and looks for seats at the same time.
func TestModeNewIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ms, p := overMemory(t, 2, 10)
		var group sync.WaitGroup
		var mu sync.Mutex
		own := map[throng.SessionID]int{}
		for i := range 40 {
			group.Go(func() {
				pause(t.Context(), time.Duration(i)*3*time.Millisecond)
				a := placed(t, ms[0], in(throng.ModeNew, fmt.Sprint("own", i), 9))
				mu.Lock()
				defer mu.Unlock()
				own[a.Session.ID]++
			})
		}
		for i := range 200 {
			group.Go(func() {
				pause(t.Context(), time.Duration(i)*time.Millisecond)
				all(t, ms[1], []throng.Ticket{ticket(fmt.Sprint("drop", i), 1)})
			})
		}
		group.Wait()
		if len(own) != 40 {
			t.Errorf("got %d sessions for 40 parties, want one each", len(own))
		}
		// 560 players fill 56 sessions; what is opened for a party may be heard of late.
		if n := len(p.opened); n > 40+20 {
			t.Errorf("got %d sessions, want no party's opened twice", n)
		}
	})
}

// A private session is found by its code and by nothing else.
func TestModePrivate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ms, p := overMemory(t, 1, 10)
		m := ms[0]
		host := placed(t, m, in(throng.ModePrivate, "ada", 2))
		id := host.Session.ID
		if !host.Session.Private || host.Session.Code != throng.HashCode(codeOf(id)) {
			t.Fatalf("got %+v, want a private session", host.Session)
		}
		if a := placed(t, m, withCode(codeOf(id), "bo", 3)); a.Session.ID != id {
			t.Errorf("with the code: got %s, want %s", a.Session.ID, id)
		}
		if a := placed(t, m, ticket("cy", 1)); a.Session.ID == id {
			t.Error("a drop-in came into a private session")
		}
		refusedAs(t, m, withCode("wrong", "dee", 1), throng.NotFound, "code")
		byID := in(throng.ModeSession, "eve", 1)
		byID.Session = id
		refusedAs(t, m, byID, throng.NotFound, "session")
		p.shown["p-ada"] = id
		refusedAs(t, m, following("p-ada", "fay", 1), throng.Denied, "friend")
		p.around = []throng.SessionFriends{{Session: id, Friends: 2}}
		if a := placed(t, m, ticket("gil", 1)); a.Session.ID == id {
			t.Error("a drop-in followed friends into a private session")
		}
		refusedAs(t, m, withCode(codeOf(id), "hal", 6), throng.Full, "")
		elsewhere := withCode(codeOf(id), "ivo", 1)
		elsewhere.Place = "starter"
		refusedAs(t, m, elsewhere, throng.Invalid, "place")

		if err := p.registry.End(t.Context(), id, "over"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		refusedAs(t, m, withCode(codeOf(id), "jo", 1), throng.NotFound, "code")
	})
}

// Two hosts have two sessions, and each code leads to its own.
func TestPrivateSessionsAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ms, _ := overMemory(t, 2, 10)
		one := placed(t, ms[0], in(throng.ModePrivate, "ada", 1)).Session.ID
		two := placed(t, ms[1], in(throng.ModePrivate, "bo", 1)).Session.ID
		if one == two {
			t.Fatalf("got %s twice", one)
		}
		for i, id := range []throng.SessionID{one, two, one, two} {
			if a := placed(t, ms[i/2], withCode(codeOf(id), fmt.Sprint("p", i), 1)); a.Session.ID != id {
				t.Errorf("code of %s: got %s", id, a.Session.ID)
			}
		}
	})
}

// A friend is followed whole or not at all.
func TestModeFriend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ms, p := overMemory(t, 1, 10)
		m := ms[0]
		away := placed(t, m, in(throng.ModeNew, "ada", 6)).Session.ID
		placed(t, m, in(throng.ModeNew, "bo", 1))
		p.shown["p-ada"] = away
		refusedAs(t, m, following("p-ada", "five", 5), throng.Full, "session")
		if a := placed(t, m, following("p-ada", "four", 4)); a.Session.ID != away || len(a.Grant.Members) != 4 {
			t.Errorf("four of four: got %+v, want all of them in %s", a.Grant, away)
		}
		refusedAs(t, m, following("p-ada", "late", 1), throng.Full, "session")
		refusedAs(t, m, following("p-hidden", "cy", 1), throng.NotFound, "friend")
		refusedAs(t, m, following("p-dee", "dee", 1), throng.Invalid, "friend")
		elsewhere := following("p-ada", "eve", 1)
		elsewhere.Place = "starter"
		refusedAs(t, m, elsewhere, throng.Invalid, "place")
		if s, err := p.registry.Session(t.Context(), away); err != nil || s.Held != 10 {
			t.Errorf("got %d held, %v, want 10: refused parties hold nothing", s.Held, err)
		}
	})
}

// A drop-in goes where friends play, although another session is fuller, and
// takes the seats that are kept from strangers.
func TestFriendsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ms, p := overMemory(t, 1, 10)
		m := ms[0]
		full := placed(t, m, in(throng.ModeNew, "ada", 8)).Session.ID
		empty := placed(t, m, in(throng.ModeNew, "bo", 1)).Session.ID
		if a := placed(t, m, ticket("stranger", 1)); a.Session.ID != empty {
			t.Errorf("a stranger: got %s, want %s, for two seats are kept in the other", a.Session.ID, empty)
		}
		p.around = []throng.SessionFriends{{Session: full, Friends: 1}}
		if a := placed(t, m, ticket("friend", 2)); a.Session.ID != full {
			t.Errorf("friends: got %s, want %s", a.Session.ID, full)
		}
		p.around = []throng.SessionFriends{{Session: empty, Friends: 1}}
		if a := placed(t, m, ticket("other", 1)); a.Session.ID != empty {
			t.Errorf("a friend: got %s, want %s", a.Session.ID, empty)
		}
	})
}
