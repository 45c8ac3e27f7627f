package kafka_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

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

	if all := read(t, l, len(want)); !slices.Equal(all, want) {
		t.Errorf("got %v, want %v", all, want)
	}
}

// read returns the IDs of events in the order of their first coming, once there are n.
func read(t *testing.T, l *kafka.Log, n int) []throng.EventID {
	t.Helper()
	got := &readers{}
	g, err := l.Group(kafka.GroupConfig{Group: "order", Streams: []throng.Stream{throng.StreamPlay}, Handler: got})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	for until := time.Now().Add(time.Minute); len(got.all()) < n && time.Now().Before(until); {
		<-time.After(20 * time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return got.all()
}

// TestRestartingBroker: a broker that comes back says that it has no such topic until
// it has read what it has. No batch is given up for that, or those behind it would
// stand in front of it when the caller publishes again.
func TestRestartingBroker(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	l, err := kafka.New(kafka.Config{URL: c.ListenAddrs()[0], Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Setup(t.Context(), kafka.SetupConfig{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	const away = 4 // answers: some after records were given up
	var answers atomic.Int32
	c.ControlKey(kmsg.Produce.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		p, ok := req.(*kmsg.ProduceRequest)
		if !ok || answers.Add(1) > away {
			return nil, nil, false //nolint:nilnil // kfake answers itself
		}
		resp, _ := p.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range p.Topics {
			out := kmsg.NewProduceResponseTopic()
			out.Topic, out.TopicID = topic.Topic, topic.TopicID
			for _, part := range topic.Partitions {
				no := kmsg.NewProduceResponseTopicPartition()
				no.Partition, no.ErrorCode = part.Partition, kerr.UnknownTopicOrPartition.Code
				out.Partitions = append(out.Partitions, no)
			}
			resp.Topics = append(resp.Topics, out)
		}
		return resp, nil, true
	})

	// More than a batch holds.
	var want []throng.EventID
	var list []throng.Event
	data := fmt.Appendf(nil, `{"a":%q}`, rand.Text()+strings.Repeat("-", 1000))
	for n := range 5000 {
		id := throng.EventID(fmt.Sprint("e", n))
		want = append(want, id)
		list = append(list, throng.Event{ID: id, Type: "a.v1", Stream: throng.StreamPlay, Key: "k", Time: time.Now(), Data: data})
	}
	for until := time.Now().Add(time.Minute); ; {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		err := l.Publish(ctx, list)
		cancel()
		if err == nil {
			break
		}
		if throng.KindOf(err) != throng.Unavailable || time.Now().After(until) {
			t.Fatal(err)
		}
	}
	if answers.Load() <= away {
		t.Fatalf("%d requests: the broker never said that it has no topic", answers.Load())
	}
	if all := read(t, l, len(want)); !slices.Equal(all, want) {
		t.Errorf("out of order: got %d events, first %v", len(all), all[:min(len(all), 3)])
	}
}
