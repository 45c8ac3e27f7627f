package kafka

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/throng-gg/throng"
)

// Headers that a parked record has more than it had.
const (
	parkedGroup     = "parked_group"
	parkedStream    = "parked_stream"
	parkedPartition = "parked_partition"
	parkedOffset    = "parked_offset"
	parkedKey       = "parked_key"
	parkedReason    = "parked_reason"
	parkedAt        = "parked_at"
	mostReason      = 1000 // bytes
)

// Park keeps an event that a group cannot apply, with the reason, until it is
// replayed or the parked stream's time is over. When it returned nil it is durable.
// Once more for the same group and place in the log changes the reason only.
func (l *Log) Park(ctx context.Context, group string, e throng.EventRecord, reason string) error {
	r := recordOf("", e.Event)
	r.Partition, r.Offset = e.Partition, e.Offset
	return l.park(ctx, group, e.Stream, r, reason)
}

func (l *Log) park(ctx context.Context, group string, s throng.Stream, r *kgo.Record, reason string) error {
	text := strings.ToValidUTF8(reason[:min(len(reason), mostReason)], "?")
	out := &kgo.Record{Topic: l.topic(throng.StreamParked), Key: []byte(parkedName(group, s, r.Partition, r.Offset)), Value: r.Value}
	if out.Value == nil {
		out.Value = []byte{} // nil would take it away
	}
	out.Headers = append(slices.Clone(r.Headers),
		kgo.RecordHeader{Key: parkedGroup, Value: []byte(group)},
		kgo.RecordHeader{Key: parkedStream, Value: []byte(s)},
		kgo.RecordHeader{Key: parkedPartition, Value: strconv.AppendInt(nil, int64(r.Partition), 10)},
		kgo.RecordHeader{Key: parkedOffset, Value: strconv.AppendInt(nil, r.Offset, 10)},
		kgo.RecordHeader{Key: parkedKey, Value: r.Key},
		kgo.RecordHeader{Key: parkedReason, Value: []byte(text)},
		kgo.RecordHeader{Key: parkedAt, Value: []byte(time.Now().UTC().Format(time.RFC3339Nano))},
	)
	if err := l.produce(ctx, []*kgo.Record{out}); err != nil {
		return fmt.Errorf("park: %w", err)
	}
	l.metrics.parked.WithLabelValues(group).Inc()
	return nil
}

// parkedName is the key of a parked record: it names a place in the log, and who
// could not apply what stands there.
func parkedName(group string, s throng.Stream, partition int32, offset int64) string {
	return fmt.Sprintf("%s/%s/%d/%d", group, s, partition, offset)
}

// parkedOf reads a parked record.
func parkedOf(r *kgo.Record) throng.EventParked {
	var p throng.EventParked
	was := kgo.Record{Value: r.Value}
	for _, h := range r.Headers {
		text := string(h.Value)
		switch h.Key {
		case parkedGroup:
			p.Group = text
		case parkedStream:
			p.Stream = throng.Stream(text)
		case parkedPartition:
			n, _ := strconv.ParseInt(text, 10, 32)
			was.Partition = int32(n)
		case parkedOffset:
			was.Offset, _ = strconv.ParseInt(text, 10, 64)
		case parkedKey:
			was.Key = h.Value
		case parkedReason:
			p.Reason = text
		case parkedAt:
			p.At, _ = time.Parse(time.RFC3339Nano, text)
		default:
			was.Headers = append(was.Headers, h)
		}
	}
	e, err := eventOf(p.Stream, &was)
	p.EventRecord = e
	if err != nil {
		p.Raw = r.Value
	}
	return p
}

// Parked lists what is parked, the oldest first.
func (l *Log) Parked(ctx context.Context) ([]throng.EventParked, error) {
	var (
		order []string
		found = map[string]throng.EventParked{}
	)
	err := l.readAll(ctx, throng.StreamParked, func(r *kgo.Record) {
		name := string(r.Key)
		if r.Value == nil { // it was replayed
			delete(found, name)
			return
		}
		if _, ok := found[name]; !ok {
			order = append(order, name)
		}
		found[name] = parkedOf(r)
	})
	if err != nil {
		return nil, fmt.Errorf("list what is parked: %w", err)
	}
	var out []throng.EventParked
	for _, name := range order {
		if p, ok := found[name]; ok {
			out = append(out, p)
			delete(found, name)
		}
	}
	slices.SortStableFunc(out, func(a, b throng.EventParked) int { return a.At.Compare(b.At) })
	return out, nil
}

// Replay publishes a parked event again, behind the newest of its key, and parks it
// no more. Groups that have applied it know it by its ID. Invalid: it is no event.
func (l *Log) Replay(ctx context.Context, p throng.EventParked) error {
	if err := p.Check(); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if err := l.Publish(ctx, []throng.Event{p.Event}); err != nil {
		return fmt.Errorf("replay %s: %w", p.ID, err)
	}
	return l.Drop(ctx, p)
}

// Drop parks an event no more.
func (l *Log) Drop(ctx context.Context, p throng.EventParked) error {
	gone := &kgo.Record{Topic: l.topic(throng.StreamParked), Key: []byte(parkedName(p.Group, p.Stream, p.Partition, p.Offset))}
	if err := l.produce(ctx, []*kgo.Record{gone}); err != nil {
		return fmt.Errorf("let go of %s: %w", p.ID, err)
	}
	return nil
}
