package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/throng-gg/throng"
)

// Reached looks at how far a group is in a stream, until ctx ends. heard is called about
// once a second, as long as all is well, with a moment and how many partitions there
// are: the group has applied and committed all that the stream had then. Brokers that
// are away are asked again.
func (l *Log) Reached(ctx context.Context, group string, s throng.Stream, heard func(at time.Time, partitions int)) error {
	client, err := l.connect()
	if err != nil {
		return err
	}
	var (
		admin = kadm.NewClient(client)
		tick  = time.NewTicker(tailAsk)
		well  = true // as the log has it
		upTo  time.Time
		until map[int32]int64 // the ends at upTo; nil: they were reached
	)
	defer tick.Stop()
	for {
		now := time.Now()
		at, ends, err := l.standing(ctx, admin, group, s)
		switch {
		case err == nil && !well:
			l.logger.InfoContext(ctx, "a stream is back", "group", group, "stream", string(s))
		case err != nil && well && ctx.Err() == nil:
			l.logger.WarnContext(ctx, "a stream is away", "group", group, "stream", string(s), "err", err)
		}
		if well = err == nil; well && (until == nil || behind(ends, nil, until) > 0) { // the second: it was made anew
			upTo, until = now, ends
		}
		if well && behind(at, nil, until) == 0 {
			heard(upTo, len(until))
			until = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// standing is up to where a group has committed a stream's partitions, which begins
// where they do, and where they end.
func (l *Log) standing(ctx context.Context, admin *kadm.Client, group string, s throng.Stream) (at, ends map[int32]int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, tailLate)
	defer cancel()
	t := tail{log: l, topic: l.topic(s)}
	if ends, err = t.offsets(admin.ListEndOffsets(ctx, t.topic)); err != nil {
		return nil, nil, err
	}
	if at, err = t.offsets(admin.ListStartOffsets(ctx, t.topic)); err != nil {
		return nil, nil, err
	}
	committed, err := admin.FetchOffsetsForTopics(ctx, l.prefix+"."+group, t.topic)
	if err != nil {
		return nil, nil, throng.Errorf(throng.Unavailable, "offsets of %s: %w", group, err)
	}
	for p, o := range committed[t.topic] {
		switch end, there := ends[p]; {
		case o.Err != nil:
			return nil, nil, throng.Errorf(throng.Unavailable, "offsets of %s: %w", group, o.Err)
		case there && o.At <= end: // else they are of a topic that was made anew
			at[p] = max(at[p], o.At)
		}
	}
	return at, ends, nil
}
