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
	"github.com/throng-gg/throng/client"
)

// creator is a folder under way.
type creator struct {
	*region
	dir string
}

func newCreator(t *testing.T, id string) *creator {
	t.Helper()
	c := &creator{region: startDev(t), dir: filepath.Join(t.TempDir(), id)}
	if status, out := throngCommand(t, "new", c.dir); status != 0 {
		t.Fatalf("new: exit status %d:\n%s", status, out)
	}
	return c
}

// save writes the entry script as an editor does, and says when.
func (c *creator) save(source string) time.Time {
	c.t.Helper()
	to := filepath.Join(c.dir, "scripts", "main.lua")
	if err := os.WriteFile(to+"~", []byte(source), 0o600); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Rename(to+"~", to); err != nil {
		c.t.Fatal(err)
	}
	return time.Now()
}

// watchedEvent waits for an event of --watch --json.
func watchedEvent(p *program, kind string, within time.Duration) watchEvent {
	p.t.Helper()
	line := p.line(`"event":"`+kind+`"`, within)
	var ev watchEvent
	if err := json.Unmarshal([]byte(line), &ev); err != nil {
		p.t.Fatalf("%v: %s", err, line)
	}
	return ev
}

// TestWatch is a creator's afternoon: edits (three, or twenty with THRONG_SOAK),
// a mistake, its repair, one that shows only when it runs.
func TestWatch(t *testing.T) {
	t.Parallel()
	c := newCreator(t, "mine")
	watch := start(t, throngBinary(t), "publish", c.dir, "--watch", "--json", "--addr", c.url)
	watchedEvent(watch, "tried", 20*time.Second)
	// The bounds are generous, because all tests share the machine.
	const slow = 15 * time.Second
	edits := 3
	if soakTimes(t) > 0 {
		edits = 20
	}
	var live, runs []time.Duration
	sessions := map[string]bool{}
	for edit := range edits {
		saved := c.save(fmt.Sprintf("print(%q)", fmt.Sprintf("edit %d", edit)))
		published := watchedEvent(watch, "published", slow)
		live = append(live, published.Time.Sub(saved))
		tried := watchedEvent(watch, "tried", slow)
		runs = append(runs, tried.Time.Sub(saved))
		sessions[tried.Session] = true
		if published.Version != edit+2 || tried.Version != edit+2 || tried.TookMS <= 0 {
			t.Errorf("edit %d: got %+v and %+v, want version %d", edit, published, tried, edit+2)
		}
	}
	slices.Sort(live)
	slices.Sort(runs)
	t.Logf("saved to live: median %s, most %s; saved to a player in a new session: median %s, most %s", live[edits/2], live[edits-1], runs[edits/2], runs[edits-1])
	if len(sessions) != edits {
		t.Errorf("%d versions were tried in sessions %v, want as many", edits, sessions)
	}

	saved := c.save("local x =\nfunction oops(")
	refused := watchedEvent(watch, "refused", slow)
	t.Logf("saved to refused: %s", refused.Time.Sub(saved))
	if !strings.HasPrefix(refused.Text, "scripts/main.lua:2: ") || refused.Version != edits+1 {
		t.Errorf("got %+v, want file and line, and version %d live still", refused, edits+1)
	}
	if got := c.version("mine"); got != edits+1 {
		t.Errorf("version %d is live after a mistake, want %d", got, edits+1)
	}
	manifest := filepath.Join(c.dir, "place.yaml")
	good, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(manifest, append([]byte("colour: red\n"), good...), 0o600); err != nil {
		t.Fatal(err)
	}
	if ev := watchedEvent(watch, "refused", slow); !strings.HasPrefix(ev.Text, "place.yaml:1: colour") {
		t.Errorf("got %+v, want the manifest's line", ev)
	}
	if err := os.WriteFile(manifest, good, 0o600); err != nil {
		t.Fatal(err)
	}
	watchedEvent(watch, "refused", slow) // the script is bad still
	c.save(`print("repaired")`)
	if ev := watchedEvent(watch, "tried", slow); ev.Version != edits+2 {
		t.Errorf("got %+v after the repair, want version %d", ev, edits+2)
	}

	c.save("local function deep() error('boom') end\ndeep()")
	if ev := watchedEvent(watch, "broken", slow); !strings.Contains(ev.Text, "scripts/main.lua:1: boom") {
		t.Errorf("got %+v, want the script's words", ev)
	}
	var stack []string
	for range 4 {
		stack = append(stack, watchedEvent(watch, "log", slow).Text)
	}
	want := []string{
		"error in start: scripts/main.lua:1: boom", "    scripts/main.lua:1 in deep", "    scripts/main.lua:2 in the file",
		"session ended: scripts/main.lua:1: boom",
	}
	if !slices.Equal(stack, want) {
		t.Errorf("got %q of the log, want %q", stack, want)
	}
	watch.stop(syscall.SIGINT)
	if watch.err != nil {
		t.Errorf("Ctrl-C: got %v, want a clean end", watch.err)
	}
}

// version is what is live of a place.
func (r *region) version(id string) int {
	r.t.Helper()
	for place, err := range allPlaces(r.t.Context(), r.as("scout", api.RolePlayer)) {
		if err != nil {
			r.t.Fatal(err)
		}
		if place.ID == id {
			return place.Version
		}
	}
	return 0
}

// TestWatchOutlivesTheDoor: a region that is away, or not there yet, is waited
// for.
func TestWatchOutlivesTheDoor(t *testing.T) {
	t.Parallel()
	c := newCreator(t, "mine")
	watch := start(t, throngBinary(t), "publish", c.dir, "--watch", "--no-try", "--json", "--addr", c.url)
	watchedEvent(watch, "published", 20*time.Second)
	c.prog.stop(syscall.SIGTERM)
	c.save(`print("while it is away")`)
	if ev := watchedEvent(watch, "failed", 20*time.Second); ev.Version != 1 || ev.Text == "" {
		t.Errorf("got %+v, want to be told, and version 1 live", ev)
	}
	start(t, throngBinary(t), "dev", "--addr", strings.TrimPrefix(c.url, "http://"), "--data", c.data)
	if ev := watchedEvent(watch, "published", 30*time.Second); ev.Version != 2 {
		t.Errorf("got %+v, want version 2 once the region is back", ev)
	}
}

const chatty = `
local function greet(player)
  print("hello " .. player.id)
  if player.id:find("bad") then player.state.missing.field = 1 end
end
place.on("join", function(player) greet(player) end)
place.on("leave", function(player) print("bye " .. player.id) end)
`

// look places a player and has him look once.
func (r *region) look(place throng.PlaceID, player throng.PlayerID) throng.SessionID {
	r.t.Helper()
	a, err := r.joinOnce(place, player)
	if err != nil {
		r.t.Fatalf("%s joins: %v", player, err)
	}
	if _, err := visit(r.t.Context(), a.JoinToken); err != nil {
		r.t.Fatalf("%s plays: %v", player, err)
	}
	return a.Session
}

func (r *region) joinOnce(place throng.PlaceID, player throng.PlayerID) (client.Assignment, error) {
	r.t.Helper()
	return r.as(player, api.RolePlayer).MatchmakeOnce(r.t.Context(), throng.Ticket{
		Key: throng.TicketKey{Caller: player, Ticket: throng.TicketID(fmt.Sprint("t", time.Now().UnixNano()))}, Place: place,
		Party: []throng.PlayerID{player}, Mode: throng.ModeDropIn,
	})
}

// TestLogsFollow: what scripts print, their errors with the stack, and how
// sessions begin and end, as they happen. An error takes no session down.
func TestLogsFollow(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	r.publish("chatty", "4", chatty)
	follow := start(t, throngBinary(t), "logs", "chatty", "--follow", "--addr", r.url)
	session := r.look("chatty", "ada")
	const soon = 15 * time.Second
	for _, want := range []string{"info: session started: version 1, 4 seats", "hello ada", "bye ada"} {
		if line := follow.line(want, soon); !strings.Contains(line, " v1 "+string(session)+"  "+want) {
			t.Errorf("got %q, want version, session and %q", line, want)
		}
	}
	if got := r.look("chatty", "bad"); got != session {
		t.Errorf("bad came into %s, want %s", got, session)
	}
	for _, want := range []string{
		"hello bad",
		"error: error in join: scripts/main.lua:4: attempt to index a nil value (field 'missing')",
		"error:     scripts/main.lua:4 in greet",
		"error:     scripts/main.lua:6 in function at line 6",
		"bye bad",
	} {
		follow.line("  "+want, soon)
	}
	if got := r.look("chatty", "cy"); got != session {
		t.Errorf("after the error players come into %s, want %s to go on", got, session)
	}
	follow.line("  hello cy", soon)
	if err := r.as("op", api.RoleOperator).End(t.Context(), session, "for the test"); err != nil {
		t.Fatal(err)
	}
	follow.line("  info: session ended: for the test", soon)
	follow.stop(syscall.SIGINT)
	if follow.err != nil {
		t.Errorf("Ctrl-C: got %v, want a clean end", follow.err)
	}

	other := r.look("chatty", "di")
	eventually(t, soon, "both sessions in the log", func() bool {
		_, out := throngCommand(t, "logs", "chatty", "--addr", r.url)
		return strings.Contains(out, "hello ada") && strings.Contains(out, "hello di")
	})
	_, out := throngCommand(t, "logs", "chatty", "--session", string(other), "--json", "--addr", r.url)
	for line := range strings.Lines(out) {
		var entry gen.LogLine
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Session != string(other) || entry.Version != 1 || entry.Time.IsZero() {
			t.Errorf("got %q, %v, want a line of session %s only", line, err, other)
		}
	}
	if !strings.Contains(out, "hello di") {
		t.Errorf("got %q, want di in it", out)
	}
	for name, args := range map[string][]string{"nowhere": {"nowhere"}, "PLACE": {"No"}, "--session": {"chatty", "--session", "x"}} {
		if status, out := throngCommand(t, append([]string{"logs", "--addr", r.url}, args...)...); status == 0 || !strings.Contains(out, name) {
			t.Errorf("logs %v: exit status %d, said %q; want it refused by name", args, status, out)
		}
	}
}

// TestCrashLoop: a version that fails at start is said to, its joins are told
// why and when to come back, and it uses up few game servers; the next version
// is open to all at once.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	r.publish("faulty", "4", "\nerror('no level 1')")
	braked := 0
	begun := time.Now()
	pace := time.NewTicker(25 * time.Millisecond)
	defer pace.Stop()
	for i := 0; time.Since(begun) < 6*time.Second || braked == 0 && i < 1000; i++ {
		<-pace.C
		_, err := r.joinOnce("faulty", throng.PlayerID(fmt.Sprintf("p%d", i)))
		if throng.KindOf(err) != throng.NoCapacity || !strings.Contains(err.Error(), "scripts/main.lua:2: no level 1") {
			t.Fatalf("join %d: got %v, want no capacity with the script's words", i, err)
		}
		if strings.Contains(err.Error(), "version 1 fails at start: ") && throng.RetryAfterOf(err) > 0 {
			braked++
		}
	}
	_, out := throngCommand(t, "logs", "faulty", "--addr", r.url)
	const said = "error: version 1 fails at start: scripts/main.lua:2: no level 1 (3 sessions in a row; the next one is opened in 1s)"
	if !strings.Contains(out, said) {
		t.Errorf("got log:\n%s\nwant %q", out, said)
	}
	// 3 at once, and those after 1, 2 and 4 s.
	if got := strings.Count(out, "session started"); braked == 0 || got < 4 || got > 8 {
		t.Errorf("got %d sessions and %d joins refused, want 4 to 8 and some", got, braked)
	}
	r.publish("faulty", "4", "print('level 1')")
	r.look("faulty", "ada")
}
