package bolt_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/bolt"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/ledger"
	"github.com/throng-gg/throng/profile"
)

// crashOperations is how many operations a crash test plays; a million in the
// long form.
func crashOperations(t *testing.T) int {
	t.Helper()
	if times, _ := strconv.Atoi(os.Getenv("THRONG_SOAK")); times > 0 { //nolint:forbidigo // a test's own
		return 1_000_000 * times
	}
	return 4000
}

// stores opens both, and again after each crash.
func stores(t *testing.T, s *bolt.Store, path string, change func(*contract.OwnStores)) contract.OwnStores {
	t.Helper()
	out := contract.OwnStores{Profiles: s.Profiles(), Ledger: s.Ledger(), Again: func(t *testing.T) contract.OwnStores {
		t.Helper()
		return stores(t, reopen(t, s, path), path, change)
	}}
	if change != nil {
		change(&out)
	}
	return out
}

func crash(t *testing.T, seed uint64, operations int, change func(*contract.OwnStores)) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "throng.db")
	return contract.OwnCrash(t, stores(t, open(t, path), path, change), "bazaar", seed, operations)
}

// TestCrashEverywhere stops before and after every call of checkout, save, return,
// reward, purchase, trade and hand-over.
func TestCrashEverywhere(t *testing.T) {
	t.Parallel()
	if err := crash(t, 1, crashOperations(t), nil); err != nil {
		t.Error(err)
	}
}

// unfenced believes whoever saves, as if there were no fence.
type unfenced struct{ profile.Store }

func (u unfenced) Save(ctx context.Context, k profile.Key, s profile.Save, returned bool) error {
	h, err := u.Head(ctx, k)
	if err != nil {
		return err
	}
	s.Fence, s.Holder, s.Revision = h.Fence, h.Holder, h.Revision+1
	return u.Store.Save(ctx, k, s, returned)
}

// forgetful has no idempotency row: what was posted is not known.
type forgetful struct{ contract.LedgerStore }

func (f forgetful) Change(ctx context.Context, t ledger.Touch, decide ledger.Decide) error {
	return f.LedgerStore.Change(ctx, t, func(s ledger.State) (*ledger.Outcome, error) {
		s.Record = nil
		return decide(s)
	})
}

// TestCrashFindsMissingGuards: with the fence or the idempotency row switched off
// something is found.
func TestCrashFindsMissingGuards(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*contract.OwnStores){
		"fence of profiles": func(s *contract.OwnStores) { s.Profiles = unfenced{s.Profiles} },
		"idempotency row":   func(s *contract.OwnStores) { s.Ledger = forgetful{s.Ledger} },
		"fence of wallets":  func(s *contract.OwnStores) { s.Ledger = noFences{s.Ledger} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := crash(t, 1, 4000, change)
			if err == nil {
				t.Errorf("nothing was found without the %s", name)
			}
			t.Log(err)
		})
	}
}

// noFences has wallets without fences: whoever posts as one of the game's owners
// does is let through, so it makes every transfer look like the newest session's.
type noFences struct{ contract.LedgerStore }

// Change asks again with each player's fence at the epoch that the refusal names.
func (n noFences) Change(ctx context.Context, t ledger.Touch, decide ledger.Decide) error {
	return n.LedgerStore.Change(ctx, t, func(s ledger.State) (*ledger.Outcome, error) {
		out, err := decide(s)
		for i := 0; err != nil && throng.KindOf(err) == throng.Denied && i < 2*len(s.Players); i++ {
			var fence, epoch throng.Epoch
			words := err.Error()
			if _, scan := fmt.Sscanf(words[strings.Index(words, "the fence is"):], "the fence is %d, the transfer's epoch %d", &fence, &epoch); scan != nil {
				return nil, err
			}
			for p := range s.Players {
				if s.Players[p].Fence == fence {
					s.Players[p].Fence = epoch
					break
				}
			}
			out, err = decide(s)
		}
		return out, err
	})
}

// TestAttacks are lines 9 to 11 of the interleavings that have to be survived, and
// the worst complaints of players elsewhere.
func TestAttacks(t *testing.T) {
	t.Parallel()
	contract.OwnAttacks(t, func(t *testing.T) (contract.OwnStores, throng.GameID) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "throng.db")
		return stores(t, open(t, path), path, nil), "bazaar"
	})
}
