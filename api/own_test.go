package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

// fakeOwn keeps what players own; it writes down who asked for what.
type fakeOwn struct {
	*world
	audit chan struct{} // an audit waits for it
}

func (f fakeOwn) Checkout(_ context.Context, c throng.ProfileClaim) (throng.Profile, error) {
	f.say(fmt.Sprintf("checkout %s/%s %d", c.Key.Game, c.Key.Player, c.Fence))
	return throng.Profile{Document: []byte(`{"a":1}`), Revision: 3}, nil
}

func (f fakeOwn) Save(_ context.Context, c throng.ProfileClaim, revision throng.Revision, doc []byte) error {
	if err := throng.CheckDocument("document", doc); err != nil {
		return err
	}
	f.say(fmt.Sprintf("save %s/%s %d %d %s", c.Key.Game, c.Key.Player, c.Fence, revision, doc))
	return nil
}

func (f fakeOwn) Return(_ context.Context, c throng.ProfileClaim, revision throng.Revision, doc []byte) error {
	f.say(fmt.Sprintf("return %s/%s %d %d %s", c.Key.Game, c.Key.Player, c.Fence, revision, doc))
	return nil
}

func (f fakeOwn) Get(_ context.Context, k throng.ProfileKey, revision throng.Revision) (throng.Profile, error) {
	f.say(fmt.Sprintf("profile %s/%s %d", k.Game, k.Player, revision))
	return throng.Profile{}, nil
}

func (f fakeOwn) Saves(_ context.Context, k throng.ProfileKey) ([]throng.ProfileSave, error) {
	f.say(fmt.Sprintf("saves %s/%s", k.Game, k.Player))
	return nil, nil
}

func (f fakeOwn) Restore(_ context.Context, k throng.ProfileKey, revision throng.Revision) (throng.Revision, error) {
	f.say(fmt.Sprintf("restore %s/%s %d", k.Game, k.Player, revision))
	return revision + 1, nil
}

func (f fakeOwn) Post(_ context.Context, o throng.TransferOrder) (throng.Receipt, error) {
	f.say(fmt.Sprintf("post %s %s for %q", o.Game, o.Transfer.ID, o.Session))
	return throng.Receipt{ID: o.Transfer.ID}, nil
}

func (f fakeOwn) Inventory(_ context.Context, g throng.GameID, p throng.PlayerID) (throng.Holding, error) {
	f.say(fmt.Sprintf("inventory %s/%s", g, p))
	return throng.Holding{Player: p}, nil
}

func (f fakeOwn) Entries(_ context.Context, g throng.GameID, p throng.PlayerID, _ time.Time, limit int) ([]throng.LedgerEntry, error) {
	f.say(fmt.Sprintf("transfers %s/%s %d", g, p, limit))
	return nil, nil
}

func (f fakeOwn) Audit(context.Context) (throng.AuditReport, error) {
	if f.audited != nil {
		f.audited()
	}
	<-f.audit
	return throng.AuditReport{}, nil
}

// Bound says that a server speaks for the session that it names.
func (f fakeOwn) Bound(_ context.Context, h throng.Heartbeat) (throng.Session, error) {
	return throng.Session{ID: h.Session}, nil
}

// Sits seats everybody under epochs below 100.
func (f fakeOwn) Sits(_ context.Context, _ throng.SessionID, members []throng.Member) error {
	if members[0].Epoch >= 100 {
		return throng.AtField(throng.Denied, "epoch", "%s does not sit there under it", members[0].Player)
	}
	return nil
}

// openOwn is a door over both: session A runs arena, which is cleo's, and session B
// annex, which shares arena's game.
func openOwn(t *testing.T, change func(*Config)) (*door, chan struct{}) {
	t.Helper()
	own := fakeOwn{audit: make(chan struct{})}
	d := openDoor(t, func(c *Config) {
		own.world = c.Places.(fakePlaces).world
		c.Profiles, c.Saves, c.Seats, c.Ledger, c.Auditor = own, own, own, own, own
		if change != nil {
			change(c)
		}
	})
	d.world.owner = "cleo"
	d.world.sessions = []throng.Session{{ID: sessionA, Place: "arena", Version: 1}, {ID: sessionB, Place: "annex", Version: 4}}
	d.world.releases = append(d.world.releases, throng.Release{Place: "annex", Version: 4, Game: "arena"}, throng.Release{Place: "zoo", Version: 1})
	return d, own.audit
}

// TestWhoOwnsMayCall is every call about what players own, by everybody who could
// try: what is asked of the parts behind, or the refusal.
func TestWhoOwnsMayCall(t *testing.T) {
	d, _ := openOwn(t, nil)
	mine, other, idle := d.serverToken(serverA, sessionA), d.serverToken(serverB, sessionB), d.serverToken(serverA, "")
	ada, bo := d.token("ada", RolePlayer), d.token("bo", RolePlayer)
	cleo, eve, op := d.token("cleo", RoleCreator), d.token("eve", RoleCreator), d.token("op", RoleOperator)
	key, _, err := d.api.Create(t.Context(), throng.APIKey{Owner: "cleo", Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	beat := func(s throng.ServerID) string {
		return fmt.Sprintf(`{"server":%q,"incarnation":"i1","address":"192.0.2.1:7000","revision":3}`, s)
	}
	checkout := fmt.Sprintf(`{"epoch":7,"heartbeat":%s}`, beat(serverA))
	save := `{"epoch":7,"revision":4,"document":{"a":2}}`
	a, b := "/v1/sessions/"+string(sessionA), "/v1/sessions/"+string(sessionB)
	reward := func(more string) string {
		return `{"id":"r1","kind":"reward","first":{"player":"ada","epoch":7},"gives":{"gold":5}` + more + `}`
	}
	for _, c := range []struct {
		name, call, token, body string
		want                    string // what was asked; or the code of the refusal and its field
	}{
		{"checkout", "POST " + a + "/profiles/ada/checkout", mine, checkout, "checkout arena/ada 7"},
		{"checkout in another session", "POST " + b + "/profiles/ada/checkout", mine, checkout, "denied"},
		{"checkout by an idle server", "POST " + a + "/profiles/ada/checkout", idle, checkout, "denied"},
		{"checkout as another server", "POST " + a + "/profiles/ada/checkout", mine, strings.Replace(checkout, string(serverA), string(serverB), 1), "denied heartbeat.server"},
		{"checkout of who sits elsewhere", "POST " + a + "/profiles/bo/checkout", mine, strings.Replace(checkout, "7", "100", 1), "denied epoch"},
		{"checkout without an epoch", "POST " + a + "/profiles/ada/checkout", mine, strings.Replace(checkout, "7", "0", 1), "invalid epoch"},
		{"checkout by a player", "POST " + a + "/profiles/ada/checkout", ada, checkout, "denied"},
		{"checkout by an operator", "POST " + a + "/profiles/ada/checkout", op, checkout, "denied"},
		{"save", "PUT " + a + "/profiles/ada", mine, save, `save arena/ada 7 4 {"a":2}`},
		{"save in a place that shares the game", "PUT " + b + "/profiles/ada", other, save, `save arena/ada 7 4 {"a":2}`},
		{"save in another session", "PUT " + a + "/profiles/ada", other, save, "denied"},
		{"save of nobody", "PUT " + a + "/profiles/a%20b", mine, save, "invalid player"},
		{"save nothing", "PUT " + a + "/profiles/ada", mine, `{"epoch":7,"revision":4}`, "invalid document"},
		{"save a list", "PUT " + a + "/profiles/ada", mine, `{"epoch":7,"revision":4,"document":[1]}`, "invalid document"},
		{"save too much", "PUT " + a + "/profiles/ada", mine, `{"epoch":7,"revision":4,"document":{"a":"` + strings.Repeat("x", throng.ProfileBytes) + `"}}`, "invalid document"},
		{"save half", "PUT " + a + "/profiles/ada", mine, `{"epoch":7,"revi`, "invalid"},
		{"return", "POST " + a + "/profiles/ada/return", mine, `{"epoch":7}`, "return arena/ada 7 0 "},
		{"return in another session", "POST " + b + "/profiles/ada/return", mine, `{"epoch":7}`, "denied"},
		{"what is owned in a session", "GET " + a + "/inventories/ada", mine, "", "inventory arena/ada"},
		{"what is owned in another", "GET " + b + "/inventories/ada", mine, "", "denied"},

		{"post", "POST /v1/transfers", mine, reward(""), `post arena r1 for "` + string(sessionA) + `"`},
		{"post in a place that shares the game", "POST /v1/transfers", other, reward(""), `post arena r1 for "` + string(sessionB) + `"`},
		{"post in a named place", "POST /v1/transfers", mine, reward(`,"place":"zoo"`), "denied place"},
		{"post by an idle server", "POST /v1/transfers", idle, reward(""), "denied place"},
		{"post by the owner", "POST /v1/transfers", cleo, reward(`,"place":"arena"`), `post arena r1 for ""`},
		{"post by his key", "POST /v1/transfers", key, reward(`,"place":"arena"`), `post arena r1 for ""`},
		{"post by an operator", "POST /v1/transfers", op, reward(`,"place":"arena"`), `post arena r1 for ""`},
		{"post by another creator", "POST /v1/transfers", eve, reward(`,"place":"arena"`), "not_found id"},
		{"post by a player", "POST /v1/transfers", ada, reward(`,"place":"arena"`), "denied"},
		{"post nowhere", "POST /v1/transfers", cleo, reward(""), "invalid place"},
		{"post too much at once", "POST /v1/transfers", mine, strings.Replace(reward(""), `"gold":5`, many(17), 1), "invalid gives"},
		{"post without an ID", "POST /v1/transfers", mine, strings.Replace(reward(""), "r1", "", 1), "invalid id"},
		{"post for nobody", "POST /v1/transfers", mine, strings.Replace(reward(""), "ada", "", 1), "invalid first.player"},

		{"his inventory", "GET /v1/places/arena/players/ada/inventory", ada, "", "inventory arena/ada"},
		{"another's inventory", "GET /v1/places/arena/players/ada/inventory", bo, "", "not_found player"},
		{"inventory, by the owner", "GET /v1/places/arena/players/ada/inventory", cleo, "", "inventory arena/ada"},
		{"inventory, by another creator", "GET /v1/places/arena/players/ada/inventory", eve, "", "not_found id"},
		{"his inventory in a shared game", "GET /v1/places/annex/players/ada/inventory", ada, "", "inventory arena/ada"},
		{"his inventory nowhere", "GET /v1/places/nowhere/players/ada/inventory", ada, "", "not_found"},
		{"his transfers", "GET /v1/places/arena/players/ada/transfers?limit=5", ada, "", "transfers arena/ada 5"},
		{"too many transfers", "GET /v1/places/arena/players/ada/transfers?limit=100000", ada, "", "invalid limit"},
		{"another's transfers", "GET /v1/places/arena/players/ada/transfers", bo, "", "not_found player"},
		{"his profile", "GET /v1/places/arena/players/ada/profile", ada, "", "profile arena/ada 0"},
		{"another's profile", "GET /v1/places/arena/players/ada/profile", bo, "", "not_found player"},
		{"profile, by another creator", "GET /v1/places/arena/players/ada/profile", eve, "", "not_found id"},
		{"profile of a bad revision", "GET /v1/places/arena/players/ada/profile?revision=-1", ada, "", "invalid revision"},
		{"saves", "GET /v1/places/arena/players/ada/saves", cleo, "", "saves arena/ada"},
		{"his own saves", "GET /v1/places/arena/players/ada/saves", ada, "", "denied"},
		{"saves, by another creator", "GET /v1/places/arena/players/ada/saves", eve, "", "not_found id"},
		{"restore", "POST /v1/places/arena/players/ada/restore", cleo, `{"revision":2}`, "restore arena/ada 2"},
		{"restore by a key", "POST /v1/places/arena/players/ada/restore", key, `{"revision":2}`, "denied"},
		{"restore by another creator", "POST /v1/places/arena/players/ada/restore", eve, `{"revision":2}`, "not_found id"},
		{"restore himself", "POST /v1/places/arena/players/ada/restore", ada, `{"revision":2}`, "denied"},
		{"restore without a body", "POST /v1/places/arena/players/ada/restore", cleo, "", "invalid"},
	} {
		before := len(d.world.did())
		method, path, _ := strings.Cut(c.call, " ")
		r := d.call(method, path, c.token, c.body)
		got := strings.Join(d.world.did()[before:], "; ")
		if r.status >= http.StatusBadRequest {
			p := r.problem(t)
			got = strings.TrimSpace(p.Code + " " + p.Field)
			if asked := d.world.did()[before:]; len(asked) > 0 {
				t.Errorf("%s: refused, and asked %v", c.name, asked)
			}
		}
		if kind, _, _ := strings.Cut(got, " "); got != c.want && kind != c.want {
			t.Errorf("%s: got %q, want %q (%d %s)", c.name, got, c.want, r.status, r.body)
		}
	}
}

// many is so many items.
func many(n int) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(`"item%d":1`, i)
	}
	return strings.Join(items, ",")
}

// TestOwnLimits: a session asks so often, and no other pays for it. Returning is
// not counted.
func TestOwnLimits(t *testing.T) {
	d, _ := openOwn(t, func(c *Config) { c.Limits.Owned = Rate{0.001, 3} })
	mine, other := d.serverToken(serverA, sessionA), d.serverToken(serverB, sessionB)
	save := func(s throng.SessionID, token, path string) reply {
		return d.call("PUT", "/v1/sessions/"+string(s)+"/profiles/"+path, token, `{"epoch":7,"revision":4,"document":{}}`)
	}
	for n := range 3 {
		if r := save(sessionA, mine, "ada"); r.status != 204 {
			t.Errorf("save %d: got %d %s", n, r.status, r.body)
		}
	}
	if r := save(sessionA, mine, "ada"); r.status != 429 || r.problem(t).Code != "rate_limited" || r.header.Get("Retry-After") == "" {
		t.Errorf("too often: got %d %s, want 429", r.status, r.body)
	}
	if r := d.call("POST", "/v1/transfers", mine, `{"id":"r1","kind":"reward","first":{"player":"ada","epoch":7},"gives":{"gold":5}}`); r.status != 429 {
		t.Errorf("a transfer too often: got %d %s, want 429", r.status, r.body)
	}
	if r := d.call("POST", "/v1/sessions/"+string(sessionA)+"/profiles/ada/return", mine, `{"epoch":7}`); r.status != 204 {
		t.Errorf("return: got %d %s", r.status, r.body)
	}
	if r := save(sessionB, other, "ada"); r.status != 204 {
		t.Errorf("another session: got %d %s", r.status, r.body)
	}
}

// TestSharedGameIsItsOwners: who owns the sharing place but not the game reads
// nothing of it there.
func TestSharedGameIsItsOwners(t *testing.T) {
	d, _ := openOwn(t, func(c *Config) { c.Owners = annexOwners{fakeOwners{c.Places.(fakePlaces).world}} })
	eve, cleo := d.token("eve", RoleCreator), d.token("cleo", RoleCreator)
	if r := d.call("GET", "/v1/places/annex/players/ada/inventory", eve, ""); r.status != 404 {
		t.Errorf("by the sharing place's owner: got %d %s, want 404", r.status, r.body)
	}
	if r := d.call("GET", "/v1/places/annex/players/ada/inventory", cleo, ""); r.status != 200 {
		t.Errorf("by who owns both: got %d %s", r.status, r.body)
	}
}

// annexOwners lets both own annex.
type annexOwners struct{ fakeOwners }

func (a annexOwners) Owners(ctx context.Context, by throng.Editor, id throng.PlaceID) ([]throng.PlayerID, error) {
	if id == "annex" {
		return []throng.PlayerID{"cleo", "eve"}, nil
	}
	return a.fakeOwners.Owners(ctx, by, id)
}

// TestOneAuditAtOnce: it reads all there is.
func TestOneAuditAtOnce(t *testing.T) {
	d, audit := openOwn(t, nil)
	began := make(chan struct{}, 1)
	d.world.audited = func() { began <- struct{}{} }
	op := d.token("op", RoleOperator)
	first := make(chan reply, 1)
	go func() { first <- d.call("GET", "/v1/audit", op, "") }()
	<-began
	if r := d.call("GET", "/v1/audit", op, ""); r.status != 503 || r.header.Get("Retry-After") == "" {
		t.Errorf("a second one: got %d %s, want 503", r.status, r.body)
	}
	close(audit)
	if r := <-first; r.status != 200 {
		t.Errorf("the first: got %d %s", r.status, r.body)
	}
}

// TestNothingKept: without a store it is said what is missing.
func TestNothingKept(t *testing.T) {
	d := openDoor(t, nil)
	for call, token := range map[string]string{
		"PUT /v1/sessions/" + string(sessionA) + "/profiles/ada": d.serverToken(serverA, sessionA),
		"GET /v1/places/arena/players/ada/inventory":             d.token("ada", RolePlayer),
		"GET /v1/audit": d.token("op", RoleOperator),
	} {
		method, path, _ := strings.Cut(call, " ")
		body := ""
		if method == http.MethodPut {
			body = `{"epoch":7}`
		}
		if r := d.call(method, path, token, body); r.status < 400 || !strings.Contains(r.body, "--dynamo") {
			t.Errorf("%s: got %d %s", call, r.status, r.body)
		}
	}
}
