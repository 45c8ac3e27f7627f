package kafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/kafka"
	"github.com/throng-gg/throng/kafka/embedded"
)

// readers keeps the IDs of what was handed over, in order.
type readers struct {
	mu  sync.Mutex
	ids []throng.EventID
}

func (r *readers) Handle(_ context.Context, _ throng.Stream, _ int32, batch []throng.EventRecord) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range batch {
		if !slices.Contains(r.ids, e.ID) {
			r.ids = append(r.ids, e.ID)
		}
	}
	return nil
}
func (r *readers) Idle(context.Context, throng.Stream, int32) error { return nil }
func (r *readers) Lost(throng.Stream, int32)                        {}

func (r *readers) all() []throng.EventID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ids)
}

// TestNothingIsTakenBack: events whose publisher ran out of time while the broker was
// away stand in front of those that came later.
func TestNothingIsTakenBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, err := embedded.Open(embedded.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	port, err := b.Port()
	if err != nil {
		t.Fatal(err)
	}
	l, err := kafka.New(kafka.Config{URL: b.Address(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Setup(t.Context(), kafka.SetupConfig{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	var want []throng.EventID
	publish := func(within time.Duration, n int) error {
		var list []throng.Event
		for range n {
			id := throng.EventID(fmt.Sprint("e", len(want)))
			want = append(want, id)
			list = append(list, throng.Event{ID: id, Type: "a.v1", Stream: throng.StreamPlay, Key: "k", Time: time.Now(), Data: []byte(`{}`)})
		}
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		return l.Publish(ctx, list)
	}
	if err := publish(time.Minute, 1); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if err := publish(300*time.Millisecond, 20); throng.KindOf(err) != throng.Unavailable || err == nil {
		t.Fatalf("without a broker: got %v, want Unavailable", err)
	}
	if b, err = embedded.Open(embedded.Config{Dir: dir, Port: port}); err != nil {
		t.Fatal(err)
	}
	if err := publish(time.Minute, 20); err != nil {
		t.Fatal(err)
	}

	got := &readers{}
	g, err := l.Group(kafka.GroupConfig{Group: "order", Streams: []throng.Stream{throng.StreamPlay}, Handler: got})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	for until := time.Now().Add(time.Minute); len(got.all()) < len(want) && time.Now().Before(until); {
		<-time.After(20 * time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if all := got.all(); !slices.Equal(all, want) {
		t.Errorf("got %v, want %v", all, want)
	}
}
