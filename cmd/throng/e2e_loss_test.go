package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/bot"
)

// crowd runs bots beside the test.
func (r *region) crowd(ctx context.Context, cfg bot.Config) <-chan bot.Report {
	done := make(chan bot.Report, 1)
	go func() { done <- r.bots(ctx, cfg) }()
	return done
}

// awaitSeated waits until so many players have confirmed seats in a place.
func (r *region) awaitSeated(place throng.PlaceID, players int, within time.Duration) []gen.SessionRecord {
	r.t.Helper()
	var sessions []gen.SessionRecord
	eventually(r.t, within, "players seated in "+string(place), func() bool {
		sessions = r.sessions(place)
		n := 0
		for _, s := range sessions {
			n += s.Seated
		}
		return n == players
	})
	return sessions
}

// ended asks the registry whether a session is over, and why.
func (r *region) ended(id string) (reason string, ended bool) {
	r.t.Helper()
	s, err := r.as("operator", api.RoleOperator).SessionRecord(r.t.Context(), throng.SessionID(id))
	if err != nil {
		r.t.Fatalf("session %s: %v", id, err)
	}
	return s.Reason, s.State == "ended"
}

func TestKilledServerIsKnownAndItsPlayersPlacedAgain(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	crowd := &logBuffer{}
	report := r.crowd(ctx, bot.Config{Place: "arena", Players: 80, For: time.Minute, Every: 50 * time.Millisecond, Progress: crowd})
	eventually(t, 30*time.Second, "all play", func() bool { return strings.Contains(crowd.String(), "joined 80 of 80,") })
	sessions := r.awaitSeated("arena", 80, 30*time.Second)
	if len(sessions) != 2 {
		t.Fatalf("80 players: %d sessions, want 2", len(sessions))
	}
	victim, other := sessions[0], sessions[1]
	if err := syscall.Kill(r.pidOf(victim.Server), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	took := eventually(t, 5*time.Second, "the killed server's session is ended", func() bool {
		_, ended := r.ended(victim.ID)
		return ended
	})
	reason, _ := r.ended(victim.ID)
	t.Logf("known after %s: %s", took.Round(time.Millisecond), reason)
	if !strings.Contains(reason, "killed") {
		t.Errorf("reason %q does not say that the server was killed", reason)
	}
	eventually(t, 30*time.Second, "the killed server's players play again", func() bool {
		return strings.Contains(crowd.String(), fmt.Sprintf("rejoined %d, playing 80,", victim.Seated))
	})
	if _, ended := r.ended(other.ID); ended {
		t.Error("the other session ended too")
	}
	cancel()
	got := <-report
	if got.Failed != 0 || got.Mismatched != 0 || got.OverCapacity != 0 || got.Rejoined != victim.Seated {
		t.Errorf("after the kill: failed %d mismatched %d over capacity %d rejoined %d; want 0, 0, 0 and the %d of the killed server",
			got.Failed, got.Mismatched, got.OverCapacity, got.Rejoined, victim.Seated)
	}
}

func TestStoppedServerServesNobodyAfterItsLease(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	crowd := &logBuffer{}
	report := r.crowd(ctx, bot.Config{Place: "arena", Players: 20, For: 2 * time.Minute, Every: 50 * time.Millisecond, Progress: crowd})
	eventually(t, 30*time.Second, "all play", func() bool { return strings.Contains(crowd.String(), "joined 20 of 20,") })
	sessions := r.awaitSeated("arena", 20, 30*time.Second)
	if len(sessions) != 1 {
		t.Fatalf("20 players: %d sessions, want 1", len(sessions))
	}
	victim := sessions[0]
	pid := r.pidOf(victim.Server)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	eventually(t, throng.LeaseTime+5*time.Second, "the stopped server's session is ended by its lease", func() bool {
		_, ended := r.ended(victim.ID)
		return ended
	})
	eventually(t, 20*time.Second, "its players placed elsewhere", func() bool {
		return strings.Contains(crowd.String(), "rejoined 20, playing 20,")
	})
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil && !gone(pid) {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the resumed server ends", func() bool { return gone(pid) })
	log, err := os.ReadFile(filepath.Join(r.data, "logs", victim.Server+".log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"serving nobody", "session ended", "no heartbeat for 15s"} {
		if !strings.Contains(string(log), want) {
			t.Errorf("the resumed server's log does not say %q:\n%s", want, log)
		}
	}
	cancel()
	if got := <-report; got.Failed != 0 || got.Mismatched != 0 || got.Rejoined != 20 {
		t.Errorf("after the stop: failed %d mismatched %d rejoined %d, want 0, 0, 20", got.Failed, got.Mismatched, got.Rejoined)
	}
}

func TestScriptThatNeverEndsHurtsOnlyItsSession(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	const loop = `local n = 0
place.on("tick", function() n = n + 1; if n > 60 then %s end end)`
	r.publish("spin", "10", strings.ReplaceAll(loop, "%s", "while true do end"))
	r.publish("spin-caught", "10", strings.ReplaceAll(loop, "%s", "while true do pcall(function() while true do end end) end"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	report := r.crowd(ctx, bot.Config{Place: "arena", Players: 20, For: time.Minute})
	r.awaitSeated("arena", 20, 30*time.Second)
	for _, place := range []throng.PlaceID{"spin", "spin-caught"} {
		doomed, stop := context.WithCancel(t.Context())
		crowd := r.crowd(doomed, bot.Config{Place: place, Players: 1, For: time.Minute})
		var id string
		eventually(t, 20*time.Second, "a session of "+string(place), func() bool {
			s := r.sessions(place)
			if len(s) > 0 {
				id = s[0].ID
			}
			return id != ""
		})
		eventually(t, 10*time.Second, "the session of "+string(place)+" is ended", func() bool {
			_, ended := r.ended(id)
			return ended
		})
		if reason, _ := r.ended(id); !strings.Contains(reason, "scripts/main.lua:2") || !strings.Contains(reason, "steps") {
			t.Errorf("%s ended for %q: does not name the line and the budget", place, reason)
		}
		stop()
		<-crowd
	}
	cancel()
	if got := <-report; !got.OK() || got.Rejoined != 0 {
		t.Errorf("arena beside the spinning scripts: failed %d mismatched %d rejoined %d, want 0, 0, 0", got.Failed, got.Mismatched, got.Rejoined)
	}
}

func TestControlPlaneKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	r, node, control := startSplit(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	report := r.crowd(ctx, bot.Config{Place: "arena", Players: 50, For: 2 * time.Minute, Capacity: 50})
	before := r.awaitSeated("arena", 50, 60*time.Second)
	r.prog.stop(syscall.SIGKILL)

	r.prog = control()
	after := r.awaitSeated("arena", 50, 30*time.Second)
	if len(before) != 1 || len(after) != 1 || before[0].ID != after[0].ID || before[0].Incarnation != after[0].Incarnation {
		t.Errorf("sessions before %+v, after %+v: want the same one on the same server", before, after)
	}
	eventually(t, 30*time.Second, "a newcomer is placed", func() bool {
		_, err := r.as("newcomer", api.RolePlayer).Matchmake(t.Context(), throng.Ticket{
			Key: throng.TicketKey{Ticket: "new"}, Place: "starter", Party: []throng.PlayerID{"newcomer"}, Mode: throng.ModeDropIn,
		})
		return err == nil
	})
	cancel()
	if got := <-report; !got.OK() || got.Rejoined != 0 {
		t.Errorf("across the restart: joined %d failed %d mismatched %d rejoined %d; want 50, 0, 0, 0", got.Joined, got.Failed, got.Mismatched, got.Rejoined)
	}
	servers := r.servers(node.cmd.Process.Pid)
	node.stop(syscall.SIGTERM)
	for _, s := range servers {
		eventually(t, 10*time.Second, "the node's game servers end with it", func() bool { return gone(s.pid) })
	}
}

// freePort finds a port for a process that must have the same one twice.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return addr
}

func TestDevEndsAllThatItStarted(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		r := startDev(t)
		servers := r.servers(r.prog.cmd.Process.Pid)
		if len(servers) < 2 {
			t.Fatalf("%d game servers are warm, want 2", len(servers))
		}
		r.bots(t.Context(), bot.Config{Place: "arena", Players: 4, For: time.Second})
		servers = r.servers(r.prog.cmd.Process.Pid)
		begun := time.Now()
		r.prog.stop(signal)
		for _, s := range servers {
			eventually(t, 5*time.Second, "game servers end after "+signal.String(), func() bool { return gone(s.pid) })
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("after %s the end took %s, want at most 5s", signal, took)
		}
	}
}
