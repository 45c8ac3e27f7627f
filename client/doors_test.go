package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/throng-gg/throng"
)

// region is doors by host. A host without one is down.
type region map[string]http.HandlerFunc

func (r region) RoundTrip(req *http.Request) (*http.Response, error) {
	door := r[req.URL.Host]
	if door == nil {
		return nil, errors.New("connection refused")
	}
	w := httptest.NewRecorder()
	door(w, req)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// asks answers with one access token and notes what it was asked.
func asks(got *[]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		*got = append(*got, r.Host+r.URL.RequestURI()+" "+string(body))
		if err != nil || len(body) == 0 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, `{"access_token":"t"}`)
	}
}

func TestACallGoesToTheNextDoor(t *testing.T) {
	var got []string
	doors := region{"b": asks(&got), "c": asks(&got)}
	d, err := New(Config{Addr: "http://a, http://b/below/ ,https://c", HTTP: &http.Client{Transport: doors}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := d.DevToken(t.Context(), "ada", "player"); err != nil {
			t.Fatal(err)
		}
	}
	as, err := d.As("tok")
	if err != nil {
		t.Fatal(err)
	}
	delete(doors, "b")
	if _, err := as.DevToken(t.Context(), "bo", "player"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.DevToken(t.Context(), "cy", "player"); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`b/below/v1/dev/token {"player":"ada","role":"player"}`, `b/below/v1/dev/token {"player":"ada","role":"player"}`,
		`c/v1/dev/token {"player":"bo","role":"player"}`, `c/v1/dev/token {"player":"cy","role":"player"}`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	clear(doors)
	if _, err := d.DevToken(t.Context(), "ada", "player"); throng.KindOf(err) != throng.Unavailable || err == nil {
		t.Errorf("no door: got %v, want unavailable", err)
	}
}

// A door that stops says Unavailable: the repeat goes elsewhere. One that hangs says
// nothing: after a while the call itself does.
func TestADoorThatStopsOrHangsIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		doors := region{
			"a": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
			"b": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			"c": asks(&got),
		}
		d, err := New(Config{Addr: "http://a,http://b,http://c", HTTP: &http.Client{Transport: doors}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.DevToken(t.Context(), "ada", "player"); throng.KindOf(err) != throng.Unavailable || err == nil {
			t.Errorf("got %v, want unavailable", err)
		}
		begun := time.Now()
		if _, err := d.DevToken(t.Context(), "ada", "player"); err != nil || len(got) != 1 || time.Since(begun) != doorTime {
			t.Errorf("second try: got %v, %v after %s, want an answer of c after %s", got, err, time.Since(begun), doorTime)
		}
		// A caller who gives up says nothing about the door.
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := d.DevToken(gone, "ada", "player"); err == nil {
			t.Error("a caller who is gone: got an answer")
		}
		if _, err := d.DevToken(t.Context(), "ada", "player"); err != nil {
			t.Errorf("after that: %v", err)
		}
	})
}

func TestLearnedDoors(t *testing.T) {
	d, err := parseDoors("http://a,http://b")
	if err != nil {
		t.Fatal(err)
	}
	d.leave("http://a/")
	d.learn([]string{"http://c", "no URL", "http://b/", "http://c"})
	var got []string
	for range d.count() {
		got = append(got, d.now())
		d.leave(d.now())
	}
	want := []string{"http://b/", "http://a/", "http://c/"} // goes on where it was; what was given stays
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	d.learn([]string{"http://x"})
	d.leave("http://c/") // which is not the one to call any more
	if got := d.now(); got == "http://c/" {
		t.Errorf("got %s, which is gone", got)
	}
}

// connections tells on which door a server has its control connection.
type connections struct{ said chan string }

func (connections) Connected()                           {}
func (connections) Handover(throng.Handover) error       { return nil }
func (connections) Order(throng.SessionID, throng.Order) {}
func (connections) Stop(string)                          {}

func TestTheControlConnectionMovesOn(t *testing.T) {
	said := make(chan string, 8)
	door := func(name string) (url string, kill func()) {
		var mu sync.Mutex
		var open []*websocket.Conn
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			if _, _, err := conn.Read(r.Context()); err == nil {
				said <- name
			}
			_, _, _ = conn.Read(r.Context())
		}))
		kill = func() {
			_ = s.Listener.Close()
			mu.Lock()
			for _, conn := range open {
				_ = conn.CloseNow()
			}
			mu.Unlock()
			s.Close()
		}
		t.Cleanup(kill)
		return s.URL, kill
	}
	first, kill := door("first")
	second, _ := door("second")
	id := throng.MakeServerID("local", throng.Entropy{1})
	s, err := NewServer(ServerConfig{Addr: first + "," + second, Server: id, Token: "x"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	defer serving.Wait()
	defer cancel()
	serving.Go(func() {
		for ctx.Err() == nil {
			err := s.Serve(ctx, throng.Hello{Server: id, Incarnation: "inc"}, connections{said})
			if ctx.Err() == nil && throng.KindOf(err) != throng.Unavailable {
				t.Errorf("got %v, want unavailable", err)
			}
		}
	})
	expect := func(want string) time.Duration {
		t.Helper()
		begun := time.Now()
		select {
		case got := <-said:
			if got != want {
				t.Fatalf("connected to %s, want %s", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("never connected to %s", want)
		}
		return time.Since(begun)
	}
	expect("first")
	kill()
	t.Logf("moved on after %s", expect("second"))
}
