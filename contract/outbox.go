package contract

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/ledger"
)

// OutboxStore is what Outboxes tests.
type OutboxStore interface {
	LedgerStore
	ledger.Outbox
}

// outboxLog keeps what was announced, and fails as it is told: before it took
// events, or after.
type outboxLog struct {
	mu     sync.Mutex
	random *rand.Rand
	fails  bool
	got    map[throng.EventID][]throng.Event
	last   map[string]time.Time // by key
	wrong  []string
}

var errOutbox = errors.New("the log is away")

// Publish takes events, or some of them.
func (o *outboxLog) Publish(_ context.Context, list []throng.Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	took := len(list)
	if o.fails && o.random.IntN(3) == 0 {
		took = o.random.IntN(len(list) + 1)
	}
	for _, e := range list[:took] {
		if len(o.got[e.ID]) == 0 {
			if e.Time.Before(o.last[e.Key]) {
				o.wrong = append(o.wrong, fmt.Sprintf("%s of %s came late", e.ID, e.Key))
			}
			o.last[e.Key] = e.Time
		}
		o.got[e.ID] = append(o.got[e.ID], e)
	}
	if took < len(list) || o.fails && o.random.IntN(4) == 0 {
		return errOutbox
	}
	return nil
}

// Outboxes is the contract of ledger.Outbox: whatever crashes between a commit and
// its announcement, what is announced is what was committed, all of it, in order.
// open makes an empty store; again opens it anew after a crash; nil: it is a server.
func Outboxes(t *testing.T, store OutboxStore, game throng.GameID, again func(t *testing.T) OutboxStore) {
	t.Helper()
	log := &outboxLog{random: rand.New(rand.NewPCG(1, 2)), fails: true, got: map[throng.EventID][]throng.Event{}, last: map[string]time.Time{}} //nolint:gosec // a test's dice
	open := func(s OutboxStore) (*ledger.Ledger, *ledger.Relay) {
		l, err := ledger.New(ledger.Config{Store: s, Catalogs: s, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		r, err := ledger.NewRelay(ledger.RelayConfig{Outbox: s, Log: log, Region: "eu", Term: func() uint64 { return 3 }, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return l, r
	}
	l, r := open(store)
	if _, err := l.SetCatalog(t.Context(), game, []byte(ledgerCatalog)); err != nil {
		t.Fatal(err)
	}
	const n = 120
	for i := range n {
		p := throng.PlayerID(fmt.Sprintf("plr-%d", i%7))
		o := ledger.Order{Game: game, Transfer: throng.Transfer{
			ID: throng.TransferID(fmt.Sprintf("t%d", i)), Kind: throng.TransferReward, First: throng.Member{Player: p}, Gives: []throng.Amount{{Item: "gold", Count: int64(i + 1)}},
		}}
		postSurely(t, l, o)
		if i%5 == 0 {
			_, _ = r.Step(t.Context()) // it may fail
		}
		if again != nil && i%17 == 16 {
			store = again(t)
			l, r = open(store)
		}
	}
	copied := ledger.Posting{Game: game + "-copy", Record: ledger.Record{
		Transfer: reward("elsewhere", "plr-0", amounts("gold", 1)), At: time.Now().Truncate(time.Millisecond), Session: sessionOne,
		Lines: []ledger.Line{
			{Account: ledger.HouseOf(ledger.Key{Player: "plr-0", ID: "elsewhere"}), Item: "gold", Change: -1}, {Account: "plr-0", Item: "gold", Change: 1},
		},
	}}
	wantOK(t, "Copy", l.Copy(t.Context(), copied)) // whoever posted it announces it
	refused := ledger.Order{Game: game, Transfer: throng.Transfer{
		ID: "never", Kind: throng.TransferReward, First: throng.Member{Player: "plr-0"}, Gives: []throng.Amount{{Item: "gold", Count: 2_000_000}},
	}}
	if _, err := l.Post(t.Context(), refused); err == nil {
		t.Fatal("too much gold was given")
	}
	log.mu.Lock()
	log.fails = false
	log.mu.Unlock()
	until(t, "everything announced", func() bool {
		if _, err := r.Step(t.Context()); err != nil {
			t.Logf("not yet: %v", err)
		}
		log.mu.Lock()
		defer log.mu.Unlock()
		return len(log.got) >= 2*n
	})
	announced(t, store, log)
}

// postSurely posts until it is done: an answer that was lost is asked for again.
func postSurely(t *testing.T, l *ledger.Ledger, o ledger.Order) {
	t.Helper()
	for {
		_, err := l.Post(t.Context(), o)
		if err == nil {
			return
		}
		if kind := throng.KindOf(err); kind != throng.Unavailable && kind != throng.Internal {
			t.Fatal(err)
		}
	}
}

// announced compares what was announced with the books.
func announced(t *testing.T, store OutboxStore, log *outboxLog) {
	t.Helper()
	log.mu.Lock()
	defer log.mu.Unlock()
	for _, w := range log.wrong {
		t.Error(w)
	}
	found := 0
	err := store.Walk(t.Context(), func(row ledger.Row) error {
		if row.Record == nil {
			return nil
		}
		if row.Record.Transfer.ID == "elsewhere" {
			return nil
		}
		found++
		want, err := ledger.EventOf("eu", ledger.Posting{Game: row.Game, Record: *row.Record})
		if err != nil {
			return err
		}
		got := log.got[want.ID]
		if len(got) == 0 {
			t.Errorf("%s was committed and not announced", row.Record.Transfer.ID)
		}
		for _, e := range got {
			if fmt.Sprintf("%+v", e) != fmt.Sprintf("%+v", want) {
				t.Errorf("announced %+v\ncommitted %+v", e, want)
			}
		}
		return copyAnnounced(log, ledger.Posting{Game: row.Game, Record: *row.Record})
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(log.got) != 2*found {
		t.Errorf("%d events of transfers were published, %d are in the books", len(log.got), found)
	}
}

// copyAnnounced looks for what other regions copy.
func copyAnnounced(log *outboxLog, want ledger.Posting) error {
	e, err := ledger.CopyOf("eu", 3, want)
	if err != nil {
		return err
	}
	if len(log.got[e.ID]) == 0 {
		return fmt.Errorf("%s was committed and not copied", want.Record.Transfer.ID)
	}
	for _, e := range log.got[e.ID] {
		if term, got, err := ledger.ParseCopy(e); err != nil || term != 3 || !reflect.DeepEqual(got, want) {
			return fmt.Errorf("%s is copied as %+v of term %d, %w, and was committed as %+v", want.Record.Transfer.ID, got, term, err, want)
		}
	}
	return nil
}
