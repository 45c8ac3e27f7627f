package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/bot"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/udp"
	"github.com/throng-gg/throng/wire"
)

// TestDrainMovesEverybody: fifty players of one session, in parties and alone,
// are in another one after it was drained, without a moment's loss, and parties
// are whole.
func TestDrainMovesEverybody(t *testing.T) {
	r := startDev(t, "--warm", "2", "--max", "4")
	progress := &logBuffer{}
	crowd := r.crowd(t.Context(), bot.Config{Place: "arena", Players: 50, For: 12 * time.Second, Progress: progress})
	eventually(t, 60*time.Second, "all are in", func() bool {
		s := r.sessions("arena")
		return len(s) == 1 && s[0].Seated == 50 && strings.Contains(progress.String(), "all placed")
	})
	first := r.sessions("arena")[0].ID
	begun := time.Now()
	status, out := throngCommand(t, "drain", first, "--addr", r.url, "--reason", "update", "--wait")
	if status != 0 || !strings.Contains(out, first+" is ended, 0 players") {
		t.Errorf("throng drain: exit status %d:\n%s", status, out)
	}
	t.Logf("drained after %s", time.Since(begun).Round(10*time.Millisecond))
	if s := r.sessions("arena"); len(s) != 1 || s[0].ID == first || s[0].Seated != 50 {
		t.Errorf("sessions after that: got %+v, want another one with all 50", s)
	}
	got := <-crowd
	if got.Failed != 0 || got.Mismatched != 0 || got.Rejoined != 0 || got.HandedOff != 50 || got.HandedSeen != 50 || got.OverCapacity != 0 || len(got.Errors) != 0 {
		t.Errorf("the crowd: failed %d mismatched %d rejoined %d handed off %d, seen %d, over capacity %d, errors %v; want 0, 0, 0, 50, 50, 0, none",
			got.Failed, got.Mismatched, got.Rejoined, got.HandedOff, got.HandedSeen, got.OverCapacity, got.Errors)
	}
	if got.HandoffMS.P99 > 2000 {
		t.Errorf("without a world for p99 %.0f ms, want a moment", got.HandoffMS.P99)
	}
	if n := r.metric(`throng_handoffs_total{outcome="ok"}`); n != 1 {
		t.Errorf("throng_handoffs_total of ok: got %v, want 1", n)
	}
	if log := r.prog.logs.String(); !strings.Contains(log, first) || !strings.Contains(log, "players are handed off") {
		t.Error("the log does not say who was handed off")
	}
}

// lobby is a place that hands its players off as soon as so many are in.
func lobby(players int, options string) string {
	return fmt.Sprintf(`
local sent = false
place.on("tick", function()
  if players.count() < %d or sent then return end
  sent = true
  handoff.send(players.all(), %s, function(ok, words, code) print("answer", ok, code, words) end)
end)
place.on("leave", function(player) print("left", player.id) end)`, players, options)
}

// den is a place that says who comes from where.
const den = `
place.on("join", function(player, from)
  print("in", player.id, from and from.place or "itself", from and from.data or "")
end)`

// says waits until a place's log has all of the lines.
func (r *region) says(place throng.PlaceID, lines ...string) {
	r.t.Helper()
	creator := r.as("creator", api.RoleCreator)
	var text string
	defer func() {
		if r.t.Failed() {
			r.t.Logf("the log of %s:\n%s", place, text)
		}
	}()
	eventually(r.t, 30*time.Second, fmt.Sprintf("the log of %s has %q", place, lines), func() bool {
		page, err := creator.Logs(r.t.Context(), place, "", throng.LogQuery{})
		if err != nil {
			text = err.Error()
			return false
		}
		text = ""
		for _, line := range page.Lines {
			text += line.Text + "\n"
		}
		for _, line := range lines {
			if !strings.Contains(text, line+"\n") {
				return false
			}
		}
		return true
	})
}

// traveller is a player who goes along with handoffs.
type traveller struct {
	*guest
	mu    sync.Mutex
	where throng.SessionID
	gate  chan struct{} // not nil: he goes once it is closed
}

func (v *traveller) session() throng.SessionID {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.where
}

// enter brings a party into a place; the first one's ticket seats all.
func (r *region) enter(place throng.PlaceID, gate chan struct{}, mode throng.Mode, names ...throng.PlayerID) []*traveller {
	r.t.Helper()
	key := throng.TicketKey{Caller: names[0], Ticket: throng.TicketID("tkt-" + string(names[0]))}
	var out []*traveller
	for i, name := range names {
		door := r.as(name, api.RolePlayer)
		var a client.Assignment
		var err error
		if i == 0 {
			a, err = door.Matchmake(r.t.Context(), throng.Ticket{Key: key, Place: place, Party: names, Mode: mode})
		} else {
			a, err = door.Await(r.t.Context(), key)
		}
		if err != nil {
			r.t.Fatal(err)
		}
		v := &traveller{where: a.Session, gate: gate}
		dial := func(ctx context.Context, token []byte, receive func([]byte)) (client.Conn, error) {
			return udp.Dial(ctx, token, receive)
		}
		v.guest = r.guest(client.SessionConfig{
			Token: a.JoinToken, Dial: dial,
			Move: func(wire.Handoff) client.Dial {
				return func(ctx context.Context, token []byte, receive func([]byte)) (client.Conn, error) {
					if v.gate != nil {
						select {
						case <-v.gate:
						case <-ctx.Done():
							return nil, ctx.Err()
						}
					}
					return dial(ctx, token, receive)
				}
			},
			Moved: func(h wire.Handoff) {
				v.mu.Lock()
				defer v.mu.Unlock()
				v.where = h.Session
			},
		})
		out = append(out, v)
	}
	return out
}

// playing says that the player's world goes on.
func (r *region) playing(v *traveller) {
	r.t.Helper()
	r.playingOn(v, 10)
}

// playingOn says that it goes on for so many ticks.
func (r *region) playingOn(v *traveller, ticks throng.Tick) {
	r.t.Helper()
	from, _ := v.sees()
	eventually(r.t, time.Minute, "the world goes on", func() bool {
		tick, _ := v.sees()
		return tick > from+ticks
	})
	select {
	case err := <-v.done:
		r.t.Errorf("the game ended: %v", err)
	default:
	}
}

// TestScriptHandsPlayersOff: a lobby sends its players to another place, which
// gets what the lobby says of them.
func TestScriptHandsPlayersOff(t *testing.T) {
	t.Parallel()
	r := startDev(t, "--warm", "2")
	r.publish("den", "6", den)
	r.publish("lobby", "6", lobby(3, `{place = "den", data = "red"}`))
	r.enter("den", nil, throng.ModeDropIn, "zoe")
	party := r.enter("lobby", nil, throng.ModeDropIn, "ada", "bo", "cy")
	r.says("lobby", "answer\ttrue\tnil\tnil", "left\tada", "left\tbo", "left\tcy")
	r.says("den", "in\tzoe\titself\t", "in\tada\tlobby\tred", "in\tbo\tlobby\tred", "in\tcy\tlobby\tred")
	for _, v := range party {
		r.playing(v)
	}
	if s := r.sessions("den"); len(s) != 1 || s[0].Seated != 4 {
		t.Errorf("sessions of den: got %+v, want one with four", s)
	}
}

// TestHandoffIntoAFullSessionMovesNobody: the named session fills first.
func TestHandoffIntoAFullSessionMovesNobody(t *testing.T) {
	t.Parallel()
	r := startDev(t, "--warm", "2")
	r.publish("den", "3", den)
	r.enter("den", nil, throng.ModeDropIn, "zoe", "yan")
	full := r.awaitSeated("den", 2, 20*time.Second)[0].ID
	r.publish("lobby", "6", lobby(2, fmt.Sprintf("{session = %q}", full)))
	party := r.enter("lobby", nil, throng.ModeDropIn, "ada", "bo")
	r.says("lobby", fmt.Sprintf("answer\tfalse\tfull\tsession: hold seats in %s: %s has no room for 2", full, full))
	for _, v := range party {
		r.playing(v)
		if v.game.Handoffs() != 0 {
			t.Error("a player was moved")
		}
	}
	if s := r.sessions("den"); len(s) != 1 || s[0].Seated != 2 || s[0].Held != 0 {
		t.Errorf("sessions of den: got %+v, want one with two and nothing held", s)
	}
	if n := r.metric(`throng_handoffs_total{outcome="full"}`); n != 1 {
		t.Errorf("throng_handoffs_total of full: got %v, want 1", n)
	}
}

// TestTargetDiesBeforeTheyArrive: they are still where they were.
func TestTargetDiesBeforeTheyArrive(t *testing.T) {
	t.Parallel()
	r := startDev(t, "--warm", "2")
	r.publish("den", "6", den)
	r.publish("lobby", "6", lobby(2, `{place = "den"}`))
	gate := make(chan struct{})
	party := r.enter("lobby", gate, throng.ModeDropIn, "ada", "bo")
	from := party[0].session()
	r.says("lobby", "answer\ttrue\tnil\tnil")
	target := r.sessions("den")[0]
	if err := syscall.Kill(r.pidOf(target.Server), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	close(gate)
	eventually(t, 30*time.Second, "the target is known to be over", func() bool { return len(r.sessions("den")) == 0 })
	for _, v := range party {
		// For longer than the way to the other session may take.
		r.playingOn(v, 30*throng.Tick(throng.HoldTime/time.Second+3))
		if v.game.Handoffs() != 0 || v.session() != from {
			t.Errorf("a player is in %s after %d handoffs, want %s and none", v.session(), v.game.Handoffs(), from)
		}
	}
	if s := r.sessions("lobby"); len(s) != 1 || s[0].Seated != 2 {
		t.Errorf("sessions of lobby: got %+v, want one with both", s)
	}
}

// TestSourceDiesInTheMiddle: its players come back by the usual ways, or are
// there already; nobody has two seats.
func TestSourceDiesInTheMiddle(t *testing.T) {
	r := startDev(t, "--warm", "2")
	progress := &logBuffer{}
	crowd := r.crowd(t.Context(), bot.Config{Place: "arena", Players: 40, For: 25 * time.Second, Progress: progress})
	eventually(t, 60*time.Second, "all are in", func() bool { return strings.Contains(progress.String(), "all placed") })
	first := r.awaitSeated("arena", 40, 20*time.Second)[0]
	pid := r.pidOf(first.Server)
	if err := r.as("operator", api.RoleOperator).Drain(t.Context(), throng.SessionID(first.ID), "update", 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "some are elsewhere", func() bool {
		for _, s := range r.sessions("arena") {
			if s.ID != first.ID && s.Seated > 0 {
				return true
			}
		}
		return false
	})
	switch err := syscall.Kill(pid, syscall.SIGKILL); {
	case errors.Is(err, syscall.ESRCH):
		t.Log("all were elsewhere, and the source was over, before it could be killed")
	case err != nil:
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "each has one seat", func() bool {
		seats := 0
		for _, s := range r.sessions("arena") {
			if s.ID == first.ID || s.Seated > s.Capacity {
				return false
			}
			seats += s.Seated
		}
		return seats == 40
	})
	got := <-crowd
	t.Logf("handed off %d, rejoined %d", got.HandedOff, got.Rejoined)
	if got.Failed != 0 || got.Mismatched != 0 || got.OverCapacity != 0 || got.HandedOff+got.Rejoined != 40 {
		t.Errorf("the crowd: failed %d mismatched %d over capacity %d, handed off %d and rejoined %d; want 0, 0, 0 and 40 together: %v",
			got.Failed, got.Mismatched, got.OverCapacity, got.HandedOff, got.Rejoined, got.Errors)
	}
}

// TestDrainKeepsPartiesWhole: there is room for one of two parties only. It is
// moved as a whole; the other plays on until the operator's end.
func TestDrainKeepsPartiesWhole(t *testing.T) {
	t.Parallel()
	r := startDev(t, "--warm", "1", "--max", "2")
	r.publish("den", "6", den)
	one := r.enter("den", nil, throng.ModeDropIn, "ada", "bo", "cy")
	two := r.enter("den", nil, throng.ModeDropIn, "di", "eve", "flo")
	r.enter("den", nil, throng.ModeNew, "gus", "hal", "ida")
	from := one[0].session()
	if two[2].session() != from {
		t.Fatal("the first two parties are not in one session")
	}
	r.awaitSeated("den", 9, 20*time.Second)
	if err := r.as("operator", api.RoleOperator).Drain(t.Context(), from, "update", 15*time.Second); err != nil {
		t.Fatal(err)
	}
	moved := func(party []*traveller) (n int) {
		for _, v := range party {
			n += v.game.Handoffs()
		}
		return n
	}
	eventually(t, 20*time.Second, "a party is moved", func() bool { return moved(one)+moved(two) == 3 })
	stays, goes := two, one
	if moved(one) == 0 {
		stays, goes = one, two
	}
	for _, v := range goes {
		r.playing(v)
	}
	if moved(goes) != 3 || moved(stays) != 0 {
		t.Errorf("moved %d of one party and %d of the other, want all of one", moved(goes), moved(stays))
	}
	for _, v := range stays {
		select {
		case err := <-v.done:
			said, ok := errors.AsType[*client.ByeError](err)
			if !ok || said.Bye.Code != wire.ByeEnded || !strings.Contains(said.Bye.Text, "update") {
				t.Errorf("who could not be moved: got %v, want the end with its reason", err)
			}
		case <-time.After(30 * time.Second):
			t.Error("the session did not end when the operator said")
		}
	}
}

// TestHostileGameServerMovesNobody speaks to the door with another session's
// credential.
func TestHostileGameServerMovesNobody(t *testing.T) {
	t.Parallel()
	r := startDev(t, "--warm", "2")
	r.publish("den", "6", den)
	r.publish("lobby", "6", "")
	victim := r.enter("lobby", nil, throng.ModeDropIn, "ada")[0]
	r.enter("den", nil, throng.ModeDropIn, "eve")
	own := r.awaitSeated("den", 1, 20*time.Second)[0]
	theirs := r.awaitSeated("lobby", 1, 20*time.Second)[0]
	keys, err := ringFlags{Data: r.data}.secrets()
	if err != nil {
		t.Fatal(err)
	}
	token, err := keys.ServerToken(throng.ServerID(own.Server), throng.SessionID(own.ID))
	if err != nil {
		t.Fatal(err)
	}
	server, err := client.NewServer(client.ServerConfig{Addr: r.url, Server: throng.ServerID(own.Server), Token: token})
	if err != nil {
		t.Fatal(err)
	}
	at := func(s gen.SessionRecord) throng.Heartbeat {
		return throng.Heartbeat{
			Session: throng.SessionID(s.ID), Server: throng.ServerID(s.Server), Incarnation: throng.Incarnation(s.Incarnation),
			Address: netip.MustParseAddrPort(s.Address),
		}
	}
	epoch := throng.NextEpoch(time.Now(), 0, 0)
	for name, beat := range map[string]throng.Heartbeat{"in its own name": at(own), "in the other's": at(theirs)} {
		for i := range 3 {
			_, err := server.Handoff(t.Context(), beat, throng.Handoff{
				ID: throng.TicketID(fmt.Sprintf("h%d", i)), Members: []throng.Member{{Player: "ada", Epoch: epoch - throng.Epoch(i)}}, Mode: throng.ModeNew,
			})
			if throng.KindOf(err) != throng.Denied {
				t.Errorf("%s: got %v, want denied", name, err)
			}
		}
	}
	if _, err := r.as("ada", api.RolePlayer).MatchmakeOnce(t.Context(), throng.Ticket{
		Key: throng.TicketKey{Caller: "ada", Ticket: "hof:1"}, Place: "den", Party: []throng.PlayerID{"ada"}, Mode: throng.ModeDropIn,
	}); throng.KindOf(err) != throng.Invalid {
		t.Errorf("a player's ticket with a handoff's name: got %v, want invalid", err)
	}
	r.playing(victim)
	if victim.game.Handoffs() != 0 {
		t.Error("the victim was moved")
	}
}
