package presence

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/throng-gg/throng"
)

// now is the time in a bubble, which begins before there are epochs.
func now() time.Time { return time.Now().Add(30 * 365 * 24 * time.Hour) }

// fakeLog is a region's log: what it is given comes out of its tail.
type fakeLog struct {
	came   chan []throng.EventRecord
	heard  chan time.Time
	broken chan error // ends the tail

	mu    sync.Mutex
	since []time.Time // guarded by mu; of each tail
}

func newFakeLog() *fakeLog {
	return &fakeLog{came: make(chan []throng.EventRecord), heard: make(chan time.Time), broken: make(chan error)}
}

func (l *fakeLog) Tail(ctx context.Context, s throng.Stream, since time.Time, take func([]throng.EventRecord, int), heard func(time.Time)) error {
	if s != throng.StreamPresence {
		return fmt.Errorf("stream %s is followed", s)
	}
	l.mu.Lock()
	l.since = append(l.since, since)
	l.mu.Unlock()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-l.broken:
			return err
		case batch := <-l.came:
			take(batch, 0)
		case at := <-l.heard:
			heard(at)
		}
	}
}

// says lets a session say that players are in, or left.
func (l *fakeLog) says(t *testing.T, s throng.SessionID, e throng.Epoch, in bool, players ...throng.PlayerID) {
	t.Helper()
	var batch []throng.EventRecord
	for _, p := range players {
		event, err := throng.MakeEvent(throng.Event{
			ID: "e", Type: throng.EventPresenceChanged, Stream: throng.StreamPresence, Key: throng.PresenceKey(p, s), Place: "arena", Session: s, Player: p, Time: now(),
		}, throng.PresenceChanged{Epoch: e, In: in})
		if err != nil {
			t.Fatal(err)
		}
		batch = append(batch, throng.EventRecord{Event: event})
	}
	l.came <- batch
	synctest.Wait()
}

// fakeRegistry has seats.
type fakeRegistry struct {
	mu    sync.Mutex
	seats map[throng.PlayerID]throng.Epoch // guarded by mu
	away  bool                             // guarded by mu
	asked []string                         // guarded by mu
}

func (r *fakeRegistry) EvictOlder(_ context.Context, p throng.PlayerID, than throng.Epoch) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, string(p))
	if r.away {
		return false, throng.Errorf(throng.Unavailable, "rebuilding")
	}
	at, seated := r.seats[p]
	if !seated || at >= than {
		return false, nil
	}
	delete(r.seats, p)
	return true, nil
}

func (r *fakeRegistry) set(away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = away
}

func (r *fakeRegistry) taken() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	slices.Sort(asked)
	return asked
}

type rig struct {
	*Presence
	eu, us   *fakeLog // eu is the own region
	registry *fakeRegistry
	settings *fakeSettings
	metrics  *prometheus.Registry
}

// follows runs a Presence in a bubble.
func follows(t *testing.T, run func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{eu: newFakeLog(), us: newFakeLog(), registry: &fakeRegistry{seats: map[throng.PlayerID]throng.Epoch{}}, settings: &fakeSettings{}, metrics: prometheus.NewRegistry()}
		var err error
		r.Presence, err = New(Config{
			Own: "eu", Logs: map[throng.RegionID]Log{"eu": r.eu, "us": r.us}, Registry: r.registry, Settings: r.settings, Now: now, Logger: slog.New(slog.DiscardHandler), Metrics: r.metrics,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		defer func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		run(r)
	})
}

func (r *rig) hear() {
	r.eu.heard <- now()
	r.us.heard <- now()
	synctest.Wait()
}

// at is an epoch that was made now, and as many milliseconds later.
func at(ms int, region uint8) throng.Epoch {
	return throng.NextEpoch(now().Add(time.Duration(ms)*time.Millisecond), 0, region)
}

// TestElsewhere: a region's copy answers with its age, while the region is away too.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	follows(t, func(r *rig) {
		e := at(0, 2)
		r.us.says(t, sessionOf("us", 1), e, true, "ada")
		r.us.says(t, sessionOf("eu", 1), e+256, true, "ada") // not its own to say
		r.hear()
		heard := now()
		<-time.After(time.Minute)
		got, asOf := r.Elsewhere("ada")
		if want := (throng.Presence{Player: "ada", State: throng.PresencePlaying, Session: sessionOf("us", 1), Place: "arena", Epoch: e}); got != want || !asOf.Equal(heard) {
			t.Errorf("got %+v as of %s, want %+v as of %s", got, asOf, want, heard)
		}
		if got := r.Highest("ada"); got != e {
			t.Errorf("got %d, want %d", got, e)
		}
		if got, _ := r.Elsewhere("bo"); got.State != throng.PresenceNone || r.Highest("bo") != 0 {
			t.Errorf("a stranger: got %+v", got)
		}
		r.eu.says(t, sessionOf("eu", 1), e+256, true, "ada") // which its own registry knows better
		if got, _ := r.Elsewhere("ada"); got.Session != sessionOf("us", 1) {
			t.Errorf("got %+v, want what the other region says", got)
		}
		if age := testutil.ToFloat64(gauge{r, "throng_presence_age_seconds", "us"}); age != 60 {
			t.Errorf("got an age of %v s, want 60", age)
		}
	})
}

// gauge is one of the region's own metrics.
type gauge struct {
	r            *rig
	name, region string
}

func (g gauge) Describe(chan<- *prometheus.Desc) {}

func (g gauge) Collect(out chan<- prometheus.Metric) {
	families, err := g.r.metrics.Gather()
	if err != nil {
		panic(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == g.name && len(m.GetLabel()) > 0 && m.GetLabel()[0].GetValue() == g.region {
				out <- prometheus.MustNewConstMetric(prometheus.NewDesc("found", "It.", nil, nil), prometheus.GaugeValue, m.GetGauge().GetValue())
			}
		}
	}
}

// TestOlderSeatsAreEvicted, whichever is heard first, once the registry can be asked;
// and it is asked of nobody else.
func TestOlderSeatsAreEvicted(t *testing.T) {
	t.Parallel()
	follows(t, func(r *rig) {
		r.hear()
		old, newer := at(0, 1), at(1, 2)
		r.registry.seats["ada"], r.registry.seats["bo"], r.registry.seats["cy"] = old, old, newer+256
		r.eu.says(t, sessionOf("eu", 1), old, true, "ada")
		r.us.says(t, sessionOf("us", 1), newer, true, "ada", "bo", "cy", "dee")
		if got := r.registry.taken(); !slices.Equal(got, []string{"ada"}) {
			t.Errorf("the registry was asked of %v, want ada", got)
		}
		r.registry.set(true)
		r.eu.says(t, sessionOf("eu", 1), old, true, "bo")
		r.eu.says(t, sessionOf("eu", 1), newer+256, true, "cy")
		<-time.After(2 * time.Second)
		r.registry.set(false)
		<-time.After(time.Second)
		if got := slices.Compact(r.registry.taken()); !slices.Equal(got, []string{"bo"}) {
			t.Errorf("the registry was asked of %v, want bo, until it answered", got)
		}
		if len(r.registry.seats) != 1 || r.registry.seats["cy"] == 0 {
			t.Errorf("got seats %v, want the newer one", r.registry.seats)
		}
		if got := testutil.ToFloat64(r.Presence.metrics.evictions); got != 2 {
			t.Errorf("%v evictions were counted, want 2", got)
		}
		r.eu.says(t, sessionOf("eu", 1), old, false, "ada", "bo")
		r.us.says(t, sessionOf("us", 1), newer, false, "ada", "bo")
		if got := r.registry.taken(); len(got) != 0 {
			t.Errorf("the registry was asked of %v, who left", got)
		}
	})
}

// TestOwnLogAway: while it is not known who is here, the registry is asked of all.
func TestOwnLogAway(t *testing.T) {
	t.Parallel()
	follows(t, func(r *rig) {
		r.registry.seats["ada"] = at(0, 1)
		<-time.After(awayAfter + time.Second)
		r.us.says(t, sessionOf("us", 1), at(1, 2), true, "ada", "bo")
		if got := r.registry.taken(); !slices.Equal(got, []string{"ada", "bo"}) || len(r.registry.seats) != 0 {
			t.Errorf("the registry was asked of %v, and has %v", got, r.registry.seats)
		}
	})
}

// TestFollowsAnew: a log that fails is followed anew, from a day before; the other one
// goes on.
func TestFollowsAnew(t *testing.T) {
	t.Parallel()
	follows(t, func(r *rig) {
		r.us.broken <- throng.Errorf(throng.Unavailable, "it is another one")
		r.eu.says(t, sessionOf("eu", 1), at(0, 1), true, "ada")
		<-time.After(againFirst)
		r.us.says(t, sessionOf("us", 1), at(0, 2), true, "ada")
		if got, _ := r.Elsewhere("ada"); got.Session != sessionOf("us", 1) {
			t.Errorf("got %+v, want what came after", got)
		}
		r.us.mu.Lock()
		defer r.us.mu.Unlock()
		if len(r.us.since) != 2 || !r.us.since[1].Equal(now().Add(-KeepTime)) {
			t.Errorf("it was followed from %v, want from a day before, twice", r.us.since)
		}
	})
}
