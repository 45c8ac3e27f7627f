package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/api/gen"
)

// keepPlace counts visits in the profile, and says what becomes of them.
const keepPlace = `
place.on("data", function(player)
  print(player.id, player.data_state, player.data and player.data.visits or 0)
  if player.data_state == "ready" then
    player.data.visits = (player.data.visits or 0) + 1
    player:save(function(ok, words, code) print(player.id, "saved", ok, code) end)
  elseif player.data_state == "read_only" then
    player.data.visits = 1000
    player:save(function(ok, words, code) print(player.id, "not saved", ok, code) end)
  end
end)`

const keepCatalog = `
currencies:
  gold: {most: 1000000}
`

// homeRegions are regions of which one is the home, and each has a Kafka that can be
// cut off from the others.
type homeRegions struct {
	*sideBySide

	kafka []*cutBroker
}

func startHomeRegions(t *testing.T, n int) *homeRegions {
	t.Helper()
	r := &homeRegions{sideBySide: &sideBySide{t: t, list: devRegions()[:n]}}
	r.dev.Data, r.dev.Addr, r.dev.args = t.TempDir(), "127.0.0.1:0", []string{"dev", "--warm=1"}
	var err error
	if r.urls, err = r.dev.sideAddresses(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if err := r.dev.sideSecrets(r.list); err != nil {
		t.Fatal(err)
	}
	for range r.list {
		r.kafka = append(r.kafka, newCutBroker(t))
	}
	r.all = make([]*region, n)
	for i := range r.list {
		r.run(i)
	}
	r.hear(n)
	return r
}

// run starts one, or starts it again.
func (r *homeRegions) run(i int) {
	r.t.Helper()
	var others strings.Builder
	for j, other := range r.list {
		if j != i {
			fmt.Fprintf(&others, "%s = %s\n", other.id, r.kafka[j].address)
		}
	}
	file := filepath.Join(r.t.TempDir(), "kafkas")
	if err := os.WriteFile(file, []byte(others.String()), 0o600); err != nil {
		r.t.Fatal(err)
	}
	args := append(r.dev.sideArgs(r.list, r.urls, i), "--kafka="+r.kafka[i].address, "--peer-kafka="+file, "--home="+string(r.list[0].id))
	p := start(r.t, throngBinary(r.t), args...)
	p.line("ready at", 60*time.Second)
	r.all[i] = newRegion(r.t, p, r.urls[i], r.dev.sideFolder(r.list[i]))
}

// reward gives a player gold at the i-th region's door.
func (r *homeRegions) reward(i int, player throng.PlayerID, id throng.TransferID, gold int64) error {
	r.t.Helper()
	_, err := r.all[i].as("op", api.RoleOperator).PostTransfer(r.t.Context(), "keep", throng.Transfer{
		ID: id, Kind: throng.TransferReward, First: throng.Member{Player: player}, Gives: []throng.Amount{{Item: "gold", Count: gold}},
	})
	return err
}

// rewarded gives it, and tries again while the region cannot.
func (r *homeRegions) rewarded(i int, player throng.PlayerID, id throng.TransferID, gold int64) {
	r.t.Helper()
	eventually(r.t, 30*time.Second, "a reward at the door of "+string(r.list[i].id), func() bool {
		err := r.reward(i, player, id, gold)
		if err != nil && throng.KindOf(err) != throng.Unavailable {
			r.t.Fatalf("reward at %s: %v", r.list[i].id, err)
		}
		return err == nil
	})
}

// has is how much gold the i-th region's door says that a player has.
func (r *homeRegions) has(i int, player throng.PlayerID) (gold int64, copied bool) {
	r.t.Helper()
	has, err := r.all[i].as("op", api.RoleOperator).Inventory(r.t.Context(), "keep", player)
	if err != nil {
		r.t.Fatalf("inventory at %s: %v", r.list[i].id, err)
	}
	return has.Items["gold"], has.Copy
}

// state is what the i-th region knows of the home.
func (r *homeRegions) state(i int) gen.HomeState {
	r.t.Helper()
	s, err := r.all[i].as("op", api.RoleOperator).Home(r.t.Context())
	if err != nil {
		r.t.Fatalf("home, says %s: %v", r.list[i].id, err)
	}
	return s
}

// heldBy waits until all of the given regions take one for the home.
func (r *homeRegions) heldBy(home int, in ...int) {
	r.t.Helper()
	eventually(r.t, 30*time.Second, "home is "+string(r.list[home].id), func() bool {
		for _, i := range in {
			if s := r.state(i); s.Region != string(r.list[home].id) || s.Writes != (i == home) {
				return false
			}
		}
		return true
	})
}

// says waits until a place's log in the i-th region has a line.
func (r *homeRegions) says(i int, line string) {
	r.t.Helper()
	eventually(r.t, 60*time.Second, fmt.Sprintf("%s says %q", r.list[i].id, line), func() bool { return strings.Contains(r.all[i].logOf("keep"), line) })
}

// copied waits until the i-th region's copy of a player is as new as what is there now.
func (r *homeRegions) copied(i, from int) {
	r.t.Helper()
	now := time.Now()
	eventually(r.t, 30*time.Second, "the copy in "+string(r.list[i].id), func() bool {
		for _, p := range r.state(i).Regions {
			if p.Region == string(r.list[from].id) && p.BehindMs != nil {
				return time.Since(now) > time.Duration(*p.BehindMs)*time.Millisecond
			}
		}
		return false
	})
}

func (r *homeRegions) losses(i int) (ids []string) {
	r.t.Helper()
	status, out := throngCommand(r.t, "home", "losses", "--json", "--addr", r.urls[i])
	var list gen.HomeLosses
	if err := json.Unmarshal([]byte(out), &list); status != 0 || err != nil {
		r.t.Fatalf("losses: exit status %d, %v:\n%s", status, err, out)
	}
	for _, l := range list.Losses {
		ids = append(ids, l.Transfer.ID)
	}
	return ids
}

// TestHomeRegionIsLost: profiles and ledger are written in one of three regions, whatever
// door is asked. It is killed, with a transfer that nobody else has: play goes on with
// copies, nothing is written; another one is promoted, and the old one is fenced when it
// comes back.
func TestHomeRegionIsLost(t *testing.T) {
	r := startHomeRegions(t, 3)
	r.publishWith("keep", "capacity: 8\n", keepPlace, map[string]string{"catalog.yaml": keepCatalog})
	r.heldBy(0, 0, 1, 2)

	ada := r.enter(1, "keep", "ada", "a1")
	r.says(1, "ada\tready\t0")
	r.says(1, "ada\tsaved\ttrue")
	ada.stop()
	r.rewarded(2, "ada", "first", 10)
	for i := range r.list {
		if gold, copied := r.has(i, "ada"); gold != 10 || copied {
			t.Errorf("%s says that ada has %d gold (a copy: %v), want 10 of the home", r.list[i].id, gold, copied)
		}
	}
	r.copied(1, 0)
	r.copied(2, 0)

	// The home is cut off from the others' view of its log, takes one more, and dies.
	r.kafka[0].cut()
	r.rewarded(0, "bo", "lost", 7)
	r.all[0].prog.stop(syscall.SIGKILL)
	if err := r.reward(1, "ada", "second", 5); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("a reward while the home is lost: %v, want unavailable", err)
	}
	if gold, copied := r.has(1, "ada"); gold != 10 || !copied {
		t.Errorf("ada has %d gold (a copy: %v), want 10 of a copy", gold, copied)
	}
	ada = r.enter(1, "keep", "ada", "a2")
	defer ada.stop()
	r.says(1, "ada\tread_only\t1")
	r.says(1, "ada\tnot saved\tfalse\tunavailable")

	if status, out := throngCommand(t, "home", "promote", "--addr", r.urls[1]); status != 0 || !strings.Contains(out, "nothing is wrong") {
		t.Fatalf("promote: exit status %d:\n%s", status, out)
	}
	r.heldBy(1, 1, 2)
	r.says(1, "ada\tready\t1") // who had the copy has the profile now
	r.rewarded(2, "ada", "first", 10)
	r.rewarded(2, "ada", "second", 5)
	if gold, _ := r.has(2, "ada"); gold != 15 {
		t.Errorf("ada has %d gold, want 15: what was repeated counts once", gold)
	}

	// The old home comes back, and writes nothing.
	r.kafka[0].heal()
	r.run(0)
	r.rewarded(0, "ada", "third", 1)
	r.heldBy(1, 0, 1, 2)
	for i := range r.list {
		if gold, copied := r.has(i, "ada"); gold != 16 || copied {
			t.Errorf("%s says that ada has %d gold (a copy: %v), want 16 of the new home", r.list[i].id, gold, copied)
		}
	}
	eventually(t, 30*time.Second, "what was lost is listed", func() bool { return slices.Equal(r.losses(1), []string{"lost"}) })
	if gold, _ := r.has(0, "bo"); gold != 0 {
		t.Errorf("bo has %d gold, which was lost", gold)
	}

	// It moves to a region that is whole, and nothing is lost.
	if status, out := throngCommand(t, "home", "promote", "--addr", r.urls[2]); status != 0 || !strings.Contains(out, "nothing is wrong") {
		t.Fatalf("promote: exit status %d:\n%s", status, out)
	}
	r.heldBy(2, 0, 1, 2)
	for i := range r.list {
		r.rewarded(i, "ada", "fourth", 4)
		if gold, _ := r.has(i, "ada"); gold != 20 {
			t.Errorf("%s says that ada has %d gold, want 20", r.list[i].id, gold)
		}
	}
	if lost := r.losses(2); len(lost) > 1 { // it, too, has seen what the first home wrote
		t.Errorf("lost %v", lost)
	}
}
