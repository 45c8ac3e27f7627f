package contract

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/ledger"
	"github.com/throng-gg/throng/profile"
)

// HomeStore keeps which region is the home.
type HomeStore interface {
	// Home returns the home that was set last; Term 0: none was.
	Home(ctx context.Context) (throng.Home, error)
	// SetHome makes a home the one that counts, durably, if its term is higher; the
	// same again is no error. Invalid: it has no region or no term. Conflict: its term
	// is not higher.
	SetHome(ctx context.Context, h throng.Home) error
}

// Homes is the contract of what keeps the home. s has none; again opens it anew; nil:
// it is a server.
func Homes(t *testing.T, s HomeStore, again func(t *testing.T) HomeStore) {
	t.Helper()
	want := func(want throng.Home) {
		t.Helper()
		if got, err := s.Home(t.Context()); err != nil || got != want {
			t.Fatalf("Home: got %+v, %v, want %+v", got, err, want)
		}
	}
	want(throng.Home{})
	placeWantKind(t, "no region", s.SetHome(t.Context(), throng.Home{Term: 3}), throng.Invalid)
	placeWantKind(t, "no term", s.SetHome(t.Context(), throng.Home{Region: "eu"}), throng.Invalid)
	for range 2 {
		wantOK(t, "SetHome", s.SetHome(t.Context(), throng.Home{Region: "eu", Term: 1}))
	}
	placeWantKind(t, "another region of the same term", s.SetHome(t.Context(), throng.Home{Region: "us", Term: 1}), throng.Conflict)
	wantOK(t, "SetHome", s.SetHome(t.Context(), throng.Home{Region: "us", Term: 4}))
	placeWantKind(t, "a lower term", s.SetHome(t.Context(), throng.Home{Region: "eu", Term: 3}), throng.Conflict)
	if again != nil {
		s = again(t)
	}
	want(throng.Home{Region: "us", Term: 4})
}

func profileCopy(t *testing.T, stores ProfileStores, game throng.GameID) {
	t.Helper()
	s, ada := stores.Store, profile.Key{Game: game, Player: "ada"}
	save := func(r throng.Revision, fence throng.Epoch, words string) *profile.Save {
		one := profileSave(r, fence, sessionOne, words)
		return &one
	}
	head := func(fence throng.Epoch, r throng.Revision, returned bool) profile.Head {
		return profile.Head{Fence: fence, Holder: sessionOne, Revision: r, Returned: returned}
	}
	for _, step := range []struct {
		what  string
		head  profile.Head
		save  *profile.Save
		taken bool
	}{
		{"a checkout", head(7, 0, false), nil, true},
		{"the first save that comes", head(7, 3, false), save(3, 7, "three"), true},
		{"the same again", head(7, 3, false), save(3, 7, "other"), false},
		{"one before", head(7, 2, false), save(2, 7, "two"), false},
		{"a return", head(7, 3, true), save(3, 7, "three"), true},
		{"before it was returned", head(7, 3, false), nil, false},
		{"an older session's", head(6, 9, false), save(9, 6, "nine"), false},
		{"a checkout by the next", head(8, 3, false), save(3, 7, "three"), true},
		{"ten saves later", head(8, 14, false), save(14, 8, "fourteen"), true},
	} {
		before, err := s.Head(t.Context(), ada)
		wantOK(t, "Head", err)
		wantOK(t, step.what, s.Copy(t.Context(), ada, step.head, step.save))
		if step.taken {
			before = step.head
		}
		profileWantHead(t, s, ada, before)
	}
	got, err := s.Saved(t.Context(), ada, 0)
	if err != nil || !reflect.DeepEqual(got, *save(14, 8, "fourteen")) {
		t.Errorf("the newest save: got %+v, %v", got, err)
	}
	list, err := s.Saves(t.Context(), ada)
	if err != nil || len(list) != 1 || list[0].Revision != 14 {
		t.Errorf("Saves: got %+v, %v, want 14 alone: 3 is too old", list, err)
	}
	placeWantKind(t, "another revision than the head's", s.Copy(t.Context(), ada, head(9, 15, false), save(14, 8, "x")), throng.Invalid)
	placeWantKind(t, "a save of a later epoch", s.Copy(t.Context(), ada, head(9, 15, false), save(15, 10, "x")), throng.Invalid)
	// Whoever goes on from it does so as from its own.
	profileCheckout(t, s, ada, 20, sessionTwo)
	wantOK(t, "the next save", s.Save(t.Context(), ada, profileSave(15, 20, sessionTwo, "fifteen"), false))
	wantOK(t, "a copy that comes late", s.Copy(t.Context(), ada, head(8, 15, false), save(15, 8, "late")))
	profileWantHead(t, s, ada, profile.Head{Fence: 20, Holder: sessionTwo, Revision: 15})
}

// ledgerCopies has a ledger's transfers come to another one in any order, and again:
// they come to the same.
func ledgerCopies(t *testing.T, r *ledgerRig) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, uint64(len(r.game)))) //nolint:gosec // a test's dice
	players := []throng.PlayerID{"ada", "bo", "cyd"}
	wantOK(t, "Fence", r.Fence(t.Context(), r.game, "cyd", 7))
	for i := range 140 {
		r.random(t, rng, players, throng.TransferID(fmt.Sprint("t", i)))
	}
	all := r.postings(t)
	other := newLedgerRig(t, r.store, r.game+"-copy")
	waiting := slices.Concat(all, all[:len(all)/2])
	rng.Shuffle(len(waiting), func(i, j int) { waiting[i], waiting[j] = waiting[j], waiting[i] })
	waited := 0
	for len(waiting) > 0 {
		var later []ledger.Posting
		for _, p := range waiting {
			p.Game = other.game
			switch err := other.Copy(t.Context(), p); {
			case err != nil && throng.KindOf(err) == throng.Contention:
				later = append(later, p)
			case err != nil:
				t.Fatal(err)
			}
		}
		if len(later) == len(waiting) {
			t.Fatalf("%d transfers wait for ever, the first is %+v", len(later), later[0])
		}
		waiting, waited = later, waited+len(later)
	}
	t.Logf("%d transfers; they had to wait %d times", len(all), waited)
	want, got := r.books(t), other.books(t)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%s\n   is %s\n copy %s", name, want[name], got[name])
		}
	}
	if len(got) != len(want) {
		t.Errorf("there are %d rows, and %d in the copy", len(want), len(got))
	}
	other.audit(t)
	if waited == 0 || len(all) < 50 {
		t.Errorf("of %d transfers none had to wait", len(all))
	}
	other.copyRefuses(t, all[0])
}

// copyRefuses copies what cannot be.
func (r *ledgerRig) copyRefuses(t *testing.T, p ledger.Posting) {
	t.Helper()
	p.Game = r.game
	before := r.books(t)
	for what, c := range map[string]struct {
		change func(*ledger.Posting)
		want   throng.Kind
	}{
		"other content":       {func(p *ledger.Posting) { p.Record.Transfer.Gives = amounts("gold", 999_999) }, throng.Conflict},
		"no game":             {func(p *ledger.Posting) { p.Game = "a b" }, throng.Invalid},
		"out of nothing":      {func(p *ledger.Posting) { p.Record.Lines = p.Record.Lines[:1] }, throng.Invalid},
		"another's account":   {func(p *ledger.Posting) { p.Record.Lines[0].Account = "eve" }, throng.Invalid},
		"no item":             {func(p *ledger.Posting) { p.Record.Lines[0].Item = "no item" }, throng.Invalid},
		"no time":             {func(p *ledger.Posting) { p.Record.At = time.Time{} }, throng.Invalid},
		"nothing that counts": {func(p *ledger.Posting) { p.Record.Lines[0].Change = 0 }, throng.Invalid},
		"an item twice": {func(p *ledger.Posting) {
			p.Record.Lines = slices.Repeat([]ledger.Line{{Account: p.Record.Lines[0].Account, Item: "sword#1", Change: 1}, {Account: "ada", Item: "sword#1", Change: -1}}, 2)
		}, throng.Invalid},
		"far too much": {func(p *ledger.Posting) { p.Record.Lines[0].Change = 1 << 60 }, throng.Invalid},
	} {
		bad := p
		bad.Record.Lines = slices.Clone(p.Record.Lines)
		c.change(&bad)
		placeWantKind(t, "copy of "+what, r.Copy(t.Context(), bad), c.want)
	}
	if !maps.Equal(r.books(t), before) {
		t.Error("what was refused changed the books")
	}
}

// random posts something; it may be refused.
func (r *ledgerRig) random(t *testing.T, rng *rand.Rand, players []throng.PlayerID, id throng.TransferID) {
	t.Helper()
	n := rng.IntN(len(players))
	first, second := players[n], players[(n+1+rng.IntN(len(players)-1))%len(players)]
	tr := throng.Transfer{ID: id, First: member(first), Kind: throng.TransferReward, Gives: amounts("gold", 1+rng.IntN(300), "sword", 1)}
	switch d := rng.IntN(12); {
	case d < 2:
	case d < 5:
		tr.Kind, tr.Gives, tr.Offer, tr.Count = throng.TransferPurchase, nil, []throng.ItemID{"potion", "sword"}[rng.IntN(2)], 1
	case d < 6:
		tr.Kind, tr.Gives = throng.TransferRefund, nil
		for _, p := range r.postings(t) {
			if rec := p.Record.Transfer; rec.Kind == throng.TransferPurchase && rng.IntN(3) == 0 {
				tr.First, tr.Refunds = member(rec.First.Player), rec.ID
			}
		}
	default: // swords go round: who asks for it is now the giver and now the taker
		tr.Kind, tr.Second = throng.TransferTrade, member(second)
		goods := func(p throng.PlayerID) []throng.Amount {
			list, err := r.store.Uniques(t.Context(), r.game, p, "", 2)
			wantOK(t, "Uniques", err)
			if len(list) == 0 {
				return nil
			}
			return amounts(list[0], 1)
		}
		if rng.IntN(2) == 0 {
			tr.Gives, tr.Takes = goods(first), amounts("gold", 1+rng.IntN(20))
		} else {
			tr.Gives, tr.Takes = amounts("gold", 1+rng.IntN(20)), goods(second)
		}
	}
	if _, err := r.post(t.Context(), tr); err != nil && throng.KindOf(err) == throng.Unavailable {
		t.Fatal(err)
	}
}

// postings are the game's transfers as they were when they were posted, by time.
func (r *ledgerRig) postings(t *testing.T) (list []ledger.Posting) {
	t.Helper()
	err := onlyGame{r.store, r.game}.Walk(t.Context(), func(row ledger.Row) error {
		if row.Record != nil {
			row.Record.Refund = ""
			list = append(list, ledger.Posting{Game: r.game, Record: *row.Record})
		}
		return nil
	})
	wantOK(t, "Walk", err)
	slices.SortFunc(list, func(a, b ledger.Posting) int {
		return cmp.Or(a.Record.At.Compare(b.Record.At), cmp.Compare(a.Record.Transfer.ID, b.Record.Transfer.ID))
	})
	return list
}

// books are the game's rows, in words, but for fences and revisions.
func (r *ledgerRig) books(t *testing.T) map[string]string {
	t.Helper()
	rows := map[string]string{}
	err := onlyGame{r.store, r.game}.Walk(t.Context(), func(row ledger.Row) error {
		switch {
		case row.Account != nil:
			a := *row.Account
			a.Fence, a.Revision, a.Balances = 0, 0, maps.Clone(a.Balances)
			maps.DeleteFunc(a.Balances, func(_ throng.ItemID, n int64) bool { return n == 0 })
			rows[fmt.Sprintf("%s account", row.Owner)] = fmt.Sprintf("%+v", a)
		case row.Entry != nil:
			rows[fmt.Sprintf("%s entry %s %s", row.Owner, row.Entry.Key.Player, row.Entry.Key.ID)] = fmt.Sprintf("%+v", *row.Entry)
		case row.Record != nil:
			rows[fmt.Sprintf("%s record %s", row.Owner, row.Record.Transfer.ID)] = fmt.Sprintf("%+v", *row.Record)
		default:
			rows[fmt.Sprintf("%s item %s", row.Owner, row.Unique)] = ""
		}
		return nil
	})
	wantOK(t, "Walk", err)
	return rows
}
