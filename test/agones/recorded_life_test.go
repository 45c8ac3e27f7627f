package agones_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/tools/cache"

	"github.com/throng-gg/throng/test/agones"
	"github.com/throng-gg/throng/test/agones/object"
)

// history collects what becomes of the servers of a namespace.
type history struct {
	mu   sync.Mutex
	seen map[string][]seen // by name
}

// seen is one change.
type seen struct {
	at      time.Time
	state   object.State
	ending  bool // it has a deletion timestamp
	gone    bool
	server  *object.GameServer
	players int // names in its list
}

func (f *fixture) watch() *history {
	f.t.Helper()
	h := &history{seen: map[string][]seen{}}
	i := f.GameServers.Informer("default", nil)
	note := func(o any, gone bool) {
		if last, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = last.Obj
		}
		if gs, ok := o.(*object.GameServer); ok {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.seen[gs.Name] = append(h.seen[gs.Name], seen{
				time.Now(), gs.Status.State, gs.DeletionTimestamp != nil, gone, gs, len(gs.Status.Lists["players"].Values),
			})
		}
	}
	if _, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { note(o, false) }, UpdateFunc: func(_, o any) { note(o, false) },
		DeleteFunc: func(o any) { note(o, true) },
	}); err != nil {
		f.t.Fatal(err)
	}
	go i.RunWithContext(f.t.Context())
	if !cache.WaitForCacheSync(f.t.Context().Done(), i.HasSynced) {
		f.t.Fatal("no watch")
	}
	return h
}

func (h *history) of(name string) []seen {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.seen[name])
}

// names are the servers that were ever there.
func (h *history) names() map[string]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[string]bool{}
	for name := range h.seen {
		out[name] = true
	}
	return out
}

// states are those that a server went through, one after the other, with
// "deleting" and "gone".
func states(all []seen) []string {
	var out []string
	for _, s := range all {
		st := string(s.state)
		switch {
		case s.gone:
			st += " gone"
		case s.ending:
			st += " deleting"
		}
		if len(out) == 0 || out[len(out)-1] != st {
			out = append(out, st)
		}
	}
	return out
}

// recordedStates reads a watch file like states does.
func recordedStates(t *testing.T, name string) ([]string, int64) {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var all []seen
	var generation int64
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			Event struct {
				Type   string            `json:"type"`
				Object object.GameServer `json:"object"`
			} `json:"event"`
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		gs := e.Event.Object
		all = append(all, seen{state: gs.Status.State, ending: gs.DeletionTimestamp != nil, gone: e.Event.Type == "DELETED"})
		generation = gs.Generation
	}
	return states(all), generation
}

// sdk replays a call of the game.
func (f *fixture) sdk(c *comparison, base, name string) {
	f.t.Helper()
	r := load(f.t, name)
	req, err := http.NewRequestWithContext(f.t.Context(), r.Method, base+r.Path, strings.NewReader(r.RequestBody))
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	if res.StatusCode != r.Status {
		f.t.Errorf("%s: answered %d %s, recorded %d", name, res.StatusCode, b, r.Status)
		return
	}
	for _, h := range []string{"Content-Type", "Grpc-Metadata-Content-Type"} {
		if want, got := strings.Join(r.ResponseHeaders[h], ","), res.Header.Get(h); want != got {
			f.t.Errorf("%s: header %s is %q, recorded %q", name, h, got, want)
		}
	}
	c.expect(f.t, name, body([]byte(r.ResponseBody)), body(b))
}

// stream reads the lines of a watch until ctx ends.
func stream(ctx context.Context, t *testing.T, url string) func() []string {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req) //nolint:bodyclose // below
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan []string, 1)
	go func() {
		defer res.Body.Close()
		var lines []string
		in := bufio.NewScanner(res.Body)
		in.Buffer(nil, 1<<20)
		for in.Scan() {
			lines = append(lines, in.Text())
		}
		done <- lines
	}()
	return func() []string { return <-done }
}

// TestRecordedLife replays what the game of one server did and saw, from its
// creation to its end.
func TestRecordedLife(t *testing.T) {
	games := newGames()
	f := start(t, agones.Options{Play: games.play})
	h := f.watch()
	c := newComparison()

	f.replay(c, "gameserver/01-create.json")
	f.replay(c, "gameserver/20-invalid.json")
	f.await("life-1", object.Ready)
	f.replay(c, "gameserver/02-ready.json")

	base := games.of(t, "life-1").sdk
	watching, stop := context.WithCancel(t.Context())
	lines := stream(watching, t, base+"/watch/gameserver")
	f.sdk(c, base, "sdk-incluster/01-gameserver-ready.json")
	// 17 shows a defect of that commit, see the sidecar's changeList. The others follow below.
	later := []string{
		"17-list-patch.json", "30-reserve.json", "31-gameserver-reserved.json", "32-allocate.json", "33-gameserver-allocated.json",
		"34-ready-from-allocated.json", "35-shutdown.json", "40-watch-stream.json",
		"50-list-patch-in-fleet.json", "51-list-patch-over-1000.json", "52-health-disabled-env.json",
	}
	begin := time.Now()
	for _, name := range under(t, "sdk-incluster", append(later, "01-gameserver-ready.json")...) {
		f.sdk(c, base, name)
	}
	f.eventually("the list is written", 10*time.Second, func() (bool, any) {
		gs, err := f.GameServers.Get(f.t.Context(), "default", "life-1")
		return err == nil && gs.Status.State == object.Ready && slices.Equal(gs.Status.Lists["players"].Values, []string{"bob"}), gs
	})
	if took := time.Since(begin); !between(took, 500*time.Millisecond, 700*time.Millisecond) {
		t.Errorf("written after %v, recorded 0.5 to 0.6 s", took)
	}
	f.replay(c, "gameserver/03-ready-after-sdk-metadata.json")

	f.sdk(c, base, "sdk-incluster/30-reserve.json")
	f.await("life-1", object.Reserved)
	f.sdk(c, base, "sdk-incluster/31-gameserver-reserved.json")
	f.replay(c, "gameserver/04-reserved.json")
	reserved := time.Now()
	f.await("life-1", object.Ready)
	if took := time.Since(reserved); !between(took, 3*time.Second, 4*time.Second) {
		t.Errorf("reserved for %v, recorded 3.5 s", took)
	}
	f.sdk(c, base, "sdk-incluster/32-allocate.json")
	f.await("life-1", object.Allocated)
	f.sdk(c, base, "sdk-incluster/33-gameserver-allocated.json")
	f.replay(c, "gameserver/05-allocated-by-sdk.json")
	stop()
	f.sdk(c, base, "sdk-incluster/34-ready-from-allocated.json")
	f.await("life-1", object.Ready)
	f.sdk(c, base, "sdk-incluster/35-shutdown.json")
	f.eventually("life-1 is gone", 20*time.Second, func() (bool, any) {
		all := h.of("life-1")
		return all[len(all)-1].gone, states(all)
	})

	all := h.of("life-1")
	want, generation := recordedStates(t, "watch/gameserver-lifecycle-life-1.jsonl")
	if got := states(all); !slices.Equal(got, want) {
		t.Errorf("went through\n%q, recorded\n%q", got, want)
	}
	if got := all[len(all)-1].server.Generation; got != generation {
		t.Errorf("ended at generation %d, recorded %d", got, generation)
	}
	shutdown := slices.IndexFunc(all, func(s seen) bool { return s.state == object.Shutdown })
	last := all[shutdown].server.DeepCopy()
	last.Kind, last.APIVersion = "GameServer", "agones.dev/v1" // which a watch cache leaves out
	c.expect(t, "gameserver/06-shutdown.json", load(t, "gameserver/06-shutdown.json").Response.Body, plain(t, last))
	compareStream(t, c, lines())
	f.compareEvents("life-1", "watch/gameserver-events-life-1.jsonl")
}

// plain is an object as JSON gives it.
func plain(t *testing.T, o any) any {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return body(b)
}

// compareStream compares the watch of the game: the same states in the same
// order, each line of the same shape.
func compareStream(t *testing.T, c *comparison, got []string) {
	t.Helper()
	r := load(t, "sdk-incluster/40-watch-stream.json")
	want := strings.Split(strings.TrimSpace(r.ResponseBody), "\n")
	type line struct {
		Result struct {
			Status struct {
				State string `json:"state"`
			} `json:"status"`
		} `json:"result"`
	}
	read := func(lines []string) []string {
		var out []string
		for _, l := range lines {
			var v line
			if err := json.Unmarshal([]byte(l), &v); err != nil {
				t.Fatalf("watch line %q: %v", l, err)
			}
			if len(out) == 0 || out[len(out)-1] != v.Result.Status.State {
				out = append(out, v.Result.Status.State)
			}
		}
		return out
	}
	if w, g := read(want), read(got); !slices.Equal(w, g) {
		t.Errorf("the game saw %q, recorded %q", g, w)
	}
	c.expect(t, "first line of 40-watch-stream.json", body([]byte(want[0])), body([]byte(got[0])))
	c.expect(t, "last line of 40-watch-stream.json", body([]byte(want[len(want)-1])), body([]byte(got[len(got)-1])))
}

// note is what an event says.
type note struct {
	Type    string `json:"type"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	Count   int    `json:"count"`
	Source  struct {
		Component string `json:"component"`
	} `json:"source"`
	InvolvedObject struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"involvedObject"`
}

func (n note) String() string {
	return n.Source.Component + " " + n.Type + " " + n.Reason + ": " + n.Message
}

// notes are the events of an object, and how often each came.
func (f *fixture) notes(kind, name string) map[string]int {
	f.t.Helper()
	var l struct {
		Items []note `json:"items"`
	}
	f.get("/api/v1/namespaces/default/events?fieldSelector=involvedObject.kind%3D"+kind+",involvedObject.name%3D"+name, &l)
	out := map[string]int{}
	for _, n := range l.Items {
		out[n.String()] += max(1, n.Count)
	}
	return out
}

// compareEvents wants the events of Agones' own processes that a watch saw. The
// kubelet's are another test's.
func (f *fixture) compareEvents(name, recorded string) {
	f.t.Helper()
	file, err := os.ReadFile(filepath.Join("testdata", recorded))
	if err != nil {
		f.t.Fatal(err)
	}
	want := map[string]int{}
	for line := range strings.Lines(string(file)) {
		var e struct {
			Event struct {
				Object note `json:"object"`
			} `json:"event"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			f.t.Fatal(err)
		}
		n := e.Event.Object
		if n.InvolvedObject.Kind == "GameServer" && !strings.HasPrefix(n.Message, "Deleting Pod") {
			want[n.String()] = max(1, n.Count)
		}
	}
	f.eventually("the events are as recorded", 10*time.Second, func() (bool, any) {
		got := f.notes("GameServer", name)
		for k, n := range want {
			if got[k] != n {
				return false, map[string]any{"want": want, "got": got}
			}
		}
		return len(got) == len(want), map[string]any{"want": want, "got": got}
	})
}
