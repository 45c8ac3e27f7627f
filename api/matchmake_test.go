package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

func TestMatchmakeAnswers(t *testing.T) {
	d := openDoor(t, nil)
	var got throng.Ticket
	var waited time.Duration
	place := d.world.place
	d.world.place = func(ctx context.Context, tk throng.Ticket, wait time.Duration) (throng.Placement, error) {
		got, waited = tk, wait
		return place(ctx, tk, wait)
	}
	r := d.call("POST", "/v1/matchmake", d.token("ada", RolePlayer),
		`{"ticket":"t1","place":"arena","party":["bo","ada","cy"],"mode":"drop-in","latencies":{"local":12.5}}`)
	if r.status != http.StatusOK {
		t.Fatalf("got %d: %s", r.status, r.body)
	}
	want := throng.Ticket{
		Key: throng.TicketKey{Caller: "ada", Ticket: "t1"}, Place: "arena", Version: 1,
		Party: []throng.PlayerID{"ada", "bo", "cy"}, Mode: throng.ModeDropIn, Latencies: map[throng.RegionID]float64{"local": 12.5},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("ticket: got %+v, want %+v", got, want)
	}
	if waited != 10*time.Second {
		t.Errorf("wait: got %v, want 10s", waited)
	}
	var answer map[string]any
	if err := json.Unmarshal([]byte(r.body), &answer); err != nil {
		t.Fatal(err)
	}
	wantAnswer := map[string]any{
		"ticket": "t1", "session": string(sessionA), "place": "arena", "version": 1.0, "region": "local",
		"server":     map[string]any{"ip": "192.0.2.1", "port": 7000.0},
		"join_token": base64.StdEncoding.EncodeToString([]byte(string(sessionA) + "/ada")),
		"expires_at": "2026-01-02T03:04:13Z", "party": []any{"ada", "bo", "cy"},
	}
	if !reflect.DeepEqual(answer, wantAnswer) {
		t.Errorf("answer: got %v, want %v", answer, wantAnswer)
	}
}

func TestMatchmakeWaits(t *testing.T) {
	d := openDoor(t, nil)
	var waited time.Duration
	d.world.place = func(_ context.Context, _ throng.Ticket, wait time.Duration) (throng.Placement, error) {
		waited = wait
		return throng.Placement{Position: 3, RetryAfter: 1500 * time.Millisecond}, nil
	}
	r := d.call("POST", "/v1/matchmake?wait=2", d.token("ada", RolePlayer), `{"ticket":"t1","place":"arena","party":["ada"]}`)
	if got, want := r.body, `{"position":3,"retry_after":1.5,"ticket":"t1"}`+"\n"; r.status != http.StatusAccepted || got != want {
		t.Errorf("got %d %s, want 202 %s", r.status, got, want)
	}
	if waited != 2*time.Second {
		t.Errorf("wait: got %v, want 2s", waited)
	}
}

// A ticket that stands in line is known to its party, keeps its place with what
// it was told, and is given up without the registry, which has not heard of it.
func TestTicketInLine(t *testing.T) {
	d := openDoor(t, nil)
	var sent throng.Ticket
	d.world.place = func(_ context.Context, tk throng.Ticket, _ time.Duration) (throng.Placement, error) {
		sent = tk
		return throng.Placement{Position: 40, Wait: 8 * time.Second, RetryAfter: 7 * time.Second, Line: "abc"}, nil
	}
	d.world.lookup = func(throng.TicketKey, time.Duration) (throng.Placement, error) {
		return throng.Placement{Position: 20, RetryAfter: time.Second}, nil
	}
	ada, bo, cy := d.token("ada", RolePlayer), d.token("bo", RolePlayer), d.token("cy", RolePlayer)
	r := d.call("POST", "/v1/matchmake?wait=0", ada, `{"ticket":"t1","place":"arena","party":["ada","bo"],"line":"xyz"}`)
	if want := `{"line":"abc","position":40,"retry_after":7,"ticket":"t1","wait":8}` + "\n"; r.status != http.StatusAccepted || r.body != want {
		t.Errorf("got %d %s, want 202 %s", r.status, r.body, want)
	}
	if sent.Line != "xyz" {
		t.Errorf("got line %q, want what the caller sent", sent.Line)
	}
	key := throng.TicketKey{Caller: "ada", Ticket: "t1"}
	d.world.inLine = map[throng.TicketKey][]throng.PlayerID{key: {"ada", "bo"}}
	if r := d.call("GET", "/v1/matchmake/t1?caller=ada&line=abc", bo, ""); r.status != http.StatusAccepted || d.world.line != "abc" {
		t.Errorf("a member: got %d %s with line %q, want 202 and abc", r.status, r.body, d.world.line)
	}
	if r := d.call("GET", "/v1/matchmake/t1?caller=ada", cy, ""); r.status != http.StatusNotFound {
		t.Errorf("a stranger: got %d %s, want 404", r.status, r.body)
	}
	long := strings.Repeat("x", 65)
	r = d.call("POST", "/v1/matchmake", ada, `{"ticket":"t1","place":"arena","party":["ada"],"line":"`+long+`"}`)
	if r.status != http.StatusBadRequest || !strings.Contains(r.body, `"field":"line"`) {
		t.Errorf("a long one: got %d %s, want 400 at line", r.status, r.body)
	}
	if r := d.call("GET", "/v1/matchmake/t1?line="+long, ada, ""); r.status != http.StatusBadRequest {
		t.Errorf("a long one: got %d %s, want 400", r.status, r.body)
	}
	d.world.leaveErr = throng.Errorf(throng.NotFound, "never seen")
	if r := d.call("DELETE", "/v1/matchmake/t1?caller=ada", bo, ""); len(d.world.inLine) != 1 {
		t.Errorf("a member gave the ticket up: %d %s", r.status, r.body)
	}
	if r := d.call("DELETE", "/v1/matchmake/t1", ada, ""); r.status != http.StatusNoContent || len(d.world.inLine) != 0 {
		t.Errorf("given up: got %d %s, want 204", r.status, r.body)
	}
	if r := d.call("DELETE", "/v1/matchmake/t1", ada, ""); r.status != http.StatusNotFound {
		t.Errorf("given up twice: got %d %s, want 404", r.status, r.body)
	}
}

func TestMatchmakeRefuses(t *testing.T) {
	d := openDoor(t, nil)
	d.world.place = func(_ context.Context, tk throng.Ticket, _ time.Duration) (throng.Placement, error) {
		if tk.Mode == throng.ModeDropIn || tk.Mode == throng.ModeSession {
			t.Errorf("the matchmaker was asked for %+v", tk)
		}
		return throng.Placement{}, throng.AtField(throng.Unsupported, "mode", "%s is not served here", tk.Mode)
	}
	crowd := func(n int) string {
		names := []string{`"ada"`}
		for i := 1; i < n; i++ {
			names = append(names, fmt.Sprintf(`"p%d"`, i))
		}
		return strings.Join(names, ",")
	}
	regions := func(n int) string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf(`"r%d":1`, i))
		}
		return strings.Join(out, ",")
	}
	const ok = `"ticket":"t1","place":"arena","party":["ada"]`
	for _, c := range []struct {
		name, body, path, code, field, detail string
		status                                int
	}{
		{"empty object", `{}`, "", "invalid", "ticket", "is empty", 400},
		{"null", `null`, "", "invalid", "ticket", "is empty", 400},
		{"not an object", `[1]`, "", "invalid", "", "array", 400},
		{"broken", `{"ticket":"t1",}`, "", "invalid", "", "byte 16", 400},
		{"cut", `{"ticket":"t1"`, "", "invalid", "", "ends in the middle", 400},
		{"two values", `{` + ok + `}{}`, "", "invalid", "", "goes on", 400},
		{"unknown field", `{"skill":3,` + ok + `}`, "", "invalid", "skill", "byte 2", 400},
		{"unknown field, late", `{"ticket":"skill","latencies":{"skill":1},"skill":3}`, "", "invalid", "skill", "byte 43", 400},
		{"wrong type", `{"ticket":5,"place":"arena","party":["ada"]}`, "", "invalid", "ticket", "number at byte 11", 400},
		{"party of numbers", `{"ticket":"t1","place":"arena","party":[1]}`, "", "invalid", "party", "number", 400},
		{"bad ticket", `{"ticket":"a b","place":"arena","party":["ada"]}`, "", "invalid", "ticket", "position 2", 400},
		{"long ticket", `{"ticket":"` + strings.Repeat("x", 65) + `","place":"arena","party":["ada"]}`, "", "invalid", "ticket", "65", 400},
		{"bad place", `{"ticket":"t1","place":"Arena","party":["ada"]}`, "", "invalid", "place", "", 400},
		{"unknown place", `{"ticket":"t1","place":"nowhere","party":["ada"]}`, "", "not_found", "place", "nowhere", 404},
		{"no party", `{"ticket":"t1","place":"arena"}`, "", "invalid", "party", "does not include", 400},
		{"party without caller", `{"ticket":"t1","place":"arena","party":["bo"]}`, "", "invalid", "party", "does not include", 400},
		{"twice in the party", `{"ticket":"t1","place":"arena","party":["ada","bo","bo"]}`, "", "invalid", "party[2]", "party[1] already", 400},
		{"caller twice", `{"ticket":"t1","place":"arena","party":["ada","ada"]}`, "", "invalid", "party[1]", "party[0]", 400},
		{"nobody in the party", `{"ticket":"t1","place":"arena","party":["ada",""]}`, "", "invalid", "party[1]", "is empty", 400},
		{"null in the party", `{"ticket":"t1","place":"arena","party":["ada",null]}`, "", "invalid", "party[1]", "is empty", 400},
		{"party over the place", `{"ticket":"t1","place":"arena","party":[` + crowd(9) + `]}`, "", "invalid", "party", "seats 8", 400},
		{"party over all places", `{"ticket":"t1","place":"arena","party":[` + crowd(201) + `]}`, "", "invalid", "party", "201", 400},
		{"unknown mode", `{"mode":"fight",` + ok + `}`, "", "invalid", "mode", "fight", 400},
		{"queue", `{"mode":"queue",` + ok + `}`, "", "unsupported", "mode", "queue", 501},
		{"friend", `{"mode":"friend","friend":"bo",` + ok + `}`, "", "unsupported", "mode", "friend", 501},
		{"session without one", `{"mode":"session",` + ok + `}`, "", "invalid", "session", "", 400},
		{"session of drop-in", `{"session":"` + string(sessionA) + `",` + ok + `}`, "", "invalid", "session", "mode session only", 400},
		{"friend of drop-in", `{"friend":"bo",` + ok + `}`, "", "invalid", "friend", "mode friend only", 400},
		{"bad session", `{"mode":"session","session":"x",` + ok + `}`, "", "invalid", "session", "", 400},
		{"latency below", `{"latencies":{"local":-1},` + ok + `}`, "", "invalid", "latencies.local", "-1", 400},
		{"latency above", `{"latencies":{"local":10001},` + ok + `}`, "", "invalid", "latencies.local", "10001", 400},
		{"bad region", `{"latencies":{"Local":1},` + ok + `}`, "", "invalid", "latencies", "Local", 400},
		{"many latencies", `{"latencies":{` + regions(65) + `},` + ok + `}`, "", "invalid", "latencies", "65", 400},
		{"wait above", `{` + ok + `}`, "?wait=21", "invalid", "wait", "21", 400},
		{"wait below", `{` + ok + `}`, "?wait=-1", "invalid", "wait", "-1", 400},
		{"wait in words", `{` + ok + `}`, "?wait=long", "invalid", "wait", "", 400},
		{"too large", `{` + ok + `,"code":"` + strings.Repeat("x", 64<<10) + `"}`, "", "invalid", "", "65536", 413},
	} {
		r := d.call("POST", "/v1/matchmake"+c.path, d.token(throng.PlayerID("ada"), RolePlayer), c.body)
		p := r.problem(t)
		if r.status != c.status || p.Status != c.status || p.Code != c.code || p.Field != c.field || !strings.Contains(p.Detail, c.detail) {
			t.Errorf("%s: got %d %+v, want %d %s %s %q", c.name, r.status, p, c.status, c.code, c.field, c.detail)
		}
		d.buckets = newBuckets(10) // the next call is another caller's
	}
}

func TestRepeatedTicketOutlivesAPublication(t *testing.T) {
	d := openDoor(t, nil)
	body := `{"ticket":"t1","place":"arena","party":["ada","bo"]}`
	d.world.releases[0].Capacity = 1
	if r := d.call("POST", "/v1/matchmake", d.token("ada", RolePlayer), body); r.status != 400 || r.problem(t).Field != "party" {
		t.Errorf("a new ticket: got %d %s, want 400 at party", r.status, r.body)
	}
	d.world.claims[throng.TicketKey{Caller: "ada", Ticket: "t1"}] = throng.Claim{}
	if r := d.call("POST", "/v1/matchmake", d.token("ada", RolePlayer), body); r.status != 200 {
		t.Errorf("a ticket from before: got %d %s, want 200", r.status, r.body)
	}
}

func TestMatchmakeContentType(t *testing.T) {
	d := openDoor(t, nil)
	body := `{"ticket":"t1","place":"arena","party":["ada"]}`
	for media, want := range map[string]int{
		"text/plain": 415, "": 415, "application/json; charset=utf-8": 200, "APPLICATION/JSON": 200, "application/jsonx": 415, ";": 415,
	} {
		if r := d.call("POST", "/v1/matchmake", d.token("ada", RolePlayer), body, "Content-Type", media); r.status != want {
			t.Errorf("%q: got %d %s, want %d", media, r.status, r.body, want)
		}
	}
}

func TestErrorsBecomeHTTP(t *testing.T) {
	d := openDoor(t, nil)
	for _, c := range []struct {
		err    error
		status int
		code   string
		retry  string
	}{
		{throng.Errorf(throng.Invalid, "x"), 400, "invalid", ""},
		{throng.Errorf(throng.Denied, "x"), 403, "denied", ""},
		{throng.Errorf(throng.NotFound, "x"), 404, "not_found", ""},
		{throng.Errorf(throng.Exists, "x"), 409, "exists", ""},
		{throng.Errorf(throng.Conflict, "x"), 409, "conflict", ""},
		{throng.Errorf(throng.Full, "x"), 409, "full", ""},
		{throng.Errorf(throng.NoCapacity, "x"), 503, "no_capacity", ""}, // final
		{throng.RetryLater(throng.NoCapacity, time.Second, "x"), 503, "no_capacity", "1"},
		{throng.Errorf(throng.Contention, "x"), 503, "contention", "1"},
		{throng.RetryLater(throng.RateLimited, 2100*time.Millisecond, "x"), 429, "rate_limited", "3"},
		{throng.RetryLater(throng.Unavailable, time.Millisecond, "x"), 503, "unavailable", "1"},
		{throng.Errorf(throng.Unsupported, "x"), 501, "unsupported", ""},
		{throng.Errorf(throng.Internal, "secret"), 500, "internal", ""},
		{errors.New("secret"), 500, "internal", ""},
		{fmt.Errorf("place: %w", throng.Errorf(throng.Full, "x")), 409, "full", ""},
		{context.DeadlineExceeded, 503, "unavailable", "1"},
	} {
		d.world.place = func(context.Context, throng.Ticket, time.Duration) (throng.Placement, error) {
			return throng.Placement{}, c.err
		}
		r := d.call("POST", "/v1/matchmake", d.token("ada", RolePlayer), `{"ticket":"t1","place":"arena","party":["ada"]}`)
		p := r.problem(t)
		if r.status != c.status || p.Code != c.code || p.Type != "urn:throng:problem:"+c.code || r.header.Get("Retry-After") != c.retry {
			t.Errorf("%v: got %d %+v, Retry-After %q, want %d %s %q", c.err, r.status, p, r.header.Get("Retry-After"), c.status, c.code, c.retry)
		}
		if strings.Contains(r.body, "secret") {
			t.Errorf("%v: the caller was told %s", c.err, r.body)
		}
		if want := throng.RetryAfterOf(c.err); want > 0 && p.RetryAfter != want.Seconds() {
			t.Errorf("%v: retry_after %v, want %v", c.err, p.RetryAfter, want.Seconds())
		}
	}
}

func TestTicketOfAParty(t *testing.T) {
	d := openDoor(t, nil)
	key := throng.TicketKey{Caller: "ada", Ticket: "t1"}
	d.world.claims[key] = throng.Claim{Members: []throng.Member{{Player: "ada"}, {Player: "bo"}}}
	waits := true
	d.world.lookup = func(k throng.TicketKey, _ time.Duration) (throng.Placement, error) {
		if k != key {
			return throng.Placement{}, throng.Errorf(throng.NotFound, "no ticket %s", k.Ticket)
		}
		if waits {
			return throng.Placement{Position: 1, RetryAfter: time.Second}, nil
		}
		return seated("ada", "bo"), nil
	}
	check := func(player throng.PlayerID, path string, want int, contains string) {
		t.Helper()
		r := d.call("GET", path, d.token(player, RolePlayer), "")
		if r.status != want || !strings.Contains(r.body, contains) {
			t.Errorf("%s %s: got %d %s, want %d %s", player, path, r.status, r.body, want, contains)
		}
	}
	own := func(p string) string { return base64.StdEncoding.EncodeToString([]byte(string(sessionA) + "/" + p)) }
	for _, waits = range []bool{true, false} {
		status := map[bool]int{true: 202, false: 200}[waits]
		check("ada", "/v1/matchmake/t1", status, "")
		check("ada", "/v1/matchmake/t1?caller=ada&wait=0", status, "")
		check("bo", "/v1/matchmake/t1?caller=ada", status, "")
		check("eve", "/v1/matchmake/t1?caller=ada", 404, "not_found")
		check("eve", "/v1/matchmake/t9?caller=ada", 404, "not_found")
		check("bo", "/v1/matchmake/t1", 404, "not_found")
		check("bo", "/v1/matchmake/t1?caller=a%20b", 400, "caller")
		check("ada", "/v1/matchmake/a%20b", 400, "ticket")
		check("ada", "/v1/matchmake/t1?wait=99", 400, "wait")
	}
	check("ada", "/v1/matchmake/t1", 200, own("ada"))
	check("bo", "/v1/matchmake/t1?caller=ada", 200, own("bo"))
	stranger := d.call("GET", "/v1/matchmake/t1?caller=ada", d.token("eve", RolePlayer), "")
	never := d.call("GET", "/v1/matchmake/t2?caller=ada", d.token("eve", RolePlayer), "")
	if strings.ReplaceAll(stranger.body, "t1", "t2") != never.body {
		t.Errorf("a stranger can tell %s from %s", stranger.body, never.body)
	}

	for path, want := range map[string]int{"/v1/matchmake/t1": 204, "/v1/matchmake/t1?caller=ada": 204} {
		player := throng.PlayerID("ada")
		if strings.Contains(path, "caller") {
			player = "bo"
		}
		if r := d.call("DELETE", path, d.token(player, RolePlayer), ""); r.status != want {
			t.Errorf("DELETE %s: got %d %s, want %d", path, r.status, r.body, want)
		}
	}
	if r := d.call("DELETE", "/v1/matchmake/t1?caller=ada", d.token("eve", RolePlayer), ""); r.status != 404 {
		t.Errorf("DELETE by a stranger: got %d, want 404", r.status)
	}
	got := d.world.did()
	slices.Sort(got)
	if want := []string{"leave ada/t1 ada", "leave ada/t1 bo"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRunEndsWaitingCalls(t *testing.T) {
	d := openDoor(t, nil)
	waits := make(chan struct{})
	d.world.place = func(ctx context.Context, _ throng.Ticket, _ time.Duration) (throng.Placement, error) {
		close(waits)
		<-ctx.Done()
		return throng.Placement{}, ctx.Err()
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- d.Run(ctx) }()
	go func() {
		<-waits
		stop()
	}()
	r := d.call("POST", "/v1/matchmake", d.token("ada", RolePlayer), `{"ticket":"t1","place":"arena","party":["ada"]}`)
	if p := r.problem(t); r.status != 503 || p.Code != "unavailable" || r.header.Get("Retry-After") != "1" {
		t.Errorf("got %d %+v, want 503 unavailable", r.status, p)
	}
	if err := <-ran; err != nil {
		t.Errorf("Run: got %v, want nil", err)
	}
}
