package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// by makes a call for a player.
func (d *door) by(player throng.PlayerID, method, path, body string) reply {
	d.t.Helper()
	return d.call(method, path, d.token(player, RolePlayer), body)
}

// want makes a call that has to be answered so.
func (d *door) want(status int, player throng.PlayerID, method, path, body string) reply {
	d.t.Helper()
	r := d.by(player, method, path, body)
	if r.status != status {
		d.t.Errorf("%s %s by %s: got %d %s, want %d", method, path, player, r.status, r.body, status)
	}
	return r
}

func (r reply) party(t *testing.T) gen.Party {
	t.Helper()
	var p gen.Party
	if err := json.Unmarshal([]byte(r.body), &p); err != nil {
		t.Fatalf("not a party (status %d): %s", r.status, r.body)
	}
	return p
}

// party makes a party over HTTP, the first player its leader.
func (d *door) party(players ...throng.PlayerID) gen.Party {
	d.t.Helper()
	p := d.want(200, players[0], "POST", "/v1/parties", "").party(d.t)
	for _, player := range players[1:] {
		p = d.want(200, player, "POST", "/v1/parties/"+p.ID+"/join", `{"invite":"`+p.Invite+`"}`).party(d.t)
	}
	return p
}

func TestPartyOverHTTP(t *testing.T) {
	d := openDoor(t, nil)
	p := d.party("ada", "b.o:_-", "cy")
	at := "/v1/parties/" + p.ID
	if p.Leader != "ada" || !slices.Equal(p.Members, []string{"ada", "b.o:_-", "cy"}) || p.Ticket != nil {
		t.Fatalf("got %+v, want three led by ada", p)
	}
	for path, method := range map[string]string{"": "GET", "/invite": "POST", "/members/cy": "DELETE"} {
		d.want(404, "eve", method, at+path, "")
		if path != "" {
			d.want(403, "b.o:_-", method, at+path, "")
		}
	}
	stranger := d.want(404, "eve", "GET", at, "")
	unknown := d.want(404, "eve", "GET", "/v1/parties/"+string(throng.MakePartyID("local", throng.Entropy{1})), "")
	if a, b := stranger.problem(t), unknown.problem(t); a.Code != b.Code || a.Title != b.Title {
		t.Errorf("a stranger can tell %+v from %+v", a, b)
	}
	d.want(204, "eve", "POST", at+"/leave", "") // is not in it
	d.want(204, "ada", "DELETE", at+"/members/cy", "")
	d.want(404, "cy", "GET", at, "")
	d.want(204, "ada", "POST", at+"/leave", "")
	if got := d.want(200, "b.o:_-", "GET", at, "").party(t); got.Leader != "b.o:_-" || got.Invite == p.Invite {
		t.Errorf("got %+v, want the last one to lead, with an invite that cy does not know", got)
	}
	for _, bad := range []struct{ method, path, body string }{
		{"GET", "/v1/parties/x", ""},
		{"GET", at + "?wait=99", ""},
		{"GET", at + "?revision=-1", ""},
		{"POST", at + "/join", `{"invite":""}`},
		{"POST", at + "/join", `{"invite":"` + strings.Repeat("x", 65) + `"}`},
		{"POST", at + "/join", `{"invite":"ü"}`},
		{"POST", at + "/join", `{"code":"x"}`},
		{"DELETE", at + "/members/a%20b", ""},
	} {
		d.want(400, "b.o:_-", bad.method, bad.path, bad.body)
	}
}

func TestPartyLongPoll(t *testing.T) {
	d := openDoor(t, nil)
	p := d.party("ada")
	at := "/v1/parties/" + p.ID
	p = d.want(200, "ada", "GET", at, "").party(t)
	told := make(chan gen.Party)
	go func() {
		told <- d.want(200, "ada", "GET", fmt.Sprintf("%s?revision=%d&wait=20", at, p.Revision), "").party(t)
	}()
	d.want(200, "bo", "POST", at+"/join", `{"invite":"`+p.Invite+`"}`)
	if got := <-told; got.Revision <= p.Revision {
		t.Errorf("got revision %d, want one past %d", got.Revision, p.Revision)
	}
}

// A wrong invite counts; past the limit nobody is told whether one is right.
func TestGuessesAreLimited(t *testing.T) {
	d := openDoor(t, func(c *Config) {
		c.Limits.Guesses, c.Limits.RemoteGuesses = Rate{0.001, 3}, Rate{0.001, 8}
	})
	p := d.party("ada")
	join := "/v1/parties/" + p.ID + "/join"
	right, wrong := `{"invite":"`+p.Invite+`"}`, `{"invite":"0000000000000000"}`
	for range 5 { // right ones do not count
		d.want(200, "bo", "POST", join, right)
	}
	var bodies []string
	for i := range 3 {
		path := join
		if i == 1 {
			path = "/v1/parties/" + string(throng.MakePartyID("local", throng.Entropy{1})) + "/join"
		}
		bodies = append(bodies, d.want(404, "eve", "POST", path, wrong).body)
	}
	if bodies[0] != bodies[1] {
		t.Errorf("an unknown party: got %s, want %s", bodies[1], bodies[0])
	}
	for _, body := range []string{wrong, right} {
		if r := d.want(429, "eve", "POST", join, body); r.header.Get("Retry-After") == "" {
			t.Error("over the limit: got no Retry-After")
		}
	}
	for _, other := range []throng.PlayerID{"fay", "gil"} { // from the same address
		for range 3 {
			d.by(other, "POST", join, wrong)
		}
	}
	d.want(429, "hal", "POST", join, right)
	d.want(200, "ada", "GET", "/v1/parties/"+p.ID, "")
}

// Codes of private sessions are limited too, also for those who do not wait.
func TestCodesAreLimited(t *testing.T) {
	d := openDoor(t, func(c *Config) { c.Limits.Guesses = Rate{0.001, 4} })
	d.world.place = func(_ context.Context, tk throng.Ticket, wait time.Duration) (throng.Placement, error) {
		if wait == 0 {
			return throng.Placement{Position: 1, RetryAfter: time.Second}, nil
		}
		if tk.Code != throng.HashCode("right-code") {
			return throng.Placement{}, throng.AtField(throng.NotFound, "code", "there is no session with this code")
		}
		return seated(tk.Party...), nil
	}
	try := func(n int, code, query string) int {
		return d.by("eve", "POST", "/v1/matchmake"+query,
			fmt.Sprintf(`{"ticket":"t%d","place":"arena","party":["eve"],"mode":"private","code":%q}`, n, code)).status
	}
	got := []int{
		try(1, "Right-Code ", ""), try(2, "a", ""), try(3, "b", "?wait=0"), try(4, "c", ""), try(5, "right-code", ""), try(6, "d", "?wait=0"),
		try(7, "right-code", ""),
	}
	if want := []int{200, 404, 202, 404, 200, 202, 429}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMatchmakeWithAParty(t *testing.T) {
	d := openDoor(t, func(c *Config) { c.AllowRawParties = false })
	var got throng.Ticket
	d.world.place = func(_ context.Context, tk throng.Ticket, _ time.Duration) (throng.Placement, error) {
		got = tk
		d.world.claims[tk.Key] = throng.Claim{Ticket: tk}
		return seated(tk.Party...), nil
	}
	p := d.party("ada", "bo", "cy")
	ask := func(ticket, who string) string {
		return fmt.Sprintf(`{"ticket":%q,"place":"arena",%s}`, ticket, who)
	}
	object := `"party_id":"` + p.ID + `"`
	d.want(403, "bo", "POST", "/v1/matchmake", ask("t1", object))
	d.want(404, "eve", "POST", "/v1/matchmake", ask("t1", object))
	d.want(200, "ada", "POST", "/v1/matchmake", ask("t1", object))
	all := []throng.PlayerID{"ada", "bo", "cy"}
	if !slices.Equal(got.Party, all) || string(got.PartyID) != p.ID {
		t.Errorf("got %+v, want all of the party", got)
	}
	seen := d.want(200, "cy", "GET", "/v1/parties/"+p.ID, "").party(t)
	if seen.Ticket == nil || seen.Ticket.Caller != "ada" || seen.Ticket.Ticket != "t1" || len(seen.Ticket.Members) != 3 {
		t.Errorf("a member sees %+v, want ada's ticket", seen.Ticket)
	}
	// The ticket keeps its players: who leaves or leads now changes nothing.
	d.want(204, "cy", "POST", "/v1/parties/"+p.ID+"/leave", "")
	d.want(200, "ada", "POST", "/v1/matchmake", ask("t1", object))
	if !slices.Equal(got.Party, all) {
		t.Errorf("a repeat: got %v, want %v", got.Party, all)
	}
	d.want(200, "ada", "POST", "/v1/matchmake", ask("t2", object))
	if !slices.Equal(got.Party, all[:2]) {
		t.Errorf("the next ticket: got %v, want ada and bo", got.Party)
	}
	d.want(204, "ada", "POST", "/v1/parties/"+p.ID+"/leave", "")
	d.want(200, "ada", "POST", "/v1/matchmake", ask("t2", object))
	d.want(404, "ada", "POST", "/v1/matchmake", ask("t3", object))

	// Lists: only of those who are in the caller's party.
	d.want(200, "bo", "POST", "/v1/matchmake", ask("t4", `"party":["bo"]`))
	if r := d.want(403, "bo", "POST", "/v1/matchmake", ask("t5", `"party":["bo","eve"]`)); r.problem(t).Field != "party" {
		t.Errorf("got %s, want the field party", r.body)
	}
	q := d.party("fay", "gil")
	d.want(200, "gil", "POST", "/v1/matchmake", ask("t6", `"party":["gil","fay"]`))
	d.want(403, "gil", "POST", "/v1/matchmake", ask("t7", `"party":["gil","fay","bo"]`))
	d.want(204, "gil", "POST", "/v1/parties/"+q.ID+"/leave", "")
	d.want(200, "gil", "POST", "/v1/matchmake", ask("t6", `"party":["gil","fay"]`)) // as it was
	d.want(403, "gil", "POST", "/v1/matchmake", ask("t8", `"party":["gil","fay"]`))
	for _, bad := range []string{`"party":["bo"],` + object, `"party_id":"x"`, `"mode":"drop-in"`} {
		d.want(400, "bo", "POST", "/v1/matchmake", ask("t9", bad))
	}
}

func TestPartyLargerThanThePlace(t *testing.T) {
	d := openDoor(t, nil)
	players := []throng.PlayerID{"p0"}
	for i := range 8 {
		players = append(players, throng.PlayerID(fmt.Sprint("p", i+1)))
	}
	p := d.party(players...)
	r := d.want(400, "p0", "POST", "/v1/matchmake", `{"ticket":"t1","place":"arena","party_id":"`+p.ID+`"}`)
	if r.problem(t).Field != "party" {
		t.Errorf("got %s, want the field party", r.body)
	}
}

func TestOpeningsAreLimited(t *testing.T) {
	d := openDoor(t, nil)
	d.world.place = func(_ context.Context, tk throng.Ticket, _ time.Duration) (throng.Placement, error) {
		d.world.claims[tk.Key] = throng.Claim{Ticket: tk}
		return seated(tk.Party...), nil
	}
	open := func(n int, mode string) int {
		return d.by("ada", "POST", "/v1/matchmake", fmt.Sprintf(`{"ticket":"t%d","place":"arena","party":["ada"],"mode":%q}`, n, mode)).status
	}
	for n := range 6 {
		mode := []string{"new", "private"}[n%2]
		for range 3 { // repeats do not count
			if got := open(n, mode); got != 200 {
				t.Fatalf("opening %d: got %d, want 200", n, got)
			}
		}
	}
	if got := []int{open(7, "new"), open(8, "private"), open(9, "drop-in")}; !slices.Equal(got, []int{429, 429, 200}) {
		t.Errorf("past six in a minute: got %v, want 429, 429, 200", got)
	}
}

func TestModesTakeTheirFields(t *testing.T) {
	d := openDoor(t, nil)
	var got throng.Ticket
	d.world.place = func(_ context.Context, tk throng.Ticket, _ time.Duration) (throng.Placement, error) {
		got = tk
		return seated(tk.Party...), nil
	}
	const base = `{"ticket":"t1","place":"arena","party":["ada"],`
	for _, c := range []struct {
		rest   string
		status int
	}{
		{`"mode":"friend","friend":"bo"}`, 200},
		{`"mode":"friend"}`, 400},
		{`"mode":"friend","friend":"a b"}`, 400},
		{`"mode":"friend","friend":"ada"}`, 400},
		{`"mode":"drop-in","friend":"bo"}`, 400},
		{`"mode":"new","code":"x"}`, 400},
		{`"mode":"private"}`, 200},
		{`"mode":"private","code":"abc"}`, 200},
		{`"mode":"private","code":"a b"}`, 400},
	} {
		d.want(c.status, "ada", "POST", "/v1/matchmake", base+c.rest)
	}
	if got.Code != throng.HashCode("abc") || got.Mode != throng.ModePrivate {
		t.Errorf("got %+v, want the hash of the code", got)
	}
}

func TestFriendsOverHTTP(t *testing.T) {
	d := openDoor(t, nil)
	r := d.want(200, "ada", "PUT", "/v1/players/ada/friends", `{"friends":["cy","bo","bo","ada","x.y:_-"]}`)
	if want := `{"friends":["bo","cy","x.y:_-"]}`; strings.TrimSpace(r.body) != want {
		t.Errorf("got %s, want %s", r.body, want)
	}
	if again := d.want(200, "ada", "GET", "/v1/players/ada/friends", ""); again.body != r.body {
		t.Errorf("got %s, want %s", again.body, r.body)
	}
	for _, method := range []string{"GET", "PUT"} {
		body := map[string]string{"GET": "", "PUT": `{"friends":[]}`}[method]
		d.want(403, "eve", method, "/v1/players/ada/friends", body)
		if r := d.call(method, "/v1/players/cy/friends", d.token("op", RoleOperator), body); r.status != 200 {
			t.Errorf("%s by an operator: got %d %s, want 200", method, r.status, r.body)
		}
	}
	many := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(`"f%d"`, i)
		}
		return `{"friends":[` + strings.Join(list, ",") + `]}`
	}
	d.want(200, "ada", "PUT", "/v1/players/ada/friends", many(1000))
	for _, body := range []string{many(10_000), many(1001), `{"friends":["a b"]}`, `{"friends":["zoë"]}`, `{}`, `{"friends":null}`, `{"friends":"bo"}`} {
		d.want(400, "ada", "PUT", "/v1/players/ada/friends", body)
	}
	long := `{"friends":["` + strings.Repeat("x", 300<<10) + `"]}`
	d.want(http.StatusRequestEntityTooLarge, "ada", "PUT", "/v1/players/ada/friends", long)
	if got, err := d.cfg.Friends.Friends(t.Context(), "ada"); err != nil || len(got) != 1000 {
		t.Errorf("after refusals: got %d friends, %v, want 1000", len(got), err)
	}
}

// The list in an access token counts more than the one that was set.
func TestFriendsInTheToken(t *testing.T) {
	d := openDoor(t, nil)
	d.want(200, "bo", "PUT", "/v1/players/bo/friends", `{"friends":["ada"]}`)
	token, err := d.keys.PlayerTokenWithFriends("ada", RolePlayer, time.Hour, []string{"bo", "not a name", "ada"})
	if err != nil {
		t.Fatal(err)
	}
	d.want(200, "ada", "PUT", "/v1/players/ada/privacy", `{"presence":"friends"}`)
	if r := d.by("bo", "GET", "/v1/players/ada/presence", ""); !strings.Contains(r.body, `"none"`) {
		t.Errorf("before ada's token was seen: got %s, want none", r.body)
	}
	if r := d.call("GET", "/v1/players/ada/friends", token, ""); strings.TrimSpace(r.body) != `{"friends":["bo"]}` {
		t.Errorf("got %d %s, want bo", r.status, r.body)
	}
	if r := d.by("bo", "GET", "/v1/players/ada/presence", ""); !strings.Contains(r.body, `"playing"`) {
		t.Errorf("mutual now: got %s, want playing", r.body)
	}
	if r := d.call("PUT", "/v1/players/ada/friends", token, `{"friends":[]}`); r.status != 403 {
		t.Errorf("set beside the token: got %d %s, want 403", r.status, r.body)
	}
	if _, err := d.keys.PlayerTokenWithFriends("ada", RolePlayer, time.Hour, make([]string, 5000)); throng.KindOf(err) != throng.Invalid {
		t.Errorf("a token of 5,000 friends: got %v, want invalid", err)
	}
}

func TestPresenceKeepsPrivacy(t *testing.T) {
	d := openDoor(t, nil)
	see := func(viewer throng.PlayerID, role Role, who string) string {
		t.Helper()
		r := d.call("GET", "/v1/players/"+who+"/presence", d.token(viewer, role), "")
		if r.status != 200 {
			t.Errorf("presence of %s: got %d %s", who, r.status, r.body)
		}
		return strings.ReplaceAll(r.body, who, "X")
	}
	never := see("eve", RolePlayer, "ghost")
	d.want(200, "ada", "PUT", "/v1/players/ada/friends", `{"friends":["bo","cy"]}`)
	d.want(200, "bo", "PUT", "/v1/players/bo/friends", `{"friends":["ada"]}`)
	for _, c := range []struct {
		setting string
		sees    map[throng.PlayerID]bool
	}{
		{"everyone", map[throng.PlayerID]bool{"ada": true, "bo": true, "cy": true, "eve": true}},
		{"friends", map[throng.PlayerID]bool{"ada": true, "bo": true, "cy": false, "eve": false}},
		{"nobody", map[throng.PlayerID]bool{"ada": true, "bo": false, "cy": false, "eve": false}},
	} {
		d.want(200, "ada", "PUT", "/v1/players/ada/privacy", `{"presence":"`+c.setting+`"}`)
		if r := d.want(200, "ada", "GET", "/v1/players/ada/privacy", ""); !strings.Contains(r.body, c.setting) {
			t.Errorf("got %s, want %s", r.body, c.setting)
		}
		for viewer, sees := range c.sees {
			got := see(viewer, RolePlayer, "ada")
			if sees != strings.Contains(got, `"playing"`) || !sees && got != never {
				t.Errorf("%s, seen by %s: got %s, want it shown: %v", c.setting, viewer, got, sees)
			}
		}
		if got := see("op", RoleOperator, "ada"); !strings.Contains(got, `"playing"`) {
			t.Errorf("%s, seen by an operator: got %s, want playing", c.setting, got)
		}
	}
	d.want(403, "eve", "GET", "/v1/players/ada/privacy", "")
	d.want(403, "eve", "PUT", "/v1/players/ada/privacy", `{"presence":"everyone"}`)
	for _, bad := range []string{`{"presence":"all"}`, `{}`, `{"presence":"Nobody"}`, `{"who":"nobody"}`} {
		d.want(400, "ada", "PUT", "/v1/players/ada/privacy", bad)
	}
}

// A private session is in no list, and its code is for those inside only.
func TestPrivateSessionsAreNotListed(t *testing.T) {
	d := openDoor(t, nil)
	d.world.sessions = []throng.Session{
		{ID: sessionA, Place: "arena", State: throng.SessionOpen, Capacity: 8, Private: true},
		{ID: sessionB, Place: "arena", State: throng.SessionOpen, Capacity: 8},
	}
	for _, query := range []string{"", "?state=open", "?free=1", "?state=open&free=1"} {
		r := d.want(200, "eve", "GET", "/v1/places/arena/sessions"+query, "")
		if strings.Contains(r.body, string(sessionA)) || !strings.Contains(r.body, string(sessionB)) {
			t.Errorf("%q: got %s, want the public one alone", query, r.body)
		}
	}
	d.world.place = func(_ context.Context, tk throng.Ticket, _ time.Duration) (throng.Placement, error) {
		p := seated(tk.Party...)
		p.Assignment.Session.Private = tk.Mode == throng.ModePrivate
		return p, nil
	}
	code := `"code":"` + fakeCodes{}.SessionCode(sessionA) + `"`
	body := `{"ticket":"t1","place":"arena","party":["ada"],"mode":"private"}`
	for range 2 {
		if r := d.want(200, "ada", "POST", "/v1/matchmake", body); !strings.Contains(r.body, code) {
			t.Errorf("got %s, want %s", r.body, code)
		}
	}
	if r := d.want(200, "ada", "POST", "/v1/matchmake", `{"ticket":"t2","place":"arena","party":["ada"]}`); strings.Contains(r.body, `"code"`) {
		t.Errorf("a public one: got %s, want no code", r.body)
	}
}
