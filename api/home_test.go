package api

import (
	"context"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
)

// fakeHome is a home that does what it is told.
type fakeHome struct {
	fakeOwn

	state throng.HomeState
	away  error // of what is written here
}

func (h *fakeHome) Here() Owned {
	if h.away != nil {
		return awayOwned{h.fakeOwn, h.away}
	}
	return h.fakeOwn
}

// awayOwned is where nothing is written.
type awayOwned struct {
	fakeOwn

	err error
}

func (a awayOwned) Post(context.Context, throng.TransferOrder) (throng.Receipt, error) {
	return throng.Receipt{}, a.err
}

func (h *fakeHome) State(context.Context) (throng.HomeState, error) { return h.state, nil }

func (h *fakeHome) Promote(_ context.Context, force bool) error { //nolint:revive // as the operator says
	if !force {
		return throng.Errorf(throng.Unavailable, "its last writes are not here")
	}
	h.state.Home, h.state.Writes = throng.Home{Region: "local", Term: 513}, true
	return nil
}

func (h *fakeHome) Yield(_ context.Context, said throng.Home) error {
	h.state.Home = said
	return nil
}

func (h *fakeHome) Losses(context.Context) ([]throng.HomeLoss, error) {
	return []throng.HomeLoss{{Game: "arena", Entry: throng.LedgerEntry{First: "ada", ID: "t1", Kind: "reward", Changes: []throng.Amount{{Item: "gold", Count: 5}}}}}, nil
}

// TestOwnedFromAfar: another region's door does with what players own what it may, and
// nobody else does.
func TestOwnedFromAfar(t *testing.T) {
	h := &fakeHome{}
	d := openDoor(t, func(c *Config) { c.Home = h })
	h.world = d.world
	region, err := d.keys.RegionToken("eu")
	if err != nil {
		t.Fatal(err)
	}
	const path = "/v1/regions/local/owned"
	session := string(sessionEU)
	claim := `"game":"arena","player":"ada","session":"` + session + `","epoch":7`
	for body, want := range map[string]string{
		`{"call":"checkout",` + claim + `}`:                             "checkout arena/ada 7",
		`{"call":"save",` + claim + `,"revision":4,"document":{"a":2}}`: `save arena/ada 7 4 {"a":2}`,
		`{"call":"return",` + claim + `}`:                               "return arena/ada 7 0 ",
		`{"call":"get","game":"arena","player":"ada"}`:                  "profile arena/ada 0",
		`{"call":"saves","game":"arena","player":"ada"}`:                "saves arena/ada",
		`{"call":"restore","game":"arena","player":"ada","revision":2}`: "restore arena/ada 2",
		`{"call":"inventory","game":"arena","player":"ada"}`:            "inventory arena/ada",
		`{"call":"entries","game":"arena","player":"ada","limit":9}`:    "transfers arena/ada 9",
		`{"call":"post","game":"arena","session":"` + session + `","transfer":{"id":"t1","kind":"reward","first":{"player":"ada","epoch":7},"gives":{"gold":1}}}`: `post arena t1 for "` + session + `"`,
	} {
		if r := d.call("POST", path, region, body); r.status != 200 || !strings.Contains(strings.Join(d.world.did(), "\n"), want) {
			t.Errorf("%s: got %d %s, want it to do %q", body, r.status, r.body, want)
		}
	}
	for body, want := range map[string]string{
		`{"call":"checkout",` + claim + `}`: `"profile":{"document":{"a":1},"revision":3}`,
		`{"call":"post","game":"arena","transfer":{"id":"t2","kind":"reward","first":{"player":"ada"},"gives":{"gold":1}}}`: `"receipt":{"holdings":[],"id":"t2"}`,
		`{"call":"restore","game":"arena","player":"ada","revision":2}`:                                                     `"revision":3`,
	} {
		if r := d.call("POST", path, region, body); r.status != 200 || !strings.Contains(r.body, want) {
			t.Errorf("%s: got %d %s, want %s in it", body, r.status, r.body, want)
		}
	}
	for body, field := range map[string]string{
		`{"call":"take","game":"arena","player":"ada"}`:                            "call",
		`{"call":"get","game":"","player":"ada"}`:                                  "game",
		`{"call":"get","game":"arena","player":""}`:                                "player",
		`{"call":"save","game":"arena","player":"ada","session":"x","epoch":1}`:    "session",
		`{"call":"entries","game":"arena","player":"ada","limit":100000}`:          "limit",
		`{"call":"save",` + claim + `,"revision":4,"document":[1]}`:                "document",
		`{"call":"post","game":"arena","session":"x","transfer":{"id":"t1"}}`:      "session",
		`{"call":"post","game":"arena","transfer":{"id":"","kind":"","first":{}}}`: "id",
	} {
		if r := d.call("POST", path, region, body); r.status != 400 || r.problem(t).Field != field {
			t.Errorf("%s: got %d %s, want 400 at %s", body, r.status, r.body, field)
		}
	}
	for _, role := range []Role{RolePlayer, RoleOperator, RoleCreator} {
		if r := d.call("POST", path, d.token("ada", role), `{"call":"get","game":"arena","player":"ada"}`); r.status != 403 {
			t.Errorf("by %s: got %d %s, want 403", role, r.status, r.body)
		}
	}
	h.away = throng.Errorf(throng.Unavailable, "not written here")
	if r := d.call("POST", path, region, `{"call":"post","game":"arena","transfer":{"id":"t1","kind":"reward","first":{"player":"ada"},"gives":{"gold":1}}}`); r.status != 503 {
		t.Errorf("where it is not the home: got %d %s, want 503", r.status, r.body)
	}
	d.cfg.Home = nil
	if r := d.call("POST", path, region, `{"call":"get","game":"arena","player":"ada"}`); r.problem(t).Code != "unsupported" {
		t.Errorf("without a home: got %d %s, want unsupported", r.status, r.body)
	}
}

// TestHomeForOperators: they see and change which region is the home; a region tells only
// of itself.
func TestHomeForOperators(t *testing.T) {
	h := &fakeHome{state: throng.HomeState{
		Home: throng.Home{Region: "eu", Term: throng.FirstTerm}, Own: "local", Regions: []throng.HomePeer{{Region: "eu", Heard: true, Behind: -1}, {Region: "us"}},
	}}
	d := openDoor(t, func(c *Config) { c.Home = h })
	op := d.token("op", RoleOperator)
	const want = `{"losses":0,"own":"local","region":"eu","regions":[{"heard":true,"region":"eu"},{"behind_ms":0,"heard":false,"region":"us"}],"term":256,"writes":false}`
	if r := d.call("GET", "/v1/home", op, ""); r.status != 200 || strings.TrimSpace(r.body) != want {
		t.Errorf("got %d %s, want %s", r.status, r.body, want)
	}
	if r := d.call("POST", "/v1/home", op, `{}`); r.status != 503 {
		t.Errorf("promoted: got %d %s, want 503", r.status, r.body)
	}
	if r := d.call("POST", "/v1/home", op, `{"force":true}`); r.status != 200 || !strings.Contains(r.body, `"writes":true`) {
		t.Errorf("promoted by force: got %d %s", r.status, r.body)
	}
	if r := d.call("GET", "/v1/home/losses", op, ""); r.status != 200 || !strings.Contains(r.body, `"changes":{"gold":5}`) {
		t.Errorf("losses: got %d %s", r.status, r.body)
	}
	for _, call := range []string{"GET /v1/home", "POST /v1/home", "GET /v1/home/losses"} {
		method, path, _ := strings.Cut(call, " ")
		if r := d.call(method, path, d.token("ada", RolePlayer), `{}`); r.status != 403 {
			t.Errorf("%s by a player: got %d %s, want 403", call, r.status, r.body)
		}
	}
	region, err := d.keys.RegionToken("us")
	if err != nil {
		t.Fatal(err)
	}
	for body, status := range map[string]int{`{"region":"us","term":1027}`: 204, `{"region":"eu","term":1283}`: 403, `{"region":"us","term":0}`: 400} {
		if r := d.call("PUT", "/v1/regions/local/home", region, body); r.status != status {
			t.Errorf("%s: got %d %s, want %d", body, r.status, r.body, status)
		}
	}
	if h.state.Region != "us" || h.state.Term != 1027 {
		t.Errorf("it was told that %v is the home", h.state.Home)
	}
}
