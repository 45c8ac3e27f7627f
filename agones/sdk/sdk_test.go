package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/sdk"
	"github.com/throng-gg/throng/agones/sdk/sdktest"
)

// recording is one exchange of the real sidecar.
type recording struct {
	Method  string
	Path    string
	Request string `json:"requestBody"`
	Status  int
	Answer  string `json:"responseBody"`
}

func recorded(t *testing.T, name string) recording {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var r recording
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// replay answers one call as recorded, and says what it was asked.
func replay(t *testing.T, r recording) *sdk.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, got *http.Request) {
		body, _ := io.ReadAll(got.Body)
		if got.Method != r.Method || got.URL.RequestURI() != r.Path || !sameJSON(string(body), r.Request) {
			t.Errorf("asked %s %s %s, recorded is %s %s %s", got.Method, got.URL.RequestURI(), body, r.Method, r.Path, r.Request)
		}
		w.WriteHeader(r.Status)
		_, _ = io.WriteString(w, r.Answer)
	}))
	t.Cleanup(server.Close)
	return client(t, server.URL)
}

func client(t *testing.T, url string) *sdk.Client {
	t.Helper()
	c, err := sdk.New(sdk.Config{Addr: url})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func sameJSON(a, b string) bool {
	if a == b {
		return true
	}
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	p, _ := json.Marshal(x)
	q, _ := json.Marshal(y)
	return string(p) == string(q)
}

// calls are what the recordings were made of, by their names.
func calls() map[string]func(context.Context, *sdk.Client) error {
	return map[string]func(context.Context, *sdk.Client) error{
		"02-health":        func(ctx context.Context, c *sdk.Client) error { return c.Health(ctx) },
		"06-label-invalid": func(ctx context.Context, c *sdk.Client) error { return c.SetLabel(ctx, "bad", "a b") },
		"08-counter-patch-diff": func(ctx context.Context, c *sdk.Client) error {
			got, err := c.AddCounter(ctx, "rooms", 1)
			if err == nil && got != (sdk.Counter{Count: 2, Capacity: 3}) {
				return errors.New("wrong counter")
			}
			return err
		},
		"09-counter-patch-over": func(ctx context.Context, c *sdk.Client) error { _, err := c.AddCounter(ctx, "rooms", 50); return err },
		"11-counter-unknown":    func(ctx context.Context, c *sdk.Client) error { _, err := c.Counter(ctx, "nope"); return err },
		"13-list-add": func(ctx context.Context, c *sdk.Client) error {
			got, err := c.AddValue(ctx, "players", "bob")
			if err == nil && (!slices.Equal(got.Values, []string{"alice", "bob"}) || got.Capacity != 5) {
				return errors.New("wrong list")
			}
			return err
		},
		"14-list-add-dup": func(ctx context.Context, c *sdk.Client) error {
			_, err := c.AddValue(ctx, "players", "bob")
			return err
		},
		"16-list-remove-missing": func(ctx context.Context, c *sdk.Client) error {
			_, err := c.RemoveValue(ctx, "players", "zed")
			return err
		},
		"18-list-unknown": func(ctx context.Context, c *sdk.Client) error { _, err := c.List(ctx, "nope"); return err },
	}
}

// What the real sidecar answered, also to what goes wrong, has its kind: most of
// its refusals are the same status and code.
func TestRecordedAnswers(t *testing.T) {
	ok := throng.Kind(255)
	want := map[string]throng.Kind{
		"02-health": ok, "06-label-invalid": throng.Invalid, "08-counter-patch-diff": ok, "09-counter-patch-over": throng.Full,
		"11-counter-unknown": throng.NotFound, "13-list-add": ok, "14-list-add-dup": throng.Exists,
		"16-list-remove-missing": throng.NotFound, "18-list-unknown": throng.NotFound,
	}
	for name, call := range calls() {
		t.Run(name, func(t *testing.T) {
			err := call(t.Context(), replay(t, recorded(t, name)))
			switch {
			case want[name] == ok && err != nil:
				t.Errorf("got %v, want no error", err)
			case want[name] != ok && (err == nil || throng.KindOf(err) != want[name]):
				t.Errorf("got %v (%s), want %s", err, throng.KindOf(err), want[name])
			}
		})
	}
	for name, kind := range map[string]throng.Kind{
		"17-list-patch": throng.Internal, "20-unknown-path": throng.NotFound,
		"21-wrong-method": throng.Unsupported, "22-bad-json": throng.Invalid,
	} {
		r := recorded(t, name)
		r.Method, r.Path, r.Request = http.MethodPost, "/ready", "{}"
		if err := replay(t, r).Ready(t.Context()); err == nil || throng.KindOf(err) != kind {
			t.Errorf("%s: got %v (%s), want %s", name, err, throng.KindOf(err), kind)
		}
	}
}

func TestRecordedGameServer(t *testing.T) {
	r := recorded(t, "33-gameserver-allocated")
	g, err := replay(t, r).GameServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ip, err := g.IP()
	if err != nil || ip.String() != "172.30.0.10" || g.Port("game", "default") != 7053 || g.Port("game") != 0 {
		t.Errorf("got IP %v (%v), port %d", ip, err, g.Port("default"))
	}
	if g.Meta.Name != "life-1" || g.Status.State != sdk.Allocated || g.Meta.Labels["agones.dev/sdk-region"] != "eu-1" ||
		g.Status.Counters["rooms"] != (sdk.Counter{Count: 2, Capacity: 10}) || !slices.Equal(g.Status.Lists["players"].Values, []string{"bob"}) {
		t.Errorf("got %+v", g)
	}
	if got := g.HealthEvery(); got != 2500*time.Millisecond {
		t.Errorf("health every %s, want half the period of 5 s", got)
	}
}

// The stand-in says what the real one said.
func TestStandInIsHeldToTheRecordings(t *testing.T) {
	for _, name := range []string{
		"02-health", "06-label-invalid", "08-counter-patch-diff", "09-counter-patch-over", "11-counter-unknown", "13-list-add",
		"14-list-add-dup", "16-list-remove-missing", "18-list-unknown", "20-unknown-path", "21-wrong-method", "22-bad-json",
	} {
		t.Run(name, func(t *testing.T) {
			r := recorded(t, name)
			s := sidecar(t, sdktest.Config{Counters: map[string]int64{"rooms": 3}, Lists: map[string]int64{"players": 5}})
			c := client(t, s.URL())
			if strings.Contains(r.Path, "counters/rooms") {
				before := sdk.Int(1)
				if name == "09-counter-patch-over" {
					before = 2
				}
				do(t, func(ctx context.Context) error { _, err := c.AddCounter(ctx, "rooms", before); return err })
			}
			if strings.Contains(r.Path, "lists/players") {
				do(t, func(ctx context.Context) error { _, err := c.AddValue(ctx, "players", "alice"); return err })
			}
			if name == "14-list-add-dup" {
				do(t, func(ctx context.Context) error { _, err := c.AddValue(ctx, "players", "bob"); return err })
			}
			req, err := http.NewRequestWithContext(t.Context(), r.Method, s.URL()+r.Path, strings.NewReader(r.Request))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != r.Status || !sameJSON(string(body), r.Answer) {
				t.Errorf("got %d %s (%v)\nrecorded %d %s", resp.StatusCode, body, err, r.Status, r.Answer)
			}
		})
	}
	t.Run("33-gameserver-allocated", func(t *testing.T) {
		s := sidecar(t, sdktest.Config{Ports: map[string]uint16{"default": 1}, Counters: map[string]int64{"rooms": 3}, Lists: map[string]int64{"players": 5}})
		s.Allocate(nil)
		var got, want any
		for text, into := range map[string]*any{get(t, s.URL()+"/gameserver"): &got, recorded(t, "33-gameserver-allocated").Answer: &want} {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				t.Fatal(err)
			}
		}
		sameShape(t, "gameserver", got, want)
	})
}

// sameShape compares names of fields and kinds of values, not values.
func sameShape(t *testing.T, at string, got, want any) {
	t.Helper()
	w, ok := want.(map[string]any)
	if !ok {
		if jsonKind(got) != jsonKind(want) {
			t.Errorf("%s is %T, recorded %T", at, got, want)
		}
		return
	}
	if strings.HasSuffix(at, ".labels") || strings.HasSuffix(at, ".annotations") {
		return // the recorded server had been given some
	}
	g, _ := got.(map[string]any)
	for name := range w {
		if _, ok := g[name]; !ok {
			t.Errorf("%s has no %s", at, name)
			continue
		}
		sameShape(t, at+"."+name, g[name], w[name])
	}
	for name := range g {
		if _, ok := w[name]; !ok {
			t.Errorf("%s has %s, which was not recorded", at, name)
		}
	}
}

func jsonKind(v any) string {
	text, _ := json.Marshal(v)
	return strings.Trim(string(text[:1]), "0123456789-")
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func sidecar(t *testing.T, cfg sdktest.Config) *sdktest.Sidecar {
	t.Helper()
	s, err := sdktest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func do(t *testing.T, call func(context.Context) error) {
	t.Helper()
	if err := call(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRecordedWatch(t *testing.T) {
	r := recorded(t, "40-watch-stream")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, got *http.Request) {
		_, _ = io.WriteString(w, r.Answer)
		_ = http.NewResponseController(w).Flush()
		<-got.Context().Done()
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var states []sdk.State
	err := client(t, server.URL).Watch(ctx, func(g sdk.GameServer) {
		states = append(states, g.Status.State)
		if len(states) == 11 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("watch ended with %v after %v", err, states)
	}
	if states[0] != sdk.Ready || !slices.Contains(states, sdk.Allocated) {
		t.Errorf("got %v", states)
	}
}

// seen is what a watch brought.
type seen struct {
	mu   sync.Mutex
	list []sdk.GameServer
	news chan struct{}
}

func watch(t *testing.T, c *sdk.Client) *seen {
	t.Helper()
	w := &seen{news: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		_ = c.Watch(ctx, func(g sdk.GameServer) {
			w.mu.Lock()
			w.list = append(w.list, g)
			w.mu.Unlock()
			select {
			case w.news <- struct{}{}:
			default:
			}
		})
	})
	t.Cleanup(func() { cancel(); done.Wait() })
	return w
}

// until waits for what the newest one seen is like.
func (w *seen) until(t *testing.T, what string, is func(sdk.GameServer) bool) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		w.mu.Lock()
		ok := len(w.list) > 0 && is(w.list[len(w.list)-1])
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-w.news:
		case <-limit:
			t.Fatalf("not seen: %s", what)
		}
	}
}

// A sidecar that was killed is back in 0.6 s with what happened meanwhile.
func TestWatchAndHealthOutliveTheSidecar(t *testing.T) {
	s := sidecar(t, sdktest.Config{})
	c := client(t, s.URL())
	w := watch(t, c)
	keeping, stop := context.WithCancel(t.Context())
	var kept sync.WaitGroup
	kept.Go(func() { _ = c.Keep(keeping, 20*time.Millisecond) })
	defer kept.Wait()
	defer stop()
	do(t, c.Ready)
	w.until(t, "Ready", func(g sdk.GameServer) bool { return g.Status.State == sdk.Ready })
	s.Kill()
	if err := c.Health(t.Context()); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("a call to a dead sidecar: %v, want Unavailable", err)
	}
	s.Allocate(map[string]string{"throng.dev/server": "srv_local_1"})
	before := s.Calls("POST /health")
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	w.until(t, "Allocated", func(g sdk.GameServer) bool {
		return g.Status.State == sdk.Allocated && g.Meta.Labels["throng.dev/server"] == "srv_local_1"
	})
	wait(t, "signs of life after the restart", func() bool { return s.Calls("POST /health") > before })
}

func wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !is() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("did not come about: %s", what)
		}
	}
}

// Answers are bounded, also a line of the watch.
func TestEndlessAnswers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		piece := strings.Repeat("x", 1<<16)
		for range 40 {
			if _, err := io.WriteString(w, piece); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	c := client(t, server.URL)
	if _, err := c.GameServer(t.Context()); err == nil || throng.KindOf(err) != throng.Internal {
		t.Errorf("got %v, want Internal", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := c.Watch(ctx, func(sdk.GameServer) { t.Error("saw something") }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func runBoard(t *testing.T, c *sdk.Client) *sdk.Board {
	t.Helper()
	b := sdk.NewBoard(c, 10*time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { _ = b.Run(ctx) })
	t.Cleanup(func() { cancel(); done.Wait() })
	return b
}

// The board brings the newest state to a sidecar that was away, and nothing that
// is there already.
func TestBoard(t *testing.T) {
	s := sidecar(t, sdktest.Config{Lists: map[string]int64{"players": 3}, Counters: map[string]int64{"players": 1}})
	b := runBoard(t, client(t, s.URL()))
	b.Label("throng-session", "ses_1")
	b.Players([]string{"cy", "ada", "bo"}, 50)
	wait(t, "three players", func() bool { return len(s.List("players")) == 3 && s.Counter("players") == 3 })
	s.Kill()
	for _, players := range [][]string{{"ada"}, {"ada", "dan"}, {"dan"}} {
		b.Players(players, 50)
	}
	b.Label("throng-session", "ses_2")
	b.Annotate("place", "a b c")
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	wait(t, "the newest", func() bool {
		return slices.Equal(s.List("players"), []string{"dan"}) && s.Counter("players") == 1 &&
			s.Label("agones.dev/sdk-throng-session") == "ses_2" && s.Annotation("agones.dev/sdk-place") == "a b c"
	})
	// A value that no label can have is given up, a full list keeps what fits.
	before := s.Calls("PUT /metadata/label")
	b.Label("bad", "a b")
	b.Players([]string{"a", "b", "c", "d"}, 4)
	b.Annotate("last", "1")
	wait(t, "what fits", func() bool {
		return len(s.List("players")) == 3 && s.Counter("players") == 4 && s.Annotation("agones.dev/sdk-last") == "1"
	})
	if got := s.Calls("PUT /metadata/label") - before; got != 1 {
		t.Errorf("the bad label was written %d times, want once", got)
	}
}
