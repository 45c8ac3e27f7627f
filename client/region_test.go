package client

import (
	"net/http"
	"testing"

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
