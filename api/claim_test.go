package api

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
)

// claim asks over the client, as a game server does.
func (d *door) claim(token string) (throng.ServerClaim, error) {
	return client.ClaimServer(d.t.Context(), client.ClaimConfig{Addr: d.http.URL, Token: token})
}

func TestClaim(t *testing.T) {
	d := openDoor(t, func(c *Config) {
		claims, _ := c.Claims.(fakeClaims)
		claims["pod.idle.x"] = throng.ServerClaim{}
	})
	want := throng.ServerClaim{Server: serverA, Token: "enroll", Region: "local", Doors: []string{"https://door"}}
	for range 2 { // the same again
		if got, err := d.claim("pod.a.x"); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("claim: got %+v, %v, want %+v", got, err, want)
		}
	}
	_, err := d.claim("pod.idle.x")
	if throng.KindOf(err) != throng.NotFound || throng.RetryAfterOf(err) != 2*time.Second {
		t.Errorf("not allocated: got %v, want not found, again after 2 s", err)
	}
	for token, kind := range map[string]throng.Kind{"other.pod.x": throng.Denied, "away": throng.Unavailable} {
		if _, err := d.claim(token); throng.KindOf(err) != kind {
			t.Errorf("claim by %s: got %v, want %s", token, err, kind)
		}
	}
	for name, call := range map[string]struct {
		token, body string
		want        int
	}{
		"nobody":      {"", "{}", http.StatusUnauthorized},
		"a player":    {d.token("ada", RolePlayer), "{}", http.StatusUnauthorized},
		"a server":    {d.serverToken(serverA, ""), "{}", http.StatusUnauthorized},
		"too long":    {"pod.a.x", `{"x":"` + strings.Repeat("a", sizeClaim) + `"}`, http.StatusRequestEntityTooLarge},
		"no JSON":     {"pod.a.x", `{`, http.StatusBadRequest},
		"newer field": {"pod.a.x", `{"later": 1}`, http.StatusOK},
	} {
		if r := d.call("POST", "/v1/servers/claim", call.token, call.body); r.status != call.want {
			t.Errorf("%s: got %d %s, want %d", name, r.status, r.body, call.want)
		}
	}
}

func TestClaimWithoutClusters(t *testing.T) {
	d := openDoor(t, func(c *Config) { c.Claims = nil })
	if _, err := d.claim("pod.a.x"); throng.KindOf(err) != throng.Unsupported {
		t.Errorf("got %v, want unsupported", err)
	}
	d = openDoor(t, func(c *Config) { c.MachineCertificates = true })
	if _, err := d.claim("pod.a.x"); throng.KindOf(err) != throng.Denied || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without a certificate: got %v, want denied", err)
	}
}

// Guessing is paid for by the guesser's address alone; who was known goes on.
func TestClaimLimits(t *testing.T) {
	d := openDoor(t, func(c *Config) {
		c.Limits.Failures = Rate{PerSecond: 0.001, Burst: 3}
		c.Limits.Claim = Rate{PerSecond: 0.001, Burst: 9}
	})
	for range 3 {
		if _, err := d.claim("guess"); throng.KindOf(err) != throng.Denied {
			t.Fatalf("a guess: got %v, want denied", err)
		}
	}
	if _, err := d.claim("guess"); throng.KindOf(err) != throng.RateLimited {
		t.Errorf("one guess too many: got %v, want rate limited", err)
	}
	for range 5 {
		if _, err := d.claim("pod.a.x"); err != nil {
			t.Errorf("a known pod: %v", err)
		}
	}
	if _, err := d.claim("pod.a.x"); throng.KindOf(err) != throng.RateLimited {
		t.Errorf("more calls than an address may make: got %v, want rate limited", err)
	}
}
