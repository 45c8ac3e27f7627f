package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/edge/beacon"
	"github.com/throng-gg/throng/edge/beacon/probe"
)

// world is a door and the beacons over HTTP that it names, each with its time to
// answer; negative: it never does.
type world struct {
	regions string // what GET /v1/regions says; empty: it is denied
	takes   map[string]time.Duration
	mu      sync.Mutex
	asked   []string // guarded by mu; of the door
	probes  int      // guarded by mu
}

func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	takes := w.takes[r.URL.Host]
	w.mu.Lock()
	body := ""
	if r.Body != nil {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body = " " + string(text)
	}
	a := reply{status: http.StatusNoContent, after: takes}
	switch {
	case r.URL.Path == probe.Path:
		w.probes++
	case r.URL.Path == "/v1/regions" && w.regions == "":
		a = reply{status: http.StatusForbidden, body: `{"code":"denied","detail":"x"}`, after: takes}
	case r.URL.Path == "/v1/regions":
		a = reply{status: http.StatusOK, body: w.regions, after: takes}
	default:
		a = reply{status: http.StatusOK, body: assignedJSON}
	}
	if r.URL.Path != probe.Path {
		w.asked = append(w.asked, r.Method+" "+r.URL.Path+body)
	}
	w.mu.Unlock()
	if takes < 0 && a.body != assignedJSON {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return a.to(r)
}

func (w *world) door(t *testing.T) *Door {
	t.Helper()
	d, err := New(Config{Addr: "http://door", Token: "tok", HTTP: &http.Client{Transport: w}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// seen is what the door was asked since the last time, and how many probes came.
func (w *world) seen() (asked []string, probes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked, probes = w.asked, w.probes
	w.asked, w.probes = nil, 0
	return asked, probes
}

const (
	twoRegions = `{"regions":[{"id":"eu","beacon_urls":["http://slow/beacon","http://eu/beacon"]},{"id":"us","beacon_urls":["http://us/beacon"]},{"id":"xx"},{"id":"No Region","beacon_urls":["http://eu/beacon"]}]}`
	list       = "GET /v1/regions"
)

func posted(latencies string) string {
	return `POST /v1/matchmake {` + latencies + `"party":["ada","bo"],"place":"arena","ticket":"t1"}`
}

func unmeasured() throng.Ticket {
	t := wish
	t.Latencies = nil
	return t
}

// Tickets bring what was measured, once for all clients of a door, for ten minutes.
func TestTicketsBringLatencies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{regions: twoRegions, takes: map[string]time.Duration{"eu": 20 * time.Millisecond, "slow": 90 * time.Millisecond, "us": 110500 * time.Microsecond}}
		d := w.door(t)
		bo, err := d.As("another")
		if err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		for _, door := range []*Door{d, bo} {
			both.Go(func() {
				if _, err := door.Matchmake(t.Context(), unmeasured()); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		measured := posted(`"latencies":{"eu":20,"us":110.5},`)
		if asked, probes := w.seen(); !slices.Equal(asked, []string{list, measured, measured}) || probes != 3*(probe.Probes+1) {
			t.Errorf("asked %q with %d probes, want one measurement for both", asked, probes)
		}
		far, err := d.Latencies(t.Context())
		if want := (probe.Latency{Median: 20 * time.Millisecond, Answered: probe.Probes}); err != nil || len(far) != 2 || far["eu"] != want {
			t.Errorf("got %+v, %v, want eu %+v", far, err, want)
		}
		<-time.After(measuredFor - 2*time.Second)
		if _, err := d.MatchmakeOnce(t.Context(), unmeasured()); err != nil {
			t.Fatal(err)
		}
		if asked, probes := w.seen(); !slices.Equal(asked, []string{measured}) || probes != 0 {
			t.Errorf("within ten minutes asked %q with %d probes", asked, probes)
		}
		<-time.After(2 * time.Second)
		if _, err := d.MatchmakeOnce(t.Context(), unmeasured()); err != nil {
			t.Fatal(err)
		}
		if asked, probes := w.seen(); !slices.Equal(asked, []string{list, measured}) || probes == 0 {
			t.Errorf("after ten minutes asked %q with %d probes", asked, probes)
		}
	})
}

// What the caller says himself stays, and who goes to a session that is given
// measures nothing.
func TestTicketsThatAreNotMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{regions: twoRegions}
		d := w.door(t)
		own, named, friend := unmeasured(), unmeasured(), unmeasured()
		own.Latencies = map[throng.RegionID]float64{"eu": 7}
		named.Session, friend.Friend = "ses_local_000123456789abcdef", "cy"
		for _, ticket := range []throng.Ticket{own, named, friend, wish} {
			if _, err := d.Matchmake(t.Context(), ticket); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := d.JoinPrivate(t.Context(), unmeasured(), "code"); err != nil {
			t.Fatal(err)
		}
		asked, probes := w.seen()
		if probes != 0 || slices.Contains(asked, list) || asked[0] != posted(`"latencies":{"eu":7},`) || asked[3] != post {
			t.Errorf("asked %q with %d probes", asked, probes)
		}
	})
}

// Beacons, and a door, that say nothing hold a ticket for 1.5 s, and for half of the
// time that it has; the next measurement is a minute later.
func TestSilentBeacons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{regions: twoRegions, takes: map[string]time.Duration{"eu": 20 * time.Millisecond, "slow": -1, "us": -1}}
		d := w.door(t)
		begun := time.Now()
		ask := func(ctx context.Context, d *Door) time.Duration {
			begun = time.Now()
			if _, err := d.MatchmakeOnce(ctx, unmeasured()); err != nil {
				t.Fatal(err)
			}
			return time.Since(begun)
		}
		if took := ask(t.Context(), d); took > measureTime {
			t.Errorf("took %s, want %s at most", took, measureTime)
		}
		if asked, _ := w.seen(); !slices.Equal(asked, []string{list, posted(`"latencies":{"eu":20},`)}) {
			t.Errorf("asked %q, want the region that answered", asked)
		}
		if took := ask(t.Context(), d); took != 0 {
			t.Errorf("the next one took %s, want none", took)
		}
		<-time.After(soonAgain)
		w.seen()
		ask(t.Context(), d)
		if asked, _ := w.seen(); len(asked) != 2 {
			t.Errorf("a minute later asked %q, want another measurement", asked)
		}

		w = &world{takes: map[string]time.Duration{"door": -1}}
		if took := ask(t.Context(), w.door(t)); took != measureTime {
			t.Errorf("a door that does not list regions: took %s, want %s", took, measureTime)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if took := ask(short, w.door(t)); took != 500*time.Millisecond {
			t.Errorf("a ticket with a second: took %s, want half of it", took)
		}
		w = &world{}
		if took := ask(t.Context(), w.door(t)); took != 0 {
			t.Errorf("regions are denied: took %s", took)
		}
		<-time.After(measureTime) // what is under way ends
	})
}

// A beacon is measured over real sockets.
func TestLatencies(t *testing.T) {
	b, err := beacon.New(beacon.Config{Listen: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	over := make(chan error, 1)
	go func() { over <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"regions":[{"id":"local","beacon_urls":["udp://%s"]}]}`, b.Address())
	}))
	defer door.Close()
	var far map[throng.RegionID]probe.Latency
	for range 20 { // the machine may be too busy for the time that clients give
		d, err := New(Config{Addr: door.URL, Token: "tok"})
		if err != nil {
			t.Fatal(err)
		}
		if far, err = d.Latencies(t.Context()); err != nil || far["local"].Answered > 0 {
			break
		}
	}
	if l := far["local"]; l.Answered == 0 || l.Median <= 0 {
		t.Errorf("got %+v", far)
	}
	if n := networkOf(t.Context()); n != networkOf(t.Context()) || strings.Contains(fmt.Sprint(n), "192.0.2.1") {
		t.Errorf("the network is %v, want its own addresses, each time the same", n)
	}
}
