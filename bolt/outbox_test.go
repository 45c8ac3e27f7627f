package bolt_test

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/throng-gg/throng/bolt"
	"github.com/throng-gg/throng/contract"
)

// TestOutbox: commits fail before and after they are made, the log too, and the
// file is opened anew.
func TestOutbox(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "throng.db")
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // a test's dice; used by who commits, one at a time
	cfg := bolt.Config{Path: path, Outbox: true, Fault: func(string) error {
		if random.IntN(12) == 0 {
			return errors.New("it stops here")
		}
		return nil
	}}
	s, err := bolt.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	contract.Outboxes(t, s.Ledger(), "bazaar", func(t *testing.T) contract.OutboxStore {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = bolt.Open(cfg); err != nil {
			t.Fatal(err)
		}
		return s.Ledger()
	})
}
