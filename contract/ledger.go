package contract

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/ledger"
)

// LedgerStore is what Ledgers tests.
type LedgerStore interface {
	ledger.Store
	ledger.Catalogs
	ledger.Books
}

// LedgerStores is a store, and how it is opened anew; nil: it is a server of its
// own.
type LedgerStores struct {
	Store LedgerStore
	Again func(t *testing.T) LedgerStore
}

// ledgerCatalog is what the contract's players own.
const ledgerCatalog = `
currencies: {gold: {most: 1000000}, gems: {}}
items:      {potion: {most: 99}, arrow: {}, sword: {unique: true}, crown: {unique: true}, ring: {unique: true}}
offers:
  potion: {price: {gold: 5}, gives: {potion: 1}}
  sword:  {price: {gold: 100}, gives: {sword: 1}}
  bundle: {price: {gold: 50, gems: 1}, gives: {potion: 3, arrow: 100, crown: 1}}
  gift:   {gives: {gold: 1}}
`

// Ledgers is the contract of ledger.Store, ledger.Catalogs and ledger.Books,
// with the ledger's logic on it. open makes an empty store, or keys of it that
// nobody uses: game is one.
func Ledgers(t *testing.T, open func(t *testing.T) (LedgerStores, throng.GameID)) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *ledgerRig){
		"rewards":                             ledgerRewards,
		"purchases":                           ledgerPurchases,
		"trades":                              ledgerTrades,
		"refunds":                             ledgerRefunds,
		"the same ID again":                   ledgerRepeats,
		"the same ID with other content":      ledgerConflicts,
		"fences":                              ledgerFences,
		"what can never be posted":            ledgerInvalid,
		"nothing is negative or overflows":    ledgerBounds,
		"racing purchases spend once":         ledgerRace,
		"a unique item has one owner":         ledgerUniqueRace,
		"entries, the newest first":           ledgerEntries,
		"games are apart":                     ledgerApart,
		"catalogs":                            ledgerCatalogs,
		"everything outlives a restart":       ledgerAgain,
		"an audit finds what does not add up": ledgerAuditFinds,
		"copies in any order":                 ledgerCopies,
	} {
		t.Run(name, func(t *testing.T) {
			stores, game := open(t)
			r := newLedgerRig(t, stores.Store, game)
			r.again = stores.Again
			test(t, r)
			r.audit(t)
		})
	}
}

// ledgerRig is a ledger of one game with two players in it.
type ledgerRig struct {
	*ledger.Ledger
	store LedgerStore
	game  throng.GameID
	again func(t *testing.T) LedgerStore
	spoil bool // the books are wrong on purpose
}

func newLedgerRig(t *testing.T, store LedgerStore, game throng.GameID) *ledgerRig {
	t.Helper()
	r := &ledgerRig{store: store, game: game}
	r.open(t)
	_, err := r.SetCatalog(t.Context(), game, []byte(ledgerCatalog))
	wantOK(t, "SetCatalog", err)
	for _, p := range []throng.PlayerID{"ada", "bo"} {
		wantOK(t, "Fence", r.Fence(t.Context(), game, p, 7))
	}
	return r
}

func (r *ledgerRig) open(t *testing.T) {
	t.Helper()
	var err error
	r.Ledger, err = ledger.New(ledger.Config{Store: r.store, Catalogs: r.store, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	wantOK(t, "New", err)
}

// audit proves the game's books.
func (r *ledgerRig) audit(t *testing.T) {
	t.Helper()
	if r.spoil {
		return
	}
	report, err := ledger.Audit(t.Context(), ledger.AuditConfig{Books: onlyGame{r.store, r.game}, Now: time.Now})
	if err != nil || report.Sum != 0 || len(report.Problems) > 0 {
		t.Errorf("audit: got %+v, %v", report, err)
	}
}

// onlyGame is the books of one game, since others may share a server.
type onlyGame struct {
	ledger.Books
	game throng.GameID
}

func (b onlyGame) Walk(ctx context.Context, visit func(ledger.Row) error) error {
	return b.Books.Walk(ctx, func(row ledger.Row) error {
		if row.Game != b.game {
			return nil
		}
		return visit(row)
	})
}

func member(p throng.PlayerID) throng.Member { return throng.Member{Player: p, Epoch: 7} }

func amounts(pairs ...any) []throng.Amount {
	var list []throng.Amount
	for i := 0; i < len(pairs); i += 2 {
		item, count := pairs[i], pairs[i+1]
		name, ok := item.(throng.ItemID)
		if !ok {
			name = throng.ItemID(item.(string))
		}
		list = append(list, throng.Amount{Item: name, Count: int64(count.(int))})
	}
	return list
}

func reward(id throng.TransferID, p throng.PlayerID, gives []throng.Amount) throng.Transfer {
	return throng.Transfer{ID: id, Kind: throng.TransferReward, First: member(p), Gives: gives}
}

func purchase(id throng.TransferID, offer throng.ItemID, n int64) throng.Transfer {
	return throng.Transfer{ID: id, Kind: throng.TransferPurchase, First: member("ada"), Offer: offer, Count: n}
}

func trade(id throng.TransferID, gives, takes []throng.Amount) throng.Transfer {
	return throng.Transfer{ID: id, Kind: throng.TransferTrade, First: member("ada"), Second: member("bo"), Gives: gives, Takes: takes}
}

func (r *ledgerRig) post(ctx context.Context, t throng.Transfer) (throng.Receipt, error) {
	return r.Post(ctx, ledger.Order{Game: r.game, Session: sessionOne, Transfer: t})
}

func (r *ledgerRig) must(t *testing.T, tr throng.Transfer) throng.Receipt {
	t.Helper()
	receipt, err := r.post(t.Context(), tr)
	wantOK(t, fmt.Sprintf("%s %s", tr.Kind, tr.ID), err)
	return receipt
}

func (r *ledgerRig) refuse(t *testing.T, tr throng.Transfer, kind throng.Kind, field string) {
	t.Helper()
	before := r.all(t)
	_, err := r.post(t.Context(), tr)
	placeWantKind(t, fmt.Sprintf("%s %s", tr.Kind, tr.ID), err, kind)
	if e, ok := errors.AsType[*throng.Error](err); field != "" && (!ok || e.Field != field) {
		t.Errorf("%s %s: got %v, want field %s", tr.Kind, tr.ID, err, field)
	}
	if after := r.all(t); after != before {
		t.Errorf("%s %s was refused and changed\n%s\nto\n%s", tr.Kind, tr.ID, before, after)
	}
}

// owns is what a player has, in words, unique items by kind.
func (r *ledgerRig) owns(t *testing.T, p throng.PlayerID) string {
	t.Helper()
	h, err := r.Inventory(t.Context(), r.game, p)
	wantOK(t, "Inventory", err)
	var parts []string
	for _, a := range h.Amounts {
		kind, _, _ := strings.Cut(string(a.Item), "#")
		parts = append(parts, fmt.Sprintf("%d %s", a.Count, kind))
	}
	return strings.Join(parts, ", ")
}

func (r *ledgerRig) all(t *testing.T) string {
	t.Helper()
	return "ada: " + r.owns(t, "ada") + "; bo: " + r.owns(t, "bo")
}

func (r *ledgerRig) want(t *testing.T, want string) {
	t.Helper()
	if got := r.all(t); got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

// uniques are a player's unique items of a kind.
func (r *ledgerRig) uniques(t *testing.T, p throng.PlayerID, kind string) (out []throng.Amount) {
	t.Helper()
	h, err := r.Inventory(t.Context(), r.game, p)
	wantOK(t, "Inventory", err)
	for _, a := range h.Amounts {
		if strings.HasPrefix(string(a.Item), kind+"#") {
			out = append(out, a)
		}
	}
	return out
}

// one is ada's unique item of a kind.
func (r *ledgerRig) one(t *testing.T, kind string) throng.ItemID {
	t.Helper()
	list := r.uniques(t, "ada", kind)
	if len(list) == 0 {
		t.Fatalf("ada has no %s", kind)
	}
	return list[0].Item
}

func ledgerRewards(t *testing.T, r *ledgerRig) {
	t.Helper()
	got := r.must(t, reward("r1", "ada", amounts("gold", 150, "potion", 2, "sword", 2)))
	r.want(t, "ada: 150 gold, 2 potion, 1 sword, 1 sword; bo: ")
	if len(got.Holdings) != 1 || got.Holdings[0].Player != "ada" || len(got.Holdings[0].Amounts) != 4 || got.Holdings[0].Amounts[0] != (throng.Amount{Item: "gold", Count: 150}) {
		t.Errorf("receipt: got %+v", got)
	}
	r.must(t, reward("r2", "ada", amounts("gold", 1)))
	r.must(t, reward("r1", "bo", amounts("gold", 3))) // an ID is its first player's own
	r.want(t, "ada: 151 gold, 2 potion, 1 sword, 1 sword; bo: 3 gold")
}

func ledgerPurchases(t *testing.T, r *ledgerRig) {
	t.Helper()
	r.refuse(t, purchase("b1", "sword", 1), throng.Full, "amount")
	r.must(t, reward("r1", "ada", amounts("gold", 250, "gems", 1)))
	r.must(t, purchase("b1", "sword", 1))
	r.must(t, purchase("b2", "bundle", 1))
	r.must(t, purchase("b3", "potion", 20))
	r.want(t, "ada: 100 arrow, 23 potion, 1 crown, 1 sword; bo: ")
	r.refuse(t, purchase("b4", "potion", 1), throng.Full, "amount")
	r.refuse(t, purchase("b5", "castle", 1), throng.NotFound, "offer")
	r.must(t, purchase("b6", "gift", 7))
	r.want(t, "ada: 100 arrow, 7 gold, 23 potion, 1 crown, 1 sword; bo: ")
}

func ledgerTrades(t *testing.T, r *ledgerRig) {
	t.Helper()
	r.must(t, reward("r1", "ada", amounts("gold", 10, "sword", 1)))
	r.must(t, reward("r1", "bo", amounts("gold", 90, "potion", 3)))
	sword := r.one(t, "sword")
	r.refuse(t, trade("t0", amounts(sword, 1), amounts("gold", 91)), throng.Full, "amount")
	r.refuse(t, trade("t0", amounts("gold", 1, "potion", 1), amounts("arrow", 5)), throng.Full, "amount")
	got := r.must(t, trade("t1", amounts(sword, 1), amounts("gold", 80, "potion", 1)))
	r.want(t, "ada: 90 gold, 1 potion; bo: 10 gold, 2 potion, 1 sword")
	want := []throng.Holding{
		{Player: "ada", Amounts: []throng.Amount{{Item: "gold", Count: 90}, {Item: "potion", Count: 1}, {Item: sword, Count: 0}}},
		{Player: "bo", Amounts: []throng.Amount{{Item: "gold", Count: 10}, {Item: "potion", Count: 2}, {Item: sword, Count: 1}}},
	}
	if !reflect.DeepEqual(got.Holdings, want) {
		t.Errorf("receipt: got %+v, want %+v", got.Holdings, want)
	}
	r.refuse(t, trade("t2", amounts(sword, 1), amounts("gold", 1)), throng.Full, "items")
	r.must(t, trade("t3", nil, amounts(sword, 1))) // a present
	r.want(t, "ada: 90 gold, 1 potion, 1 sword; bo: 10 gold, 2 potion")
}

func refund(id throng.TransferID, p throng.PlayerID, of throng.TransferID) throng.Transfer {
	return throng.Transfer{ID: id, Kind: throng.TransferRefund, First: member(p), Refunds: of}
}

func ledgerRefunds(t *testing.T, r *ledgerRig) {
	t.Helper()
	r.must(t, reward("r1", "ada", amounts("gold", 200, "gems", 1)))
	r.must(t, purchase("b1", "sword", 1))
	r.must(t, purchase("b2", "bundle", 1))
	for range 2 {
		r.must(t, refund("f1", "ada", "b1"))
	}
	r.want(t, "ada: 100 arrow, 150 gold, 3 potion, 1 crown; bo: ")
	r.refuse(t, refund("f2", "ada", "b1"), throng.Conflict, "refunds")
	r.refuse(t, refund("f3", "ada", "nothing"), throng.NotFound, "refunds")
	r.refuse(t, refund("f4", "ada", "r1"), throng.Invalid, "refunds")
	r.refuse(t, refund("f5", "bo", "b2"), throng.NotFound, "refunds")
	crown := r.one(t, "crown")
	r.must(t, trade("t1", amounts(crown, 1), nil))
	r.refuse(t, refund("f6", "ada", "b2"), throng.Full, "items") // the crown is gone
	r.must(t, trade("t2", nil, amounts(crown, 1)))
	// The owner of the game gives back though the player is in no session.
	_, err := r.Post(t.Context(), ledger.Order{Game: r.game, Transfer: throng.Transfer{ID: "f7", Kind: throng.TransferRefund, First: throng.Member{Player: "ada"}, Refunds: "b2"}})
	wantOK(t, "refund by the game's owner", err)
	r.want(t, "ada: 1 gems, 200 gold; bo: ")
	_, err = r.Post(t.Context(), ledger.Order{Game: r.game, Transfer: throng.Transfer{ID: "b9", Kind: throng.TransferPurchase, First: throng.Member{Player: "ada"}, Offer: "potion", Count: 1}})
	placeWantKind(t, "purchase by nobody's session", err, throng.Denied)
}

func ledgerRepeats(t *testing.T, r *ledgerRig) {
	t.Helper()
	r.must(t, reward("r1", "ada", amounts("gold", 100)))
	first := r.must(t, purchase("b1", "potion", 2))
	r.must(t, purchase("b2", "potion", 2))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if again, err := r.post(t.Context(), purchase("b1", "potion", 2)); err != nil || !reflect.DeepEqual(again, first) {
				t.Errorf("repeated: got %+v, %v, want %+v", again, err, first)
			}
		})
	}
	group.Wait()
	r.want(t, "ada: 80 gold, 4 potion; bo: ")
	// By his next session: what he bought in the last one is not bought again.
	wantOK(t, "Fence", r.Fence(t.Context(), r.game, "ada", 9))
	again := purchase("b1", "potion", 2)
	again.First.Epoch = 9
	if got := r.must(t, again); !reflect.DeepEqual(got, first) {
		t.Errorf("repeated by the next session: got %+v, want %+v", got, first)
	}
	r.want(t, "ada: 80 gold, 4 potion; bo: ")
}

func ledgerConflicts(t *testing.T, r *ledgerRig) {
	t.Helper()
	r.must(t, reward("x", "ada", amounts("gold", 100, "gems", 2)))
	r.must(t, reward("x", "ada", amounts("gems", 2, "gold", 100))) // the order says nothing
	for _, other := range []throng.Transfer{
		reward("x", "ada", amounts("gold", 101, "gems", 2)), reward("x", "ada", amounts("gold", 100)), purchase("x", "potion", 1), trade("x", amounts("gold", 1), nil),
	} {
		r.refuse(t, other, throng.Conflict, "id")
		_, err := r.post(t.Context(), other)
		for _, part := range []string{"reward of 2 gems, 100 gold to ada", string(other.Kind) + " of"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("the conflict does not show %q: %v", part, err)
			}
		}
	}
}

func ledgerFences(t *testing.T, r *ledgerRig) {
	t.Helper()
	r.must(t, reward("r1", "ada", amounts("gold", 100)))
	r.must(t, reward("r1", "bo", amounts("gold", 100)))
	placeWantKind(t, "a lower fence", r.Fence(t.Context(), r.game, "ada", 6), throng.Denied)
	wantOK(t, "the same fence", r.Fence(t.Context(), r.game, "ada", 7))
	wantOK(t, "a higher fence", r.Fence(t.Context(), r.game, "ada", 8))
	r.refuse(t, purchase("b1", "potion", 1), throng.Denied, "first")
	r.refuse(t, reward("r2", "ada", amounts("gold", 1)), throng.Denied, "first")
	r.refuse(t, trade("t1", amounts("gold", 1), nil), throng.Denied, "first")
	stale := trade("t1", amounts("gold", 1), nil)
	stale.First.Epoch, stale.Second.Epoch = 8, 6
	r.refuse(t, stale, throng.Denied, "second")
	ahead := purchase("b2", "potion", 1)
	ahead.First.Epoch = 9 // was not checked out
	r.refuse(t, ahead, throng.Denied, "first")
	r.refuse(t, reward("r3", "eve", amounts("gold", 1)), throng.Denied, "first") // neither
	ahead.First.Epoch = 8
	r.must(t, ahead)
}

func ledgerInvalid(t *testing.T, r *ledgerRig) {
	t.Helper()
	r.must(t, reward("r1", "ada", amounts("gold", 100)))
	self := trade("t", amounts("gold", 1), nil)
	self.Second = self.First
	unnamed := reward("", "ada", amounts("gold", 1))
	huge := purchase("p", "potion", throng.AmountMost)
	for what, tr := range map[string]throng.Transfer{
		"negative":             reward("n", "ada", amounts("gold", -1)),
		"zero":                 reward("n", "ada", amounts("gold", 0)),
		"over the most":        reward("n", "ada", amounts("gold", throng.AmountMost+1)),
		"unknown currency":     reward("n", "ada", amounts("dollars", 1)),
		"twice":                reward("n", "ada", amounts("gold", 1, "gold", 1)),
		"nothing":              reward("n", "ada", nil),
		"with himself":         self,
		"no ID":                unnamed,
		"named unique":         reward("n", "ada", amounts("sword#mine", 1)),
		"too many uniques":     reward("n", "ada", amounts("sword", throng.TransferMost+1)),
		"too many kinds of it": reward("n", "ada", amounts("sword", throng.TransferMost, "crown", throng.TransferMost, "ring", 1)),
		"any sword":            trade("n", amounts("sword", 1), nil),
		"unique gold":          trade("n", amounts("gold#1", 1), nil),
		"overflow":             huge,
		"negative count":       purchase("n", "potion", -1),
		"unknown kind":         {ID: "n", Kind: "theft", First: member("ada")},
		"bad player":           reward("n", "a b", amounts("gold", 1)),
		"bad ID":               reward("a b", "ada", amounts("gold", 1)),
		"two thousand letters": reward(throng.TransferID(strings.Repeat("x", 2000)), "ada", amounts("gold", 1)),
	} {
		t.Run(what, func(t *testing.T) { r.refuse(t, tr, throng.Invalid, "") })
	}
	_, err := r.Post(t.Context(), ledger.Order{Game: "../other", Session: sessionOne, Transfer: reward("r9", "ada", amounts("gold", 1))})
	placeWantKind(t, "a game that is none", err, throng.Invalid)
}

func ledgerBounds(t *testing.T, r *ledgerRig) {
	t.Helper()
	r.must(t, reward("r1", "ada", amounts("gold", 1_000_000, "gems", throng.AmountMost, "potion", 98)))
	r.refuse(t, reward("r2", "ada", amounts("gold", 1)), throng.Full, "amount")
	r.refuse(t, reward("r3", "ada", amounts("gems", 1)), throng.Full, "amount")
	r.refuse(t, reward("r4", "ada", amounts("gems", throng.AmountMost)), throng.Full, "amount")
	r.refuse(t, purchase("b1", "potion", 2), throng.Full, "amount")
	r.must(t, purchase("b2", "potion", 1))
	r.must(t, reward("r5", "bo", amounts("gold", 1)))
	r.refuse(t, trade("t1", amounts("gold", 2), amounts("gold", 2)), throng.Invalid, "takes")
	r.refuse(t, trade("t2", nil, amounts("gold", 2)), throng.Full, "amount")
	// As many unique items as can move at once.
	for i, p := range []throng.PlayerID{"ada", "bo"} {
		r.must(t, reward(throng.TransferID(fmt.Sprint("r6", i)), p, amounts("sword", throng.TransferMost, "ring", throng.TransferMost)))
	}
	r.must(t, trade("t3", r.uniques(t, "ada", "sword"), r.uniques(t, "bo", "ring")))
	for _, p := range []throng.PlayerID{"ada", "bo"} {
		if owns := len(r.uniques(t, p, "sword")) + len(r.uniques(t, p, "ring")); owns != 2*throng.TransferMost {
			t.Errorf("%s has %d swords and rings, want %d", p, owns, 2*throng.TransferMost)
		}
	}
}

// ledgerRace has many calls spend what is enough for ten.
func ledgerRace(t *testing.T, r *ledgerRig) {
	t.Helper()
	r.must(t, reward("r1", "ada", amounts("gold", 50)))
	var bought atomic.Int64
	var group sync.WaitGroup
	for i := range 24 {
		group.Go(func() {
			_, err := r.post(t.Context(), purchase(throng.TransferID(fmt.Sprint("b", i)), "potion", 1))
			switch {
			case err == nil:
				bought.Add(1)
			case throng.KindOf(err) != throng.Full:
				t.Errorf("purchase %d: %v", i, err)
			}
		})
	}
	group.Wait()
	if bought.Load() != 10 {
		t.Errorf("%d purchases went through, want 10", bought.Load())
	}
	r.want(t, "ada: 10 potion; bo: ")
}

// ledgerUniqueRace has a sword go both ways at once: it goes one.
func ledgerUniqueRace(t *testing.T, r *ledgerRig) {
	t.Helper()
	r.must(t, reward("r1", "ada", amounts("sword", 1)))
	r.must(t, reward("r1", "bo", amounts("gold", 100)))
	sword := r.one(t, "sword")
	var sold atomic.Int64
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			_, err := r.post(t.Context(), trade(throng.TransferID(fmt.Sprint("t", i)), amounts(sword, 1), amounts("gold", 10)))
			switch {
			case err == nil:
				sold.Add(1)
			case throng.KindOf(err) != throng.Full:
				t.Errorf("trade %d: %v", i, err)
			}
		})
	}
	group.Wait()
	if sold.Load() != 1 {
		t.Errorf("one sword was sold %d times", sold.Load())
	}
	r.want(t, "ada: 10 gold; bo: 90 gold, 1 sword")
}

func ledgerEntries(t *testing.T, r *ledgerRig) {
	t.Helper()
	for i := range 12 {
		r.must(t, reward(throng.TransferID(fmt.Sprintf("r%02d", i)), "ada", amounts("gold", i+1)))
	}
	r.must(t, trade("t", amounts("gold", 3), nil))
	list, err := r.Entries(t.Context(), r.game, "ada", time.Time{}, 5)
	wantOK(t, "Entries", err)
	if len(list) != 5 || !slices.IsSortedFunc(list, func(a, b throng.LedgerEntry) int { return b.At.Compare(a.At) }) {
		t.Fatalf("Entries: got %+v", list)
	}
	all, err := r.Entries(t.Context(), r.game, "ada", time.Time{}, 100)
	wantOK(t, "Entries", err)
	sum := int64(0)
	for _, e := range all {
		for _, c := range e.Changes {
			sum += c.Count
		}
	}
	if len(all) != 13 || sum != 78-3 {
		t.Errorf("Entries: got %d that sum to %d, want 13 and 75", len(all), sum)
	}
	before, err := r.Entries(t.Context(), r.game, "ada", time.UnixMilli(1), 100)
	if err != nil || len(before) != 0 {
		t.Errorf("Entries before all: got %+v, %v", before, err)
	}
	other, err := r.Entries(t.Context(), r.game, "bo", time.Time{}, 100)
	if err != nil || len(other) != 1 || other[0].First != "ada" || other[0].ID != "t" || other[0].Kind != throng.TransferTrade {
		t.Errorf("Entries of the other: got %+v, %v", other, err)
	}
	record, err := r.Record(t.Context(), r.game, ledger.Key{Player: "ada", ID: "t"})
	if err != nil || record.Session != sessionOne || len(record.Lines) != 2 {
		t.Errorf("Record: got %+v, %v", record, err)
	}
	_, err = r.Record(t.Context(), r.game, ledger.Key{Player: "bo", ID: "t"})
	placeWantKind(t, "Record of who was not first", err, throng.NotFound)
}

func ledgerApart(t *testing.T, r *ledgerRig) {
	t.Helper()
	other := newLedgerRig(t, r.store, r.game+"-b")
	r.must(t, reward("r1", "ada", amounts("gold", 5, "sword", 1)))
	other.must(t, reward("r1", "ada", amounts("gold", 7)))
	r.want(t, "ada: 5 gold, 1 sword; bo: ")
	other.want(t, "ada: 7 gold; bo: ")
	sword := r.one(t, "sword")
	other.refuse(t, trade("t1", amounts(sword, 1), nil), throng.Full, "items")
	other.audit(t)
}

func ledgerCatalogs(t *testing.T, r *ledgerRig) {
	t.Helper()
	c, err := r.store.Catalog(t.Context(), r.game)
	if err != nil || c.Revision != 1 || len(c.Goods) != 7 || len(c.Offers) != 4 {
		t.Fatalf("Catalog: got %+v, %v", c, err)
	}
	_, err = r.store.Catalog(t.Context(), r.game+"-none")
	placeWantKind(t, "Catalog of none", err, throng.NotFound)
	same, err := r.SetCatalog(t.Context(), r.game, []byte(ledgerCatalog))
	if err != nil || same.Revision != 1 {
		t.Errorf("the same again: got revision %d, %v, want 1", same.Revision, err)
	}
	placeWantKind(t, "an old revision", r.store.SetCatalog(t.Context(), r.game, ledger.Catalog{}), throng.Conflict)
	_, err = r.SetCatalog(t.Context(), r.game, []byte("currencies: {gold: {}}"))
	placeWantKind(t, "a catalog without what players may own", err, throng.Invalid)
	chest := strings.Replace(ledgerCatalog, "{gold: 1}}", "{sword: 16, crown: 16, ring: 1}}", 1)
	_, err = r.SetCatalog(t.Context(), r.game, []byte(chest))
	placeWantKind(t, "an offer of more unique items than can move at once", err, throng.Invalid)
	next, err := r.SetCatalog(t.Context(), r.game, []byte(strings.Replace(ledgerCatalog, "potion: {price: {gold: 5}", "potion: {price: {gold: 6}", 1)))
	if err != nil || next.Revision != 2 {
		t.Fatalf("a new price: got revision %d, %v, want 2", next.Revision, err)
	}
	r.must(t, reward("r1", "ada", amounts("gold", 10)))
	r.must(t, purchase("b1", "potion", 1))
	r.want(t, "ada: 4 gold, 1 potion; bo: ")
}

func ledgerAgain(t *testing.T, r *ledgerRig) {
	t.Helper()
	if r.again == nil {
		t.Skip("NOT TESTED: the store is a server that goes on")
	}
	r.must(t, reward("r1", "ada", amounts("gold", 100, "sword", 1)))
	first := r.must(t, purchase("b1", "potion", 2))
	r.store = r.again(t)
	r.open(t)
	r.want(t, "ada: 90 gold, 2 potion, 1 sword; bo: ")
	if again := r.must(t, purchase("b1", "potion", 2)); !reflect.DeepEqual(again, first) {
		t.Errorf("repeated after a restart: got %+v, want %+v", again, first)
	}
	r.want(t, "ada: 90 gold, 2 potion, 1 sword; bo: ")
}

// ledgerAuditFinds writes what no transfer would.
func ledgerAuditFinds(t *testing.T, r *ledgerRig) {
	t.Helper()
	r.must(t, reward("r1", "ada", amounts("gold", 100, "sword", 1)))
	r.audit(t)
	r.spoil = true
	sword := r.one(t, "sword")
	key := ledger.Key{Player: "bo", ID: "bad"}
	touch := ledger.Touch{Game: r.game, Key: key, Players: []throng.PlayerID{"bo"}, House: ledger.HouseOf(key)}
	err := r.store.Change(t.Context(), touch, func(s ledger.State) (*ledger.Outcome, error) {
		bo := s.Players[0]
		bo.Balances = map[throng.ItemID]int64{"gold": 13}
		bo.Entries++
		lines := []ledger.Line{{Account: "bo", Item: "gold", Change: 12}}
		return &ledger.Outcome{
			Record:  ledger.Record{Transfer: reward("bad", "bo", amounts("gold", 12)), At: time.Now(), Lines: lines},
			Players: []ledger.Account{bo}, Moves: []ledger.Move{{Item: sword, To: "bo"}},
		}, nil
	})
	wantOK(t, "Change", err)
	report, err := ledger.Audit(t.Context(), ledger.AuditConfig{Books: onlyGame{r.store, r.game}, Now: time.Now})
	wantOK(t, "Audit", err)
	all := strings.Join(report.Problems, "\n")
	for _, want := range []string{"moves 12 gold out of nothing", "gold sums to 12", "/bo has", string(sword) + " belongs to"} {
		if !strings.Contains(all, want) {
			t.Errorf("the audit does not say %q:\n%s", want, all)
		}
	}
	if report.Sum != 12 || report.Transfers != 2 {
		t.Errorf("the audit: got sum %d and %d transfers, want 12 and 2", report.Sum, report.Transfers)
	}
}
