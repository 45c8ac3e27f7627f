package main

import (
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/edge/beacon/probe"
)

// TestBeacons: throng dev runs a beacon and says where, by UDP and by HTTP, and what
// a client measures there comes with his ticket; others are named in its place.
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

	door := r.as("ada", api.RolePlayer)
	far := map[throng.RegionID]probe.Latency{}
	eventually(t, 2*time.Minute, "the client has measured the region", func() bool {
		if far, err = door.Latencies(t.Context()); err != nil || far["local"].Answered == 0 {
			door = r.as("ada", api.RolePlayer) // with nothing remembered: the machine was too busy
		}
		return err == nil && far["local"].Answered > 0
	})
	for _, ticket := range []throng.TicketID{"tkt-first", "tkt-ada"} { // the first opens a session, the other one chooses it
		if _, err := door.Matchmake(t.Context(), throng.Ticket{
			Key: throng.TicketKey{Caller: "ada", Ticket: ticket}, Place: "arena", Party: []throng.PlayerID{"ada"}, Mode: throng.ModeDropIn,
		}); err != nil {
			t.Fatal(err)
		}
	}
	joins, err := door.Joins(t.Context(), "tkt-ada", "")
	if err != nil || len(joins.Joins) != 1 || len(joins.Joins[0].Decisions) == 0 {
		t.Fatalf("got %+v, %v, want a join with a decision", joins, err)
	}
	if got, want := joins.Joins[0].Decisions[0].Latencies["local"], float64(far["local"].Median)/float64(time.Millisecond); got != want || got <= 0 {
		t.Errorf("the record has %v ms, want the %v that were measured", got, want)
	}
	if status, out := throngCommand(t, "explain", "tkt-ada", "--caller", "ada", "--addr", r.url); status != 0 || !strings.Contains(out, "measured: local ") {
		t.Errorf("explain: exit status %d, %s", status, out)
	}

	named := []string{"udp://203.0.113.5:7810", "https://eu.example.com/beacon"}
	r = startDev(t, "--beacon", named[0], "--beacon", named[1])
	list, err = r.as("ada", api.RolePlayer).Regions(t.Context())
	if err != nil || len(list.Regions) != 1 || strings.Join(list.Regions[0].BeaconUrls, " ") != strings.Join(named, " ") {
		t.Errorf("got %+v, %v, want %q", list, err, named)
	}
}

// TestRegionsTellBeacons: each region's door lists the beacons of both.
func TestRegionsTellBeacons(t *testing.T) {
	t.Parallel()
	eu, us := newRegionSpot(t, "eu", 1), newRegionSpot(t, "us", 2)
	for _, way := range [][2]*regionSpot{{eu, us}, {us, eu}} {
		own, other := way[0], way[1]
		p := start(t, throngBinary(t), "serve", "control", "--dev", "--warm", "0", "--region", string(own.name), "--region-number", strconv.Itoa(own.number), "--addr", own.addr, "--data", own.data,
			"--beacon", "udp://"+string(own.name)+".example.com:7810",
			"--peers", string(other.name)+"=http://"+other.addr, "--peer-tokens", tokensOf(t, own.name, other))
		p.line("listens at", 60*time.Second)
	}
	for _, at := range []*regionSpot{eu, us} {
		door, err := client.New(client.Config{Addr: "http://" + at.addr})
		if err != nil {
			t.Fatal(err)
		}
		token, err := door.DevToken(t.Context(), "ada", string(api.RolePlayer))
		if err != nil {
			t.Fatal(err)
		}
		if door, err = door.As(token.AccessToken); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"eu": "udp://eu.example.com:7810", "us": "udp://us.example.com:7810"}
		eventually(t, 60*time.Second, "both regions' beacons are listed", func() bool {
			list, err := door.Regions(t.Context())
			got := map[string]string{}
			for _, r := range list.Regions {
				got[r.ID] = strings.Join(r.BeaconUrls, " ")
			}
			return err == nil && list.Regions[0].ID == string(at.name) && maps.Equal(got, want)
		})
	}
}
