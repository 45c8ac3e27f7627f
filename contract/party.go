package contract

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/party"
)

var partyTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant that Go can't write as one

// partyName is the n-th party of a case.
func partyName(n byte) throng.PartyID {
	return throng.MakePartyID("local", throng.Entropy{n})
}

func partyRecord(n byte, members ...throng.PlayerID) party.Record {
	return party.Record{
		Party: throng.Party{
			ID: partyName(n), Members: members, Invite: "invite", Expires: partyTime.Add(time.Hour),
		},
		Touched: partyTime,
	}
}

// PartyStore tests a party.Store. open makes an empty one for each case, with
// room for at least 100 parties.
func PartyStore(t *testing.T, open func(t *testing.T) party.Store) {
	for name, run := range map[string]func(*testing.T, party.Store){
		"what was kept comes back":                      partyKept,
		"a record is replaced at its revision only":     partyRevisions,
		"a record without members is gone":              partyGone,
		"of many swaps at one revision one wins":        partyRace,
		"who waits hears of a change, and of the end":   partyAwait,
		"parties that nobody touched are found":         partyIdle,
		"a player is in one party":                      partyMoves,
		"of many moves from one party one wins":         partyMoveRace,
		"who changes what he was given changes nothing": partyCopies,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, open(t))
		})
	}
}

func partyKept(t *testing.T, s party.Store) {
	ctx := t.Context()
	if _, err := s.Get(ctx, partyName(1)); throng.KindOf(err) != throng.NotFound || err == nil {
		t.Errorf("unknown party: got %v, want not found", err)
	}
	r := partyRecord(1, "ada", "odd_name.:-")
	r.Ticket = &throng.PartyTicket{
		Key: throng.TicketKey{Caller: "ada", Ticket: "t1"}, Members: []throng.PlayerID{"ada"},
	}
	stored := must(s.Swap(ctx, r))(t)
	if stored.Revision != 1 {
		t.Errorf("revision: got %d, want 1", stored.Revision)
	}
	got := must(s.Get(ctx, r.ID))(t)
	r.Revision = 1
	if !got.Touched.Equal(r.Touched) || !got.Expires.Equal(r.Expires) {
		t.Errorf("times: got %v and %v, want %v and %v", got.Touched, got.Expires, r.Touched, r.Expires)
	}
	got.Touched, got.Expires = r.Touched, r.Expires
	if !reflect.DeepEqual(got, r) {
		t.Errorf("got %+v, want %+v", got, r)
	}
}

func partyRevisions(t *testing.T, s party.Store) {
	ctx := t.Context()
	first := must(s.Swap(ctx, partyRecord(1, "ada")))(t)
	refused(t, second(s.Swap(ctx, partyRecord(1, "bo"))), throng.Conflict)
	next := first
	next.Members = []throng.PlayerID{"ada", "bo"}
	if got := must(s.Swap(ctx, next))(t); got.Revision != 2 {
		t.Errorf("revision: got %d, want 2", got.Revision)
	}
	refused(t, second(s.Swap(ctx, first)), throng.Conflict)
	other := partyRecord(2, "cy")
	other.Revision = 7
	refused(t, second(s.Swap(ctx, other)), throng.Conflict)
}

func partyGone(t *testing.T, s party.Store) {
	ctx := t.Context()
	r := must(s.Swap(ctx, partyRecord(1, "ada")))(t)
	r.Members = nil
	check(t, second(s.Swap(ctx, r)))
	refused(t, second(s.Get(ctx, r.ID)), throng.NotFound)
	refused(t, second(s.Swap(ctx, r)), throng.Conflict)
}

func partyRace(t *testing.T, s party.Store) {
	ctx := t.Context()
	r := must(s.Swap(ctx, partyRecord(1, "ada")))(t)
	var group sync.WaitGroup
	wins := make(chan throng.PlayerID, 50)
	for i := range 50 {
		group.Go(func() {
			mine := r
			player := throng.PlayerID(fmt.Sprint("p", i))
			mine.Members = []throng.PlayerID{"ada", player}
			_, err := s.Swap(ctx, mine)
			switch {
			case err == nil:
				wins <- player
			case throng.KindOf(err) != throng.Conflict:
				t.Errorf("swap: got %v, want a conflict", err)
			}
		})
	}
	group.Wait()
	if len(wins) != 1 {
		t.Fatalf("got %d winners, want 1", len(wins))
	}
	if got := must(s.Get(ctx, r.ID))(t).Members[1]; got != <-wins {
		t.Errorf("kept: got %s, want the winner", got)
	}
}

func partyAwait(t *testing.T, s party.Store) {
	ctx := t.Context()
	r := must(s.Swap(ctx, partyRecord(1, "ada")))(t)
	check(t, s.Await(ctx, r.ID, r.Revision-1)) // it is past that already
	check(t, s.Await(ctx, partyName(9), 0))    // there is none

	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if err := s.Await(short, r.ID, r.Revision); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nothing changes: got %v, want the end of the context", err)
	}
	for _, members := range [][]throng.PlayerID{{"ada", "bo"}, nil} {
		heard := make(chan error, 10)
		for range cap(heard) {
			go func() { heard <- s.Await(ctx, r.ID, r.Revision) }()
		}
		next := r
		next.Members = members
		changed := must(s.Swap(ctx, next))(t)
		for range cap(heard) {
			check(t, <-heard)
		}
		r = changed
	}
}

func partyIdle(t *testing.T, s party.Store) {
	ctx := t.Context()
	for n := range byte(5) {
		r := partyRecord(n+1, "ada")
		r.Touched = partyTime.Add(time.Duration(n) * time.Hour)
		check(t, second(s.Swap(ctx, r)))
	}
	got := must(s.Idle(ctx, partyTime.Add(2*time.Hour), 10))(t)
	slices.Sort(got)
	if want := []throng.PartyID{partyName(1), partyName(2)}; !slices.Equal(got, want) {
		t.Errorf("idle: got %v, want %v", got, want)
	}
	if got := must(s.Idle(ctx, partyTime.Add(time.Hour*24), 3))(t); len(got) != 3 {
		t.Errorf("at most 3: got %d", len(got))
	}
}

func partyMoves(t *testing.T, s party.Store) {
	ctx := t.Context()
	is := func(want throng.PartyID) {
		t.Helper()
		if got := must(s.Of(ctx, "ada"))(t); got != want {
			t.Errorf("the player's party: got %q, want %q", got, want)
		}
	}
	one, two := partyName(1), partyName(2)
	is("")
	check(t, s.Move(ctx, "ada", "", one))
	check(t, s.Move(ctx, "ada", "", one)) // a repeat
	is(one)
	refused(t, s.Move(ctx, "ada", "", two), throng.Conflict)
	is(one)
	check(t, s.Move(ctx, "ada", one, two))
	is(two)
	refused(t, s.Move(ctx, "ada", one, ""), throng.Conflict)
	check(t, s.Move(ctx, "ada", two, ""))
	check(t, s.Move(ctx, "ada", two, ""))
	is("")
}

func partyMoveRace(t *testing.T, s party.Store) {
	ctx := t.Context()
	var group sync.WaitGroup
	wins := make(chan throng.PartyID, 50)
	for n := range byte(50) {
		group.Go(func() {
			if err := s.Move(ctx, "ada", "", partyName(n+1)); err == nil {
				wins <- partyName(n + 1)
			}
		})
	}
	group.Wait()
	if len(wins) != 1 {
		t.Fatalf("got %d winners, want 1", len(wins))
	}
	if got := must(s.Of(ctx, "ada"))(t); got != <-wins {
		t.Errorf("the player's party: got %s, want the winner", got)
	}
}

func partyCopies(t *testing.T, s party.Store) {
	ctx := t.Context()
	r := partyRecord(1, "ada", "bo")
	r.Ticket = &throng.PartyTicket{Members: []throng.PlayerID{"ada", "bo"}}
	given := must(s.Swap(ctx, r))(t)
	for _, mine := range []party.Record{r, given, must(s.Get(ctx, r.ID))(t)} {
		mine.Members[1] = "eve"
		mine.Ticket.Members[1] = "eve"
	}
	got := must(s.Get(ctx, r.ID))(t)
	if got.Members[1] != "bo" || got.Ticket.Members[1] != "bo" {
		t.Errorf("got %+v, want bo still in", got)
	}
}
