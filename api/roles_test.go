package api

import (
	"context"
	"crypto/tls"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

// allowed says who may call: p player, c creator, k a creator's API key, o
// operator, s game server, n node, r another region; * everybody, also without
// a token. It is written down a second time on purpose: routes is what is
// tested.
var allowed = map[string]string{
	"POST /v1/dev/token":                       "*",
	"POST /v1/matchmake":                       "pco",
	"GET /v1/matchmake/{ticket}":               "pco",
	"DELETE /v1/matchmake/{ticket}":            "pco",
	"GET /v1/joins/{ticket}":                   "pco",
	"POST /v1/parties":                         "pco",
	"GET /v1/parties/{id}":                     "pco",
	"POST /v1/parties/{id}/join":               "pco",
	"POST /v1/parties/{id}/leave":              "pco",
	"POST /v1/parties/{id}/invite":             "pco",
	"DELETE /v1/parties/{id}/members/{player}": "pco",
	"GET /v1/players/{id}/friends":             "pco",
	"PUT /v1/players/{id}/friends":             "pco",
	"GET /v1/players/{id}/privacy":             "pco",
	"PUT /v1/players/{id}/privacy":             "pco",
	"GET /v1/players/{id}/presence":            "pco",
	"GET /v1/places":                           "pckor",
	"GET /v1/places/{id}/sessions":             "pckor",
	"GET /v1/regions":                          "pcor",
	"PUT /v1/places/{id}/versions":             "cko",
	"GET /v1/places/{id}/logs":                 "cko",
	"GET /v1/places/{id}/numbers":              "cko",
	"GET /v1/bans":                             "o",
	"GET /v1/bans/{player}":                    "o",
	"DELETE /v1/bans/{player}":                 "o",
	"GET /v1/places/{id}/release":              "cko",
	"POST /v1/places/{id}/release":             "cko",
	"GET /v1/places/{id}/owners":               "cko",
	"PUT /v1/places/{id}/owners/{player}":      "co",
	"DELETE /v1/places/{id}/owners/{player}":   "co",
	"GET /v1/keys":                             "co",
	"POST /v1/keys":                            "co",
	"DELETE /v1/keys/{id}":                     "co",
	"GET /v1/sessions":                         "o",
	"GET /v1/sessions/{id}":                    "o",
	"POST /v1/sessions/{id}/drain":             "os",
	"GET /v1/servers":                          "o",
	"GET /v1/servers/{id}":                     "o",
	"POST /v1/servers/{id}/drain":              "o",
	"GET /v1/fleets":                           "o",
	"POST /v1/fleets/{cluster}/drain":          "o",
	"DELETE /v1/fleets/{cluster}/drain":        "o",
	"POST /v1/regions/{id}/drain":              "o",
	"DELETE /v1/regions/{id}/drain":            "o",
	"POST /v1/sessions/{id}/end":               "os",
	"PUT /v1/sessions/{id}/heartbeat":          "s",
	"PUT /v1/sessions/{id}/report":             "s",
	"POST /v1/sessions/{id}/confirm":           "s",
	"POST /v1/sessions/{id}/logs":              "s",
	"POST /v1/sessions/{id}/handoff":           "s",
	"GET /v1/sessions/{id}/origins/{ticket}":   "s",
	"GET /v1/regions/{id}/summary":             "r",
	"POST /v1/regions/{id}/tickets":            "r",
	"POST /v1/replicas/tell":                   "m",

	"POST /v1/sessions/{id}/profiles/{player}/checkout": "s",
	"PUT /v1/sessions/{id}/profiles/{player}":           "s",
	"POST /v1/sessions/{id}/profiles/{player}/return":   "s",
	"GET /v1/sessions/{id}/inventories/{player}":        "s",
	"POST /v1/transfers":                                "ckos",
	"GET /v1/places/{id}/players/{player}/inventory":    "pcko",
	"GET /v1/places/{id}/players/{player}/transfers":    "pcko",
	"GET /v1/places/{id}/players/{player}/profile":      "pcko",
	"GET /v1/places/{id}/players/{player}/saves":        "cko",
	"POST /v1/places/{id}/players/{player}/restore":     "co",
	"GET /v1/audit":                            "o",
	"GET /v1/home":                             "o",
	"POST /v1/home":                            "o",
	"GET /v1/home/losses":                      "o",
	"PUT /v1/regions/{id}/home":                "r",
	"POST /v1/regions/{id}/owned":              "r",
	"GET /v1/regions/{id}/tickets/{ticket}":    "r",
	"DELETE /v1/regions/{id}/tickets/{ticket}": "r",

	"POST /v1/replicas/ask":        "m",
	"GET /v1/packages/{hash}":      "snor",
	"POST /v1/servers/claim":       "", // a pod's token of a cluster is asked for: see TestClaim
	"GET /v1/servers/{id}/control": "s",
	"GET /v1/nodes/{id}/control":   "n",
	"GET /v1/sessions/{id}/socket": "*", // a join token is asked for inside
	"GET /openapi.yaml":            "*",
	"GET /healthz":                 "*",
	"GET /readyz":                  "*",
	"GET /metrics":                 "*",
}

// callers is one of each who can call, with what he brings.
func (d *door) callers() map[string]string {
	d.t.Helper()
	made := func(token string, err error) string {
		d.t.Helper()
		if err != nil {
			d.t.Fatal(err)
		}
		return token
	}
	key, _, err := d.api.Create(d.t.Context(), throng.APIKey{Owner: "cleo", Name: "test"})
	return map[string]string{
		"p": d.token("ada", RolePlayer), "c": d.token("cleo", RoleCreator), "o": d.token("op", RoleOperator),
		"s": d.serverToken(serverA, sessionA), "k": made(key, err),
		"n": made(d.keys.NodeToken(nodeA)), "r": made(d.keys.RegionToken("eu")),
		"m": made(d.keys.ReplicaToken(throng.MakeReplicaID("local", throng.Entropy{1}))),
	}
}

// TestRolesOfRoutes walks all routes with all roles.
func TestRolesOfRoutes(t *testing.T) {
	d := openDoor(t, func(c *Config) { c.Limits.Failures = Rate{1000, 1000} })
	callers := d.callers()
	for pattern := range loadDocument(t).Paths.Map() {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(allowed)), func(k string) bool { return strings.HasSuffix(k, " "+pattern) }) {
			t.Errorf("nothing is said of %s", pattern)
		}
	}
	for pattern := range routes() {
		who, ok := allowed[pattern]
		if !ok {
			t.Errorf("nothing is said of %s", pattern)
			continue
		}
		method, path, _ := strings.Cut(pattern, " ")
		path = strings.NewReplacer("{id}", "x", "{ticket}", "t", "{hash}", "h", "{player}", "p", "{cluster}", "c").Replace(path)
		for _, bad := range []string{"", "a.b.c", "thk_0123456789abcdef_" + strings.Repeat("a", 32)} {
			if r := d.call(method, path, bad, ""); (r.status == http.StatusUnauthorized) == (who == "*") {
				t.Errorf("%s by nobody (%.5q): got %d", pattern, bad, r.status)
			}
		}
		for role, token := range callers {
			r := d.call(method, path, token, "")
			denied := r.status == http.StatusForbidden && strings.Contains(r.body, "is not good for this call")
			if pattern == "POST /v1/servers/claim" {
				if r.status != http.StatusUnauthorized {
					t.Errorf("%s by %s: got %d %s, want 401", pattern, role, r.status, r.body)
				}
				continue
			}
			if want := who != "*" && !strings.Contains(who, role); denied != want {
				t.Errorf("%s by %s: got %d %s, want denied %v", pattern, role, r.status, r.body, want)
			}
		}
	}
	for pattern := range allowed {
		if _, ok := routes()[pattern]; !ok {
			t.Errorf("%s is no route", pattern)
		}
	}
}

// TestMachinesNeedACertificate walks all routes again, behind a door that asks
// machines for a certificate: no machine is let in without one.
func TestMachinesNeedACertificate(t *testing.T) {
	d := openDoor(t, func(c *Config) { c.MachineCertificates = true })
	callers := d.callers()
	for pattern, who := range allowed {
		method, path, _ := strings.Cut(pattern, " ")
		path = strings.NewReplacer("{id}", "x", "{ticket}", "t", "{hash}", "h", "{player}", "p", "{cluster}", "c").Replace(path)
		for _, role := range []string{"s", "n", "r", "m"} {
			if !strings.Contains(who, role) {
				continue
			}
			if r := d.call(method, path, callers[role], ""); r.status != http.StatusForbidden || !strings.Contains(r.body, "certificate") {
				t.Errorf("%s by %s: got %d %s, want 403", pattern, role, r.status, r.body)
			}
		}
	}
	if r := d.call("GET", "/v1/regions", callers["p"], ""); r.status != 200 {
		t.Errorf("a player without a certificate: got %d, want 200", r.status)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/regions", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+callers["r"])
	r.TLS = &tls.ConnectionState{}
	if _, err := d.authenticate(r, routes()["GET /v1/regions"]); throng.KindOf(err) != throng.Denied {
		t.Errorf("TLS without a certificate: got %v, want denied", err)
	}
}

// emptyLogs have nothing to read.
type emptyLogs struct{}

func (emptyLogs) Receive(throng.PlaceID, throng.Version, throng.LogBatch) {}

func (emptyLogs) Read(context.Context, throng.PlaceID, throng.LogQuery) throng.LogPage {
	return throng.LogPage{}
}

func TestForeignPlaces(t *testing.T) {
	d := openDoor(t, func(c *Config) { c.Logs = emptyLogs{} })
	d.world.owner = "cleo"
	cleo, eve, op := d.token("cleo", RoleCreator), d.token("eve", RoleCreator), d.token("op", RoleOperator)
	upload := func(token, place string) reply {
		return d.call("PUT", "/v1/places/"+place+"/versions", token, "x", "Content-Type", "application/gzip")
	}
	if r := upload(cleo, "arena"); r.status != 200 {
		t.Errorf("own: got %d %s", r.status, r.body)
	}
	if r := upload(eve, "arena"); r.status != 403 || r.problem(t).Code != "denied" {
		t.Errorf("foreign: got %d %s, want denied", r.status, r.body)
	}
	if r := upload(op, "arena"); r.status != 200 {
		t.Errorf("an operator: got %d %s", r.status, r.body)
	}
	for _, call := range []string{"GET /v1/places/%/logs", "GET /v1/places/%/owners", "PUT /v1/places/%/owners/eve", "DELETE /v1/places/%/owners/cleo"} {
		method, path, _ := strings.Cut(call, " ")
		of := func(token, place string) reply {
			return d.call(method, strings.Replace(path, "%", place, 1), token, "")
		}
		foreign, none := of(eve, "arena"), of(eve, "nowhere")
		if foreign.status != 404 || strings.Replace(foreign.body, "arena", "nowhere", 1) != none.body {
			t.Errorf("%s: of another %d %s, of none %d %s: want the same 404", call, foreign.status, foreign.body, none.status, none.body)
		}
		if own := of(cleo, "arena"); own.status == 404 {
			t.Errorf("%s: own: got %d %s", call, own.status, own.body)
		}
	}
}

func TestAPIKeys(t *testing.T) {
	d := openDoor(t, nil)
	cleo, eve, op := d.token("cleo", RoleCreator), d.token("eve", RoleCreator), d.token("op", RoleOperator)
	ctx := t.Context()
	as := func(token string) func(string, string, string) reply {
		return func(method, path, body string) reply { return d.call(method, path, token, body) }
	}
	for body, field := range map[string]string{
		`{}`: "name", `{"name":""}`: "name", `{"name":"a\nb"}`: "name", `{"name":"x","rate":-1}`: "rate",
		`{"name":"x","expires_in":-1}`: "expires_in", `{"name":"x","role":"operator"}`: "role",
	} {
		if r := as(cleo)("POST", "/v1/keys", body); r.status != 400 || r.problem(t).Field != field {
			t.Errorf("%s: got %d %s, want 400 at %s", body, r.status, r.body, field)
		}
	}
	key, made, err := d.api.Create(ctx, throng.APIKey{Owner: "cleo", Name: "ci", Rate: 1, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if r := as(cleo)("GET", "/v1/keys", ""); r.status != 200 || strings.Contains(r.body, key) || !strings.Contains(r.body, string(made.ID)) ||
		!strings.Contains(r.body, key[:20]) {
		t.Errorf("list: got %d %s", r.status, r.body)
	}
	if r := as(eve)("GET", "/v1/keys", ""); r.status != 200 || strings.Contains(r.body, string(made.ID)) {
		t.Errorf("another's list: got %d %s", r.status, r.body)
	}
	if r := as(eve)("GET", "/v1/keys?owner=cleo", ""); r.status != 403 {
		t.Errorf("list another's: got %d %s", r.status, r.body)
	}
	if r := as(op)("GET", "/v1/keys?owner=cleo", ""); r.status != 200 || !strings.Contains(r.body, string(made.ID)) {
		t.Errorf("an operator's list: got %d %s", r.status, r.body)
	}
	for range 2 { // twice its rate at once
		if r := as(key)("GET", "/v1/places", ""); r.status != 200 {
			t.Errorf("by key: got %d %s", r.status, r.body)
		}
	}
	if r := as(key)("GET", "/v1/places", ""); r.status != 429 {
		t.Errorf("by key, too often: got %d %s", r.status, r.body)
	}
	if r := as(cleo)("GET", "/v1/places", ""); r.status != 200 {
		t.Errorf("the owner himself: got %d %s", r.status, r.body)
	}
	if r := as(key)("POST", "/v1/keys", `{"name":"x"}`); r.status != 403 {
		t.Errorf("a key that makes keys: got %d %s", r.status, r.body)
	}
	if r := as(eve)("DELETE", "/v1/keys/"+string(made.ID), ""); r.status != 404 {
		t.Errorf("revoke another's: got %d %s", r.status, r.body)
	}
	if r := as(cleo)("DELETE", "/v1/keys/"+string(made.ID), ""); r.status != 204 {
		t.Errorf("revoke: got %d %s", r.status, r.body)
	}
	if r := as(key)("GET", "/v1/places", ""); r.status != 401 {
		t.Errorf("a revoked key: got %d %s, want 401", r.status, r.body)
	}
}

// TestFailuresOfAnAddress: who guesses is stopped, and who was known before is
// not.
func TestFailuresOfAnAddress(t *testing.T) {
	d := openDoor(t, func(c *Config) { c.Limits.Failures = Rate{0.01, 3} })
	known, late := d.token("ada", RolePlayer), d.token("bo", RolePlayer)
	if r := d.call("GET", "/v1/regions", known, ""); r.status != 200 {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	for range 3 {
		if r := d.call("GET", "/v1/regions", "a.b.c", ""); r.status != 401 {
			t.Errorf("a guess: got %d %s, want 401", r.status, r.body)
		}
	}
	for name, token := range map[string]string{"a guess": "a.b.c", "a good one that was not seen before": late} {
		if r := d.call("GET", "/v1/regions", token, ""); r.status != 429 || r.problem(t).Code != "rate_limited" || r.header.Get("Retry-After") == "" {
			t.Errorf("%s past the limit: got %d %s, want 429", name, r.status, r.body)
		}
	}
	if r := d.call("GET", "/v1/regions", known, ""); r.status != 200 {
		t.Errorf("who was known before: got %d %s, want 200", r.status, r.body)
	}
	if r := d.call("GET", "/metrics", "", ""); !strings.Contains(r.body, "throng_auth_limited_total 2") {
		t.Error("throng_auth_limited_total does not say 2")
	}
}

func TestFailuresAreCountedByNetwork(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "[2001:db8:1:2:3::4]:80": "2001:db8:1:2::/64", "[fe80::1%eth0]:80": "fe80::/64",
		"[::ffff:192.0.2.1]:80": "192.0.2.1", "strange": "strange",
	} {
		if got := network(remote); got != want {
			t.Errorf("%s: got %s, want %s", remote, got, want)
		}
	}
}

// away is an issuer's keys that cannot be had.
type away struct{}

func (away) Known(string) (Caller, bool) { return Caller{}, false }

func (away) Authenticate(context.Context, string) (Caller, error) {
	return Caller{}, throng.RetryLater(throng.Unavailable, time.Second, "the keys of the token's issuer cannot be had now")
}

// TestIssuerAway: it is no guess when the door cannot tell.
func TestIssuerAway(t *testing.T) {
	d := openDoor(t, func(c *Config) { c.Auth, c.Limits.Failures = away{}, Rate{0.01, 1} })
	for range 3 {
		if r := d.call("GET", "/v1/regions", "a.b.c", ""); r.status != 503 || r.header.Get("Retry-After") == "" {
			t.Errorf("got %d %s, want 503", r.status, r.body)
		}
	}
}
