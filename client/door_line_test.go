package client

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
)

func TestProblemsKeepTheirWords(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`{"code":"no_capacity","detail":"version 1 fails at start: main.lua:2: no"}`, "version 1 fails at start: main.lua:2: no"},
		{`{"code":"invalid","detail":"party[2]: is empty","field":"party[2]"}`, "party[2]: is empty"},
		{`{"code":"denied","detail":"settle ticket t: ticket: is older","field":"ticket"}`, "ticket: settle ticket t: is older"},
		{`{"code":"full","detail":"no seat"}`, "no seat"},
		{`no JSON`, "the answer is HTTP status 503"},
	} {
		err := problem(&http.Response{StatusCode: http.StatusServiceUnavailable, Body: io.NopCloser(strings.NewReader(c.body))})
		if err.Error() != c.want {
			t.Errorf("%s: got %q, want %q", c.body, err, c.want)
		}
	}
	err := problem(&http.Response{StatusCode: http.StatusConflict, Body: io.NopCloser(strings.NewReader(`{"code":"full","detail":"x"}`))})
	if throng.KindOf(err) != throng.Full {
		t.Errorf("kind: got %s, want full", throng.KindOf(err))
	}
}
