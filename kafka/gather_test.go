package kafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/kafka"
	"github.com/throng-gg/throng/kafka/embedded"
)

// turns says how many events each call of Handle had.
type turns chan int

func (c turns) Handle(_ context.Context, _ throng.Stream, _ int32, batch []throng.EventRecord) error {
	for i := 1; i < len(batch); i++ {
		if batch[i].Offset <= batch[i-1].Offset {
			return fmt.Errorf("offset %d comes after %d", batch[i].Offset, batch[i-1].Offset)
		}
	}
	c <- len(batch)
	return nil
}
func (turns) Idle(context.Context, throng.Stream, int32) error { return nil }
func (turns) Lost(throng.Stream, int32)                        {}

// TestGather: events that come one by one are handed over together, once they are as
// many as a turn may have.
func TestGather(t *testing.T) {
	t.Parallel()
	b, err := embedded.Open(embedded.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	l, err := kafka.New(kafka.Config{URL: b.Address(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Setup(t.Context(), kafka.SetupConfig{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	const most = 12
	got := make(turns, most)
	g, err := l.Group(kafka.GroupConfig{Group: "gather", Streams: []throng.Stream{throng.StreamPlay}, Handler: got, Batch: most, Gather: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	for i := range most {
		e := throng.Event{ID: throng.EventID(fmt.Sprint("e", i)), Type: "a.v1", Stream: throng.StreamPlay, Key: "k", Time: time.Now(), Data: []byte(`{}`)}
		if err := l.Publish(t.Context(), []throng.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case n := <-got:
		if n != most {
			t.Errorf("%d events were handed over together, want %d", n, most)
		}
	case <-time.After(time.Minute):
		t.Error("nothing was handed over within a minute")
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
