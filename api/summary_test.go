package api

import (
	"context"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
)

// fakeSummaries is what a region tells; it may be away.
type fakeSummaries struct {
	summary throng.RegionSummary
	err     error
}

func (f *fakeSummaries) Summary(context.Context) (throng.RegionSummary, error) {
	return f.summary, f.err
}

func TestRegionSummary(t *testing.T) {
	f := &fakeSummaries{summary: throng.RegionSummary{
		Region: "local", Number: 3, Warm: 2, Spare: 5, Room: 100,
		Places: []throng.PlaceSummary{{Place: "arena", Sessions: 1, Players: 9, Free: 1, Fullest: []float64{0.9}}},
	}}
	d := openDoor(t, func(c *Config) { c.Summaries = f })
	token, err := d.keys.RegionToken("eu")
	if err != nil {
		t.Fatal(err)
	}
	r := d.call("GET", "/v1/regions/local/summary", token, "")
	const want = `{"draining":false,"number":3,"places":[{"free":1,"fullest":[0.9],"place":"arena","players":9,"sessions":1}],` +
		`"region":"local","room":100,"spare":5,"warm":2}`
	if r.status != 200 || strings.TrimSpace(r.body) != want {
		t.Errorf("got %d %s, want %s", r.status, r.body, want)
	}
	if r := d.call("GET", "/v1/regions/eu/summary", token, ""); r.status != 404 || r.problem(t).Field != "id" {
		t.Errorf("of another region: got %d %s, want 404 at id", r.status, r.body)
	}
	for _, role := range []Role{RolePlayer, RoleOperator} {
		if r := d.call("GET", "/v1/regions/local/summary", d.token("ada", role), ""); r.status != 403 {
			t.Errorf("by %s: got %d %s, want 403", role, r.status, r.body)
		}
	}
	f.err = throng.Errorf(throng.Unavailable, "the registry is away")
	if r := d.call("GET", "/v1/regions/local/summary", token, ""); r.status != 503 {
		t.Errorf("away: got %d %s, want 503", r.status, r.body)
	}
	d.cfg.Summaries = nil
	if r := d.call("GET", "/v1/regions/local/summary", token, ""); r.problem(t).Code != "unsupported" {
		t.Errorf("without summaries: got %d %s, want unsupported", r.status, r.body)
	}
}
