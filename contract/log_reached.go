package contract

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
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

// logLarge: the largest copy of a profile arrives as it was.
func logLarge(t *testing.T, r *logRig) {
	random := make([]byte, 3*(throng.CopyDataMost-20)/4)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random) // it never fails
	want := throng.Event{
		ID: "large", Type: throng.EventProfileCopied, Stream: throng.StreamCopies, Key: throng.ProfileCopyKey("bazaar", "ada"), Region: "eu",
		Time: time.UnixMilli(1_750_000_000_000).UTC(), Data: fmt.Appendf(nil, `{"data":%q}`, base64.StdEncoding.EncodeToString(random)),
	}
	r.publish(t, []throng.Event{want})
	got := make(chan throng.Event, 1)
	m := &logMember{name: "one", logEffects: newLogEffects(), before: func(_ context.Context, batch []throng.EventRecord) error {
		select {
		case got <- batch[0].Event:
		default:
		}
		return nil
	}}
	g, err := r.log.Group(kafka.GroupConfig{Group: "large", Streams: []throng.Stream{throng.StreamCopies}, Handler: m, Idle: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), logWait)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	select {
	case e := <-got:
		if !reflect.DeepEqual(e, want) {
			t.Errorf("%d bytes came as %d, or it was changed", len(want.Data), len(e.Data))
		}
	case <-ctx.Done():
		t.Error("it never came")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
