package redis

import (
	"context"
	"time"

	"github.com/redis/rueidis"

	"github.com/throng-gg/throng"
)

// boardTime is how long a place's numbers are shown after the last one was posted.
const boardTime = 30 * 24 * time.Hour

// Board keeps the newest summaries of places, for all replicas: a hash of a place,
// by shard.
type Board struct{ common }

// Board returns it.
func (st *Store) Board() Board { return Board{common{st}} }

func (b Board) hash(place throng.PlaceID) string { return b.key("numbers-"+string(place), "") }

// Post replaces a shard's summary of a place.
func (b Board) Post(ctx context.Context, place throng.PlaceID, shard string, summary []byte) error {
	_, err := b.do(ctx, func(build rueidis.Builder) rueidis.Completed {
		return build.Hset().Key(b.hash(place)).FieldValue().FieldValue(shard, rueidis.BinaryString(summary)).Build()
	})
	if err != nil {
		return err
	}
	_, err = b.do(ctx, func(build rueidis.Builder) rueidis.Completed {
		return build.Pexpire().Key(b.hash(place)).Milliseconds(boardTime.Milliseconds()).Build()
	})
	return err
}

// Posts returns all summaries of a place.
func (b Board) Posts(ctx context.Context, place throng.PlaceID) ([][]byte, error) {
	got, err := b.do(ctx, func(build rueidis.Builder) rueidis.Completed { return build.Hvals().Key(b.hash(place)).Build() })
	if err != nil {
		return nil, err
	}
	list, err := got.AsStrSlice()
	if err != nil {
		return nil, away(err)
	}
	out := make([][]byte, len(list))
	for i, s := range list {
		out[i] = []byte(s)
	}
	return out, nil
}
