package contract

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
)

// ConsumerJoins makes events for ConsumerCrash, of 20 players in turn; NewJoins counts
// them by player.
func ConsumerJoins(n int) []throng.Event {
	events := make([]throng.Event, n)
	for i := range events {
		events[i] = throng.Event{
			ID: throng.EventID(fmt.Sprint("e", i)), Type: throng.EventPlayerJoined, Player: throng.PlayerID(fmt.Sprint("p", i%20)),
			Time: time.UnixMilli(int64(i) + 1), Data: json.RawMessage(`{}`),
		}
	}
	return events
}

// NewJoins makes a consumer.Keeper whose rows are how many events each player has.
func NewJoins(consumer.Shard) consumer.Keeper {
	return &joins{counts: map[string]int{}, changed: map[string]bool{}}
}

type joins struct {
	counts  map[string]int
	changed map[string]bool
}

func (k *joins) Restore(r consumer.Row) (err error) {
	k.counts[r.Key], err = strconv.Atoi(string(r.Value))
	return err
}

func (k *joins) Apply(e *throng.EventRecord) error {
	k.counts[string(e.Player)]++
	k.changed[string(e.Player)] = true
	return nil
}

func (k *joins) Changes(time.Time) (rows []consumer.Row) {
	for p := range k.changed {
		rows = append(rows, consumer.Row{Key: p, Value: strconv.AppendInt(nil, int64(k.counts[p]), 10)})
	}
	clear(k.changed)
	return rows
}

func (k *joins) Act(context.Context, uint64) error { return nil }
