package presence

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/throng-gg/throng"
)

// fakeSettings keeps what is applied, in its order.
type fakeSettings struct {
	mu      sync.Mutex
	away    bool     // guarded by mu
	applied []string // guarded by mu
}

func (s *fakeSettings) Apply(_ context.Context, e throng.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.away:
		return throng.Errorf(throng.Unavailable, "away")
	case e.Player == "":
		return throng.Errorf(throng.Invalid, "no player")
	}
	s.applied = append(s.applied, string(e.ID))
	return nil
}

func (s *fakeSettings) set(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

func (s *fakeSettings) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.applied
	s.applied = nil
	return got
}

// What regions tell of settings is applied in its order, again until that is possible,
// and presence goes on meanwhile.
func TestSettingsAreApplied(t *testing.T) {
	follows(t, func(r *rig) {
		tell := func(l *fakeLog, id throng.EventID, player throng.PlayerID) {
			l.came <- []throng.EventRecord{{Event: throng.Event{ID: id, Type: throng.EventPlayerPrivacy, Stream: throng.StreamPresence, Player: player, Time: now()}}}
			synctest.Wait()
		}
		is := func(want ...string) {
			t.Helper()
			if got := r.settings.taken(); !slices.Equal(got, want) {
				t.Errorf("got %v applied, want %v", got, want)
			}
		}
		tell(r.us, "1", "ada")
		tell(r.eu, "2", "ada") // the own region's, which may have lost it
		is("1", "2")
		r.settings.set(true)
		tell(r.us, "3", "")
		tell(r.us, "4", "ada")
		in := sessionOf("us", 1)
		r.us.says(t, in, at(0, 1), true, "bo")
		if p, _ := r.Elsewhere("bo"); p.State != throng.PresencePlaying {
			t.Errorf("while settings wait bo is %v", p)
		}
		is()
		r.settings.set(false)
		<-time.After(time.Second)
		synctest.Wait()
		is("4")
		if n := testutil.ToFloat64(r.Presence.metrics.settings.WithLabelValues("us", "strange")); n != 1 {
			t.Errorf("%g were strange, want one", n)
		}
	})
}
