package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/gameserver"
)

var (
	_ gameserver.Registry = (*Server)(nil)
	_ gameserver.Control  = Control[gameserver.Directives]{}
)

// script is a door that answers one line after the other, and notes what it was
// asked and when.
type script struct {
	t       *testing.T
	answers []reply
	asked   []string
	at      []time.Duration
	start   time.Time
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body = " " + string(data)
	}
	s.asked = append(s.asked, r.Method+" "+r.URL.RequestURI()+body)
	s.at = append(s.at, time.Since(s.start))
	n := min(len(s.asked), len(s.answers)) - 1
	return s.answers[n].to(r)
}

// reply is what a door answers, and after how long. Status 0 is a broken
// connection.
type reply struct {
	status int
	body   string
	retry  string // Retry-After
	after  time.Duration
}

func (a reply) to(r *http.Request) (*http.Response, error) {
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case <-time.After(a.after):
	}
	if a.status == 0 {
		return nil, errors.New("connection reset")
	}
	header := http.Header{}
	if a.retry != "" {
		header.Set("Retry-After", a.retry)
	}
	return &http.Response{StatusCode: a.status, Header: header, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

func (s *script) door() *Door {
	s.t.Helper()
	s.start = time.Now()
	d, err := New(Config{Addr: "http://door", Token: "tok", HTTP: &http.Client{Transport: s}})
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

const (
	assignedJSON = `{"ticket":"t1","session":"ses_local_000123456789abcdef","place":"arena","version":3,"region":"local",` +
		`"server":{"ip":"192.0.2.1","port":7000},"join_token":"AQI=","expires_at":"2026-01-02T03:04:05Z","party":["ada","bo"]}`
	waitingJSON = `{"ticket":"t1","position":1,"retry_after":1.5}`
	post        = `POST /v1/matchmake {"party":["ada","bo"],"place":"arena","ticket":"t1"}`
	get         = `GET /v1/matchmake/t1?wait=20`
)

// wish measures nothing.
var wish = throng.Ticket{
	Key: throng.TicketKey{Ticket: "t1"}, Place: "arena", Party: []throng.PlayerID{"ada", "bo"}, Latencies: map[throng.RegionID]float64{},
}

func TestMatchmakeRepeats(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers []reply
		asked   []string
		atLeast []time.Duration // after the call before
	}{
		{
			"at once",
			[]reply{{status: 200, body: assignedJSON}},
			[]string{post},
			nil,
		},
		{
			"the reply is lost, the door is away, then busy",
			[]reply{
				{},
				{status: 200, body: `{"ticket":"t1","ses`},
				{status: 503, body: `{"code":"contention","detail":"x"}`, retry: "3"},
				{status: 502, body: "<html>"},
				{status: 429, body: `{"code":"rate_limited","detail":"x","retry_after":2.5}`},
				{status: 200, body: assignedJSON},
			},
			[]string{post, post, post, post, post, post},
			[]time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond, 3 * time.Second, 800 * time.Millisecond, 2500 * time.Millisecond},
		},
		{
			"a door that waits is asked again at once, a busy one later",
			[]reply{
				{status: 202, body: waitingJSON, after: 10 * time.Second},
				{status: 202, body: waitingJSON, after: 20 * time.Second},
				{status: 202, body: waitingJSON},
				{status: 200, body: assignedJSON},
			},
			[]string{post, get, get, get},
			[]time.Duration{0, 0, 0, 1500 * time.Millisecond},
		},
		{
			"the region forgot the ticket",
			[]reply{
				{status: 202, body: waitingJSON},
				{status: 404, body: `{"code":"not_found","detail":"x"}`},
				{status: 200, body: assignedJSON},
			},
			[]string{post, get, post},
			[]time.Duration{0, 1500 * time.Millisecond, 100 * time.Millisecond},
		},
		{
			"a place in line is sent along, also to a replica that has not heard of the ticket",
			[]reply{
				{status: 202, body: `{"ticket":"t1","position":9,"wait":6,"retry_after":5,"line":"one"}`},
				{status: 202, body: `{"ticket":"t1","position":3,"retry_after":1,"line":"two"}`},
				{},
				{status: 200, body: assignedJSON},
			},
			[]string{
				post, get + "&line=one", get + "&line=two",
				`POST /v1/matchmake {"line":"two","party":["ada","bo"],"place":"arena","ticket":"t1"}`,
			},
			[]time.Duration{0, 5 * time.Second, time.Second, 100 * time.Millisecond},
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{t: t, answers: c.answers}
			got, err := s.door().Matchmake(t.Context(), wish)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if got.Session != "ses_local_000123456789abcdef" || got.Address.String() != "192.0.2.1:7000" || got.Version != 3 ||
				string(got.JoinToken) != "\x01\x02" || got.ExpiresAt.Unix() != 1767323045 || len(got.Party) != 2 || got.Party[1] != "bo" {
				t.Errorf("%s: got %+v", c.name, got)
			}
			if !reflect.DeepEqual(s.asked, c.asked) {
				t.Errorf("%s: asked %q, want %q", c.name, s.asked, c.asked)
			}
			for i, least := range c.atLeast {
				if i == 0 {
					continue
				}
				took := time.Duration(0) // of the call before
				if strings.HasPrefix(c.name, "a door that waits") {
					took = []time.Duration{10 * time.Second, 20 * time.Second, 0}[i-1]
				}
				if gap := s.at[i] - s.at[i-1] - took; gap < least || gap > least*3/2+time.Millisecond {
					t.Errorf("%s: call %d came %v after the one before, want %v and up to half more", c.name, i, gap, least)
				}
			}
		})
	}
}

func TestMatchmakeGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{t: t, answers: []reply{
			{status: 400, body: `{"code":"invalid","field":"party[1]","detail":"party[1]: is empty"}`},
		}}
		_, err := s.door().Matchmake(t.Context(), wish)
		if throng.KindOf(err) != throng.Invalid || err.Error() != "party[1]: is empty" || len(s.asked) != 1 {
			t.Errorf("got %v after %d calls, want invalid after one", err, len(s.asked))
		}
		if e, ok := errors.AsType[*throng.Error](err); !ok || e.Field != "party[1]" {
			t.Errorf("got %+v, want field party[1]", e)
		}

		s = &script{t: t, answers: []reply{{status: 503, body: `{"code":"no_capacity","detail":"use a new ticket"}`}}}
		if _, err = s.door().Matchmake(t.Context(), wish); throng.KindOf(err) != throng.NoCapacity || len(s.asked) != 1 {
			t.Errorf("got %v after %d calls, want no_capacity after one: it says no time to come again", err, len(s.asked))
		}

		s = &script{t: t, answers: []reply{{status: 503, body: `{"code":"no_capacity","detail":"x","retry_after":1}`}}}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		_, err = s.door().Matchmake(ctx, wish)
		if took := time.Since(start); throng.KindOf(err) != throng.NoCapacity || took != 5*time.Second {
			t.Errorf("got %v after %v, want no_capacity after 5s", err, took)
		}

		s = &script{t: t, answers: []reply{{}}}
		start = time.Now()
		_, err = s.door().Matchmake(t.Context(), wish)
		if took := time.Since(start); throng.KindOf(err) != throng.Unavailable || took != joinTime || len(s.asked) > 130 {
			t.Errorf("got %v after %v and %d calls, want unavailable after %v", err, took, len(s.asked), joinTime)
		}

		// A line that takes long is waited for, and two minutes more.
		s = &script{t: t, answers: []reply{
			{status: 202, body: `{"ticket":"t1","position":9,"wait":300,"retry_after":20,"line":"one"}`},
			{status: 202, body: waitingJSON},
		}}
		start = time.Now()
		_, err = s.door().Matchmake(t.Context(), wish)
		if took := time.Since(start); throng.KindOf(err) != throng.Unavailable || took != joinTime+300*time.Second {
			t.Errorf("got %v after %v, want unavailable two minutes after the wait that was stated", err, took)
		}

		s = &script{t: t, answers: []reply{{status: 202, body: waitingJSON}}}
		_, err = s.door().Matchmake(t.Context(), wish)
		if throng.KindOf(err) != throng.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want unavailable", err)
		}
	})
}

func TestAwaitAsAMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{t: t, answers: []reply{{status: 202, body: waitingJSON}, {}, {status: 200, body: assignedJSON}}}
		if _, err := s.door().Await(t.Context(), throng.TicketKey{Caller: "bo", Ticket: "t1"}); err != nil {
			t.Fatal(err)
		}
		ask := "GET /v1/matchmake/t1?wait=20&caller=bo"
		alt := "GET /v1/matchmake/t1?caller=bo&wait=20"
		for _, got := range s.asked {
			if got != ask && got != alt {
				t.Errorf("asked %q, want %q", got, ask)
			}
		}
		s = &script{t: t, answers: []reply{{status: 404, body: `{"code":"not_found","detail":"x"}`}}}
		if _, err := s.door().Await(t.Context(), throng.TicketKey{Caller: "bo", Ticket: "t1"}); throng.KindOf(err) != throng.NotFound {
			t.Errorf("got %v, want not_found", err)
		}
	})
}

func TestAnswersThatAreNoDoors(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   throng.Kind
	}{
		{502, "", throng.Unavailable},
		{503, "<html>", throng.Unavailable},
		{504, "{}", throng.Unavailable},
		{429, "", throng.RateLimited},
		{401, "", throng.Denied},
		{403, "", throng.Denied},
		{404, "nothing here", throng.NotFound},
		{500, "", throng.Internal},
		{301, "", throng.Internal},
		{500, `{"code":"from_the_future","detail":"x"}`, throng.Internal},
		{200, `[`, throng.Unavailable},
	} {
		s := &script{t: t, answers: []reply{{status: c.status, body: c.body}}}
		if _, err := s.door().Regions(t.Context()); throng.KindOf(err) != c.want || err == nil {
			t.Errorf("%d %q: got %v (%v), want %v", c.status, c.body, err, throng.KindOf(err), c.want)
		}
	}
}

func TestNewRefusesAddresses(t *testing.T) {
	for _, addr := range []string{"", "localhost:8080", "ftp://door", "http://", "http://a b"} {
		if _, err := New(Config{Addr: addr}); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("%q: got %v, want invalid", addr, err)
		}
	}
	if _, err := NewServer(ServerConfig{Addr: "http://door", Server: "x"}); throng.KindOf(err) != throng.Invalid {
		t.Errorf("a bad server: got %v, want invalid", err)
	}
}

func TestPackagesAreBounded(t *testing.T) {
	b := &bounded{ReadCloser: io.NopCloser(strings.NewReader("12345678")), left: 5}
	got, err := io.ReadAll(b)
	if string(got) != "12345" || err == nil {
		t.Errorf("got %q, %v, want 5 bytes and an error", got, err)
	}
}

func TestReasonsAreCut(t *testing.T) {
	if got := cutReason(strings.Repeat("é", 600)); len(got) != 1000 || strings.ContainsRune(got, '\uFFFD') {
		t.Errorf("got %d bytes", len(got))
	}
	if got := cutReason(strings.Repeat("x", 999) + "é"); got != strings.Repeat("x", 999) {
		t.Errorf("got %d bytes, want 999", len(got))
	}
}
