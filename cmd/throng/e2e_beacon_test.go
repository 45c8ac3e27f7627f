package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/edge/beacon/probe"
)

// TestBeacons: throng dev runs a beacon and says where, by UDP and by HTTP; others
// are named in its place.
func TestBeacons(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	list, err := r.as("ada", api.RolePlayer).Regions(t.Context())
	if err != nil || len(list.Regions) != 1 || len(list.Regions[0].BeaconUrls) != 2 {
		t.Fatalf("got %+v, %v, want one region with two URLs", list, err)
	}
	direct, web := list.Regions[0].BeaconUrls[0], list.Regions[0].BeaconUrls[1]
	for _, s := range []string{direct, web} {
		if err := probe.CheckURL(s); err != nil {
			t.Error(err)
		}
	}
	status, out := throngCommand(t, "edge", "beacon", "--probe", strings.TrimPrefix(direct, "udp://"))
	if status != 0 || !strings.Contains(out, "answered") {
		t.Errorf("probe: exit status %d, %s", status, out)
	}
	if got, err := probe.HTTP(t.Context(), http.DefaultClient, web, 30*time.Second); err != nil || got.Answered != probe.Probes {
		t.Errorf("over HTTP: got %+v, %v", got, err)
	}

	named := []string{"udp://203.0.113.5:7810", "https://eu.example.com/beacon"}
	r = startDev(t, "--beacon", named[0], "--beacon", named[1])
	list, err = r.as("ada", api.RolePlayer).Regions(t.Context())
	if err != nil || len(list.Regions) != 1 || strings.Join(list.Regions[0].BeaconUrls, " ") != strings.Join(named, " ") {
		t.Errorf("got %+v, %v, want %q", list, err, named)
	}
}
