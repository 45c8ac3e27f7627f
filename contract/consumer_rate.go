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
	Store consumer.Store
	// Bare is another store of that kind, which is handed the same commits by themselves,
	// each after the consumer's; nil: none.
	Bare   consumer.Store
	Stream throng.Stream
	New    func(consumer.Shard) consumer.Keeper
	Now    func() time.Time
	// Each changes one of Events so that it is another one, of that round; its ID is
	// made new already.
	Events []throng.Event
	Each   func(e *throng.Event, round int)
}

// ConsumerRate is a benchmark of a consumer with its rules and its store: events a
// second, and for each second of processor time, the collector's included. Beside a bare
// store it says which part of that one's own rate the consumer's is.
func ConsumerRate(b *testing.B, load ConsumerLoad) {
	b.Helper()
	b.ReportAllocs()
	shard, kept := consumer.Shard{Group: "rate", Stream: load.Stream}, &keptCommits{Store: load.Store}
	if load.Bare != nil {
		load.Store = kept
	}
	c, err := consumer.New(consumer.Config{
		Group: "rate", Store: load.Store, Parker: parkNothing{}, New: load.New, Now: load.Now, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	const batch = 5000
	records := make([]throng.EventRecord, len(load.Events))
	count, used, bare, took := 0, time.Duration(0), time.Duration(0), time.Duration(0)
	for round := 0; b.Loop(); round++ {
		b.StopTimer()
		for i, e := range load.Events {
			e.ID = throng.EventID(fmt.Sprint(round, "/", i))
			load.Each(&e, round)
			records[i] = throng.EventRecord{Event: e, Offset: int64(count + i)}
		}
		b.StartTimer()
		for at := 0; at < len(records); at += batch {
			begun, at0 := processorTime(), time.Now()
			if err := c.Handle(b.Context(), load.Stream, 0, records[at:min(at+batch, len(records))]); err != nil {
				b.Fatal(err)
			}
			used += processorTime() - begun
			took += time.Since(at0)
			b.StopTimer()
			at0 = time.Now()
			for _, commit := range kept.take() {
				if err := load.Bare.Commit(b.Context(), shard, commit); err != nil {
					b.Fatal(err)
				}
			}
			bare += time.Since(at0)
			b.StartTimer()
		}
		count += len(records)
	}
	if load.Bare != nil {
		b.ReportMetric(float64(count)/bare.Seconds(), "bare-events/s")
		b.ReportMetric(100*bare.Seconds()/took.Seconds(), "%-of-bare")
	}
	b.ReportMetric(float64(count)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(count)/used.Seconds(), "events/cpu-s")
}

// keptCommits keeps what a store was handed until it is taken.
type keptCommits struct {
	consumer.Store
	list []consumer.Commit
}

// Commit is the store's.
func (k *keptCommits) Commit(ctx context.Context, s consumer.Shard, c consumer.Commit) error {
	k.list = append(k.list, c)
	return k.Store.Commit(ctx, s, c)
}

func (k *keptCommits) take() (list []consumer.Commit) {
	list, k.list = k.list, nil
	return list
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
