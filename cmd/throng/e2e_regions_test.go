package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/bot"
	"github.com/throng-gg/throng/client"
)

// sideBySide is several regions, each a process of its own.
type sideBySide struct {
	t    *testing.T
	dev  devCmd
	list []devRegion
	urls []string
	all  []*region
}

// startRegions starts the first n of those that throng dev --regions runs.
func startRegions(t *testing.T, n int) *sideBySide {
	t.Helper()
	s := &sideBySide{t: t, list: devRegions()[:n]}
	s.dev.Data, s.dev.Addr, s.dev.args = t.TempDir(), "127.0.0.1:0", []string{"dev", "--warm=1"}
	var err error
	if s.urls, err = s.dev.sideAddresses(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if err := s.dev.sideSecrets(s.list); err != nil {
		t.Fatal(err)
	}
	s.all = make([]*region, n)
	for i := range s.list {
		s.start(i)
	}
	s.hear(n)
	return s
}

// start starts one, or starts it again.
func (s *sideBySide) start(i int) {
	s.t.Helper()
	p := start(s.t, throngBinary(s.t), s.dev.sideArgs(s.list, s.urls, i)...)
	p.line("ready at", 60*time.Second)
	s.all[i] = newRegion(s.t, p, s.urls[i], s.dev.sideFolder(s.list[i]))
}

// hear waits until the first n hear each other.
func (s *sideBySide) hear(n int) {
	s.t.Helper()
	eventually(s.t, 60*time.Second, "the regions hear each other", func() bool {
		for i := range n {
			run := &replicaRun{t: s.t, url: s.urls[i], logs: s.all[i].prog.logs}
			for j := range n {
				if i != j && run.gauge(fmt.Sprintf("throng_region_heard{region=%q}", s.list[j].id)) != 1 {
					return false
				}
			}
		}
		return true
	})
}

// far is what a player measures who is in the i-th region, which is 10 ms away.
func (s *sideBySide) far(i int) map[throng.RegionID]float64 {
	far := map[throng.RegionID]float64{}
	for j, r := range s.list {
		far[r.id] = 10 + float64(farFrom(i, j).Milliseconds())
	}
	return far
}

// drain takes a region out of use, so that players go elsewhere.
func (s *sideBySide) drain(i int) {
	s.t.Helper()
	if status, out := throngCommand(s.t, "drain", string(s.list[i].id), "--region", "--addr", s.urls[i]); status != 0 {
		s.t.Fatalf("drain %s: exit status %d:\n%s", s.list[i].id, status, out)
	}
}

// publish publishes a place in every region.
func (s *sideBySide) publish(id, manifest, script string) {
	s.t.Helper()
	s.publishWith(id, manifest, script, nil)
}

// publishWith publishes it with more files.
func (s *sideBySide) publishWith(id, manifest, script string, more map[string]string) {
	s.t.Helper()
	dir := filepath.Join(s.t.TempDir(), id)
	if err := os.MkdirAll(filepath.Join(dir, "scripts"), 0o755); err != nil {
		s.t.Fatal(err)
	}
	manifest = fmt.Sprintf("id: %s\nname: Test\nentry: scripts/main.lua\n%s", id, manifest)
	files := map[string]string{"place.yaml": manifest, "scripts/main.lua": script}
	maps.Copy(files, more)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, url := range s.urls {
		if status, out := throngCommand(s.t, "publish", dir, "--addr", url); status != 0 {
			s.t.Fatalf("publish %s: exit status %d:\n%s", id, status, out)
		}
	}
}

// join seats one player who asks at the i-th region's door.
func (s *sideBySide) join(i int, player throng.PlayerID, place throng.PlaceID, far map[throng.RegionID]float64) client.Assignment {
	s.t.Helper()
	a, err := s.all[i].as(player, api.RolePlayer).Matchmake(s.t.Context(), throng.Ticket{
		Key: throng.TicketKey{Caller: player, Ticket: throng.TicketID("tkt-" + player)}, Place: place,
		Party: []throng.PlayerID{player}, Mode: throng.ModeDropIn, Latencies: far,
	})
	if err != nil {
		s.t.Fatalf("join of %s at %s: %v", player, s.list[i].id, err)
	}
	return a
}

// spread is players who live in all the regions, a third in each, and ask at the
// door there; when it is away at the next one.
type spread struct {
	*sideBySide

	doors []*client.Door
}

func (s *sideBySide) spread() spread {
	s.t.Helper()
	out := spread{sideBySide: s}
	for i := range s.urls {
		door, err := client.New(client.Config{Addr: strings.Join(append(append([]string{}, s.urls[i:]...), s.urls[:i]...), ",")})
		if err != nil {
			s.t.Fatal(err)
		}
		out.doors = append(out.doors, door)
	}
	return out
}

func (s spread) home(p throng.PlayerID) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(p))
	return int(h.Sum32()>>8) % len(s.doors)
}

func (s spread) Place(ctx context.Context, p throng.PlayerID, t throng.Ticket) (bot.Seat, error) {
	at := s.home(p)
	t.Latencies = s.far(at)
	return botDoor{s.doors[at]}.Place(ctx, p, t)
}

// Seated says that nobody is known, so that bots trust their connections.
func (s spread) Seated(context.Context, throng.PlayerID, throng.SessionID) (bool, error) {
	return false, throng.Errorf(throng.NotFound, "it is not looked up")
}

// seated counts who has a seat of a place in the i-th region.
func (s *sideBySide) seated(i int, place throng.PlaceID) (n int) {
	s.t.Helper()
	for _, session := range s.all[i].sessions(place) {
		n += session.Seated
	}
	return n
}

// TestPlayersOfThreeRegions: players are seated near where they live, by any door;
// how near and how full count as the place says. A region that is killed loses
// nobody but for a moment, and is used again when it is back.
func TestPlayersOfThreeRegions(t *testing.T) {
	t.Parallel()
	s := startRegions(t, 3)
	const eu, us, sg = 0, 1, 2

	ada, tries := throng.PlayerID(""), 0
	eventually(t, 60*time.Second, "a player has one seat in us, where he is, by any door", func() bool {
		tries++ // a region that is not heard for a moment gets nobody
		ada = throng.PlayerID(fmt.Sprintf("ada-%d", tries))
		a := s.join(eu, ada, "arena", s.far(us))
		again, other := s.join(eu, ada, "arena", s.far(eu)), s.join(sg, ada, "arena", s.far(us))
		return a.Region == "us" && a.Session.Region() == "us" && again.Session == a.Session && other.Session == a.Session
	})
	if status, out := throngCommand(t, "explain", "tkt-"+string(ada), "--addr", s.urls[eu]); status != 0 || !strings.Contains(out, "to region us") || !strings.Contains(out, "3 regions, in the order") {
		t.Errorf("explain: exit status %d:\n%s", status, out)
	}
	s.testWeights(eu, us)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const players = 60
	crowd := &logBuffer{}
	between := s.spread()
	report := s.all[eu].crowd(ctx, bot.Config{Door: between, Place: "starter", Players: players, For: 5 * time.Minute, Every: 50 * time.Millisecond, Progress: crowd})
	eventually(t, 60*time.Second, "all play", func() bool {
		return strings.Contains(crowd.String(), fmt.Sprintf("joined %d of %d,", players, players))
	})
	for i := range s.list {
		eventually(t, 20*time.Second, "all are confirmed in "+string(s.list[i].id), func() bool { return s.seated(i, "starter") == s.living(between, i, players) })
	}

	lost := s.seated(us, "starter")
	s.all[us].prog.stop(syscall.SIGKILL)
	killed := time.Now()
	door, err := client.New(client.Config{Addr: s.urls[us] + "," + s.urls[sg]})
	if err != nil {
		t.Fatal(err)
	}
	if seat, err := (botDoor{door}).Place(t.Context(), "bo", throng.Ticket{
		Key: throng.TicketKey{Caller: "bo", Ticket: "tkt-bo"}, Place: "arena", Party: []throng.PlayerID{"bo"}, Mode: throng.ModeDropIn, Latencies: s.far(us),
	}); err != nil || seat.Session.Region() == "us" {
		t.Errorf("bo, whose region is killed: %+v, %v, want a seat elsewhere", seat, err)
	}
	t.Logf("who lives in us has a seat elsewhere %s after it was killed", time.Since(killed).Round(time.Millisecond))
	eventually(t, 60*time.Second, "who was in us plays elsewhere", func() bool {
		return strings.Contains(crowd.String(), fmt.Sprintf("rejoined %d, playing %d,", lost, players))
	})
	t.Logf("%d players of us play elsewhere %s after it was killed", lost, time.Since(killed).Round(time.Millisecond))

	s.start(us)
	s.hear(3)
	back := 0
	eventually(t, 60*time.Second, "us is back, and used again", func() bool {
		back++
		return s.join(eu, throng.PlayerID(fmt.Sprintf("cy-%d", back)), "arena", s.far(us)).Region == "us"
	})
	cancel()
	if got := <-report; got.Failed != 0 || got.Mismatched != 0 || got.OverCapacity != 0 || got.Rejoined != lost {
		t.Errorf("failed %d mismatched %d over capacity %d rejoined %d; want 0, 0, 0 and the %d of us", got.Failed, got.Mismatched, got.OverCapacity, got.Rejoined, lost)
	}
}

// throng dev --regions starts them all, ends them all, and goes on without one.
func TestDevRegions(t *testing.T) {
	t.Parallel()
	r := startDev(t, "--regions", "2", "--warm", "1")
	children := r.childrenOf(r.prog.cmd.Process.Pid)
	if len(children) != 2 {
		t.Fatalf("%d processes run beside, want one for each region", len(children))
	}
	list, err := r.as("ada", api.RolePlayer).Regions(t.Context())
	if err != nil || len(list.Regions) != 2 || list.Regions[0].URL != r.url || len(list.Regions[1].BeaconUrls) == 0 && len(list.Regions[0].BeaconUrls) == 0 {
		t.Errorf("regions: %+v, %v, want eu with its door, and us", list, err)
	}
	eventually(t, 30*time.Second, "players of the other region are known", func() bool {
		age := r.metric(`throng_presence_age_seconds{region="us"}`)
		return age >= 0 && age < 5
	})
	if err := syscall.Kill(children[1], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the loss is told", func() bool { return strings.Contains(r.prog.logs.String(), "is lost") })
	select {
	case <-r.prog.done:
		t.Fatal("the other region ended, too")
	default:
	}
	r.prog.stop(syscall.SIGTERM)
	eventually(t, 10*time.Second, "both are gone", func() bool { return gone(children[0]) && gone(children[1]) })
}

// childrenOf lists the processes that a process started.
func (r *region) childrenOf(parent int) (pids []int) {
	r.t.Helper()
	text, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, file := range text {
		list, _ := os.ReadFile(file) // the thread may be gone
		for one := range strings.FieldsSeq(string(list)) {
			if pid, err := strconv.Atoi(one); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	slices.Sort(pids)
	return pids
}

// living is how many bots live in the i-th region.
func (s *sideBySide) living(between spread, i, players int) (n int) {
	for k := range players {
		if between.home(throng.PlayerID(fmt.Sprintf("starter-1-%d", k))) == i {
			n++
		}
	}
	return n
}

// testWeights: with players 40 ms farther, and nobody near, the place's weights decide.
func (s *sideBySide) testWeights(near, far int) {
	s.t.Helper()
	for place, c := range map[throng.PlaceID]struct {
		weights string
		want    throng.RegionID
	}{
		"fuller": {"matchmaking: {weights: {fill: 10, latency: 1}}\n", s.list[far].id},
		"nearer": {"matchmaking: {weights: {fill: 1, latency: 10}}\n", s.list[near].id},
	} {
		s.publish(string(place), "capacity: 10\n"+c.weights, "function on_join(p) end\n")
		for i := range 5 {
			s.join(far, throng.PlayerID(fmt.Sprintf("%s-%d", place, i)), place, s.far(far))
		}
		at := map[throng.RegionID]float64{s.list[near].id: 20, s.list[far].id: 60}
		player := 0
		eventually(s.t, 30*time.Second, fmt.Sprintf("who wants it %s is placed in %s", place, c.want), func() bool {
			player++ // the far region is heard once a second
			return s.join(near, throng.PlayerID(fmt.Sprintf("%s-late-%d", place, player)), place, at).Region == c.want
		})
	}
}
