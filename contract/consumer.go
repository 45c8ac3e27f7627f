package contract

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
)

// ConsumerStore tests a consumer.Store. open makes an empty one for each case.
func ConsumerStore(t *testing.T, open func(t *testing.T) consumer.Store) {
	for name, run := range map[string]func(*testing.T, consumer.Store){
		"an empty shard has nothing":                 consumerEmpty,
		"a commit is kept, all of it":                consumerKept,
		"a commit that is not the next is refused":   consumerStale,
		"shards are apart":                           consumerApart,
		"pages are forgotten and rows are taken out": consumerForgets,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, open(t))
		})
	}
}

func consumerShard(partition int32) consumer.Shard {
	return consumer.Shard{Group: "count", Stream: throng.StreamPlay, Partition: partition}
}

// shardContent is all that a shard has.
type shardContent struct {
	mark  consumer.Mark
	pages []consumer.Page
	rows  map[string][]byte
}

func shardOf(ctx context.Context, s consumer.Store, id consumer.Shard) (c shardContent, err error) {
	c.rows = map[string][]byte{}
	last := ""
	c.mark, c.pages, err = s.Load(ctx, id, func(r consumer.Row) error {
		if r.Key <= last {
			return fmt.Errorf("row %q comes after %q", r.Key, last)
		}
		last = r.Key
		c.rows[r.Key] = r.Value
		return nil
	})
	return c, err
}

func consumerEmpty(t *testing.T, s consumer.Store) {
	got, err := shardOf(t.Context(), s, consumerShard(0))
	if err != nil || len(got.rows)+len(got.pages) != 0 || got.mark != (consumer.Mark{}) {
		t.Errorf("got %v, %v, want nothing", got, err)
	}
}

func commitOf(n uint64, floor int64, ids []uint64, rows ...consumer.Row) consumer.Commit {
	return consumer.Commit{Mark: consumer.Mark{Number: n, Floor: floor, Next: floor + 3}, Page: consumer.Page{Number: n, Floor: floor, IDs: ids}, Rows: rows}
}

func consumerKept(t *testing.T, s consumer.Store) {
	ctx := t.Context()
	check(t, s.Commit(ctx, consumerShard(0), commitOf(1, 7, []uint64{1, 1 << 63}, consumer.Row{Key: "a", Value: []byte("x")}, consumer.Row{Key: "b/1", Value: []byte{}})))
	check(t, s.Commit(ctx, consumerShard(0), commitOf(2, 9, nil, consumer.Row{Key: "c", Value: []byte("z")})))
	got, err := shardOf(ctx, s, consumerShard(0))
	check(t, err)
	if got.mark != (consumer.Mark{Number: 2, Floor: 9, Next: 12}) {
		t.Errorf("mark: got %+v", got.mark)
	}
	if len(got.pages) != 1 || got.pages[0].Number != 1 || got.pages[0].Floor != 7 || !slices.Equal(got.pages[0].IDs, []uint64{1, 1 << 63}) {
		t.Errorf("pages: got %+v, want the first commit's", got.pages)
	}
	if keys := slices.Sorted(maps.Keys(got.rows)); !slices.Equal(keys, []string{"a", "b/1", "c"}) || string(got.rows["a"]) != "x" {
		t.Errorf("rows: got %q", got.rows)
	}
}

func consumerStale(t *testing.T, s consumer.Store) {
	ctx := t.Context()
	check(t, s.Commit(ctx, consumerShard(0), commitOf(1, 0, []uint64{1}, consumer.Row{Key: "a", Value: []byte("1")})))
	for _, n := range []uint64{1, 3} {
		err := s.Commit(ctx, consumerShard(0), commitOf(n, 5, []uint64{2}, consumer.Row{Key: "a", Value: []byte("2")}))
		if err == nil || throng.KindOf(err) != throng.Conflict {
			t.Errorf("commit %d after 1: got %v, want a conflict", n, err)
		}
	}
	got, err := shardOf(ctx, s, consumerShard(0))
	check(t, err)
	if string(got.rows["a"]) != "1" || got.mark.Number != 1 || got.mark.Floor != 0 || len(got.pages) != 1 {
		t.Errorf("something was written all the same: %q %+v %+v", got.rows, got.mark, got.pages)
	}
}

func consumerApart(t *testing.T, s consumer.Store) {
	ctx := t.Context()
	other := consumerShard(0)
	other.Group = "coun"
	for i, id := range []consumer.Shard{consumerShard(1), consumerShard(10), consumerShard(0), other} {
		check(t, s.Commit(ctx, id, commitOf(1, int64(i), []uint64{uint64(i)}, consumer.Row{Key: fmt.Sprint("k", i), Value: []byte{byte(i)}})))
	}
	got, err := shardOf(ctx, s, consumerShard(1))
	check(t, err)
	if len(got.rows) != 1 || got.rows["k0"] == nil || got.mark.Floor != 0 || len(got.pages) != 1 || got.pages[0].IDs[0] != 0 {
		t.Errorf("got %v %+v %+v, want its own alone", got.rows, got.mark, got.pages)
	}
}

func consumerForgets(t *testing.T, s consumer.Store) {
	ctx := t.Context()
	for n := range uint64(4) {
		check(t, s.Commit(ctx, consumerShard(0), commitOf(n+1, int64(n), []uint64{n}, consumer.Row{Key: fmt.Sprint(n), Value: []byte("v")})))
	}
	c := commitOf(5, 3, nil, consumer.Row{Key: "0"}, consumer.Row{Key: "none"})
	c.Forget = []uint64{1, 2, 3}
	check(t, s.Commit(ctx, consumerShard(0), c))
	got, err := shardOf(ctx, s, consumerShard(0))
	check(t, err)
	if len(got.pages) != 1 || got.pages[0].Number != 4 || len(got.rows) != 3 || got.rows["0"] != nil {
		t.Errorf("got %v and pages %+v, want three rows and the fourth commit's page", got.rows, got.pages)
	}
}
