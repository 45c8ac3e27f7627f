package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/bot"
	"github.com/throng-gg/throng/dynamo/dynamotest"
	"github.com/throng-gg/throng/s3/s3test"
	"github.com/throng-gg/throng/test/impair"
)

// TestCheatIsBannedAndNumbersAreRight: one of two players jumps about in a place
// whose max_speed does not allow it. He is thrown out, told why, and kept out until
// an operator lets him in again; the other stays. What the place's numbers say is
// what happened, also after the platform has restarted.
func TestCheatIsBannedAndNumbersAreRight(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	r.publish("meadow", "6\nmax_speed: 9", `
local number = {type = "number", min = 0, max = 100, precision = 0.01}
local kind = world.kind("walker", {x = number, y = number})
local own = {}
place.on("join", function(p) own[p.id] = world.spawn(kind, {x = 10, y = 10}, p) end)
place.on("tick", function()
  if own.eve and place.tick % 30 == 0 then own.eve.x = (own.eve.x + 50) % 100 end
end)
place.on("leave", function(p) own[p.id]:remove() own[p.id] = nil end)`)
	ada := r.enter("meadow", nil, throng.ModeDropIn, "ada")[0]
	eve, begun := r.enter("meadow", nil, throng.ModeDropIn, "eve")[0], time.Now()

	select {
	case err := <-eve.done:
		t.Logf("after %s she was told: %v", time.Since(begun).Round(time.Millisecond), err)
	case <-time.After(time.Minute):
		t.Fatal("who jumps about was not thrown out within a minute")
	}
	again := throng.Ticket{
		Key: throng.TicketKey{Caller: "eve", Ticket: "again"}, Place: "meadow", Party: []throng.PlayerID{"eve"}, Mode: throng.ModeDropIn,
	}
	if _, err := r.as("eve", api.RolePlayer).Matchmake(t.Context(), again); throng.KindOf(err) != throng.Denied || err == nil {
		t.Errorf("a join of one who is banned: got %v, want denied", err)
	}
	if status, out := throngCommand(t, "bans", "--addr", r.url); status != 0 || !strings.Contains(out, "eve") || strings.Contains(out, "ada") {
		t.Errorf("bans: exit status %d, want eve and not ada in:\n%s", status, out)
	}
	if status, out := throngCommand(t, "bans", "why", "eve", "--addr", r.url); status != 0 || !strings.Contains(out, "rule teleport") {
		t.Errorf("why: exit status %d, want the rule in:\n%s", status, out)
	}
	if status, out := throngCommand(t, "bans", "lift", "eve", "--addr", r.url); status != 0 {
		t.Errorf("lift: exit status %d:\n%s", status, out)
	}
	var back error
	eventually(t, 30*time.Second, "she is let in again", func() bool {
		_, back = r.as("eve", api.RolePlayer).Matchmake(t.Context(), again)
		return back == nil || throng.KindOf(back) != throng.Denied
	})
	if back != nil {
		t.Errorf("after it was lifted: got %v, want a seat", back)
	}
	r.playing(ada)
	ada.leave()

	r.wantStays("meadow", 2)
	r.prog.stop(syscall.SIGINT)
	p := start(t, throngBinary(t), "dev", "--addr", "127.0.0.1:0", "--data", r.data)
	r = newRegion(t, p, urlOf(p), r.data)
	r.wantStays("meadow", 2)
	if status, out := throngCommand(t, "bans", "why", "eve", "--addr", r.url); status != 0 || !strings.Contains(out, "rule teleport") || !strings.Contains(out, "lifted") {
		t.Errorf("why, after a restart: exit status %d, want the rule, lifted, in:\n%s", status, out)
	}
}

// TestOneHandIsBanned: three accounts behind one address that one program plays are
// banned, and a crowd behind the same address, each with a walk of its own, is not.
func TestOneHandIsBanned(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	for _, cfg := range []bot.Config{{Name: "crowd", Players: 9, Seed: 1}, {Name: "x", Players: 1, Seed: 7}, {Name: "y", Players: 1, Seed: 7}, {Name: "z", Players: 1, Seed: 7}} {
		cfg.Door, cfg.Place, cfg.Capacity, cfg.For = botDoor{r.door}, "arena", 50, 5*time.Minute
		all.Go(func() {
			if _, err := bot.Run(ctx, cfg); err != nil {
				t.Error(err)
			}
		})
	}
	listed := ""
	eventually(t, 3*time.Minute, "the three are banned", func() bool {
		_, listed = throngCommand(t, "bans", "--addr", r.url)
		return strings.Contains(listed, "x-7-0") && strings.Contains(listed, "y-7-0") && strings.Contains(listed, "z-7-0")
	})
	if strings.Contains(listed, "crowd") {
		t.Errorf("somebody else is banned:\n%s", listed)
	}
	if status, out := throngCommand(t, "bans", "why", "x-7-0", "--addr", r.url); status != 0 || !strings.Contains(out, "rule device") {
		t.Errorf("why: exit status %d, want the rule in:\n%s", status, out)
	}
}

// TestHonestPlayersStay: nobody of a crowd behind one address is banned for a network
// that keeps what they do for up to 0.6 s, each way, and loses 5 % of it.
func TestHonestPlayersStay(t *testing.T) {
	t.Parallel()
	players, during := 6, 25*time.Second
	if inLong() {
		players, during = 50, 5*time.Minute
	}
	r := startDev(t)
	c := newCable(t, impair.Way{Delay: 300 * time.Millisecond, Jitter: 300 * time.Millisecond, Loss: 0.05})
	got := r.bots(t.Context(), bot.Config{Door: cabledDoor{botDoor{r.door}, c}, Place: "arena", Capacity: 50, Players: players, For: during})
	if got.Joined != players || got.Mismatched != 0 || got.Rejoined != 0 {
		t.Errorf("%d of %d joined, %d saw a wrong world, %d lost their session", got.Joined, players, got.Mismatched, got.Rejoined)
	}
	if status, out := throngCommand(t, "bans", "--addr", r.url); status != 0 || strings.Contains(out, "arena-") {
		t.Errorf("bans: exit status %d, want nobody in:\n%s", status, out)
	}
}

// wantStays waits until a place's numbers say that so many came and left.
func (r *region) wantStays(place throng.PlaceID, n int64) {
	r.t.Helper()
	var got gen.PlaceCounts
	eventually(r.t, 30*time.Second, "the numbers say that all came and left", func() bool {
		numbers, err := r.as("operator", api.RoleOperator).Numbers(r.t.Context(), place)
		got = numbers.Total
		return err == nil && got.Joins == n && got.Leaves == n
	})
}

// TestNumbersAreTheBotsOwn: live numbers, and the sums of the Parquet files, are what
// bots say that they did, and what the place's script says of it.
func TestNumbersAreTheBotsOwn(t *testing.T) {
	t.Parallel()
	r := startDev(t, "--numbers-every", "1s")
	r.publish("meadow", "6", `
local number = {type = "number", min = 0, max = 100, precision = 0.01}
local kind = world.kind("walker", {x = number, y = number})
local own = {}
place.on("join", function(p)
  own[p.id] = world.spawn(kind, {x = 10, y = 10}, p)
  events.publish("hello", {by = p.id})
end)
place.on("leave", function(p) own[p.id]:remove() own[p.id] = nil end)`)
	report := r.bots(t.Context(), bot.Config{Place: "meadow", Players: 10, For: 3 * time.Second})
	stays := int64(report.Joined + report.Rejoined + report.HandedOff)
	if stays < 10 {
		t.Fatalf("%d stays of 10 bots", stays)
	}
	r.wantStays("meadow", stays)
	var got string
	want := fmt.Sprintf("%d %d %d", stays, stays, stays)
	eventually(t, time.Minute, "the files say so, too", func() bool {
		got = numberFiles(t, filepath.Join(r.data, "consumers", numbersFolder), "meadow")
		return got == want
	})
	if got != want {
		t.Errorf("files: got joins, leaves, hellos %s, want %s", got, want)
	}
	wantOfDuckDB(t, filepath.Join(r.data, "consumers", numbersFolder), "meadow", want)
}

// wantOfDuckDB lets a reader that is not ours add up a place's files, where there is one.
func wantOfDuckDB(t *testing.T, dir, place, want string) {
	t.Helper()
	python := cmp.Or(os.Getenv("THRONG_PYTHON"), "python3") //nolint:forbidigo // a test's own
	if exec.CommandContext(t.Context(), python, "-c", "import duckdb").Run() != nil {
		t.Log("NOT TESTED with DuckDB: python3, or THRONG_PYTHON=PROGRAM, has none (pip install duckdb)")
		return
	}
	script := fmt.Sprintf(`import duckdb
of = lambda what, kind: duckdb.sql(f"select {what} from read_parquet('%s/{kind}/**/*.parquet', hive_partitioning=true) where place = '%s'").fetchall()[0]
print(*of("sum(joins)::bigint, sum(leaves)::bigint", "minutes"), *of("(sum(count) filter (name = 'place.hello'))::bigint", "counts"))`,
		dir, place)
	out, err := exec.CommandContext(t.Context(), python, "-c", script).CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != want {
		t.Errorf("DuckDB: got joins, leaves, hellos %s (%v), want %s", got, err, want)
	}
}

// numberFiles adds up what a place's Parquet files say: joins, leaves and the events
// hello of its own.
func numberFiles(t *testing.T, dir, place string) string {
	t.Helper()
	var joins, leaves, hellos int64
	names, err := filepath.Glob(filepath.Join(dir, "*", "*", "place="+place, "*.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		type line struct {
			Joins  int64  `parquet:"joins,optional"`
			Leaves int64  `parquet:"leaves,optional"`
			Name   string `parquet:"name,optional"`
			Count  int64  `parquet:"count,optional"`
		}
		lines, err := parquet.ReadFile[line](name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, l := range lines {
			joins, leaves = joins+l.Joins, leaves+l.Leaves
			if l.Name == "place.hello" {
				hellos += l.Count
			}
		}
	}
	return fmt.Sprintf("%d %d %d", joins, leaves, hellos)
}

// TestNumbersNeedNoFolder: with --dynamo and a bucket nothing is in the folder of
// consumers: it is not made. What others get from the bucket and read says what bots
// did. A process that comes later goes on with the numbers.
func TestNumbersNeedNoFolder(t *testing.T) {
	t.Parallel()
	bucket, tables := s3test.Start(t), dynamotest.Start(t)+"/test"
	if status, out := throngCommand(t, "setup", "dynamo", tables); status != 0 || !strings.Contains(out, "made test-shards") {
		t.Fatalf("exit status %d:\n%s", status, out)
	}
	flags := []string{"--dynamo", tables, "--numbers", bucket.URL("counted"), "--numbers-every", "1s"}
	r := startDev(t, flags...)
	r.publish("meadow", "6", `place.on("join", function(p) events.publish("hello", {by = p.id}) end)`)
	report := r.bots(t.Context(), bot.Config{Place: "meadow", Players: 5, For: 2 * time.Second})
	stays := int64(report.Joined + report.Rejoined + report.HandedOff)
	r.wantStays("meadow", stays)
	var got string
	want := fmt.Sprintf("%d %d %d", stays, stays, stays)
	eventually(t, time.Minute, "the files in the bucket say so, too", func() bool {
		got = numberFiles(t, bucket.File("counted"), "meadow")
		return got == want
	})
	fetched := t.TempDir()
	if n := bucket.Fetch(t, "counted", fetched); n < 2 || numberFiles(t, fetched, "meadow") != want {
		t.Errorf("%d objects were got from the bucket, of joins, leaves, hellos %s, want %s", n, numberFiles(t, fetched, "meadow"), want)
	}
	wantOfDuckDB(t, fetched, "meadow", want)
	r.prog.stop(syscall.SIGINT)
	p := start(t, throngBinary(t), append([]string{"dev", "--addr", "127.0.0.1:0", "--data", r.data}, flags...)...)
	r = newRegion(t, p, urlOf(p), r.data)
	r.wantStays("meadow", stays)
	if _, err := os.Stat(filepath.Join(r.data, "consumers")); !os.IsNotExist(err) {
		t.Errorf("the folder of consumers: %v, want that there is none", err)
	}
}
