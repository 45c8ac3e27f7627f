package contract

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/kafka"
)

// logReached: how far a group is is told once it has all, and not before. What is no
// event is counted where it is not to be parked.
func logReached(t *testing.T, r *logRig) {
	r.publishJunk(t)
	r.publish(t, r.events(0, 100, 5))
	var heard atomic.Int64 // the newest moment, Unix nanoseconds
	watching, stop := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	watch.Go(func() {
		err := r.log.Reached(watching, "reached", throng.StreamPlay, func(at time.Time, partitions int) {
			if partitions != 4 {
				t.Errorf("%d partitions, want 4", partitions)
			}
			heard.Store(at.UnixNano())
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(watch.Wait)
	t.Cleanup(stop)
	var stuck atomic.Bool
	stuck.Store(true)
	f := newLogEffects()
	m := &logMember{name: "one", logEffects: f, before: func(context.Context, []throng.EventRecord) error {
		if stuck.Load() {
			return errors.New("not yet")
		}
		return nil
	}}
	var strange atomic.Int64
	g, err := r.log.Group(kafka.GroupConfig{
		Group: "reached", Streams: []throng.Stream{throng.StreamPlay}, Handler: m, Idle: 100 * time.Millisecond,
		Strange: func(_ throng.Stream, _ int32, n int) { strange.Add(int64(n)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if heard.Load() != 0 {
		t.Error("it is told that a group has all that has applied nothing")
	}
	stuck.Store(false)
	until(t, "the group has all", func() bool { return heard.Load() != 0 })
	f.whole(t, 100)
	if strange.Load() == 0 || len(r.parked(t)) != 0 {
		t.Errorf("%d were no events, %d are parked, want some and none", strange.Load(), len(r.parked(t)))
	}
	now := time.Now()
	r.publish(t, r.events(100, 50, 5))
	until(t, "it has what came since", func() bool { return heard.Load() > now.UnixNano() && f.count() == 150 })
}
