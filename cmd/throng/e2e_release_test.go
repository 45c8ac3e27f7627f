package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/bot"
	"github.com/throng-gg/throng/s3/s3test"
)

// show is the arena's scripts under another name, a version for each note.
func (r *region) show(capacity, note string, args ...string) gen.Release {
	r.t.Helper()
	dir := filepath.Join(r.t.TempDir(), "show")
	if err := os.CopyFS(dir, os.DirFS("../../examples/places/arena")); err != nil {
		r.t.Fatal(err)
	}
	for name, text := range map[string]string{
		"place.yaml": "id: show\nname: Show\ncapacity: " + capacity + "\nentry: scripts/main.lua\n", "note.txt": note,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	status, out := throngCommand(r.t, append([]string{"publish", dir, "--addr", r.url, "--json"}, args...)...)
	var release gen.Release
	if err := json.Unmarshal([]byte(out), &release); status != 0 || err != nil {
		r.t.Fatalf("publish: exit status %d, %v:\n%s", status, err, out)
	}
	return release
}

// release runs throng release.
func (r *region) release(args ...string) gen.Channels {
	r.t.Helper()
	status, out := throngCommand(r.t, append([]string{"release", "show", "--addr", r.url, "--json"}, args...)...)
	var ch gen.Channels
	if err := json.Unmarshal([]byte(out), &ch); status != 0 || err != nil {
		r.t.Fatalf("release %v: exit status %d, %v:\n%s", args, status, err, out)
	}
	return ch
}

// next opens a session by a ticket of its own and says which version it runs.
func (r *region) next(name throng.PlayerID) (throng.Version, throng.SessionID) {
	r.t.Helper()
	a, err := r.as(name, api.RolePlayer).Matchmake(r.t.Context(), throng.Ticket{
		Key: throng.TicketKey{Caller: name, Ticket: throng.TicketID("tkt-" + name)}, Place: "show", Party: []throng.PlayerID{name}, Mode: throng.ModeNew,
	})
	if err != nil {
		r.t.Fatalf("a new session for %s: %v", name, err)
	}
	return a.Version, a.Session
}

// newSessions opens n sessions, some at once, and counts them by version. They
// end again.
func (r *region) newSessions(name string, n, atOnce int) map[throng.Version]int {
	r.t.Helper()
	operator := r.as("operator", api.RoleOperator)
	var mu sync.Mutex
	count := map[throng.Version]int{}
	var all sync.WaitGroup
	turn := make(chan struct{}, atOnce)
	for i := range n {
		turn <- struct{}{}
		all.Go(func() {
			defer func() { <-turn }()
			v, id := r.next(throng.PlayerID(fmt.Sprintf("%s-%d", name, i)))
			mu.Lock()
			count[v]++
			mu.Unlock()
			if err := operator.End(r.t.Context(), id, "counted"); err != nil {
				r.t.Errorf("end %s: %v", id, err)
			}
		})
	}
	all.Wait()
	return count
}

// TestReleases: players go on in what they play while versions are published,
// tried, rolled back; and move when the creator asks for it, each group together.
// 40 bots and 20 sessions, or 200 and 300 with THRONG_SOAK.
func TestReleases(t *testing.T) {
	t.Parallel()
	players, sessions, percent, off := 40, 20, 20, 1
	if soakTimes(t) > 0 {
		players, sessions, percent, off = 200, 300, 10, 3
	}
	bucket := s3test.Start(t)
	r := startDev(t, "--places", bucket.URL("places"), "--warm", "4")
	defer r.showServers()
	if v := r.show("20", "one"); v.Version != 1 || !v.Live {
		t.Fatalf("got %+v, want version 1 live", v)
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	progress := &logBuffer{}
	crowd := r.crowd(ctx, bot.Config{Place: "show", Players: players, Party: 4, For: time.Hour, Progress: progress, Capacity: 20})
	r.awaitSeated("show", players, time.Minute)

	if v := r.show("20", "two"); v.Version != 2 || !v.Live {
		t.Errorf("got %+v, want version 2 live", v)
	}
	if v, _ := r.next("after-publish"); v != 2 {
		t.Errorf("the next session runs version %d, want 2", v)
	}
	if ch := r.release("--rollback"); ch.Live != 1 {
		t.Errorf("rolled back to version %d, want 1", ch.Live)
	}
	if v, _ := r.next("after-rollback"); v != 1 {
		t.Errorf("the next session runs version %d, want 1", v)
	}
	if ch := r.release("--canary", strconv.Itoa(percent)); ch.Live != 1 || ch.Canary == nil || ch.Canary.Version != 2 {
		t.Errorf("got %+v, want version 2 as the canary of 1", ch)
	}
	count, want := r.newSessions("canary", sessions, 4), sessions*percent/100
	if count[2] < want-off || count[2] > want+off || count[1]+count[2] != sessions {
		t.Errorf("got %v new sessions by version, want %d of %d to run the canary", count, want, sessions)
	}
	t.Logf("a canary of %d %% ran in %d of %d new sessions", percent, count[2], sessions)
	if ch := r.release("--pin"); !ch.Pinned {
		t.Errorf("got %+v, want it pinned", ch)
	}
	if v := r.show("20", "three"); v.Version != 3 || v.Live {
		t.Errorf("published while pinned: got %+v, want version 3, not live", v)
	}

	began := time.Now()
	if ch := r.release("--live", "3", "--drain"); ch.Live != 3 || ch.Drained < players/20 {
		t.Errorf("got %+v, want version 3 live and the players' sessions drained", ch)
	}
	eventually(t, 2*time.Minute, "all play the new version", func() bool {
		n := 0
		for _, s := range r.sessions("show") {
			if s.Version == 3 {
				n += s.Seated
			}
		}
		return n == players
	})
	t.Logf("%d players moved within %s", players, time.Since(began).Round(time.Millisecond))
	eventually(t, 30*time.Second, "all say that they moved", func() bool { return counted(progress, "handed off") >= players })
	leave()
	got := <-crowd
	if got.Failed != 0 || got.Rejoined != 0 || got.Joined != players || got.HandedOff < players || got.Mismatched != 0 {
		t.Errorf("the crowd: %d joined, %d failed, %d lost their session, %d were handed off, want %d, 0, 0 and all", got.Joined, got.Failed, got.Rejoined, got.HandedOff, players)
	}
	if got.Parties != players/4 || 100*got.Parted > got.Parties {
		t.Errorf("%d of %d groups were parted, want 1 %% at most", got.Parted, got.Parties)
	}
}

// TestPublishedIsUsableEverywhere: what one region has published, another one
// boots, also when the first one's bucket is away from then on.
func TestPublishedIsUsableEverywhere(t *testing.T) {
	t.Parallel()
	eu, us := s3test.Start(t), s3test.Start(t)
	all := eu.URL("eu") + "," + us.URL("us")
	a := startDev(t, "--region", "eu", "--places", eu.URL("eu"), "--places-regions", all, "--warm", "1")
	b := startDev(t, "--region", "us", "--places", us.URL("us"), "--places-regions", all, "--warm", "2")
	defer b.showServers()
	a.show("20", "one")
	if v, _ := b.next("ada"); v != 1 {
		t.Errorf("the other region runs version %d, want 1", v)
	}
	a.show("20", "two")
	eu.Cut(true)
	if v, _ := b.next("bo"); v != 2 {
		t.Errorf("without the first one's bucket it runs version %d, want 2", v)
	}
	if got := b.bots(t.Context(), bot.Config{Place: "show", Players: 4, For: time.Second, Capacity: 20}); !got.OK() {
		t.Errorf("its players: %+v", got)
	}
	if v, _ := a.next("cy"); v != 2 { // who is cut off from its bucket goes on, too
		t.Errorf("the region without its bucket runs version %d, want 2", v)
	}
	status, out := throngCommand(t, "release", "show", "--rollback", "--addr", b.url)
	if status == 0 || !strings.Contains(out, "s3://places/eu") {
		t.Errorf("a change without home's bucket: exit status %d, want one that names it:\n%s", status, out)
	}
	eu.Cut(false)
	if ch := b.release("--rollback"); ch.Live != 1 {
		t.Errorf("rolled back to %d, want 1", ch.Live)
	}
	if v, _ := a.next("di"); v != 1 {
		t.Errorf("the first region runs version %d after the other one's rollback, want 1", v)
	}
}

// TestReplicasShareABucket: control planes with folders of their own share places,
// API keys and drains by a bucket alone.
func TestReplicasShareABucket(t *testing.T) {
	t.Parallel()
	bucket := s3test.Start(t)
	st := sharedStores(t)
	secrets := filepath.Join(t.TempDir(), "first")
	a := startReplicaWith(t, secrets, st, placesFlags{Places: bucket.URL("p")})
	// The ring of secrets is the operators' to share, as a Secret of the cluster.
	second := filepath.Join(t.TempDir(), "second")
	if err := os.CopyFS(second, os.DirFS(secrets)); err != nil {
		t.Fatal(err)
	}
	b := startReplicaWith(t, second, st, placesFlags{Places: bucket.URL("p")})
	r := startNodeOf(t, secrets, a, b)
	atA, atB := r.at(a), r.at(b)
	atA.show("20", "one")
	if v, _ := atB.next("ada"); v != 1 {
		t.Errorf("the other replica runs version %d, want 1", v)
	}
	for v := throng.Version(2); v < 5; v++ {
		atA.show("20", fmt.Sprint(v))
		if got, _ := atB.next(throng.PlayerID(fmt.Sprint("p", v))); got != v {
			t.Errorf("the other replica runs version %d after %d was published", got, v)
		}
	}
	if status, out := throngCommand(t, "keys", "create", "ci", "--addr", a.url); status != 0 {
		t.Errorf("throng keys create: exit status %d:\n%s", status, out)
	}
	if status, out := throngCommand(t, "keys", "list", "--addr", b.url); status != 0 || !strings.Contains(out, "ci") {
		t.Errorf("throng keys list at the other: exit status %d:\n%s", status, out)
	}
	if _, err := os.Stat(filepath.Join(second, "places", "show.json")); err == nil {
		t.Error("the place is in a replica's folder")
	}
}
