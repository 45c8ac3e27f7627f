package contract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
)

// ConsumerPlay is what ConsumerCrash plays.
type ConsumerPlay struct {
	Events []throng.Event // each once, in the order in which they happened
	New    func(consumer.Shard) consumer.Keeper
	// NewClean makes those of the clean run; nil: New does.
	NewClean func(consumer.Shard) consumer.Keeper
	// Clean is an empty store for a run without faults, Store one for the other.
	Clean, Store consumer.Store
	// Again opens Store anew after a crash; nil: it needs no opening.
	Again func(consumer.Store) consumer.Store
	// Same compares the rows of both; nil: they are equal to the last byte.
	Same func(clean, got map[string][]byte) error
	Seed uint64
	// Window is the consumers'; events are repeated and reordered within it. 0: 5000.
	Window int
	// Wrap changes what consumers see of Store, behind the faults; nil: nothing.
	Wrap func(consumer.Store) consumer.Store
}

// ConsumerCrash delivers events to two consumers that both believe to own the
// partition: with faults before and after every commit and every parking, offsets
// that are forgotten, batches that come again, events that were sent twice and
// events in another order. It returns how the rows differ from those of a clean run.
func ConsumerCrash(t *testing.T, play ConsumerPlay) error {
	t.Helper()
	if play.Window == 0 {
		play.Window = 5000
	}
	rng := rand.New(rand.NewPCG(play.Seed, 2)) //nolint:gosec // it is played again from its seed
	clean := &crashLog{play: play, parked: map[throng.EventID]bool{}, records: recordsOf(play.Events)}
	if play.NewClean != nil {
		clean.play.New = play.NewClean
	}
	clean.play.Wrap, clean.play.Again = nil, nil
	if err := clean.run(t.Context(), play.Clean); err != nil {
		return fmt.Errorf("clean run: %w", err)
	}
	faulty := &crashLog{play: play, parked: map[throng.EventID]bool{}, rng: rng, records: disorder(rng, play.Events, play.Window/4)}
	if err := faulty.run(t.Context(), play.Store); err != nil {
		return fmt.Errorf("seed %d: %w", play.Seed, err)
	}
	if len(clean.parked) != len(faulty.parked) {
		return fmt.Errorf("seed %d: %d events were parked, %d in a clean run", play.Seed, len(faulty.parked), len(clean.parked))
	}
	want, err := shardOf(t.Context(), play.Clean, consumerShard(0))
	if err != nil {
		return err
	}
	got, err := shardOf(t.Context(), faulty.store, consumerShard(0))
	if err != nil {
		return err
	}
	same := play.Same
	if same == nil {
		same = sameRows
	}
	if err := same(want.rows, got.rows); err != nil {
		return fmt.Errorf("seed %d: %w", play.Seed, err)
	}
	t.Logf("%d events, %d records, %d crashes, %d conflicts, %d parked, %d rows", len(play.Events), len(faulty.records), faulty.crashes, faulty.conflicts, len(faulty.parked), len(got.rows))
	if faulty.crashes == 0 || faulty.conflicts == 0 {
		return errors.New("nothing went wrong, so nothing was tested")
	}
	return nil
}

func sameRows(want, got map[string][]byte) error {
	for k, v := range want {
		if !bytes.Equal(got[k], v) {
			return fmt.Errorf("row %q is %.300q, %.300q in a clean run", k, got[k], v)
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d rows, %d in a clean run", len(got), len(want))
	}
	return nil
}

func recordsOf(events []throng.Event) []throng.EventRecord {
	out := make([]throng.EventRecord, len(events))
	for i, e := range events {
		out[i] = throng.EventRecord{Event: e, Offset: int64(i)}
	}
	return out
}

// disorder sends one event in ten twice, and each up to reach places later than it
// happened.
func disorder(rng *rand.Rand, events []throng.Event, reach int) []throng.EventRecord {
	slots := make([][]throng.Event, len(events)+reach+1)
	put := func(i int, e throng.Event) {
		at := i + rng.IntN(reach)
		slots[at] = append(slots[at], e)
	}
	for i, e := range events {
		put(i, e)
		if rng.IntN(10) == 0 {
			put(i, e)
		}
	}
	var out []throng.EventRecord
	for _, slot := range slots {
		for _, e := range slot {
			out = append(out, throng.EventRecord{Event: e, Offset: int64(len(out))})
		}
	}
	return out
}

// crashLog is a partition of the log and who reads it.
type crashLog struct {
	play      ConsumerPlay
	rng       *rand.Rand // nil: nothing goes wrong
	records   []throng.EventRecord
	store     consumer.Store
	consumers [2]*consumer.Consumer
	parked    map[throng.EventID]bool
	crashes   int
	conflicts int
	now       time.Time
}

// Park keeps what cannot be applied; see consumer.Parker.
func (l *crashLog) Park(_ context.Context, _ string, e throng.EventRecord, reason string) error {
	if l.fails() {
		return errCrash
	}
	if reason == "" {
		return errors.New("parked without a reason")
	}
	l.parked[e.ID] = true
	if l.fails() {
		return errCrash
	}
	return nil
}

func (l *crashLog) fails() bool {
	if l.rng == nil || l.rng.IntN(20) != 0 {
		return false
	}
	l.crashes++
	return true
}

// faultyShards stops before and after commits.
type faultyShards struct {
	consumer.Store
	log *crashLog
}

func (f faultyShards) Commit(ctx context.Context, s consumer.Shard, c consumer.Commit) error {
	if f.log.fails() {
		return errCrash
	}
	if err := f.Store.Commit(ctx, s, c); err != nil {
		return err
	}
	if f.log.fails() {
		return errCrash
	}
	return nil
}

// restart makes one of the consumers anew.
func (l *crashLog) restart(i int) error {
	store := l.store
	if l.play.Wrap != nil {
		store = l.play.Wrap(store)
	}
	var err error
	l.consumers[i], err = consumer.New(consumer.Config{
		Group: consumerShard(0).Group, Store: faultyShards{store, l}, Parker: l, New: l.play.New, Window: l.play.Window,
		Now: func() time.Time { return l.now }, Logger: slog.New(slog.DiscardHandler),
	})
	return err
}

func (l *crashLog) run(ctx context.Context, store consumer.Store) error {
	l.store = store
	for i := range l.consumers {
		if err := l.restart(i); err != nil {
			return err
		}
	}
	at, owner, tries := 0, 0, 0
	for at < len(l.records) {
		n := min(300, len(l.records)-at)
		if l.rng != nil {
			n = min(1+l.rng.IntN(400), n)
		}
		batch := l.records[at : at+n]
		l.now = batch[n-1].Time
		err := l.consumers[owner].Handle(ctx, throng.StreamPlay, 0, batch)
		if tries++; err != nil && tries > 1000 {
			return err
		}
		if err == nil {
			tries = 0
			at += n
		}
		if l.rng == nil {
			continue
		}
		if at, owner, err = l.upset(at, owner, err); err != nil {
			return err
		}
	}
	return l.finish(ctx)
}

// upset is what goes wrong between batches.
func (l *crashLog) upset(at, owner int, failed error) (int, int, error) {
	switch {
	case failed != nil && throng.KindOf(failed) == throng.Conflict:
		l.conflicts++
	case failed != nil && !errors.Is(failed, errCrash):
		return at, owner, failed
	case failed != nil && l.rng.IntN(2) == 0:
		if l.play.Again != nil {
			l.store = l.play.Again(l.store)
			if err := l.restart(1 - owner); err != nil {
				return at, owner, err
			}
		}
		return at, owner, l.restart(owner)
	}
	switch l.rng.IntN(12) {
	case 0: // the other one has the partition; the first may not know yet
		owner = 1 - owner
	case 1: // the offset was not committed
		at = max(at-l.rng.IntN(l.play.Window/4), 0)
	case 2:
		l.consumers[owner].Lost(throng.StreamPlay, 0)
	case 3:
		if l.rng.IntN(20) == 0 { // everything again
			at = 0
		}
	}
	return at, owner, nil
}

// finish lets the last owner do what is due, for days.
func (l *crashLog) finish(ctx context.Context) error {
	l.consumers[0].Lost(throng.StreamPlay, 0) // it is whoever owns it now
	for done, tries := 0, 0; done < 5; tries++ {
		l.now = l.now.Add(24 * time.Hour)
		switch err := l.consumers[0].Idle(ctx, throng.StreamPlay, 0); {
		case err == nil:
			done++
		case tries > 100:
			return fmt.Errorf("what is due at the end was not done in a hundred tries: %w", err)
		}
	}
	return nil
}
