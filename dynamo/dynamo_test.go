package dynamo_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/dynamo"
	"github.com/throng-gg/throng/dynamo/dynamotest"
	"github.com/throng-gg/throng/ledger"
)

// games counts the games that tests have used of the server.
var games atomic.Int64

// local starts one server for a test and sets its tables up, twice.
func local(t *testing.T, change func(*dynamo.Config)) *dynamo.Store {
	t.Helper()
	cfg := dynamo.Config{URL: dynamotest.Start(t) + "/test", Budget: time.Minute, Try: 20 * time.Second} // a busy machine's
	if change != nil {
		change(&cfg)
	}
	s, err := dynamo.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		made, err := s.Setup(t.Context(), dynamo.Capacity{}, dynamo.Capacity{Read: 100, Write: 100})
		if err != nil || len(made) != 4*(1-round) {
			t.Fatalf("setup, round %d: made %v, %v", round+1, made, err)
		}
	}
	return s
}

func game() throng.GameID { return throng.GameID(fmt.Sprintf("bazaar%d", games.Add(1))) }

func TestContracts(t *testing.T) {
	t.Parallel()
	s := local(t, nil)
	t.Run("profiles", func(t *testing.T) {
		contract.Profiles(t, func(*testing.T) (contract.ProfileStores, throng.GameID) {
			return contract.ProfileStores{Store: s.Profiles()}, game()
		})
	})
	t.Run("ledger", func(t *testing.T) {
		contract.Ledgers(t, func(*testing.T) (contract.LedgerStores, throng.GameID) {
			return contract.LedgerStores{Store: s.Ledger()}, game()
		})
	})
	t.Run("home", func(t *testing.T) { contract.Homes(t, s, nil) })
	t.Run("attacks", func(t *testing.T) {
		contract.OwnAttacks(t, func(*testing.T) (contract.OwnStores, throng.GameID) {
			return contract.OwnStores{Profiles: s.Profiles(), Ledger: s.Ledger()}, game()
		})
	})
}

// outboxStore is the ledger with what announces from it.
type outboxStore struct {
	dynamo.Ledger
	*dynamo.Outbox
}

// TestOutbox: what is committed is announced from the table's stream, over processes
// that come and go.
func TestOutbox(t *testing.T) {
	t.Parallel()
	s := local(t, nil)
	open := func(*testing.T) contract.OutboxStore { return outboxStore{s.Ledger(), s.Outbox("one")} }
	contract.Outboxes(t, open(t), game(), open)
	t.Run("another process has nothing to do", func(t *testing.T) {
		second := s.Outbox("two")
		if err := second.Drain(t.Context(), 10, func(list []ledger.Posting) error {
			t.Errorf("%d transfers again, while another one has the lease", len(list))
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
}
