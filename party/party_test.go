package party_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/memory"
	"github.com/throng-gg/throng/party"
)

func newParties(t *testing.T) *party.Parties {
	t.Helper()
	p, err := party.New(party.Config{Store: memory.NewParties(0), Region: "local"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// must returns a party of a call that has to work.
func must(p throng.Party, err error) func(*testing.T) throng.Party {
	return func(t *testing.T) throng.Party {
		t.Helper()
		if err != nil {
			t.Fatalf("got error %v, want none", err)
		}
		return p
	}
}

func refused(t *testing.T, what string, err error, want throng.Kind) {
	t.Helper()
	if err == nil || throng.KindOf(err) != want {
		t.Errorf("%s: got %v, want %s", what, err, want)
	}
}

func hasMembers(t *testing.T, p throng.Party, want ...throng.PlayerID) {
	t.Helper()
	if !slices.Equal(p.Members, want) {
		t.Errorf("members: got %v, want %v", p.Members, want)
	}
}

func watch(t *testing.T, ps *party.Parties, id throng.PartyID, viewer throng.PlayerID) throng.Party {
	t.Helper()
	return must(ps.Watch(t.Context(), id, viewer, 0, 0))(t)
}

func TestLifeOfAParty(t *testing.T) {
	ps, ctx := newParties(t), t.Context()
	p := must(ps.Make(ctx, "ada"))(t)
	if again := must(ps.Make(ctx, "ada"))(t); again.ID != p.ID {
		t.Errorf("a repeat: got %s, want the same party %s", again.ID, p.ID)
	}
	if len(p.Invite) != 16 || p.Expires.IsZero() {
		t.Errorf("invite: got %q until %v, want 16 characters, 80 bits", p.Invite, p.Expires)
	}
	must(ps.Join(ctx, p.ID, "bo", p.Invite))(t)
	must(ps.Join(ctx, p.ID, "c.y:_-", " "+strings.ToUpper(p.Invite)+"\n"))(t)
	joined := must(ps.Join(ctx, p.ID, "bo", "whatever"))(t) // he is in already
	hasMembers(t, joined, "ada", "bo", "c.y:_-")

	if err := ps.Remove(ctx, p.ID, "ada", "ada"); err != nil {
		t.Fatal(err)
	}
	left := watch(t, ps, p.ID, "bo")
	if hasMembers(t, left, "bo", "c.y:_-"); left.Leader() != "bo" {
		t.Errorf("leader: got %s, want the oldest, bo", left.Leader())
	}
	_, err := ps.Watch(ctx, p.ID, "ada", 0, 0)
	refused(t, "who left", err, throng.NotFound)
	for _, player := range []throng.PlayerID{"bo", "bo", "c.y:_-"} {
		if err := ps.Remove(ctx, p.ID, player, player); err != nil {
			t.Fatal(err)
		}
	}
	_, err = ps.Join(ctx, p.ID, "dee", p.Invite)
	refused(t, "an empty party", err, throng.NotFound)
}

func TestJoiningAnotherLeavesTheFirst(t *testing.T) {
	ps, ctx := newParties(t), t.Context()
	one, two := must(ps.Make(ctx, "ada"))(t), must(ps.Make(ctx, "bo"))(t)
	must(ps.Join(ctx, one.ID, "cy", one.Invite))(t)
	must(ps.Join(ctx, two.ID, "cy", two.Invite))(t)
	hasMembers(t, watch(t, ps, one.ID, "ada"), "ada")
	hasMembers(t, watch(t, ps, two.ID, "bo"), "bo", "cy")
	must(ps.Join(ctx, two.ID, "ada", two.Invite))(t)
	_, err := ps.Watch(ctx, one.ID, "ada", 0, 0)
	refused(t, "the party she made, which is empty", err, throng.NotFound)
	_, err = ps.Join(ctx, one.ID, "cy", "0000000000000000")
	refused(t, "a wrong invite", err, throng.NotFound)
	hasMembers(t, watch(t, ps, two.ID, "cy"), "bo", "cy", "ada")
}

func TestOnlyTheLeader(t *testing.T) {
	ps, ctx := newParties(t), t.Context()
	p := must(ps.Make(ctx, "ada"))(t)
	for _, who := range []throng.PlayerID{"bo", "cy"} {
		must(ps.Join(ctx, p.ID, who, p.Invite))(t)
	}
	key := func(who throng.PlayerID) throng.TicketKey { return throng.TicketKey{Caller: who, Ticket: "t"} }
	for who, want := range map[throng.PlayerID]throng.Kind{"bo": throng.Denied, "eve": throng.NotFound} {
		_, err := ps.Invite(ctx, p.ID, who)
		refused(t, "invite by "+string(who), err, want)
		refused(t, "kick by "+string(who), ps.Remove(ctx, p.ID, who, "cy"), want)
		_, err = ps.Start(ctx, p.ID, key(who))
		refused(t, "start by "+string(who), err, want)
	}
	fresh := must(ps.Invite(ctx, p.ID, "ada"))(t)
	_, err := ps.Join(ctx, p.ID, "dee", p.Invite)
	refused(t, "the invite before", err, throng.NotFound)
	if err := ps.Remove(ctx, p.ID, "ada", "cy"); err != nil {
		t.Fatal(err)
	}
	_, err = ps.Join(ctx, p.ID, "cy", fresh.Invite)
	refused(t, "who was kicked, with the invite that he knows", err, throng.NotFound)
	hasMembers(t, watch(t, ps, p.ID, "bo"), "ada", "bo")
}

// Nobody can tell an unknown party from a wrong or an old invite.
func TestRefusalsAreAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ps, ctx := newParties(t), t.Context()
		p := must(ps.Make(ctx, "ada"))(t)
		_, wrong := ps.Join(ctx, p.ID, "eve", "0000000000000000")
		_, unknown := ps.Join(ctx, throng.MakePartyID("local", throng.Entropy{9}), "eve", p.Invite)
		<-time.After(throng.InviteTime)
		_, old := ps.Join(ctx, p.ID, "eve", p.Invite)
		for name, err := range map[string]error{"wrong": wrong, "unknown": unknown, "old": old} {
			if refused(t, name, err, throng.NotFound); err.Error() != wrong.Error() {
				t.Errorf("%s: got %q, want %q", name, err, wrong)
			}
		}
	})
}

func TestPartyIsFull(t *testing.T) {
	ps, ctx := newParties(t), t.Context()
	p := must(ps.Make(ctx, "p0"))(t)
	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			for n := range 22 {
				who := throng.PlayerID(fmt.Sprint("p", 1+i*22+n))
				for {
					_, err := ps.Join(ctx, p.ID, who, p.Invite)
					if throng.KindOf(err) == throng.Contention && err != nil {
						continue
					}
					if err != nil && throng.KindOf(err) != throng.Full {
						t.Errorf("%s: got %v, want in or full", who, err)
					}
					break
				}
			}
		})
	}
	group.Wait()
	got := watch(t, ps, p.ID, "p0")
	if len(got.Members) != throng.PartyMost {
		t.Errorf("got %d members, want %d", len(got.Members), throng.PartyMost)
	}
}

// A ticket seats whoever is in when it is first sent, the same ones each time.
func TestStart(t *testing.T) {
	ps, ctx := newParties(t), t.Context()
	p := must(ps.Make(ctx, "ada"))(t)
	must(ps.Join(ctx, p.ID, "bo", p.Invite))(t)
	key := throng.TicketKey{Caller: "ada", Ticket: "t1"}
	seated, err := ps.Start(ctx, p.ID, key)
	if err != nil || !slices.Equal(seated, []throng.PlayerID{"ada", "bo"}) {
		t.Fatalf("got %v, %v, want ada and bo", seated, err)
	}
	must(ps.Join(ctx, p.ID, "cy", p.Invite))(t)
	if err := ps.Remove(ctx, p.ID, "bo", "bo"); err != nil {
		t.Fatal(err)
	}
	if again, err := ps.Start(ctx, p.ID, key); err != nil || !slices.Equal(again, seated) {
		t.Errorf("a repeat: got %v, %v, want %v", again, err, seated)
	}
	got := watch(t, ps, p.ID, "cy")
	if got.Ticket == nil || got.Ticket.Key != key || !slices.Equal(got.Ticket.Members, seated) {
		t.Errorf("members see %+v, want the ticket of %v", got.Ticket, seated)
	}
	next, err := ps.Start(ctx, p.ID, throng.TicketKey{Caller: "ada", Ticket: "t2"})
	if err != nil || !slices.Equal(next, []throng.PlayerID{"ada", "cy"}) {
		t.Errorf("the next ticket: got %v, %v, want ada and cy", next, err)
	}
}

// Players join and leave while the leader starts tickets: each ticket has
// players who were in, each once, the leader first.
func TestRaces(t *testing.T) {
	ps, ctx := newParties(t), t.Context()
	p := must(ps.Make(ctx, "ada"))(t)
	var group sync.WaitGroup
	for i := range 6 {
		who := throng.PlayerID(fmt.Sprint("p", i))
		group.Go(func() {
			for range 50 {
				_, err := ps.Join(ctx, p.ID, who, p.Invite)
				if err != nil && throng.KindOf(err) != throng.Contention {
					t.Errorf("join: %v", err)
				}
				if err := ps.Remove(ctx, p.ID, who, who); err != nil {
					t.Errorf("leave: %v", err)
				}
			}
			for {
				if _, err := ps.Join(ctx, p.ID, who, p.Invite); err == nil {
					return
				}
			}
		})
	}
	group.Go(func() {
		for n := range 100 {
			seated, err := ps.Start(ctx, p.ID, throng.TicketKey{Caller: "ada", Ticket: throng.TicketID(fmt.Sprint(n))})
			if err != nil {
				if throng.KindOf(err) != throng.Contention {
					t.Errorf("start: %v", err)
				}
				continue
			}
			sorted := slices.Compact(slices.Sorted(slices.Values(seated)))
			if seated[0] != "ada" || len(sorted) != len(seated) || len(seated) > 7 {
				t.Errorf("ticket %d seats %v", n, seated)
			}
		}
	})
	group.Wait()
	if got := watch(t, ps, p.ID, "ada"); len(got.Members) != 7 {
		t.Errorf("in the end: got %v, want all seven", got.Members)
	}
}

// A player who joins many parties at once is in one.
func TestOnePartyAPlayer(t *testing.T) {
	ps, ctx := newParties(t), t.Context()
	var made []throng.Party
	for i := range 10 {
		made = append(made, must(ps.Make(ctx, throng.PlayerID(fmt.Sprint("host", i))))(t))
	}
	var group sync.WaitGroup
	for _, p := range made {
		group.Go(func() { _, _ = ps.Join(ctx, p.ID, "ada", p.Invite) })
	}
	group.Wait()
	in := 0
	for _, p := range made {
		if len(watch(t, ps, p.ID, p.Leader()).Members) == 2 {
			in++
		}
	}
	if in != 1 {
		t.Errorf("ada is in %d parties, want 1", in)
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ps, ctx := newParties(t), t.Context()
		p := watch(t, ps, must(ps.Make(ctx, "ada"))(t).ID, "ada")
		begun := time.Now()
		same := must(ps.Watch(ctx, p.ID, "ada", p.Revision, 5*time.Second))(t)
		if waited := time.Since(begun); same.Revision != p.Revision || waited != 5*time.Second {
			t.Errorf("nothing happens: got revision %d after %v, want %d after 5s", same.Revision, waited, p.Revision)
		}
		seen := make(chan throng.Party)
		go func() {
			revision := p.Revision
			for {
				got, err := ps.Watch(ctx, p.ID, "ada", revision, time.Minute)
				if err != nil {
					close(seen)
					return
				}
				revision = got.Revision
				if len(got.Members) == 2 {
					seen <- got
				}
			}
		}()
		<-time.After(time.Second)
		must(ps.Join(ctx, p.ID, "bo", p.Invite))(t)
		if got := <-seen; got.Members[1] != "bo" {
			t.Errorf("the watcher sees %v, want bo", got.Members)
		}
		if err := ps.Remove(ctx, p.ID, "ada", "ada"); err != nil {
			t.Fatal(err)
		}
		for range seen { // what she saw before she was out
		}
		gone, cancel := context.WithCancel(ctx)
		cancel()
		now := watch(t, ps, p.ID, "bo")
		_, err := ps.Watch(gone, p.ID, "bo", now.Revision, time.Minute)
		refused(t, "who hangs up", err, throng.Unavailable)
	})
}

func TestIdlePartiesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ps, ctx := newParties(t), t.Context()
		idle, kept := must(ps.Make(ctx, "ada"))(t), must(ps.Make(ctx, "bo"))(t)
		running, stop := context.WithCancel(ctx)
		ended := make(chan error)
		go func() { ended <- ps.Run(running) }()
		for range 30 {
			<-time.After(time.Hour)
			watch(t, ps, kept.ID, "bo")
		}
		_, err := ps.Watch(ctx, idle.ID, "ada", 0, 0)
		refused(t, "a party that nobody asked for in 30 hours", err, throng.NotFound)
		if again := must(ps.Make(ctx, "ada"))(t); again.ID == idle.ID {
			t.Error("ada got the party that is over")
		}
		if ok, err := ps.Together(ctx, "bo", []throng.PlayerID{"bo"}); err != nil || !ok {
			t.Errorf("bo's party: got %v, %v, want it alive", ok, err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
	})
}

func TestTogether(t *testing.T) {
	ps, ctx := newParties(t), t.Context()
	p := must(ps.Make(ctx, "ada"))(t)
	must(ps.Join(ctx, p.ID, "bo", p.Invite))(t)
	for _, c := range []struct {
		caller  throng.PlayerID
		players []throng.PlayerID
		want    bool
	}{
		{"ada", []throng.PlayerID{"ada", "bo"}, true},
		{"bo", []throng.PlayerID{"ada"}, true},
		{"ada", []throng.PlayerID{"ada", "eve"}, false},
		{"eve", []throng.PlayerID{"eve", "ada"}, false},
		{"eve", nil, false},
	} {
		if got, err := ps.Together(ctx, c.caller, c.players); err != nil || got != c.want {
			t.Errorf("%s with %v: got %v, %v, want %v", c.caller, c.players, got, err, c.want)
		}
	}
}
