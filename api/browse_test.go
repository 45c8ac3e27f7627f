package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/client"
)

func (d *door) as(role Role) *client.Door {
	d.t.Helper()
	c, err := client.New(client.Config{Addr: d.http.URL, Token: d.token("ada", role)})
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

// fill makes n sessions of arena: every third drains, every second has room.
func (d *door) fill(n int) {
	for i := range n {
		s := throng.Session{
			ID: throng.SessionID(fmt.Sprintf("ses_local_00%016d", i)), Place: "arena", Version: 1,
			State: throng.SessionOpen, Capacity: 8, Seated: 8,
		}
		if i%3 == 0 {
			s.State = throng.SessionDraining
		}
		if i%2 == 0 {
			s.Seated, s.Held = 5, 1
		}
		d.world.sessions = append(d.world.sessions, s)
	}
}

func TestPlaces(t *testing.T) {
	d := openDoor(t, nil)
	d.fill(4)
	d.world.releases = append(d.world.releases, throng.Release{Place: "beach", Name: "Beach", Version: 7, Capacity: 20})
	ada := d.as(RolePlayer)
	first, err := ada.Places(t.Context(), client.Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	want := gen.PlaceList{Places: []gen.Place{{ID: "arena", Name: "Arena", Version: 1, Capacity: 8, Players: 26, Sessions: 4}}, Next: "arena"}
	if !reflect.DeepEqual(first, want) {
		t.Errorf("got %+v, want %+v", first, want)
	}
	second, err := ada.Places(t.Context(), client.Page{Limit: 1, After: first.Next})
	if err != nil {
		t.Fatal(err)
	}
	want = gen.PlaceList{Places: []gen.Place{{ID: "beach", Name: "Beach", Version: 7, Capacity: 20}}}
	if !reflect.DeepEqual(second, want) {
		t.Errorf("got %+v, want %+v", second, want)
	}
	if d.world.listed != 1 {
		t.Errorf("sessions were counted %d times within a second, want once", d.world.listed)
	}
	if r := d.call("GET", "/v1/places?after=zoo", d.token("ada", RolePlayer), ""); r.body != `{"places":[]}`+"\n" {
		t.Errorf("past the end: got %s", r.body)
	}
	for path, field := range map[string]string{
		"/v1/places?limit=0": "limit", "/v1/places?limit=201": "limit", "/v1/places?limit=x": "limit", "/v1/places?after=A": "after",
	} {
		if p := d.call("GET", path, d.token("ada", RolePlayer), "").problem(t); p.Status != 400 || p.Field != field {
			t.Errorf("%s: got %+v, want 400 at %s", path, p, field)
		}
	}
}

func TestCensusCountsAllPages(t *testing.T) {
	d := openDoor(t, nil)
	d.fill(2*censusPage + 1)
	got, err := d.census.counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := (count{players: 8*censusPage + 5*(censusPage+1), sessions: 2*censusPage + 1}); got["arena"] != want {
		t.Errorf("got %+v, want %+v", got["arena"], want)
	}
}

func TestSessionsOfAPlace(t *testing.T) {
	d := openDoor(t, nil)
	d.fill(scanPage*2 + 20)
	ada := d.as(RolePlayer)
	for _, q := range []client.SessionQuery{
		{},
		{State: "open"},
		{State: "draining", Free: 2},
		{Free: 3},
		{State: "starting"},
		{Free: 1, Page: client.Page{Limit: 7}},
		{Page: client.Page{Limit: 200}},
	} {
		state, _ := throng.ParseSessionState(q.State)
		var want, got []string
		for _, s := range d.world.sessions {
			if (q.State == "" || s.State == state) && s.Free() >= q.Free {
				want = append(want, string(s.ID))
			}
		}
		for pages := 0; ; pages++ {
			page, err := ada.Sessions(t.Context(), "arena", q)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range page.Sessions {
				got = append(got, s.ID)
			}
			if page.Next == "" {
				break
			}
			if pages > 200 {
				t.Fatal("the list has no end")
			}
			q.After = page.Next
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v: got %d sessions, want %d", q, len(got), len(want))
		}
		d.buckets = newBuckets(10)
	}
	for path, want := range map[string]int{
		"nowhere/sessions": 404, "arena/sessions?state=mad": 400, "arena/sessions?free=-1": 400, "arena/sessions?after=x": 400, "A/sessions": 400,
	} {
		if r := d.call("GET", "/v1/places/"+path, d.token("ada", RolePlayer), ""); r.status != want {
			t.Errorf("%s: got %d %s, want %d", path, r.status, r.body, want)
		}
	}
}

func TestPresenceAndRegions(t *testing.T) {
	d := openDoor(t, func(c *Config) {
		c.Regions = func() []Region {
			return []Region{{ID: "local", Name: "Here", Beacons: []string{"udp://127.0.0.1:9000"}}, {ID: "far", State: "draining"}}
		}
	})
	ada := d.as(RolePlayer)
	for player, want := range map[throng.PlayerID]gen.Presence{
		"ada": {Player: "ada", State: "playing", Session: string(sessionA), Place: "arena", Region: "local"},
		"bo":  {Player: "bo", State: "none"},
	} {
		if got, err := ada.Presence(t.Context(), player); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	r := d.call("GET", "/v1/regions", d.token("ada", RolePlayer), "")
	want := `{"regions":[{"beacon_urls":["udp://127.0.0.1:9000"],"id":"local","name":"Here","state":"open"},` +
		`{"beacon_urls":[],"id":"far","name":"","state":"draining"}]}` + "\n"
	if r.body != want {
		t.Errorf("got %s, want %s", r.body, want)
	}
}

// farAway knows where players of other regions are.
type farAway map[throng.PlayerID]throng.SessionID

func (f farAway) Where(_ context.Context, p throng.PlayerID) (throng.Presence, time.Duration, error) {
	if s, ok := f[p]; ok {
		return throng.Presence{Player: p, State: throng.PresencePlaying, Session: s, Place: "arena", Epoch: 1}, 3456 * time.Millisecond, nil
	}
	return throng.Presence{}, 0, throng.Errorf(throng.NotFound, "never seen")
}

// Who plays in another region is shown with its name and how old that is, to whom he
// is shown at all.
func TestPresenceElsewhere(t *testing.T) {
	d := openDoor(t, func(c *Config) { c.Whereabouts = farAway{"bo": sessionEU} })
	for player, want := range map[throng.PlayerID]string{
		"bo":  `{"age":3.4,"place":"arena","player":"bo","region":"eu","session":"` + string(sessionEU) + `","state":"playing"}`,
		"ada": `{"player":"ada","state":"none"}`,
	} {
		if r := d.call("GET", "/v1/players/"+string(player)+"/presence", d.token("eve", RolePlayer), ""); r.body != want+"\n" {
			t.Errorf("got %s, want %s", r.body, want)
		}
	}
	if r := d.call("PUT", "/v1/players/bo/privacy", d.token("bo", RolePlayer), `{"presence":"nobody"}`); r.status != 200 {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	if r := d.call("GET", "/v1/players/bo/presence", d.token("eve", RolePlayer), ""); r.body != `{"player":"bo","state":"none"}`+"\n" {
		t.Errorf("who hides is shown: %s", r.body)
	}
}

func TestOperatorsSeeSessions(t *testing.T) {
	d := openDoor(t, nil)
	d.fill(3)
	op := d.as(RoleOperator)
	page, err := op.SessionRecords(t.Context(), "arena", client.Page{Limit: 2})
	if err != nil || len(page.Sessions) != 2 || page.Next != page.Sessions[1].ID || page.Sessions[0].Held != 1 {
		t.Fatalf("got %+v, %v", page, err)
	}
	rest, err := op.SessionRecords(t.Context(), "", client.Page{After: page.Next})
	if err != nil || len(rest.Sessions) != 1 || rest.Next != "" {
		t.Fatalf("got %+v, %v", rest, err)
	}
	one, err := op.SessionRecord(t.Context(), d.world.sessions[2].ID)
	if err != nil || !reflect.DeepEqual(one, rest.Sessions[0]) {
		t.Errorf("got %+v, %v, want %+v", one, err, rest.Sessions[0])
	}
	if _, err := op.SessionRecord(t.Context(), sessionB); throng.KindOf(err) != throng.NotFound {
		t.Errorf("got %v, want not_found", err)
	}
	if err := op.Drain(t.Context(), sessionA, "tired", 0); err != nil {
		t.Error(err)
	}
	if err := op.End(t.Context(), sessionA, ""); throng.KindOf(err) != throng.Invalid || err.Error() != "reason: is empty" {
		t.Errorf("got %v, want invalid", err)
	}
}

func TestPublishAndFetch(t *testing.T) {
	d := openDoor(t, nil)
	upload := bytes.Repeat([]byte("tar"), 100_000)
	r, err := d.as(RoleCreator).Publish(t.Context(), "arena", bytes.NewReader(upload), throng.Publication{})
	if err != nil || r.Version != 2 || r.Package != string(hashA) {
		t.Fatalf("got %+v, %v", r, err)
	}
	if len(d.world.uploads) != 1 || !bytes.Equal(d.world.uploads[0], upload) {
		t.Error("the upload arrived otherwise")
	}
	if _, err := d.as(RolePlayer).Publish(t.Context(), "arena", bytes.NewReader(upload), throng.Publication{}); throng.KindOf(err) != throng.Denied {
		t.Errorf("by a player: got %v, want denied", err)
	}
	creator := d.token("cleo", RoleCreator)
	if r := d.call("PUT", "/v1/places/arena/versions", creator, "x", "Content-Type", "application/zip"); r.status != 415 {
		t.Errorf("a zip: got %d, want 415", r.status)
	}
	if r := d.call("PUT", "/v1/places/Arena/versions", creator, "x", "Content-Type", "application/gzip"); r.status != 400 {
		t.Errorf("a bad place: got %d, want 400", r.status)
	}
	server := d.serverToken(serverA, "")
	got := d.call("GET", "/v1/packages/"+string(hashA), server, "")
	if got.status != 200 || got.body != "package" || got.header.Get("Content-Length") != "7" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	for hash, want := range map[string]int{strings.Repeat("0", 64): 404, "x": 400, strings.Repeat("A", 64): 400} {
		if r := d.call("GET", "/v1/packages/"+hash, server, ""); r.status != want {
			t.Errorf("%s: got %d, want %d", hash, r.status, want)
		}
	}
}

func TestBrokenPackagesAreNotWhole(t *testing.T) {
	d := openDoor(t, nil)
	s := d.server(d.serverToken(serverA, ""))
	body, err := s.Package(t.Context(), hashB)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); strings.Trim(string(got), "x") != "" || err == nil {
		t.Errorf("got %d bytes, %v, want an error and no words of ours", len(got), err)
	}
	if _, err := s.Package(t.Context(), throng.PackageHash(strings.Repeat("0", 64))); throng.KindOf(err) != throng.NotFound {
		t.Errorf("got %v, want not_found", err)
	}
}

// endless is an upload that says how large it is by being read.
type endless struct{ read int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.read += int64(len(p))
	return len(p), nil
}

func TestUploadsAreBounded(t *testing.T) {
	d := openDoor(t, nil)
	body := &endless{}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, d.http.URL+"/v1/places/arena/versions", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/gzip")
	req.Header.Set("Authorization", "Bearer "+d.token("cleo", RoleCreator))
	resp, err := d.http.Client().Do(req)
	if err != nil {
		t.Logf("the connection broke before the answer was read: %v", err)
		if body.read > 2*sizeUpload {
			t.Errorf("%d bytes were taken", body.read)
		}
		return
	}
	defer resp.Body.Close()
	var p gen.Problem
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge || p.Code != "invalid" {
		t.Errorf("got %d %+v, %v, want 413 invalid", resp.StatusCode, p, err)
	}
	if len(d.world.uploads) != 0 {
		t.Error("it was published")
	}
}
