package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// fakeHandoffs answers as the test says.
type fakeHandoffs struct {
	asked  []throng.Handoff
	answer func(h throng.Handoff, wait time.Duration) (throng.Placement, error)
}

func (f *fakeHandoffs) Handoff(_ context.Context, _ throng.Heartbeat, h throng.Handoff, wait time.Duration) (throng.Placement, error) {
	f.asked = append(f.asked, h)
	return f.answer(h, wait)
}

func (f *fakeHandoffs) Origin(_ context.Context, s throng.SessionID, k throng.TicketKey) (throng.Origin, error) {
	if s != sessionA || k != (throng.TicketKey{Caller: "ada", Ticket: "hof:1"}) {
		return throng.Origin{}, throng.Errorf(throng.NotFound, "nobody")
	}
	return throng.Origin{Session: sessionB, Place: "lobby", Data: "\x00\xff"}, nil
}

// openHandoffs is a door where two players of a session can have seats.
func openHandoffs(t *testing.T, limits Limits) (*door, *fakeHandoffs) {
	t.Helper()
	f := &fakeHandoffs{answer: func(h throng.Handoff, _ time.Duration) (throng.Placement, error) {
		var players []throng.PlayerID
		for _, m := range h.Members {
			players = append(players, m.Player)
		}
		return seated(players...), nil
	}}
	return openDoor(t, func(c *Config) { c.Handoffs, c.Origins, c.Limits = f, f, limits }), f
}

func ownBeat() throng.Heartbeat {
	return throng.Heartbeat{Session: sessionA, Server: serverA, Incarnation: "i1", Address: netip.MustParseAddrPort("192.0.2.1:7000")}
}

func TestHandoffGivesEachPlayerAToken(t *testing.T) {
	d, f := openHandoffs(t, Limits{})
	s := d.server(d.serverToken(serverA, sessionA))
	ask := throng.Handoff{
		ID: "h1", Members: []throng.Member{{Player: "ada", Epoch: 5}, {Player: "bo", Epoch: 6}}, Mode: throng.ModeSession,
		Session: sessionB, Place: "arena", Data: "\x00red",
		Attributes: [][]throng.Attribute{{{Name: "language", Category: "en"}, {Name: "skill", Number: 3.5}}, nil},
	}
	got, err := s.Handoff(t.Context(), ownBeat(), ask)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f.asked, []throng.Handoff{ask}) {
		t.Errorf("asked: got %+v, want %+v", f.asked, ask)
	}
	want := seated("ada", "bo").Assignment
	if got.Session != want.Session.ID || got.Key != want.Grant.Key || len(got.Tokens) != 2 || got.Tokens[1].Player != "bo" || !got.Web.Equal(throng.WebAddress{URL: want.Session.Web.URL, Certificates: want.Session.Web.Certificates}) {
		t.Errorf("got %+v, want the seats of %+v", got, want)
	}
	for _, token := range got.Tokens {
		made, err := fakeTokens{}.JoinToken(*want, throng.Member{Player: token.Player})
		if err != nil || string(token.Token) != string(made) {
			t.Errorf("token of %s: got %q, want %q, %v", token.Player, token.Token, made, err)
		}
	}
	f.answer = func(_ throng.Handoff, wait time.Duration) (throng.Placement, error) {
		if wait != 10*time.Second {
			t.Errorf("waits for %s, want 10 s", wait)
		}
		return throng.Placement{Position: 1, RetryAfter: time.Second}, nil
	}
	if _, err := s.Handoff(t.Context(), ownBeat(), ask); throng.KindOf(err) != throng.Unavailable || throng.RetryAfterOf(err) != time.Second {
		t.Errorf("while they wait: got %v, want unavailable for a second", err)
	}
}

func TestHandoffIsForTheSessionsOwnServer(t *testing.T) {
	d, f := openHandoffs(t, Limits{})
	mine := d.serverToken(serverA, sessionA)
	beat, err := json.Marshal(gen.HeartbeatOf(ownBeat()))
	if err != nil {
		t.Fatal(err)
	}
	body := func(more string) string {
		return fmt.Sprintf(`{"heartbeat":%s,"id":"h1","members":[{"player":"ada","epoch":5}]%s}`, beat, more)
	}
	many := strings.TrimSuffix(strings.Repeat(`{"player":"ada","epoch":5},`, throng.HandoffMost+1), ",")
	for _, c := range []struct {
		name, token, body string
		session           throng.SessionID
		want              int
	}{
		{"its own", mine, body(""), sessionA, 200},
		{"another session", mine, body(""), sessionB, 403},
		{"an idle server", d.serverToken(serverA, ""), body(""), sessionA, 403},
		{"as another server", mine, strings.Replace(body(""), string(serverA), string(serverB), 1), sessionA, 403},
		{"a player", d.token("ada", RolePlayer), body(""), sessionA, 403},
		{"an operator", d.token("op", RoleOperator), body(""), sessionA, 403},
		{"without an ID", mine, strings.Replace(body(""), `"h1"`, `""`, 1), sessionA, 400},
		{"nobody", mine, fmt.Sprintf(`{"heartbeat":%s,"id":"h1","members":[]}`, beat), sessionA, 400},
		{"201 players", mine, fmt.Sprintf(`{"heartbeat":%s,"id":"h1","members":[%s]}`, beat, many), sessionA, 400},
		{"a mode for players", mine, body(`,"mode":"friend"`), sessionA, 400},
		{"no such session", mine, body(`,"mode":"session","session":"x"`), sessionA, 400},
		{"too much data", mine, body(fmt.Sprintf(`,"data":%q`, strings.Repeat("AAAA", 400))), sessionA, 400},
	} {
		before := len(f.asked)
		r := d.call("POST", "/v1/sessions/"+string(c.session)+"/handoff", c.token, c.body)
		if r.status != c.want || (len(f.asked) > before) != (c.want == 200) {
			t.Errorf("%s: got %d %s, asked %v; want %d", c.name, r.status, r.body, len(f.asked) > before, c.want)
		}
	}
	if r := openDoor(t, nil).call("POST", "/v1/sessions/"+string(sessionA)+"/handoff", mine, body("")); r.problem(t).Code != "unsupported" {
		t.Errorf("a door that hands nobody off: got %d %s, want unsupported", r.status, r.body)
	}
}

// Calls are limited by session, and so are those that open sessions, of which a
// repeat is none.
func TestHandoffsAreLimited(t *testing.T) {
	d, _ := openHandoffs(t, Limits{Handoffs: Rate{0.001, 8}, HandoffOpenings: Rate{0.001, 2}})
	s := d.server(d.serverToken(serverA, sessionA))
	ask := func(id string, mode throng.Mode) throng.Kind {
		_, err := s.Handoff(t.Context(), ownBeat(), throng.Handoff{
			ID: throng.TicketID(id), Members: []throng.Member{{Player: "ada", Epoch: 5}}, Mode: mode,
		})
		if err == nil {
			return 255
		}
		return throng.KindOf(err)
	}
	for i, c := range []struct {
		id   string
		mode throng.Mode
		want throng.Kind
	}{
		{"a", throng.ModeNew, 255},
		{"a", throng.ModeNew, 255},
		{"b", throng.ModePrivate, 255},
		{"a", throng.ModeNew, 255},
		{"c", throng.ModeNew, throng.RateLimited},
		{"c", throng.ModeNew, throng.RateLimited},
		{"d", throng.ModeDropIn, 255},
		{"b", throng.ModePrivate, 255},
		{"f", throng.ModeDropIn, throng.RateLimited},
	} {
		if got := ask(c.id, c.mode); got != c.want {
			t.Errorf("call %d, %s by mode %s: got %s, want %s", i+1, c.id, c.mode, got, c.want)
		}
	}
}

func TestOriginIsToldToTheTarget(t *testing.T) {
	d, _ := openHandoffs(t, Limits{})
	key := throng.TicketKey{Caller: "ada", Ticket: "hof:1"}
	got, err := d.server(d.serverToken(serverA, sessionA)).Origin(t.Context(), sessionA, key)
	if want := (throng.Origin{Session: sessionB, Place: "lobby", Data: "\x00\xff"}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for name, c := range map[string]struct {
		own throng.SessionID
		key throng.TicketKey
		why throng.Kind
	}{
		"another server's":  {sessionB, key, throng.Denied},
		"of another ticket": {sessionA, throng.TicketKey{Caller: "ada", Ticket: "t"}, throng.NotFound},
		"of no caller":      {sessionA, throng.TicketKey{Ticket: "hof:1"}, throng.Invalid},
	} {
		if _, err := d.server(d.serverToken(serverA, c.own)).Origin(t.Context(), sessionA, c.key); throng.KindOf(err) != c.why || err == nil {
			t.Errorf("%s: got %v, want %s", name, err, c.why)
		}
	}
}

func TestPlayersCannotNameHandoffs(t *testing.T) {
	d := openDoor(t, nil)
	r := d.call("POST", "/v1/matchmake", d.token("ada", RolePlayer), `{"ticket":"hof:1","place":"arena","party":["ada"],"mode":"drop-in"}`)
	if r.status != 400 || r.problem(t).Field != "ticket" {
		t.Errorf("got %d %s, want the ticket refused", r.status, r.body)
	}
}

func TestDrainTakesAnEnd(t *testing.T) {
	d := openDoor(t, nil)
	op := d.as(RoleOperator)
	if err := op.Drain(t.Context(), sessionA, "tired", 90*time.Second); err != nil {
		t.Fatal(err)
	}
	if did := d.world.did(); len(did) != 1 || did[0] != "drain "+string(sessionA)+" tired 1m30s" {
		t.Errorf("got %v, want a drain within 90 s", did)
	}
	for _, within := range []time.Duration{-time.Second, 25 * time.Hour} {
		if err := op.Drain(t.Context(), sessionA, "tired", within); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("within %s: got %v, want invalid", within, err)
		}
	}
}
