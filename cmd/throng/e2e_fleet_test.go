package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/bot"
)

// count is how many of a region's servers do what, as one replica says.
func (r *region) count() map[string]int {
	r.t.Helper()
	n := map[string]int{}
	for _, s := range r.fleet() {
		n[s.Status]++
	}
	return n
}

// TestFleetAcrossReplicas: whichever replica operators ask, they see the same, and
// what is drained at one is drained at both.
func TestFleetAcrossReplicas(t *testing.T) {
	t.Parallel()
	r, a, b := startReplicas(t)
	atA, atB := r.at(a), r.at(b)
	for name, at := range map[string]*region{"the first": atA, "the second": atB} {
		eventually(t, 20*time.Second, name+" knows the stock of both", func() bool {
			n := at.count()
			return n["warm"] == 4 && len(n) == 1
		})
	}
	// Each drains one that the other has, and one of its own.
	drained := map[string]bool{}
	for i, at := range []*region{atA, atB, atA, atB} {
		s := at.fleet()[i%2*3]
		drained[s.ID] = true
		if status, out := throngCommand(t, "drain", s.ID, "--addr", at.url, "--wait"); status != 0 || !strings.Contains(out, s.ID+" is drained") {
			t.Errorf("throng drain %s: exit status %d:\n%s", s.ID, status, out)
		}
	}
	eventually(t, 30*time.Second, "the stock is filled up again", func() bool { return atA.count()["warm"] == 4 && atB.count()["warm"] == 4 })
	for _, s := range atA.fleet() {
		if drained[s.ID] {
			t.Errorf("%s was drained, and is %s", s.ID, s.Status)
		}
	}

	crowd := r.crowd(t.Context(), bot.Config{Place: "arena", Players: 10, For: 8 * time.Second, Progress: &logBuffer{}, Capacity: 50})
	session := r.awaitSeated("arena", 10, 30*time.Second)[0]
	for _, at := range []*region{atA, atB} {
		eventually(t, 10*time.Second, "both see who plays where", func() bool {
			for _, s := range at.fleet() {
				if s.ID == session.Server {
					return s.Status == "bound" && s.Session == session.ID && s.Place == "arena" && s.Players == 10
				}
			}
			return false
		})
	}
	// The session's server drains by the word of both: its players are elsewhere.
	for _, at := range []*region{atB, atA} {
		if _, err := at.as("operator", api.RoleOperator).DrainFleet(t.Context(), throng.FleetDrain{
			Kind: throng.DrainServer, Name: session.Server, Reason: "test",
		}, 0); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 15*time.Second, "they are moved", func() bool {
		s := r.sessions("arena")
		return len(s) == 1 && s[0].ID != session.ID && s[0].Seated == 10
	})
	if got := <-crowd; got.Failed != 0 || got.HandedOff != 10 {
		t.Errorf("the crowd: failed %d, handed off %d, want 0 and 10", got.Failed, got.HandedOff)
	}

	// The region is drained at one, and refused at the other.
	if status, out := throngCommand(t, "drain", "local", "--region", "--addr", a.url, "--within", "1s", "--wait"); status != 0 {
		t.Errorf("throng drain --region: exit status %d:\n%s", status, out)
	}
	ada := atB.as("ada", api.RolePlayer)
	_, err := ada.MatchmakeOnce(t.Context(), throng.Ticket{
		Key: throng.TicketKey{Ticket: "t"}, Place: "arena", Party: []throng.PlayerID{"ada"}, Mode: throng.ModeDropIn,
	})
	if throng.KindOf(err) != throng.NoCapacity {
		t.Errorf("a join while the region is drained: %v, want no_capacity", err)
	}
	if status, out := throngCommand(t, "fleets", "--json", "--addr", b.url); status != 0 {
		t.Errorf("throng fleets: exit status %d:\n%s", status, out)
	} else {
		var list gen.FleetList
		if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Fleets) != 1 || list.Fleets[0].Drain == nil || !list.Fleets[0].Drain.Region {
			t.Errorf("throng fleets (%v):\n%s", err, out)
		}
	}
	if status, out := throngCommand(t, "drain", "local", "--region", "--undo", "--addr", b.url); status != 0 {
		t.Errorf("throng drain --undo: exit status %d:\n%s", status, out)
	}
	eventually(t, 40*time.Second, "the stock is there again", func() bool { return fmt.Sprint(atA.count()) == "map[warm:4]" })
}
