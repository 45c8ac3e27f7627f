package contract

import (
	"context"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/throng-gg/throng"
)

// logParked: what is no event, and what a group cannot apply, is parked with the
// reason; the rest flows; replayed it comes again.
func logParked(t *testing.T, r *logRig) {
	r.publishJunk(t)
	r.publish(t, r.events(0, 100, 5))
	f := newLogEffects()
	poisoned := throng.EventID("e42")
	m := &logMember{name: "one", logEffects: f}
	m.before = func(ctx context.Context, batch []throng.EventRecord) error {
		f.mu.Lock()
		bad := poisoned
		f.mu.Unlock()
		for _, e := range batch {
			if e.ID != bad {
				continue
			}
			if err := r.log.Park(ctx, "parked", e, "n is 42"); err != nil {
				return err
			}
		}
		return nil
	}
	r.join(t, r.log, "parked", m)
	until(t, "the rest", func() bool { return f.count() == 100 })
	var list []throng.EventParked
	until(t, "two that are parked", func() bool {
		list = r.parked(t)
		return len(list) == 2
	})
	for _, p := range list {
		checkParked(t, p, poisoned)
	}
	f.mu.Lock()
	poisoned = "" // it was mended
	times := f.seen["e42"]
	f.mu.Unlock()
	for _, p := range list {
		r.replay(t, p)
	}
	until(t, "the replayed one again", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.seen["e42"] > times
	})
	if list = r.parked(t); len(list) != 0 {
		t.Errorf("%d are parked still", len(list))
	}
}

// publishJunk writes what is no event, as something else than throng would.
func (r *logRig) publishJunk(t *testing.T) {
	t.Helper()
	raw, err := kgo.NewClient(kgo.SeedBrokers(r.broker.Address))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_, prefix, _ := strings.Cut(r.url, "/")
	junk := &kgo.Record{Topic: prefix + "." + string(throng.StreamPlay), Key: []byte("key1"), Value: []byte("not JSON")}
	if err := raw.ProduceSync(t.Context(), junk).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// parked lists what is parked now.
func (r *logRig) parked(t *testing.T) []throng.EventParked {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), logWait)
	defer cancel()
	list, err := r.log.Parked(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// checkParked says what is wrong with one of the two that are parked.
func checkParked(t *testing.T, p throng.EventParked, poisoned throng.EventID) {
	t.Helper()
	switch {
	case p.Group != "parked" || p.At.IsZero() || p.Stream != throng.StreamPlay:
		t.Errorf("%+v", p)
	case p.ID == poisoned && (p.Reason != "n is 42" || string(p.Data) != `{"n":42}` || p.Key != "key2" || p.Raw != nil):
		t.Errorf("%+v", p)
	case p.ID == "" && (string(p.Raw) != "not JSON" || !strings.Contains(p.Reason, "no event")):
		t.Errorf("%+v", p)
	}
}

// replay publishes a parked event again; what is none is refused, and dropped.
func (r *logRig) replay(t *testing.T, p throng.EventParked) {
	t.Helper()
	err := r.log.Replay(t.Context(), p)
	if p.ID != "" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	if throng.KindOf(err) != throng.Invalid {
		t.Errorf("replay of what is no event: %v", err)
	}
	if err := r.log.Drop(t.Context(), p); err != nil {
		t.Error(err)
	}
}
