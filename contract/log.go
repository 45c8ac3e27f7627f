package contract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/kafka"
)

// Broker is what Logs tests against.
type Broker struct {
	Address string
	Restart func() // as after a crash, with what it has
}

// logWait is how long a case waits for what has to happen.
const logWait = 2 * time.Minute

// Logs is the contract of kafka on a broker: what a publisher wrote reaches groups,
// in order by key, at least once, whatever restarts. All cases share the broker,
// with topics of their own.
func Logs(t *testing.T, broker Broker) {
	t.Helper()
	for n, c := range []struct {
		name string
		test func(*testing.T, *logRig)
	}{
		{"topics are made once", logSetup},
		{"an event arrives as it was", logWhole},
		{"in order by key, over two members", logOrder},
		{"a batch that was not applied comes again", logAgain},
		{"a member that dies before its commit", logCrash},
		{"members come and go", logRebalance},
		{"what is published twice comes twice", logTwice},
		{"what is no event is parked and the rest flows", logParked},
		{"lag is told", logLag},
		{"how far a group is", logReached},
		{"the largest copy", logLarge},
		{"the broker restarts", logRestart},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &logRig{broker: broker, url: fmt.Sprintf("%s/c%d-%d", broker.Address, n, time.Now().UnixNano()%1_000_000)}
			r.log = r.open(t)
			ctx, cancel := context.WithTimeout(t.Context(), logWait)
			defer cancel()
			if _, err := r.log.Setup(ctx, kafka.SetupConfig{Partitions: 4}); err != nil {
				t.Fatal(err)
			}
			c.test(t, r)
		})
	}
}

type logRig struct {
	broker Broker
	url    string
	log    *kafka.Log
}

func (r *logRig) open(t *testing.T) *kafka.Log {
	t.Helper()
	l, err := kafka.New(kafka.Config{URL: r.url, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// events makes numbered ones, the keys taking turns.
func (r *logRig) events(from, n, keys int) []throng.Event {
	list := make([]throng.Event, n)
	for i := range list {
		no := from + i
		list[i] = throng.Event{
			ID: throng.EventID(fmt.Sprintf("e%d", no)), Type: throng.EventPlayerJoined, Stream: throng.StreamPlay, Key: fmt.Sprintf("key%d", no%keys),
			Region: "eu", Place: "arena", Player: "plr_1", Time: time.UnixMilli(1_750_000_000_000 + int64(no)).UTC(),
			Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, no)),
		}
	}
	return list
}

// publish repeats until it is written.
func (r *logRig) publish(t *testing.T, list []throng.Event) {
	t.Helper()
	for until := time.Now().Add(logWait); ; {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		err := r.log.Publish(ctx, list)
		cancel()
		if err == nil {
			return
		}
		if throng.KindOf(err) != throng.Unavailable || time.Now().After(until) {
			t.Fatalf("publish: %v", err)
		}
	}
}

// logEffects is what members of a group applied, each event once, and what was wrong.
type logEffects struct {
	mu     sync.Mutex
	order  map[string][]int // by key, each number once
	seen   map[throng.EventID]int
	stood  map[throng.EventID][]int64 // offsets
	by     map[string]int             // member to events
	wrong  []string
	inside map[string]string // partition to the member that is in Handle
}

func newLogEffects() *logEffects {
	return &logEffects{order: map[string][]int{}, seen: map[throng.EventID]int{}, stood: map[throng.EventID][]int64{}, by: map[string]int{}, inside: map[string]string{}}
}

// count is how many different events there were.
func (f *logEffects) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.seen)
}

// logMember is one member's handler.
type logMember struct {
	name string
	*logEffects
	before func(ctx context.Context, batch []throng.EventRecord) error // nil: none
	after  func(batch []throng.EventRecord) error                      // nil: none
}

// Handle applies a batch.
func (m *logMember) Handle(ctx context.Context, s throng.Stream, partition int32, batch []throng.EventRecord) error {
	at := fmt.Sprintf("%s/%d", s, partition)
	m.mu.Lock()
	if other := m.inside[at]; other != "" {
		m.wrong = append(m.wrong, fmt.Sprintf("%s and %s have %s at once", other, m.name, at))
	}
	m.inside[at] = m.name
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.inside, at)
	}()
	if m.before != nil {
		if err := m.before(ctx, batch); err != nil {
			return err
		}
	}
	m.mu.Lock()
	for i, e := range batch {
		if i > 0 && batch[i-1].Offset >= e.Offset || e.Partition != partition || e.Stream != s {
			m.wrong = append(m.wrong, fmt.Sprintf("%s: offset %d of partition %d after %d", at, e.Offset, e.Partition, batch[max(i-1, 0)].Offset))
		}
		m.stood[e.ID] = append(m.stood[e.ID], e.Offset)
		if m.seen[e.ID]++; m.seen[e.ID] > 1 {
			continue
		}
		var d struct{ N int }
		if err := json.Unmarshal(e.Data, &d); err != nil {
			m.wrong = append(m.wrong, err.Error())
		}
		m.order[e.Key] = append(m.order[e.Key], d.N)
		m.by[m.name]++
	}
	m.mu.Unlock()
	if m.after != nil {
		return m.after(batch)
	}
	return nil
}

// Idle does nothing.
func (m *logMember) Idle(context.Context, throng.Stream, int32) error { return nil }

// Lost does nothing.
func (m *logMember) Lost(throng.Stream, int32) {}

// join runs a member until the returned function is called.
func (r *logRig) join(t *testing.T, l *kafka.Log, group string, m *logMember) (leave func()) {
	t.Helper()
	g, err := l.Group(kafka.GroupConfig{
		Group: group, Member: m.name, Streams: []throng.Stream{throng.StreamPlay}, Handler: m, Batch: 500, Silent: 6 * time.Second, Idle: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	leave = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("member %s: %v", m.name, err)
		}
	})
	t.Cleanup(leave)
	return leave
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(logWait); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// whole says what is missing or out of order after n events.
func (f *logEffects) whole(t *testing.T, n int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.wrong {
		t.Error(w)
	}
	if len(f.seen) != n {
		t.Errorf("%d of %d events came", len(f.seen), n)
	}
	for key, list := range f.order {
		for i := range list {
			if i > 0 && list[i-1] >= list[i] {
				at := func(n int) []int64 { return f.stood[throng.EventID(fmt.Sprintf("e%d", n))] }
				t.Errorf("%s: %d came after %d, from offsets %d and %d", key, list[i], list[i-1], at(list[i]), at(list[i-1]))
				break
			}
		}
	}
}

func logSetup(t *testing.T, r *logRig) {
	made, err := r.log.Setup(t.Context(), kafka.SetupConfig{Partitions: 9})
	if err != nil || len(made) > 0 {
		t.Errorf("Setup again made %v, %v", made, err)
	}
	list, err := r.log.Status(t.Context())
	if err != nil || len(list) != 7 {
		t.Fatalf("%d streams, %v; want 7", len(list), err)
	}
	for _, s := range list {
		if want := map[bool]int{true: 1, false: 4}[s.Stream == throng.StreamParked]; s.Partitions != want || s.Events != 0 {
			t.Errorf("%+v; want %d empty partitions", s, want)
		}
	}
	other, err := kafka.New(kafka.Config{URL: r.broker.Address + "/nothing-here", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ctx, cancel := context.WithTimeout(t.Context(), logWait)
	defer cancel()
	if err := other.Publish(ctx, r.events(0, 1, 1)); throng.KindOf(err) != throng.Unavailable || !strings.Contains(err.Error(), "throng setup kafka") {
		t.Errorf("publish without topics: %v", err)
	}
}

func logWhole(t *testing.T, r *logRig) {
	want := throng.Event{
		ID: "evt-1", Type: "place.goal", Stream: throng.StreamPlay, Key: "ses_1", Region: "eu", Place: "arena", Session: "ses_1", Player: "plr_ä",
		Time: time.Unix(1_750_000_000, 123_456_789).UTC(), Data: json.RawMessage(`{"a":"ü","b":[1,2]}`),
	}
	r.publish(t, []throng.Event{want})
	got := make(chan throng.EventRecord, 10)
	m := &logMember{name: "one", logEffects: newLogEffects(), before: func(_ context.Context, batch []throng.EventRecord) error {
		for _, e := range batch {
			got <- e
		}
		return nil
	}}
	r.join(t, r.log, "whole", m)
	select {
	case e := <-got:
		if fmt.Sprintf("%+v", e.Event) != fmt.Sprintf("%+v", want) {
			t.Errorf("got  %+v\nwant %+v", e.Event, want)
		}
	case <-time.After(logWait):
		t.Fatal("it never came")
	}
}

func logOrder(t *testing.T, r *logRig) {
	f := newLogEffects()
	r.join(t, r.log, "order", &logMember{name: "one", logEffects: f})
	r.join(t, r.log, "order", &logMember{name: "two", logEffects: f})
	const n = 20_000
	for from := 0; from < n; from += 1000 {
		r.publish(t, r.events(from, 1000, 37))
	}
	until(t, "all events", func() bool { return f.count() == n })
	f.whole(t, n)
}

func logAgain(t *testing.T, r *logRig) {
	f := newLogEffects()
	failures := 3
	m := &logMember{name: "one", logEffects: f, before: func(context.Context, []throng.EventRecord) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if failures--; failures >= 0 {
			return errors.New("the store is away")
		}
		return nil
	}}
	r.publish(t, r.events(0, 2000, 5))
	r.join(t, r.log, "again", m)
	until(t, "all events", func() bool { return f.count() == 2000 })
	f.whole(t, 2000)
}

func logCrash(t *testing.T, r *logRig) {
	const n = 3000
	r.publish(t, r.events(0, n, 11))
	f := newLogEffects()
	dying := make(chan struct{})
	die := sync.OnceFunc(func() { close(dying) })
	first := r.open(t)
	leave := r.join(t, first, "crash", &logMember{name: "one", logEffects: f, after: func([]throng.EventRecord) error {
		die() // the effect is there, the commit is not
		return errors.New("it dies here")
	}})
	<-dying
	leave()
	before := f.count()
	// Its name comes back: what was applied and not committed comes again.
	r.join(t, r.log, "crash", &logMember{name: "one", logEffects: f})
	until(t, "all events", func() bool { return f.count() == n })
	until(t, "the batch that was not committed again", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		again := 0
		for _, times := range f.seen {
			if times > 1 {
				again++
			}
		}
		return again >= before
	})
	f.whole(t, n)
}

func logRebalance(t *testing.T, r *logRig) {
	f := newLogEffects()
	r.join(t, r.log, "rebalance", &logMember{logEffects: f, name: ""})
	const n = 12_000
	from := 0
	step := func() {
		r.publish(t, r.events(from, 1000, 23))
		from += 1000
	}
	step()
	until(t, "the first events", func() bool { return f.count() > 0 })
	second := newLogEffects()
	leave := r.join(t, r.open(t), "rebalance", &logMember{logEffects: second, name: ""})
	published := time.Now()
	until(t, "events at the second member", func() bool {
		if from < n-2000 && time.Since(published) >= 100*time.Millisecond {
			step()
			published = time.Now()
		}
		return second.count() > 0
	})
	leave()
	for from < n {
		step()
	}
	both := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		second.mu.Lock()
		defer second.mu.Unlock()
		all := len(f.seen)
		for id := range second.seen {
			if f.seen[id] == 0 {
				all++
			}
		}
		return all
	}
	until(t, "all events at one or the other", func() bool { return both() == n })
	f.whole(t, f.count())
	second.whole(t, second.count())
}

func logTwice(t *testing.T, r *logRig) {
	list := r.events(0, 100, 3)
	r.publish(t, list)
	r.publish(t, list)
	f := newLogEffects()
	r.join(t, r.log, "twice", &logMember{name: "one", logEffects: f})
	until(t, "each of them twice", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, e := range list {
			if f.seen[e.ID] != 2 {
				return false
			}
		}
		return true
	})
	f.whole(t, 100)
}

func logLag(t *testing.T, r *logRig) {
	r.publish(t, r.events(0, 500, 7))
	f := newLogEffects()
	leave := r.join(t, r.log, "lag", &logMember{name: "one", logEffects: f})
	lag := func() (n int64) {
		list, err := r.log.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range list[0].Groups {
			if g.Group == "lag" {
				return g.Lag
			}
		}
		return -1
	}
	until(t, "no lag", func() bool { return lag() == 0 })
	leave()
	r.publish(t, r.events(500, 200, 7))
	if got := lag(); got != 200 {
		t.Errorf("lag is %d, want 200", got)
	}
}

func logRestart(t *testing.T, r *logRig) {
	if r.broker.Restart == nil {
		t.Skip("this broker does not restart")
	}
	f := newLogEffects()
	r.join(t, r.log, "restart", &logMember{name: "one", logEffects: f})
	r.publish(t, r.events(0, 2000, 13))
	until(t, "some events", func() bool { return f.count() > 0 })
	r.broker.Restart()
	r.publish(t, r.events(2000, 2000, 13))
	until(t, "all events", func() bool { return f.count() == 4000 })
	f.whole(t, 4000)
}
