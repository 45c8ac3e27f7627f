package kafka

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/throng-gg/throng"
)

const (
	tailWait  = 500 * time.Millisecond // for which a broker holds a fetch without events
	tailLate  = 3 * time.Second        // more, after which a connection is given up: 2 MB at 5 Mbit/s
	tailBytes = 2 << 20                // of one fetch
	tailPause = time.Second            // at most, before brokers that are away are tried again
	tailAsk   = time.Second            // between two looks at how far the stream is
	tailNews  = 10 * time.Second       // after which topics that are made anew are noticed
)

// Tail hands over the events of a stream that are in the log since a moment, by the
// time at which they were sent, and goes on with those that come, until ctx ends. Those of a partition
// come in their order, now and then one twice. take is called by one goroutine; while it
// does not return, nothing is read; strange is how many records beside the batch are no events. Brokers that are away are tried
// again; what was read before does not come again for that. Unavailable: the stream
// lost events that were read, so it is another one.
//
// heard is called about once a second, as long as all is well, with a moment: take
// has been given all that the log had then. It is called by another goroutine.
func (l *Log) Tail(ctx context.Context, s throng.Stream, since time.Time, take func(batch []throng.EventRecord, strange int), heard func(time.Time)) error {
	topic, from := l.topic(s), kgo.NewOffset().AfterMilli(since.UnixMilli())
	client, err := kgo.NewClient(append(slices.Clip(l.options),
		kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(from), kgo.ConsumeResetOffset(from),
		kgo.FetchMaxWait(tailWait), kgo.RequestTimeoutOverhead(tailLate), kgo.FetchMaxBytes(tailBytes), kgo.MetadataMaxAge(tailNews),
		kgo.KeepControlRecords(), kgo.RetryBackoffFn(func(tries int) time.Duration {
			return min(50*time.Millisecond<<min(tries, 10), tailPause)
		}),
	)...)
	if err != nil {
		return throng.Errorf(throng.Invalid, "kafka: tail of %s: %w", topic, err)
	}
	defer client.Close()
	t := &tail{log: l, stream: s, topic: topic, since: since.UnixMilli(), at: map[int32]int64{}}
	var asking sync.WaitGroup
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var lost error
	asking.Go(func() {
		lost = t.ask(ctx, kadm.NewClient(client), heard)
		stop()
	})
	for ctx.Err() == nil {
		fetches := client.PollRecords(ctx, mostList)
		if fetches.IsClientClosed() {
			break
		}
		for _, e := range fetches.Errors() {
			if ctx.Err() == nil {
				l.logger.WarnContext(ctx, "events could not be read", "topic", e.Topic, "err", e.Err)
			}
		}
		t.take(fetches, take)
	}
	stop()
	asking.Wait()
	return lost
}

// tail is how far a stream was read.
type tail struct {
	log    *Log
	stream throng.Stream
	topic  string
	since  int64 // milliseconds

	mu sync.Mutex
	at map[int32]int64 // guarded by mu; by partition, the offset behind what was taken
}

// take hands over what came.
func (t *tail) take(fetches kgo.Fetches, take func([]throng.EventRecord, int)) {
	for _, p := range partitions(fetches) {
		batch, strange := make([]throng.EventRecord, 0, len(p.Records)), 0
		for _, r := range p.Records {
			if r.Attrs.IsControl() {
				continue
			}
			e, err := eventOf(t.stream, r)
			if err != nil {
				strange++
				continue
			}
			batch = append(batch, e)
		}
		take(batch, strange)
		t.mu.Lock()
		t.at[p.Partition] = p.Records[len(p.Records)-1].Offset + 1
		t.mu.Unlock()
	}
}

// ask looks at how far the stream is until ctx ends, and says so when all of it has
// been taken.
func (t *tail) ask(ctx context.Context, admin *kadm.Client, heard func(time.Time)) error {
	tick := time.NewTicker(tailAsk)
	defer tick.Stop()
	var (
		well  = true // as the log has it
		upTo  time.Time
		until map[int32]int64 // the ends at upTo; nil: they were reached
	)
	for {
		now, before := time.Now(), t.taken()
		ends, err := t.ends(ctx, admin)
		switch {
		case err == nil && !well:
			t.log.logger.InfoContext(ctx, "a stream is back", "topic", t.topic)
		case err != nil && well && ctx.Err() == nil:
			t.log.logger.WarnContext(ctx, "a stream is away", "topic", t.topic, "err", err)
		}
		well = err == nil
		for p, end := range ends {
			if end < before[p] {
				return throng.Errorf(throng.Unavailable, "%s partition %d ends at %d, and was read up to %d", t.topic, p, end, before[p])
			}
		}
		if well && until == nil {
			upTo, until = now, ends
		}
		if well && t.reached(ctx, admin, until) {
			heard(upTo)
			until = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// ends are the offsets at which the partitions end now.
func (t *tail) ends(ctx context.Context, admin *kadm.Client) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, tailLate)
	defer cancel()
	return t.offsets(admin.ListEndOffsets(ctx, t.topic))
}

func (t *tail) offsets(found kadm.ListedOffsets, err error) (map[int32]int64, error) {
	if err != nil {
		return nil, throng.Errorf(throng.Unavailable, "%s: %w", t.topic, err)
	}
	if len(found[t.topic]) == 0 {
		return nil, t.log.failure(t.topic, kerr.UnknownTopicOrPartition)
	}
	out := map[int32]int64{}
	for p, o := range found[t.topic] {
		if o.Err != nil {
			return nil, t.log.failure(t.topic, o.Err)
		}
		out[p] = o.Offset
	}
	return out, nil
}

// reached says whether all before the ends was taken. A partition without events since
// the moment at which the tail begins has none to take.
func (t *tail) reached(ctx context.Context, admin *kadm.Client, ends map[int32]int64) bool {
	if behind(t.taken(), nil, ends) == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, tailLate)
	defer cancel()
	first, err := t.offsets(admin.ListOffsetsAfterMilli(ctx, t.since, t.topic))
	return err == nil && behind(t.taken(), first, ends) == 0
}

// behind counts the partitions that were not read up to their ends.
func behind(at, first, ends map[int32]int64) (n int) {
	for p, end := range ends {
		if max(at[p], first[p]) < end {
			n++
		}
	}
	return n
}

// taken is how far each partition was taken.
func (t *tail) taken() map[int32]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.at)
}
