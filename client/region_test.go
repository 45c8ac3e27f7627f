package client

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

func TestRegionSummary(t *testing.T) {
	const eu = `{"region":"eu","number":2,"draining":false,"warm":1,"spare":2,"room":3,"places":[{"place":"arena","sessions":1,"players":9,"free":1,"fullest":[0.9]}]}`
	s := &script{t: t, answers: []reply{
		{status: 200, body: eu},
		{status: 200, body: `{"region":"us","number":2,"places":[]}`},
		{status: 200, body: `{"region":"eu","number":0,"places":[]}`},
		{status: 403, body: `{"code":"denied","detail":"no"}`},
		{},
	}}
	r, err := NewRegion(Config{Addr: "http://door", HTTP: &http.Client{Transport: s}}, "eu", func() string { return "tok" })
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Summary(t.Context())
	if err != nil || got.Region != "eu" || got.Number != 2 || got.Warm != 1 || got.Spare != 2 || got.Room != 3 || len(got.Places) != 1 {
		t.Errorf("got %+v, %v, want what the door said", got, err)
	}
	for i, want := range []throng.Kind{throng.Internal, throng.Internal, throng.Denied, throng.Unavailable} {
		if _, err := r.Summary(t.Context()); throng.KindOf(err) != want {
			t.Errorf("answer %d: got %v, want %v", i+2, err, want)
		}
	}
	if s.asked[0] != "GET /v1/regions/eu/summary" {
		t.Errorf("got %s", s.asked[0])
	}
	if _, err := NewRegion(Config{Addr: "http://door"}, "E U", nil); throng.KindOf(err) != throng.Invalid {
		t.Errorf("a bad name: got %v, want invalid", err)
	}
}

func TestRegionTickets(t *testing.T) {
	const seat = `{"ticket":"t1","session":"ses_eu_000123456789abcdef","region":"eu","join_token":"eA==","server":{"ip":"192.0.2.1","port":7000},"party":["ada"]}`
	s := &script{t: t, answers: []reply{
		{status: 200, body: seat},
		{status: 202, body: `{"ticket":"t1","position":3,"retry_after":1,"line":"l"}`},
		{status: 200, body: strings.ReplaceAll(seat, "eu", "us")},
		{status: 404, body: `{"code":"not_found","detail":"none"}`},
		{status: 204},
	}}
	r, err := NewRegion(Config{Addr: "http://door", HTTP: &http.Client{Transport: s}}, "eu", func() string { return "tok" })
	if err != nil {
		t.Fatal(err)
	}
	k := throng.TicketKey{Caller: "ada", Ticket: "t1"}
	got, err := r.Matchmake(t.Context(), throng.Ticket{Key: k, Place: "arena", Party: []throng.PlayerID{"ada"}, Mode: throng.ModeDropIn}, 3*time.Second)
	if err != nil || got.Assignment == nil || got.Assignment.Session != "ses_eu_000123456789abcdef" || got.Waiting != nil {
		t.Errorf("got %+v, %v, want a seat", got, err)
	}
	got, err = r.Lookup(t.Context(), throng.TicketAsk{Key: k, Player: "bo", Line: "l"}, 400*time.Millisecond)
	if err != nil || got.Assignment != nil || got.Waiting == nil || got.Waiting.Position != 3 || got.Waiting.Line != "l" {
		t.Errorf("got %+v, %v, want to wait", got, err)
	}
	if _, err := r.Lookup(t.Context(), throng.TicketAsk{Key: k, Player: "bo"}, 0); throng.KindOf(err) != throng.Internal {
		t.Errorf("a seat of another region: got %v, want internal", err)
	}
	if _, err := r.Lookup(t.Context(), throng.TicketAsk{Key: k, Player: "bo"}, 0); throng.KindOf(err) != throng.NotFound {
		t.Errorf("got %v, want not found", err)
	}
	if err := r.Leave(t.Context(), k, "bo"); err != nil {
		t.Error(err)
	}
	for i, want := range []string{
		`POST /v1/regions/eu/tickets?caller=ada&wait=3 {"mode":"drop-in","party":["ada"],"place":"arena","ticket":"t1"}`,
		"GET /v1/regions/eu/tickets/t1?wait=0&line=l&caller=ada&player=bo",
	} {
		if s.asked[i] != want {
			t.Errorf("call %d: got %s, want %s", i, s.asked[i], want)
		}
	}
}
