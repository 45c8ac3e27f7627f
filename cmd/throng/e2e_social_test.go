package main

import (
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/client"
)

// plays says whether the door shows the player in the session.
func plays(t *testing.T, door *client.Door, player throng.PlayerID, session throng.SessionID) bool {
	t.Helper()
	p, err := door.Presence(t.Context(), player)
	if err != nil {
		t.Errorf("presence of %s: %v", player, err)
	}
	return p.State == "playing" && p.Session == string(session)
}

// A party of three: the leader's one ticket seats all, each member hears of it
// in the party, fetches a token of his own and connects with it.
func TestPartyOfThreePlaysTogether(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	players := []throng.PlayerID{"ada", "bo", "cy"}
	doors := map[throng.PlayerID]*client.Door{}
	for _, p := range append(players, "eve") {
		doors[p] = r.as(p, api.RolePlayer)
	}
	made, err := doors["ada"].MakeParty(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id := throng.PartyID(made.ID)
	if _, err := doors["eve"].JoinParty(t.Context(), id, "0000000000000000"); throng.KindOf(err) != throng.NotFound {
		t.Errorf("a guessed invite: got %v, want not found", err)
	}
	for _, p := range players[1:] {
		if made, err = doors[p].JoinParty(t.Context(), id, made.Invite); err != nil {
			t.Fatalf("%s joins: %v", p, err)
		}
	}
	got := map[throng.PlayerID]client.Assignment{}
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, p := range players[1:] {
		group.Go(func() {
			ticket := awaitTicket(t, doors[p], made)
			if ticket == nil {
				return
			}
			a, err := doors[p].Await(t.Context(), throng.TicketKey{
				Caller: throng.PlayerID(ticket.Caller), Ticket: throng.TicketID(ticket.Ticket),
			})
			if err != nil {
				t.Errorf("%s awaits the leader's ticket: %v", p, err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[p] = a
		})
	}
	lead, err := doors["ada"].Matchmake(t.Context(), throng.Ticket{
		Key: throng.TicketKey{Ticket: "together"}, Place: "arena", PartyID: id,
	})
	if err != nil {
		t.Fatal(err)
	}
	group.Wait()
	got["ada"] = lead
	for i, p := range players {
		a := got[p]
		if a.Session != lead.Session || !slices.Equal(a.Party, players) || len(a.JoinToken) != 2048 {
			t.Errorf("%s: got %s with %v and %d bytes, want %s with all three", p, a.Session, a.Party, len(a.JoinToken), lead.Session)
		}
		if i > 0 && string(a.JoinToken) == string(lead.JoinToken) {
			t.Errorf("%s got the leader's token", p)
		}
		if _, err := dial(t, a.JoinToken); err != nil {
			t.Errorf("%s connects: %v", p, err)
		}
	}
	for _, p := range players {
		eventually(t, 10*time.Second, string(p)+" plays", func() bool { return plays(t, doors["eve"], p, lead.Session) })
	}
	key := throng.TicketKey{Caller: "ada", Ticket: "together"}
	if _, err := doors["eve"].Await(t.Context(), key); throng.KindOf(err) != throng.NotFound {
		t.Errorf("a stranger asks for the ticket: got %v, want not found", err)
	}
}

// awaitTicket polls the party as a member does until its leader placed a ticket.
func awaitTicket(t *testing.T, door *client.Door, seen gen.Party) *gen.PartyTicket {
	t.Helper()
	for range 20 {
		p, err := door.Party(t.Context(), throng.PartyID(seen.ID), seen.Revision, 20*time.Second)
		if err != nil {
			t.Errorf("watch the party: %v", err)
			return nil
		}
		if p.Ticket != nil {
			return p.Ticket
		}
		seen = p
	}
	t.Error("the party never had a ticket")
	return nil
}

// Friends follow and find each other, privacy is kept, and a private session
// takes its code.
func TestFriendsAndPrivateSessions(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	ada, bo, eve := r.as("ada", api.RolePlayer), r.as("bo", api.RolePlayer), r.as("eve", api.RolePlayer)
	wish := func(who throng.PlayerID, ticket string, mode throng.Mode) throng.Ticket {
		return throng.Ticket{
			Key: throng.TicketKey{Caller: who, Ticket: throng.TicketID(ticket)}, Place: "arena",
			Party: []throng.PlayerID{who}, Mode: mode,
		}
	}
	follow := wish("bo", "follow", throng.ModeFriend)
	follow.Friend = "ada"
	for door, list := range map[*client.Door][]throng.PlayerID{ada: {"bo"}, bo: {"ada"}} {
		if _, err := door.SetFriends(t.Context(), map[*client.Door]throng.PlayerID{ada: "ada", bo: "bo"}[door], list); err != nil {
			t.Fatal(err)
		}
	}
	if err := ada.SetPrivacy(t.Context(), "ada", throng.PrivacyFriends); err != nil {
		t.Fatal(err)
	}
	join := func(door *client.Door, tk throng.Ticket) client.Assignment {
		t.Helper()
		a, err := door.Matchmake(t.Context(), tk)
		if err != nil {
			t.Fatalf("%s: %v", tk.Key.Ticket, err)
		}
		if _, err := dial(t, a.JoinToken); err != nil {
			t.Fatalf("%s connects: %v", tk.Key.Ticket, err)
		}
		eventually(t, 10*time.Second, string(tk.Key.Caller)+" plays", func() bool { return plays(t, door, tk.Key.Caller, a.Session) })
		return a
	}
	own := join(ada, wish("ada", "own", throng.ModeNew))
	fuller := join(eve, wish("eve", "own", throng.ModeNew))
	if fuller.Session == own.Session {
		t.Fatal("mode new gave two players one session")
	}
	if plays(t, eve, "ada", own.Session) || !plays(t, bo, "ada", own.Session) {
		t.Error("ada shows herself to a stranger, or not to a friend")
	}
	spy := follow
	spy.Key, spy.Party = throng.TicketKey{Caller: "eve", Ticket: "spy"}, []throng.PlayerID{"eve"}
	if _, err := eve.Matchmake(t.Context(), spy); throng.KindOf(err) != throng.NotFound {
		t.Errorf("a stranger follows her: got %v, want not found", err)
	}
	if a := join(bo, wish("bo", "drop-in", throng.ModeDropIn)); a.Session != own.Session {
		t.Errorf("bo drops in: got %s, want his friend's %s", a.Session, own.Session)
	}

	secret := join(ada, wish("ada", "secret", throng.ModePrivate))
	if secret.Code == "" || secret.Session == own.Session {
		t.Fatalf("got %s with code %q, want a new session with one", secret.Session, secret.Code)
	}
	if _, err := bo.Matchmake(t.Context(), follow); throng.KindOf(err) != throng.Denied {
		t.Errorf("a friend follows into a private session: got %v, want denied", err)
	}
	list, err := eve.Sessions(t.Context(), "arena", client.SessionQuery{})
	if err != nil || slices.ContainsFunc(list.Sessions, func(s gen.Session) bool { return s.ID == string(secret.Session) }) {
		t.Errorf("the list: got %+v, %v, want it without %s", list, err, secret.Session)
	}
	if _, err := eve.JoinPrivate(t.Context(), wish("eve", "guess", ""), "0000000000000000"); throng.KindOf(err) != throng.NotFound {
		t.Errorf("a guessed code: got %v, want not found", err)
	}
	if a, err := eve.JoinPrivate(t.Context(), wish("eve", "invited", ""), secret.Code); err != nil || a.Session != secret.Session || a.Code != secret.Code {
		t.Errorf("with the code: got %+v, %v, want %s", a, err, secret.Session)
	}
}

// A control plane that starts anew learns from the game server that its session
// is private, and the code that was given out is still good.
func TestPrivateSessionSurvivesTheControlPlane(t *testing.T) {
	t.Parallel()
	r, _, control := startSplit(t)
	wish := func(who throng.PlayerID, ticket throng.TicketID) throng.Ticket {
		return throng.Ticket{
			Key: throng.TicketKey{Caller: who, Ticket: ticket}, Place: "arena",
			Party: []throng.PlayerID{who}, Mode: throng.ModePrivate,
		}
	}
	host, err := r.as("ada", api.RolePlayer).Matchmake(t.Context(), wish("ada", "host"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, host.JoinToken); err != nil {
		t.Fatal(err)
	}
	r.awaitSeated("arena", 1, 20*time.Second)
	r.prog.stop(syscall.SIGKILL)
	r.prog = control()
	after := r.awaitSeated("arena", 1, 30*time.Second)
	if len(after) != 1 || after[0].ID != string(host.Session) || !after[0].Private {
		t.Errorf("after the restart: got %+v, want %s, private", after, host.Session)
	}
	bo := r.as("bo", api.RolePlayer)
	tries := 0
	eventually(t, 20*time.Second, "the code lets a guest in", func() bool {
		tries++
		a, err := bo.JoinPrivate(t.Context(), wish("bo", throng.TicketID(fmt.Sprint("guest", tries))), host.Code)
		return err == nil && a.Session == host.Session
	})
	a, err := r.as("cy", api.RolePlayer).Matchmake(t.Context(), throng.Ticket{
		Key: throng.TicketKey{Ticket: "stranger"}, Place: "arena", Party: []throng.PlayerID{"cy"}, Mode: throng.ModeDropIn,
	})
	if err != nil || a.Session == host.Session {
		t.Errorf("a stranger drops in: got %s, %v, want another session", a.Session, err)
	}
}
