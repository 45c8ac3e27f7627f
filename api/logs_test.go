package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// fakeLogs remembers what came and what was asked for.
type fakeLogs struct {
	mu    sync.Mutex
	took  []string
	asked []throng.LogQuery
}

func (f *fakeLogs) Receive(place throng.PlaceID, v throng.Version, b throng.LogBatch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, line := range b.Lines {
		f.took = append(f.took, fmt.Sprintf("%s %d %s %s %d %s %s", place, v, b.Session, b.Incarnation, b.First+uint64(i), line.Level, line.Text))
	}
}

func (f *fakeLogs) Read(_ context.Context, _ throng.PlaceID, q throng.LogQuery) throng.LogPage {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, q)
	return throng.LogPage{Next: 42, Lines: []throng.LogLine{
		{Time: time.Unix(1, 0), Session: sessionA, Version: 3, Level: throng.LogError, Text: "boom"},
		{Time: time.Unix(2, 0), Version: 3, Level: throng.LogInfo, Text: "of no session"},
	}}
}

func openLogs(t *testing.T) (*door, *fakeLogs) {
	t.Helper()
	logs := &fakeLogs{}
	d := openDoor(t, func(c *Config) { c.Logs = logs })
	d.world.sessions = []throng.Session{{ID: sessionA, Place: "arena", Version: 3}}
	return d, logs
}

func TestServersWriteTheirSessionsLog(t *testing.T) {
	d, logs := openLogs(t)
	token := d.serverToken(serverA, sessionA)
	const path = "/v1/sessions/" + string(sessionA) + "/logs"
	const good = `{"incarnation":"i1","first":7,"lines":[{"time":"2026-01-02T03:04:05Z","level":"print","text":"a\tb"},{"time":"2026-01-02T03:04:05Z","level":"error","text":"no"}]}`
	for range 2 {
		if r := d.call(http.MethodPost, path, token, good); r.status != http.StatusNoContent {
			t.Fatalf("got status %d: %s", r.status, r.body)
		}
	}
	want := "arena 3 " + string(sessionA) + " i1 7 print a\tb|arena 3 " + string(sessionA) + " i1 8 error no"
	if got := strings.Join(logs.took[:2], "|"); got != want || len(logs.took) != 4 {
		t.Errorf("got %q and %d lines, want %q and 4", got, len(logs.took), want)
	}
	for _, c := range []struct {
		name, path, token, body string
		status                  int
		field                   string
	}{
		{"a player", path, d.token("ada", RolePlayer), good, 403, ""},
		{"another session's server", path, d.serverToken(serverA, sessionB), good, 403, ""},
		{"a session that is not known", "/v1/sessions/" + string(sessionB) + "/logs", d.serverToken(serverA, sessionB), good, 404, ""},
		{"no lines", path, token, `{"incarnation":"i1","first":1,"lines":[]}`, 400, "lines"},
		{"too many lines", path, token, `{"incarnation":"i1","first":1,"lines":[` + strings.Repeat(`{},`, 1000) + `{}]}`, 400, "lines"},
		{"no number", path, token, strings.Replace(good, `"first":7`, `"first":0`, 1), 400, "first"},
		{"unknown level", path, token, strings.Replace(good, "error", "shout", 1), 400, "lines[1].level"},
		{"control characters", path, token, strings.Replace(good, `a\tb`, `a\u009bb`, 1), 400, "lines[0].text"},
		{"a long line", path, token, strings.Replace(good, `a\tb`, strings.Repeat("x", 1025), 1), 400, "lines[0].text"},
		{"a large body", path, token, `{"x":"` + strings.Repeat("x", 64<<10) + `"}`, 413, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := d.call(http.MethodPost, c.path, c.token, c.body)
			if p := r.problem(t); r.status != c.status || p.Field != c.field {
				t.Errorf("got %d at %q: %s, want %d at %q", r.status, p.Field, p.Detail, c.status, c.field)
			}
		})
	}
}

func TestCreatorsReadTheLog(t *testing.T) {
	d, logs := openLogs(t)
	token := d.token("ada", RoleCreator)
	r := d.call(http.MethodGet, "/v1/places/arena/logs?after=9&wait=3&limit=5&session="+string(sessionA), token, "")
	var page gen.LogPage
	if err := json.Unmarshal([]byte(r.body), &page); err != nil || r.status != http.StatusOK {
		t.Fatalf("got status %d, %v: %s", r.status, err, r.body)
	}
	if page.Next != "42" || len(page.Lines) != 2 || page.Lines[0].Session != string(sessionA) || page.Lines[0].Level != "error" ||
		page.Lines[0].Text != "boom" || page.Lines[0].Version != 3 || page.Lines[1].Session != "" {
		t.Errorf("got %+v, want the two lines and next 42", page)
	}
	if want := (throng.LogQuery{After: 9, Session: sessionA, Limit: 5, Wait: 3 * time.Second}); logs.asked[0] != want {
		t.Errorf("asked for %+v, want %+v", logs.asked[0], want)
	}
	if r := d.call(http.MethodGet, "/v1/places/arena/logs", token, ""); r.status != 200 || logs.asked[1] != (throng.LogQuery{Limit: 200}) {
		t.Errorf("got status %d, asked for %+v, want 200 lines without waiting", r.status, logs.asked[1])
	}
	for path, want := range map[string]string{
		"arena/logs?after=x":    "400 after",
		"arena/logs?wait=21":    "400 wait",
		"arena/logs?wait=-1":    "400 wait",
		"arena/logs?limit=1001": "400 limit",
		"arena/logs?session=x":  "400 session",
		"nowhere/logs":          "404 id",
	} {
		r := d.call(http.MethodGet, "/v1/places/"+path, token, "")
		if got := fmt.Sprintf("%d %s", r.status, r.problem(t).Field); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	if r := d.call(http.MethodGet, "/v1/places/arena/logs", d.token("bo", RolePlayer), ""); r.status != http.StatusForbidden {
		t.Errorf("a player: got status %d, want 403", r.status)
	}
}

func TestADoorWithoutLogsSaysSo(t *testing.T) {
	d := openDoor(t, nil)
	if r := d.call(http.MethodGet, "/v1/places/arena/logs", d.token("ada", RoleCreator), ""); r.status != http.StatusNotImplemented {
		t.Errorf("got status %d, want 501", r.status)
	}
}

// TestAServerSpeaksForItsSessionAtOnce: what it says as soon as it hears of its
// session carries the session's token already, and a refused handover changes
// nothing.
func TestAServerSpeaksForItsSessionAtOnce(t *testing.T) {
	d, logs := openLogs(t)
	s := d.server(d.serverToken(serverA, ""))
	batch := throng.LogBatch{
		Session: sessionA, Incarnation: "i1", First: 1, Lines: []throng.LogLine{{Time: time.Unix(1, 0), Level: throng.LogInfo, Text: "started"}},
	}
	taken := false
	var said error
	o := orders{told: make(chan string, 8), handover: func(throng.Handover) error {
		if !taken {
			return throng.Errorf(throng.Conflict, "not yet")
		}
		said = s.Log(t.Context(), batch)
		return nil
	}}
	go func() { _ = s.Serve(t.Context(), hello, o) }()
	link := <-d.world.links
	if err := link.Handover(t.Context(), d.handover()); throng.KindOf(err) != throng.Conflict {
		t.Fatalf("got %v, want the first handover refused", err)
	}
	if err := s.Log(t.Context(), batch); throng.KindOf(err) != throng.Denied {
		t.Errorf("after a refused handover: got %v, want denied", err)
	}
	taken = true
	if err := link.Handover(t.Context(), d.handover()); err != nil {
		t.Fatal(err)
	}
	if said != nil || len(logs.took) != 1 {
		t.Errorf("got %v and %q, want the line taken", said, logs.took)
	}
}
