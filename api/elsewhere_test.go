package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/client"
)

const sessionEU = throng.SessionID("ses_eu_000123456789abcdef")

// abroad is the regions beside local, as a test says; calls of eu go to a real door.
type abroad struct {
	eu    *client.Region
	joins *joinBook // what local records

	mu     sync.Mutex
	order  []throng.RegionID
	wishes []throng.RegionWish
	asked  []string // calls, in order
	fails  map[throng.RegionID]error
	budget int
	full   throng.RegionID
	sent   map[throng.RegionID]int
}

func (a *abroad) Rank(w throng.RegionWish, _ *throng.RegionSummary) (list []throng.RegionChoice) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wishes = append(a.wishes, w)
	for _, id := range a.order {
		c := throng.RegionChoice{Region: id, Try: true, Latency: -1}
		if id == a.full {
			c.Why = throng.RegionFull
		}
		list = append(list, c)
	}
	return append(list, throng.RegionChoice{Region: "us", Why: "stale", Latency: -1})
}

func (a *abroad) Sent(r throng.RegionID, _ throng.PlaceID, seats int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent[r] += seats
}

func (a *abroad) Again() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.budget--
	return a.budget >= 0
}

func (a *abroad) Others() []throng.RegionID { return []throng.RegionID{"asia", "eu"} }

func (a *abroad) call(what string, r throng.RegionID) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, what+" "+string(r))
	if r != "eu" && a.fails[r] == nil {
		return throng.Errorf(throng.NotFound, "it has none")
	}
	return a.fails[r]
}

func (a *abroad) Matchmake(ctx context.Context, r throng.RegionID, t throng.Ticket, wait time.Duration) (gen.Placed, error) {
	if err := a.call("place", r); err != nil {
		return gen.Placed{}, err
	}
	return a.eu.Matchmake(ctx, t, wait)
}

func (a *abroad) Lookup(ctx context.Context, r throng.RegionID, ask throng.TicketAsk, wait time.Duration) (gen.Placed, error) {
	if err := a.call("lookup", r); err != nil {
		return gen.Placed{}, err
	}
	return a.eu.Lookup(ctx, ask, wait)
}

func (a *abroad) Leave(ctx context.Context, r throng.RegionID, k throng.TicketKey, player throng.PlayerID) error {
	if err := a.call("leave", r); err != nil {
		return err
	}
	return a.eu.Leave(ctx, k, player)
}

func (a *abroad) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

func (a *abroad) calls() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls := a.asked
	a.asked = nil
	return calls
}

// joinBook keeps what is recorded.
type joinBook struct {
	fakeJoins

	mu   sync.Mutex
	list []throng.JoinRecord
}

func (b *joinBook) Record(r throng.JoinRecord) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = append(b.list, r)
}

func (b *joinBook) last() throng.JoinRecord {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.list) == 0 {
		return throng.JoinRecord{}
	}
	return b.list[len(b.list)-1]
}

// twoRegions is the door of region local and, behind it, that of eu, which seats
// everybody in sessionEU.
func twoRegions(t *testing.T, order ...throng.RegionID) (local, eu *door, between *abroad) {
	t.Helper()
	eu = openDoor(t, func(c *Config) {
		c.Region, c.Summaries = "eu", &fakeSummaries{}
	})
	eu.world.place = func(_ context.Context, tk throng.Ticket, _ time.Duration) (throng.Placement, error) {
		p := seated(tk.Party...)
		p.Assignment.Session.ID, p.Assignment.Grant.Key = sessionEU, tk.Key
		p.Assignment.Session.Web.WebSocket = "ws://192.0.2.1:7001/socket"
		eu.world.claims[tk.Key] = throng.Claim{Members: p.Assignment.Grant.Members}
		return p, nil
	}
	token, err := eu.keys.RegionToken("local")
	if err != nil {
		t.Fatal(err)
	}
	between = &abroad{order: order, fails: map[throng.RegionID]error{}, budget: 100, sent: map[throng.RegionID]int{}}
	if between.eu, err = client.NewRegion(client.Config{Addr: eu.http.URL}, "eu", func() string { return token }); err != nil {
		t.Fatal(err)
	}
	between.joins = &joinBook{}
	local = openDoor(t, func(c *Config) {
		c.Elsewhere, c.Summaries, c.Joins = between, &fakeSummaries{}, between.joins
		c.AllowRawParties = true
	})
	return local, eu, between
}

func (d *door) join(t *testing.T, ticket, more string) (gen.Assignment, reply) {
	t.Helper()
	r := d.call("POST", "/v1/matchmake?wait=1", d.token("ada", RolePlayer), `{"ticket":"`+ticket+`","place":"arena",`+more+`}`)
	var a gen.Assignment
	if err := json.Unmarshal([]byte(r.body), &a); err != nil {
		t.Fatal(err)
	}
	return a, r
}

// A friend is followed to the region where he plays, which says whether he may be.
func TestFriendElsewhere(t *testing.T) {
	local, eu, _ := twoRegions(t, "local", "eu")
	local.cfg.Whereabouts = farAway{"bo": sessionEU}
	if a, r := local.join(t, "t1", `"party":["ada"],"mode":"friend","friend":"bo"`); r.status != 200 || a.Region != "eu" {
		t.Errorf("got %d %s, want a seat in eu", r.status, r.body)
	}
	eu.world.place = func(context.Context, throng.Ticket, time.Duration) (throng.Placement, error) {
		return throng.Placement{}, throng.AtField(throng.NotFound, "friend", "bo does not play here")
	}
	if _, r := local.join(t, "t2", `"party":["ada"],"mode":"friend","friend":"bo"`); r.status != 404 {
		t.Errorf("got %d %s, want what eu says", r.status, r.body)
	}
	if a, r := local.join(t, "t3", `"party":["ada"],"mode":"friend","friend":"cy"`); r.status != 200 || a.Region != "local" {
		t.Errorf("a friend of this region: got %d %s", r.status, r.body)
	}
}

func TestTicketGoesToTheBestRegion(t *testing.T) {
	local, eu, between := twoRegions(t, "eu", "local")
	a, r := local.join(t, "t1", `"party":["ada","bo"],"latencies":{"eu":20,"local":5}`)
	if r.status != 200 || a.Region != "eu" || a.Session != string(sessionEU) || string(a.JoinToken) != string(sessionEU)+"/ada" || !slices.Equal(a.Party, []string{"ada", "bo"}) {
		t.Fatalf("got %d %s, want a seat in eu", r.status, r.body)
	}
	if a.Server.Websocket != "" {
		t.Errorf("a WebSocket of a door that players do not know: %q", a.Server.Websocket)
	}
	if w := between.wishes[0]; w.Place != "arena" || w.Seats != 2 || w.New || w.Latencies["eu"] != 20 || w.Farthest != throng.DefaultMaxLatency {
		t.Errorf("it was wished for %+v", w)
	}
	if between.sent["eu"] != 2 {
		t.Errorf("%d seats are counted against eu, want 2", between.sent["eu"])
	}
	rec := between.joins.last()
	if rec.Session != sessionEU || rec.Code != "ok" || len(rec.Regions) != 3 || rec.Regions[0].Code != "ok" || rec.Regions[1].Code != "" || rec.Steps[1].Step != throng.StepSent {
		t.Errorf("recorded is %+v", rec)
	}

	between.order = []throng.RegionID{"local", "eu"}
	eu.cfg.URL = "https://eu.example/"
	if a, r := local.join(t, "t1", `"party":["ada","bo"]`); r.status != 200 || a.Region != "eu" {
		t.Errorf("repeated: got %d %s, want the same region", r.status, r.body)
	} else if a.Server.Websocket != "https://eu.example/v1/sessions/"+string(sessionEU)+"/socket" {
		t.Errorf("the WebSocket is at %q", a.Server.Websocket)
	}
	between.calls()

	eu.world.lookup = func(k throng.TicketKey, _ time.Duration) (throng.Placement, error) {
		return eu.world.place(t.Context(), throng.Ticket{Key: k, Party: []throng.PlayerID{"ada", "bo"}}, 0)
	}
	if r := local.call("GET", "/v1/matchmake/t1?caller=ada", local.token("bo", RolePlayer), ""); r.status != 200 || !jsonHas(t, r, "session", string(sessionEU)) {
		t.Errorf("by a member: got %d %s, want the seat", r.status, r.body)
	}
	if r := local.call("GET", "/v1/matchmake/t1?caller=ada", local.token("cy", RolePlayer), ""); r.status != 404 {
		t.Errorf("by somebody else: got %d %s, want 404", r.status, r.body)
	}
	if r := local.call("DELETE", "/v1/matchmake/t1", local.token("ada", RolePlayer), ""); r.status != 204 || !slices.Contains(eu.world.did(), "leave ada/t1 ada") {
		t.Errorf("given back: got %d %s; eu did %v", r.status, r.body, eu.world.did())
	}
	if got := between.calls(); !slices.Equal(got, []string{"lookup eu", "lookup eu", "leave eu"}) {
		t.Errorf("called were %v", got)
	}
}

func jsonHas(t *testing.T, r reply, key, want string) bool {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(r.body), &all); err != nil {
		t.Fatal(err)
	}
	return all[key] == want
}

func TestTicketGoesOn(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error // of eu
		budget int
		want   int // status
		region string
	}{
		{"eu fails", throng.Errorf(throng.Unavailable, "no answer"), 1, 200, "local"},
		{"eu fails too often", throng.RetryLater(throng.Unavailable, time.Second, "no answer"), 0, 503, ""},
		{"eu is full", throng.Errorf(throng.Full, "no seat"), 0, 200, "local"},
		{"eu has no server", throng.Errorf(throng.NoCapacity, "no server"), 0, 200, "local"},
		{"eu does not know the place", throng.Errorf(throng.NotFound, "no place"), 0, 200, "local"},
		{"eu says no", throng.Errorf(throng.Denied, "banned"), 1, 403, ""},
		{"eu does not understand", throng.AtField(throng.Invalid, "party", "nonsense"), 1, 400, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			local, _, between := twoRegions(t, "eu", "local")
			between.fails["eu"], between.budget = c.err, c.budget
			a, r := local.join(t, "t1", `"party":["ada"]`)
			if r.status != c.want || a.Region != c.region {
				t.Errorf("got %d %s, want %d and region %q", r.status, r.body, c.want, c.region)
			}
			if rec := between.joins.last(); rec.Regions[0].Code != throng.KindOf(c.err).String() || rec.Steps[1].Code != rec.Regions[0].Code {
				t.Errorf("recorded is %+v", rec)
			}
			// What failed is not where a repeated ticket goes first.
			delete(between.fails, "eu")
			between.calls()
			if a, _ := local.join(t, "t1", `"party":["ada"]`); c.region == "local" && a.Region != "local" {
				t.Errorf("repeated: got region %q, want the one that took it", a.Region)
			}
		})
	}
}

// The own region goes on to others, too.
func TestOwnRegionFails(t *testing.T) {
	local, _, between := twoRegions(t, "local", "eu")
	var kept throng.Ticket
	local.world.place = func(_ context.Context, tk throng.Ticket, _ time.Duration) (throng.Placement, error) {
		kept = tk
		return throng.Placement{}, throng.Errorf(throng.Unavailable, "the registry is away")
	}
	if a, r := local.join(t, "t1", `"party":["ada"]`); r.status != 200 || a.Region != "eu" {
		t.Errorf("got %d %s, want a seat in eu", r.status, r.body)
	}
	if rec := between.joins.last(); rec.Regions[0].Code != "unavailable" || rec.Regions[1].Code != "ok" || rec.Session != sessionEU {
		t.Errorf("recorded is %+v", rec)
	}
	if len(kept.Regions) != 3 || kept.Regions[0].Code != "" {
		t.Errorf("what the matchmaker keeps was changed after it got it: %+v", kept.Regions)
	}
	between.fails["eu"] = throng.Errorf(throng.Full, "no seat")
	if _, r := local.join(t, "t2", `"party":["ada"]`); r.problem(t).Code != "full" {
		t.Errorf("nobody has room: got %s, want the last word", r.body)
	}
	records := len(between.joins.list)
	between.order = []throng.RegionID{"local"}
	if _, r := local.join(t, "t3", `"party":["ada"]`); r.status != 503 || len(between.joins.list) != records {
		t.Errorf("only this region was tried: got %d %s and %d records by the door, want none: its matchmaker records", r.status, r.body, len(between.joins.list)-records)
	}
}

// What names a session goes where it is; what only this region knows stays.
func TestTicketsThatNameTheirRegion(t *testing.T) {
	local, _, between := twoRegions(t, "local", "eu")
	if a, r := local.join(t, "t1", `"party":["ada"],"mode":"session","session":"`+string(sessionEU)+`"`); r.status != 200 || a.Region != "eu" {
		t.Errorf("a session of eu: got %d %s", r.status, r.body)
	}
	between.fails["eu"] = throng.Errorf(throng.Unavailable, "no answer")
	if _, r := local.join(t, "t2", `"party":["ada"],"mode":"session","session":"`+string(sessionEU)+`"`); r.status != 503 {
		t.Errorf("a session of eu that is away: got %d %s, want 503", r.status, r.body)
	}
	between.order = []throng.RegionID{"eu", "local"}
	delete(between.fails, "eu")
	between.calls()
	if a, r := local.join(t, "t3", `"party":["ada"],"mode":"private"`); r.status != 200 || a.Region != "local" || between.calls() != nil {
		t.Errorf("a private session: got %d %s", r.status, r.body)
	}
	if a, r := local.join(t, "t4", `"party":["ada"],"mode":"new"`); r.status != 200 || a.Region != "eu" || !between.wishes[len(between.wishes)-1].New {
		t.Errorf("a new session: got %d %s", r.status, r.body)
	}
}

// One who waits in another region is told so, and asked for there.
func TestTicketWaitsElsewhere(t *testing.T) {
	local, eu, between := twoRegions(t, "eu")
	var lines []string
	var mu sync.Mutex
	waits := throng.Placement{Position: 7, RetryAfter: time.Second, Line: "in-eu"}
	eu.world.place = func(context.Context, throng.Ticket, time.Duration) (throng.Placement, error) { return waits, nil }
	eu.world.lookup = func(throng.TicketKey, time.Duration) (throng.Placement, error) {
		mu.Lock()
		defer mu.Unlock()
		if lines = append(lines, eu.world.line); len(lines) > 1 {
			p := seated("ada")
			p.Assignment.Session.ID = sessionEU
			return p, nil
		}
		return waits, nil
	}
	r := local.call("POST", "/v1/matchmake?wait=0", local.token("ada", RolePlayer), `{"ticket":"t1","place":"arena","party":["ada"]}`)
	if r.status != http.StatusAccepted || !jsonHas(t, r, "line", "in-eu") {
		t.Fatalf("got %d %s, want to wait", r.status, r.body)
	}
	r = local.call("GET", "/v1/matchmake/t1?wait=5&line=in-eu", local.token("ada", RolePlayer), "")
	if r.status != 200 || !slices.Equal(lines, []string{"in-eu", "in-eu"}) {
		t.Errorf("got %d %s with lines %v, want the seat", r.status, r.body, lines)
	}
	between.fails["eu"] = throng.Errorf(throng.Unavailable, "no answer")
	if r := local.call("GET", "/v1/matchmake/t1?wait=0", local.token("ada", RolePlayer), ""); r.status != 503 {
		t.Errorf("eu is away: got %d %s, want 503", r.status, r.body)
	}
	between.order = []throng.RegionID{"local"}
	if a, r := local.join(t, "t1", `"party":["ada"]`); a.Region != "local" {
		t.Errorf("sent again: got %d %s, want a seat here", r.status, r.body)
	}
}

// A ticket that waited in vain here may be sent again, and goes on then.
func TestTicketThatWaitedInVain(t *testing.T) {
	local, _, between := twoRegions(t, "local", "eu")
	none := throng.Errorf(throng.NoCapacity, "no game server")
	waits := true
	local.world.place = func(context.Context, throng.Ticket, time.Duration) (throng.Placement, error) {
		if waits {
			return throng.Placement{Position: 1, RetryAfter: time.Second}, nil
		}
		return throng.Placement{}, none
	}
	local.world.lookup = func(throng.TicketKey, time.Duration) (throng.Placement, error) { return throng.Placement{}, none }
	r := local.call("POST", "/v1/matchmake?wait=0", local.token("ada", RolePlayer), `{"ticket":"t1","place":"arena","party":["ada"]}`)
	if r.status != http.StatusAccepted {
		t.Fatalf("got %d %s, want to wait", r.status, r.body)
	}
	waits = false
	r = local.call("GET", "/v1/matchmake/t1?wait=0", local.token("ada", RolePlayer), "")
	if p := r.problem(t); p.Code != "no_capacity" || p.RetryAfter <= 0 {
		t.Errorf("got %s, want to be told to come again", r.body)
	}
	if a, r := local.join(t, "t1", `"party":["ada"]`); a.Region != "eu" {
		t.Errorf("sent again: got %d %s, want a seat in eu", r.status, r.body)
	}
	between.fails["eu"] = none
	if _, r := local.join(t, "t2", `"party":["ada"]`); r.problem(t).RetryAfter > 0 {
		t.Errorf("no region has room: got %s, want the last word", r.body)
	}
}

// A ticket does not wait where no game server comes, if another region has some.
func TestTicketDoesNotWaitInVain(t *testing.T) {
	local, _, between := twoRegions(t, "local", "eu")
	waiting := throng.Placement{Position: 1, RetryAfter: time.Second}
	local.world.place = func(context.Context, throng.Ticket, time.Duration) (throng.Placement, error) { return waiting, nil }
	local.world.lookup = func(throng.TicketKey, time.Duration) (throng.Placement, error) { return waiting, nil }
	ask := func(method, path, body string) reply {
		return local.call(method, path, local.token("ada", RolePlayer), body)
	}
	if r := ask("POST", "/v1/matchmake?wait=0", `{"ticket":"t1","place":"arena","party":["ada"]}`); r.status != http.StatusAccepted {
		t.Fatalf("got %d %s, want to wait", r.status, r.body)
	}
	between.set(func() { between.full = "local" })
	if r := ask("GET", "/v1/matchmake/t1?wait=0", ""); r.status != 503 || r.problem(t).Code != "no_capacity" {
		t.Errorf("got %d %s, want to be told to come again", r.status, r.body)
	}
	if a, r := local.join(t, "t2", `"party":["ada"]`); r.status != 200 || a.Region != "eu" {
		t.Errorf("asked at once: got %d %s, want a seat in eu", r.status, r.body)
	}
}

// A ticket that another door sent is asked for everywhere, not too often.
func TestTicketIsSought(t *testing.T) {
	local, eu, between := twoRegions(t, "local")
	k := throng.TicketKey{Caller: "ada", Ticket: "t9"}
	eu.world.claims[k] = throng.Claim{Members: []throng.Member{{Player: "ada"}}}
	eu.world.lookup = func(asked throng.TicketKey, _ time.Duration) (throng.Placement, error) {
		if asked != k {
			return throng.Placement{}, throng.Errorf(throng.NotFound, "no ticket %s", asked.Ticket)
		}
		p := seated("ada")
		p.Assignment.Session.ID, p.Assignment.Grant.Key = sessionEU, k
		return p, nil
	}
	for range 2 {
		if r := local.call("GET", "/v1/matchmake/t9?wait=0", local.token("ada", RolePlayer), ""); r.status != 200 || !jsonHas(t, r, "region", "eu") {
			t.Errorf("got %d %s, want the seat in eu", r.status, r.body)
		}
	}
	if n := len(between.calls()); n > 3 {
		t.Errorf("others were called %d times, want two of them, and the one that has it", n)
	}
	for range 30 {
		if r := local.call("GET", "/v1/matchmake/none?wait=0", local.token("ada", RolePlayer), ""); r.status != 404 {
			t.Fatalf("of a ticket that is nowhere: got %d %s, want 404", r.status, r.body)
		}
	}
	if n := len(between.calls()); n > 24 {
		t.Errorf("others were called %d times for what is nowhere", n)
	}
}

func TestSentTicketsAreChecked(t *testing.T) {
	_, eu, _ := twoRegions(t)
	token, err := eu.keys.RegionToken("local")
	if err != nil {
		t.Fatal(err)
	}
	const good = `{"ticket":"t1","place":"arena","party":["ada"]}`
	for _, c := range []struct {
		path, body string
		status     int
		field      string
	}{
		{"/v1/regions/eu/tickets?caller=ada", good, 200, ""},
		{"/v1/regions/us/tickets?caller=ada", good, 404, "id"},
		{"/v1/regions/eu/tickets?caller=a%20b", good, 400, "caller"},
		{"/v1/regions/eu/tickets?caller=bo", good, 400, "party"},
		{"/v1/regions/eu/tickets?caller=ada", `{"ticket":"t1","place":"arena","party_id":"pty_eu_0123456789abcdef"}`, 400, "party_id"},
		{"/v1/regions/eu/tickets?caller=ada", `{"ticket":"t1","place":"arena","party":["ada"],"mode":"private","code":"c"}`, 400, "mode"},
		{"/v1/regions/eu/tickets?caller=ada", `{"ticket":"t1","place":"nowhere","party":["ada"]}`, 404, "place"},
		{"/v1/regions/eu/tickets?caller=ada", `{"ticket":"t1","place":"arena","party":["ada"],"of_a_newer_version":1}`, 200, ""},
		{"/v1/regions/eu/tickets?caller=ada", `{"ticket":"t1","place":"arena","party":["ada","b","c","d","e","f","g","h","i"]}`, 409, "party"},
	} {
		r := eu.call("POST", c.path+"&wait=0", token, c.body)
		if r.status != c.status || c.status != 200 && r.problem(t).Field != c.field {
			t.Errorf("%s %s: got %d %s, want %d at %q", c.path, c.body, r.status, r.body, c.status, c.field)
		}
	}
	if r := eu.call("POST", "/v1/regions/eu/tickets", token, good); r.status != 400 {
		t.Errorf("without a caller: got %d %s, want 400", r.status, r.body)
	}
	for _, role := range []Role{RolePlayer, RoleOperator} {
		if r := eu.call("POST", "/v1/regions/eu/tickets?caller=ada", eu.token("ada", role), good); r.status != 403 {
			t.Errorf("by %s: got %d %s, want 403", role, r.status, r.body)
		}
	}
}
