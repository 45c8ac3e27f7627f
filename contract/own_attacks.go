package contract

import (
	"log/slog"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/profile"
)

// OwnAttacks plays what has broken other platforms, and earlier drafts of this
// one. open makes empty stores, or a game of them that nobody uses.
func OwnAttacks(t *testing.T, open func(t *testing.T) (OwnStores, throng.GameID)) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *ownRig){
		"a zombie cannot retake a profile":                 attackZombie,
		"a zombie cannot trade away what is not its":       attackUnfencedTrade,
		"of two homes' saves one is refused":               attackTwoHomes,
		"trade then rejoin":                                attackTradeThenRejoin,
		"crash between two saves of a trade":               attackCrashBetweenSaves,
		"double purchase by a repeated call":               attackDoublePurchase,
		"a paused game server saves after a hand-over":     attackPausedServer,
		"a checkout that stopped between wallet and save ": attackHalfCheckout,
	} {
		t.Run(name, func(t *testing.T) {
			stores, game := open(t)
			r := &ownRig{ledgerRig: newLedgerRig(t, stores.Ledger, game), game: game}
			var err error
			r.profiles, err = profile.New(profile.Config{Store: stores.Profiles, Wallets: r.Ledger, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
			wantOK(t, "New", err)
			test(t, r)
			r.audit(t)
		})
	}
}

// ownRig is both parts over the same stores.
type ownRig struct {
	*ledgerRig
	profiles *profile.Profiles
	game     throng.GameID
}

func (r *ownRig) claim(p throng.PlayerID, fence throng.Epoch, s throng.SessionID) profile.Claim {
	return profile.Claim{Key: profile.Key{Game: r.game, Player: p}, Fence: fence, Session: s}
}

// enter checks a player out.
func (r *ownRig) enter(t *testing.T, c profile.Claim, want string) throng.Profile {
	t.Helper()
	p, err := r.profiles.Checkout(t.Context(), c)
	wantOK(t, "Checkout", err)
	if string(p.Document) != want {
		t.Fatalf("%s came in as %q, want %q", c.Key.Player, p.Document, want)
	}
	return p
}

func (r *ownRig) save(t *testing.T, c profile.Claim, revision throng.Revision, doc string) {
	t.Helper()
	wantOK(t, "Save", r.profiles.Save(t.Context(), c, revision, []byte(doc)))
}

// attackZombie: S2 holds fence 8; S1, resumed and refused, checks out again: if it
// got 9, S2 would be locked out (line 9).
func attackZombie(t *testing.T, r *ownRig) {
	t.Helper()
	old, newer := r.claim("ada", 7, sessionOne), r.claim("ada", 8, sessionTwo)
	r.enter(t, old, "")
	r.enter(t, newer, "")
	placeWantKind(t, "the zombie's save", r.profiles.Save(t.Context(), old, 1, []byte(`{"old":1}`)), throng.Denied)
	_, err := r.profiles.Checkout(t.Context(), old)
	placeWantKind(t, "the zombie's checkout", err, throng.Denied)
	r.save(t, newer, 1, `{"new":1}`)
}

// attackUnfencedTrade: the resumed S1 trades Ada's sword away (line 10).
func attackUnfencedTrade(t *testing.T, r *ownRig) {
	t.Helper()
	r.enter(t, r.claim("ada", 7, sessionOne), "")
	r.must(t, reward("r1", "ada", amounts("sword", 1)))
	sword := r.one(t, "sword")
	r.enter(t, r.claim("ada", 8, sessionTwo), "")
	r.refuse(t, trade("t1", amounts(sword, 1), nil), throng.Denied, "first")
	r.want(t, "ada: 1 sword; bo: ")
}

// attackTwoHomes: two control planes have the same player; a game has one home,
// so their conditions meet in one store and one save is refused (line 11).
func attackTwoHomes(t *testing.T, r *ownRig) {
	t.Helper()
	a, b := r.claim("ada", 7, sessionOne), r.claim("ada", 8, sessionTwo)
	r.enter(t, a, "")
	r.enter(t, b, "")
	first := r.profiles.Save(t.Context(), b, 1, []byte(`{"home":"b"}`))
	second := r.profiles.Save(t.Context(), a, 1, []byte(`{"home":"a"}`))
	if first != nil || throng.KindOf(second) != throng.Denied {
		t.Errorf("two homes saved: %v, %v; want one save and one refusal", first, second)
	}
}

// attackTradeThenRejoin: Ada gives her sword away and joins another session before
// the old one has saved. The old document cannot bring the sword back: it is in
// the ledger, and the trade was one transaction.
func attackTradeThenRejoin(t *testing.T, r *ownRig) {
	t.Helper()
	old := r.claim("ada", 7, sessionOne)
	r.enter(t, old, "")
	r.must(t, reward("r1", "ada", amounts("sword", 1)))
	r.save(t, old, 1, `{"sees":"a sword"}`)
	r.must(t, trade("t1", amounts(r.one(t, "sword"), 1), nil))
	r.enter(t, r.claim("ada", 8, sessionTwo), `{"sees":"a sword"}`)
	placeWantKind(t, "the old session's late save", r.profiles.Save(t.Context(), old, 2, []byte(`{"sees":"nothing"}`)), throng.Denied)
	r.want(t, "ada: ; bo: 1 sword")
}

// attackCrashBetweenSaves: the server stops after it saved Ada and before it saved
// Bo. What they traded is in neither document.
func attackCrashBetweenSaves(t *testing.T, r *ownRig) {
	t.Helper()
	ada, bo := r.claim("ada", 7, sessionOne), r.claim("bo", 7, sessionOne)
	r.enter(t, ada, "")
	r.enter(t, bo, "")
	r.must(t, reward("r1", "ada", amounts("sword", 1)))
	r.must(t, reward("r1", "bo", amounts("gold", 50)))
	r.must(t, trade("t1", amounts(r.one(t, "sword"), 1), amounts("gold", 50)))
	r.save(t, ada, 1, `{"traded":true}`) // and here it stops
	r.enter(t, r.claim("ada", 8, sessionTwo), `{"traded":true}`)
	r.enter(t, r.claim("bo", 8, sessionTwo), "")
	r.want(t, "ada: 50 gold; bo: 1 sword")
}

// attackDoublePurchase: the reply is lost, and the call repeated, also by the next
// session.
func attackDoublePurchase(t *testing.T, r *ownRig) {
	t.Helper()
	r.must(t, reward("r1", "ada", amounts("gold", 100)))
	for range 3 {
		r.must(t, purchase("quest-7", "potion", 1))
	}
	r.enter(t, r.claim("ada", 9, sessionTwo), "")
	again := purchase("quest-7", "potion", 1)
	again.First.Epoch = 9
	r.must(t, again)
	r.want(t, "ada: 95 gold, 1 potion; bo: ")
}

// attackPausedServer: S1 is stopped, does not answer the flush, is resumed after
// S2 took over and saved.
func attackPausedServer(t *testing.T, r *ownRig) {
	t.Helper()
	paused, next := r.claim("ada", 7, sessionOne), r.claim("ada", 8, sessionTwo)
	r.enter(t, paused, "")
	r.save(t, paused, 1, `{"at":1}`)
	p := r.enter(t, next, `{"at":1}`)
	r.save(t, next, p.Revision+1, `{"at":2}`)
	placeWantKind(t, "the paused server's save", r.profiles.Save(t.Context(), paused, 2, []byte(`{"at":"old"}`)), throng.Denied)
	placeWantKind(t, "its return", r.profiles.Return(t.Context(), paused, 3, []byte(`{"at":"old"}`)), throng.Denied)
	got, err := r.profiles.Get(t.Context(), paused.Key, 0)
	if err != nil || string(got.Document) != `{"at":2}` {
		t.Errorf("got %q, %v", got.Document, err)
	}
}

// attackHalfCheckout: the wallet is fenced, and the process stops before the
// profile is. The older session may save but not trade; the checkout repeated has
// what it saved.
func attackHalfCheckout(t *testing.T, r *ownRig) {
	t.Helper()
	old := r.claim("ada", 7, sessionOne)
	r.enter(t, old, "")
	r.must(t, reward("r1", "ada", amounts("gold", 5)))
	wantOK(t, "Fence", r.Fence(t.Context(), r.game, "ada", 8))
	r.refuse(t, reward("r2", "ada", amounts("gold", 5)), throng.Denied, "first")
	r.save(t, old, 1, `{"saved":1}`)
	r.enter(t, r.claim("ada", 8, sessionTwo), `{"saved":1}`)
	placeWantKind(t, "the old session's save", r.profiles.Save(t.Context(), old, 2, []byte(`{}`)), throng.Denied)
}
