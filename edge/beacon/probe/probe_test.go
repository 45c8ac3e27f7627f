package probe

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

const patience = 30 * time.Second

// beaconOf answers each datagram with what say makes of it, until the test ends.
// Nil is no answer.
func beaconOf(t *testing.T, say func(n int, ask []byte) [][]byte) string {
	t.Helper()
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		buffer := make([]byte, 2000)
		for i := 0; ; i++ {
			n, from, err := socket.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			for _, b := range say(i, buffer[:n]) {
				_, _ = socket.WriteToUDPAddrPort(b, from)
			}
		}
	}()
	t.Cleanup(func() {
		_ = socket.Close()
		<-over
	})
	return socket.LocalAddr().String()
}

func silence(int, []byte) [][]byte { return nil }

// talk is an exchange with a beacon that answers as say does, in a bubble: no time
// passes but what is waited.
func talk(t *testing.T, wait time.Duration, say func(n int, ask []byte) [][]byte) (trips []time.Duration, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		ours, theirs := net.Pipe()
		go func() {
			buffer := make([]byte, 2000)
			for i := 0; ; i++ {
				n, err := theirs.Read(buffer)
				if err != nil {
					return
				}
				for _, b := range say(i, bytes.Clone(buffer[:n])) {
					_, _ = theirs.Write(b)
				}
			}
		}()
		begun := time.Now()
		trips = exchange(ours, wait)
		took = time.Since(begun)
		_ = ours.Close()
	})
	return trips, took
}

// What another made up is not taken, whatever it has of a probe, and an answer that
// comes twice counts once.
func TestForged(t *testing.T) {
	trips, took := talk(t, time.Second, func(n int, ask []byte) [][]byte {
		wrong := bytes.Clone(ask)
		wrong[Size-1] ^= 1
		forged := [][]byte{wrong, ask[:Size-1], append(bytes.Clone(ask), 0), nil, make([]byte, 1500)}
		if n == 3 {
			return append(forged, ask, ask, ask, ask, ask)
		}
		return forged
	})
	if want := (Probes-1)*apart + time.Second; len(trips) != 1 || took != want {
		t.Errorf("got %v after %s, want one answer after %s", trips, took, want)
	}
}

// An answer counts from its own probe, however late, and nobody waits longer than
// for the last one.
func TestLateAnswers(t *testing.T) {
	var first []byte
	trips, took := talk(t, time.Second, func(n int, ask []byte) [][]byte {
		switch n {
		case 0:
			first = ask
			return nil
		case 1:
			return nil
		case 2:
			return [][]byte{ask, first}
		}
		return [][]byte{ask}
	})
	if len(trips) != Probes-1 || trips[1] != 2*apart || took != (Probes-1)*apart+time.Second {
		t.Errorf("got %v after %s", trips, took)
	}
	if trips, took = talk(t, time.Hour, func(_ int, ask []byte) [][]byte { return [][]byte{ask} }); len(trips) != Probes || took != (Probes-1)*apart {
		t.Errorf("all answer: got %v after %s", trips, took)
	}
}

func TestNobodyAnswers(t *testing.T) {
	at := beaconOf(t, silence)
	if _, err := UDP(t.Context(), at, time.Millisecond); throng.KindOf(err) != throng.Unavailable || err == nil {
		t.Errorf("got %v, want unavailable", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := UDP(ctx, at, patience); err == nil {
		t.Error("a cancelled probe has no error")
	}
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	if _, err := HTTP(t.Context(), s.Client(), s.URL+Path, patience); throng.KindOf(err) != throng.Unavailable || err == nil {
		t.Errorf("no beacon: got %v, want unavailable", err)
	}
	away := httptest.NewServer(http.RedirectHandler(s.URL, http.StatusFound))
	defer away.Close()
	if _, err := HTTP(t.Context(), away.Client(), away.URL+Path, patience); throng.KindOf(err) != throng.Unavailable || err == nil {
		t.Errorf("sent elsewhere: got %v, want unavailable", err)
	}
}

// web is a beacon over HTTP that counts who asks.
func web(t *testing.T, answer http.HandlerFunc) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL + Path, asked
}

func TestRegions(t *testing.T) {
	echo := func(_ int, ask []byte) [][]byte { return [][]byte{ask} }
	answer := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	good, unasked := web(t, answer)
	fallback, asked := web(t, answer)
	hangs, _ := web(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	near := waits{patience, patience}.regions(t.Context(), http.DefaultClient, map[throng.RegionID][]string{
		"near": {"udp://" + beaconOf(t, echo), good}, "none": nil, "bad": {"gopher://x"},
	})
	if n := unasked.Load(); len(near) != 1 || near["near"].Answered == 0 || n != 0 {
		t.Errorf("got %+v, want near; HTTP was asked %d times, want 0", near, n)
	}
	lost := waits{time.Millisecond, patience}.regions(t.Context(), http.DefaultClient, map[throng.RegionID][]string{
		"lost": {"udp://" + beaconOf(t, silence), fallback},
	})
	if n := asked.Load(); lost["lost"].Answered != Probes || n != Probes+1 {
		t.Errorf("got %+v, want lost; HTTP was asked %d times, want %d", lost, n, Probes+1)
	}
	silent := waits{time.Millisecond, time.Millisecond}.regions(t.Context(), http.DefaultClient, map[throng.RegionID][]string{
		"silent": {"udp://" + beaconOf(t, silence), hangs},
	})
	if len(silent) != 0 {
		t.Errorf("got %+v of a region that says nothing", silent)
	}
}

func TestCheckURL(t *testing.T) {
	for _, s := range []string{"udp://203.0.113.5:7810", "udp://[2001:db8::5]:7810", "udp://eu.example.com:1", "http://127.0.0.1:7810/beacon", "https://eu.example.com/beacon"} {
		if err := CheckURL(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for s, want := range map[string]string{
		"": "is not a beacon's URL", "203.0.113.5:7810": "is not a beacon's URL", "udp:x": "is not a beacon's URL", "udp://:7810": "is not a beacon's URL",
		"udp://h": "no port", "udp://h:0": "no port", "udp://h:65536": "no port", "udp://h:1/beacon": "end after the port", "http://h": "must end in /beacon",
		"https://h/beacon/": "must end in /beacon", "https://h/beacon?x=1": "more than host", "https://a:b@h/beacon": "more than host", "https://h/beacon#x": "more than host",
		"udp://0.0.0.0:1": "nobody can reach", "udp://[ff02::1]:1": "nobody can reach", "tcp://h:1": "must begin with", "https://" + strings.Repeat("x", 300) + "/beacon": "is not a beacon's URL",
	} {
		if err := CheckURL(s); throng.KindOf(err) != throng.Invalid || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", s, err, want)
		}
	}
}

func TestOf(t *testing.T) {
	ms := time.Millisecond
	for _, c := range []struct {
		trips []time.Duration
		want  Latency
	}{
		{nil, Latency{}},
		{[]time.Duration{7 * ms}, Latency{Median: 7 * ms, Answered: 1}},
		{[]time.Duration{30 * ms, 20 * ms, 90 * ms, 21 * ms, 19 * ms}, Latency{Median: 21 * ms, Jitter: 20250 * time.Microsecond, Answered: 5}},
	} {
		if got := Of(c.trips); got != c.want {
			t.Errorf("%v: got %+v, want %+v", c.trips, got, c.want)
		}
	}
}

func FuzzIs(f *testing.F) {
	f.Add([]byte(magic + "12345678"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if Is(b) && (len(b) < Size || len(b) > Most) {
			t.Errorf("%d bytes are a probe", len(b))
		}
	})
}

func FuzzCheckURL(f *testing.F) {
	f.Add("udp://203.0.113.5:7810")
	f.Add("https://eu.example.com/beacon")
	f.Fuzz(func(t *testing.T, s string) {
		if at, err := parseURL(s); (err == nil) != (at != target{}) {
			t.Errorf("%q: %+v, %v", s, at, err)
		}
	})
}
