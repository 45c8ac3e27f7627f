package kafka_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/kafka"
	"github.com/throng-gg/throng/kafka/embedded"
)

// busy is a handler that is at its first batch until it is free.
type busy struct {
	begin func()
	free  chan struct{}
}

func (b busy) Handle(context.Context, throng.Stream, int32, []throng.EventRecord) error {
	b.begin()
	<-b.free
	return nil
}
func (busy) Idle(context.Context, throng.Stream, int32) error { return nil }
func (busy) Lost(throng.Stream, int32)                        {}

// TestWhoLeavesWaitsForNobody: a member that is told to end while the group waits for a
// busy one to share partitions out anew ends, as long as that may take.
func TestWhoLeavesWaitsForNobody(t *testing.T) {
	t.Parallel()
	b, err := embedded.Open(embedded.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	l, err := kafka.New(kafka.Config{URL: b.Address(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	if _, err := l.Setup(t.Context(), kafka.SetupConfig{Partitions: 2}); err != nil {
		t.Fatal(err)
	}
	e := throng.Event{ID: "e", Type: "a.v1", Stream: throng.StreamPlay, Key: "k", Time: time.Now(), Data: []byte(`{}`)}
	if err := l.Publish(t.Context(), []throng.Event{e}); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Address()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	admin := kadm.NewClient(client)
	begun := make(chan struct{})
	at := busy{begin: sync.OnceFunc(func() { close(begun) }), free: make(chan struct{})}
	join := func() (end func(), ended chan error) {
		g, err := l.Group(kafka.GroupConfig{Group: "leaving", Streams: []throng.Stream{throng.StreamPlay}, Handler: at})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended = make(chan error, 1)
		go func() { ended <- g.Run(ctx) }()
		return cancel, ended
	}
	endFirst, firstEnded := join()
	<-begun
	endSecond, secondEnded := join()
	for state := ""; state != "PreparingRebalance"; { // the second waits to join
		groups, err := admin.DescribeGroups(t.Context(), "throng.leaving")
		if err != nil {
			t.Fatal(err)
		}
		state = groups["throng.leaving"].State
	}
	told := time.Now()
	endSecond()
	if err := <-secondEnded; err != nil {
		t.Error(err)
	}
	if took := time.Since(told); took > 30*time.Second {
		t.Errorf("it took %s to end: until the group gave the busy one up", took.Round(time.Second))
	}
	close(at.free)
	endFirst()
	if err := <-firstEnded; err != nil {
		t.Error(err)
	}
}
