package contract

import (
	"context"
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
)

// ConsumerLoad is what ConsumerRate hands over, again and again.
type ConsumerLoad struct {
	Store  consumer.Store
	Stream throng.Stream
	New    func(consumer.Shard) consumer.Keeper
	Now    func() time.Time
	// Each changes one of Events so that it is another one, of that round; its ID is
	// made new already.
	Events []throng.Event
	Each   func(e *throng.Event, round int)
}

// ConsumerRate is a benchmark of a consumer with its rules and its store: events a
// second, and for each second of processor time, the collector's included.
func ConsumerRate(b *testing.B, load ConsumerLoad) {
	b.Helper()
	b.ReportAllocs()
	c, err := consumer.New(consumer.Config{
		Group: "rate", Store: load.Store, Parker: parkNothing{}, New: load.New, Now: load.Now, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	const batch = 5000
	records := make([]throng.EventRecord, len(load.Events))
	count, used := 0, time.Duration(0)
	for round := 0; b.Loop(); round++ {
		b.StopTimer()
		for i, e := range load.Events {
			e.ID = throng.EventID(fmt.Sprint(round, "/", i))
			load.Each(&e, round)
			records[i] = throng.EventRecord{Event: e, Offset: int64(count + i)}
		}
		b.StartTimer()
		begun := processorTime()
		for at := 0; at < len(records); at += batch {
			if err := c.Handle(b.Context(), load.Stream, 0, records[at:min(at+batch, len(records))]); err != nil {
				b.Fatal(err)
			}
		}
		used += processorTime() - begun
		count += len(records)
	}
	b.ReportMetric(float64(count)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(count)/used.Seconds(), "events/cpu-s")
}

func processorTime() time.Duration {
	var use syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &use) != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

type parkNothing struct{}

func (parkNothing) Park(context.Context, string, throng.EventRecord, string) error { return nil }
