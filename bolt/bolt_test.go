package bolt_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/bolt"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/profile"
)

func open(t *testing.T, path string) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(bolt.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// reopen is the file after a restart.
func reopen(t *testing.T, s *bolt.Store, path string) *bolt.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, path)
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	contract.Profiles(t, func(t *testing.T) (contract.ProfileStores, throng.GameID) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "throng.db")
		s := open(t, path)
		return contract.ProfileStores{
			Store: s.Profiles(),
			Again: func(t *testing.T) profile.Mirror {
				t.Helper()
				return reopen(t, s, path).Profiles()
			},
		}, "bazaar"
	})
}

func TestHome(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "throng.db")
	s := open(t, path)
	contract.Homes(t, s, func(t *testing.T) contract.HomeStore {
		t.Helper()
		return reopen(t, s, path)
	})
}

func TestBans(t *testing.T) {
	t.Parallel()
	contract.Bans(t, func(t *testing.T) contract.BanStore {
		t.Helper()
		return open(t, filepath.Join(t.TempDir(), "throng.db")).Bans(5)
	})
}

// TestBansOutliveTheirProcess opens the file again.
func TestBansOutliveTheirProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "throng.db")
	s := open(t, path)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	want := throng.Ban{ID: "ada/speed/1", Player: "ada", Rule: "speed", Reason: "too fast", At: at, Until: at.Add(time.Hour)}
	if err := s.Bans(0).Put(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	got, err := reopen(t, s, path).Bans(0).Bans(t.Context(), []throng.PlayerID{"bo", "ada"})
	if err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestLedger(t *testing.T) {
	t.Parallel()
	contract.Ledgers(t, func(t *testing.T) (contract.LedgerStores, throng.GameID) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "throng.db")
		s := open(t, path)
		return contract.LedgerStores{
			Store: s.Ledger(),
			Again: func(t *testing.T) contract.LedgerStore {
				t.Helper()
				return reopen(t, s, path).Ledger()
			},
		}, "bazaar"
	})
}
