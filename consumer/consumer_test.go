package consumer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/memory"
)

// tally counts events of each player, and what they say.
type tally struct {
	sums    map[string]int64
	changed map[string]bool
}

func newTally(consumer.Shard) consumer.Keeper {
	return &tally{sums: map[string]int64{}, changed: map[string]bool{}}
}

func (k *tally) Restore(r consumer.Row) error {
	n, err := strconv.ParseInt(string(r.Value), 10, 64)
	k.sums[r.Key] = n
	return err
}

func (k *tally) Apply(e *throng.EventRecord) error {
	var d struct{ N *int64 }
	if err := json.Unmarshal(e.Data, &d); err != nil {
		return err
	}
	if d.N == nil {
		return errors.New("n is missing")
	}
	k.sums[string(e.Player)] += *d.N
	k.changed[string(e.Player)] = true
	return nil
}

func (k *tally) Changes(time.Time) []consumer.Row {
	var rows []consumer.Row
	for p := range k.changed {
		rows = append(rows, consumer.Row{Key: p, Value: strconv.AppendInt(nil, k.sums[p], 10)})
	}
	clear(k.changed)
	return rows
}

func (k *tally) Act(context.Context, uint64) error { return nil }

func tallyEvents(n int) []throng.Event {
	out := make([]throng.Event, n)
	for i := range out {
		out[i] = throng.Event{
			ID: throng.EventID(fmt.Sprint("e", i)), Type: "player.joined.v1", Stream: throng.StreamPlay, Player: throng.PlayerID(fmt.Sprint("p", i%50)),
			Time: time.UnixMilli(1_750_000_000_000 + int64(i)), Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i)),
		}
		if i%997 == 996 {
			out[i].Data = json.RawMessage(`{}`)
		}
	}
	return out
}

// TestCrashEverywhere: whatever stops when, comes twice or in another order, the
// sums are those of a clean run.
func TestCrashEverywhere(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		if err := contract.ConsumerCrash(t, contract.ConsumerPlay{
			Events: tallyEvents(10_000), New: newTally, Clean: memory.NewShards(), Store: memory.NewShards(), Seed: seed,
		}); err != nil {
			t.Error(err)
		}
	}
}

// unmarked forgets which events were applied.
type unmarked struct{ consumer.Store }

func (u unmarked) Commit(ctx context.Context, s consumer.Shard, c consumer.Commit) error {
	c.Page.IDs, c.Floor = nil, 0
	return u.Store.Commit(ctx, s, c)
}

// unfenced takes commits of those who do not know the last one.
type unfenced struct{ consumer.Store }

func (u unfenced) Commit(ctx context.Context, s consumer.Shard, c consumer.Commit) error {
	m, _, err := u.Load(ctx, s, func(consumer.Row) error { return nil })
	if err != nil {
		return err
	}
	c.Number = m.Number + 1
	c.Page.Number = c.Number
	return u.Store.Commit(ctx, s, c)
}

// TestCrashFindsMissingGuards: without the marks, or without the commits' numbers,
// something is found.
func TestCrashFindsMissingGuards(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(consumer.Store) consumer.Store{
		"marks":   func(s consumer.Store) consumer.Store { return unmarked{s} },
		"numbers": func(s consumer.Store) consumer.Store { return unfenced{s} },
	} {
		err := contract.ConsumerCrash(t, contract.ConsumerPlay{
			Events: tallyEvents(10_000), New: newTally, Clean: memory.NewShards(), Store: memory.NewShards(), Wrap: wrap, Seed: 1,
		})
		if err == nil {
			t.Errorf("nothing was found without the %s", name)
		}
		t.Log(err)
	}
}

// lot keeps what is parked.
type lot map[throng.EventID]string

func (l lot) Park(_ context.Context, _ string, e throng.EventRecord, reason string) error {
	l[e.ID] = reason
	return nil
}

// TestParkedEventsComeBack: a poisoned event is parked with its reason, the rest
// flows, and it is applied when it comes again and can be.
func TestParkedEventsComeBack(t *testing.T) {
	parked := lot{}
	store := memory.NewShards()
	c, err := consumer.New(consumer.Config{Group: "count", Store: store, Parker: parked, New: newTally, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	event := func(offset int64, id, data string) throng.EventRecord {
		return throng.EventRecord{Offset: offset, Event: throng.Event{
			ID: throng.EventID(id), Type: "a.v1", Player: "ada", Time: time.UnixMilli(1), Data: json.RawMessage(data),
		}}
	}
	batch := []throng.EventRecord{event(0, "a", `{"n":1}`), event(1, "b", `{"n":"two"}`), event(2, "c", `{"n":4}`), event(3, "", `{"n":8}`)}
	if err := c.Handle(t.Context(), throng.StreamPlay, 0, batch); err != nil {
		t.Fatal(err)
	}
	if len(parked) != 2 || parked["b"] == "" || parked[""] == "" {
		t.Errorf("parked: got %v, want b and the one without an ID, with reasons", parked)
	}
	if err := c.Handle(t.Context(), throng.StreamPlay, 0, []throng.EventRecord{event(4, "b", `{"n":2}`), event(5, "b", `{"n":2}`)}); err != nil {
		t.Fatal(err)
	}
	sum := ""
	if _, _, err := store.Load(t.Context(), consumer.Shard{Group: "count", Stream: throng.StreamPlay}, func(r consumer.Row) error {
		sum = string(r.Value)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if sum != "7" {
		t.Errorf("sum: got %s, want 7", sum)
	}
}

func TestNewSaysWhatIsMissing(t *testing.T) {
	if _, err := consumer.New(consumer.Config{Group: "x"}); throng.KindOf(err) != throng.Invalid || err == nil {
		t.Errorf("got %v, want Invalid", err)
	}
	if _, err := consumer.New(consumer.Config{
		Group: "No Good", Store: memory.NewShards(), Parker: lot{}, New: newTally, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	}); throng.KindOf(err) != throng.Invalid || err == nil {
		t.Errorf("got %v, want Invalid", err)
	}
}
