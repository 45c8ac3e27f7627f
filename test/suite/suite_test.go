package suite_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRegion is one installation's life. Its steps need each other.
func TestRegion(t *testing.T) {
	c := openCluster(t)
	r := install(c)
	t.Logf("Agones: %s", c.agones)
	for _, step := range []struct {
		name string
		run  func(*region)
	}{
		{"servers are warm", testWarm},
		{"players play and a server is killed", testKill},
		{"the engine is updated", testUpdate},
		{"the webhook is lost", testWebhook},
		{"an image is missing", testNoImage},
		{"players see gateways only", testEdge},
		{"an engine that is not Go", testEngine},
	} {
		ok := t.Run(step.name, func(t *testing.T) {
			step.run(&region{cluster: r.at(t), door: r.door, values: r.values})
		})
		if !ok {
			return
		}
	}
}

// at is the cluster in a test of a test.
func (c *cluster) at(t *testing.T) *cluster {
	own := *c
	own.t = t
	return &own
}

func long() bool { return os.Getenv("THRONG_SOAK") != "" } //nolint:forbidigo // a test's own switch

func testWarm(r *region) {
	eventually(r.t, 10*time.Second, "the door is open", func() bool {
		_, err := run(r.t.Context(), "", r.exe, "servers", "--addr", r.door)
		return err == nil
	})
	took := eventually(r.t, 90*time.Second, "four servers are warm", func() bool { return len(r.servers("warm")) == 4 })
	r.t.Logf("four servers warm %s after the control plane", took.Round(time.Millisecond))
	// Where a server runs is looked at once a second.
	eventually(r.t, 10*time.Second, "they are of cluster lab, have a node, and the image "+r.image, func() bool {
		warm := r.servers("warm")
		for _, s := range warm {
			if s.Cluster != "lab" || s.Node == "" || s.Image != r.image {
				return false
			}
		}
		return len(warm) == 4
	})
}

// report is what bots saw.
type report struct {
	Joined       int            `json:"joined"`
	Failed       int            `json:"failed"`
	Rejoined     int            `json:"rejoined"`
	HandedOff    int            `json:"handed_off"`
	Mismatched   int            `json:"mismatched"`
	OverCapacity int            `json:"over_capacity"`
	Parties      int            `json:"parties"`
	Parted       int            `json:"parties_parted"`
	Errors       map[string]int `json:"errors"`
	Snapshots    struct {
		Median float64 `json:"median"`
	} `json:"snapshots_per_s"`
}

// crowd is bots under way.
type crowd struct {
	r      *region
	cmd    *exec.Cmd
	out    bytes.Buffer
	errs   bytes.Buffer
	exited chan error
}

// send sends bots in, who play until they are called.
func (r *region) send(players int, args ...string) *crowd {
	r.t.Helper()
	args = append([]string{"bots", "--addr", r.door, "--players", fmt.Sprint(players), "--for", "1h", "--json"}, args...)
	c := &crowd{r: r, cmd: exec.Command(r.exe, args...), exited: make(chan error, 1)} //nolint:gosec,noctx // ours; ended below
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.errs
	if err := c.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() { c.exited <- c.cmd.Wait() }()
	r.t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	eventually(r.t, 2*time.Minute, "all bots are seated", func() bool { return r.seated() == players })
	return c
}

func (r *region) seated() int {
	n := 0
	for _, s := range r.sessions() {
		n += s.Seated
	}
	return n
}

// call calls the bots out and returns what they saw.
func (c *crowd) call() (got report) {
	c.r.t.Helper()
	_ = c.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-c.exited: //nolint:errcheck // the report says what was wrong
	case <-time.After(20 * time.Second):
		c.r.t.Fatal("the bots do not end")
	}
	if err := json.Unmarshal(c.out.Bytes(), &got); err != nil {
		c.r.t.Fatalf("the bots' report: %v\n%s", err, tail(c.errs.String(), 2000))
	}
	return got
}

// good fails if a player failed or saw a wrong world.
func (c *crowd) good(players int, got report) {
	c.r.t.Helper()
	if got.Joined != players || got.Failed != 0 || got.Mismatched != 0 || got.OverCapacity != 0 {
		c.r.t.Errorf("got %+v, want %d joined, none failed or mismatched or over capacity", got, players)
	}
}

// kill ends a game server's process as a crash would: by the machine where the
// suite runs, or, where the node is another one, by ending its pod at once.
func (r *region) kill(s server) {
	r.t.Helper()
	pod := get[struct {
		Items []struct {
			Metadata struct{ Name string }
			Status   struct {
				ContainerStatuses []struct{ Name, ContainerID string }
			}
		}
	}](r.cluster, "pods", "-l", "throng.dev/fleet")
	names := get[struct {
		Items []struct{ Metadata struct{ Name string } }
	}](r.cluster, "gameservers", "-l", "throng.dev/server="+s.ID)
	if len(names.Items) != 1 {
		r.t.Fatalf("got %d GameServers of %s, want 1", len(names.Items), s.ID)
	}
	for _, p := range pod.Items {
		if p.Metadata.Name != names.Items[0].Metadata.Name {
			continue
		}
		for _, s := range p.Status.ContainerStatuses {
			_, id, _ := strings.Cut(s.ContainerID, "://")
			if pid := processOf(id); s.Name == "game" && pid != 0 {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					r.t.Fatal(err)
				}
				return
			}
		}
	}
	r.t.Log("the server's process is on another machine: its pod is deleted instead")
	r.kubectl("delete", "pod", names.Items[0].Metadata.Name, "--grace-period=0", "--force")
}

// processOf finds the first process of a container on this machine; 0: none.
func processOf(container string) int {
	groups, _ := filepath.Glob("/proc/[0-9]*/cgroup")
	for _, g := range groups {
		text, err := os.ReadFile(g)
		if err != nil || container == "" || !strings.Contains(string(text), container) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(g, "/proc/%d/cgroup", &pid); err == nil {
			return pid
		}
	}
	return 0
}

// Fifty players play over the pods' host ports. One server's process is killed:
// its session is over within 5 s, its players find seats elsewhere, and the warm
// pool is refilled.
func testKill(r *region) {
	const players = 50
	c := r.send(players, "--place", "arena")
	var victim session
	for _, s := range r.sessions() {
		if s.Seated > victim.Seated {
			victim = s
		}
	}
	r.kill(server{ID: victim.Server})
	over := eventually(r.t, 5*time.Second, "the killed server's session is over", func() bool {
		for _, s := range r.sessions() {
			if s.ID == victim.ID {
				return false
			}
		}
		return true
	})
	back := eventually(r.t, 30*time.Second, "its players have seats again", func() bool { return r.seated() == players })
	warm := eventually(r.t, 2*time.Minute, "four servers are warm again", func() bool { return len(r.servers("warm")) == 4 })
	play := 10 * time.Second
	if long() {
		play = time.Minute
	}
	select {
	case <-time.After(play): // the bots' time to play
	case err := <-c.exited:
		r.t.Fatalf("the bots ended: %v\n%s", err, tail(c.errs.String(), 2000))
	}
	got := c.call()
	c.good(players, got)
	if got.Rejoined < victim.Seated {
		r.t.Errorf("%d rejoined, want the %d of the killed server", got.Rejoined, victim.Seated)
	}
	r.t.Logf("%d players; killed: session over %s after, %d seated again %s after that, pool warm %s after that; snapshots/s median %.2f",
		players, over.Round(time.Millisecond), victim.Seated, back.Round(time.Millisecond), warm.Round(time.Millisecond), got.Snapshots.Median)
	eventually(r.t, 90*time.Second, "empty sessions end", func() bool { return len(r.sessions()) == 0 })
}

// small is a place of eight seats in which everybody is a dot, and that has no
// word in when its players are moved.
const smallManifest = `id: small
name: Small
capacity: 8
tick_rate: 30
entry: main.lua
`

const smallScript = `
local dot = world.kind("dot", { x = { type = "number", min = 0, max = 64, precision = 1/64 } })
local dots = {}
place.on("join", function(p) dots[p.id] = world.spawn(dot, { x = 32 }, p) end)
place.on("leave", function(p) dots[p.id]:remove(); dots[p.id] = nil end)
place.on("input", function(p, i) local d = dots[p.id]; d.x = math.clamp(d.x + i.move_x * 0.2, 0, 64) end)
`

func (r *region) publishSmall() {
	r.t.Helper()
	dir := r.t.TempDir()
	for name, text := range map[string]string{"place.yaml": smallManifest, "main.lua": smallScript} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	r.must(r.exe, "publish", dir, "--addr", r.door)
}

// gameServers is the cluster's own word on them.
type gameServers struct {
	Items []struct {
		Metadata struct {
			Name   string
			Labels map[string]string
		}
		Status struct{ State string }
	}
}

// The engine is updated while about 70 % of the servers are occupied. No session
// ends by it: the idle servers are replaced, the others go on. Then those are
// drained: their players move to new ones, parties whole.
func testUpdate(r *region) {
	const players, party = 72, 3
	r.publishSmall()
	c := r.send(players, "--place", "small", "--party", fmt.Sprint(party))
	eventually(r.t, 2*time.Minute, "four servers are warm", func() bool { return len(r.servers("warm")) == 4 })
	before := r.sessions()
	all := len(get[gameServers](r.cluster, "gameservers").Items)
	r.t.Logf("%d sessions with %d players on %d servers", len(before), players, all)
	if 10*len(before) < 6*all {
		r.t.Errorf("%d of %d servers are occupied, want 60 %% or more", len(before), all)
	}
	r.helm("upgrade", "throng", "../../deploy/helm/throng", "-f", r.values, "--set-string", "fleetDefaults.image.tag="+tagOf(r.image+next))
	took := eventually(r.t, 120*time.Second, "all idle servers are new ones", func() bool {
		warm, old := r.servers("warm"), 0
		for _, s := range r.servers("") {
			if s.Status == "warm" && s.Old {
				return false
			}
			if s.Old {
				old++
			}
		}
		return len(warm) == 4 && old == len(before)
	})
	r.t.Logf("the stock is new %s after the update", took.Round(time.Millisecond))
	for _, s := range before {
		if now := r.session(s.ID); now.State != "open" || now.Seated != s.Seated {
			r.t.Errorf("session %s is %s with %d players after the update, want open with %d: %s", s.ID, now.State, now.Seated, s.Seated, now.Reason)
		}
	}
	r.must(r.exe, "drain", "lab", "--old", "--addr", r.door)
	moved := eventually(r.t, 5*time.Minute, "all players are on new servers", func() bool {
		for _, s := range r.servers("") {
			if s.Old {
				return false
			}
		}
		return r.seated() == players
	})
	got := c.call()
	c.good(players, got)
	if got.HandedOff < players || got.Rejoined != 0 {
		r.t.Errorf("%d handed off, %d lost their session: want all %d handed off, none lost", got.HandedOff, got.Rejoined, players)
	}
	if got.Parties != players/party || 100*got.Parted > got.Parties {
		r.t.Errorf("%d of %d parties are parted, want 1 %% at most", got.Parted, got.Parties)
	}
	r.t.Logf("drained within %s: %d handed off, %d of %d parties parted", moved.Round(time.Second), got.HandedOff, got.Parted, got.Parties)
	eventually(r.t, 90*time.Second, "empty sessions end", func() bool { return len(r.sessions()) == 0 })
}

func tagOf(image string) string {
	_, tag, _ := strings.Cut(image, ":")
	return tag
}

// fleet is what Agones knows of the Fleet.
type fleet struct {
	Spec   struct{ Replicas int }
	Status struct{ ReadyReplicas, AllocatedReplicas int }
}

func (r *region) fleet() fleet { return get[fleet](r.cluster, "fleet", "warm") }

// The control plane is away, and its webhook with it: sessions go on, and the
// Fleet does not shrink. When it is back, the Fleet does not flap.
func testWebhook(r *region) {
	const players = 10
	eventually(r.t, 60*time.Second, "the pool is as large as it should be", func() bool {
		f := r.fleet()
		return f.Status.AllocatedReplicas == 4 && f.Status.ReadyReplicas >= 2
	})
	c := r.send(players, "--place", "arena")
	eventually(r.t, 60*time.Second, "the stock is refilled", func() bool {
		f := r.fleet()
		return f.Status.AllocatedReplicas == 5 && f.Status.ReadyReplicas >= 2
	})
	before, sessions := r.fleet(), r.sessions()
	r.kubectl("scale", "deployment/throng", "--replicas=0")
	away := 20 * time.Second
	if long() {
		away = time.Minute
	}
	least := r.lowest(away)
	if least < before.Status.AllocatedReplicas+2 {
		r.t.Errorf("the Fleet went from %d to %d while the webhook was away", before.Spec.Replicas, least)
	}
	autoscaler := get[struct {
		Status struct{ LastAppliedPolicy string }
	}](r.cluster, "fleetautoscaler", "warm")
	if !strings.Contains(autoscaler.Status.LastAppliedPolicy, "Buffer") {
		r.t.Errorf("the policy applied is %q, want the Buffer", autoscaler.Status.LastAppliedPolicy)
	}
	r.kubectl("scale", "deployment/throng", "--replicas=1")
	r.kubectl("rollout", "status", "deployment/throng", "--timeout=120s")
	back := r.lowest(away)
	r.t.Logf("replicas: %d before, at least %d without the webhook, at least %d once it was back", before.Spec.Replicas, least, back)
	if back < before.Status.AllocatedReplicas+2 {
		r.t.Errorf("the Fleet went down to %d when the webhook was back", back)
	}
	eventually(r.t, 60*time.Second, "the same session goes on", func() bool {
		now := r.sessions()
		return len(now) == 1 && now[0].ID == sessions[0].ID && now[0].Seated == players
	})
	got := c.call()
	c.good(players, got)
	if got.Rejoined != 0 {
		r.t.Errorf("%d players lost their session", got.Rejoined)
	}
}

// The engine is updated to an image that no node has. Sessions go on, who joins a
// place without room in a session gets a seat on what is still warm, or is told that
// there is none; with the right image all is as before.
func testNoImage(r *region) {
	const players = 10
	c := r.send(players, "--place", "arena")
	before := r.sessions()
	upgrade := func(tag string) {
		r.helm("upgrade", "throng", "../../deploy/helm/throng", "-f", r.values, "--set-string", "fleetDefaults.image.tag="+tag)
	}
	upgrade("nowhere")
	missing := func() (n int) {
		pods := get[struct {
			Items []struct {
				Status struct {
					ContainerStatuses []struct {
						State struct {
							Waiting struct{ Reason string }
						}
					}
				}
			}
		}](r.cluster, "pods", "-l", "throng.dev/fleet")
		for _, p := range pods.Items {
			for _, s := range p.Status.ContainerStatuses {
				if reason := s.State.Waiting.Reason; strings.Contains(reason, "Image") {
					n++
				}
			}
		}
		return n
	}
	took := eventually(r.t, 60*time.Second, "a server waits for its image", func() bool { return missing() > 0 })
	r.t.Logf("a server waits for its image %s after the update; warm are %d", took.Round(time.Millisecond), len(r.servers("warm")))
	for _, place := range []string{"arena", "rush"} {
		out, err := run(r.t.Context(), "", r.exe, "bots", "--addr", r.door, "--place", place, "--players", "1", "--seed", "9", "--for", "1s", "--json")
		var got report
		if json.Unmarshal([]byte(out), &got) != nil {
			r.t.Fatalf("a bot in %s: %v\n%s", place, err, tail(out, 1000))
		}
		told := got.Failed == 1 && len(got.Errors) == 1 && got.Errors["no_capacity"] > 0
		if seated := got.Joined == 1 && got.Failed == 0; !seated && (!told || place == "arena") {
			r.t.Errorf("a player who joins %s: got %+v, want a seat, or no_capacity where no session has room", place, got)
		}
	}
	upgrade(tagOf(r.image + next))
	took = eventually(r.t, 2*time.Minute, "four servers are warm with the right image", func() bool {
		warm := r.servers("warm")
		for _, s := range warm {
			if s.Old {
				return false
			}
		}
		return len(warm) == 4 && missing() == 0
	})
	r.t.Logf("four servers are warm %s after the right image was said", took.Round(time.Millisecond))
	if now := r.session(before[0].ID); len(before) != 1 || now.State != "open" || now.Seated < players {
		r.t.Errorf("of %d sessions the first is %s with %d players, want open with %d", len(before), now.State, now.Seated, players)
	}
	got := c.call()
	c.good(players, got)
	if got.Rejoined != 0 {
		r.t.Errorf("%d players lost their session", got.Rejoined)
	}
	eventually(r.t, 90*time.Second, "empty sessions end", func() bool { return len(r.sessions()) == 0 })
}

// lowest watches how many servers the Fleet wants, and returns the lowest.
func (r *region) lowest(during time.Duration) int {
	r.t.Helper()
	least := r.fleet().Spec.Replicas
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for end := time.Now().Add(during); time.Now().Before(end); <-tick.C {
		least = min(least, r.fleet().Spec.Replicas)
	}
	return least
}
