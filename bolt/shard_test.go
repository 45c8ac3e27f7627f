package bolt_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
	"github.com/throng-gg/throng/contract"
)

func TestShards(t *testing.T) {
	t.Parallel()
	contract.ConsumerStore(t, func(t *testing.T) consumer.Store {
		t.Helper()
		return open(t, filepath.Join(t.TempDir(), "consumers.db")).Shards()
	})
}

// players counts the events of each player.
type players struct {
	counts  map[string]int
	changed map[string]bool
}

func newPlayers(consumer.Shard) consumer.Keeper {
	return &players{counts: map[string]int{}, changed: map[string]bool{}}
}

func (k *players) Restore(r consumer.Row) (err error) {
	k.counts[r.Key], err = strconv.Atoi(string(r.Value))
	return err
}

func (k *players) Apply(e *throng.EventRecord) error {
	k.counts[string(e.Player)]++
	k.changed[string(e.Player)] = true
	return nil
}

func (k *players) Changes(time.Time) (rows []consumer.Row) {
	for p := range k.changed {
		rows = append(rows, consumer.Row{Key: p, Value: strconv.AppendInt(nil, int64(k.counts[p]), 10)})
	}
	clear(k.changed)
	return rows
}

func (k *players) Act(context.Context) error { return nil }

// TestShardsCrash closes and opens the file at crashes.
func TestShardsCrash(t *testing.T) {
	t.Parallel()
	events := make([]throng.Event, crashOperations(t))
	for i := range events {
		events[i] = throng.Event{
			ID: throng.EventID(fmt.Sprint("e", i)), Type: "player.joined.v1", Player: throng.PlayerID(fmt.Sprint("p", i%20)),
			Time: time.UnixMilli(int64(i) + 1), Data: json.RawMessage(`{}`),
		}
	}
	clean, path := open(t, filepath.Join(t.TempDir(), "clean.db")), filepath.Join(t.TempDir(), "consumers.db")
	store := open(t, path)
	if err := contract.ConsumerCrash(t, contract.ConsumerPlay{
		Events: events, New: newPlayers, Clean: clean.Shards(), Store: store.Shards(), Seed: 1,
		Again: func(consumer.Store) consumer.Store {
			store = reopen(t, store, path)
			return store.Shards()
		},
	}); err != nil {
		t.Error(err)
	}
}
