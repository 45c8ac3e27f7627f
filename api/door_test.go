package api

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

func TestForgedTokensAreNobody(t *testing.T) {
	d := openDoor(t, nil)
	check := func(name string, r reply) {
		t.Helper()
		p := r.problem(t)
		if r.status != 401 || p.Code != "denied" || r.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: got %d %+v, want 401 denied", name, r.status, p)
		}
	}
	good := d.token("ada", RolePlayer)
	other, err := testKeys(t, 8).PlayerToken("ada", RoleOperator, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"garbage": "a.b.c", "another region's": other, "cut": good[:len(good)-4], "an API key that is none": "thk_0123456789abcdef_" + strings.Repeat("a", 32),
	} {
		check(name, d.call("GET", "/v1/regions", token, ""))
		check(name+" where keys are good", d.call("GET", "/v1/places", token, ""))
	}
	check("basic", d.call("GET", "/v1/regions", "", "", "Authorization", "Basic "+good))
	check("bare", d.call("GET", "/v1/regions", "", "", "Authorization", good))
	check("in the query", d.call("GET", "/v1/regions?access_token="+good, "", ""))
	if r := d.call("GET", "/v1/regions", "", "", "Authorization", "bearer "+good); r.status != 200 {
		t.Errorf("bearer in lower case: got %d, want 200", r.status)
	}
}

func TestDevToken(t *testing.T) {
	d := openDoor(t, nil)
	for _, c := range []struct {
		body  string
		want  int
		field string
	}{
		{`{"player":"ada"}`, 200, ""},
		{`{"player":"ada","role":"operator"}`, 200, ""},
		{`{"player":"ada","role":"server"}`, 400, "role"},
		{`{"player":""}`, 400, "player"},
		{`{"name":"ada"}`, 400, "name"},
	} {
		r := d.call("POST", "/v1/dev/token", "", c.body)
		if r.status != c.want {
			t.Errorf("%s: got %d %s, want %d", c.body, r.status, r.body, c.want)
		}
		if c.want != 200 && r.problem(t).Field != c.field {
			t.Errorf("%s: got %s, want field %s", c.body, r.body, c.field)
		}
	}
	closed := openDoor(t, func(c *Config) { c.DevTokens = nil })
	if r := closed.call("POST", "/v1/dev/token", "", `{"player":"ada"}`); r.status != 404 {
		t.Errorf("in production: got %d %s, want 404", r.status, r.body)
	}
}

func TestServerSpeaksForItself(t *testing.T) {
	d := openDoor(t, nil)
	beat := func(s throng.ServerID) string {
		return fmt.Sprintf(`{"server":%q,"incarnation":"i1","address":"192.0.2.1:7000","revision":3,"orders_done":2,`+
			`"changes":[{"revision":3,"kind":"left","player":"bo","epoch":5}],"from_the_future":1}`, s)
	}
	report := func(s throng.ServerID) string {
		return fmt.Sprintf(`{"server":%q,"incarnation":"i1","address":"192.0.2.1:7000","revision":3,"place":"arena","version":1,`+
			`"capacity":8,"state":"open","opened_at":"2026-01-02T03:04:05Z",`+
			`"seats":[{"player":"bo","epoch":5,"ticket":{"caller":"bo","ticket":"t"}}]}`, s)
	}
	confirm := func(s throng.ServerID, player string) string {
		return fmt.Sprintf(`{"heartbeat":%s,"change":{"revision":4,"kind":"joined","player":%q,"epoch":5,"ticket":{"caller":"bo","ticket":"t"}}}`,
			beat(s), player)
	}
	end := func(s throng.ServerID) string { return fmt.Sprintf(`{"reason":"over","heartbeat":%s}`, beat(s)) }
	mine, idle := d.serverToken(serverA, sessionA), d.serverToken(serverA, "")
	operator := d.token("op", RoleOperator)
	for _, c := range []struct {
		name, method, call, token, body string
		session                         throng.SessionID
		want                            int
	}{
		{"heartbeat", "PUT", "heartbeat", mine, beat(serverA), sessionA, 200},
		{"heartbeat of another session", "PUT", "heartbeat", mine, beat(serverA), sessionB, 403},
		{"heartbeat as another server", "PUT", "heartbeat", mine, beat(serverB), sessionA, 403},
		{"heartbeat of an idle one", "PUT", "heartbeat", idle, beat(serverA), sessionA, 403},
		{"heartbeat of no session", "PUT", "heartbeat", mine, beat(serverA), "x", 400},
		{"report", "PUT", "report", mine, report(serverA), sessionA, 200},
		{"report of another session", "PUT", "report", mine, report(serverA), sessionB, 403},
		{"report as another server", "PUT", "report", mine, report(serverB), sessionA, 403},
		{"report of an idle one", "PUT", "report", idle, report(serverA), sessionA, 403},
		{"confirm", "POST", "confirm", mine, confirm(serverA, "bo"), sessionA, 204},
		{"confirm who is fenced", "POST", "confirm", mine, confirm(serverA, "fenced"), sessionA, 403},
		{"confirm of another session", "POST", "confirm", mine, confirm(serverA, "bo"), sessionB, 403},
		{"confirm as another server", "POST", "confirm", mine, confirm(serverB, "bo"), sessionA, 403},
		{"end", "POST", "end", mine, end(serverA), sessionA, 204},
		{"end another session", "POST", "end", mine, end(serverA), sessionB, 403},
		{"end as another server", "POST", "end", mine, end(serverB), sessionA, 403},
		{"end without a heartbeat", "POST", "end", mine, `{"reason":"over"}`, sessionA, 400},
		{"end by an operator", "POST", "end", operator, `{"reason":"over"}`, sessionB, 204},
		{"end by an operator who beats", "POST", "end", operator, end(serverA), sessionB, 400},
		{"end without a reason", "POST", "end", operator, `{}`, sessionB, 400},
		{"drain", "POST", "drain", operator, `{"reason":"tired"}`, sessionB, 204},
		{"drain by its server", "POST", "drain", mine, `{"reason":"leaving"}`, sessionA, 204},
		{"drain by another server", "POST", "drain", mine, `{"reason":"leaving"}`, sessionB, 403},
		{"drain by an idle one", "POST", "drain", idle, `{"reason":"leaving"}`, sessionA, 403},
	} {
		r := d.call(c.method, "/v1/sessions/"+string(c.session)+"/"+c.call, c.token, c.body)
		if r.status != c.want {
			t.Errorf("%s: got %d %s, want %d", c.name, r.status, r.body, c.want)
		}
	}
	want := []string{
		"confirm " + string(sessionA) + " bo", "confirm " + string(sessionA) + " fenced",
		"end by " + string(serverA) + " " + string(sessionA) + " over", "end " + string(sessionB) + " over", "drain " + string(sessionB) + " tired 0s",
		"drain " + string(sessionA) + " leaving 0s",
	}
	if got := d.world.did(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestHeartbeatsAreChecked(t *testing.T) {
	d := openDoor(t, nil)
	ok := `"server":"` + string(serverA) + `","incarnation":"i1","address":"192.0.2.1:7000","revision":3`
	for _, c := range []struct{ body, field string }{
		{`{}`, "server"},
		{strings.Replace(`{`+ok+`}`, "i1", "", 1), "incarnation"},
		{strings.Replace(`{`+ok+`}`, "192.0.2.1:7000", "here", 1), "address"},
		{strings.Replace(`{`+ok+`}`, "192.0.2.1", "0.0.0.0", 1), "address"},
		{strings.Replace(`{`+ok+`}`, ":3", ":9007199254740992", 1), "revision"},
		{`{` + ok + `,"changes":[{"revision":4,"kind":"danced","player":"bo","epoch":1}]}`, "changes[0].kind"},
		{`{` + ok + `,"changes":[{"revision":4,"kind":"joined","player":"bo","epoch":1}]}`, "changes[0].ticket.caller"},
		{`{` + ok + `,"changes":[{"revision":4,"kind":"left","player":"b o","epoch":1}]}`, "changes[0].player"},
		{`{` + ok + `,"changes":[` + strings.Repeat(`{},`, 4096) + `{}]}`, "changes"},
		{`{` + ok + `,"changes":[{"revision":-1}]}`, "changes.revision"},
	} {
		r := d.call("PUT", "/v1/sessions/"+string(sessionA)+"/heartbeat", d.serverToken(serverA, sessionA), c.body)
		if p := r.problem(t); r.status != 400 || p.Field != c.field {
			t.Errorf("%.120s: got %d %+v, want 400 at %s", c.body, r.status, p, c.field)
		}
	}
}

func TestLimits(t *testing.T) {
	d := openDoor(t, func(c *Config) {
		c.Limits = Limits{Joins: Rate{0.01, 2}, Calls: Rate{0.01, 3}, DevToken: Rate{0.01, 1}, Machine: Rate{0.01, 1}}
	})
	join := `{"ticket":"t1","place":"arena","party":["ada"]}`
	ada := d.token("ada", RolePlayer)
	check := func(what string, r reply, want int) {
		t.Helper()
		if r.status != want {
			t.Errorf("%s: got %d %s, want %d", what, r.status, r.body, want)
		}
	}
	for range 2 {
		check("join", d.call("POST", "/v1/matchmake", ada, join), 200)
	}
	over := d.call("POST", "/v1/matchmake", ada, join)
	check("join too often", over, 429)
	if p := over.problem(t); p.Code != "rate_limited" || p.RetryAfter < 90 || over.header.Get("Retry-After") == "" {
		t.Errorf("got %+v", p)
	}
	check("a refused body counts, another's does not", d.call("POST", "/v1/matchmake", d.token("bo", RolePlayer), `{}`), 400)
	for range 3 {
		check("browse", d.call("GET", "/v1/regions", ada, ""), 200)
	}
	check("browse too often", d.call("GET", "/v1/regions", ada, ""), 429)
	check("dev token", d.call("POST", "/v1/dev/token", "", `{"player":"ada"}`), 200)
	check("dev token too often", d.call("POST", "/v1/dev/token", "", `{"player":"bo"}`), 429)
	server := d.serverToken(serverA, sessionA)
	check("package", d.call("GET", "/v1/packages/"+string(hashA), server, ""), 200)
	check("package too often", d.call("GET", "/v1/packages/"+string(hashA), server, ""), 429)
	check("another server", d.call("GET", "/v1/packages/"+string(hashA), d.serverToken(serverB, sessionA), ""), 200)
	check("health has no limit", d.call("GET", "/healthz", "", ""), 200)
}

func TestBucketsAreBounded(t *testing.T) {
	b := newBuckets(2)
	now := time.Unix(1000, 0)
	limit := Rate{PerSecond: 1, Burst: 1}
	take := func(who string) bool { return b.take(bucketKey{classJoin, who}, limit, now) == nil }
	if !take("a") || take("a") || !take("b") || take("b") {
		t.Fatal("one at once each")
	}
	if take("a") { // used last: b is forgotten next
		t.Fatal("a has no token")
	}
	if !take("c") || len(b.byKey) != 2 || b.order.Len() != 2 {
		t.Fatalf("got %d buckets, want 2", len(b.byKey))
	}
	if take("a") {
		t.Error("a was forgotten, b was used before")
	}
	if !take("b") {
		t.Error("b was not forgotten")
	}
	now = now.Add(time.Second)
	if !take("b") {
		t.Error("b has a token again after a second")
	}
	err := b.take(bucketKey{classJoin, "b"}, limit, now)
	if got := throng.RetryAfterOf(err); throng.KindOf(err) != throng.RateLimited || got != time.Second {
		t.Errorf("got %v after %v, want rate_limited after 1s", err, got)
	}
}

func TestRunningCallsAreBounded(t *testing.T) {
	d := openDoor(t, func(c *Config) { c.Limits = Limits{Accounts: 1, LongPolls: 1} })
	in, out := make(chan struct{}), make(chan struct{})
	d.world.place = func(_ context.Context, tk throng.Ticket, _ time.Duration) (throng.Placement, error) {
		close(in)
		<-out
		return seated(tk.Party...), nil
	}
	done := make(chan reply)
	go func() {
		done <- d.call("POST", "/v1/matchmake", d.token("ada", RolePlayer), `{"ticket":"t1","place":"arena","party":["ada"]}`)
	}()
	<-in
	if r := d.call("GET", "/v1/regions", d.token("bo", RolePlayer), ""); r.status != 503 || r.header.Get("Retry-After") != "1" {
		t.Errorf("an account's second call: got %d %s, want 503", r.status, r.body)
	}
	if r := d.call("GET", "/v1/packages/"+string(hashA), d.serverToken(serverA, sessionA), ""); r.status != 200 {
		t.Errorf("a machine's call meanwhile: got %d %s, want 200", r.status, r.body)
	}
	_, wait, leave := d.patience(t.Context(), time.Second)
	leave()
	if wait != 0 {
		t.Errorf("a second long poll: waits %v, want 0", wait)
	}
	close(out)
	if r := <-done; r.status != 200 {
		t.Errorf("the first call: got %d %s, want 200", r.status, r.body)
	}
	if r := d.call("GET", "/v1/regions", d.token("bo", RolePlayer), ""); r.status != 200 {
		t.Errorf("afterwards: got %d %s, want 200", r.status, r.body)
	}
}

func TestPanicsAreSurvived(t *testing.T) {
	d := openDoor(t, nil)
	d.world.place = func(context.Context, throng.Ticket, time.Duration) (throng.Placement, error) { panic("secret") }
	for range 2 {
		r := d.call("POST", "/v1/matchmake", d.token("ada", RolePlayer), `{"ticket":"t1","place":"arena","party":["ada"]}`)
		if p := r.problem(t); r.status != 500 || p.Code != "internal" || strings.Contains(r.body, "secret") {
			t.Errorf("got %d %s, want 500 internal", r.status, r.body)
		}
	}
	if got := d.accounts.in.Load() + d.polls.in.Load(); got != 0 {
		t.Errorf("%d places are still taken", got)
	}
	m := d.call("GET", "/metrics", "", "").body
	if want := `throng_door_requests_total{code="500",route="POST /v1/matchmake"} 2`; !strings.Contains(m, want) {
		t.Errorf("metrics lack %s", want)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	d := openDoor(t, nil)
	for _, c := range []struct {
		method, path string
		want         int
		allow        string
	}{
		{"GET", "/", 404, ""},
		{"GET", "/v2/places", 404, ""},
		{"POST", "/v1/places", 405, "GET"},
		{"PATCH", "/v1/matchmake/t1", 405, "GET, DELETE"},
		{"DELETE", "/v1/matchmake", 405, "POST"},
	} {
		r := d.call(c.method, c.path, "", "")
		if p := r.problem(t); r.status != c.want || p.Status != c.want || r.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: got %d, Allow %q, want %d, %q", c.method, c.path, r.status, r.header.Get("Allow"), c.want, c.allow)
		}
	}
	if m := d.call("GET", "/metrics", "", "").body; !strings.Contains(m, `throng_door_requests_total{code="404",route="other"} 2`) {
		t.Error("unknown paths are not counted as other")
	}
}

func TestService(t *testing.T) {
	var down error
	d := openDoor(t, func(c *Config) { c.Ready = func() error { return down } })
	if r := d.call("GET", "/healthz", "", ""); r.status != 200 {
		t.Errorf("healthz: got %d", r.status)
	}
	if r := d.call("GET", "/readyz", "", ""); r.status != 200 {
		t.Errorf("readyz: got %d", r.status)
	}
	down = throng.Errorf(throng.Unavailable, "the registry is rebuilding")
	if r := d.call("GET", "/readyz", "", ""); r.status != 503 || !strings.Contains(r.body, "rebuilding") {
		t.Errorf("readyz: got %d %s", r.status, r.body)
	}
	if r := d.call("GET", "/openapi.yaml", "", ""); r.body != document {
		t.Error("the document is another one")
	}
	bare := openDoor(t, func(c *Config) { c.Gatherer = nil })
	if r := bare.call("GET", "/metrics", "", ""); r.status != 404 {
		t.Errorf("metrics: got %d, want 404", r.status)
	}
}

func TestBodyWithoutLength(t *testing.T) {
	d := openDoor(t, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.http.URL, "http://")) //nolint:noctx // ends with the test
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprintf(conn, "POST /v1/matchmake HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", d.token("ada", RolePlayer))
	chunk := strings.Repeat(" ", 1<<10)
	for range 65 {
		fmt.Fprintf(conn, "%x\r\n%s\r\n", len(chunk), chunk)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d, want 413", resp.StatusCode)
	}
}

func TestSlowBodies(t *testing.T) {
	d := openDoor(t, nil)
	d.bodyTime = 50 * time.Millisecond
	for name, c := range map[string]struct {
		token string
		want  int
	}{"of nobody": {"x", 401}, "of a player": {d.token("ada", RolePlayer), 408}} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(d.http.URL, "http://")) //nolint:noctx // ends with the test
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		fmt.Fprintf(conn, "POST /v1/matchmake HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"+
			"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{", c.token)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s: got %d, want %d", name, resp.StatusCode, c.want)
		}
	}
}

func TestNewSaysWhatIsMissing(t *testing.T) {
	_, err := New(Config{Region: "local", Auth: away{}})
	if throng.KindOf(err) != throng.Invalid || !strings.Contains(err.Error(), "Matchmaker") {
		t.Errorf("got %v, want invalid Matchmaker", err)
	}
}

func FuzzMatchmakeRequest(f *testing.F) {
	f.Add([]byte(`{"ticket":"t1","place":"arena","party":["ada"]}`))
	f.Add([]byte(`{"ticket":"t1","x":[{"y":1}],"party":[]}`))
	f.Add([]byte(`{"mode":"session","session":"ses_local_000123456789abcdef","latencies":{"a":1}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var req gen.MatchmakeRequest
		if err := decodeStrict(body, &req); err != nil {
			if throng.KindOf(err) != throng.Invalid {
				t.Errorf("got %v, want invalid", err)
			}
			return
		}
		ticket, err := ticketOf("ada", req)
		if err != nil && throng.KindOf(err) != throng.Invalid {
			t.Errorf("got %v, want invalid", err)
		}
		if err == nil && (ticket.Party[0] != "ada" || len(ticket.Party) != len(req.Party)) {
			t.Errorf("party: got %v of %v", ticket.Party, req.Party)
		}
	})
}
