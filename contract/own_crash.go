package contract

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/ledger"
	"github.com/throng-gg/throng/profile"
)

// OwnStores is what OwnCrash tests: both stores, and how they are opened anew;
// nil: they are a server of their own.
type OwnStores struct {
	Profiles profile.Store
	Ledger   LedgerStore
	Again    func(t *testing.T) OwnStores
}

// OwnCrash plays random sessions of a few players from a seed. Before or after any
// call of a store the process may stop or the reply be dropped; sessions are paused
// and come back when others have their players. It returns the first thing that is
// wrong: a save or transfer that was acknowledged and is not there or is there
// twice, one of a stale session that was taken, or what the auditor says.
func OwnCrash(t *testing.T, stores OwnStores, game throng.GameID, seed uint64, operations int) error {
	t.Helper()
	w := &ownWorld{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), game: game, stores: stores, now: time.UnixMilli(1_750_000_000_000), //nolint:gosec // it is played again from its seed
		docs: map[throng.PlayerID]*ownProfile{}, posted: map[ledger.Key]throng.Receipt{},
	}
	w.restart()
	if _, err := w.ledger.SetCatalog(t.Context(), game, []byte(ledgerCatalog)); err != nil {
		return err
	}
	w.faults = true
	for n := range operations {
		if err := w.operate(); err != nil {
			return fmt.Errorf("seed %d, operation %d: %w", seed, n, err)
		}
	}
	w.faults = false
	w.restart()
	if err := w.final(); err != nil {
		return fmt.Errorf("seed %d, at the end: %w", seed, err)
	}
	return nil
}

// ownPlayers is how many play.
const ownPlayers = 5

// ownWorld is the sessions and what they were told.
type ownWorld struct {
	t        *testing.T
	rng      *rand.Rand
	game     throng.GameID
	stores   OwnStores
	profiles *profile.Profiles
	ledger   *ledger.Ledger
	now      time.Time
	faults   bool
	stays    []*ownStay // newest last, a few of each player
	docs     map[throng.PlayerID]*ownProfile
	posted   map[ledger.Key]throng.Receipt // acknowledged
	recent   []ownPost
	transfer int
	epoch    throng.Epoch
}

// ownProfile is what may be stored of a player's profile.
type ownProfile struct {
	fence    throng.Epoch // of the newest checkout that was acknowledged
	acked    string       // acknowledged last
	maybe    map[string]bool
	fencedTo throng.Epoch // the newest that was tried
}

// ownStay is a player in a session.
type ownStay struct {
	claim    profile.Claim
	in       bool // it was checked out
	over     bool // it was returned, or lost
	revision throng.Revision
	pending  string // that it does not know of
	saves    int
}

type ownPost struct {
	key   ledger.Key
	order throng.TransferOrder
}

// restart is a control plane that begins anew.
func (w *ownWorld) restart() {
	w.t.Helper()
	if w.stores.Again != nil && w.profiles != nil {
		w.stores = w.stores.Again(w.t)
	}
	var err error
	w.ledger, err = ledger.New(ledger.Config{
		Store: faultyLedger{w.stores.Ledger, w}, Catalogs: w.stores.Ledger, Now: func() time.Time { return w.now }, Logger: slog.New(slog.DiscardHandler),
	})
	wantOK(w.t, "ledger", err)
	w.profiles, err = profile.New(profile.Config{
		Store: faultyProfiles{w.stores.Profiles, w}, Wallets: w.ledger, Now: func() time.Time { return w.now }, Logger: slog.New(slog.DiscardHandler),
	})
	wantOK(w.t, "profiles", err)
}

func (w *ownWorld) player(n int) throng.PlayerID { return throng.PlayerID(fmt.Sprintf("p%d", n)) }

// operate does one random thing.
func (w *ownWorld) operate() error {
	w.now = w.now.Add(time.Millisecond)
	if w.rng.IntN(200) == 0 {
		w.restart()
	}
	if len(w.stays) == 0 || w.rng.IntN(12) == 0 {
		return w.join()
	}
	// Mostly the newer ones; the others are zombies.
	s := w.stays[len(w.stays)-1-w.rng.IntN(min(len(w.stays), 1+w.rng.IntN(3*ownPlayers)))]
	switch n := w.rng.IntN(10); {
	case !s.in:
		return w.checkout(s)
	case n < 4:
		return w.save(s, w.rng.IntN(8) == 0)
	case n < 9:
		return w.post(s)
	}
	return w.repeat()
}

// join gives a player to a new session, under the next epoch.
func (w *ownWorld) join() error {
	w.epoch = throng.NextEpoch(w.now, w.epoch, 1)
	p := w.player(w.rng.IntN(ownPlayers))
	s := &ownStay{claim: profile.Claim{
		Key: profile.Key{Game: w.game, Player: p}, Fence: w.epoch, Session: throng.SessionID(fmt.Sprintf("ses_local_%018d", w.epoch%1e18)),
	}}
	w.stays = append(w.stays, s)
	if len(w.stays) > 6*ownPlayers {
		w.stays = w.stays[1:]
	}
	return w.checkout(s)
}

func (w *ownWorld) of(p throng.PlayerID) *ownProfile {
	o := w.docs[p]
	if o == nil {
		o = &ownProfile{maybe: map[string]bool{"": true}}
		w.docs[p] = o
	}
	return o
}

func (w *ownWorld) checkout(s *ownStay) error {
	o := w.of(s.claim.Key.Player)
	got, err := w.profiles.Checkout(w.t.Context(), s.claim)
	o.fencedTo = max(o.fencedTo, s.claim.Fence)
	switch {
	case err == nil && s.claim.Fence < o.fence:
		return fmt.Errorf("%s was checked out at %d after %d", s.claim.Key.Player, s.claim.Fence, o.fence)
	case err == nil && !o.maybe[string(got.Document)] && string(got.Document) != o.acked:
		return fmt.Errorf("%s came back as %q, acknowledged was %q", s.claim.Key.Player, got.Document, o.acked)
	case err == nil:
		s.in, s.revision, s.pending, o.fence = true, got.Revision, "", s.claim.Fence
		o.acked, o.maybe = string(got.Document), map[string]bool{}
	case throng.KindOf(err) != throng.Unavailable && throng.KindOf(err) != throng.Denied:
		return fmt.Errorf("checkout: %w", err)
	}
	return nil
}

// save saves the next document, or the one that it does not know of.
func (w *ownWorld) save(s *ownStay, last bool) error { //nolint:revive // save and return are one thing here
	o := w.of(s.claim.Key.Player)
	doc := s.pending
	if doc == "" {
		s.saves++
		doc = fmt.Sprintf(`{"by":%d,"n":%d,"filler":"%x"}`, s.claim.Fence, s.saves, w.rng.Uint64())
	}
	call := w.profiles.Save
	if last {
		call = w.profiles.Return
	}
	stale := s.claim.Fence < o.fence || s.over
	err := call(w.t.Context(), s.claim, s.revision+1, []byte(doc))
	switch kind := throng.KindOf(err); {
	case err == nil && stale:
		return fmt.Errorf("a stale session at %d saved %s, which is at %d", s.claim.Fence, s.claim.Key.Player, o.fence)
	case err == nil:
		s.revision, s.pending, s.over = s.revision+1, "", last
		o.acked, o.maybe = doc, map[string]bool{}
	case kind == throng.Unavailable:
		s.pending = doc
		if !stale {
			o.maybe[doc] = true
		}
	case kind == throng.Denied || kind == throng.Conflict && (s.over || s.pending != ""):
		s.over, s.pending = true, "" // it is told
	default:
		return fmt.Errorf("save at %d: %w", s.claim.Fence, err)
	}
	return nil
}

// post posts a transfer of the session's player.
func (w *ownWorld) post(s *ownStay) error {
	w.transfer++
	first := throng.Member{Player: s.claim.Key.Player, Epoch: s.claim.Fence}
	t := throng.Transfer{ID: throng.TransferID(fmt.Sprintf("t%d", w.transfer)), Kind: throng.TransferReward, First: first, Gives: amounts("gold", 1+w.rng.IntN(60))}
	switch w.rng.IntN(6) {
	case 0:
		t.Gives = amounts("sword", 1)
	case 1, 2:
		t.Kind, t.Gives, t.Offer, t.Count = throng.TransferPurchase, nil, []throng.ItemID{"potion", "sword"}[w.rng.IntN(2)], 1
	case 3, 4:
		other := w.stays[w.rng.IntN(len(w.stays))]
		if other.claim.Key.Player == first.Player {
			return nil
		}
		t.Kind, t.Second = throng.TransferTrade, throng.Member{Player: other.claim.Key.Player, Epoch: other.claim.Fence}
		t.Gives, t.Takes = w.goods(first.Player), amounts("gold", 1+w.rng.IntN(30))
	}
	p := ownPost{ledger.Key{Player: first.Player, ID: t.ID}, throng.TransferOrder{Game: w.game, Session: s.claim.Session, Transfer: t}}
	if w.recent = append(w.recent, p); len(w.recent) > 64 {
		w.recent = w.recent[1:]
	}
	return w.send(p)
}

// goods is something that a player may have.
func (w *ownWorld) goods(p throng.PlayerID) []throng.Amount {
	list, err := w.stores.Ledger.Uniques(w.t.Context(), w.game, p, "", 3)
	if err == nil && len(list) > 0 {
		return []throng.Amount{{Item: list[w.rng.IntN(len(list))], Count: 1}}
	}
	return amounts("potion", 1)
}

// repeat sends one of the last transfers again.
func (w *ownWorld) repeat() error {
	if len(w.recent) == 0 {
		return nil
	}
	return w.send(w.recent[w.rng.IntN(len(w.recent))])
}

func (w *ownWorld) send(p ownPost) error {
	before, known := w.posted[p.key]
	stale := w.stale(p.order.Transfer)
	_, look := w.stores.Ledger.Record(w.t.Context(), w.game, p.key)
	there := look == nil
	receipt, err := w.ledger.Post(w.t.Context(), p.order)
	switch kind := throng.KindOf(err); {
	case err == nil && known && !reflect.DeepEqual(receipt, before):
		return fmt.Errorf("transfer %s was answered %+v, then %+v", p.key.ID, before, receipt)
	case err == nil && stale && !there:
		return fmt.Errorf("transfer %s of a stale session went through", p.key.ID)
	case err == nil:
		w.posted[p.key] = receipt
	case known && kind != throng.Unavailable:
		return fmt.Errorf("transfer %s was acknowledged, then: %w", p.key.ID, err)
	case kind != throng.Unavailable && kind != throng.Denied && kind != throng.Full:
		return fmt.Errorf("transfer %s: %w", p.key.ID, err)
	}
	return nil
}

// stale says whether one of a transfer's players has been checked out since.
func (w *ownWorld) stale(t throng.Transfer) bool {
	for _, m := range []throng.Member{t.First, t.Second} {
		if m.Player != "" && m.Epoch < w.of(m.Player).fence {
			return true
		}
	}
	return false
}

// final looks at everything that was acknowledged, and audits.
func (w *ownWorld) final() error {
	for key, receipt := range w.posted {
		r, err := w.stores.Ledger.Record(w.t.Context(), w.game, key)
		if err != nil || !reflect.DeepEqual(r.Receipt, receipt) {
			return fmt.Errorf("transfer %s was acknowledged as %+v and is %+v, %w", key.ID, receipt, r.Receipt, err)
		}
	}
	for p, o := range w.docs {
		got, err := w.profiles.Get(w.t.Context(), profile.Key{Game: w.game, Player: p}, 0)
		if err != nil || string(got.Document) != o.acked && !o.maybe[string(got.Document)] {
			return fmt.Errorf("%s is %q, acknowledged was %q, %w", p, got.Document, o.acked, err)
		}
		list, err := w.stores.Profiles.Saves(w.t.Context(), profile.Key{Game: w.game, Player: p})
		for i := 1; i < len(list) && err == nil; i++ {
			if list[i].Fence > list[i-1].Fence {
				err = fmt.Errorf("%s was saved at %d after %d", p, list[i-1].Fence, list[i].Fence)
			}
		}
		if err != nil {
			return err
		}
	}
	report, err := ledger.Audit(w.t.Context(), ledger.AuditConfig{Books: onlyGame{w.stores.Ledger, w.game}, Now: time.Now})
	if err != nil || report.Sum != 0 || len(report.Problems) > 0 {
		return fmt.Errorf("the auditor says %+v, %w", report, err)
	}
	if report.Transfers < len(w.posted) {
		return fmt.Errorf("%d transfers were acknowledged, %d are there", len(w.posted), report.Transfers)
	}
	return nil
}

// stop is a fault of a store's call: before it, after it, or none; now and then
// the process stops there.
func (w *ownWorld) stop(ctx context.Context, call func(context.Context) error) error {
	n := 100
	if w.faults {
		n = w.rng.IntN(24)
	}
	if n == 0 {
		return throng.Errorf(throng.Unavailable, "the process stopped before the call")
	}
	err := call(ctx)
	if n == 1 {
		return throng.Errorf(throng.Unavailable, "the reply was lost (%v)", err)
	}
	return err
}

// faultyProfiles is a store whose calls may fail before or after.
type faultyProfiles struct {
	profile.Store
	w *ownWorld
}

// Checkout may fail.
func (f faultyProfiles) Checkout(ctx context.Context, k profile.Key, fence throng.Epoch, holder throng.SessionID) (h profile.Head, err error) {
	err = f.w.stop(ctx, func(ctx context.Context) (err error) {
		h, err = f.Store.Checkout(ctx, k, fence, holder)
		return err
	})
	return h, err
}

// Save may fail.
func (f faultyProfiles) Save(ctx context.Context, k profile.Key, s profile.Save, returned bool) error {
	return f.w.stop(ctx, func(ctx context.Context) error { return f.Store.Save(ctx, k, s, returned) })
}

// faultyLedger is a store whose calls may fail before or after.
type faultyLedger struct {
	ledger.Store
	w *ownWorld
}

// Change may fail.
func (f faultyLedger) Change(ctx context.Context, t ledger.Touch, decide ledger.Decide) error {
	return f.w.stop(ctx, func(ctx context.Context) error { return f.Store.Change(ctx, t, decide) })
}

// Fence may fail.
func (f faultyLedger) Fence(ctx context.Context, g throng.GameID, p throng.PlayerID, e throng.Epoch) error {
	return f.w.stop(ctx, func(ctx context.Context) error { return f.Store.Fence(ctx, g, p, e) })
}
