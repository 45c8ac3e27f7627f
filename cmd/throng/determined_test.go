package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/wire"
)

// determined is the environment of a process that prints the sum of all that a
// session's players were sent.
const determined = "THRONG_TEST_DETERMINED"

// The same seed and inputs give the same snapshots byte for byte, in two processes.
func TestSnapshotsAreDetermined(t *testing.T) {
	ticks := 10_000
	if testing.Short() {
		ticks = 500
	}
	if os.Getenv(determined) != "" { //nolint:forbidigo // a test's own
		fmt.Println("determined", sumOfSnapshots(t, ticks)) //nolint:forbidigo // to the test that started it
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var sums [2]string
	for i, procs := range []string{"1", "4"} {
		args := []string{"-test.run", "^TestSnapshotsAreDetermined$"}
		if testing.Short() {
			args = append(args, "-test.short")
		}
		cmd := exec.CommandContext(t.Context(), exe, args...)
		cmd.Env = append(os.Environ(), determined+"=1", "GOMAXPROCS="+procs)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			if rest, ok := strings.CutPrefix(line, "determined "); ok {
				sums[i] = strings.TrimSpace(rest)
			}
		}
	}
	if sums[0] == "" || sums[0] != sums[1] {
		t.Errorf("two processes sent %q and %q", sums[0], sums[1])
	}
	t.Logf("%d ticks: %s", ticks, sums[0])
}

// sumOfSnapshots plays the arena: two of 50 players look, one over a network that
// loses every ninth packet, and one hangs now and then.
func sumOfSnapshots(t *testing.T, ticks int) string {
	t.Helper()
	s, err := newArenaScene(3, 50)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	sent := 0
	var replicas [2]*gameserver.Replica
	var clients [2]*client.World
	now := time.UnixMilli(1e12)
	for i := range replicas {
		welcome := wire.Welcome{
			Protocol: wire.Protocol, TickRate: 30, Player: s.players[i], Session: "ses_local_x", Place: "arena", Schema: s.world.Schema(),
		}
		replicas[i], clients[i] = gameserver.NewReplica(s.world, welcome), client.NewWorld()
		if _, err := clients[i].Receive(wire.AppendWelcome(nil, welcome), now); err != nil {
			t.Fatal(err)
		}
	}
	for tick := range throng.Tick(ticks) {
		now = now.Add(time.Second / 30)
		if err := s.Step(); err != nil {
			t.Fatal(err)
		}
		s.world.Commit(tick + 1)
		for i, r := range replicas {
			hangs := i == 1 && tick%1000 > 900
			for n, p := range r.Payloads(tick+1, now) {
				sum.Write(p)
				sent++
				if hangs || i == 1 && (int(tick)+n)%9 == 0 {
					continue
				}
				if u, err := clients[i].Receive(bytes.Clone(p), now); err != nil || u.Mismatch {
					t.Fatalf("tick %d: %+v, %v", tick, u, err)
				}
			}
			if hangs {
				continue
			}
			in, err := wire.ParseInput(clients[i].Input(0, 0, 0, now))
			if err != nil {
				t.Fatal(err)
			}
			r.Receive(in, now)
		}
	}
	return fmt.Sprintf("%s of %d payloads", hex.EncodeToString(sum.Sum(nil)), sent)
}
