package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/throng-gg/throng"
)

// SetupConfig is how topics are made. Zero means the default.
type SetupConfig struct {
	Partitions int           // of each stream; default 12. Parked has one
	Replicas   int           // default: what the brokers say
	Keep       time.Duration // of all streams but motion, which is kept for a third of it, and presence and copies at least presenceKeep and copiesKeep; default 7 days
}

// presenceKeep is for how long the newest of each player and session is kept at least:
// who follows presence begins a day back.
const presenceKeep = 48 * time.Hour

// copiesKeep is for how long what other regions keep of profiles and the ledger is kept
// at least: one that is away for longer has to begin with a copy of the whole stores.
const copiesKeep = 7 * 24 * time.Hour

// parkedKeep is for how long what could not be applied is kept.
const parkedKeep = 30 * 24 * time.Hour

// topicsTime is how long Setup waits for what it made.
const topicsTime = time.Minute

// settings are a topic's.
func (c SetupConfig) settings(s throng.Stream) map[string]*string {
	ms := func(d time.Duration) *string { text := strconv.FormatInt(d.Milliseconds(), 10); return &text }
	both := "compact,delete"
	out := map[string]*string{}
	switch s {
	case throng.StreamPresence:
		out["cleanup.policy"], out["retention.ms"], out["segment.ms"] = &both, ms(max(c.Keep, presenceKeep)), ms(time.Hour)
	case throng.StreamCopies:
		out["cleanup.policy"], out["retention.ms"], out["segment.ms"] = &both, ms(max(c.Keep, copiesKeep)), ms(time.Hour)
	case throng.StreamParked:
		out["cleanup.policy"], out["retention.ms"] = &both, ms(parkedKeep)
	case throng.StreamMotion:
		out["retention.ms"] = ms(c.Keep / 3)
	case throng.StreamPlay, throng.StreamEconomy, throng.StreamPlace:
		out["retention.ms"] = ms(c.Keep)
	}
	if c.Replicas >= 3 { // one broker may be away
		two := "2"
		out["min.insync.replicas"] = &two
	}
	return out
}

// Setup makes the topics that are missing. It changes none that is there. made
// names those that it made.
func (l *Log) Setup(ctx context.Context, cfg SetupConfig) (made []string, err error) {
	if cfg.Partitions <= 0 {
		cfg.Partitions = 12
	}
	if cfg.Keep <= 0 {
		cfg.Keep = 7 * 24 * time.Hour
	}
	replicas := int16(cfg.Replicas)
	if replicas <= 0 {
		replicas = -1
	}
	client, err := l.connect()
	if err != nil {
		return nil, err
	}
	admin := kadm.NewClient(client)
	for _, s := range append(throng.Streams(), throng.StreamParked) {
		partitions := int32(cfg.Partitions)
		if s == throng.StreamParked {
			partitions = 1
		}
		_, err := admin.CreateTopic(ctx, partitions, replicas, cfg.settings(s), l.topic(s))
		switch {
		case err == nil:
			made = append(made, l.topic(s))
		case !errors.Is(err, kerr.TopicAlreadyExists):
			return made, throng.Errorf(throng.Unavailable, "make topic %s: %w", l.topic(s), err)
		}
	}
	return made, l.awaitTopics(ctx, admin)
}

// awaitTopics returns once brokers know the topics: they hear of them a moment
// after they were made.
func (l *Log) awaitTopics(ctx context.Context, admin *kadm.Client) error {
	ctx, cancel := context.WithTimeout(ctx, topicsTime)
	defer cancel()
	for {
		_, err := l.offsets(ctx, admin.ListEndOffsets)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("topics were made and are not there yet: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// offsets asks for those of all streams.
func (l *Log) offsets(ctx context.Context, list func(context.Context, ...string) (kadm.ListedOffsets, error)) (kadm.ListedOffsets, error) {
	var topics []string
	for _, s := range append(throng.Streams(), throng.StreamParked) {
		topics = append(topics, l.topic(s))
	}
	found, err := list(ctx, topics...)
	if err != nil {
		return nil, throng.Errorf(throng.Unavailable, "ask for streams: %w", err)
	}
	for _, topic := range topics {
		if len(found[topic]) == 0 {
			return nil, throng.Errorf(throng.NotFound, "there is no topic %s: throng setup kafka makes it", topic)
		}
		for _, p := range found[topic] {
			if errors.Is(p.Err, kerr.UnknownTopicOrPartition) {
				return nil, throng.Errorf(throng.NotFound, "there is no topic %s: throng setup kafka makes it", topic)
			}
			if p.Err != nil {
				return nil, throng.Errorf(throng.Unavailable, "ask for %s: %w", topic, p.Err)
			}
		}
	}
	return found, nil
}

// Status is a stream as it stands.
type Status struct {
	Stream     throng.Stream
	Partitions int
	Events     int64 // that are kept
	Groups     []GroupStatus
}

// GroupStatus is a group of consumers of a stream.
type GroupStatus struct {
	Group   string
	Members int
	Lag     int64 // events that it has not applied
}

// Status lists the streams, and the groups that consume them. NotFound: Setup was
// not run.
func (l *Log) Status(ctx context.Context) ([]Status, error) {
	client, err := l.connect()
	if err != nil {
		return nil, err
	}
	admin := kadm.NewClient(client)
	starts, err := l.offsets(ctx, admin.ListStartOffsets)
	if err != nil {
		return nil, err
	}
	ends, err := l.offsets(ctx, admin.ListEndOffsets)
	if err != nil {
		return nil, err
	}
	lags, err := admin.Lag(ctx)
	if err != nil {
		return nil, throng.Errorf(throng.Unavailable, "ask for groups: %w", err)
	}
	var out []Status
	for _, s := range append(throng.Streams(), throng.StreamParked) {
		st := Status{Stream: s}
		for p, end := range ends[l.topic(s)] {
			start, _ := starts.Lookup(l.topic(s), p)
			st.Partitions++
			st.Events += end.Offset - start.Offset
		}
		for _, name := range slices.Sorted(maps.Keys(lags)) {
			lag, consumes := lags[name].Lag[l.topic(s)]
			if !consumes {
				continue
			}
			g := GroupStatus{Group: string(l.stream(name)), Members: len(lags[name].Members)}
			for _, p := range lag {
				g.Lag += max(p.Lag, 0)
			}
			st.Groups = append(st.Groups, g)
		}
		out = append(out, st)
	}
	return out, nil
}

// Ping asks the brokers for a sign of life.
func (l *Log) Ping(ctx context.Context) error {
	client, err := l.connect()
	if err != nil {
		return err
	}
	if err := client.Ping(ctx); err != nil {
		return throng.Errorf(throng.Unavailable, "no broker answers: %w", err)
	}
	return nil
}

// readAll shows all records of a stream as it is now, partition by partition.
func (l *Log) readAll(ctx context.Context, s throng.Stream, visit func(*kgo.Record)) error {
	client, err := l.connect()
	if err != nil {
		return err
	}
	topic := l.topic(s)
	from, ends, err := l.extent(ctx, client, topic)
	if err != nil || len(ends) == 0 {
		return err
	}
	reader, err := kgo.NewClient(append(slices.Clip(l.options), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.KeepControlRecords())...)
	if err != nil {
		return throng.Errorf(throng.Internal, "read %s: %w", topic, err)
	}
	defer reader.Close()
	if err := readTo(ctx, reader, ends, visit); err != nil {
		return throng.Errorf(throng.Unavailable, "read %s: %w", topic, err)
	}
	return nil
}

// extent is where the partitions of a topic that have records begin and end.
func (l *Log) extent(ctx context.Context, client *kgo.Client, topic string) (from map[int32]kgo.Offset, ends map[int32]int64, err error) {
	ended, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, nil, throng.Errorf(throng.Unavailable, "%s: %w", topic, err)
	}
	starts, err := kadm.NewClient(client).ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, nil, throng.Errorf(throng.Unavailable, "%s: %w", topic, err)
	}
	from, ends = map[int32]kgo.Offset{}, map[int32]int64{}
	for p, end := range ended[topic] {
		if end.Err != nil {
			return nil, nil, l.failure(topic, end.Err)
		}
		start, _ := starts.Lookup(topic, p)
		if end.Offset > start.Offset {
			from[p], ends[p] = kgo.NewOffset().At(start.Offset), end.Offset
		}
	}
	return from, ends, nil
}

// readTo shows records until each partition came to its end; what it has reached is
// deleted from ends. It fails only with ctx.
func readTo(ctx context.Context, reader *kgo.Client, ends map[int32]int64, visit func(*kgo.Record)) error {
	for len(ends) > 0 {
		fetches := reader.PollFetches(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end, ok := ends[r.Partition]
			if !ok {
				return
			}
			if r.Offset < end && !r.Attrs.IsControl() {
				visit(r)
			}
			if r.Offset >= end-1 {
				delete(ends, r.Partition)
			}
		})
	}
	return nil
}
