package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/client"
)

// TestKilledUnderBots kills throng dev at random moments while bots earn, buy and
// trade in the bazaar, and rewards are posted beside them: it opens again each
// time, the books are right, and nothing that was acknowledged is missing or
// doubled. 20 times, 200 in the long form.
func TestKilledUnderBots(t *testing.T) {
	t.Parallel()
	rounds := 20 + 2*soakTimes(t)
	exe, data := throngBinary(t), filepath.Join(t.TempDir(), "data")
	rng := rand.New(rand.NewPCG(5, 9)) //nolint:gosec // a seed
	acked := map[throng.TransferID]int64{}
	for round := range rounds {
		p := start(t, exe, "dev", "--addr", "127.0.0.1:0", "--data", data, "--warm", "1")
		url := urlOf(p)
		bots := exec.CommandContext(t.Context(), exe, "bots", "--addr", url, "--place", "bazaar", "--players", "8", "--for", "1m", "--seed", strconv.Itoa(round))
		if err := bots.Start(); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { postRewards(ctx, t, url, round, acked) })
		select {
		case <-p.done:
			t.Fatalf("round %d: it ended by itself", round)
		case <-time.After(500*time.Millisecond + time.Duration(rng.IntN(2000))*time.Millisecond):
		}
		_ = p.cmd.Process.Signal(syscall.SIGKILL)
		<-p.done
		stop()
		group.Wait()
		_ = bots.Process.Kill()
		_ = bots.Wait()
		if report := auditOf(t, exe, data); report.Sum != 0 || len(report.Problems) > 0 || report.Transfers < len(acked) {
			t.Fatalf("round %d: %d rewards were acknowledged; the auditor says %+v", round, len(acked), report)
		}
	}
	wantRewards(t, exe, data, acked)
}

// urlOf waits until the platform is ready, and returns its door. A machine with
// much else to do takes its time: what is asked here is that it opens again.
func urlOf(p *program) string {
	_, rest, _ := strings.Cut(p.line("ready at", 5*time.Minute), "ready at ")
	url, _, _ := strings.Cut(rest, " ")
	return url
}

// postRewards gives ada gold as fast as it is acknowledged.
func postRewards(ctx context.Context, t *testing.T, url string, round int, acked map[throng.TransferID]int64) {
	t.Helper()
	door := ownDoor(ctx, t, url)
	for n := 0; door != nil && ctx.Err() == nil; n++ {
		id, gold := throng.TransferID(fmt.Sprintf("round-%d-%d", round, n)), int64(1+n%7)
		if _, err := door.PostTransfer(ctx, "bazaar", rewardOf(id, gold)); err == nil {
			acked[id] = gold
		}
	}
}

func rewardOf(id throng.TransferID, gold int64) throng.Transfer {
	return throng.Transfer{ID: id, Kind: throng.TransferReward, First: throng.Member{Player: "ada"}, Gives: []throng.Amount{{Item: "gold", Count: gold}}}
}

// ownDoor is the door for an operator; nil: it is gone.
func ownDoor(ctx context.Context, t *testing.T, url string) *client.Door {
	t.Helper()
	door, err := client.New(client.Config{Addr: url})
	if err != nil {
		t.Error(err)
		return nil
	}
	token, err := door.DevToken(ctx, "op", string(api.RoleOperator))
	if err != nil {
		return nil
	}
	if door, err = door.As(token.AccessToken); err != nil {
		t.Error(err)
		return nil
	}
	return door
}

// auditOf runs throng audit on a data folder.
func auditOf(t *testing.T, exe, data string) (r throng.AuditReport) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), exe, "audit", "--data", data, "--json").Output()
	if err != nil {
		t.Fatalf("throng audit: %v\n%s", err, out)
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("throng audit: %v\n%s", err, out)
	}
	return r
}

// wantRewards looks for all gold that was acknowledged, and repeats some of the
// rewards: none gives anything more.
func wantRewards(t *testing.T, exe, data string, acked map[throng.TransferID]int64) {
	t.Helper()
	p := start(t, exe, "dev", "--addr", "127.0.0.1:0", "--data", data, "--warm", "1")
	door := ownDoor(t.Context(), t, urlOf(p))
	if door == nil {
		t.Fatal("there is no door")
	}
	before, err := door.Inventory(t.Context(), "bazaar", "ada")
	if err != nil {
		t.Fatal(err)
	}
	least, repeats := int64(0), 0
	for id, gold := range acked {
		least += gold
		if repeats++; repeats > 20 { // the door's limits bound how many fit
			continue
		}
		if _, err := door.PostTransfer(t.Context(), "bazaar", rewardOf(id, gold)); err != nil {
			t.Errorf("%s again: %v", id, err)
		}
	}
	after, err := door.Inventory(t.Context(), "bazaar", "ada")
	if err != nil || after.Items["gold"] != before.Items["gold"] {
		t.Errorf("repeated rewards gave %d gold, %v", after.Items["gold"]-before.Items["gold"], err)
	}
	if before.Items["gold"] < least {
		t.Errorf("%d gold was acknowledged in %d rewards, %d is there", least, len(acked), before.Items["gold"])
	}
	if report := auditOf(t, exe, data); report.Sum != 0 || len(report.Problems) > 0 { // while it runs
		t.Errorf("the auditor says %+v", report)
	}
	t.Logf("%d rewards were acknowledged", len(acked))
}
