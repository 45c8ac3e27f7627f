package kafka

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/throng-gg/throng"
)

// Headers of CloudEvents 1.0 in Kafka's binary mode, and what else an event says.
const (
	headerSpec    = "ce_specversion"
	headerID      = "ce_id"
	headerSource  = "ce_source"
	headerType    = "ce_type"
	headerTime    = "ce_time"
	headerContent = "content-type"
	headerPlace   = "ce_place"
	headerSession = "ce_session"
	headerPlayer  = "ce_player"

	sourcePrefix = "/throng/"
)

// recordOf is an event as it stands in the log. The record's own time is when it is
// sent, not when the event was: by it Kafka forgets records, and producers, whose
// batches it then takes in any order.
func recordOf(topic string, e throng.Event) *kgo.Record {
	headers := make([]kgo.RecordHeader, 0, 9)
	for _, h := range [...][2]string{
		{headerSpec, "1.0"},
		{headerID, string(e.ID)},
		{headerSource, sourcePrefix + string(e.Region)},
		{headerType, string(e.Type)},
		{headerTime, e.Time.UTC().Format(time.RFC3339Nano)},
		{headerContent, "application/json"},
		{headerPlace, string(e.Place)},
		{headerSession, string(e.Session)},
		{headerPlayer, string(e.Player)},
	} {
		if h[1] != "" {
			headers = append(headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
		}
	}
	return &kgo.Record{Topic: topic, Key: []byte(e.Key), Value: e.Data, Headers: headers}
}

// partitioner chooses partitions by keys, as Kafka's own clients do; in the stream of
// presence by what stands before the slash, which is the player: his records are in
// one partition, and of those of each of his sessions the newest is kept. In that of
// copies it is what stands before a second slash: game and player.
func partitioner() kgo.Partitioner {
	usual := kgo.StickyKeyPartitioner(nil)
	return kgo.BasicConsistentPartitioner(func(topic string) func(*kgo.Record, int) int {
		of := usual.ForTopic(topic)
		slashes := 0
		switch {
		case strings.HasSuffix(topic, "."+string(throng.StreamPresence)):
			slashes = 1
		case strings.HasSuffix(topic, "."+string(throng.StreamCopies)):
			slashes = 2
		default:
			return of.Partition
		}
		return func(r *kgo.Record, n int) int { return of.Partition(&kgo.Record{Key: before(r.Key, slashes)}, n) }
	})
}

// before is what stands before the nth slash of a key, or all of it.
func before(key []byte, n int) []byte {
	for i, c := range key {
		if c != '/' {
			continue
		}
		if n--; n == 0 {
			return key[:i]
		}
	}
	return key
}

// eventOf reads a record. Invalid: it is no event.
func eventOf(s throng.Stream, r *kgo.Record) (throng.EventRecord, error) {
	e := throng.EventRecord{
		Event:     throng.Event{Stream: s, Key: string(r.Key), Data: r.Value},
		Partition: r.Partition, Offset: r.Offset,
	}
	for _, h := range r.Headers {
		if !utf8.Valid(h.Value) {
			return e, throng.AtField(throng.Invalid, h.Key, "is not UTF-8")
		}
		text := string(h.Value)
		switch h.Key {
		case headerID:
			e.ID = throng.EventID(text)
		case headerType:
			e.Type = throng.EventType(text)
		case headerSource:
			e.Region = throng.RegionID(strings.TrimPrefix(text, sourcePrefix))
		case headerPlace:
			e.Place = throng.PlaceID(text)
		case headerSession:
			e.Session = throng.SessionID(text)
		case headerPlayer:
			e.Player = throng.PlayerID(text)
		case headerTime:
			at, err := time.Parse(time.RFC3339Nano, text)
			if err != nil {
				return e, throng.AtField(throng.Invalid, headerTime, "is no time: %w", err)
			}
			e.Time = at
		}
	}
	return e, e.Check()
}
